package compare

import (
	"fmt"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// metric is a number that a run has per scenario.
type metric struct {
	name   string
	higher bool // is better
	show   func(float64) string
	of     func(*report.Scenario) (float64, bool) // false: the run does not have it
}

// metrics are what is compared: a handful, since each one more makes Holm's correction harder on all.
var metrics = []metric{
	{"produce.rate", true, showRate, func(s *report.Scenario) (float64, bool) {
		return s.Totals.AckedRate, len(s.Config.Produce) > 0
	}},
	{"max_rate", true, showRate, func(s *report.Scenario) (float64, bool) { return s.MaxRate, s.MaxRate > 0 }},
	{"produce.latency.p50", false, showLatency, latency("produce.latency", .5, func(l *report.Latency) int64 { return l.P50Ns })},
	{"produce.latency.p99", false, showLatency, latency("produce.latency", .99, func(l *report.Latency) int64 { return l.P99Ns })},
	{"produce.latency.p99.9", false, showLatency, latency("produce.latency", .999, func(l *report.Latency) int64 { return l.P999Ns })},
	{"consume.rate", true, showRate, func(s *report.Scenario) (float64, bool) {
		return s.Totals.ConsumeRate, len(s.Config.Consume) > 0
	}},
	{"e2e.latency.p50", false, showLatency, latency("e2e.latency", .5, func(l *report.Latency) int64 { return l.P50Ns })},
	{"e2e.latency.p99", false, showLatency, latency("e2e.latency", .99, func(l *report.Latency) int64 { return l.P99Ns })},
	{"errors.rate", false, plan.FormatPercent, func(s *report.Scenario) (float64, bool) { return s.Totals.ErrorsRate, true }},
	{"recovery.time.max", false, showLatency, recovery},
	{"broker.cpu", false, func(v float64) string { return fmt.Sprintf("%.2f s/M records", v) }, brokerCPU},
}

func showRate(v float64) string { return report.FormatRate(v) }

func showLatency(v float64) string { return report.FormatLatency(int64(v)) }

// latency picks a quantile of a metric, if it had enough samples (C3).
func latency(name string, q float64, of func(*report.Latency) int64) func(*report.Scenario) (float64, bool) {
	return func(s *report.Scenario) (float64, bool) {
		for i := range s.Metrics {
			if l := &s.Metrics[i].Whole; s.Metrics[i].Name == name && l.Count > 0 && hist.Enough(l.Count, q) {
				return float64(of(l)), true
			}
		}
		return 0, false
	}
}

// recovery is the slowest recovery in nanoseconds. A run that never recovered has no number: its verdict says so. Nor has one of
// which the slowest was cut short by the next fault.
func recovery(s *report.Scenario) (float64, bool) {
	worst, least := int64(0), int64(0)
	for i := range s.Recoveries {
		switch took, known := s.Recoveries[i].Took(); {
		case !known:
			least = max(least, took)
		case took < 0:
			return 0, false
		default:
			worst = max(worst, took)
		}
	}
	return float64(worst), len(s.Recoveries) > 0 && least <= worst
}

// brokerCPU is CPU seconds of all brokers per million acknowledged records.
func brokerCPU(s *report.Scenario) (float64, bool) {
	cpu, acked := 0.0, int64(0)
	for i := range s.Series {
		if s.Series[i].BrokerCPU < 0 {
			return 0, false
		}
		cpu += s.Series[i].BrokerCPU * time.Duration(s.Series[i].WidthNs).Seconds()
		acked += s.Series[i].Acked
	}
	return cpu / float64(max(acked, 1)) * 1e6, acked > 0 && cpu > 0
}

// differences lists what two groups were run with that is not the same, beside what was measured.
func differences(a, b *report.Results) (list []string) {
	differ := func(what, x, y string) {
		if x != y {
			list = append(list, fmt.Sprintf("%s: %s → %s", what, orNone(x), orNone(y)))
		}
	}
	differ("script", a.Script, b.Script)
	if a.Script == b.Script && len(a.Sources) > 0 && len(b.Sources) > 0 && fmt.Sprint(a.Sources) != fmt.Sprint(b.Sources) {
		list = append(list, "the script's text has changed")
	}
	values := map[string]string{}
	for _, p := range b.Params {
		values[p.Name] = p.Value
	}
	for _, p := range a.Params {
		differ("--"+p.Name, p.Value, values[p.Name])
	}
	differ("machine", a.Host.Name, b.Host.Name)
	differ("processor", a.Host.CPU, b.Host.CPU)
	differ("cores", fmt.Sprint(a.Host.Cores), fmt.Sprint(b.Host.Cores))
	differ("brokers", fmt.Sprint(a.Cluster.Nodes), fmt.Sprint(b.Cluster.Nodes))
	differ("broker settings", settings(a), settings(b))
	differ("kernel", a.Host.Kernel, b.Host.Kernel)
	differ("loadscript", a.Version, b.Version)
	differ("seeds", seeds(a), seeds(b))
	return list
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// settings are those of the brokers but for where each listens and keeps its data, which differ in every run of a broker of its own.
func settings(r *report.Results) string {
	var list []string
	for _, c := range r.Cluster.Config {
		if !strings.Contains(c.Name, "listeners") && !strings.HasPrefix(c.Name, "log.dir") {
			list = append(list, fmt.Sprintf("%s=%s", c.Name, c.Value))
		}
	}
	return strings.Join(list, " ")
}

func seeds(r *report.Results) string {
	var list []string
	for i := range r.Scenarios {
		list = append(list, fmt.Sprint(r.Scenarios[i].Seed))
	}
	return strings.Join(list, " ")
}
