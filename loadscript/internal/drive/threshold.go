package drive

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// threshold judges one threshold of the script.
func (s *scenario) threshold(r *report.Scenario, t plan.Threshold) report.Threshold {
	out := report.Threshold{Expr: t.Expr, During: t.During}
	lo, hi, w := 1, len(s.plan.Stages)+1, s.whole()
	if t.During != "" {
		for i, st := range s.plan.Stages {
			if st.Name == t.During {
				lo, hi, w = i+1, i+2, s.stage(i)
			}
		}
	}
	unit := plan.UnitCount
	if m, ok := plan.LookupMetric(t.Metric); ok {
		unit = m.Unit
	}
	known := true
	switch t.Metric {
	case "produce.latency":
		known = latencyStat(&out, s.meter.latency.Merged(lo, hi), t.Stat)
	case "produce.service_time":
		known = latencyStat(&out, s.meter.service.Merged(lo, hi), t.Stat)
	case "produce.delay":
		known = latencyStat(&out, s.meter.delay.Merged(lo, hi), t.Stat)
	case "e2e.latency":
		known = latencyStat(&out, s.meter.e2e.Merged(lo, hi), t.Stat)
	case "produce.rate":
		out.Value = rateStat(r.Series, w, t.Stat, acked)
	case "consume.rate":
		out.Value = rateStat(r.Series, w, t.Stat, delivered)
	case "consume.lag":
		for _, row := range r.Series {
			if at := time.Duration(row.TNs); at > w.from && at <= w.to+time.Second {
				out.Value = max(out.Value, float64(row.Lag))
			}
		}
	default:
		out.Value, known = s.countStat(t.Metric, lo, hi)
	}
	out.Shown = plan.FormatValue(unit, out.Value)
	if unit == plan.UnitDuration {
		out.Shown = report.FormatLatency(int64(out.Value))
	}
	switch {
	case !known:
		out.Detail, out.Shown = "this engine does not measure it", "not measured"
	case unit == plan.UnitDuration && out.Samples == 0:
		out.Detail, out.Shown = "no samples", "no samples"
	default:
		out.Pass = compare(out.Value, t.Op, t.Value)
	}
	if out.Weak {
		out.Detail = fmt.Sprintf("only %d samples: %s means little", out.Samples, t.Stat)
	}
	return out
}

func compare(v float64, op string, limit float64) bool {
	switch op {
	case "<":
		return v < limit
	case "<=":
		return v <= limit
	case ">":
		return v > limit
	case ">=":
		return v >= limit
	}
	return false
}

// latencyStat writes a statistic of the histogram to out; it is false for an unknown one.
func latencyStat(out *report.Threshold, h *hist.Histogram, stat string) bool {
	out.Samples = h.Count()
	switch stat {
	case "min":
		out.Value = float64(h.Least())
	case "mean":
		out.Value = float64(h.Mean())
	case "max":
		out.Value = float64(h.Highest())
	default:
		var p float64
		if _, err := fmt.Sscanf(strings.TrimPrefix(stat, "p"), "%g", &p); err != nil || !strings.HasPrefix(stat, "p") || p <= 0 || p >= 100 {
			return false
		}
		out.Value = float64(h.Quantile(p / 100))
		out.Weak = !h.Enough(p / 100)
	}
	return true
}

// rateStat is the mean over the window, or its slowest whole second.
func rateStat(rows []report.Second, w window, stat string, count func(report.Second) float64) float64 {
	if stat != "min" {
		return rate(rows, w, count)
	}
	least := math.Inf(1)
	for _, row := range rows {
		if time.Duration(row.TNs-row.WidthNs) < w.from-50*time.Millisecond || time.Duration(row.TNs) > w.to+50*time.Millisecond || row.WidthNs < int64(time.Second)/2 {
			continue
		}
		least = min(least, count(row)/time.Duration(row.WidthNs).Seconds())
	}
	if math.IsInf(least, 1) {
		return rate(rows, w, count)
	}
	return least
}

// countStat is one of the metrics that count records by the slot of their intended time.
func (s *scenario) countStat(metric string, lo, hi int) (v float64, known bool) {
	var handed, errors, dropped, late int64
	for i := lo; i < hi; i++ {
		c := &s.meter.slots[i]
		handed += c.handed.Load()
		errors += c.failed.Load() + c.unknown.Load()
		dropped += c.dropped.Load()
		late += c.late.Load()
	}
	switch metric {
	case "errors.rate":
		if handed == 0 {
			return 0, true
		}
		return float64(errors) / float64(handed), true
	case "dropped":
		return float64(dropped), true
	case "late":
		return float64(late), true
	}
	return 0, false
}

// implied adds the thresholds that hold without being written: nothing is dropped, and the run converges.
// An interrupted run had little time to converge: then its verdict stands on what was read.
func (s *scenario) implied(r *report.Scenario, interrupted bool) {
	own := false
	for _, t := range s.plan.Thresholds {
		own = own || t.Metric == "dropped"
	}
	if !own && r.Totals.Dropped > 0 {
		r.Thresholds = append(r.Thresholds, report.Threshold{
			Expr: "dropped <= 0", Value: float64(r.Totals.Dropped), Shown: plan.FormatCount(r.Totals.Dropped),
			Detail: "implied: a record that could not be sent in time fails the run unless the script sets a limit",
		})
	}
	if !r.Drain.Converged && !interrupted {
		r.Thresholds = append(r.Thresholds, report.Threshold{
			Expr: "converged within " + plan.FormatDuration(s.plan.Drain), Shown: r.Drain.Detail,
			Detail: "implied: after the last stage every record is answered and seen",
		})
	}
}
