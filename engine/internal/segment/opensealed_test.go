package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/seal"
	"github.com/streambus/streambus/engine/internal/txn"
)

// TestOpenSealedReadsLittle counts: one read, of the seal's header; two mappings; two reads of the .log, of a page each; and the .txnindex
// if there is one.
func TestOpenSealedReadsLittle(t *testing.T) {
	held(t)
	rng := newRand(t)
	want := map[string]int{"open .log": 1, "size .log": 1, "read .log": 2, "open .seal": 1, "size .seal": 1, "read .seal": 1, "map .index": 1, "map .timeindex": 1}
	for _, aborted := range []bool{false, true} {
		if aborted {
			want["open .txnindex"], want["size .txnindex"], want["read .txnindex"] = 1, 1, 1
		}
		if got := opsOfOpen(t, rng, aborted); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func opsOfOpen(t *testing.T, rng *rand.Rand, aborted bool) (count map[string]int) {
	mem := disk.NewMem()
	s, _ := rolled(t, mem, "/d", 0, 300, 500, rng)
	if !aborted {
		*s.Aborted() = txn.Index{}
	}
	if err := s.Seal(mem, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	release(t, s)
	count = map[string]int{}
	again, err := OpenSealed(disk.Inject(mem, func(op disk.Op, name string) error {
		count[string(op)+" "+path.Ext(name)]++
		return nil
	}), "/d", 0, logID)
	if err != nil {
		t.Fatal(err)
	}
	release(t, again)
	return count
}

func flip(t testing.TB, d disk.FS, name string, at int64) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	err = disk.ReadFull(f, b, at)
	b[0] ^= 4
	if err := errors.Join(err, f.WriteVec([][]byte{b}, at), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func resize(t testing.TB, d disk.FS, name string, by int64) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err := errors.Join(err, f.Truncate(size+by), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOpenSealedTellsErrorsApart: whatever happens to the side files, the segment can be opened by Scan and sealed again; what happens
// to the .log is another matter.
func TestOpenSealedTellsErrorsApart(t *testing.T) {
	held(t)
	rng := newRand(t)
	names := map[string]string{}
	for _, suffix := range append([]string{Suffix}, sideSuffixes...) {
		names[suffix] = "/d/00000000000000000300" + suffix
	}
	sealed := func() *disk.Mem {
		d := disk.NewMem()
		s, _ := rolled(t, d, "/d", 300, 300, 500, rng)
		if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
			t.Fatal(err)
		}
		release(t, s)
		return d
	}
	other := sealed()
	for _, suffix := range sideSuffixes {
		for what, harm := range map[string]func(d *disk.Mem, name string){
			"gone":   func(d *disk.Mem, name string) { _ = d.Remove(name) },
			"empty":  func(d *disk.Mem, name string) { f, _ := d.Open(name); _ = f.Truncate(0) },
			"cut":    func(d *disk.Mem, name string) { resize(t, d, name, -12) },
			"longer": func(d *disk.Mem, name string) { resize(t, d, name, 24) },
			"a flip": func(d *disk.Mem, name string) { flip(t, d, name, 3) },
			"zeroed": func(d *disk.Mem, name string) { f, _ := d.Open(name); _ = f.Truncate(0); resize(t, d, name, 4096+16) },
			"another's": func(d *disk.Mem, name string) {
				_ = d.Remove(name)
				f, _ := other.Open(name)
				size, _ := f.Size()
				b := make([]byte, size)
				_ = disk.ReadFull(f, b, 0)
				g, _ := d.Create(name)
				_ = g.WriteVec([][]byte{b}, 0)
			},
		} {
			d := sealed()
			harm(d, names[suffix])
			_, err := OpenSealed(d, "/d", 300, logID)
			swapped := what == "another's" && suffix == seal.Suffix && errors.Is(err, ErrCorrupt) // its size is not the .log's
			if !swapped && !errors.Is(err, ErrUnsealed) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s %s: %v", suffix, what, err)
			}
			rebuild(t, d, 300)
		}
	}
	for what, c := range map[string]struct {
		harm func(d *disk.Mem)
		want error
	}{
		"a log that is shorter":    {func(d *disk.Mem) { resize(t, d, names[Suffix], -1) }, ErrCorrupt},
		"a log that is longer":     {func(d *disk.Mem) { resize(t, d, names[Suffix], 1) }, ErrCorrupt},
		"a log that is gone":       {func(d *disk.Mem) { _ = d.Remove(names[Suffix]) }, fs.ErrNotExist},
		"a flip in its first page": {func(d *disk.Mem) { flip(t, d, names[Suffix], 4095) }, ErrCorrupt},
		"a flip at its end":        {func(d *disk.Mem) { flip(t, d, names[Suffix], size(t, d, names[Suffix])-4096) }, ErrCorrupt},
		"a log of another's bytes": {func(d *disk.Mem) { swapLog(t, d, names[Suffix]) }, ErrCorrupt},
		"another log's":            {func(d *disk.Mem) { reseal(t, d, logID+1) }, ErrCorrupt},
	} {
		d := sealed()
		c.harm(d)
		if _, err := OpenSealed(d, "/d", 300, logID); !errors.Is(err, c.want) || errors.Is(err, ErrUnsealed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, cause := range []error{syscall.EIO, syscall.EMFILE} {
		for _, op := range []disk.Op{"open", "size", "read", "map"} {
			d := disk.Inject(sealed(), func(o disk.Op, name string) error {
				if o == op {
					return cause
				}
				return nil
			})
			if _, err := OpenSealed(d, "/d", 300, logID); !errors.Is(err, cause) || errors.Is(err, ErrUnsealed) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%v at %s: %v", cause, op, err)
			}
		}
	}
}

func size(t testing.TB, d disk.FS, name string) int64 {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Size()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

// swapLog puts good batches of the same sizes and offsets, but with other values, in the place of a .log.
func swapLog(t testing.TB, d disk.FS, name string) {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, size(t, d, name))
	if err := disk.ReadFull(f, all, 0); err != nil {
		t.Fatal(err)
	}
	for rest := all; len(rest) > 0; {
		b, err := batch.First(rest)
		if err != nil {
			t.Fatal(err)
		}
		b[30]++ // of a timestamp
		binary.BigEndian.PutUint32(b[17:], b.ComputeCRC())
		rest = rest[len(b):]
	}
	if err := errors.Join(f.WriteVec([][]byte{all}, 0), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// reseal seals segment 300 for another log.
func reseal(t testing.TB, d disk.FS, log uint64) {
	t.Helper()
	s, err := Open(d, "/d", 300, 500)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Scan(size(t, d, s.Path), nil)
	if err == nil {
		err = s.Seal(d, new(sync.Mutex), log, never, nil)
	}
	if err := errors.Join(err, s.Release()); err != nil {
		t.Fatal(err)
	}
}

// TestCreateTrustsNoOldSeal: a segment whose name was used before is not judged by the seal of its predecessor.
func TestCreateTrustsNoOldSeal(t *testing.T) {
	held(t)
	rng := newRand(t)
	d := disk.NewMem()
	s, _ := rolled(t, d, "/d", 0, 40, 300, rng)
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	release(t, s)
	if err := d.Remove(s.Path); err != nil { // the .log alone, as somebody may who knows no side files
		t.Fatal(err)
	}
	s, _ = rolled(t, d, "/d", 0, 20, 300, rng)
	release(t, s)
	for range 20 {
		if _, err := OpenSealed(d.Crash(rng, rng.Float64()), "/d", 0, logID); !errors.Is(err, ErrUnsealed) {
			t.Fatal(err)
		}
	}
	rebuild(t, d, 0)
}

// rebuild does what the caller of OpenSealed does on ErrUnsealed.
func rebuild(t testing.TB, d disk.FS, base batch.Offset) {
	t.Helper()
	s, err := Open(d, "/d", base, 500)
	if err != nil {
		t.Fatal(err)
	}
	size, err := s.FileSize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scan(size, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	release(t, s)
	if s, err = OpenSealed(d, "/d", base, logID); err != nil {
		t.Fatal("sealed again, and:", err)
	}
	release(t, s)
}

// FuzzOpenSealed opens whatever a disk may hold beside a good .log: no panic, and what opens answers within the segment.
func FuzzOpenSealed(f *testing.F) {
	rng := rand.New(rand.NewPCG(8, 8))
	d := disk.NewMem()
	s, _ := rolled(f, d, "/d", 0, 30, 300, rng)
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		f.Fatal(err)
	}
	release(f, s)
	read := func(name string) []byte {
		file, err := d.Open("/d/00000000000000000000" + name)
		if err != nil {
			f.Fatal(err)
		}
		size, _ := file.Size()
		b := make([]byte, size)
		if err := disk.ReadFull(file, b, 0); err != nil {
			f.Fatal(err)
		}
		return b
	}
	log, sealFile, offsets, times, aborted := read(Suffix), read(seal.Suffix), read(index.OffsetSuffix), read(index.TimeSuffix), read(txn.Suffix)
	f.Add(sealFile, offsets, times, aborted)
	f.Add(sealFile[:4096], offsets[:8], times[:12], aborted[:34])
	f.Fuzz(func(t *testing.T, sealFile, offsets, times, aborted []byte) {
		if len(sealFile) >= 4096 { // let the fuzzer past the CRC
			sealFile = slices.Clone(sealFile)
			binary.LittleEndian.PutUint32(sealFile[8:], crc32.Checksum(sealFile[12:4096], castagnoli))
		}
		d := disk.NewMem()
		for suffix, b := range map[string][]byte{Suffix: log, seal.Suffix: sealFile, index.OffsetSuffix: offsets, index.TimeSuffix: times, txn.Suffix: aborted} {
			file, err := d.Create("/00000000000000000000" + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := file.WriteVec([][]byte{b}, 0); err != nil {
				t.Fatal(err)
			}
		}
		s, err := OpenSealed(d, "/", 0, logID)
		if err != nil {
			if !errors.Is(err, ErrUnsealed) && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		for v := int64(-5); v < s.Size(); v += 31 {
			for _, pos := range []int64{s.FloorOffset(batch.Offset(v)), s.FloorTime(v), s.FloorPosition(v)} {
				if pos < 0 || pos >= s.Size() {
					t.Fatalf("%d leads to byte %d", v, pos)
				}
			}
		}
		for _, r := range [][2]int64{{0, 1}, {s.Size() / 2, s.Size()}} {
			if err := errors.Join(s.Sums().Check(r[0], r[1]), s.Sums().CheckCold(r[0], r[1])); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		}
		for _, a := range s.Aborted().Entries() {
			if a.Last < s.Base || a.Last >= s.Next() {
				t.Errorf("%+v", a)
			}
		}
		release(t, s)
	})
}

// BenchmarkOpen opens 1,000 segments, each with the index of 10 MiB of log (2,600 entries), by their seals and by scanning their headers.
// heap-B is what the open segments hold of the heap.
func BenchmarkOpen(b *testing.B) {
	const segments = 1000
	d, dir := disk.OS{}, b.TempDir()
	var one batch.Builder
	one.Add(time.UnixMilli(1), nil, make([]byte, 30))
	header := one.Batch()
	for i := range segments {
		s, err := Create(d, dir, batch.Offset(i)*10_000, 1)
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		for j := range 2600 {
			header.Stamp(s.Base+batch.Offset(j), 0)
			buf = append(buf, header...)
		}
		if err := s.Write([][]byte{buf}, 0); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Scan(int64(len(buf)), nil); err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(s.Seal(d, new(sync.Mutex), logID, never, nil), s.Release()); err != nil {
			b.Fatal(err)
		}
	}
	for name, open := range map[string]func(base batch.Offset) (*Segment, error){
		"sealed": func(base batch.Offset) (*Segment, error) { return OpenSealed(d, dir, base, logID) },
		"scanned": func(base batch.Offset) (*Segment, error) {
			s, err := Open(d, dir, base, 1)
			if err != nil {
				return nil, err
			}
			size, err := s.FileSize()
			if err == nil {
				_, err = s.Scan(size, nil)
			}
			return s, err
		},
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&before)
				b.StartTimer()
				var all []*Segment
				for i := range segments {
					s, err := open(batch.Offset(i) * 10_000)
					if err != nil {
						b.Fatal(err)
					}
					all = append(all, s)
				}
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				for _, s := range all {
					release(b, s)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "heap-B")
		})
	}
}
