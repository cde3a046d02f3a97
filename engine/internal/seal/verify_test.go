package seal

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/txn"
)

// TestEveryFlipIsReported flips every bit of a segment of 64 KiB and of its side files (L3).
func TestEveryFlipIsReported(t *testing.T) {
	log, all := fill(newRand(t), BlockSize-6500, 2000)
	d, h := sealed(t, log)
	flips := 0
	for _, name := range []string{logName, Name("/", base), "/00000000000000007000.index", "/00000000000000007000.timeindex", "/00000000000000007000.txnindex"} {
		whole := content(t, d, name)
		f, err := d.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		stride := 1
		if testing.Short() {
			stride = 211
		}
		one := make([]byte, 1)
		for bit := 0; bit < len(whole)*8; bit += stride {
			one[0] = whole[bit/8] ^ 1<<(bit%8)
			if err := f.WriteVec([][]byte{one}, int64(bit/8)); err != nil {
				t.Fatal(err)
			}
			bad := verify(t, d)
			if len(bad) != 1 || bad[0].Path != name || bad[0].Err == nil || bad[0].Hi <= bad[0].Lo && name == logName {
				t.Fatalf("bit %d of %s: %+v", bit, name, bad)
			}
			if name == logName && (bad[0].First != all[0].BaseOffset() && bad[0].First != base || bad[0].Next != h.Next) {
				t.Fatalf("bit %d of %s: %+v, the one block holds all records", bit, name, bad)
			}
			flips++
			one[0] = whole[bit/8]
			if err := f.WriteVec([][]byte{one}, int64(bit/8)); err != nil {
				t.Fatal(err)
			}
			if flips%5000 == 0 {
				if err := f.Sync(); err != nil { // Mem keeps every unsynced write
					t.Fatal(err)
				}
			}
		}
	}
	if bad := verify(t, d); len(bad) > 0 {
		t.Errorf("restored, and still: %+v", bad)
	}
	t.Logf("%d bits flipped, all reported", flips)
}

// TestDamageNamesWhatItTouches flips random bits of a larger segment: the blocks named are exactly the changed ones, and the records
// named hold every batch that a changed block overlaps, and little else.
func TestDamageNamesWhatItTouches(t *testing.T) {
	rng := newRand(t)
	rounds := 60
	if testing.Short() {
		rounds = 9
	}
	for round := range rounds {
		log, all := fill(rng, 1<<20+rng.IntN(3<<20), []int{500, 30_000, 300_000}[round%3])
		d, h := sealed(t, log)
		f, err := d.Open(logName)
		if err != nil {
			t.Fatal(err)
		}
		changed := map[int64]bool{}
		for range rng.IntN(6) + 1 {
			at := rng.Int64N(int64(len(log)))
			for range rng.IntN(3) * rng.IntN(3) { // sometimes a run of blocks
				changed[at/BlockSize] = true
				_ = f.WriteVec([][]byte{{^log[at]}}, at)
				at = min(at+BlockSize, int64(len(log))-1)
			}
			changed[at/BlockSize] = true
			_ = f.WriteVec([][]byte{{log[at] ^ 1<<rng.IntN(8)}}, at)
		}
		named := map[int64]bool{}
		table, err := ReadTable(d, "/", h)
		if err != nil {
			t.Fatal(err)
		}
		x, err := index.Open(d, "/", base, index.Bounds{Size: h.Size, Next: h.Next, Sums: &h.Index})
		if err != nil {
			t.Fatal(err)
		}
		located := func(lo, hi int64) [2]batch.Offset {
			first, next := Locate(f, h, table, x, lo, hi)
			return [2]batch.Offset{first, next}
		}
		for _, x := range verify(t, d) {
			if got, want := located(x.Lo, x.Hi), [2]batch.Offset{x.First, x.Next}; got != want {
				t.Fatalf("round %d: Locate says %v, Verify %v", round, got, want)
			}
			if x.Path != logName || !errors.Is(x.Err, ErrCorrupt) || x.Lo%BlockSize != 0 || changed[(x.Lo-1)/BlockSize] && x.Lo > 0 {
				t.Fatalf("round %d: %+v", round, x)
			}
			for at := x.Lo; at < x.Hi; at += BlockSize {
				named[at/BlockSize] = true
			}
			checkTouched(t, all, h, x, changed)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if !equalKeys(named, changed) {
			t.Fatalf("round %d: blocks %v are named, %v were changed", round, named, changed)
		}
	}
}

func equalKeys(a, b map[int64]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

// checkTouched: [First, Next) covers each batch that overlaps [Lo, Hi), and goes beyond them by no more than what lies between the
// nearest batches that are indexed and have undamaged headers.
func checkTouched(t *testing.T, all []placed, h Header, x Damage, changed map[int64]bool) {
	t.Helper()
	harmed := func(p placed) bool { return changed[p.pos/BlockSize] || changed[(p.pos+batch.HeaderSize-1)/BlockSize] }
	first, next := -1, 0
	for i, p := range all {
		if p.pos < x.Hi && p.pos+int64(len(p.Batch)) > x.Lo {
			if first < 0 {
				first = i
			}
			next = i + 1
		}
	}
	if x.First > all[first].BaseOffset() || x.Next < all[next-1].NextOffset() {
		t.Fatalf("%+v: batches %d to %d are touched, records [%d, %d)", x, first, next-1, all[first].BaseOffset(), all[next-1].NextOffset())
	}
	for first > 0 && harmed(all[first-1]) { // what cannot be known
		first--
	}
	floor, ceil := base, h.Next
	if first > 0 {
		floor = all[first-1].NextOffset()
	}
	for ; next < len(all); next++ { // at most an index interval of good headers, or all the harmed ones
		if !harmed(all[next]) && all[next].pos >= x.Hi+2*index.DefaultInterval+int64(len(all[next].Batch)) {
			ceil = all[next].BaseOffset()
			break
		}
	}
	if x.First < floor || x.Next > ceil {
		t.Fatalf("%+v: wider than [%d, %d)", x, floor, ceil)
	}
}

func TestVerifyOfFilesThatAreNotThere(t *testing.T) {
	log, _ := fill(newRand(t), 3*BlockSize, 2000)
	size := int64(len(log))
	fresh := func() *disk.Mem { d, _ := sealed(t, log); return d }
	cut := func(d disk.FS, name string, to int64) {
		f, err := d.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(to), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	last := (size - 1) / BlockSize * BlockSize
	for what, c := range map[string]struct {
		harm func(d *disk.Mem)
		want Damage
	}{
		"no log":         {func(d *disk.Mem) { _ = d.Remove(logName) }, Damage{Path: logName, Hi: size}},
		"a log cut":      {func(d *disk.Mem) { cut(d, logName, size-1) }, Damage{Path: logName, Lo: last, Hi: size}},
		"a log of none":  {func(d *disk.Mem) { cut(d, logName, 0) }, Damage{Path: logName, Hi: size}},
		"a log grown":    {func(d *disk.Mem) { cut(d, logName, size+5) }, Damage{Path: logName, Lo: size, Hi: size + 5}},
		"no index":       {func(d *disk.Mem) { _ = d.Remove("/00000000000000007000.index") }, Damage{Path: "/00000000000000007000.index"}},
		"an index cut":   {func(d *disk.Mem) { cut(d, "/00000000000000007000.timeindex", 3) }, Damage{Path: "/00000000000000007000.timeindex"}},
		"no .txnindex":   {func(d *disk.Mem) { _ = d.Remove("/00000000000000007000.txnindex") }, Damage{Path: "/00000000000000007000.txnindex"}},
		"a seal cut":     {func(d *disk.Mem) { cut(d, Name("/", base), 4096+4) }, Damage{Path: Name("/", base)}},
		"a seal grown":   {func(d *disk.Mem) { cut(d, Name("/", base), 9999) }, Damage{Path: Name("/", base)}},
		"a seal of none": {func(d *disk.Mem) { cut(d, Name("/", base), 0) }, Damage{Path: Name("/", base)}},
		"another's seal": {func(d *disk.Mem) {
			b := content(t, d, Name("/", base))
			h, _ := parse(b[:headerSize], base)
			h.Base--
			f, _ := d.Open(Name("/", base))
			_ = f.WriteVec([][]byte{h.append(nil)}, 0)
		}, Damage{Path: Name("/", base)}},
	} {
		d := fresh()
		c.harm(d)
		bad := verify(t, d)
		if len(bad) != 1 || bad[0].Path != c.want.Path || c.want.Hi > 0 && (bad[0].Lo != c.want.Lo || bad[0].Hi != c.want.Hi) || bad[0].Err == nil {
			t.Errorf("%s: %+v, want %+v", what, bad, c.want)
		}
	}
	d := fresh()
	if err := d.Remove(Name("/", base)); err != nil {
		t.Fatal(err)
	}
	if err := Verify(d, "/", base, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error("no seal:", err)
	}
}

// TestVerifyOfADiskThatCannotRead: EIO is damage of the block that it hits, other errors end the work.
func TestVerifyOfADiskThatCannotRead(t *testing.T) {
	log, all := fill(newRand(t), 5*BlockSize, 2000)
	mem, _ := sealed(t, log)
	d := badSector{mem, 2*BlockSize + 100, syscall.EIO}
	bad := verify(t, d)
	if len(bad) != 1 || bad[0].Lo != 2*BlockSize || bad[0].Hi != 3*BlockSize || !errors.Is(bad[0].Err, syscall.EIO) {
		t.Fatalf("%+v", bad)
	}
	if first := all[0].BaseOffset(); bad[0].First <= first || bad[0].Next >= all[len(all)-1].NextOffset() {
		t.Errorf("%+v: wider than need be", bad)
	}
	d.err = syscall.EBADF
	if err := Verify(d, "/", base, nil, nil); !errors.Is(err, syscall.EBADF) {
		t.Error(err)
	}
	stop, read := errors.New("stop"), 0
	if err := Verify(mem, "/", base, func(n int) error {
		if read += n; read > 3*BlockSize {
			return stop
		}
		return nil
	}, nil); !errors.Is(err, stop) {
		t.Error("the limiter's error:", err)
	}
	for _, suffix := range []string{Suffix, index.OffsetSuffix, index.TimeSuffix, txn.Suffix, ".log"} {
		if err := Verify(disk.Inject(mem, func(op disk.Op, name string) error {
			if op == "open" && strings.HasSuffix(name, suffix) {
				return syscall.EMFILE
			}
			return nil
		}), "/", base, nil, nil); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("EMFILE at %s: %v", suffix, err)
		}
	}
}

// badSector fails every read of the .log that touches the byte at.
type badSector struct {
	disk.FS
	at  int64
	err error
}

func (b badSector) Open(name string) (disk.File, error) {
	f, err := b.FS.Open(name)
	if name == logName && err == nil {
		f = badFile{f, b}
	}
	return f, err
}

type badFile struct {
	disk.File
	badSector
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		return 0, f.err
	}
	return f.File.ReadAt(p, off)
}

// TestVerifyChangesNothing: not a byte, not a name, whatever the damage.
func TestVerifyChangesNothing(t *testing.T) {
	log, _ := fill(newRand(t), 2*BlockSize, 2000)
	d, _ := sealed(t, log)
	f, _ := d.Open(logName)
	_ = f.WriteVec([][]byte{{1, 2, 3}}, 70_000)
	none := disk.Inject(d, func(op disk.Op, name string) error {
		switch op {
		case "open", "size", "read", "map":
			return nil
		}
		t.Errorf("%s of %s", op, name)
		return nil
	})
	if bad := verify(t, none); len(bad) != 1 {
		t.Errorf("%+v", bad)
	}
	if maps, _ := disk.Held(); maps != 0 {
		t.Errorf("%d mappings are left", maps)
	}
}
