package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/streambus/streambus/loadscript/internal/hist"
)

// WriteBench writes bench.txt in Go's benchmark format, which benchstat reads:
//
//	script: scripts/spike.star              configuration: who, what and with which settings
//	param-rate: 5k/s
//	Unit p99-ns better=lower
//	BenchmarkLoad/scenario=spike/stage=all 93000 2200 records/s 14700000 p99-ns …
//
// The count is that of acknowledged records. A percentile with too few samples is left out (R3).
func WriteBench(w io.Writer, r *Results) error {
	var b strings.Builder
	config := [][2]string{
		{"goos", r.Host.OS}, {"goarch", r.Host.Arch}, {"cpu", r.Host.CPU}, {"script", r.Script}, {"loadscript", r.Version},
		{"brokers", fmt.Sprint(r.Cluster.Nodes)}, {"started", r.Started.UTC().Format("2006-01-02T15:04:05Z")},
	}
	for _, p := range r.Params {
		config = append(config, [2]string{"param-" + p.Name, p.Value})
	}
	for _, c := range config {
		if value := oneLine(c[1]); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", configKey(c[0]), value)
		}
	}
	for _, u := range benchUnits {
		fmt.Fprintf(&b, "Unit %s better=%s\n", u.unit, u.better)
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if !s.Ran {
			continue
		}
		t := &s.Totals
		rates := map[string]float64{"records/s": t.AckedRate, "errors/op": t.ErrorsRate}
		if len(s.Config.Consume) > 0 {
			rates["consumed/s"], rates["max-lag"] = t.ConsumeRate, s.Peaks["lag"]
		}
		if s.MaxRate > 0 {
			rates["max-rate/s"] = s.MaxRate
		}
		benchLine(&b, s.Name, "all", t.Acked, rates, func(m *Metric) *Latency { return &m.Whole }, s.Metrics)
		if len(s.Stages) < 2 {
			continue
		}
		for j, st := range s.Stages {
			rates := map[string]float64{"records/s": st.AckedRate}
			if len(s.Config.Consume) > 0 {
				rates["consumed/s"] = st.ConsumeRate
			}
			benchLine(&b, s.Name, st.Name, st.Records, rates, func(m *Metric) *Latency { return m.stage(j) }, s.Metrics)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// benchUnits are the units in the order in which a line has them.
var benchUnits = []struct{ unit, better, metric string }{
	{"records/s", "higher", ""}, {"consumed/s", "higher", ""}, {"max-rate/s", "higher", ""}, {"errors/op", "lower", ""}, {"max-lag", "lower", ""},
	{"p50-ns", "lower", "produce.latency"}, {"p99-ns", "lower", "produce.latency"}, {"p99.9-ns", "lower", "produce.latency"}, {"max-ns", "lower", "produce.latency"},
	{"e2e-p50-ns", "lower", "e2e.latency"}, {"e2e-p99-ns", "lower", "e2e.latency"}, {"e2e-p99.9-ns", "lower", "e2e.latency"}, {"e2e-max-ns", "lower", "e2e.latency"},
}

func benchLine(b *strings.Builder, scenario, stage string, n int64, rates map[string]float64, of func(*Metric) *Latency, metrics []Metric) {
	fmt.Fprintf(b, "BenchmarkLoad/scenario=%s/stage=%s %d", benchWord(scenario), benchWord(stage), max(n, 1))
	for _, u := range benchUnits {
		if u.metric == "" {
			if v, ok := rates[u.unit]; ok {
				fmt.Fprintf(b, " %g %s", v, u.unit)
			}
			continue
		}
		for i := range metrics {
			if metrics[i].Name != u.metric {
				continue
			}
			l, quantile := of(&metrics[i]), strings.TrimSuffix(strings.TrimPrefix(u.unit, "e2e-"), "-ns")
			for _, c := range quantileColumns {
				if c.name == quantile && l.Count > 0 && hist.Enough(l.Count, c.q) {
					fmt.Fprintf(b, " %d %s", c.of(l), u.unit)
				}
			}
		}
	}
	b.WriteByte('\n')
}

// benchWord makes a name one word of a benchmark's name: no blanks, no slashes.
func benchWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '/' || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "_"
	}
	return s
}

// configKey makes a configuration key: lower case, no blanks, no colon.
func configKey(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsUpper(r):
			return unicode.ToLower(r)
		case unicode.IsSpace(r) || r == ':' || r == '_' || !unicode.IsPrint(r):
			return '-'
		}
		return r
	}, s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
