package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/recap"
	"github.com/streambus/streambus/engine/internal/segment"
)

// awaitSealed waits until all segments but the last are sealed.
func awaitSealed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		l.mu.Lock()
		open := 0
		for _, p := range l.parts {
			if !p.seg.Sealed() && (p.seg.Size() > 0 || p == l.parts[len(l.parts)-1]) {
				open++
			}
		}
		l.mu.Unlock()
		if open <= 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d segments are not sealed; %v", open, l.e.Err())
		}
	}
}

// A log that was closed opens by two pages of each segment, and reads, searches and refuses duplicates as before.
func TestCleanStartReadsLittle(t *testing.T) {
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	lo := LogOptions{SegmentBytes: 3000, IndexIntervalBytes: 300}
	e := mustOpen(t, o)
	w := newWatcher()
	lo.Observer = w
	l := mustLog(t, e, "t-0", lo)
	for i := range 60 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 3, int64(i*10)))
	}
	p := idempotent(5, 1, 0, 2)
	appendAll(t, l, w, p)
	awaitSealed(t, l)
	want := values(t, l, 0, 1000)
	at, ok, err := l.OffsetForTime(333)
	if err != nil || !ok {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	o.FS = disk.Inject(mem, func(op disk.Op, name string) error {
		if op == "read" && strings.HasSuffix(name, ".log") {
			reads.Add(1)
		}
		return nil
	})
	again := mustOpen(t, o)
	l2 := mustLog(t, again, "t-0", lo)
	if n := reads.Load(); n > 2*int64(len(l2.parts))+1 { // one compares the last batch with the recap
		t.Errorf("%d reads of data to open %d segments", n, len(l2.parts))
	}
	if got := values(t, l2, 0, 1000); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	if at2, ok, err := l2.OffsetForTime(333); err != nil || !ok || at2 != at {
		t.Errorf("%+v, %t, %v; want %+v", at2, ok, err, at)
	}
	if dup, err := l2.Append(p, 1, nil); err != nil || !dup.Duplicate || dup.Base != 180 {
		t.Errorf("a batch sent again: %+v, %v", dup, err)
	}
}

// A recap that is missing, damaged or of another life of the log changes nothing but the time to open it.
func TestRecapIsNeverTheTruth(t *testing.T) {
	for name, harm := range map[string]func(fs disk.FS) error{
		"none":    func(fs disk.FS) error { return fs.Remove("/d/t-0/recap") },
		"damaged": func(fs disk.FS) error { return poke(fs, "/d/t-0/recap", 70) },
		"half":    func(fs disk.FS) error { return cutTo(fs, "/d/t-0/recap", 100) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := disk.NewMem()
			e := mustOpen(t, smallOptions(mem, "/d"))
			w := newWatcher()
			l := mustLog(t, e, "t-0", LogOptions{Observer: w})
			p := idempotent(5, 1, 0, 2)
			appendAll(t, l, w, p)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if err := harm(mem); err != nil {
				t.Fatal(err)
			}
			l2 := mustLog(t, mustOpen(t, smallOptions(mem, "/d")), "t-0", LogOptions{})
			if l2.EndOffset() != 2 {
				t.Fatalf("it ends at %d", l2.EndOffset())
			}
			if dup, err := l2.Append(p, 1, nil); err != nil || !dup.Duplicate {
				t.Errorf("a batch sent again: %+v, %v", dup, err)
			}
		})
	}
}

// What no batch's CRC covers (an epoch, the CRC itself) is pinned by the checkpoint while a segment is appended to: with a recap and without.
func TestCheckpointPinsThePrefixes(t *testing.T) {
	for _, at := range []int64{0, 7, 10, 13, 17} {
		for _, recap := range []bool{true, false} {
			mem := disk.NewMem()
			e := mustOpen(t, smallOptions(mem, "/d"))
			w := newWatcher()
			l := mustLog(t, e, "t-0", LogOptions{Observer: w})
			appendAll(t, l, w, idempotent(5, 1, 0, 2))
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if !recap {
				if err := mem.Remove("/d/t-0/recap"); err != nil {
					t.Fatal(err)
				}
			}
			if err := poke(mem, "/d/t-0/00000000000000000000.log", at); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, smallOptions(mem, "/d"))
			if l, err := e.OpenLog("t-0", LogOptions{}); err == nil { // by a recap that does not look there
				if err := l.parts[0].seg.Sums().Check(0, 1<<30); !errors.Is(err, segment.ErrCorrupt) || !recap {
					t.Errorf("byte %d, recap %t: %v", at, recap, err)
				}
			} else if !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d, recap %t: %v", at, recap, err)
			}
		}
	}
}

// A log that always has something on its way gets its recap too: of the moment at which what was on its way is written.
func TestRecapOfABusyLog(t *testing.T) {
	var hold atomic.Bool
	arrived, goOn := make(chan struct{}), make(chan struct{})
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(disk.Inject(mem, func(op disk.Op, name string) error {
		if op == "sync" && strings.HasPrefix(name, "/d/commit/") && hold.Swap(false) {
			close(arrived)
			<-goOn
		}
		return nil
	}), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	for i := range 200 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i, strings.Repeat("x", 7000)), 1, 0))
	}
	hold.Store(true)
	p := idempotent(5, 1, 0, 2)
	if _, err := l.Append(p, 1, nil); err != nil {
		t.Fatal(err)
	}
	<-arrived
	if err := l.writeOut(); err != nil { // with it goes the recap that a checkpoint on the way may have drafted
		t.Fatal(err)
	}
	l.mu.Lock()
	l.sinceRecap = max(l.sinceRecap, recapBytes)
	l.mu.Unlock()
	if err := e.checkpointNow(); err != nil { // producers know of p, which is not even flushed
		t.Fatal(err)
	}
	close(goOn)
	appendAll(t, l, w, makeBatch("behind it", 1, 0))
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	for { // a chore writes it
		if r, err := recap.Read(mem, "/d/t-0/recap"); err == nil && r.Next >= 201 {
			break
		}
		runtime.Gosched()
	}
	var bytes atomic.Int64
	o := smallOptions(nil, "/d")
	o.FS = countReads{mem.Crash(rand.New(rand.NewPCG(1, 1)), 1), &bytes}
	l2 := mustLog(t, mustOpen(t, o), "t-0", LogOptions{})
	if dup, err := l2.Append(p, 1, nil); err != nil || !dup.Duplicate || dup.Base != 200 || l2.EndOffset() != 203 {
		t.Errorf("%+v, %v; it ends at %d", dup, err, l2.EndOffset())
	}
	if n := bytes.Load(); n > 100_000 {
		t.Errorf("%d bytes of the log were read to open it", n)
	}
}

// countReads is a disk that counts the bytes read of logs.
type countReads struct {
	disk.FS
	bytes *atomic.Int64
}

type countReadsFile struct {
	disk.File
	bytes *atomic.Int64
}

func (d countReads) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return countReadsFile{f, d.bytes}, nil
}

func (f countReadsFile) ReadAt(p []byte, off int64) (int, error) {
	f.bytes.Add(int64(len(p)))
	return f.File.ReadAt(p, off)
}

func poke(fs disk.FS, name string, at int64) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	var b [1]byte
	if err := disk.ReadFull(f, b[:], at); err != nil {
		return err
	}
	b[0] ^= 0x10
	return f.WriteVec([][]byte{b[:]}, at)
}

func cutTo(fs disk.FS, name string, n int64) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	return f.Truncate(n)
}

// Damaged records are found by Verify and not served; those before and behind them are.
func TestDamageIsQuarantined(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 300_000, IndexIntervalBytes: 1000})
	for i := range 70 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i, strings.Repeat("x", 10_000)), 1, 0))
	}
	awaitSealed(t, l)
	if found, err := e.Verify(nil); err != nil || len(found) > 0 {
		t.Fatalf("damage where there is none: %v, %v", found, err)
	}
	if len(l.parts) != 3 {
		t.Fatalf("%d segments", len(l.parts))
	}
	// The second segment is sealed: a block of it cannot be believed. The last is not: one batch.
	sealed, active := l.parts[1], l.parts[2]
	for _, p := range []*part{sealed, active} {
		if err := poke(mem, p.seg.Path, 100_000); err != nil {
			t.Fatal(err)
		}
	}
	found, err := e.Verify(nil)
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	again, _ := e.Verify(nil)
	if len(again) != 2 {
		t.Errorf("the second look finds %v", again)
	}
	if d := found[0]; d.First <= sealed.seg.Base || d.Next >= active.seg.Base || d.Next-d.First > 12 {
		t.Errorf("sealed [%d, %d): damaged are [%d, %d)", sealed.seg.Base, active.seg.Base, d.First, d.Next)
	}
	if d := found[1]; d.First <= active.seg.Base || d.Next != d.First+1 {
		t.Errorf("active [%d, 70): damaged are [%d, %d)", active.seg.Base, d.First, d.Next)
	}
	served, refused := 0, 0
	for o := batch.Offset(0); o < 70; o++ {
		s, err := l.Read(o, 70, 1<<20)
		bad := slices.ContainsFunc(found, func(d Damage) bool { return o >= d.First && o < d.Next })
		switch {
		case errors.Is(err, ErrCorrupt) && bad:
			refused++
		case err == nil && !bad:
			served++
			b, err := s.AppendTo(nil)
			for len(b) > 0 && err == nil {
				var one batch.Batch
				if one, err = batch.First(b); err == nil {
					err = one.Check()
				}
				if err == nil {
					b = b[len(one):]
				}
			}
			if err != nil {
				t.Fatalf("offset %d: a damaged batch is served: %v", o, err)
			}
		default:
			t.Fatalf("offset %d, damaged %t: %v", o, bad, err)
		}
		s.Release()
	}
	if served < 40 || refused < 5 {
		t.Errorf("%d offsets are served, %d refused", served, refused)
	}
}

// The scrubber does by itself what Verify does.
func TestScrubberFindsDamage(t *testing.T) {
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	o.ScrubInterval, o.ScrubBytesPerSecond = time.Millisecond, 1<<40
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("x", 3, 0))
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	if err := poke(mem, l.parts[0].seg.Path, 80); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(l.Damage()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the scrubber finds nothing")
		}
	}
	if _, err := l.Read(0, 3, 1000); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// A segment that holds more than the commit log brings back says that the commit log has lost its end: nothing is cut off.
func TestSegmentsProveWhatTheCommitLogLost(t *testing.T) {
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	mustLog(t, e, "t-1", LogOptions{})
	for i := range 4 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 1, 0))
	}
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	crashed := mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)
	names, err := crashed.ReadDir("/d/commit")
	if err != nil {
		t.Fatal(err)
	}
	wiped := false
	for _, n := range names {
		if f, err := crashed.Open("/d/commit/" + n.Name); err == nil && strings.HasSuffix(n.Name, ".commit") && !wiped {
			wiped = true
			size, _ := f.Size()
			from := int64(3 * disk.PageSize) // the header and two frames stay
			if err := f.WriteVec([][]byte{make([]byte, size-from)}, from); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.FS = crashed
	again := mustOpen(t, o)
	if _, err := again.OpenLog("t-0", LogOptions{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "commit log") {
		t.Errorf("half of the commit log is gone: %v", err)
	}
	if _, err := again.OpenLog("t-1", LogOptions{}); err != nil {
		t.Errorf("another log: %v", err)
	}
}

// What Verify finds while a segment is replaced by a compacted one is no damage.
func TestVerifyBesideCompaction(t *testing.T) {
	var verify atomic.Pointer[func()]
	o := smallOptions(disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if f := verify.Load(); f != nil && (op == "rename" || op == "syncdir") && strings.HasPrefix(name, "/d/t-0") && verify.CompareAndSwap(f, nil) {
			(*f)()
		}
		return nil
	}), "/d")
	o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = 1<<16, 1<<40, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 3000, IndexIntervalBytes: 300})
	for i := range 160 {
		appendAll(t, l, w, keyed(fmt.Sprint("key", i%30), strings.Repeat("x", 60+i%80), int64(i)))
	}
	awaitSealed(t, l)
	set(t, l, func(o *LogOptions) { o.Compact, o.MinDirtyRatio = true, 0.01 })
	var verified sync.WaitGroup
	again := func() {
		verified.Go(func() {
			if found, err := e.Verify(nil); err != nil || len(found) > 0 {
				t.Errorf("%v, %v", found, err)
			}
		})
		for range 1000 { // as far as it comes
			runtime.Gosched()
		}
	}
	var each func()
	each = func() {
		again()
		verify.Store(&each)
	}
	verify.Store(&each)
	if err := l.compact(&compaction{}); err != nil {
		t.Error(err)
	}
	verify.Store(nil)
	verified.Wait()
}

// A side file that is damaged is found once; what it belongs to is checked without it from then on.
func TestVerifyGoesOnWithoutASideFile(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 3000, IndexIntervalBytes: 300})
	for i := range 60 {
		appendAll(t, l, w, makeBatch(strings.Repeat("x", 300), 1, int64(i)))
	}
	awaitSealed(t, l)
	flip := func(name string, at int64) {
		t.Helper()
		f, err := mem.Open("/d/t-0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if err := disk.ReadFull(f, b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if err := f.WriteVec([][]byte{b[:]}, at); err != nil {
			t.Fatal(err)
		}
	}
	flip("00000000000000000000.index", 3)
	for range 3 {
		if found, err := e.Verify(nil); err != nil || len(found) > 0 {
			t.Fatalf("a side file is harmed: %v, %v", found, err)
		}
	}
	flip("00000000000000000000.log", 400)
	if found, err := e.Verify(nil); err != nil || len(found) == 0 {
		t.Fatalf("the segment is harmed: %v, %v", found, err)
	}
}

// TestASealIsNotForgottenOverACut: a segment that was to be sealed while appends were kept out is sealed when they are let in again, not at
// the next look at all logs.
func TestASealIsNotForgottenOverACut(t *testing.T) {
	o := smallOptions(disk.NewMem(), "/d")
	o.TidyInterval = time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	l, other := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 500}), mustLog(t, e, "t-1", LogOptions{})
	looked := func() { // until whatever was asked for before has been looked at
		e.cares <- other
		for len(e.cares) > 0 {
			runtime.Gosched()
		}
	}
	l.sealing.Lock() // nothing is sealed yet
	for range 2 {
		appendAll(t, l, w, makeBatch(strings.Repeat("x", 400), 1, 0))
	}
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	if err := l.quiesce(0); err != nil {
		t.Fatal(err)
	}
	l.sealing.Unlock()
	looked()
	l.resume()
	looked()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parts) != 2 || !l.parts[0].seg.Sealed() {
		t.Errorf("the first of %d segments is not sealed", len(l.parts))
	}
}
