package drive

import (
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// judged is a scenario whose measurements a test writes itself: p99 of latency and of the generator's lag, and counts.
func judged(latency, lag time.Duration, counts pace.Counts, rows []report.Second, thresholds ...bool) (*scenario, *report.Scenario) {
	p := load()
	opts := Options{}
	opts.defaults()
	s := newScenario(p, 0, nil, nil, opts)
	s.counts = counts
	for i, row := range rows {
		row.TNs = int64(i+1) * int64(time.Second)
		s.meter.look(tick{Second: row})
	}
	l, g := s.meter.latency.Recorder(), s.meter.lag.Recorder()
	for range 1000 {
		l.Record(1, latency)
		g.Record(1, lag)
	}
	s.meter.latency.Fold()
	s.meter.lag.Fold()
	r := &report.Scenario{Series: rows, Totals: report.Totals{Acked: 1000}}
	for _, pass := range thresholds {
		s.plan.Thresholds = append(s.plan.Thresholds, plan.Threshold{Metric: "produce.latency", Stat: "p99", Op: "<"})
		r.Thresholds = append(r.Thresholds, report.Threshold{Pass: pass})
	}
	return s, r
}

func seconds(n int, cores float64) (rows []report.Second) {
	for range n {
		rows = append(rows, report.Second{WidthNs: int64(time.Second), GenCPU: cores})
	}
	return rows
}

func TestValidity(t *testing.T) {
	const ms = time.Millisecond
	full := pace.Counts{Offered: 1000, Handed: 1000}
	for name, c := range map[string]struct {
		latency, lag time.Duration
		counts       pace.Counts
		rows         []report.Second
		thresholds   []bool
		valid        bool
	}{
		"a quiet generator":                          {50 * ms, 2 * ms, full, nil, nil, true},
		"lag below the floor, large beside the p99":  {20 * ms, 15 * ms, full, nil, nil, true},
		"lag above the floor, small beside the p99":  {800 * ms, 60 * ms, full, nil, nil, true},
		"lag above both, no latency is judged":       {100 * ms, 60 * ms, full, nil, nil, true},
		"schedule not kept, no latency is judged":    {900 * ms, 600 * ms, full, nil, nil, false},
		"lag above both, thresholds hold in spite":   {100 * ms, 60 * ms, full, nil, []bool{true}, true},
		"lag above both, a threshold failed":         {100 * ms, 60 * ms, full, nil, []bool{true, false}, false},
		"generator takes the machine":                {50 * ms, 2 * ms, full, seconds(100, 1e6), nil, false},
		"generator took the machine for one second":  {50 * ms, 2 * ms, full, append(seconds(9, 0.1), seconds(1, 1e6)...), nil, true},
		"not handed over, broker did not push back":  {50 * ms, 2 * ms, pace.Counts{Offered: 1000, Handed: 900}, nil, nil, false},
		"not handed over because broker pushed back": {50 * ms, 2 * ms, pace.Counts{Offered: 1000, Handed: 900, Pressed: 10}, nil, nil, true},
	} {
		s, r := judged(c.latency, c.lag, c.counts, c.rows, c.thresholds...)
		if v := s.validity(r, false); v.Valid != c.valid {
			t.Errorf("%s: valid %t, want %t: %+v", name, v.Valid, c.valid, v.Findings)
		}
	}
	s, r := judged(50*ms, ms, full, nil)
	r.Totals.Acked = 0
	if s.validity(r, false).Valid {
		t.Error("a run without one acknowledged record was called valid")
	}
}

func TestWorstHarmWins(t *testing.T) {
	bad := report.Invariant{Name: "no_loss", Judged: true, Count: 3}
	unverified := report.Invariant{Name: "no_loss", Judged: true}
	threshold := report.Threshold{Expr: "x"}
	invalid := report.Validity{Findings: []report.Finding{{Name: "lag"}}}
	for name, c := range map[string]struct {
		scenario    report.Scenario
		interrupted bool
		want        plan.ExitCode
	}{
		"nothing":                    {report.Scenario{}, false, plan.ExitPass},
		"signal":                     {report.Scenario{}, true, plan.ExitSignal},
		"threshold over signal":      {report.Scenario{Thresholds: []report.Threshold{threshold}}, true, plan.ExitThreshold},
		"invalid over threshold":     {report.Scenario{Thresholds: []report.Threshold{threshold}, Validity: invalid}, false, plan.ExitInvalid},
		"unverified over invalid":    {report.Scenario{Invariants: []report.Invariant{unverified}, Validity: invalid}, false, plan.ExitUnreachable},
		"invariant over all":         {report.Scenario{Invariants: []report.Invariant{unverified, bad}, Validity: invalid, Thresholds: []report.Threshold{threshold}}, true, plan.ExitInvariant},
		"not asked for is no reason": {report.Scenario{Invariants: []report.Invariant{{Name: "in_order", Count: 9}}}, false, plan.ExitPass},
	} {
		code := plan.ExitPass
		for _, f := range failures(&c.scenario, c.interrupted) {
			code = plan.Worse(code, f.code)
		}
		if code != c.want {
			t.Errorf("%s: exit code %d, want %d", name, code, c.want)
		}
	}
}

func TestRateWeighsSecondsAtTheEdges(t *testing.T) {
	rows := []report.Second{
		{TNs: 1e9, WidthNs: 1e9, Acked: 100}, {TNs: 2e9, WidthNs: 1e9, Acked: 200}, {TNs: 3e9, WidthNs: 1e9, Acked: 300},
	}
	if got := rate(rows, window{500 * time.Millisecond, 2 * time.Second}, acked); got < 166 || got > 167 {
		t.Errorf("rate %v, want 50 and 200 in 1.5 s", got)
	}
	g := newGather("produce.rate", "min", "")
	for _, row := range append(rows, report.Second{TNs: 3.1e9, WidthNs: 1e8, Acked: 1}) {
		g.add(tick{Second: row}, window{0, 4 * time.Second})
	}
	var out report.Threshold
	if known := g.value(&out); !known || out.Value != 100 {
		t.Errorf("slowest whole second %v, want 100", out.Value)
	}
	if got := rate(nil, window{0, time.Second}, acked); got != 0 {
		t.Errorf("rate of nothing is %v", got)
	}
}
