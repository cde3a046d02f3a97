package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// counting counts operations by kind and by the folder of their file.
type counting struct{ syncs, commitWrites, segmentWrites atomic.Int64 }

func (c *counting) fs(inner disk.FS) disk.FS {
	return disk.Inject(inner, func(op disk.Op, name string) error {
		commitFile := strings.Contains(name, "/"+commitDir+"/")
		switch {
		case op == "sync":
			c.syncs.Add(1)
		case op == "write" && commitFile:
			c.commitWrites.Add(1)
		case op == "write" && strings.HasSuffix(name, ".log"):
			c.segmentWrites.Add(1)
		}
		return nil
	})
}

// awaitFiles waits until so many commit-log files are prepared.
func awaitFiles(t *testing.T, fs disk.FS, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		entries, err := fs.ReadDir("/d/" + commitDir)
		if err != nil {
			t.Fatal(err)
		}
		if n == len(slices.DeleteFunc(entries, func(e disk.Entry) bool { return !strings.HasSuffix(e.Name, ".commit") })) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d commit-log files were never prepared: %v", n, entries)
		}
	}
}

func TestUnloggedLogsSyncNothingBeforeTheyAnswer(t *testing.T) {
	for _, d := range []Durability{PageCache, Interval} {
		t.Run(d.String(), func(t *testing.T) {
			var c counting
			mem := disk.NewMem()
			o := smallOptions(c.fs(mem), "/d")
			o.CommitFiles = 2
			e := mustOpen(t, o)
			awaitFiles(t, mem, o.CommitFiles) // made ahead, with syncs of their own
			w := newWatcher()
			l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: d, FlushInterval: time.Hour})
			appendAll(t, l, w, makeBatch("first", 2, 0)) // makes room
			syncs, commits := c.syncs.Load(), c.commitWrites.Load()
			for i := range 20 {
				appendAll(t, l, w, makeBatch(fmt.Sprint(i), 2, 0))
			}
			if c.syncs.Load() != syncs || c.commitWrites.Load() != commits || c.segmentWrites.Load() == 0 {
				t.Errorf("%d syncs, %d writes to the commit log, %d to segments; want none, none, some", c.syncs.Load()-syncs, c.commitWrites.Load()-commits, c.segmentWrites.Load())
			}
			if got := values(t, l, 0, 1000); len(got) != 42 {
				t.Errorf("%d records can be read", len(got))
			}
		})
	}
}

func TestIntervalSyncsWhenItsTimeHasCome(t *testing.T) {
	mem := disk.NewMem()
	synced := make(chan string, 1000)
	fs := disk.Inject(mem, func(op disk.Op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") {
			synced <- name
		}
		return nil
	})
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: Interval, FlushInterval: time.Millisecond})
	for len(synced) > 0 {
		<-synced
	}
	appendAll(t, l, w, makeBatch("kept", 3, 0))
	<-synced // it begins
	appendAll(t, l, w, makeBatch("more", 1, 0))
	<-synced // the next begins, so that one has ended
	again := mustOpen(t, smallOptions(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0), "/d"))
	l2 := mustLog(t, again, "t-0", LogOptions{Durability: Interval})
	if got := values(t, l2, 0, 1000); len(got) < 3 {
		t.Errorf("%d of 3 records survived a power cut after the interval's sync", len(got))
	}
}

// The end of the process loses nothing of any log; what way a log goes may be changed from one life to the next.
func TestDurabilityMayChange(t *testing.T) {
	mem := disk.NewMem()
	var want []string
	n := 0
	for life, d := range []Durability{Fsync, PageCache, Fsync, Interval, PageCache, Fsync} {
		e := mustOpen(t, smallOptions(mem, "/d"))
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: d, SegmentBytes: 500})
		if got := values(t, l, 0, 1000); !slices.Equal(got, want) {
			t.Fatalf("life %d (%v): %d records, want %d", life, d, len(got), len(want))
		}
		for range 10 {
			appendAll(t, l, w, makeBatch(fmt.Sprint("life", life), 1, 0))
			want = append(want, fmt.Sprintf("%d=life%d-0", n, life))
			n++
		}
		if life%2 == 0 {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		} else { // killed: what was written is there, nothing is tidied up
			mem = mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)
		}
	}
}

// A power cut may cost an unlogged log its newest records, but leaves no gap and no half batch.
func TestPageCacheLosesOnlyTheTail(t *testing.T) {
	lost := false
	for seed := range uint64(40) {
		mem := disk.NewMem()
		e, err := Open(context.Background(), smallOptions(mem, "/d"))
		if err != nil {
			t.Fatal(err)
		}
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: PageCache, SegmentBytes: 2000})
		for i := range 30 {
			appendAll(t, l, w, makeBatch(fmt.Sprint(i, strings.Repeat("x", 100)), 2, 0))
		}
		all := values(t, l, 0, 1000)
		after := mustOpen(t, smallOptions(mem.Crash(rand.New(rand.NewPCG(seed, 1)), 0.9), "/d"))
		got := values(t, mustLog(t, after, "t-0", LogOptions{Durability: PageCache}), 0, 1000)
		if len(got) > len(all) || !slices.Equal(got, all[:len(got)]) {
			t.Fatalf("seed %d: %d records that are not the first ones", seed, len(got))
		}
		lost = lost || len(got) < len(all)
		_ = e.Close()
	}
	if !lost {
		t.Error("no power cut ever lost anything: the test proves nothing")
	}
}

func TestTrim(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 500})
	for i := range 20 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 3, 0))
	}
	files := len(l.parts)
	if err := l.Trim(31); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(30, 60, 1000); !errors.Is(err, ErrOffsetOutOfRange) || l.StartOffset() != 31 {
		t.Errorf("start %d, read below it: %v", l.StartOffset(), err)
	}
	if got := values(t, l, 31, 200); len(got) != 29 || !strings.HasPrefix(got[0], "31=") {
		t.Errorf("%d records, the first %v", len(got), got[0])
	}
	if err := errors.Join(l.Trim(5), l.Trim(31)); err != nil || l.StartOffset() != 31 {
		t.Errorf("back to 5: %v, start %d", err, l.StartOffset())
	}
	if err := l.Trim(61); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	after := mustOpen(t, smallOptions(mem.Crash(rand.New(rand.NewPCG(1, 1)), 0), "/d"))
	if l2 := mustLog(t, after, "t-0", LogOptions{}); l2.StartOffset() != 31 || l2.EndOffset() != 60 {
		t.Errorf("after a power cut it holds [%d, %d)", l2.StartOffset(), l2.EndOffset())
	}
	if err := l.Trim(60); err != nil { // all of it
		t.Fatal(err)
	}
	if err := e.checkpointNow(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, w, makeBatch("next", 1, 0))
	if got := values(t, l, 60, 200); len(got) != 1 || got[0] != "60=next-0" {
		t.Errorf("%v", got)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := segmentBases(mem, "/d/t-0"); err != nil || !slices.Equal(left, []batch.Offset{60}) {
		t.Errorf("of %d segments %v are left, %v", files, left, err)
	}
}

func TestCut(t *testing.T) {
	for name, d := range map[string]Durability{"logged": Fsync, "unlogged": PageCache} {
		t.Run(name, func(t *testing.T) {
			mem := disk.NewMem()
			e := mustOpen(t, smallOptions(mem, "/d"))
			w := newWatcher()
			l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 500, IndexIntervalBytes: 100, Durability: d})
			for i := range 20 {
				b := makeBatch(fmt.Sprint(i), 3, int64(i))
				if _, err := l.Append(b, batch.Epoch(i/5), nil); err != nil {
					t.Fatal(err)
				}
			}
			p := idempotent(9, 0, 0, 3)
			appendAll(t, l, w, p)
			if err := l.Cut(200); err != nil || l.EndOffset() != 63 {
				t.Errorf("beyond the end: %v, end %d", err, l.EndOffset())
			}
			if err := l.Cut(31); err != nil || l.EndOffset() != 30 || l.FlushedEnd() != 30 {
				t.Fatalf("%v, end %d: want the beginning of the batch that holds 31", err, l.EndOffset())
			}
			if e, end, ok := l.EpochEnd(9); !ok || e != 1 || end != 30 {
				t.Errorf("the newest epoch is %d, ending at %d, %t", e, end, ok)
			}
			if at, err := l.Append(p, 7, nil); err != nil || at.Duplicate || at.Base != 30 {
				t.Errorf("what was cut off is still known as sent: %+v, %v", at, err)
			}
			for i := range 20 {
				appendAll(t, l, w, makeBatch(fmt.Sprint("new", i), 3, int64(i)))
			}
			want := values(t, l, 0, 1000)
			if len(want) != 93 || want[29] != "29=9-2" || !strings.HasPrefix(want[33], "33=new0") {
				t.Fatalf("%d records; %v", len(want), want[29:34])
			}
			if err := l.Trim(10); err != nil {
				t.Fatal(err)
			}
			if err := l.Cut(5); !errors.Is(err, ErrOffsetOutOfRange) {
				t.Errorf("below the start: %v", err)
			}
			after := mustOpen(t, smallOptions(mem.Crash(rand.New(rand.NewPCG(1, 1)), 1), "/d"))
			l2 := mustLog(t, after, "t-0", LogOptions{Durability: d})
			if got := values(t, l2, 10, 1000); !slices.Equal(got, want[10:]) {
				t.Errorf("after a crash %d records, want %d", len(got), len(want)-10)
			}
		})
	}
}

func TestEpochEndSurvivesARestart(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 400})
	for i := range 20 {
		at, err := l.Append(makeBatch("r", 2, 0), batch.Epoch(2*(i/4)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.wait(at.Last + 1); err != nil {
			t.Fatal(err)
		}
	}
	check := func(l *Log) {
		t.Helper()
		for ask, want := range map[batch.Epoch][2]int{0: {0, 8}, 1: {0, 8}, 2: {2, 16}, 7: {6, 32}, 8: {8, 40}, 99: {8, 40}} {
			if e, end, ok := l.EpochEnd(ask); !ok || int(e) != want[0] || int(end) != want[1] {
				t.Errorf("epoch %d: %d ends at %d, %t; want %v", ask, e, end, ok, want)
			}
		}
	}
	check(l)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	check(mustLog(t, mustOpen(t, smallOptions(mem, "/d")), "t-0", LogOptions{}))
}

func TestRetention(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2030, 1, 10, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	o := smallOptions(disk.NewMem(), "/d")
	o.Now = clock
	e := mustOpen(t, o)
	w := newWatcher()
	fill := func(name string, lo LogOptions, at func(i int) time.Time) *Log {
		lo.Observer, lo.SegmentBytes = w, 1000
		w.end = 0
		l := mustLog(t, e, name, lo)
		for i := range 10 { // one batch a segment
			appendAll(t, l, w, makeBatch(strings.Repeat("x", 900), 1, at(i).UnixMilli()))
		}
		return l
	}
	ago := func(i int) time.Time { return now.Add(-time.Duration(10-i) * day) } // 10 to 1 days
	bySize := fill("size", LogOptions{RetentionBytes: 3500}, ago)
	byTime := fill("time", LogOptions{RetentionTime: 4*day + time.Hour}, ago)
	future := fill("future", LogOptions{RetentionTime: 4 * day}, func(int) time.Time { return now.AddDate(7000, 0, 0) })
	past := fill("past", LogOptions{RetentionTime: 4 * day}, func(int) time.Time { return time.UnixMilli(0) })
	forever := fill("forever", LogOptions{}, ago)
	starts := func() (out []int) {
		for _, l := range []*Log{bySize, byTime, future, past, forever} {
			out = append(out, int(l.StartOffset()))
		}
		return out
	}
	e.tidy(now, e.elapsed())
	if got := starts(); !slices.Equal(got, []int{6, 6, 0, 0, 0}) {
		t.Errorf("starts %v", got)
	}
	now = now.Add(5 * day)
	e.tidy(now, e.elapsed()+5*day)
	if got := starts(); !slices.Equal(got, []int{6, 10, 10, 10, 0}) {
		t.Errorf("five days later %v", got)
	}
	if byTime.SizeBytes() != 0 {
		t.Errorf("%d bytes are left of a log that is too old as a whole", byTime.SizeBytes())
	}
}

func TestSteadyClock(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	var c steadyClock
	wall, mono := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
	// look lets time pass, and then moves the wall clock. off is how far the time that counts is from the wall clock's.
	look := func(passes, jump time.Duration) (off time.Duration) {
		wall, mono = wall.Add(passes+jump), mono+passes
		return c.trust(wall, mono).Sub(wall)
	}
	for range 10 {
		if look(30*time.Second, 0) != 0 || look(30*time.Second, time.Minute) != 0 || look(30*time.Second, -2*time.Minute) != 0 {
			t.Error("a clock that is set a little is doubted")
		}
	}
	if off := look(time.Minute, 10*year); off != -10*year {
		t.Errorf("a jump ahead moves the time that counts, which is %v from the clock's", off)
	}
	if off := look(23*time.Hour, 0); off != -10*year {
		t.Errorf("no day later: %v from the clock's", off)
	}
	if off := look(time.Minute, year); off != -11*year {
		t.Errorf("another jump: %v from the clock's", off)
	}
	if off := look(23*time.Hour, 0); off != -11*year {
		t.Errorf("no day after the second jump: %v from the clock's", off)
	}
	if off := look(2*time.Hour, 0); off != 0 || look(time.Minute, 0) != 0 {
		t.Errorf("still doubted a day later: %v", off)
	}
	if off := look(time.Minute, -year); off != 0 {
		t.Errorf("behind, the clock's time is the earlier one: %v", off)
	}
	if off := look(time.Hour, year); off != 0 || c.jumped {
		t.Errorf("back again: %v from the clock's, doubted: %v", off, c.jumped)
	}
	if off := look(time.Minute, -3*time.Hour); off != 0 || look(day, 0) != 0 || c.jumped {
		t.Errorf("a clock that was set back is doubted a day later, %v", off)
	}
}

// Without an option the clock is the machine's. A monotonic reading in it would hide every jump: Go takes the difference of two times by
// that where both have one.
func TestClockHasNoMonotonicReading(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	for what, at := range map[string]time.Time{"Options.Now": e.o.Now(), "SteadyTime": e.SteadyTime()} {
		if at != at.Round(0) || time.Since(at).Abs() > time.Hour {
			t.Errorf("%s gives %v", what, at)
		}
	}
}

// A clock that is a year ahead, or behind, for a while has retention delete nothing that is young, nor keep for long what was written
// meanwhile.
func TestClockIsWrongForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const year = 365 * 24 * time.Hour
		var skew atomic.Int64
		o := smallOptions(disk.NewMem(), "/d")
		o.Now, o.TidyInterval = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }, time.Minute
		e := mustOpen(t, o)
		w := newWatcher()
		logs := map[string]*Log{} // of producers' times, and of the broker's
		for _, name := range []string{"sent", "appended"} {
			logs[name] = mustLog(t, e, name, LogOptions{Observer: w, SegmentBytes: 1000, RetentionTime: 4 * time.Hour, SegmentAge: time.Hour})
		}
		write := func() {
			for name, l := range logs {
				at := time.Now()
				if name == "appended" {
					at = o.Now()
				}
				w.end = 0
				appendAll(t, l, w, makeBatch(strings.Repeat("x", 900), 1, at.UnixMilli()))
			}
		}
		kept := func(when string, from batch.Offset) {
			t.Helper()
			for name, l := range logs {
				if got := l.StartOffset(); got != from {
					t.Errorf("%s: %q begins at %d, want %d", when, name, got, from)
				}
			}
		}
		write()
		time.Sleep(10 * time.Minute)
		skew.Store(int64(year))
		write()
		time.Sleep(10 * time.Minute)
		kept("a year ahead", 0)
		skew.Store(0)
		write()
		time.Sleep(10 * time.Minute)
		kept("back again", 0)
		time.Sleep(5 * time.Hour)
		kept("when all is old", 3)
		skew.Store(-int64(year))
		write()
		time.Sleep(10 * time.Minute)
		kept("a year behind", 3)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A dropped log's pending deletions must not strike a new log of the same name.
func TestDropAndCreateBesideDeletions(t *testing.T) {
	mem := disk.NewMem()
	e := mustOpen(t, smallOptions(mem, "/d"))
	for range 30 {
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 300})
		for i := range 6 {
			appendAll(t, l, w, makeBatch(fmt.Sprint(i), 5, 0))
		}
		if err := l.Trim(l.FlushedEnd()); err != nil {
			t.Fatal(err)
		}
		e.wantCheckpoint()
		if err := e.Drop("t-0"); err != nil {
			t.Fatal(err)
		}
	}
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("kept", 1, 0))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Open(path.Join("/d/t-0", "00000000000000000000.log")); err != nil {
		t.Error(err)
	}
}

// A segment that was begun too long ago is ended, once it holds something, whatever the wall clock says.
func TestOldSegmentsAreRolled(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentAge: time.Hour})
	segments := func(hours int) int {
		e.tidy(time.UnixMilli(0), time.Minute+time.Duration(hours)*time.Hour)
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.parts)
	}
	for i, step := range []struct {
		append bool
		hours  int
		want   int
	}{
		{false, 0, 1}, {false, 9, 1}, // empty
		{true, 9, 1}, {false, 10, 1}, {false, 11, 2}, // begun at 9
		{false, 20, 2}, // the new one is empty
		{true, 21, 2}, {true, 22, 2}, {true, 23, 3},
	} {
		if step.append {
			appendAll(t, l, w, makeBatch("x", 1, 0))
		}
		if got := segments(step.hours); got != step.want {
			t.Fatalf("step %d, at %d h: %d segments, want %d", i, step.hours, got, step.want)
		}
	}
	if got := values(t, l, 0, 1000); len(got) != 4 {
		t.Errorf("%d records", len(got))
	}
}

// While there is no room for a checkpoint the commit log comes to its end and waits; with room again it goes on by itself.
func TestCommitLogGoesOnWhenThereIsRoomAgain(t *testing.T) {
	var full atomic.Bool
	refused := make(chan struct{}, 1)
	o := smallOptions(disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if op == "create" && name == "/d/checkpoint.tmp" && full.Load() {
			select {
			case refused <- struct{}{}:
			default:
			}
			return syscall.ENOSPC
		}
		return nil
	}), "/d")
	o.CommitFileBytes, o.CommitFiles = 64<<10, 2
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	full.Store(true)
	done := make(chan error, 1)
	go func() {
		for range 100 { // several times what the files hold
			at, err := l.Append(makeBatch(strings.Repeat("x", 8000), 1, 0), 1, nil)
			if err == nil {
				err = w.wait(at.Last + 1)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-refused
	full.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestALogThatCouldNotBeOpenedIsThereTheNextTime: what passes on the way from a new folder to an open log costs one try, not the disk.
func TestALogThatCouldNotBeOpenedIsThereTheNextTime(t *testing.T) {
	var few atomic.Bool
	o := smallOptions(disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if op == "open" && strings.HasSuffix(name, ".log") && few.Load() {
			return syscall.EMFILE
		}
		return nil
	}), "/d")
	e := mustOpen(t, o)
	few.Store(true)
	if l, err := e.OpenLog("t-0", LogOptions{}); err == nil || errors.Is(err, ErrFailed) {
		t.Fatalf("%v, %v; want an error that passes", l, err)
	}
	few.Store(false)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("x", 1, 0))
	if names := e.Names(); len(names) != 1 {
		t.Errorf("logs %v", names)
	}
}
