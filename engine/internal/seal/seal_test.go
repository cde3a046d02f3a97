package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/txn"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/internal/seal -run '^%s$' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

const (
	base    = batch.Offset(7000)
	logName = "/00000000000000007000.log"
)

type placed struct {
	batch.Batch
	pos int64
}

// fill makes batches of random sizes up to about record bytes until size bytes are reached.
func fill(rng *rand.Rand, size, record int) (log []byte, all []placed) {
	next := base
	for len(log) < size {
		var b batch.Builder
		for range rng.IntN(3) + 1 {
			v := make([]byte, rng.IntN(record))
			for i := range v {
				v[i] = byte(rng.Uint32())
			}
			b.Add(time.UnixMilli(rng.Int64N(5000)), nil, v)
		}
		next += batch.Offset(rng.IntN(3))
		one := b.Batch()
		one.Stamp(next, 4)
		next = one.NextOffset()
		all = append(all, placed{one, int64(len(log))})
		log = append(log, one...)
	}
	return log, all
}

func put(t testing.TB, d disk.FS, name string, b []byte) {
	t.Helper()
	f, err := d.Create(name)
	if err == nil {
		err = errors.Join(f.WriteVec([][]byte{b}, 0), f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, d disk.FS, name string) []byte {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	b := make([]byte, size)
	if err := errors.Join(disk.ReadFull(f, b, 0), f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed gives a disk with a sealed segment of these bytes.
func sealed(t testing.TB, log []byte) (*disk.Mem, Header) {
	t.Helper()
	d := disk.NewMem()
	put(t, d, logName, log)
	h, err := Build(d, source(log))
	if err != nil {
		t.Fatal(err)
	}
	return d, h
}

func source(log []byte) Source {
	return Source{Dir: "/", Base: base, Log: bytes.NewReader(log), Size: int64(len(log)), LogID: 77, End: base + 1<<40, Aborted: aborted(len(log))}
}

// aborted is an entry for a .log of this size that is not small.
func aborted(size int) []txn.Aborted {
	if size < 10_000 {
		return nil
	}
	return []txn.Aborted{{ProducerID: batch.ProducerID(size), First: base - 9, Last: base, LastStable: base + 1}}
}

// readAborted gives the .txnindex that a header speaks of.
func readAborted(d disk.FS, h Header) ([]txn.Aborted, error) {
	x, err := txn.ReadFile(d, "/", base, txn.Bounds{Size: h.Size, Next: h.Next, Sum: &h.Aborted})
	return x.Entries(), err
}

func verify(t testing.TB, d disk.FS) (all []Damage) {
	t.Helper()
	if err := Verify(d, "/", base, nil, func(x Damage) { all = append(all, x) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBuildSaysWhatTheSegmentHolds(t *testing.T) {
	rng := newRand(t)
	for _, size := range []int{0, 1, BlockSize, 3*step + 12345} {
		for _, record := range []int{300, 700 << 10, 2 * step} { // also batches larger than a step
			log, all := fill(rng, size, record)
			d, h := sealed(t, log)
			got, err := Read(d, "/", base)
			if err != nil || got != h {
				t.Fatalf("%+v, %v, want %+v", got, err, h)
			}
			want := Header{
				Base: base, Next: base, Size: int64(len(log)), Newest: index.Stamp{Time: -1}, Batches: int64(len(all)),
				Index: h.Index, End: base + 1<<40, Log: 77, Aborted: h.Aborted, tableCRC: h.tableCRC,
				firstCRC: crc32.Checksum(log[:min(4096, len(log))], castagnoli), lastCRC: crc32.Checksum(log[max(0, len(log)-4096):], castagnoli),
			}
			for _, p := range all {
				want.Next = p.NextOffset()
				want.Prefix = p.PrefixSum(want.Prefix)
				if p.MaxTimestamp() > want.Newest.Time {
					want.Newest = index.Stamp{Time: p.MaxTimestamp(), Base: p.BaseOffset(), Pos: p.pos}
				}
			}
			if h != want {
				t.Errorf("%+v, want %+v", h, want)
			}
			var table []byte
			for at := 0; at < len(log); at += BlockSize {
				table = binary.LittleEndian.AppendUint32(table, crc32.Checksum(log[at:min(at+BlockSize, len(log))], castagnoli))
			}
			b := content(t, d, Name("/", base))
			if !bytes.Equal(b[headerSize:], table) || !bytes.Equal(b[headerUsed:headerSize], make([]byte, headerSize-headerUsed)) {
				t.Error("the table does not hold the blocks' checksums, or the page is not filled with zeros")
			}
			if got, err := ReadTable(d, "/", h); err != nil || !bytes.Equal(got, table) {
				t.Errorf("ReadTable: %d bytes, %v", len(got), err)
			}
			x, err := index.Open(d, "/", base, index.Bounds{Size: h.Size, Next: h.Next, Sums: &h.Index})
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
			if got, err := readAborted(d, h); err != nil || !slices.Equal(got, aborted(len(log))) {
				t.Errorf("%d bytes with aborted transactions %v, %v", len(log), got, err)
			}
			if bad := verify(t, d); len(bad) > 0 {
				t.Errorf("L3: a good segment of %d bytes is reported: %+v", len(log), bad)
			}
		}
	}
}

// countingReader notes the largest read, and whether all are in order and once.
type countingReader struct {
	*bytes.Reader
	at      int64
	largest int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	if off != c.at {
		return 0, errors.New("read out of order, or twice")
	}
	c.at += int64(len(p))
	c.largest = max(c.largest, len(p))
	return c.Reader.ReadAt(p, off)
}

func TestBuildReadsOnceInSteps(t *testing.T) {
	log, _ := fill(newRand(t), 5*step+777, 100<<10)
	s := source(log)
	r := &countingReader{Reader: bytes.NewReader(log)}
	asked := 0
	s.Log, s.Limit = r, func(n int) error { asked += n; return nil }
	if _, err := Build(disk.NewMem(), s); err != nil {
		t.Fatal(err)
	}
	if r.at != int64(len(log)) || r.largest > step || asked != len(log) {
		t.Errorf("read up to %d of %d, at most %d at once, asked for %d", r.at, len(log), r.largest, asked)
	}
	s.Log = bytes.NewReader(log)
	if n := testing.AllocsPerRun(3, func() { // L4: bounded, whatever the size (the files on Mem grow, so not by bytes)
		if _, err := newScan(s); err != nil {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("%.0f allocations to go through %d bytes", n, len(log))
	}
}

// newScan goes through the batches without an index.
func newScan(s Source) (Header, error) {
	in := newStream(s.Log, s.Size, s.Limit)
	defer in.close()
	t := index.NewTracker(1 << 40)
	return scan(in, s, &t, nil)
}

// TestBuildRefuses is L2.
func TestBuildRefuses(t *testing.T) {
	rng := newRand(t)
	log, all := fill(rng, 200<<10, 2000)
	last := all[len(all)-1]
	stamped := func(i int, o batch.Offset) []byte {
		b := slices.Clone(log)
		batch.Batch(b[all[i].pos:]).Stamp(o, 4)
		return b
	}
	flipped := func(at int64) []byte { b := slices.Clone(log); b[at] ^= 0x10; return b }
	for what, b := range map[string][]byte{
		"a cut header":                      log[:last.pos+40],
		"a cut batch":                       log[:len(log)-1],
		"bytes after the last batch":        append(slices.Clone(log), 0),
		"zeros after the last batch":        append(slices.Clone(log), make([]byte, 4096)...),
		"a flip in the records":             flipped(all[5].pos + 70),
		"a flip in the CRC":                 flipped(all[5].pos + 17),
		"a flip in the magic":               flipped(all[5].pos + 16),
		"a flip in the length":              flipped(all[5].pos + 10),
		"a length beyond the end":           flipped(all[5].pos + 8),
		"an offset that goes back":          stamped(9, all[8].LastOffset()),
		"an offset below the base":          stamped(0, base-1),
		"an offset out of an index's reach": stamped(len(all)-1, base+1<<31),
	} {
		d := disk.NewMem()
		put(t, d, logName, b)
		if _, err := Build(d, source(b)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), logName) {
			t.Errorf("%s: %v", what, err)
		}
		if entries, _ := d.ReadDir("/"); len(entries) != 1 {
			t.Errorf("%s: %v are left", what, entries)
		}
	}
	short := source(log)
	short.Size++
	if _, err := Build(disk.NewMem(), short); !errors.Is(err, ErrCorrupt) {
		t.Error("a file shorter than said:", err)
	}
	stop := errors.New("stop")
	over := source(log)
	over.End = last.NextOffset() - 1
	if _, err := Build(disk.NewMem(), over); !errors.Is(err, ErrCorrupt) {
		t.Error("a segment that goes on where the next one begins:", err)
	}
	no := errors.New("no")
	picky, d := source(log), disk.NewMem()
	picky.Accept = func(h Header) error {
		if h.Next != last.NextOffset() || h.Prefix == 0 {
			t.Errorf("asked about %+v", h)
		}
		return no
	}
	if _, err := Build(d, picky); !errors.Is(err, no) {
		t.Error("not accepted, and:", err)
	}
	if entries, _ := d.ReadDir("/"); len(entries) > 0 {
		t.Errorf("not accepted, and %v are there", entries)
	}
	limited := source(log)
	limited.Limit = func(int) error { return stop }
	if _, err := Build(disk.NewMem(), limited); !errors.Is(err, stop) {
		t.Error("the limiter's error:", err)
	}
}

// TestPins: every flip in the first and last 4 KiB, or in all of a small .log, is told by two reads of a page; so is one that is shorter.
func TestPins(t *testing.T) {
	rng := newRand(t)
	for _, size := range []int{0, 300, 4000, 9000, 70_000} {
		log, _ := fill(rng, size, 500)
		_, h := sealed(t, log)
		if err := h.CheckPins(bytes.NewReader(log)); err != nil {
			t.Fatalf("%d bytes: %v", len(log), err)
		}
		stride := 1
		if testing.Short() {
			stride = 97
		}
		for bit := 0; bit < 8*len(log); bit += stride {
			i := bit / 8
			log[i] ^= 1 << (bit % 8)
			err := h.CheckPins(bytes.NewReader(log))
			log[i] ^= 1 << (bit % 8)
			if pinned := i < 4096 || i >= len(log)-4096; pinned != errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %d of %d bytes, pinned %t: %v", bit, len(log), pinned, err)
			}
		}
		if len(log) > 0 && !errors.Is(h.CheckPins(bytes.NewReader(log[1:])), ErrCorrupt) {
			t.Errorf("%d bytes and one is missing", len(log))
		}
	}
}

// TestReadTableWantsTheSealThatWasOpened: one that was replaced, harmed or removed meanwhile is not taken for it.
func TestReadTableWantsTheSealThatWasOpened(t *testing.T) {
	log, _ := fill(newRand(t), 3*BlockSize, 2000)
	d, h := sealed(t, log)
	name := Name("/", base)
	b := content(t, d, name)
	for _, at := range []int{5, 9, 113, headerSize, len(b) - 1} {
		f, err := d.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.WriteVec([][]byte{{b[at] ^ 1}}, int64(at))
		if _, err := ReadTable(d, "/", h); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("a flip in byte %d: %v", at, err)
		}
		_ = f.WriteVec([][]byte{b[at : at+1]}, int64(at))
	}
	if _, err := ReadTable(d, "/", h); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(d, source(log[:0])); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTable(d, "/", h); !errors.Is(err, ErrCorrupt) {
		t.Errorf("replaced, and %v", err)
	}
	if err := d.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTable(d, "/", h); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestCrash cuts the power after every operation of Build: a seal that is found is whole, and one beside other indexes is not theirs.
func TestCrash(t *testing.T) {
	rng := newRand(t)
	log, _ := fill(rng, 3*BlockSize, 2000)
	_, want := sealed(t, log)
	old, _ := fill(rng, 2*BlockSize, 1500) // an earlier seal of the same segment, of other bytes
	states, fresh, stale := 0, 0, 0
	for n := 0; ; n++ {
		mem := disk.NewMem()
		put(t, mem, logName, old)
		was, err := Build(mem, source(old))
		if err := errors.Join(err, mem.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		left := n
		_, err = Build(disk.Inject(mem, func(disk.Op, string) error {
			if left--; left < 0 {
				return errors.New("power cut")
			}
			return nil
		}), source(log))
		for range 10 {
			after := mem.Crash(rng, []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)])
			states++
			h, rerr := Read(after, "/", base)
			if rerr != nil || h != want && h != was {
				t.Fatalf("cut after %d operations: %+v, %v", n, h, rerr)
			}
			x, xerr := index.Open(after, "/", base, index.Bounds{Size: h.Size, Next: h.Next, Sums: &h.Index})
			switch {
			case xerr == nil && h == want:
				fresh++
			case xerr == nil:
				stale++
			case !errors.Is(xerr, index.ErrCorrupt):
				t.Fatal(xerr)
			}
			if xerr == nil {
				_ = x.Close()
			}
			size := len(log)
			if h == was {
				size = len(old)
			}
			if got, err := readAborted(after, h); err == nil && !slices.Equal(got, aborted(size)) || err != nil && !errors.Is(err, txn.ErrCorrupt) {
				t.Fatalf("cut after %d operations: aborted %v, %v", n, got, err)
			}
		}
		if err == nil {
			break
		}
	}
	if fresh == 0 || stale == 0 || fresh+stale == states {
		t.Errorf("of %d states %d had the new files, %d the old: want some of each, and some of neither", states, fresh, stale)
	}
}

// FuzzRead parses whatever a disk may hold as a seal: no panic, and no memory beyond the table's.
func FuzzRead(f *testing.F) {
	log, _ := fill(rand.New(rand.NewPCG(3, 4)), 3*BlockSize, 5000)
	d, _ := sealed(f, log)
	whole := content(f, d, Name("/", base))
	f.Add(whole)
	f.Add(whole[:headerSize])
	huge := Header{Base: base, Next: base + 5, End: base + 5, Size: 1<<31 - 1}
	f.Add(huge.append(nil))
	huge.Batches, huge.Aborted = 1<<20, txn.Sum{Entries: 1 << 20, CRC: 1}
	f.Add(huge.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize { // let the fuzzer past the CRC
			binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:headerSize], castagnoli))
		}
		d := disk.NewMem()
		put(t, d, Name("/", base), b)
		put(t, d, logName, log)
		h, err := Read(d, "/", base)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if err == nil && (h.Base != base || h.Size < 0 || h.End < h.Next || int64(len(b)) != headerSize+4*h.blocks()) {
			t.Fatalf("%+v", h)
		}
		if err := Verify(d, "/", base, nil, func(x Damage) {
			if x.Lo > x.Hi || x.Err == nil {
				t.Fatalf("%+v", x)
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzBuild seals whatever a disk may hold as a .log: no panic, and what is sealed verifies and scans.
func FuzzBuild(f *testing.F) {
	log, all := fill(rand.New(rand.NewPCG(5, 6)), 3000, 300)
	f.Add(log)
	f.Add(log[:all[2].pos+30])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		d := disk.NewMem()
		put(t, d, logName, log)
		s := source(log)
		s.Interval = 100
		h, err := Build(d, s)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		var n int64
		for rest := log; len(rest) > 0; n++ {
			b, err := batch.First(rest)
			if err != nil || b.Check() != nil {
				t.Fatal("sealed what is no batch")
			}
			rest = rest[len(b):]
		}
		if bad := verify(t, d); n != h.Batches || len(bad) > 0 {
			t.Fatalf("%d batches, %+v; %+v", n, h, bad)
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	log, _ := fill(rand.New(rand.NewPCG(1, 1)), 64<<20, 16<<10)
	d := disk.NewMem()
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		if _, err := Build(d, source(log)); err != nil {
			b.Fatal(err)
		}
	}
}
