package report

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// pages is where the tests leave the pages that they make: go test ./loadscript/internal/report -run Page -args -pages DIR
var pages = flag.String("pages", "", "leave the pages in this folder, to look at")

// keepPage writes a page to where -pages says.
func keepPage(t *testing.T, name, html string) {
	t.Helper()
	if *pages == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*pages, name+".html"), []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plausible is a run as one sees them: secs seconds against three brokers, a spike in the middle, a broker killed in it, two
// groups of which one falls behind. The same seed gives the same run.
func plausible(secs int, seed uint64) *Results {
	rnd := rand.New(rand.NewPCG(seed, 1))
	started := time.Unix(1_795_000_000, 0).UTC()
	end := int64(secs) * 1e9
	at := func(f float64) int64 { return int64(f*float64(secs)) * 1e9 }
	s := Scenario{
		Name: "spike", Seed: seed, Ran: true, Started: started, WarmupNs: at(.06),
		Flows: []string{"produce orders: 4 producers, 1KiB values, keys zipf(100000, s=0.99), acks=all, idempotent=true, compression none, linger 0s", "consume orders: group billing, 4 members, from earliest, read_uncommitted", "consume orders: group audit, 2 members, from earliest, read_committed"},
		Stages: []Stage{
			{Name: "before", EndNs: at(.3), From: 2000, To: 2000}, {Name: "up", StartNs: at(.3), EndNs: at(.35), From: 2000, To: 12_000},
			{Name: "spike", StartNs: at(.35), EndNs: at(.6), From: 12_000, To: 12_000}, {Name: "down", StartNs: at(.6), EndNs: at(.65), From: 12_000, To: 2000},
			{Name: "after", StartNs: at(.65), EndNs: end, From: 2000, To: 2000},
		},
		Drain: Drain{TookNs: 4e8, Converged: true}, Validity: Validity{Valid: true, Findings: []Finding{
			{Name: "generator lag p99", Required: "<= 20 ms", Measured: "1.9 ms", Pass: true}, {Name: "records handed over", Required: ">= 99 % of the plan", Measured: "100.00 %", Pass: true},
		}},
		Peaks: map[string]float64{"lag": 0, "in_flight": 0},
	}
	topic := plan.Topic{Name: "orders", Partitions: 12, Replication: 3, MinInsync: 2}
	s.Config = plan.Scenario{Name: "spike", Arrivals: plan.Poisson, Seed: seed, Drain: time.Minute, Warmup: time.Duration(s.WarmupNs), Verify: []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption},
		Produce: []plan.Produce{{Topic: topic, Producers: 4}}, Consume: []plan.Consume{{Topic: topic, Group: "billing", Members: 4}, {Topic: topic, Group: "audit", Members: 2}}}
	kill, back := at(.45), at(.45)+max(at(.1), 2e9)
	s.Events = []Event{
		{TNs: kill, EndNs: back, Kind: "fault", Name: "kill leader(orders/0)", Target: "broker 2 (10.0.0.2:9092)"},
		{TNs: kill + 2e9, Kind: "leader", Name: "orders/0", Detail: "2 → 3"}, {TNs: kill + 3e9, Kind: "rebalance", Name: "billing", Detail: "took 1.2 s"},
		{TNs: back + 5e9, Kind: "leader", Name: "orders/0", Detail: "3 → 2"},
	}
	s.Recoveries = []Recovery{{Fault: "kill leader(orders/0)", Target: "broker 2 (10.0.0.2:9092)", BeginNs: kill, EndNs: back, UnavailableNs: 2_310_000_000, RecoveryNs: 4_200_000_000, Detail: "rate 11.4k to 12.6k/s, p99 below 24 ms"}}
	for _, p := range []int32{0, 3, 6, 9} {
		s.Silences = append(s.Silences, Silence{"orders", p, kill + rnd.Int64N(5e7), kill + 2e9 + rnd.Int64N(5e8)})
	}
	s.Silences = append(s.Silences, Silence{"orders", 3, back + 4e9, back + 48e8})

	var whole hist.Histogram = *hist.New()
	stages := make([]*hist.Histogram, len(s.Stages))
	for i := range stages {
		stages[i] = hist.New()
	}
	width := max((secs+599)/600, 1)
	heat := &Heat{WidthNs: int64(width) * 1e9}
	for e := 2e5; e < 6e10; e *= 1.3 {
		heat.EdgesNs = append(heat.EdgesNs, int64(e))
	}
	waiting, audit, h := 0.0, 0.0, hist.New()
	samples := max(200, min(2000, 200_000/secs)) // of each second
	for i := range secs {
		t := int64(i) * 1e9
		stage := 0
		for s.Stages[stage].EndNs <= t {
			stage++
		}
		st := &s.Stages[stage]
		rate := st.From + (st.To-st.From)*float64(t-st.StartNs)/float64(st.EndNs-st.StartNs)
		load := rate / 12_000
		down := t >= kill && t < kill+3e9
		offered := rate + rnd.NormFloat64()*math.Sqrt(rate)
		capacity := 16_000.0
		if down {
			capacity = 6500
		}
		handed := waiting + offered
		acked := min(handed, capacity)
		waiting = handed - acked
		h.Reset()
		base, spread := 1.1+2.5*load*load, .35+.2*load
		if t >= kill && t < back {
			base, spread = base*1.8, spread+.15
		}
		for range samples {
			v := base * math.Exp(rnd.NormFloat64()*spread)
			if rnd.Float64() < .002 {
				v *= 6
			}
			if down && rnd.Float64() < .35 {
				v += rnd.Float64() * 2300
			}
			h.Record(time.Duration(v * 1e6))
		}
		stages[stage].Merge(h)
		whole.Merge(h)
		if i%width == 0 {
			heat.Columns = append(heat.Columns, make([]int64, len(heat.EdgesNs)-1))
		}
		edges := make([]time.Duration, len(heat.EdgesNs))
		for j, e := range heat.EdgesNs {
			edges[j] = time.Duration(e)
		}
		below, col := h.Below(edges), heat.Columns[len(heat.Columns)-1]
		for j := range col {
			col[j] += (below[j+1] - below[j]) * int64(acked) / int64(samples)
		}
		q := NewQuantiles(h.Summary())
		q.N = int64(acked)
		e2e := q
		e2e.P50Ns, e2e.P99Ns, e2e.P999Ns, e2e.MaxNs = q.P50Ns*13/10, q.P99Ns*12/10+3e6, q.P999Ns*11/10+4e6, q.MaxNs+6e6
		audit = max(audit+acked-7000, 40*rnd.Float64())
		row := Second{
			TNs: t + 1e9, WidthNs: 1e9, Offered: offered, Handed: int64(handed), Acked: int64(acked), Delivered: int64(acked), InFlight: int64(acked*base/1000 + waiting),
			Lag: int64(max(audit, 30*rnd.Float64())), Produce: q, Service: q, Delay: Quantiles{q.N, 4e5, 7e5, 1_900_000, 25e5, 4e6}, E2E: e2e,
			GenCPU: .2 + load*.9 + rnd.Float64()*.05, GenRSS: 180<<20 + int64(rnd.IntN(12<<20)), GCPauseNs: int64(rnd.IntN(900_000)), BrokerCPU: 0,
			Lags: map[string]int64{"billing": int64(20 + rnd.Float64()*60 + waiting), "audit": int64(audit)},
		}
		if down {
			row.Errors = int64(rnd.IntN(40))
		}
		for id := range int32(3) {
			b := Broker{ID: id + 1, CPU: (.1 + load*.6) * (1 + rnd.Float64()*.1), RSS: 420<<20 + int64(i)*300_000 + int64(id)*20<<20 + int64(rnd.IntN(8<<20)), DiskRead: rnd.Float64() * 2e5, DiskWrite: acked * 1100 * (1 + rnd.Float64()*.2), NetIn: acked * 1150, NetOut: acked * 2400, FDs: 200, Goroutines: 90}
			if id == 1 && t >= kill && t < back {
				b = Broker{ID: 2, CPU: -1, RSS: -1, DiskRead: -1, DiskWrite: -1, NetIn: -1, NetOut: -1, FDs: -1, Goroutines: -1}
			}
			row.BrokerCPU += max(b.CPU, 0)
			row.Brokers = append(row.Brokers, b)
		}
		s.Series = append(s.Series, row)
		s.Totals.Offered += int64(offered)
		s.Totals.Acked += int64(acked)
		s.Totals.Unknown += row.Errors
		st.Records += int64(acked)
		st.Errors += row.Errors
		s.Peaks["lag"] = max(s.Peaks["lag"], float64(row.Lag))
	}
	s.Heat = heat
	for i := range s.Stages {
		st := &s.Stages[i]
		st.OfferedRate = (st.From + st.To) / 2
		st.AckedRate = float64(st.Records) / seconds(st.EndNs-st.StartNs)
		st.ConsumeRate = st.AckedRate
		s.Curves = append(s.Curves, sampleCurve("produce.latency", st.Name, stages[i]), sampleCurve("e2e.latency", st.Name, stages[i]))
	}
	t := &s.Totals
	t.Handed, t.Delivered, t.Bytes = t.Acked, t.Acked, t.Acked<<10
	t.OfferedRate, t.AckedRate, t.ConsumeRate = float64(t.Offered)/float64(secs), float64(t.Acked)/float64(secs), float64(t.Acked)/float64(secs)
	l := NewLatency(&whole)
	l.Count = t.Acked
	for _, name := range []string{"produce.latency", "produce.service_time", "produce.delay", "e2e.latency"} {
		m := Metric{Name: name, Whole: l}
		for _, h := range stages {
			m.Stages = append(m.Stages, NewLatency(h))
		}
		s.Metrics = append(s.Metrics, m)
	}
	s.Ledger = []ledger.Verdict{{Topic: "orders", Sent: t.Acked, Acked: t.Acked, Unknown: t.Unknown}}
	for _, n := range []string{"no_loss", "no_duplicates", "in_order", "no_corruption"} {
		s.Invariants = append(s.Invariants, Invariant{Name: n, Judged: true, Pass: true, Detail: fmt.Sprintf("%s acknowledged, 0 violations", formatCount(t.Acked))})
	}
	s.Thresholds = []Threshold{
		{Expr: "produce.latency.p99 < 50ms", Shown: FormatLatency(l.P99Ns), Pass: l.P99Ns < 5e7}, {Expr: "recovery.time < 15s", Shown: "4.20 s", Pass: true}, {Expr: "errors.rate < 0.1%", Shown: "0.02%", Pass: true},
	}
	s.Trends = []Trend{{Expr: "broker.memory.rss < 1MiB/h", Shown: "1.03 GiB/h", Pass: true, Weak: true}}
	return &Results{
		Schema: SchemaVersion, RunID: "c533fd11b2478fe9", Script: "scripts/spike.star", Title: "A spike with a broker killed in the middle of it", Version: "0.1.0 (4f02fbf)",
		Params: []plan.Param{{Name: "rate", Value: "2k/s", Set: true}, {Name: "spike_rate", Value: "12k/s", Set: true}, {Name: "partitions", Value: "12"}}, Started: started, ElapsedNs: end + 3e9,
		Sources: []Source{{"scripts/spike.star", "5f0c9ae6b1c1f4bd7c0f1d5c5be5c2a45b0e3b1f7f9a3f16a0a8ad4f3c6f2d11"}},
		Host:    Host{Name: "bench-1", OS: "linux", Arch: "amd64", Kernel: "6.12.9", CPU: "AMD EPYC 9654", Cores: 16, Memory: 64 << 30, Go: "go1.26.8"},
		Cluster: Cluster{Brokers: []string{"10.0.0.1:9092", "10.0.0.2:9092", "10.0.0.3:9092"}, Nodes: 3}, Scenarios: []Scenario{s},
		Verdict: Verdict{Pass: true, Meaning: "passed: every threshold and every invariant held"},
	}
}

func TestPageOfAnHour(t *testing.T) {
	html := render(t, plausible(3600, 1))
	keepPage(t, "hour", html)
	if n := len(html); n > 500_000 {
		t.Errorf("an hour of seconds with three brokers takes %d bytes, want less than 500,000", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
