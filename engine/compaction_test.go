package engine

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/segment"
)

func keyed(key, value string, ms int64) batch.Batch {
	var b batch.Builder
	var v []byte
	if value != "" {
		v = []byte(value)
	}
	b.Add(time.UnixMilli(ms), []byte(key), v)
	return b.Batch()
}

// latest reads a log into a map of the last value of each key, and counts the records.
func latest(t *testing.T, l *Log) (values map[string]string, records int) {
	t.Helper()
	values, err := latestOf(l, &records)
	if err != nil {
		t.Fatal(err)
	}
	return values, records
}

func latestOf(l *Log, records *int) (map[string]string, error) {
	values := map[string]string{}
	end := l.FlushedEnd()
	for at := l.StartOffset(); at < end; {
		s, err := l.Read(at, end, 5000)
		if err != nil {
			return nil, err
		}
		b, err := s.AppendTo(nil)
		next := s.Next()
		s.Release()
		if err != nil {
			return nil, err
		}
		if len(b) == 0 && next == at && l.opts().Compact {
			break // the log was cut in a gap
		}
		if len(b) == 0 || next <= at {
			return nil, fmt.Errorf("read at %d gives %d bytes up to %d", at, len(b), next)
		}
		for len(b) > 0 {
			one, err := batch.First(b)
			if err == nil {
				err = one.Check()
			}
			if err != nil {
				return nil, err
			}
			_ = one.Each(func(r batch.Record) bool {
				*records++
				if r.Value == nil {
					delete(values, string(r.Key))
				} else {
					values[string(r.Key)] = string(r.Value)
				}
				return true
			})
			b = b[len(one):]
		}
		at = next
	}
	return values, nil
}

// compactNow has everything compacted that can be.
func compactNow(t *testing.T, e *Engine, l *Log) {
	t.Helper()
	awaitSealed(t, l)
	c := &compaction{}
	if err := l.compact(c); err != nil {
		t.Fatal(err)
	}
	l.sealRolled()
}

func TestCompaction(t *testing.T) {
	var clock atomic.Int64 // ms; records are too young to be compacted until it is moved on
	clock.Store(10_000_000)
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	o.Now, o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = func() time.Time { return time.UnixMilli(clock.Load()) }, 1<<16, 1<<40, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	lo := LogOptions{Observer: w, SegmentBytes: 3000, IndexIntervalBytes: 300, Compact: true, MinDirtyRatio: 0.01, DeleteRetention: time.Second, MinCompactionLag: time.Minute}
	l := mustLog(t, e, "t-0", lo)
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	fill := func(n int) {
		for i := range n {
			k, v := fmt.Sprint("key", rng.IntN(40)), fmt.Sprint("value", i, strings.Repeat("x", rng.IntN(200)))
			if rng.IntN(6) == 0 {
				v = ""
				delete(want, k)
			} else {
				want[k] = v
			}
			appendAll(t, l, w, keyed(k, v, clock.Load()))
		}
	}
	check := func(l *Log, what string) int {
		t.Helper()
		got, n := latest(t, l)
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("%s: %s is %.30q, want %.30q", what, k, got[k], v)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d keys, want %d", what, len(got), len(want))
		}
		return n
	}
	fill(1000)
	before, files := check(l, "before"), len(l.parts)
	clock.Add(3_600_000)
	compactNow(t, e, l)
	after := check(l, "compacted")
	if after > before/3 {
		t.Errorf("%d of %d records are left", after, before)
	}
	for range 2 { // the second time tombstones may go
		fill(300)
		clock.Add(3_600_000)
		compactNow(t, e, l)
	}
	check(l, "three times")
	if len(l.parts) > files/2 { // what became small is joined
		t.Errorf("%d segments are left, there were %d before the first time", len(l.parts), files)
	}
	found, err := e.Verify(nil)
	if err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if _, ok, err := l.OffsetForTime(clock.Load() - 3_700_000); err != nil || !ok {
		t.Errorf("by time: %t, %v", ok, err)
	}
	end := l.EndOffset()
	crashed := mem.Crash(rand.New(rand.NewPCG(3, 3)), 0.5)
	o.FS = crashed
	check(mustLog(t, mustOpen(t, o), "t-0", lo), "after a power cut")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	o.FS = mem
	again := mustLog(t, mustOpen(t, o), "t-0", lo)
	check(again, "after a restart")
	if again.EndOffset() != end {
		t.Errorf("it ends at %d, want %d", again.EndOffset(), end)
	}
}

// How old a segment is, is told by its first batch: by its last one, a record could wait for its compaction twice as long as it may.
func TestCompactionIsOverdueByTheOldestRecord(t *testing.T) {
	const begin, minute = int64(10_000_000), int64(60_000)
	var clock atomic.Int64
	clock.Store(begin)
	o := smallOptions(disk.NewMem(), "/d")
	o.Now, o.TidyInterval = func() time.Time { return time.UnixMilli(clock.Load()) }, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 3000, Compact: true, MinDirtyRatio: 1, MaxCompactionLag: time.Hour})
	appendAll(t, l, w, keyed("k", "old", begin), keyed("k", "new", begin+50*minute))
	appendAll(t, l, w, keyed("fills the segment", strings.Repeat("x", 2900), begin+50*minute), keyed("is in the next one", "x", begin+50*minute))
	for _, c := range []struct {
		at   int64
		want int
	}{{begin + 55*minute, 4}, {begin + 65*minute, 3}} {
		clock.Store(c.at)
		compactNow(t, e, l)
		if _, n := latest(t, l); n != c.want {
			t.Errorf("after %d minutes there are %d records, want %d", (c.at-begin)/minute, n, c.want)
		}
	}
}

// A power cut at any operation of a compaction leaves the last value of every key, and a log that goes on.
func TestCompactionCutAnywhere(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat: go test ./engine -run '^%s$' -crash.seed=%d", t.Name(), seed)
	for n := int64(0); ; n++ {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		mem := disk.NewMem()
		cut := &cutter{}
		cut.left.Store(1 << 40)
		o := crashOptions(disk.Inject(mem, cut.rule))
		o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = 1<<14, 1<<40, time.Hour
		w := newWatcher()
		lo := LogOptions{Observer: w, SegmentBytes: 2000, IndexIntervalBytes: 300, Compact: true, MinDirtyRatio: 0.01, MinCompactionLag: time.Minute}
		var late atomic.Bool
		o.Now = func() time.Time {
			if late.Load() {
				return time.UnixMilli(1000).Add(time.Hour / 2)
			}
			return time.UnixMilli(1000)
		}
		e := mustOpen(t, o)
		l := mustLog(t, e, "t-0", lo)
		want := map[string]string{}
		for i := range 150 {
			k, v := fmt.Sprint("key", rng.IntN(15)), fmt.Sprint("value", i, strings.Repeat("x", rng.IntN(100)))
			want[k] = v
			appendAll(t, l, w, keyed(k, v, 1))
		}
		awaitSealed(t, l)
		late.Store(true)
		cut.left.Store(n)
		err := l.compact(&compaction{})
		done := err == nil && !cut.off.Load()
		after := crashOptions(mem.Crash(rng, []float64{0, 0.3, 0.7, 1}[rng.IntN(4)]))
		e2 := mustOpen(t, after)
		l2 := mustLog(t, e2, "t-0", lo)
		records := 0
		got, rerr := latestOf(l2, &records)
		if rerr != nil {
			t.Fatalf("cut at operation %d (%v): %v", n, err, rerr)
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("cut at operation %d (%v): %s is %.20q, want %.20q", n, err, k, got[k], v)
			}
		}
		if len(got) != len(want) || l2.EndOffset() != 150 {
			t.Fatalf("cut at operation %d: %d keys, want %d; it ends at %d", n, len(got), len(want), l2.EndOffset())
		}
		at, err := l2.Append(keyed("more", "x", 1), 1, nil)
		if err != nil || at.Base != 150 {
			t.Fatalf("cut at operation %d: append: %+v, %v", n, at, err)
		}
		_ = e.Close()
		if err := e2.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if done {
			t.Logf("%d operations", n)
			return
		}
	}
}

// A compacted log may have gaps between its segments, but none may be missing: each that is sealed says what followed it.
func TestLostSegmentOfACompactedLog(t *testing.T) {
	mem := disk.NewMem()
	o := smallOptions(mem, "/d")
	o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = 1<<16, 1<<40, time.Hour
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 3000, IndexIntervalBytes: 300, Compact: true, MinDirtyRatio: 0.01})
	for i := range 160 {
		appendAll(t, l, w, keyed(fmt.Sprint("key", i%90), strings.Repeat("x", 60+i%80), int64(i)))
	}
	compactNow(t, e, l)
	if !l.compacted {
		t.Fatal("nothing was compacted")
	}
	var bases []batch.Offset
	sealed := 0
	for _, p := range l.parts {
		bases = append(bases, p.seg.Base)
		if p.seg.Sealed() {
			sealed++
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if sealed < 3 {
		t.Fatalf("%d of %d segments are sealed", sealed, len(bases))
	}
	for i, base := range bases[:sealed] {
		o.FS = mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)
		if i > 0 {
			if err := segment.Unseal(o.FS, "/d/t-0", base); err != nil {
				t.Fatal(err)
			}
			if err := o.FS.Remove("/d/t-0/" + segment.Name(base)); err != nil {
				t.Fatal(err)
			}
		}
		e := mustOpen(t, o)
		if _, err := e.OpenLog("t-0", LogOptions{Compact: true}); i == 0 && err != nil || i > 0 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("without the segment at %d of %v: %v", base, bases, err)
		}
	}
}

// A compacted log that is cut where offsets are missing ends there, and goes on, also after a crash and after another one before it did.
func TestCutInAGapOfACompactedLog(t *testing.T) {
	for _, durability := range []Durability{Fsync, PageCache} {
		mem := disk.NewMem()
		o := smallOptions(mem, "/d")
		o.CleanerBytes, o.CleanBytesPerSecond, o.TidyInterval = 1<<16, 1<<40, time.Hour
		lo := LogOptions{SegmentBytes: 1000, IndexIntervalBytes: 300, MinDirtyRatio: 0.01, Durability: durability}
		e := mustOpen(t, o)
		w := newWatcher()
		lo.Observer = w
		l := mustLog(t, e, "t-0", lo)
		want := map[string]string{}
		for i := range 40 { // the first segment keeps something, those behind it nothing
			key := "often"
			if i == 0 {
				key = "once"
				want[key] = strings.Repeat("x", 200)
			}
			appendAll(t, l, w, keyed(key, strings.Repeat("x", 200), 1))
		}
		awaitSealed(t, l)
		lo.Compact, lo.SegmentBytes = true, 250 // none are joined
		if err := l.SetOptions(lo); err != nil {
			t.Fatal(err)
		}
		compactNow(t, e, l)
		base := l.parts[2].seg.Base
		if l.parts[2].seg.Size() > 0 {
			t.Fatalf("the segment at %d holds something", base)
		}
		for _, to := range []batch.Offset{base + 2, base + 1} {
			if err := l.Cut(to); err != nil || l.EndOffset() != to {
				t.Fatalf("cut to %d: %v, it ends at %d", to, err, l.EndOffset())
			}
			w.mu.Lock()
			w.end = to
			w.mu.Unlock()
		}
		for n := range 4 {
			crashed := mem.Crash(rand.New(rand.NewPCG(1, 1)), 1)
			o.FS, lo.Observer = crashed, nil
			e := mustOpen(t, o)
			again := mustLog(t, e, "t-0", lo)
			if got, _ := latest(t, again); !maps.Equal(got, want) || again.EndOffset() != base+1+batch.Offset(n) {
				t.Fatalf("%v: after %d records more, and a crash: it ends at %d, want %d; %d keys, want %d", durability, n, again.EndOffset(), int(base)+1+n, len(got), len(want))
			}
			if found, err := e.Verify(nil); err != nil || len(found) > 0 {
				t.Fatalf("%v, %v", found, err)
			}
			key := fmt.Sprint("more", n)
			want[key] = "x"
			appendAll(t, l, w, keyed(key, "x", 1))
		}
	}
}
