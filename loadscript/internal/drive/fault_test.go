package drive

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/mock"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// plain switches idempotence off: kfake refuses the broken sequences that some faults leave behind.
func plain(sc *plan.Scenario) { sc.Produce[0].Idempotent = false }

// mocked starts a broker that misbehaves, and makes sure in the end that it did.
func mocked(t *testing.T, opts mock.Options) *kfake.Cluster {
	t.Helper()
	b, err := mock.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if err := b.Err(); err != nil || b.Done() == 0 {
			t.Errorf("the broker did its misdeed %d times: %v", b.Done(), err)
		}
	})
	return b.Cluster
}

// broken lists the invariants that a scenario violated.
func broken(sc report.Scenario) (names []string) {
	for _, v := range sc.Invariants {
		if v.Judged && v.Count > 0 {
			names = append(names, v.Name)
		}
	}
	return names
}

func expectBroken(t *testing.T, res *report.Results, want ...string) {
	t.Helper()
	expect(t, res, plan.ExitInvariant)
	if got := broken(res.Scenarios[0]); !slices.Equal(got, want) {
		t.Errorf("broken %v, want %v\n%v", got, want, res.Verdict.Reasons)
	}
	for _, v := range res.Scenarios[0].Invariants {
		if v.Count > 0 && len(v.Examples) == 0 {
			t.Errorf("%s: no example proves it", v.Name)
		}
	}
}

// What each misdeed breaks, in this package's own terms; `loadscript selftest` tries them as well.
func TestMisdeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		misdeed mock.Misdeed
		change  func(*plan.Scenario)
		broken  []string
	}{
		{mock.Lose, nil, []string{"no_loss"}},
		{mock.Lose, withGroup(2), []string{"no_loss"}},
		{mock.Rollback, nil, []string{"no_loss", "consistent_offsets"}},
		{mock.Repeat, withGroup(2), []string{"no_duplicates"}},
		{mock.Reorder, nil, []string{"in_order"}},
		{mock.Corrupt, withGroup(1), []string{"no_corruption"}},
		{mock.Garble, withGroup(1), []string{"no_corruption"}},
		{mock.KeepRefused, nil, []string{"no_phantoms"}},
		{mock.Misplace, withGroup(2), []string{"consistent_offsets"}},
	} {
		name, change := string(c.misdeed)+", read back", c.change
		if change != nil {
			name = string(c.misdeed) + ", read by a group"
		} else {
			change = func(*plan.Scenario) {}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(plain, change)
			p.Scenarios[0].Drain = 2 * time.Second
			expectBroken(t, run(t, mocked(t, mock.Options{Misdeed: c.misdeed}), p), c.broken...)
		})
	}
}

// A definite refusal is a failed record: an error, no loss, and no phantom as it is not there.
func TestRefusedRecordsAreFailed(t *testing.T) {
	t.Parallel()
	c := fake(t)
	var seen atomic.Int32
	c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: 3,
		When: func(kmsg.Request) bool { return seen.Add(1) > 40 },
	})
	p := load(plain)
	p.Scenarios[0].Thresholds = []plan.Threshold{{Expr: "errors.rate < 0.01%", Metric: "errors.rate", Op: "<", Value: 0.0001}}
	res := run(t, c, p)
	expect(t, res, plan.ExitThreshold)
	tot := res.Scenarios[0].Totals
	if tot.Failed == 0 || tot.Unknown != 0 || tot.Acked+tot.Failed != 1500 || len(broken(res.Scenarios[0])) > 0 {
		t.Errorf("totals %+v, broken %v: want some failed, none unknown", tot, broken(res.Scenarios[0]))
	}
}

// NOT_ENOUGH_REPLICAS_AFTER_APPEND: the record is there, the broker says it does not know. The client sends it again; without
// idempotence that is a duplicate, with idempotence it is none.
func TestRetriesWithoutIdempotenceDuplicate(t *testing.T) {
	t.Parallel()
	for _, idempotent := range []bool{false, true} {
		c := fake(t)
		var seen atomic.Int32
		c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1,
			When: func(kmsg.Request) bool { return seen.Add(1) > 40 },
		})
		res := run(t, c, load(func(sc *plan.Scenario) { sc.Produce[0].Idempotent = idempotent }))
		dups := res.Scenarios[0].Ledger[0].Duplicates
		if idempotent && dups != 0 || !idempotent && dups == 0 {
			t.Errorf("idempotent=%t: %d duplicates", idempotent, dups)
		}
		if res.Scenarios[0].Ledger[0].Lost != 0 {
			t.Errorf("idempotent=%t: lost records: %v", idempotent, res.Verdict.Reasons)
		}
	}
}

// A broker that freezes for a second must show in the latency from the intended time, although few records were sent to it
// meanwhile: with an in-flight limit of 8, measuring from the real send would hide the freeze from all but eight of them.
func TestCoordinatedOmission(t *testing.T) {
	t.Parallel()
	c := mocked(t, mock.Options{Misdeed: mock.Freeze, Pause: time.Second})
	p := load(func(sc *plan.Scenario) {
		sc.MaxInFlight = 8
		sc.Produce[0].Producers = 1
		sc.Produce[0].Topic.Partitions = 1
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: 3 * time.Second, From: 400, To: 400}}
	})
	res := run(t, c, p)
	sc := res.Scenarios[0]
	if sc.Totals.Acked != 1200 || sc.Totals.Dropped != 0 {
		t.Fatalf("totals %+v, want all 1,200 records", sc.Totals)
	}
	latency, service := sc.Metrics[0].Whole, sc.Metrics[1].Whole
	// A second of 400/s was due during the freeze: a third of all records waited, evenly from 0 to 1 s. So the p90 of all is
	// at about 700 ms; a tenth of that is enough to tell it from the eight that were in flight.
	if latency.P90Ns < int64(70*time.Millisecond)*3 {
		t.Errorf("p90 from the intended time is %s: the freeze is hidden", report.FormatLatency(latency.P90Ns))
	}
	if service.P90Ns > latency.P90Ns/2 {
		t.Errorf("p90 of the service time is %s, of the latency %s: the in-flight limit did not hold", report.FormatLatency(service.P90Ns), report.FormatLatency(latency.P90Ns))
	}
	if sc.Totals.Pressed == 0 || sc.Peaks["unavailable_ns"] < float64(500*time.Millisecond) {
		t.Errorf("pressed %d, unavailable %v: want the freeze in both", sc.Totals.Pressed, time.Duration(sc.Peaks["unavailable_ns"]))
	}
	for _, f := range sc.Validity.Findings {
		if !f.Pass && f.Name == "records handed over" {
			t.Errorf("the broker pushed back, and the generator is blamed: %+v", f)
		}
	}
}

func TestTooLateIsDroppedAndFailsTheRun(t *testing.T) {
	t.Parallel()
	c := mocked(t, mock.Options{Misdeed: mock.Freeze, Pause: time.Second})
	p := load(func(sc *plan.Scenario) { sc.MaxInFlight = 8 })
	res := Run(t.Context(), p, options(c, Options{LateLimit: 300 * time.Millisecond}))
	tot := res.Scenarios[0].Totals
	if tot.Dropped == 0 || tot.Handed+tot.Dropped != 1500 || tot.Acked != tot.Handed {
		t.Errorf("totals %+v, want some dropped and the others acknowledged", tot)
	}
	expect(t, res, plan.ExitThreshold)
}

func TestInterruptStillVerifies(t *testing.T) { // D4
	t.Parallel()
	c := fake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := load(withGroup(2), func(sc *plan.Scenario) { sc.Stages[0].Duration = time.Hour })
	res := Run(ctx, p, options(c, Options{Progress: func(s report.Snapshot) {
		if s.Elapsed >= time.Second {
			cancel()
		}
	}}))
	expect(t, res, plan.ExitSignal)
	sc := res.Scenarios[0]
	if !res.Interrupted || sc.Totals.Acked == 0 || sc.Totals.Acked != sc.Ledger[0].Acked || sc.Ledger[0].Unseen != 0 {
		t.Errorf("interrupted %t, totals %+v, ledger %+v: want what was sent, verified", res.Interrupted, sc.Totals, sc.Ledger[0])
	}
	if c.TopicInfo("orders") != nil {
		t.Error("the interrupted run left its topic behind")
	}
}

func TestInterruptBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res := Run(ctx, load(), Options{Brokers: fake(t).ListenAddrs()})
	expect(t, res, plan.ExitSignal)
}

func TestBrokerDiesUnderLoad(t *testing.T) {
	t.Parallel()
	c := fake(t)
	dead := make(chan struct{})
	p := load(withGroup(1), func(sc *plan.Scenario) { sc.Stages[0].Duration = time.Hour })
	res := Run(t.Context(), p, options(c, Options{
		Dead: dead, Brief: 300 * time.Millisecond,
		Progress: func(s report.Snapshot) {
			if s.Elapsed >= time.Second && s.Phase == "running" && !died(dead) {
				c.Close()
				close(dead)
			}
		},
	}))
	expect(t, res, plan.ExitUnreachable)
	if sc := res.Scenarios[0]; sc.Totals.Acked == 0 || len(broken(sc)) != 0 {
		t.Errorf("totals %+v, broken %v: what was acknowledged before counts, and nothing proves a loss", sc.Totals, broken(sc))
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	c := fake(t)
	addrs := c.ListenAddrs()
	c.Close()
	res := Run(t.Context(), load(), Options{Brokers: addrs, Prepare: 500 * time.Millisecond})
	expect(t, res, plan.ExitUnreachable)
}

func TestSlowConsumerDoesNotConverge(t *testing.T) {
	t.Parallel()
	p := load(withGroup(1), func(sc *plan.Scenario) {
		sc.Consume[0].ThinkTime = 5 * time.Millisecond
		sc.Drain = 300 * time.Millisecond
	})
	res := run(t, fake(t), p)
	expect(t, res, plan.ExitThreshold)
	sc := res.Scenarios[0]
	if sc.Drain.Converged || len(broken(sc)) != 0 || sc.Ledger[0].Unseen != 0 {
		t.Errorf("drain %+v, broken %v, ledger %+v: want a slow reader, and the log read back in full", sc.Drain, broken(sc), sc.Ledger[0])
	}
}
