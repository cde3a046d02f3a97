package txn

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a Log in memory. Flushes happen when told, or at once on another goroutine, as the engine does it.
type shelf struct {
	manual  atomic.Bool
	mu      sync.Mutex
	refuse  error
	batches []batch.Batch
	waiting []partition.Waiter
}

func (s *shelf) Append(b batch.Batch, _ engine.Owner, w partition.Waiter) (engine.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return engine.Appended{}, s.refuse
	}
	b.Stamp(batch.Offset(len(s.batches)), 3)
	s.batches = append(s.batches, b)
	s.waiting = append(s.waiting, w)
	if !s.manual.Load() {
		go s.flush(nil)
	}
	return engine.Appended{Base: b.BaseOffset(), Last: b.LastOffset()}, nil
}

func (s *shelf) flush(err error) {
	s.mu.Lock()
	ws := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, w := range ws {
		w.Done(err)
	}
}

func (s *shelf) Replay(f func(batch.Batch) error) error {
	for _, b := range s.batches {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Epoch() batch.Epoch { return 3 }

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.batches)
}

// rack is everything around a Coordinator.
type rack struct {
	shelves []*shelf
	made    bool
	next    atomic.Int64

	mu      sync.Mutex
	marked  []Marker
	answer  func(m Marker) error // nil: all are written
	hold    bool
	held    []func(error)
	topMark int // the most that were held at a time
}

func newRack(n int) *rack {
	r := &rack{}
	for range n {
		r.shelves = append(r.shelves, &shelf{})
	}
	return r
}

func (r *rack) WriteMarker(m Marker, done func(error)) {
	r.mu.Lock()
	if r.hold {
		r.held = append(r.held, done)
		r.topMark = max(r.topMark, len(r.held))
		r.mu.Unlock()
		return
	}
	var err error
	if r.answer != nil {
		err = r.answer(m)
	}
	if err == nil {
		r.marked = append(r.marked, m)
	}
	r.mu.Unlock()
	done(err)
}

func (r *rack) markers() []Marker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.marked)
}

func (r *rack) NewProducerID(context.Context) (batch.ProducerID, error) {
	return batch.ProducerID(r.next.Add(1)), nil
}

func (r *rack) logs(_ context.Context, create bool) ([]Log, error) {
	if r.made = r.made || create; !r.made {
		return nil, nil
	}
	var out []Log
	for _, s := range r.shelves {
		out = append(out, s)
	}
	return out, nil
}

func (r *rack) options() Options {
	return Options{Limits: Limits{Version: 2}, Logs: r.logs, Sink: r, IDs: r, OffsetsOf: func(_ context.Context, g string) (TopicPartition, error) {
		return TopicPartition{"__consumer_offsets", int32(len(g))}, nil
	}}
}

func (r *rack) start(t *testing.T, change ...func(*Options)) *Coordinator {
	t.Helper()
	o := r.options()
	for _, f := range change {
		f(&o)
	}
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait[T any](t *testing.T, r *Reply[T]) T {
	t.Helper()
	a, err := r.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func initID(t *testing.T, c *Coordinator, id string) Producer {
	t.Helper()
	a := wait(t, c.InitProducerID(t.Context(), id, 60_000, None))
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	return a.Producer
}

func TestTransactionsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(4)
		c := r.start(t)
		me := initID(t, c, "id")
		is(t, "add", wait(t, c.AddPartitions("id", me, tps(0, 1), 0)).Err, nil)
		is(t, "add offsets", wait(t, c.AddOffsets(t.Context(), "id", me, "ggg")).Err, nil)
		want, err := c.Describe("id")
		if err != nil || want.State != Ongoing || len(want.Parts) != 3 || want.StartedMs != time.Now().UnixMilli() || want.TimeoutMs != 60_000 {
			t.Fatalf("%+v, %v", want, err)
		}
		c.Close()
		if n := r.shelves[PartitionFor("id", 4)].count(); n != 3 {
			t.Errorf("%d records in the partition of the id, want 3", n)
		}

		c = r.start(t)
		if got, err := c.Describe("id"); err != nil || !cmp.Equal(got, want) {
			t.Errorf("after a restart: %v\n%s", err, cmp.Diff(want, got))
		}
		is(t, "end", wait(t, c.EndTxn("id", me, true, 0)).Err, nil)
		synctest.Wait()
		m := r.markers()
		if len(m) != 3 || m[0] != (Marker{TopicPartition{"__consumer_offsets", 3}, me, true, 3}) {
			t.Errorf("%+v", m)
		}
		c.Close()
		c = r.start(t)
		defer c.Close()
		if got, _ := c.Describe("id"); got.State != CompleteCommit || len(got.Parts) != 0 {
			t.Errorf("%+v", got)
		}
		if len(r.markers()) != 3 {
			t.Error("a start repeated the markers of what is complete")
		}
	})
}

// TestStartFinishesWhatWasDecided, and aborts what is out of time.
func TestStartFinishesWhatWasDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t)
		r.hold = true
		for _, id := range []string{"committed", "aborted", "late"} {
			me := initID(t, c, id)
			is(t, id, wait(t, c.AddPartitions(id, me, tps(0), 0)).Err, nil)
			if id != "late" {
				is(t, id, wait(t, c.EndTxn(id, me, id == "committed", 2)).Err, nil)
			}
		}
		c.Close() // with both markers under way
		r.hold = false
		c = r.start(t)
		defer c.Close()
		time.Sleep(time.Minute + 11*time.Second)
		synctest.Wait()
		for id, want := range map[string]Description{
			"committed": {Producer: Producer{1, 1}, State: CompleteCommit}, "aborted": {Producer: Producer{2, 1}, State: CompleteAbort},
			"late": {Producer: Producer{3, 1}, State: CompleteAbort},
		} {
			if got, err := c.Describe(id); err != nil || got.State != want.State || got.Producer != want.Producer {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
		for _, m := range r.markers() {
			if m.Commit != (m.ID == 1) || m.Epoch != 1 {
				t.Errorf("%+v", m)
			}
		}
		if len(r.markers()) != 3 {
			t.Errorf("%+v", r.markers())
		}
	})
}

func TestRequestsAreChecked(t *testing.T) {
	r := newRack(1)
	c := r.start(t)
	defer c.Close()
	ctx := t.Context()
	init := func(id string, ms int32, p Producer) error { return wait(t, c.InitProducerID(ctx, id, ms, p)).Err }
	is(t, "no id", init("", 1000, None), ErrInvalidRequest)
	is(t, "no timeout", init("id", 0, None), ErrInvalidTimeout)
	is(t, "timeout too long", init("id", 15*60*1000+1, None), ErrInvalidTimeout)
	is(t, "id without epoch", init("id", 1000, Producer{5, NoEpoch}), ErrInvalidRequest)
	is(t, "epoch without id", init("id", 1000, Producer{-1, 5}), ErrInvalidRequest)
	is(t, "epoch out of range", init("id", 1000, Producer{5, -2}), ErrInvalidRequest)
	is(t, "id too long", init(string(make([]byte, 1<<15)), 1000, None), ErrInvalidRequest)
	for id, want := range map[string]error{"unknown": ErrInvalidMapping, "": ErrInvalidRequest} {
		is(t, "add", wait(t, c.AddPartitions(id, Producer{1, 0}, tps(0), 0)).Err, want)
		is(t, "add offsets", wait(t, c.AddOffsets(ctx, id, Producer{1, 0}, "g")).Err, want)
		is(t, "end", wait(t, c.EndTxn(id, Producer{1, 0}, true, 2)).Err, want)
		is(t, "verify", c.Verify(id, Producer{1, 0}, tps(0, 1))[1], want)
	}
	_, err := c.Describe("unknown")
	is(t, "describe", err, ErrNotFound)
	_, err = c.Describe("")
	is(t, "describe", err, ErrInvalidRequest)
	if len(c.txns) != 0 || r.shelves[0].count() != 0 {
		t.Errorf("%d ids, %d records are left of requests that were refused", len(c.txns), r.shelves[0].count())
	}
	if a := wait(t, c.InitProducerID(ctx, "new", 1000, Producer{77, 3})); a.Err != nil || a.Producer != (Producer{1, 0}) {
		t.Errorf("KIP-360 for an id that was forgotten: %+v", a)
	}
}

func TestAnswersWaitForTheFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		s := r.shelves[0]
		c := r.start(t)
		defer c.Close()
		me := initID(t, c, "id")
		s.manual.Store(true)
		add := c.AddPartitions("id", me, tps(0), 0)
		synctest.Wait()
		if add.Ready() || c.Verify("id", me, tps(0))[0] == nil {
			t.Error("X2: added before it is flushed")
		}
		s.flush(nil)
		is(t, "add", wait(t, add).Err, nil)
		is(t, "verify", c.Verify("id", me, tps(0))[0], nil)
		end := c.EndTxn("id", me, true, 2)
		synctest.Wait()
		if end.Ready() || len(r.markers()) > 0 {
			t.Error("X2: ended before it is flushed")
		}
		s.flush(nil)
		if a := wait(t, end); a.Err != nil || a.Epoch != me.Epoch+1 {
			t.Errorf("%+v", a)
		}
		synctest.Wait()
		if d, _ := c.Describe("id"); len(r.markers()) != 1 || d.State != PrepareCommit {
			t.Errorf("%+v, %+v", r.markers(), d)
		}
		s.flush(nil)
		synctest.Wait()
		if d, _ := c.Describe("id"); d.State != CompleteCommit {
			t.Errorf("%+v", d)
		}
		s.flush(nil)
		add = c.AddPartitions("id", Producer{me.ID, me.Epoch + 1}, tps(0), 0)
		synctest.Wait()
		s.flush(errors.New("the disk is broken"))
		is(t, "lost", wait(t, add).Err, ErrNotAvailable)
		is(t, "afterwards", wait(t, c.InitProducerID(t.Context(), "id", 1000, None)).Err, ErrNotAvailable)
	})
}

func TestFullDiskIsRefusedAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		r.shelves[0].refuse = engine.ErrFull
		c := r.start(t)
		defer c.Close()
		is(t, "init", wait(t, c.InitProducerID(t.Context(), "id", 1000, None)).Err, ErrNotAvailable)
		synctest.Wait()
		if len(c.txns) != 0 {
			t.Errorf("%d ids", len(c.txns))
		}
		r.shelves[0].refuse = nil
		if p := initID(t, c, "id"); p != (Producer{2, 0}) {
			t.Errorf("%+v", p)
		}
	})
}

// TestMarkersAreBounded: few are under way at a time, failed ones come again, and fenced ones count as written.
func TestMarkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t, func(o *Options) { o.MaxMarkers = 5 })
		defer c.Close()
		me := initID(t, c, "id")
		all := make([]int32, 40)
		for i := range all {
			all[i] = int32(i)
		}
		is(t, "add", wait(t, c.AddPartitions("id", me, tps(all...), 0)).Err, nil)
		r.mu.Lock()
		r.hold = true
		r.mu.Unlock()
		is(t, "end", wait(t, c.EndTxn("id", me, true, 0)).Err, nil)
		for i := range 100 {
			synctest.Wait()
			r.mu.Lock()
			held := r.held
			r.held = nil
			r.mu.Unlock()
			for n, done := range held {
				switch {
				case i < 3 && n == 0:
					done(errors.New("offline"))
				case n == 1:
					done(fmt.Errorf("%w: by somebody", ErrMarkerFenced))
				default:
					done(nil)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		if d, _ := c.Describe("id"); d.State != CompleteCommit || r.topMark != 5 {
			t.Errorf("%+v, at most %d at a time", d, r.topMark)
		}
	})
}

func TestAdmissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t)
		defer c.Close()
		me := initID(t, c, "id")
		admit := func(who Producer, parts ...int32) *Admission { return c.Admit("id", who, tps(parts...), true) }
		a := admit(me, 0, 1)
		b := admit(me, 2) // while the first is being written
		for _, one := range []*Admission{a, b} {
			if errs, err := one.Wait(t.Context()); err != nil || errs[0] != nil {
				t.Fatal(errs, err)
			}
		}
		b.Release()
		next := wait(t, c.EndTxn("id", me, true, 2)).Producer
		early := admit(next, 0) // before the markers are written
		synctest.Wait()
		if len(r.markers()) != 1 || early.Ready() {
			t.Errorf("X5: %+v", r.markers())
		}
		gone := admit(next, 1)
		gone.Release() // before it is answered: the client has gone
		a.Release()
		a.Release()
		if errs, err := early.Wait(t.Context()); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		synctest.Wait()
		if len(r.markers()) != 3 || !gone.Ready() {
			t.Errorf("%+v", r.markers())
		}
		early.Release()
		is(t, "end", wait(t, c.EndTxn("id", next, false, 2)).Err, nil)
		synctest.Wait()
		if d, _ := c.Describe("id"); d.State != CompleteAbort {
			t.Errorf("%+v; want nothing to hold it", d)
		}
	})
}

func TestParkedAdmissionsGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t)
		defer c.Close()
		me := initID(t, c, "id")
		a := c.Admit("id", me, tps(0), true)
		if errs, err := a.Wait(t.Context()); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		next := wait(t, c.EndTxn("id", me, true, 2)).Producer // a holds the marker
		began := time.Now()
		parked := c.Admit("id", next, tps(0), true)
		errs, err := parked.Wait(t.Context())
		if err != nil || !errors.Is(errs[0], ErrConcurrent) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("after %v: %v, %v", time.Since(began), errs, err)
		}
		parked.Release()
		a.Release()
	})
}

func TestExpiredIDsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t, func(o *Options) { o.Expiration = time.Hour })
		initID(t, c, "id")
		time.Sleep(2*time.Hour + time.Minute)
		synctest.Wait()
		_, err := c.Describe("id")
		is(t, "describe", err, ErrNotFound)
		if r.shelves[0].count() != 2 || len(c.txns) != 0 || len(c.clock.due) != 0 {
			t.Errorf("%d records, %d ids, %d alarms", r.shelves[0].count(), len(c.txns), len(c.clock.due))
		}
		c.Close()
		c = r.start(t)
		defer c.Close()
		_, err = c.Describe("id")
		is(t, "describe after a restart", err, ErrNotFound)
		if p := initID(t, c, "id"); p != (Producer{2, 0}) {
			t.Errorf("anew: %+v", p)
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(3)
		c := r.start(t)
		defer c.Close()
		var ids []batch.ProducerID
		for _, id := range []string{"app-1", "app-2", "b"} {
			me := initID(t, c, id)
			ids = append(ids, me.ID)
			if id != "b" {
				is(t, "add", wait(t, c.AddPartitions(id, me, tps(0), 0)).Err, nil)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for name, f := range map[string]struct {
			f       Filter
			want    []string
			unknown []string
			err     error
		}{
			"all":       {f: Filter{LongerMs: -1}, want: []string{"app-1", "app-2", "b"}},
			"state":     {f: Filter{LongerMs: -1, States: []string{"Empty", "Nonsense"}}, want: []string{"b"}, unknown: []string{"Nonsense"}},
			"no state":  {f: Filter{LongerMs: -1, States: []string{"Nonsense"}}, unknown: []string{"Nonsense"}},
			"producer":  {f: Filter{LongerMs: -1, ProducerIDs: ids[1:2]}, want: []string{"app-2"}},
			"longer":    {f: Filter{LongerMs: 2500}, want: []string{"app-1"}},
			"all begun": {f: Filter{LongerMs: 0}, want: []string{"app-1", "app-2"}},
			"pattern":   {f: Filter{LongerMs: -1, Pattern: "app-.|x"}, want: []string{"app-1", "app-2"}},
			"part":      {f: Filter{LongerMs: -1, Pattern: "app"}},
			"bad":       {f: Filter{LongerMs: -1, Pattern: "a)|(b"}, err: ErrPattern},
		} {
			all, unknown, err := c.List(f.f)
			is(t, name, err, f.err)
			var got []string
			for _, l := range all {
				got = append(got, l.ID)
			}
			if !slices.Equal(got, f.want) || !slices.Equal(unknown, f.unknown) {
				t.Errorf("%s: %v, unknown %v", name, got, unknown)
			}
		}
	})
}

func TestCloseAnswersThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(1)
		c := r.start(t)
		me := initID(t, c, "id")
		r.shelves[0].manual.Store(true)
		add := c.AddPartitions("id", me, tps(0), 0)
		parked := c.Admit("id", me, tps(1), true)
		fresh := c.InitProducerID(t.Context(), "other", 1000, None)
		synctest.Wait()
		if add.Ready() || parked.Ready() || fresh.Ready() {
			t.Fatal("nothing was flushed")
		}
		c.Close()
		is(t, "add", wait(t, add).Err, ErrNotAvailable)
		is(t, "init", wait(t, fresh).Err, ErrNotAvailable)
		errs, _ := parked.Wait(t.Context())
		is(t, "admit", errs[0], ErrNotAvailable)
		parked.Release()
		is(t, "later add", wait(t, c.AddPartitions("id", me, tps(0), 0)).Err, ErrNotAvailable)
		is(t, "later end", wait(t, c.EndTxn("id", me, true, 0)).Err, ErrNotAvailable)
		is(t, "later init", wait(t, c.InitProducerID(t.Context(), "id", 1000, None)).Err, ErrNotAvailable)
		_, err := c.Describe("id")
		is(t, "later describe", err, ErrNotAvailable)
		_, _, err = c.List(Filter{})
		is(t, "later list", err, ErrNotAvailable)
		r.shelves[0].flush(nil) // what was under way, after all
		c = r.start(t)
		defer c.Close()
		if d, err := c.Describe("id"); err != nil || d.State != Ongoing {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

// TestManyProducersAtOnce: transactions of many ids on many goroutines all end as they were asked to.
func TestManyProducersAtOnce(t *testing.T) {
	r := newRack(5)
	c := r.start(t)
	defer c.Close()
	const ids, rounds = 16, 20
	var wg sync.WaitGroup
	for n := range ids {
		wg.Go(func() {
			id := fmt.Sprint("id-", n)
			me := initID(t, c, id)
			for i := range rounds {
				var a *Admission
				for {
					a = c.Admit(id, me, tps(int32(n)), true)
					errs, err := a.Wait(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if errs[0] == nil {
						break
					}
					a.Release()
					if !errors.Is(errs[0], ErrConcurrent) {
						t.Error(errs[0])
						return
					}
				}
				go a.Release()
				e := wait(t, c.EndTxn(id, me, i%2 == 0, 2))
				if e.Err != nil {
					t.Error(e.Err)
					return
				}
				me = e.Producer
			}
			for { // until the last is complete
				if d, _ := c.Describe(id); d.State == CompleteAbort {
					return
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	by := map[batch.ProducerID]int{}
	for _, m := range r.markers() {
		if want := by[m.ID]%2 == 0; m.Commit != want || int(m.Epoch) != by[m.ID]+1 {
			t.Errorf("marker %d of producer %d: %+v", by[m.ID], m.ID, m)
		}
		by[m.ID]++
	}
	if len(by) != ids || len(r.markers()) != ids*rounds {
		t.Errorf("%d producers, %d markers", len(by), len(r.markers()))
	}
}

func TestIDsAreBounded(t *testing.T) {
	c := newRack(1).start(t, func(o *Options) { o.MaxIDs = 2 })
	defer c.Close()
	initID(t, c, "a")
	b := initID(t, c, "b")
	is(t, "one too many", wait(t, c.InitProducerID(t.Context(), "c", 1000, None)).Err, ErrNotAvailable)
	if again := initID(t, c, "b"); again != (Producer{b.ID, b.Epoch + 1}) {
		t.Errorf("one that is there: %+v", again)
	}
}

// TestVersionGatesProtocol2: below transaction.version 2 its clients are refused, before anything changes.
func TestVersionGatesProtocol2(t *testing.T) {
	for version := range int16(2) {
		c := newRack(1).start(t, func(o *Options) { o.Version = version })
		me := initID(t, c, "id")
		a := c.Admit("id", me, tps(0), true)
		errs, _ := a.Wait(t.Context())
		is(t, "admit", errs[0], ErrUnsupported)
		a.Release()
		is(t, "add", wait(t, c.AddPartitions("id", me, tps(0), 0)).Err, nil)
		is(t, "end", wait(t, c.EndTxn("id", me, true, 2)).Err, ErrUnsupported)
		is(t, "end by protocol 1", wait(t, c.EndTxn("id", me, true, 0)).Err, nil)
		c.Close()
	}
	o := newRack(1).options()
	o.Version = 3
	if _, err := Open(t.Context(), o); err == nil {
		t.Error("transaction.version 3 is taken")
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	r := newRack(1)
	r.made = true
	var b batch.Builder
	b.Add(time.UnixMilli(0), appendKey(nil, "id"), []byte{0, 1, 2})
	r.shelves[0].batches = append(r.shelves[0].batches, b.Batch())
	if _, err := Open(t.Context(), r.options()); !errors.Is(err, errRecord) {
		t.Errorf("%v", err)
	}
	r.shelves[0].batches = nil
	b.Add(time.UnixMilli(0), []byte{0, 9}, []byte{1})
	r.shelves[0].batches = append(r.shelves[0].batches, b.Batch())
	c, err := Open(t.Context(), r.options())
	if err != nil {
		t.Fatalf("a key of a later version: %v", err)
	}
	c.Close()
}
