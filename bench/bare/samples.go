package bare

import (
	"slices"
	"strings"
	"time"
)

// Samples gathers the metrics of rounds, by unit. Not safe for concurrent use.
type Samples map[string][]float64

// Add notes the value of one round.
func (s Samples) Add(unit string, v float64) { s[unit] = append(s[unit], v) }

// Quantiles notes p50, p95, p99 and p99.9 of a round in µs; nothing when no duration was counted.
func (s Samples) Quantiles(prefix string, h *Histogram) {
	if h.Count() == 0 {
		return
	}
	for _, q := range quantiles {
		s.Add(prefix+q.name+"-us", float64(h.Quantile(q.of).Nanoseconds())/1e3)
	}
}

var quantiles = []struct {
	name string
	of   float64
}{{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}}

// Report hands out the median of each unit over the rounds (testing.B has a method for it) and, of ratios, which begin with x-, the
// extremes too. The values are sorted afterwards.
func (s Samples) Report(metric func(v float64, unit string)) {
	for unit, v := range s {
		slices.Sort(v)
		metric(v[len(v)/2], unit)
		if strings.HasPrefix(unit, "x-") {
			metric(v[0], unit+":min")
			metric(v[len(v)-1], unit+":max")
		}
	}
}

// Ratio is a over b, of durations of which one may be 0.
func Ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
