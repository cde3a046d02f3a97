package partition

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open gives a partition on a disk in memory, whose syncs wait while held is locked and fail when broken is set.
func open(t *testing.T, fs disk.FS) (*engine.Engine, *Partition) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{Dir: "/d", FS: fs, CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(e, "p-0", 3, engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, p
}

type slowDisk struct {
	held   sync.Mutex
	broken atomic.Bool
}

var errBroken = errors.New("broken by the test")

func (d *slowDisk) fs() disk.FS {
	return disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if op != "sync" || !strings.Contains(name, "/commit/") {
			return nil
		}
		d.held.Lock()
		defer d.held.Unlock()
		if d.broken.Load() {
			return errBroken
		}
		return nil
	})
}

func records(n int) batch.Batch {
	var b batch.Builder
	for range n {
		b.Add(time.UnixMilli(1), nil, []byte("value"))
	}
	return b.Batch()
}

// told is a Waiter that counts.
type told struct {
	n    atomic.Int32
	done chan error
}

func newTold() *told { return &told{done: make(chan error, 10)} }

func (w *told) Done(err error) {
	w.n.Add(1)
	w.done <- err
}

func (w *told) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("never told")
		return nil
	}
}

func TestNothingIsAcknowledgedOrReadBeforeItIsFlushed(t *testing.T) {
	d := &slowDisk{}
	_, p := open(t, d.fs())
	d.held.Lock()
	w, r := newTold(), NewReader()
	at, err := p.Append(records(3), nil, w)
	if err != nil || at.Base != 0 || at.Last != 2 {
		t.Fatal(at, err)
	}
	if !p.Await(r, 0) {
		t.Error("there is more to read before the flush")
	}
	if span, err := p.Read(0, p.HighWatermark(), 1<<20); err != nil || span.Size() != 0 {
		t.Errorf("P4: %d bytes can be read before the flush, %v", span.Size(), err)
	}
	if p.HighWatermark() != 0 || w.n.Load() != 0 || len(r.C) != 0 {
		t.Error("P1, P2: committed before the flush")
	}
	d.held.Unlock()
	if err := w.wait(t); err != nil {
		t.Error(err)
	}
	<-r.C
	if p.HighWatermark() != 3 || p.Await(r, 2) || !p.Await(r, 3) {
		t.Errorf("high watermark %d", p.HighWatermark())
	}
	p.Forget(r)
	span, err := p.Read(0, p.HighWatermark(), 1<<20)
	if err != nil || span.Size() == 0 || span.Next() != 3 {
		t.Errorf("%d bytes to %d, %v", span.Size(), span.Next(), err)
	}
	span.Release()
}

func TestFailedDiskFailsAllWaiters(t *testing.T) {
	d := &slowDisk{}
	_, p := open(t, d.fs())
	d.held.Lock()
	d.broken.Store(true)
	var all []*told
	for range 5 {
		w := newTold()
		if _, err := p.Append(records(1), nil, w); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	r := NewReader()
	p.Await(r, 0)
	d.held.Unlock()
	for _, w := range all {
		if err := w.wait(t); !errors.Is(err, engine.ErrFailed) || !errors.Is(err, errBroken) {
			t.Errorf("%v, want ErrFailed and its cause", err)
		}
	}
	<-r.C
	if p.Err() == nil || p.Await(r, 0) || p.HighWatermark() != 0 {
		t.Errorf("P3: err %v, high watermark %d", p.Err(), p.HighWatermark())
	}
	d.broken.Store(false)
	if _, err := p.Append(records(1), nil, newTold()); !errors.Is(err, engine.ErrFailed) {
		t.Errorf("append after the failure: %v", err)
	}
}

func TestCloseTellsWaiters(t *testing.T) {
	d := &slowDisk{}
	_, p := open(t, d.fs())
	d.held.Lock()
	w, r := newTold(), NewReader()
	if _, err := p.Append(records(1), nil, w); err != nil {
		t.Fatal(err)
	}
	p.Await(r, 0)
	p.Close()
	if err := w.wait(t); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	<-r.C
	d.held.Unlock()
	if w.n.Load() != 1 {
		t.Error("P2: told twice")
	}
}

func TestDuplicateWaitsForTheFirstCopy(t *testing.T) {
	d := &slowDisk{}
	_, p := open(t, d.fs())
	b := func() batch.Batch {
		b := batch.Builder{ProducerID: 7, Sequenced: true}
		b.Add(time.UnixMilli(1), nil, []byte("v"))
		return b.Batch()
	}
	d.held.Lock()
	first, second := newTold(), newTold()
	if _, err := p.Append(b(), nil, first); err != nil {
		t.Fatal(err)
	}
	at, err := p.Append(b(), nil, second)
	if err != nil || !at.Duplicate || at.Base != 0 {
		t.Fatal(at, err)
	}
	if second.n.Load() != 0 {
		t.Error("P2: the duplicate was acknowledged before the first copy was flushed")
	}
	d.held.Unlock()
	if err := errors.Join(first.wait(t), second.wait(t)); err != nil {
		t.Error(err)
	}
	third := newTold()
	if at, err := p.Append(b(), nil, third); err != nil || !at.Duplicate || third.wait(t) != nil {
		t.Errorf("a late duplicate: %+v, %v", at, err)
	}
}

// Many appends from many goroutines: each is told once, and when it is told its records are committed.
func TestWaitersAreToldOnceAndInTime(t *testing.T) {
	_, p := open(t, disk.NewMem())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				w := newTold()
				at, err := p.Append(records(2), nil, w)
				if err != nil {
					t.Error(err)
					return
				}
				if err := w.wait(t); err != nil || p.HighWatermark() <= at.Last {
					t.Errorf("P2: told %v at %d, high watermark %d", err, at.Last, p.HighWatermark())
				}
			}
		})
	}
	wg.Wait()
	if p.HighWatermark() != 1600 || len(p.waiters) != 0 {
		t.Errorf("high watermark %d, %d waiters left", p.HighWatermark(), len(p.waiters))
	}
}

func TestCheckEpoch(t *testing.T) {
	_, p := open(t, disk.NewMem())
	for client, want := range map[batch.Epoch]error{batch.NoEpoch: nil, 3: nil, 2: ErrFencedEpoch, 4: ErrUnknownEpoch} {
		if err := p.CheckEpoch(client); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("epoch %d: %v, want %v", client, err, want)
		}
	}
}

func TestJournalReplaysWhatWasWritten(t *testing.T) {
	mem := disk.NewMem()
	e, p := open(t, mem)
	for i := range 200 {
		if err := p.Write(t.Context(), records(i%5+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, p = open(t, mem)
	next := batch.Offset(0)
	err := p.Replay(func(b batch.Batch) error {
		if b.BaseOffset() != next {
			t.Fatalf("batch at %d, want %d", b.BaseOffset(), next)
		}
		next = b.NextOffset()
		return nil
	})
	if err != nil || next != 600 {
		t.Errorf("replayed to %d, %v; want 600", next, err)
	}
	stop := errors.New("stop")
	if err := p.Replay(func(batch.Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want %v", err, stop)
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	d := &slowDisk{}
	_, p := open(t, d.fs())
	d.held.Lock()
	defer d.held.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Write(ctx, records(1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
