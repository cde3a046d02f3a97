package drive

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// under replaces the stages by an executor.
func under(e plan.Executor) func(*plan.Scenario) {
	return func(sc *plan.Scenario) { sc.Stages, sc.Executor = nil, &e }
}

func TestRecordsAreCounted(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 3, 10_007} {
		res := run(t, fake(t), load(under(plan.Executor{Kind: "records", Records: n}), withGroup(1)))
		expect(t, res, plan.ExitPass)
		sc := res.Scenarios[0]
		if sc.Totals.Acked != n || sc.Totals.Offered != n || sc.Ledger[0].Views[0].Seen != n {
			t.Errorf("totals %+v, want %d records", sc.Totals, n)
		}
		st := sc.Stages
		if len(st) != 1 || st[0].Name != "records" || st[0].EndNs <= 0 || st[0].Records != n {
			t.Errorf("stages %+v, want one named records, as long as it took", st)
		}
		if rate := float64(n) / time.Duration(st[0].EndNs).Seconds(); math.Abs(sc.Totals.OfferedRate-rate) > 0.01*rate {
			t.Errorf("offered %v/s, want the %v/s that came out", sc.Totals.OfferedRate, rate)
		}
	}
}

// Twenty clients that think for 50 ms send less than 400 records a second, and no schedule makes them late.
func TestClientsWaitForTheirAnswers(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(under(plan.Executor{Kind: "clients", Clients: 20, Think: 50 * time.Millisecond, Duration: time.Second}), withGroup(1)))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if n := sc.Totals.Acked; n < 20 || n > 400 {
		t.Errorf("%d records in a second, want 20 to 400", n)
	}
	if sc.Peaks["in_flight"] > 20 {
		t.Errorf("%v records on their way, want 20 at most", sc.Peaks["in_flight"])
	}
	for _, m := range sc.Metrics {
		if m.Name == "produce.delay" && m.Whole.MaxNs > int64(time.Microsecond) {
			t.Errorf("delay %+v, want none: nobody had planned a time", m.Whole)
		}
	}
	if !strings.Contains(strings.Join(sc.Notes, "\n"), "closed model") {
		t.Errorf("notes %q do not say what the latencies are", sc.Notes)
	}
}

func TestFullSpeedKeepsItsWindow(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(under(plan.Executor{Kind: "full_speed", InFlight: 300, Duration: 700 * time.Millisecond}), func(sc *plan.Scenario) {
		sc.Warmup = 200 * time.Millisecond
	}))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if sc.Totals.Acked < 300 || sc.Peaks["in_flight"] > 300 {
		t.Errorf("%d records, %v in flight; want more than the window of 300, and never more on their way", sc.Totals.Acked, sc.Peaks["in_flight"])
	}
	if n := sc.Metrics[0].Whole.Count; n == 0 || n >= sc.Totals.Acked {
		t.Errorf("%d of %d records measured, want those after the warm-up", n, sc.Totals.Acked)
	}
}

// Transactions and a closed model: each client waits for the commit, so a transaction cannot be longer than there are clients.
func TestClientsInTransactions(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(under(plan.Executor{Kind: "clients", Clients: 10, Duration: 500 * time.Millisecond}), transactional(0.2)))
	expect(t, res, plan.ExitPass)
	counted(t, res.Scenarios[0], res.Scenarios[0].Totals.Handed)
	if res.Scenarios[0].Totals.Acked < 10 {
		t.Errorf("totals %+v", res.Scenarios[0].Totals)
	}
}

func TestStartPauses(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	res := run(t, fake(t), load(func(sc *plan.Scenario) { sc.Start = 300 * time.Millisecond }))
	expect(t, res, plan.ExitPass)
	if d := res.Scenarios[0].Started.Sub(begun); d < 300*time.Millisecond {
		t.Errorf("the first record was due %v after the beginning, want 300 ms or more", d)
	}
}

// The warm-up ends when the rate is steady; the stages come after it and alone are measured.
func TestSteadyWarmUp(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(1), func(sc *plan.Scenario) {
		sc.Steady = &plan.Steady{Metric: "produce.rate", Within: 0.5, Over: 3 * time.Second, Timeout: 30 * time.Second}
	}))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if sc.WarmupNs < int64(3*time.Second) || sc.Stages[0].Name != "warm-up" || sc.Stages[0].EndNs != sc.WarmupNs || sc.Stages[1].StartNs != sc.WarmupNs {
		t.Errorf("warm-up %d ns, stages %+v; want the cut at the end of a stage of its own", sc.WarmupNs, sc.Stages)
	}
	if n := sc.Metrics[0].Whole.Count; n != 1500 || sc.Totals.Acked <= 1500+2000 {
		t.Errorf("%d records measured of %d, want 1,500 and those of three seconds before", n, sc.Totals.Acked)
	}
	if f := sc.Validity.Findings[0]; f.Name != "steady before the first stage" || !f.Pass {
		t.Errorf("findings %+v", sc.Validity.Findings)
	}
}

func TestNeverSteadyIsInvalid(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(func(sc *plan.Scenario) {
		sc.Steady = &plan.Steady{Metric: "produce.latency", Stat: "p50", Within: 1e-9, Over: time.Second, Timeout: 2 * time.Second}
	}))
	expect(t, res, plan.ExitInvalid)
	if n := res.Scenarios[0].Metrics[0].Whole.Count; n != 1500 {
		t.Errorf("%d records measured, want the 1,500 of the stages all the same", n)
	}
}

func TestLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	series := func(f func(i int) float64) (list []sample) {
		for i := range 60 {
			list = append(list, sample{time.Duration(i+1) * time.Second, time.Second, f(i)})
		}
		return list
	}
	for name, c := range map[string]struct {
		samples []sample
		over    time.Duration
		within  float64
		want    bool
	}{
		"flat":               {series(func(int) float64 { return 1000 }), 30 * time.Second, 1e-9, true},
		"a little noise":     {series(func(int) float64 { return 1000 + 10*rng.Float64() }), 30 * time.Second, 0.02, true},
		"creeps":             {series(func(i int) float64 { return 1000 + 2*float64(i) }), 30 * time.Second, 0.04, false},
		"creeps, allowed":    {series(func(i int) float64 { return 1000 + 2*float64(i) }), 30 * time.Second, 0.06, true},
		"swings":             {series(func(i int) float64 { return 1000 + 50*float64(i%2) }), 30 * time.Second, 0.02, false},
		"settled after 20 s": {series(func(i int) float64 { return 1000 + max(0, 20-float64(i))*100 }), 30 * time.Second, 0.01, true},
		"and seen too long":  {series(func(i int) float64 { return 1000 + max(0, 20-float64(i))*100 }), 50 * time.Second, 0.01, false},
		"too short":          {series(func(int) float64 { return 1000 }), 61 * time.Second, 0.5, false},
		"two samples":        {series(func(int) float64 { return 1000 }), 2 * time.Second, 0.5, false},
		"nothing happens":    {series(func(int) float64 { return 0 }), 30 * time.Second, 0.02, true},
		"none":               {nil, time.Second, 1, false},
	} {
		if l := levelOf(c.samples, c.over); l.within(c.within) != c.want {
			t.Errorf("%s: %+v within %v is not %t", name, l, c.within, c.want)
		}
	}
}

// The search finds any bound to its tolerance, in as many steps as doubling and halving take.
func TestBounds(t *testing.T) {
	for _, limit := range []float64{1.5, 900, 10_000, 10_001, 123_456, 5e8} {
		b := bounds{start: 10_000, tolerance: 0.05}
		for {
			rate, ok := b.next()
			if !ok {
				break
			}
			b.tell(rate, rate <= limit)
		}
		if b.low > limit || b.low < limit*0.95 || b.high <= limit {
			t.Errorf("limit %v: found [%v, %v)", limit, b.low, b.high)
		}
		if most := int(math.Abs(math.Log2(limit/10_000))) + 8; b.probes > most {
			t.Errorf("limit %v: %d probes, want %d at most", limit, b.probes, most)
		}
	}
	b := bounds{start: 8, tolerance: 0.05} // nothing holds
	for {
		rate, ok := b.next()
		if !ok {
			break
		}
		b.tell(rate, false)
	}
	if b.low != 0 || b.probes != 4 {
		t.Errorf("%+v, want no rate that holds after 8, 4, 2 and 1", b)
	}
	b = bounds{start: plan.MaxRate, tolerance: 0.05} // everything does
	b.tell(plan.MaxRate, true)
	if _, ok := b.next(); ok {
		t.Error("there is no rate above the largest")
	}
}

// A made-up limit that does not depend on how busy the machine is: less than 400 records a second.
func TestFindMaxRate(t *testing.T) {
	t.Parallel()
	slo := plan.Threshold{Expr: "produce.rate < 400", Metric: "produce.rate", Op: "<", Value: 400}
	res := run(t, fake(t), load(under(plan.Executor{Kind: "find_max_rate", SLO: []plan.Threshold{slo}, StartRate: 150, Hold: time.Second, Tolerance: 0.3}), withGroup(1),
		func(sc *plan.Scenario) { sc.Warmup = 200 * time.Millisecond }))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	var held []bool
	for _, p := range sc.Probes {
		held = append(held, p.Pass)
	}
	// 150, 300 and 600 by doubling, 450 and 375 by halving what is between: 375 to 450 is close enough.
	if want := []bool{true, true, false, false, true}; sc.MaxRate != 375 || !slices.Equal(held, want) {
		t.Errorf("found %v/s; probes %+v; want 375/s, after %v", sc.MaxRate, sc.Probes, want)
	}
	if sc.Totals.Acked != int64(math.Ceil(sc.MaxRate)) || len(sc.Stages) != 1 || sc.Stages[0].From != sc.MaxRate || len(sc.Thresholds) != 1 || !sc.Thresholds[0].Pass {
		t.Errorf("totals %+v, stages %+v, thresholds %+v: want those of the highest rate that held", sc.Totals, sc.Stages, sc.Thresholds)
	}
	if sc.Ledger[0].Acked <= sc.Totals.Acked {
		t.Errorf("%d records verified, want those of all probes", sc.Ledger[0].Acked)
	}
	if sc.WarmupNs != 0 || sc.Series[0].TNs <= 0 || sc.Series[0].TNs > int64(1100*time.Millisecond) {
		t.Errorf("the series does not begin with the probe: %+v", sc.Series[0])
	}
}

func TestFindMaxRateThatDoesNotExist(t *testing.T) {
	t.Parallel()
	slo := plan.Threshold{Expr: "produce.latency.p50 < 1ns", Metric: "produce.latency", Stat: "p50", Op: "<", Value: 1}
	res := run(t, fake(t), load(under(plan.Executor{Kind: "find_max_rate", SLO: []plan.Threshold{slo}, StartRate: 6, Hold: 300 * time.Millisecond, Tolerance: 0.1})))
	expect(t, res, plan.ExitThreshold)
	sc := res.Scenarios[0]
	if sc.MaxRate != 0 || len(sc.Probes) != 3 || strings.Contains(sc.Probes[2].Detail, "p50 < 1ns does not hold") == false {
		t.Errorf("found %v, probes %+v; want none after 6, 3 and 1.5", sc.MaxRate, sc.Probes)
	}
}
