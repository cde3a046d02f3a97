package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// set changes what change says of a log's options.
func set(t *testing.T, l *Log, change func(*LogOptions)) {
	t.Helper()
	o := *l.opts()
	change(&o)
	if err := l.SetOptions(o); err != nil {
		t.Fatal(err)
	}
}

func segmentsOf(l *Log) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parts)
}

func TestSizesAgesAndRetentionMayChange(t *testing.T) {
	now := time.Date(2030, 1, 10, 0, 0, 0, 0, time.UTC)
	o := smallOptions(disk.NewMem(), "/d")
	o.Now, o.TidyInterval = func() time.Time { return now }, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, RetentionTime: time.Hour})
	big := func() batch.Batch { return makeBatch(strings.Repeat("x", 900), 1, now.UnixMilli()) }
	for range 4 {
		appendAll(t, l, w, big())
	}
	set(t, l, func(o *LogOptions) { o.SegmentBytes = 1000 })
	for range 4 {
		appendAll(t, l, w, big())
	}
	if got := segmentsOf(l); got != 5 {
		t.Errorf("%d segments, want the first four batches in one and each other in one", got)
	}
	set(t, l, func(o *LogOptions) { o.MaxBatchBytes = 500 })
	if _, err := l.Append(big(), 1, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	set(t, l, func(o *LogOptions) { o.MaxBatchBytes, o.RetentionTime = 0, 0 }) // 0: the default
	now = now.Add(2 * time.Hour)
	e.tidy(now, e.elapsed())
	if got := l.StartOffset(); got != 0 {
		t.Errorf("begins at %d: the old retention counts", got)
	}
	set(t, l, func(o *LogOptions) { o.RetentionBytes = 2000 })
	e.tidy(now, e.elapsed())
	if got := l.StartOffset(); got != 5 {
		t.Errorf("begins at %d, want 5: three segments hold as much as 2000 bytes", got)
	}
	appendAll(t, l, w, big())
	set(t, l, func(o *LogOptions) { o.SegmentAge, o.RetentionBytes = time.Minute, 0 })
	e.tidy(now, e.elapsed())
	before := segmentsOf(l)
	e.tidy(now, e.elapsed()+2*time.Minute)
	if got := segmentsOf(l); got != before+1 {
		t.Errorf("%d segments, want one more than %d: the last one is too old", got, before)
	}
}

func TestCompactionMayBeTurnedOnAndOff(t *testing.T) {
	o := smallOptions(disk.NewMem(), "/d")
	o.TidyInterval, o.CleanBytesPerSecond = time.Hour, 1<<40
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 1000})
	fill := func(n int) {
		for i := range n {
			appendAll(t, l, w, keyed(fmt.Sprint("k", i%3), strings.Repeat("v", 100), 1))
		}
	}
	fill(30)
	compactNow(t, e, l)
	if _, n := latest(t, l); n != 30 {
		t.Fatalf("%d records: a log that is not to be compacted was", n)
	}
	set(t, l, func(o *LogOptions) { o.Compact, o.MinDirtyRatio = true, 0.01 })
	compactNow(t, e, l)
	kept, n := latest(t, l)
	if n >= 30 || len(kept) != 3 {
		t.Fatalf("%d records of %d keys after compaction", n, len(kept))
	}
	set(t, l, func(o *LogOptions) { o.Compact = false })
	fill(30)
	compactNow(t, e, l)
	if _, again := latest(t, l); again != n+30 {
		t.Errorf("%d records, want %d: compaction is off", again, n+30)
	}
}

func TestPreallocate(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 2 << 20, Preallocate: true})
	appendAll(t, l, w, makeBatch("x", 1, 0))
	l.mu.Lock()
	got := l.parts[0].seg.Allocated()
	l.mu.Unlock()
	if got != 2<<20 {
		t.Errorf("%d bytes are reserved, want the whole segment", got)
	}
}

func TestJitterIsBelowItsBoundAndDiffers(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	seen := map[time.Duration]bool{}
	for i := range 8 {
		l := mustLog(t, e, fmt.Sprint("t-", i), LogOptions{SegmentAge: time.Hour, SegmentJitter: time.Minute})
		j := l.jitter(l.parts[0])
		if j < 0 || j >= time.Minute || j != l.jitter(l.parts[0]) {
			t.Errorf("jitter %v", j)
		}
		seen[j] = true
		set(t, l, func(o *LogOptions) { o.SegmentJitter = 2 * time.Hour })
		if j := l.jitter(l.parts[0]); j >= time.Hour {
			t.Errorf("jitter %v is not below the age", j)
		}
	}
	if len(seen) < 4 {
		t.Errorf("eight logs have %d different jitters", len(seen))
	}
}

// Appends go on while the durability changes to and fro: each is told to be flushed once, none is lost, none changes its place.
func TestDurabilityMayChangeBesideAppends(t *testing.T) {
	const writers, each = 4, 100
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 5000})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				at, err := l.Append(makeBatch(fmt.Sprintf("w%d-%d", i, n), 1, 0), 1, nil)
				if err == nil && n%5 == 0 {
					err = w.wait(at.Last + 1)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		set(t, l, func(o *LogOptions) {
			o.Durability, o.FlushInterval = []Durability{PageCache, Fsync, Interval}[i%3], time.Millisecond
		})
	}
	wg.Wait()
	if err := w.wait(writers * each); err != nil {
		t.Fatal(err)
	}
	got := values(t, l, 0, 1000)
	if len(got) != writers*each || w.fallen {
		t.Fatalf("%d records, want %d; the flushed end went back: %t", len(got), writers*each, w.fallen)
	}
	next := make([]int, writers)
	for at, v := range got {
		var offset, i, n int
		if _, err := fmt.Sscanf(v, "%d=w%d-%d-0", &offset, &i, &n); err != nil || offset != at || n != next[i] {
			t.Fatalf("record %d is %q, writer %d was at %d", at, v, i, next[i])
		}
		next[i]++
	}
}

func TestSetOptionsOfALogThatIsGone(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	l := mustLog(t, e, "t-0", LogOptions{})
	if err := e.Drop("t-0"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Durability{Fsync, PageCache} {
		if err := l.SetOptions(LogOptions{Durability: d}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v: %v, want ErrClosed", d, err)
		}
	}
}

// TestDurabilityChangeCutAnywhere cuts the power at each operation of a history that changes the durability to and fro. What was
// acknowledged under Fsync, or before a change that returned, is there; of the rest a beginning.
func TestDurabilityChangeCutAnywhere(t *testing.T) {
	for n := int64(0); ; n++ {
		cut := &cutter{}
		cut.left.Store(n)
		mem := disk.NewMem()
		appended, sure, done := changingHistory(disk.Inject(mem, cut.rule))
		rng := rand.New(rand.NewPCG(uint64(n), 7))
		after, err := Open(context.Background(), crashOptions(mem.Crash(rng, []float64{0, 0.5, 1}[n%3])))
		if err != nil {
			t.Fatalf("cut at operation %d: %v", n, err)
		}
		if slices.Contains(after.Names(), "t-0") || sure > 0 {
			got := values(t, mustLog(t, after, "t-0", LogOptions{Durability: Durability(n % 2)}), 0, 1000)
			if len(got) < sure || len(got) > len(appended) || !slices.Equal(got, appended[:len(got)]) {
				t.Fatalf("cut at operation %d: %d records, want the first of %d, %d at least", n, len(got), len(appended), sure)
			}
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
		if done {
			t.Logf("%d operations", n)
			return
		}
	}
}

// changingHistory gives what was appended, how many of it must survive, and whether it came to its end.
func changingHistory(fs disk.FS) (appended []string, sure int, done bool) {
	e, err := Open(context.Background(), crashOptions(fs))
	if err != nil {
		return nil, 0, false
	}
	defer func() { _ = e.Close() }()
	w := newWatcher()
	l, err := e.OpenLog("t-0", LogOptions{Observer: w, SegmentBytes: 1500})
	if err != nil {
		return nil, 0, false
	}
	was := Fsync
	for i, d := range []Durability{Fsync, PageCache, Fsync, Interval, PageCache, Fsync} {
		if l.SetOptions(LogOptions{SegmentBytes: 1500, Durability: d, FlushInterval: time.Hour}) != nil {
			return appended, sure, false
		}
		if (d == Fsync) != (was == Fsync) {
			sure = len(appended)
		}
		was = d
		for j := range 4 {
			appended = append(appended, fmt.Sprintf("%d=v%d.%d-%s-0", len(appended), i, j, strings.Repeat("x", 300)))
			at, err := l.Append(makeBatch(fmt.Sprintf("v%d.%d-%s", i, j, strings.Repeat("x", 300)), 1, 0), 1, nil)
			if err != nil || w.wait(at.Last+1) != nil {
				return appended, sure, false
			}
			if d == Fsync {
				sure = len(appended)
			}
		}
	}
	return appended, sure, true
}

// TestDurabilityChangeWithoutRoom: a change of the durability for which no checkpoint could be written has not been made: batches go the way
// that recovery knows of. The same holds for a log that is opened with another one.
func TestDurabilityChangeWithoutRoom(t *testing.T) {
	for _, d := range []Durability{Fsync, PageCache} {
		other := PageCache - d
		var full atomic.Bool
		mem := disk.NewMem()
		o := crashOptions(disk.Inject(mem, func(op disk.Op, name string) error {
			if full.Load() && op == "write" && strings.Contains(name, checkpointFile) {
				return syscall.ENOSPC
			}
			return nil
		}))
		e := mustOpen(t, o)
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: d})
		appendAll(t, l, w, makeBatch("before", 1, 0))
		full.Store(true)
		if err := l.SetOptions(LogOptions{Durability: other}); !errors.Is(err, ErrFull) {
			t.Fatalf("%v to %v: %v, want ErrFull", d, other, err)
		}
		if _, err := e.OpenLog("t-1", LogOptions{Durability: PageCache}); !errors.Is(err, ErrFull) {
			t.Fatalf("OpenLog: %v, want ErrFull", err)
		}
		appendAll(t, l, w, makeBatch("after", 1, 0))
		if err := l.writeOut(); err != nil {
			t.Fatal(err)
		}
		after := mustOpen(t, crashOptions(mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)))
		if got := values(t, mustLog(t, after, "t-0", LogOptions{Durability: d}), 0, 10); len(got) != 2 {
			t.Errorf("%v: %q after a crash", d, got)
		}
		full.Store(false)
		mustLog(t, e, "t-1", LogOptions{Durability: PageCache})
		set(t, l, func(o *LogOptions) { o.Durability = other })
	}
}

// A trim that is on its way when the log is dropped is either before the Drop or refused: recovery finds no entry of a log that is
// gone.
func TestTrimBesideDrop(t *testing.T) {
	for i := range 60 {
		mem := disk.NewMem()
		e, err := Open(context.Background(), smallOptions(mem, "/d"))
		if err != nil {
			t.Fatal(err)
		}
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w})
		appendAll(t, l, w, makeBatch("x", 5, 0))
		var wg sync.WaitGroup
		for n := range batch.Offset(4) {
			wg.Go(func() {
				if err := l.Trim(n + 1); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := l.SetOptions(LogOptions{Durability: PageCache}); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		if err := e.Drop("t-0"); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		after, err := Open(context.Background(), smallOptions(mem.Crash(rand.New(rand.NewPCG(uint64(i), 1)), 1), "/d"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(after.Close(), e.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
