package drive

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// minute is a scenario of 60 s at 1,000/s, the first 10 s of them the warm-up, that a test feeds with rows of its own.
func minute(t *testing.T, thresholds ...plan.Threshold) *scenario {
	t.Helper()
	p := load(func(sc *plan.Scenario) {
		sc.Stages = []plan.Stage{
			{Kind: "hold", Name: "steady", Duration: 40 * time.Second, From: 1000, To: 1000},
			{Kind: "hold", Name: "peak", Duration: 20 * time.Second, From: 1000, To: 1000},
		}
		sc.Warmup = 10 * time.Second
		sc.Thresholds = thresholds
	})
	opts := Options{}
	opts.defaults()
	return newScenario(p, 0, nil, nil, opts)
}

// feed lets the scenario look at a second whose latencies are all the same.
func (s *scenario) feed(row report.Second, latency time.Duration) {
	h := hist.New()
	for range row.Acked {
		h.Record(latency)
	}
	s.meter.look(tick{Second: row, latencies: map[string]*hist.Histogram{"produce.latency": h}})
	s.meter.mu.Lock()
	s.meter.rows.add(row)
	s.meter.mu.Unlock()
}

// judged is the first threshold's judgement.
func (s *scenario) judged() report.Threshold {
	return s.threshold(&report.Scenario{Series: s.meter.series(), Recoveries: s.meter.recoveries.results(nil)}, s.plan.Thresholds[0])
}

func TestWindows(t *testing.T) {
	slow := func(seconds ...int) func(int) time.Duration {
		return func(end int) time.Duration {
			for _, s := range seconds {
				if s == end {
					return 90 * time.Millisecond
				}
			}
			return 5 * time.Millisecond
		}
	}
	p99 := plan.Threshold{Expr: "p99 < 50ms", Metric: "produce.latency", Stat: "p99", Op: "<", Value: 50e6, Window: 10 * time.Second}
	for name, c := range map[string]struct {
		latency func(end int) time.Duration
		of      float64
		during  string
		pass    bool
		shown   string
	}{
		"all hold":                                {slow(), 0, "", true, "5 of 5 windows held, worst 5"},
		"one does not, all must":                  {slow(33), 0, "", false, "4 of 5 windows held, worst 90"},
		"one does not, four fifths must":          {slow(33), 0.8, "", true, "4 of 5 windows held, worst 90"},
		"two do not, four fifths must":            {slow(33, 44), 0.8, "", false, "3 of 5"},
		"two seconds of one window":               {slow(31, 39), 0.8, "", true, "4 of 5"},
		"what is slow in the warm-up is left out": {slow(3, 7), 0, "", true, "5 of 5"},
		"during a stage":                          {slow(33), 0, "peak", true, "2 of 2"},
	} {
		th := p99
		th.OfWindows, th.During = c.of, c.during
		s := minute(t, th)
		for end := 1; end <= 60; end++ {
			s.feed(second(end, 1000, 1000, 5), c.latency(end))
		}
		out := s.judged()
		if out.Pass != c.pass || !strings.HasPrefix(out.Shown, c.shown) || out.Weak {
			t.Errorf("%s: %+v, want pass %t and %q", name, out, c.pass, c.shown)
		}
	}
	// Windows in which records were sent and none was acknowledged do not hold; those with too few samples are weak.
	s := minute(t, p99)
	for end := 1; end <= 60; end++ {
		acked := int64(1000)
		if end > 30 {
			acked = 0
		}
		if end > 50 {
			acked = 20
		}
		s.feed(second(end, 1000, acked, 5), 5*time.Millisecond)
	}
	if out := s.judged(); out.Pass || !out.Weak || !strings.HasPrefix(out.Shown, "3 of 5 windows held, worst none") {
		t.Errorf("two silent windows: %+v", out)
	}
	s = minute(t, p99)
	s.feed(second(1, 1000, 1000, 5), time.Millisecond)
	if out := s.judged(); out.Pass || out.Shown != "no samples" {
		t.Errorf("no whole window: %+v", out)
	}
}

// A whole second is split between the two windows that it lies in.
func TestWindowsOfRates(t *testing.T) {
	s := minute(t, plan.Threshold{Expr: "rate > 900", Metric: "produce.rate", Op: ">", Value: 900, Window: 2500 * time.Millisecond})
	for end := 1; end <= 60; end++ {
		acked := int64(1000)
		if end == 13 { // 12 to 13 s: half of it in the window that ends at 12.5 s, half in the next
			acked = 0
		}
		s.feed(second(end, 1000, acked, 5), time.Millisecond)
	}
	if out := s.judged(); out.Pass || out.Shown != "18 of 20 windows held, worst 800/s" {
		t.Errorf("%+v, want two windows at 800/s", out)
	}
}

func TestOutsideFaults(t *testing.T) {
	th := plan.Threshold{Expr: "max < 50ms", Metric: "produce.latency", Stat: "max", Op: "<", Value: 50e6, OutsideFaults: true}
	for name, c := range map[string]struct {
		fault bool
		pass  bool
	}{"with the fault": {true, true}, "without": {false, false}} {
		s := minute(t, th)
		for end := 1; end <= 60; end++ {
			latency := 5 * time.Millisecond
			if end > 40 && end <= 44 {
				latency = 800 * time.Millisecond
			}
			if c.fault && end == 41 {
				s.timeline.add(report.Event{Kind: "fault", Name: "pause", TNs: 40e9, EndNs: 42e9})
			}
			s.feed(second(end, 1000, 1000, int64(latency/time.Millisecond)), latency)
		}
		out := s.judged()
		if out.Pass != c.pass {
			t.Errorf("%s: %+v, want pass %t", name, out, c.pass)
		}
		if c.fault && out.Samples != 43_000 { // 50 s without those from 40 s until the third good second at 47 s
			t.Errorf("%s: %d samples, want 43,000", name, out.Samples)
		}
	}
}

// What the metrics of brokers, generator and groups say in rows is what thresholds on them judge.
func TestGauges(t *testing.T) {
	brokers := func(end int) []report.Broker {
		return []report.Broker{
			{ID: 1, CPU: 0.5, RSS: 100 << 20, DiskRead: 1, DiskWrite: 50, NetIn: -1, NetOut: -1, FDs: 10, Goroutines: -1},
			{ID: 2, CPU: 0.25, RSS: 200<<20 + int64(end)<<10, DiskRead: 2, DiskWrite: 20, NetIn: -1, NetOut: -1, FDs: 20, Goroutines: -1},
		}
	}
	for _, c := range []struct {
		metric, stat, group string
		want                float64 // -1: not measured
	}{
		{"broker.cpu", "", "", 0.5}, {"broker.cpu", "max", "", 0.5}, {"broker.memory.rss", "max", "", 200<<20 + 60<<10},
		{"broker.disk.read", "mean", "", 2}, {"broker.disk.write", "max", "", 50}, {"broker.fds", "max", "", 20},
		{"broker.net.in", "max", "", -1}, {"broker.net.out", "", "", -1}, {"broker.goroutines", "max", "", -1},
		{"generator.cpu", "max", "", 0.75}, {"generator.memory.rss", "max", "", 64 << 20}, {"generator.gc_pause", "max", "", 3e6},
		{"consume.lag", "max", "", 600}, {"consume.lag", "", "", 600}, {"consume.lag", "max", "ledger", 60}, {"consume.lag", "max", "nobody", -1},
		{"consume.rate", "min", "", 980}, {"produce.rate", "mean", "", 1000}, {"errors.rate", "", "", 0.01},
		{"produce.unavailable", "", "", 0}, {"rebalance.duration", "max", "", 0}, {"recovery.time", "", "", -1},
	} {
		s := minute(t, plan.Threshold{Metric: c.metric, Stat: c.stat, Group: c.group, Op: "<", Value: math.MaxFloat64, OutsideFaults: c.metric == "errors.rate"})
		for end := 1; end <= 60; end++ {
			row := second(end, 1000, 1000, 5)
			row.Delivered, row.Errors = 980+int64(end%3), 10
			row.GenCPU, row.GenRSS, row.GCPauseNs, row.Brokers = 0.75, 64<<20, 3e6, brokers(end)
			row.Lag, row.Lags = int64(end)*10, map[string]int64{"audit": int64(end) * 10, "ledger": int64(end)}
			s.feed(row, time.Millisecond)
		}
		out := s.judged()
		if c.want == -1 {
			if out.Pass || out.Shown != "not measured" || out.Detail == "" {
				t.Errorf("%s.%s: %+v, want not measured", c.metric, c.stat, out)
			}
			continue
		}
		if !out.Pass || math.Abs(out.Value-c.want) > 1e-6*max(c.want, 1) {
			t.Errorf("%s.%s{%s} = %v (%s), want %v", c.metric, c.stat, c.group, out.Value, out.Shown, c.want)
		}
	}
}

// A threshold with abort stops the run in the first second in which it cannot hold any more, and no earlier.
func TestAbort(t *testing.T) {
	th := func(metric, stat, op string, value float64, window time.Duration) plan.Threshold {
		return plan.Threshold{Expr: metric, Metric: metric, Stat: stat, Op: op, Value: value, Window: window, Abort: true}
	}
	for name, c := range map[string]struct {
		t    plan.Threshold
		from int // slow, silent and full of errors from this second on
		want int // second of the abort; 0: never
	}{
		// 50,000 records are measured: 500 of them may be slower, and 501 are within the first slow second.
		"p99":                     {th("produce.latency", "p99", "<", 50e6, 0), 20, 20},
		"p50":                     {th("produce.latency", "p50", "<", 50e6, 0), 20, 45}, // 25,000 may be slower
		"max":                     {th("produce.latency", "max", "<", 50e6, 0), 33, 33},
		"p99 that can still hold": {th("produce.latency", "p99", "<", 950e6, 0), 20, 0},
		"errors":                  {th("errors.rate", "", "<", 0.05, 0), 20, 44}, // 100 of 50,000 a second: 2,500 are too many
		"dropped":                 {th("dropped", "", "<=", 100, 0), 20, 22},
		"lag":                     {th("consume.lag", "max", "<", 1000, 0), 20, 30},
		"slowest second":          {th("produce.rate", "min", ">", 500, 0), 61, 0},
		"windows":                 {th("produce.latency", "p99", "<", 50e6, 10*time.Second), 25, 30},
		"not slow in the warm-up": {th("produce.latency", "max", "<", 50e6, 0), 61, 0},
	} {
		s := minute(t, c.t)
		aborted := 0
		for end := 1; end <= 60 && aborted == 0; end++ {
			row, latency := second(end, 1000, 1000, 5), time.Millisecond
			if end >= c.from || end < 5 && name == "not slow in the warm-up" {
				latency = 900 * time.Millisecond
				row.Errors, row.Dropped, row.Lag = 100, 50, int64(end-c.from)*100
			}
			s.feed(row, latency)
			select {
			case <-s.aborted:
				aborted = end
			default:
			}
		}
		if aborted != c.want {
			t.Errorf("%s: stopped at %d s, want %d s", name, aborted, c.want)
		}
	}
}

// What find_max_rate asks of a rate may be on windows, too; that it does not hold ends a probe and not the run.
func TestProbesAreJudgedByWindows(t *testing.T) {
	slo := plan.Threshold{Expr: "p99", Metric: "produce.latency", Stat: "p99", Op: "<", Value: 50e6, Window: 10 * time.Second, Abort: true}
	s := minute(t)
	s.plan.Executor = &plan.Executor{Kind: "find_max_rate", SLO: []plan.Threshold{slo}}
	s.meter.expect()
	for end := 1; end <= 60; end++ {
		latency := 5 * time.Millisecond
		if end > 30 && end <= 40 {
			latency = 90 * time.Millisecond
		}
		s.feed(second(end, 1000, 1000, 5), latency)
	}
	if out := s.threshold(&report.Scenario{Series: s.meter.series()}, slo); out.Pass || !strings.HasPrefix(out.Shown, "4 of 5 windows") {
		t.Errorf("%+v, want one window that did not hold", out)
	}
	select {
	case <-s.aborted:
		t.Error("a probe stopped the run")
	default:
	}
}

func TestTrends(t *testing.T) {
	seed := rand.Uint64()
	var rng *rand.Rand // anew for each case, so that they can come in any order
	side := -200.0
	for name, c := range map[string]struct {
		trend   plan.Trend
		seconds int
		rss     func(hours float64) float64 // MiB
		pass    bool
		weak    bool
		slope   float64
	}{
		"a leak of 5 MiB/h": {plan.Trend{Op: "<", Value: 1 << 20, Per: time.Hour}, 3600,
			func(h float64) float64 { return 100 + 5*h + rng.NormFloat64() }, false, false, 5 << 20},
		"flat": {plan.Trend{Op: "<", Value: 1 << 20, Per: time.Hour}, 3600,
			func(h float64) float64 { return 100 + 0.1*rng.NormFloat64() }, true, false, 0},
		"2 % of the mean an hour": {plan.Trend{Op: "<", Value: 0.01, Per: time.Hour, Relative: true}, 3600,
			func(h float64) float64 { return 100 + 2*h }, false, false, 0.0198},
		"downwards is fine": {plan.Trend{Op: "<", Value: 0.01, Per: time.Hour, Relative: true}, 3600,
			func(h float64) float64 { return 100 - 2*h }, true, false, -0.0202},
		"too short": {plan.Trend{Op: "<", Value: 1 << 20, Per: time.Hour}, 50,
			func(h float64) float64 { return 100 + 100*h }, false, true, 100 << 20},
		"too noisy to tell from the limit": {plan.Trend{Op: "<", Value: 1 << 20, Per: time.Hour}, 600,
			func(h float64) float64 { side = -side; return 300 + h + side }, false, true, math.NaN()}, // at random it would have a slope now and then
	} {
		rng = rand.New(rand.NewPCG(seed, 1))
		c.trend.Metric = "broker.memory.rss"
		tr := &trend{plan: c.trend}
		for end := 1; end <= c.seconds; end++ {
			row := report.Second{TNs: int64(end) * 1e9, WidthNs: 1e9, Brokers: []report.Broker{{RSS: int64(c.rss(float64(end)/3600) * (1 << 20))}}}
			tr.feed(tick{Second: row}, window{0, time.Hour})
		}
		out := tr.judge()
		if !math.IsNaN(c.slope) && (out.Pass != c.pass || math.Abs(out.Slope-c.slope) > max(math.Abs(c.slope)*0.1, 200<<10)) || out.Weak != c.weak {
			t.Errorf("%s: %+v, want slope %v, pass %t, weak %t; again: rand.NewPCG(%#x, 1)", name, out, c.slope, c.pass, c.weak, seed)
		}
	}
	if out := (&trend{plan: plan.Trend{Metric: "broker.memory.rss", Per: time.Hour}}).judge(); out.Pass || out.Weak || out.Shown != "not measured" {
		t.Errorf("without a value: %+v", out)
	}
}

// A failed trend fails the run, a weak one does not.
func TestWeakTrendsFailNothing(t *testing.T) {
	for weak, want := range map[bool]int{true: 0, false: 1} {
		if n := len(failures(&report.Scenario{Trends: []report.Trend{{Expr: "rss < 1MiB/h", Weak: weak}}}, false)); n != want {
			t.Errorf("weak %t: %d failures, want %d", weak, n, want)
		}
	}
}
