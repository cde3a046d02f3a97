package txn

import (
	"errors"
	"fmt"
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
		if n := r.shelves[partition.ForKey("id", 4)].count(); n != 3 {
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

// TestTheWallClockJumps: what is written down follows it, what times out does not.
func TestTheWallClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const year = 365 * 24 * time.Hour
		var skew atomic.Int64
		now := func() time.Time { return time.Now().Round(0).Add(time.Duration(skew.Load())) }
		r := newRack(1)
		c := r.start(t, func(o *Options) { o.Now = now })
		state := func(id string, want State, when string) {
			t.Helper()
			synctest.Wait()
			if d, err := c.Describe(id); err != nil || d.State != want {
				t.Errorf("%s %s: %+v, %v", id, when, d, err)
			}
		}
		initID(t, c, "idle")
		for _, by := range []time.Duration{year, -year, 0} {
			skew.Store(int64(by))
			me := initID(t, c, "busy")
			is(t, "add", wait(t, c.AddPartitions("busy", me, tps(0), 0)).Err, nil)
			if d, _ := c.Describe("busy"); d.StartedMs != now().UnixMilli() {
				t.Errorf("it began at %d by a clock that says %v", d.StartedMs, now())
			}
			for _, jump := range []time.Duration{0, year, -year} {
				skew.Store(int64(jump))
				time.Sleep(18 * time.Second)
				state("busy", Ongoing, "before its minute is over")
				state("idle", Empty, "within the week")
			}
			time.Sleep(17 * time.Second)
			state("busy", CompleteAbort, "a minute and a round later")
		}
		skew.Store(int64(year))
		is(t, "add", wait(t, c.AddPartitions("idle", Producer{1, 0}, tps(0), 0)).Err, nil)
		c.Close()
		skew.Store(0) // what it finds was written a year ahead
		c = r.start(t, func(o *Options) { o.Now = now })
		defer c.Close()
		time.Sleep(59 * time.Second)
		state("idle", Ongoing, "after a restart")
		time.Sleep(12 * time.Second)
		state("idle", CompleteAbort, "when its time is over")
		time.Sleep(8 * 24 * time.Hour)
		for _, id := range []string{"idle", "busy"} {
			if d, err := c.Describe(id); err == nil {
				t.Errorf("%s is not forgotten after a week: %+v", id, d)
			}
		}
	})
}
