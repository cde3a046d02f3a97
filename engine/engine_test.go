package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
	"github.com/streambus/streambus/engine/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher is an Observer that lets a test wait for a flush.
type watcher struct {
	mu     sync.Mutex
	cond   sync.Cond
	end    batch.Offset
	err    error
	fails  int
	fallen bool // end went back
}

func newWatcher() *watcher {
	w := &watcher{}
	w.cond.L = &w.mu
	return w
}

func (w *watcher) Flushed(end batch.Offset) {
	w.mu.Lock()
	w.fallen = w.fallen || end < w.end
	w.end = end
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *watcher) Failed(err error) {
	w.mu.Lock()
	w.err = err
	w.fails++
	w.mu.Unlock()
	w.cond.Broadcast()
}

// wait returns when everything below end is flushed, or with the error after which it never will be.
func (w *watcher) wait(end batch.Offset) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.end < end && w.err == nil {
		w.cond.Wait()
	}
	if w.end >= end {
		return nil
	}
	return w.err
}

type released struct{ n atomic.Int64 }

func (r *released) Release() { r.n.Add(1) }

func smallOptions(fs disk.FS, dir string) Options {
	return Options{FS: fs, Dir: dir, CommitFileBytes: 256 << 10, CommitFiles: 3, ReserveBytes: -1, CacheBytes: 1 << 20}
}

func mustOpen(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(context.Background(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func mustLog(t *testing.T, e *Engine, name string, o LogOptions) *Log {
	t.Helper()
	l, err := e.OpenLog(name, o)
	if err != nil {
		t.Fatalf("OpenLog(%s): %v", name, err)
	}
	return l
}

// makeBatch is n records "prefix-i" with one millisecond between them from ms on.
func makeBatch(prefix string, n int, ms int64) batch.Batch {
	var b batch.Builder
	for i := range n {
		b.Add(time.UnixMilli(ms+int64(i)), nil, fmt.Appendf(nil, "%s-%d", prefix, i))
	}
	return b.Batch()
}

func idempotent(id batch.ProducerID, epoch batch.ProducerEpoch, seq batch.Sequence, n int) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: epoch, BaseSequence: seq, Sequenced: true}
	for i := range n {
		b.Add(time.UnixMilli(0), nil, fmt.Appendf(nil, "p%d-%d", id, int(seq)+i))
	}
	return b.Batch()
}

func appendAll(t *testing.T, l *Log, w *watcher, batches ...batch.Batch) {
	t.Helper()
	for _, b := range batches {
		at, err := l.Append(b, 3, nil)
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		if err := w.wait(at.Last + 1); err != nil {
			t.Fatalf("flush: %v", err)
		}
	}
}

// values reads a log from an offset to its flushed end: "offset=value" of each record.
func values(t *testing.T, l *Log, from batch.Offset, maxBytes int) []string {
	t.Helper()
	out, err := readValues(l, from, maxBytes)
	if err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
	return out
}

// stored reads the batch that begins at an offset.
func stored(t *testing.T, l *Log, at batch.Offset) batch.Batch {
	t.Helper()
	s, err := l.Read(at, l.FlushedEnd(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	b, err := s.AppendTo(nil)
	if err == nil {
		_, err = batch.First(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readValues(l *Log, from batch.Offset, maxBytes int) (out []string, err error) {
	end := l.FlushedEnd()
	for from < end {
		s, err := l.Read(from, end, maxBytes)
		if err != nil {
			return out, err
		}
		b, err := s.AppendTo(nil)
		next := s.Next()
		s.Release()
		if err != nil {
			return out, err
		}
		for len(b) > 0 {
			one, err := batch.First(b)
			if err == nil {
				err = one.Check()
			}
			if err != nil {
				return out, err
			}
			_ = one.Each(func(r batch.Record) bool {
				if r.Offset >= from {
					out = append(out, fmt.Sprintf("%d=%s", r.Offset, r.Value))
				}
				return true
			})
			b = b[len(one):]
			if gap := l.opts().Compact && next > one.NextOffset(); len(b) == 0 && one.NextOffset() != next && !gap {
				return out, fmt.Errorf("span says its next offset is %d, its last batch says %d", next, one.NextOffset())
			}
		}
		if next <= from && l.opts().Compact {
			return out, nil // the log was cut in a gap
		}
		if next <= from {
			return out, fmt.Errorf("read at %d did not advance (end %d)", from, end)
		}
		from = next
	}
	return out, nil
}

func TestAppendIsReadableAndSurvivesRestart(t *testing.T) {
	for name, fs := range map[string]disk.FS{"os": disk.OS{}, "memory": disk.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.ToSlash(t.TempDir()) + "/data"
			if name == "memory" {
				dir = "/data"
			}
			var want []string
			for round := range 3 {
				e := mustOpen(t, smallOptions(fs, dir))
				w := newWatcher()
				l := mustLog(t, e, "orders-0", LogOptions{Observer: w, SegmentBytes: 2000})
				if got := values(t, l, 0, 300); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Fatalf("round %d: got %v, want %v", round, got, want)
				}
				for i := range 40 {
					b := makeBatch(fmt.Sprintf("r%db%d", round, i), 1+i%4, int64(1000*round+i))
					base := l.EndOffset()
					appendAll(t, l, w, b)
					for k, v := range valuesOf(b) {
						want = append(want, fmt.Sprintf("%d=%s", int(base)+k, v))
					}
					if got := stored(t, l, base); got.LeaderEpoch() != 3 || got.BaseOffset() != base {
						t.Fatalf("stamped with epoch %d, offset %d", got.LeaderEpoch(), got.BaseOffset())
					}
				}
				if got := values(t, l, 0, 1<<20); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Fatalf("round %d, before the restart: got %v, want %v", round, got, want)
				}
				if err := e.Close(); err != nil {
					t.Fatalf("Close: %v", err)
				}
				if round > 0 && (!e.Summary().Clean || e.Summary().Frames != 0) {
					t.Fatalf("a clean restart replayed: %+v", e.Summary())
				}
			}
		})
	}
}

func TestReadFromEveryOffsetWithEveryLimit(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 1500, IndexIntervalBytes: 200})
	for i := range 30 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 1+i%5, int64(i)))
	}
	all := values(t, l, 0, 1<<20)
	for from := range all {
		for _, limit := range []int{1, 61, 100, 200, 333, 1000, 5000} {
			if got := values(t, l, batch.Offset(from), limit); strings.Join(got, " ") != strings.Join(all[from:], " ") {
				t.Fatalf("from %d, at most %d bytes: got %v, want %v", from, limit, got, all[from:])
			}
			s, err := l.Read(batch.Offset(from), l.FlushedEnd(), limit)
			if err != nil {
				t.Fatal(err)
			}
			first, err := s.AppendTo(nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := batch.First(first)
			if err != nil || (s.Size() > limit && len(b) != s.Size()) {
				t.Fatalf("from %d: %d bytes for a limit of %d, more than one batch (%v)", from, s.Size(), limit, err)
			}
			s.Release()
			s.Release()
		}
	}
}

func TestReadStopsAtEnd(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 700, IndexIntervalBytes: 100})
	for i := range 20 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 2, 0))
	}
	for end := batch.Offset(0); end <= 40; end += 2 {
		for from := batch.Offset(0); from <= end; from++ {
			s, err := l.Read(from, end, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if s.Next() > end || (from < end) != (s.Size() > 0) {
				t.Fatalf("read [%d, %d): span of %d bytes up to %d", from, end, s.Size(), s.Next())
			}
			s.Release()
		}
	}
	for _, bad := range []batch.Offset{-1, 41} {
		if _, err := l.Read(bad, 40, 100); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Fatalf("read at %d: %v", bad, err)
		}
	}
}

func TestOffsetForTime(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 700, IndexIntervalBytes: 100})
	if _, ok, err := l.OffsetForTime(0); ok || err != nil {
		t.Fatalf("an empty log found a time: %v", err)
	}
	if _, ok, _ := l.MaxTimestamp(); ok {
		t.Fatal("an empty log has a newest record")
	}
	for i := range 20 { // 3 records each: offset o has time 10*(o/3) + o%3 … but batch 7 is older than all
		ms := int64(i * 10)
		if i == 7 {
			ms = 1
		}
		appendAll(t, l, w, makeBatch("v", 3, ms))
	}
	for _, c := range []struct{ ms, offset, at int64 }{{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 10}, {12, 5, 12}, {65, 24, 80}, {190, 57, 190}, {192, 59, 192}} {
		got, ok, err := l.OffsetForTime(c.ms)
		if err != nil || !ok || int64(got.Offset) != c.offset || got.Timestamp != c.at || got.Epoch != 3 {
			t.Errorf("time %d: got %+v %v %v, want offset %d at %d", c.ms, got, ok, err, c.offset, c.at)
		}
	}
	if _, ok, _ := l.OffsetForTime(193); ok {
		t.Error("found a record from the future")
	}
	if got, ok, err := l.MaxTimestamp(); !ok || err != nil || got.Offset != 59 || got.Timestamp != 192 {
		t.Errorf("newest: %+v %v %v", got, ok, err)
	}
}

// A consumer sent to an offset that was trimmed would be told that it is out of range, and might begin at the end.
func TestOffsetForTimeFindsNothingThatWasTrimmed(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 400})
	for _, ms := range []int64{500, 100, 90, 80, 70, 600, 60} { // three records each; a segment has a few of them
		appendAll(t, l, w, makeBatch("v", 3, ms))
	}
	if len(l.parts) < 2 || l.parts[1].seg.Base > 15 {
		t.Fatalf("600 is in the first of %d segments", len(l.parts))
	}
	for _, c := range []struct {
		start batch.Offset
		ms    int64
		want  batch.Offset // -1: none
	}{{0, 400, 0}, {1, 400, 1}, {2, 501, 2}, {2, 502, 2}, {3, 400, 15}, {4, 101, 4}, {5, 101, 5}, {6, 101, 15}, {16, 600, 16}, {18, 600, -1}} {
		if err := l.Trim(c.start); err != nil {
			t.Fatal(err)
		}
		got, ok, err := l.OffsetForTime(c.ms)
		if !ok {
			got.Offset = -1
		}
		if err != nil || got.Offset != c.want {
			t.Errorf("from %d on, time %d: %+v %t %v, want offset %d", c.start, c.ms, got, ok, err, c.want)
		}
	}
}

// compressed is b with its records compressed.
func compressed(t *testing.T, b batch.Batch, c batch.Codec) batch.Batch {
	t.Helper()
	records, err := codec.Encode(nil, c, b.Records())
	if err != nil {
		t.Fatal(err)
	}
	out := b.Plain(nil, records)
	binary.BigEndian.PutUint16(out[21:], uint16(c))
	binary.BigEndian.PutUint32(out[17:], out.ComputeCRC())
	return out
}

func TestOffsetForTimeLooksIntoCompressedBatches(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	for i, c := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		appendAll(t, l, w, compressed(t, makeBatch("x", 10, int64(100*i)), c))
	}
	for ms := int64(0); ms < 409; ms++ {
		want := batch.Offset(ms/100*10 + min(ms%100, 10)) // ten records a batch, a millisecond apart
		at, ok, err := l.OffsetForTime(ms)
		if err != nil || !ok || at.Offset != want {
			t.Fatalf("time %d: %+v, %t, %v; want offset %d", ms, at, ok, err, want)
		}
	}
	if at, ok, err := l.MaxTimestamp(); err != nil || !ok || at.Offset != 49 || at.Timestamp != 409 {
		t.Errorf("newest: %+v, %t, %v", at, ok, err)
	}
}

func TestIdempotentProducer(t *testing.T) {
	fs := disk.NewMem()
	for round := range 2 { // the second time the state comes from the log
		e := mustOpen(t, smallOptions(fs, "/d"))
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w})
		if round == 0 {
			for i := range 7 {
				appendAll(t, l, w, idempotent(9, 1, batch.Sequence(2*i), 2))
			}
		}
		for i := 2; i < 7; i++ {
			own := &released{}
			at, err := l.Append(idempotent(9, 1, batch.Sequence(2*i), 2), 3, own)
			if err != nil || !at.Duplicate || at.Base != batch.Offset(2*i) || at.Last != batch.Offset(2*i+1) || own.n.Load() != 1 {
				t.Fatalf("round %d: batch %d again: %+v %v, released %d", round, i, at, err, own.n.Load())
			}
		}
		own := &released{}
		for _, c := range []struct {
			b    batch.Batch
			want error
		}{
			{idempotent(9, 1, 2, 2), ErrOutOfOrderSequence},  // older than the window
			{idempotent(9, 1, 16, 1), ErrOutOfOrderSequence}, // a gap
			{idempotent(9, 1, 12, 1), ErrOutOfOrderSequence}, // half of a batch
			{idempotent(9, 0, 14, 1), ErrFencedProducer},
			{idempotent(9, 2, 14, 1), ErrOutOfOrderSequence}, // a new epoch begins at 0
		} {
			if _, err := l.Append(c.b, 3, own); !errors.Is(err, c.want) {
				t.Fatalf("round %d: epoch %d sequence %d: %v, want %v", round, c.b.ProducerEpoch(), c.b.BaseSequence(), err, c.want)
			}
		}
		if own.n.Load() != 0 || l.EndOffset() != 14 {
			t.Fatalf("refused batches were taken: end %d, released %d", l.EndOffset(), own.n.Load())
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOwnerIsReleasedOnceForEachBatch(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	l := mustLog(t, e, "t-0", LogOptions{SegmentBytes: 3000})
	own := &released{}
	for range 200 {
		if _, err := l.Append(makeBatch("x", 1, 0), 0, own); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if own.n.Load() != 200 {
		t.Fatalf("200 batches, %d releases", own.n.Load())
	}
	if _, err := l.Append(makeBatch("x", 1, 0), 0, own); !errors.Is(err, ErrClosed) {
		t.Fatalf("append to a closed log: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	l := mustLog(t, e, "t-0", LogOptions{MaxBatchBytes: 100})
	if _, err := l.Append(makeBatch(strings.Repeat("x", 200), 1, 0), 0, nil); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	// A batch that no commit-log file could hold is refused whatever the option says.
	l = mustLog(t, e, "t-1", LogOptions{MaxBatchBytes: 1 << 30})
	if _, err := l.Append(makeBatch(strings.Repeat("x", 256<<10), 1, 0), 0, nil); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	w := newWatcher()
	l = mustLog(t, e, "t-2", LogOptions{MaxBatchBytes: 1 << 30, Observer: w})
	appendAll(t, l, w, makeBatch(strings.Repeat("x", 247<<10), 1, 0))
}

// A log is not moved away while one of its segments is being sealed: side files are made by name, and the name may soon be another log's.
func TestDropWaitsForASeal(t *testing.T) {
	var sealing, early atomic.Bool
	begun, goOn := make(chan struct{}), make(chan struct{})
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		switch {
		case op == "create" && strings.HasSuffix(name, ".index.tmp"):
			sealing.Store(true)
			close(begun)
			<-goOn
		case op == "rename" && strings.HasSuffix(name, ".seal.tmp"):
			sealing.Store(false)
		case op == "rename" && name == "/d/t-0" && sealing.Load():
			early.Store(true)
		}
		return nil
	})
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 500})
	for range 2 {
		appendAll(t, l, w, makeBatch(strings.Repeat("x", 400), 1, 0))
	}
	if err := l.writeOut(); err != nil {
		t.Fatal(err)
	}
	<-begun
	dropped := make(chan error, 1)
	go func() { dropped <- e.Drop("t-0") }()
	for { // until Drop has gone as far as it can
		l.mu.Lock()
		closed := l.closed
		l.mu.Unlock()
		if closed {
			break
		}
		runtime.Gosched()
	}
	close(goOn)
	if err := <-dropped; err != nil || early.Load() {
		t.Errorf("%v; moved away while it was sealed: %t", err, early.Load())
	}
}

func TestDrop(t *testing.T) {
	fs := disk.NewMem()
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("old", 3, 0))
	span, err := l.Read(0, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Drop("t-0"); err != nil {
		t.Fatal(err)
	}
	if b, err := span.AppendTo(nil); err != nil || !bytes.Contains(b, []byte("old-2")) {
		t.Fatalf("a span given before the drop: %v", err)
	}
	span.Release()
	if _, err := l.Append(makeBatch("x", 1, 0), 0, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after drop: %v", err)
	}
	if _, err := l.Read(0, 3, 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("read after drop: %v", err)
	}
	if err := e.Drop("t-0"); err == nil {
		t.Fatal("dropped twice")
	}
	w = newWatcher()
	l = mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("new", 1, 0))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, smallOptions(fs, "/d"))
	l = mustLog(t, e, "t-0", LogOptions{})
	if got := fmt.Sprint(values(t, l, 0, 100)); got != "[0=new-0]" {
		t.Fatalf("after drop, new start and restart: %s", got)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, smallOptions(disk.OS{}, dir))
	_, err := Open(context.Background(), smallOptions(disk.OS{}, dir))
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("want ErrLocked naming this process, got %v", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	e := mustOpen(t, smallOptions(disk.NewMem(), "/d"))
	for _, bad := range []string{"", ".", "..", "a/b", "commit", "checkpoint", "checkpoint.tmp", ".lock", "7.new", "7.deleted", strings.Repeat("x", 256), "a b", "é"} {
		if _, err := e.OpenLog(bad, LogOptions{}); err == nil {
			t.Errorf("%q was taken for a name", bad)
		}
	}
	mustLog(t, e, "a-0", LogOptions{})
	if _, err := e.OpenLog("a-0", LogOptions{}); err == nil {
		t.Error("opened twice")
	}
}

// TestFullDisk fills a disk, frees it, and goes on (E5).
func TestFullDisk(t *testing.T) {
	fs := disk.NewMem()
	fs.Capacity = 4 << 20
	o := smallOptions(fs, "/d")
	o.ReserveBytes = 1 << 20
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 512 << 10})
	var full error
	n := 0
	for range 1000 {
		at, err := l.Append(makeBatch(strings.Repeat("x", 10000), 1, 0), 0, nil)
		if err != nil {
			full = err
			break
		}
		if err := w.wait(at.Last + 1); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if !errors.Is(full, ErrFull) || e.Err() != nil {
		t.Fatalf("want ErrFull and a disk in good health, got %v, %v", full, e.Err())
	}
	if got := values(t, l, 0, 1<<20); len(got) != n {
		t.Fatalf("%d of %d records can be read on a full disk", len(got), n)
	}
	internal := newWatcher()
	r := mustLog(t, e, "internal-0", LogOptions{Observer: internal, Reserve: true})
	appendAll(t, r, internal, makeBatch("commit", 1, 0)) // from the reserve
	fs.Capacity = 8 << 20
	appendAll(t, l, w, makeBatch("after", 1, 0))
}

// TestFirstDiskErrorIsFinal fails every write and every sync in turn, once only, and checks that nothing is acknowledged
// afterwards, that reads go on, and that a restart on the healed disk has everything that was acknowledged (E4, E6).
func TestFirstDiskErrorIsFinal(t *testing.T) {
	ops := 0
	for n := 0; ; n++ {
		mem := disk.NewMem()
		if !failAt(t, mem, n) {
			break
		}
		ops++
	}
	if ops < 20 {
		t.Fatalf("only %d operations were made to fail", ops)
	}
}

func failAt(t *testing.T, mem *disk.Mem, n int) (hit bool) {
	var count atomic.Int64
	var armed, broken atomic.Bool
	fs := disk.Inject(mem, func(op disk.Op, name string) error {
		if armed.Load() && (op == "write" || op == "sync" || op == "syncdir" || op == "rename") && count.Add(1) == int64(n)+1 {
			broken.Store(true)
			return syscall.EIO
		}
		return nil
	})
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 64 << 10})
	armed.Store(true)
	acked := batch.Offset(0)
	for i := range 60 { // enough for rolls, a new commit-log file, and a checkpoint
		at, err := l.Append(makeBatch(strings.Repeat("x", 8000)+fmt.Sprint(i), 1, 0), 0, nil)
		if err == nil {
			err = w.wait(at.Last + 1)
		}
		if err != nil {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("n=%d: want the disk's error, got %v", n, err)
			}
			break
		}
		acked = at.Last + 1
	}
	armed.Store(false) // the disk is well again; the engine must not believe it
	if broken.Load() && e.Err() != nil {
		if _, err := l.Append(makeBatch("late", 1, 0), 0, nil); !errors.Is(err, ErrFailed) {
			t.Fatalf("n=%d: append after the failure: %v", n, err)
		}
		if got := values(t, l, 0, 1<<20); len(got) < int(acked) {
			t.Fatalf("n=%d: %d of %d records can be read after the failure", n, len(got), acked)
		}
	}
	_ = e.Close()
	if w.fails > 1 || w.fallen {
		t.Fatalf("n=%d: Failed was called %d times, end went back: %v", n, w.fails, w.fallen)
	}
	again := mustOpen(t, smallOptions(mem, "/d"))
	if got := values(t, mustLog(t, again, "t-0", LogOptions{}), 0, 1<<20); len(got) < int(acked) {
		t.Fatalf("n=%d: after recovery %d of %d acknowledged records are left", n, len(got), acked)
	}
	_ = again.Close()
	return broken.Load()
}

func TestManyWritersManyLogs(t *testing.T) {
	dir := t.TempDir()
	o := smallOptions(disk.OS{}, dir)
	o.QueueBytes = 64 << 10 // so that writers have to wait
	e := mustOpen(t, o)
	const logs, writers, each = 7, 16, 60
	ls, ws := make([]*Log, logs), make([]*watcher, logs)
	for i := range ls {
		ws[i] = newWatcher()
		ls[i] = mustLog(t, e, fmt.Sprintf("t-%d", i), LogOptions{Observer: ws[i], SegmentBytes: 20 << 10})
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range each {
				k := rng.IntN(logs)
				at, err := ls[k].Append(makeBatch(fmt.Sprintf("w%d-%d-%s", w, i, strings.Repeat("y", rng.IntN(2000))), 1, 0), 0, nil)
				if err == nil {
					err = ws[k].wait(at.Last + 1)
				}
				if err == nil {
					_, err = readValues(ls[k], at.Base, 1)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, smallOptions(disk.OS{}, dir))
	total := 0
	for i := range ls {
		total += len(values(t, mustLog(t, e, fmt.Sprintf("t-%d", i), LogOptions{}), 0, 4096))
	}
	if total != writers*each {
		t.Fatalf("%d records after the restart, %d were acknowledged", total, writers*each)
	}
}

func TestDamageIsReportedNotCut(t *testing.T) {
	write := func(t *testing.T) string {
		dir := t.TempDir()
		e := mustOpen(t, smallOptions(disk.OS{}, dir))
		for _, name := range []string{"a-0", "b-0"} {
			w := newWatcher()
			l := mustLog(t, e, name, LogOptions{Observer: w, SegmentBytes: 400})
			for i := range 10 {
				appendAll(t, l, w, makeBatch(fmt.Sprint(i), 2, 0))
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	seg := "a-0/00000000000000000000.log"
	for name, harm := range map[string]func(t *testing.T, dir string){
		"a cut segment": func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, seg), 100)) },
		"a lost segment": func(t *testing.T, dir string) {
			list, err := filepath.Glob(filepath.Join(dir, "a-0", "*.log"))
			must(t, err)
			must(t, os.Remove(list[len(list)-1]))
		},
		"a wrong length": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, seg), 9) },
		"a wrong magic":  func(t *testing.T, dir string) { flip(t, filepath.Join(dir, seg), 16) },
		"a wrong offset": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, seg), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t)
			harm(t, dir)
			before := listing(t, dir)
			e := mustOpen(t, smallOptions(disk.OS{}, dir))
			if l, err := e.OpenLog("a-0", LogOptions{}); err == nil { // its data was not read
				if found, err := e.Verify(nil); err != nil || len(found) == 0 || !errors.Is(found[0].Err, ErrCorrupt) {
					t.Fatalf("nothing is found: %v, %v", found, err)
				}
				if got, err := readValues(l, 0, 1000); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("want ErrCorrupt, got %d records, %v", len(got), err)
				}
			} else if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("want ErrCorrupt, got %v", err)
			}
			if got := values(t, mustLog(t, e, "b-0", LogOptions{}), 0, 100); len(got) != 20 {
				t.Fatalf("the other log has %d of 20 records", len(got))
			}
			if after := listing(t, dir); before != after {
				t.Fatalf("files changed:\n%s\nwere\n%s", after, before)
			}
		})
	}
	for name, harm := range map[string]func(t *testing.T, dir string){
		"no checkpoint":        func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "checkpoint"))) },
		"a damaged checkpoint": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "checkpoint"), 20) },
		"a lost log":           func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "a-0"))) },
		"a damaged log.meta":   func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "a-0", "log.meta"), 17) },
		"a copied log": func(t *testing.T, dir string) {
			must(t, os.CopyFS(filepath.Join(dir, "c-0"), os.DirFS(filepath.Join(dir, "a-0"))))
		},
		"a foreign folder": func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, "x"), 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t)
			harm(t, dir)
			before := listing(t, dir)
			_, err := Open(context.Background(), smallOptions(disk.OS{}, dir))
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("want ErrCorrupt, got %v", err)
			}
			t.Log(err)
			if after := listing(t, dir); before != after {
				t.Fatalf("files changed:\n%s\nwere\n%s", after, before)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b[:], at)
	must(t, err)
	must(t, f.Close())
}

// listing names every file of the logs with its size.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".log") {
			return err
		}
		st, err := d.Info()
		if err == nil {
			out = append(out, fmt.Sprintf("%s %d", strings.TrimPrefix(p, dir), st.Size()))
		}
		return err
	}))
	return strings.Join(out, "\n")
}

// TestOpenThatFailsLeavesNothing: whichever operation of a start fails, no memory is held, no goroutine runs (TestMain) and the lock is free.
func TestOpenThatFailsLeavesNothing(t *testing.T) {
	mem := disk.NewMem()
	maps, arenas := disk.Held()
	fails := 0
	for n := int64(0); ; n++ {
		var left atomic.Int64
		left.Store(n)
		e, err := Open(context.Background(), smallOptions(disk.Inject(mem, func(op disk.Op, _ string) error {
			if left.Add(-1) == -1 {
				return syscall.EIO
			}
			return nil
		}), "/d"))
		if err == nil {
			if err := e.Close(); err != nil && left.Load() >= 0 {
				t.Fatal(err)
			}
			if left.Load() >= 0 {
				break
			}
		} else {
			fails++
		}
		if m, a := disk.Held(); m != maps || a != arenas {
			t.Fatalf("operation %d: %v; %d mappings and %d arenas are left", n, err, m-maps, a-arenas)
		}
	}
	if fails == 0 {
		t.Error("no operation of Open failed")
	}
	o := smallOptions(mem, "/d")
	o.CacheBytes = 1 << 60
	if _, err := Open(context.Background(), o); err == nil {
		t.Fatal("a cache of 1 EiB is too much")
	}
	mustOpen(t, smallOptions(mem, "/d"))
}

// Cut waits for a checkpoint while no file of the log may come, grow or go. The checkpoint before that one writes a recap of the log.
func TestCutBesideACheckpointWithARecap(t *testing.T) {
	var l atomic.Pointer[Log]
	cut := make(chan error, 1)
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if cutting := l.Load(); op == "rename" && name == "/d/checkpoint.tmp" && cutting != nil && l.CompareAndSwap(cutting, nil) {
			go func() { cut <- cutting.Cut(1) }()
			for cutting.growing.TryLock() { // until Cut has it
				cutting.growing.Unlock()
				runtime.Gosched()
			}
		}
		return nil
	})
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	log := mustLog(t, e, "t-0", LogOptions{Observer: w})
	for range recapBytes/(200<<10) + 1 {
		appendAll(t, log, w, makeBatch(strings.Repeat("x", 200<<10), 1, 0))
	}
	l.Store(log)
	if err := errors.Join(e.checkpointNow(), <-cut); err != nil || log.EndOffset() != 1 {
		t.Fatalf("%v; the log ends at %d, want 1", err, log.EndOffset())
	}
}

// A trim that is on its way when the log's end is cut back below it either comes first, and then Cut is refused, or after it, and then
// the trim is.
func TestTrimBesideCut(t *testing.T) {
	for i := range 300 {
		mem := disk.NewMem()
		e := mustOpen(t, smallOptions(mem, "/d"))
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w})
		for range 10 {
			appendAll(t, l, w, makeBatch("x", 1, 0))
		}
		var trim, cut error
		var wg sync.WaitGroup
		wg.Go(func() { trim = l.Trim(8) })
		wg.Go(func() { cut = l.Cut(4) })
		wg.Wait()
		start, end := l.StartOffset(), l.EndOffset()
		switch {
		case trim == nil && errors.Is(cut, ErrOffsetOutOfRange) && start == 8 && end == 10:
		case errors.Is(trim, ErrOffsetOutOfRange) && cut == nil && start == 0 && end == 4:
		default:
			t.Fatalf("round %d: trim: %v, cut: %v, the log is [%d, %d)", i, trim, cut, start, end)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// noDescriptor cannot open a folder to sync it, once.
type noDescriptor struct {
	disk.FS
	folder string
	lack   *atomic.Bool
}

func (d noDescriptor) SyncDir(name string) error {
	if name == d.folder && d.lack.CompareAndSwap(true, false) {
		return &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	return d.FS.SyncDir(name)
}

// A log that could not be created, or opened as soon as it was, for want of a descriptor to sync a folder, can be later.
func TestCreateWithoutDescriptor(t *testing.T) {
	for _, folder := range []string{"/d/0.new", "/d", "/d/t-0"} {
		var lack atomic.Bool
		mem := disk.NewMem()
		o := smallOptions(noDescriptor{mem, folder, &lack}, "/d")
		e := mustOpen(t, o)
		lack.Store(true)
		if _, err := e.OpenLog("t-0", LogOptions{}); !errors.Is(err, ErrFull) {
			t.Fatalf("%s: %v, want ErrFull", folder, err)
		}
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w})
		appendAll(t, l, w, makeBatch("x", 3, 0))
		o.FS = mem.Crash(rand.New(rand.NewPCG(1, 1)), 0)
		if got := values(t, mustLog(t, mustOpen(t, o), "t-0", LogOptions{}), 0, 1000); len(got) != 3 {
			t.Errorf("%s: %d records after a power cut, want 3", folder, len(got))
		}
	}
}
