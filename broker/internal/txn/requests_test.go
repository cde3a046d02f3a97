package txn

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

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
