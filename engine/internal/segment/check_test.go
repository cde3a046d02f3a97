package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
)

// sized makes an active segment of batches whose records have these sizes, in bytes.
func sized(t testing.TB, d disk.FS, dir string, sizes ...int) (*Segment, []placed) {
	t.Helper()
	if err := d.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	s, err := Create(d, dir, 300, 4096)
	if err != nil {
		t.Fatal(err)
	}
	var all []placed
	for i, n := range sizes {
		v := make([]byte, n)
		for j := range v {
			v[j] = byte(j * (i + 3) >> 2)
		}
		var b batch.Builder
		b.Add(time.UnixMilli(int64(i)), nil, v)
		if i%4 == 3 {
			b.Add(time.UnixMilli(int64(i)), nil, nil)
		}
		one := b.Batch()
		one.Stamp(s.Next()+batch.Offset(i%3), 5) // compaction leaves gaps
		if err := s.Write([][]byte{one}, s.Size()); err != nil {
			t.Fatal(err)
		}
		all = append(all, placed{one, s.Size()})
		s.Append(one, int64(len(one)))
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return s, all
}

// some are sizes of all kinds: many small ones to a block, some that end on a block, some larger than a block, and than a read.
func some(rng *rand.Rand) (sizes []int) {
	for range 3 {
		for range rng.IntN(300) {
			sizes = append(sizes, rng.IntN(1500))
		}
		sizes = append(sizes, 40_000+rng.IntN(200_000), blockSize-61-9, rng.IntN(300))
		if rng.IntN(2) == 0 {
			sizes = append(sizes, 300_000+rng.IntN(400_000))
		}
	}
	return sizes
}

func sealIt(t testing.TB, s *Segment) {
	t.Helper()
	if err := s.Seal(s.fs, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
}

// bits changes bits of a file.
type bits struct {
	t testing.TB
	f disk.File
}

func (b bits) flip(bit int64) {
	var one [1]byte
	if err := disk.ReadFull(b.f, one[:], bit/8); err != nil {
		b.t.Fatal(err)
	}
	one[0] ^= 1 << (bit % 8)
	if err := b.f.WriteVec([][]byte{one[:]}, bit/8); err != nil {
		b.t.Fatal(err)
	}
}

// named checks that an error is a Damage that names the byte and all records of the batch that holds it.
func named(t testing.TB, err error, s *Segment, all []placed, at int64) *Damage {
	t.Helper()
	var d *Damage
	if !errors.As(err, &d) || !errors.Is(err, ErrCorrupt) {
		t.Fatalf("byte %d: %v, want a Damage", at, err)
	}
	i := slices.IndexFunc(all, func(p placed) bool { return at < p.pos+int64(len(p.Batch)) })
	p := all[i]
	if d.Path != s.Path || d.Lo > at || at >= d.Hi || d.First > p.BaseOffset() || d.Next < p.NextOffset() {
		t.Fatalf("byte %d, in the batch at %d with offsets [%d, %d): %+v", at, p.pos, p.BaseOffset(), p.NextOffset(), d)
	}
	return d
}

// TestEveryFlipIsFoundByCheck flips every bit of a segment of a few KiB: while it is appended to, restored from a recap, sealed, opened by
// its seal, and when its seal is gone (S7).
func TestEveryFlipIsFoundByCheck(t *testing.T) {
	held(t)
	d := disk.NewMem()
	s, all := sized(t, d, "/d", 0, 10, 100, 1500, 1, 700, 3, 900)
	file := bits{t, s.file}
	size, next, recap := s.Size(), s.Next(), s.AppendIndex(nil)
	every := func(what string, s *Segment, width int64) {
		t.Helper()
		if err := s.Sums().Check(0, size); err != nil {
			t.Fatal(what, err)
		}
		stride := int64(1)
		if testing.Short() {
			stride = 31
		}
		for bit := int64(0); bit < size*8; bit += stride {
			file.flip(bit)
			err := s.Sums().Check(0, size)
			file.flip(bit)
			if x := named(t, err, s, all, bit/8); x.Hi-x.Lo > width {
				t.Fatalf("%s, bit %d: %+v", what, bit, x)
			}
			if bit/stride%20_000 == 0 {
				if err := s.Sync(); err != nil { // Mem keeps every unsynced write
					t.Fatal(err)
				}
			}
		}
		if err := s.Sums().Check(0, size); err != nil {
			t.Fatal(what, err)
		}
	}
	every("active", s, size)
	for _, part := range []int64{0, all[5].pos} {
		again, err := Open(d, "/d", 300, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if part == 0 {
			if rest, err := again.Restore(append(slices.Clone(recap), 1, 2), size, next); err != nil || len(rest) != 2 {
				t.Fatalf("%v, %v", rest, err)
			}
		} else if _, err := again.Scan(size, nil); err != nil {
			t.Fatal(err)
		}
		if again.PrefixSum() != s.PrefixSum() {
			t.Error("another chain than before")
		}
		every("opened again", again, size)
		release(t, again)
	}
	sealIt(t, s)
	every("sealed", s, size)
	again, err := OpenSealed(d, "/d", 300, logID)
	if err != nil {
		t.Fatal(err)
	}
	if again.PrefixSum() != s.PrefixSum() || again.End() != never {
		t.Errorf("sum %08x, end %d", again.PrefixSum(), again.End())
	}
	release(t, s)
	if err := Unseal(d, "/d", 300); err != nil { // it is about to be cut, and goes on to be read
		t.Fatal(err)
	}
	every("without its seal", again, size)
	release(t, again)
}

// TestDamageIsNamed flips random bits of segments with batches of all sizes, and checks random ranges: what is damaged in the units that a
// range touches is named, as exactly as can be known, and nothing else is.
func TestDamageIsNamed(t *testing.T) {
	held(t)
	rng := newRand(t)
	rounds := 30
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		d := disk.NewMem()
		s, all := sized(t, d, "/d", some(rng)...)
		file := bits{t, s.file}
		if round%2 == 1 {
			sealIt(t, s)
		}
		x := s.Sums()
		if err := x.bring(); err != nil {
			t.Fatal(err)
		}
		for range 150 {
			at := rng.Int64N(s.Size())
			p := all[rng.IntN(len(all))]
			if rng.IntN(2) == 0 { // in a header
				at = p.pos + rng.Int64N(batch.HeaderSize)
			}
			lo := max(0, at-rng.Int64N(400_000))
			hi := lo + 1 + rng.Int64N(400_000)
			u, end := x.units(lo, min(hi, s.Size()))
			if x.at(u) > lo || x.at(end) < min(hi, s.Size()) || x.at(u+1) <= lo || x.at(end-1) >= hi {
				t.Fatalf("[%d, %d) lies in units [%d, %d): bytes [%d, %d)", lo, hi, u, end, x.at(u), x.at(end))
			}
			file.flip(at*8 + rng.Int64N(8))
			copied := make([]byte, 1)
			_ = disk.ReadFull(s.file, copied, at)
			err := x.Check(lo, hi)
			if x.at(u) <= at && at < x.at(end) {
				exact(t, named(t, err, s, all, at), &x, all, at)
			} else if err != nil {
				t.Fatalf("byte %d was flipped, [%d, %d) touches [%d, %d): %v", at, lo, hi, x.at(u), x.at(end), err)
			}
			i := slices.IndexFunc(all, func(p placed) bool { return at < p.pos+int64(len(p.Batch)) })
			if err := s.file.WriteVec([][]byte{all[i].Batch[at-all[i].pos:][:1]}, at); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Check(0, 1<<40); err != nil {
			t.Fatal("all is as it was:", err)
		}
		release(t, s)
	}
}

// exact: a flip that the batch's own CRC finds is that batch's; any other, the group's; in a sealed segment, the block's.
func exact(t *testing.T, d *Damage, x *Sums, all []placed, at int64) {
	t.Helper()
	lo, hi := x.at(int(at/blockSize)), x.at(int(at/blockSize)+1)
	if x.table == nil {
		u, end := x.units(at, at+1)
		lo, hi = x.at(u), x.at(end)
		p := all[slices.IndexFunc(all, func(p placed) bool { return at < p.pos+int64(len(p.Batch)) })]
		if at-p.pos >= batch.PrefixSize {
			lo, hi = p.pos, p.pos+int64(len(p.Batch))
			if d.First != p.BaseOffset() || d.Next > p.NextOffset()+2 {
				t.Fatalf("offsets [%d, %d) are damaged: %+v", p.BaseOffset(), p.NextOffset(), d)
			}
		}
	}
	if d.Lo != lo || d.Hi != hi {
		t.Fatalf("byte %d was flipped, want [%d, %d): %+v", at, lo, hi, d)
	}
}

// TestSealFindsWhatChangedSinceTheAppend: a prefix that changed between append and seal is no batch's CRC to find.
func TestSealFindsWhatChangedSinceTheAppend(t *testing.T) {
	held(t)
	d := disk.NewMem()
	s, all := sized(t, d, "/d", 100, 70_000, 200, 30, 500)
	file := bits{t, s.file}
	for _, p := range all {
		for bit := range int64(8 * batch.PrefixSize) {
			file.flip(p.pos*8 + bit)
			named(t, s.Seal(d, new(sync.Mutex), logID, never, nil), s, all, p.pos+bit/8)
			file.flip(p.pos*8 + bit)
			if entries, _ := d.ReadDir("/d"); len(entries) != 1 || s.Sealed() {
				t.Fatalf("bit %d of the batch at %d: it was sealed", bit, p.pos)
			}
		}
	}
	sealIt(t, s)
	release(t, s)
}

// TestCheckOfAFileThatEndsEarly: bytes that are not there are damage; bytes that cannot be read are not, they may be good.
func TestCheckOfAFileThatEndsEarly(t *testing.T) {
	held(t)
	for _, sealed := range []bool{false, true} {
		d := disk.NewMem()
		s, all := sized(t, d, "/d", 100, 70_000, 200, 30_000, 90_000, 500)
		if sealed {
			sealIt(t, s)
		}
		x, last := s.Sums(), all[len(all)-1]
		s.file = failing{s.file, syscall.EIO}
		if err := x.Check(0, x.size); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) {
			t.Errorf("sealed %t: %v", sealed, err)
		}
		s.file = s.file.(failing).File
		for _, size := range []int64{x.size - 1, last.pos, all[3].pos, 0} {
			if err := s.file.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if got := named(t, x.Check(0, x.size), s, all, x.size-1); got.Hi != x.size || got.Lo > size || got.Next != s.Next() {
				t.Errorf("sealed %t, cut to %d of %d: %+v", sealed, size, x.size, got)
			}
		}
		release(t, s)
	}
}

// failing is a file that cannot be read.
type failing struct {
	disk.File
	err error
}

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestCheckBesideAppends: sums taken under the lock are checked without, while batches are appended and the segment is sealed. Needs -race.
func TestCheckBesideAppends(t *testing.T) {
	held(t)
	rng := newRand(t)
	d := disk.NewMem()
	s, _ := sized(t, d, "/d", 10)
	var mu sync.Mutex
	var readers sync.WaitGroup
	done := make(chan struct{})
	for r := range uint64(3) {
		s.Acquire()
		readers.Go(func() {
			defer func() { _ = s.Release() }()
			rng := rand.New(rand.NewPCG(1, r))
			for checks := 0; ; checks++ {
				mu.Lock()
				x := s.Sums()
				mu.Unlock()
				lo := rng.Int64N(x.size)
				if err := errors.Join(x.Check(lo, lo+rng.Int64N(100_000)), x.CheckCold(lo, x.size)); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 400 {
		var b batch.Builder
		b.Add(time.UnixMilli(int64(i)), nil, make([]byte, rng.IntN(3000)))
		one := b.Batch()
		one.Stamp(s.Next(), 5)
		if err := s.Write([][]byte{one}, s.Size()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		s.Append(one, int64(len(one)))
		mu.Unlock()
	}
	if err := s.Seal(d, &mu, logID, never, nil); err != nil {
		t.Error(err)
	}
	close(done)
	readers.Wait()
	release(t, s)
}

// TestCheckAllocatesNothing: in steady state, on disks that can be read one way or the other.
func TestCheckAllocatesNothing(t *testing.T) {
	held(t)
	dir := t.TempDir()
	for name, d := range map[string]disk.FS{"mem": disk.NewMem(), "os": disk.OS{}, "batches": &batching{FS: disk.OS{}}} {
		for _, sealed := range []bool{false, true} {
			s, _ := sized(t, d, path.Join(dir, fmt.Sprint(name, sealed)), 100, 90_000, 200, 300, 400_000, 600_000, 10)
			if sealed {
				sealIt(t, s)
			}
			for what, f := range map[string]func() error{
				"Check":     func() error { return s.Sums().Check(0, s.size) },
				"CheckCold": func() error { return s.Sums().CheckCold(1000, 700_000) },
			} {
				if err := f(); err != nil {
					t.Fatal(err)
				}
				if n := testing.AllocsPerRun(50, func() {
					if err := f(); err != nil {
						t.Error(err)
					}
				}); n >= 1 && !raceEnabled { // the race detector has sync.Pool forget things
					t.Errorf("%s, sealed %t: %s allocates %.1f times", name, sealed, what, n)
				}
			}
			release(t, s)
		}
	}
}

// batching reads in batches, and notes what it was asked.
type batching struct {
	disk.FS
	t       *testing.T
	batches int
	most    int
}

func (b *batching) ReadBatch(ops []disk.ReadOp) {
	b.batches++
	b.most = max(b.most, len(ops))
	for i := range ops {
		op := &ops[i]
		if b.t != nil && (len(op.P) > readSize || op.Off%disk.PageSize != 0) {
			b.t.Errorf("a read of %d bytes at %d", len(op.P), op.Off)
		}
		op.N, op.Err = op.File.ReadAt(op.P, op.Off)
	}
}

// TestCheckReadsInBatches: a large range is read by several reads at once where the FS can; each is aligned, and 256 KiB at most.
func TestCheckReadsInBatches(t *testing.T) {
	held(t)
	d := &batching{FS: disk.NewMem(), t: t}
	for round := range 2 {
		s, all := sized(t, d, fmt.Sprintf("/d%d", round), 100, 90_000, 200, 300, 900_000, 1_600_000, 10)
		if round == 1 {
			sealIt(t, s)
		}
		*d = batching{FS: d.FS, t: t}
		if err := s.Sums().Check(0, s.size); err != nil {
			t.Fatal(err)
		}
		if d.most != readBatch || d.batches != int((s.size/readSize+readBatch)/readBatch) {
			t.Errorf("%d batches of at most %d reads for %d bytes", d.batches, d.most, s.size)
		}
		file := bits{t, s.file}
		for _, at := range []int64{0, 95_000, 800_000, 2_000_000, s.size - 1} {
			file.flip(8 * at)
			named(t, s.Sums().Check(0, s.size), s, all, at)
			file.flip(8 * at)
		}
		release(t, s)
	}
}

// FuzzRestore feeds what a recap may hold as index and sums: no panic, and what is taken can be checked and encoded again.
func FuzzRestore(f *testing.F) {
	d := disk.NewMem()
	s, _ := sized(f, d, "/d", 100, 70_000, 200, 30_000, 90_000, 500)
	size, next := s.Size(), s.Next()
	f.Add(s.AppendIndex(nil))
	f.Add(s.AppendIndex(nil)[:90])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Open(d, "/d", 300, 4096)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Release() }()
		rest, err := s.Restore(b, size, next)
		if err != nil {
			return
		}
		_, sums, err := index.ParseHeap(b, 300, size, next)
		if again := append(s.prefixes.append(nil), rest...); err != nil || !slices.Equal(again, sums) {
			t.Error("it does not survive encoding")
		}
		for _, r := range [][2]int64{{0, size}, {70_000, 70_001}, {size - 1, size}} {
			if err := s.Sums().Check(r[0], r[1]); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		}
	})
}

// BenchmarkCheck is what it costs to look at bytes in the page cache.
func BenchmarkCheck(b *testing.B) {
	for _, sealed := range []bool{false, true} {
		for _, record := range []int{1 << 10, 16 << 10, 1 << 20} {
			s, _ := sized(b, disk.OS{}, b.TempDir(), slices.Repeat([]int{record}, 16<<20/record)...)
			if sealed {
				sealIt(b, s)
			}
			x := s.Sums()
			if err := x.CheckCold(0, x.size); err != nil {
				b.Fatal(err)
			}
			for _, n := range []int64{64 << 10, 1 << 20} {
				for what, f := range map[string]func(lo, hi int64) error{"Check": x.Check, "CheckCold": x.CheckCold} {
					b.Run(fmt.Sprintf("%s/sealed=%t/record=%d/read=%d", what, sealed, record, n), func(b *testing.B) {
						b.SetBytes(n)
						b.ReportAllocs()
						for i := int64(0); b.Loop(); i++ {
							lo := i % (15 << 20 / n) * n
							if err := f(lo, lo+n); err != nil {
								b.Fatal(err)
							}
						}
					})
				}
			}
			release(b, s)
		}
	}
}

// BenchmarkAppend is what it costs to make a batch readable.
func BenchmarkAppend(b *testing.B) {
	d := disk.NewMem()
	s, all := sized(b, d, "/d", 16<<10)
	one := all[0].Batch
	for b.Loop() {
		if s.size > 1<<30 {
			s.size, s.heap, s.prefixes = 0, open(nil, nil, "", 300, 4096).heap, prefixes{}
			one.Stamp(300, 1)
		}
		one.Stamp(one.NextOffset(), 1)
		s.Append(one, int64(len(one)))
	}
	release(b, s)
}
