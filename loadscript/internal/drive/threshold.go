package drive

import (
	"fmt"
	"math"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// watch follows one threshold second by second: that is how thresholds on windows, outside of faults and of metrics that are
// taken once a second are judged, in a run of any length. Percentiles of a whole stage are not: the slots have them exactly, by
// intended time.
type watch struct {
	plan    plan.Threshold
	probe   bool // of find_max_rate's SLO: it decides on a probe, and stops nothing
	w       window
	planned float64 // records due in w
	whole   *gather // nil where the slots say it

	cut    window // the open one of Window's windows
	open   *gather
	handed int64 // in the open window
	judged int   // windows
	held   int
	weak   int
	worst  report.Threshold
}

// newWatch readies the judgement of a threshold.
func newWatch(s *scenario, t plan.Threshold) *watch {
	w := &watch{plan: t, w: s.whole()}
	for i, st := range s.plan.Stages {
		if t.During != "" && st.Name == t.During {
			w.w = s.stage(i)
		}
	}
	w.planned = plan.CumulativeRecords(s.plan.Stages, w.w.to) - plan.CumulativeRecords(s.plan.Stages, w.w.from)
	if t.Window > 0 {
		w.cut = window{w.w.from, w.w.from + t.Window}
		w.open = w.gather()
	}
	if t.OutsideFaults || t.Abort || !bySlot(t.Metric) {
		w.whole = w.gather()
	}
	return w
}

func (w *watch) gather() *gather {
	stat := w.plan.Stat
	if stat == "" && w.plan.Metric == "consume.lag" {
		stat = "max"
	}
	return newGather(w.plan.Metric, stat, w.plan.Group)
}

// bySlot says whether the slots, which sort records by their intended time, have the metric.
func bySlot(metric string) bool {
	switch metric {
	case "errors.rate", "dropped", "late":
		return true
	}
	return isLatency(metric)
}

// feed takes a second.
func (w *watch) feed(t tick) {
	left := w.plan.OutsideFaults && t.disturbed
	if w.whole != nil && !left {
		w.whole.add(t, w.w)
	}
	if w.open == nil {
		return
	}
	// A second that lies in two windows belongs to both, by its parts.
	for time.Duration(t.TNs) > w.cut.from && w.cut.to <= w.w.to {
		if !left {
			w.open.add(t, w.cut)
			w.handed += t.Handed
		}
		if time.Duration(t.TNs) < w.cut.to {
			return
		}
		w.close()
	}
}

// close judges the open window and opens the next.
func (w *watch) close() {
	var out report.Threshold
	switch known := w.open.value(&out); {
	case w.open.empty() && w.handed == 0: // nothing happened in it, or a fault had all of it
	case w.open.empty(): // records were sent, and there is nothing to show for it
		w.judged++
		out.Value = math.Inf(1)
		w.keep(out)
	case known:
		w.judged++
		if compare(out.Value, w.plan.Op, w.plan.Value) {
			w.held++
		}
		if out.Weak {
			w.weak++
		}
		w.keep(out)
	}
	w.cut = window{w.cut.to, w.cut.to + w.plan.Window}
	w.open, w.handed = w.gather(), 0
}

// keep remembers the window that is furthest on the wrong side.
func (w *watch) keep(out report.Threshold) {
	upper := w.plan.Op == "<" || w.plan.Op == "<="
	if w.judged == 1 || upper && out.Value > w.worst.Value || !upper && out.Value < w.worst.Value {
		w.worst = out
	}
}

// need is the fraction of the windows that must hold.
func (w *watch) need() float64 {
	if w.plan.OfWindows <= 0 {
		return 1
	}
	return w.plan.OfWindows
}

// hopeless says why the threshold cannot hold any more whatever still comes; empty as long as it can.
func (w *watch) hopeless() string {
	if w.plan.Window > 0 {
		all := float64((w.w.to - w.w.from) / w.plan.Window)
		if lost := w.judged - w.held; float64(lost) > (1-w.need())*all+1e-9 {
			return fmt.Sprintf("%d windows did not hold, worst %s", lost, w.show(w.worst.Value))
		}
		return ""
	}
	g, limit := w.whole, w.plan.Value
	if g == nil || g.empty() || w.plan.OutsideFaults { // what a fault will take away is not known
		return ""
	}
	upper := w.plan.Op == "<" || w.plan.Op == "<="
	var out report.Threshold
	known := g.value(&out)
	switch {
	case !known:
	case isLatency(w.plan.Metric) && upper:
		if w.plan.Stat == "max" && !compare(out.Value, w.plan.Op, limit) {
			return "already " + w.show(out.Value)
		}
		// So many of all records may be slower. If more than that are already, the others cannot make it good.
		if q, ok := quantileOf(w.plan.Stat); ok && w.planned > 0 { // an executor may not know how many there will be
			may, n := (1-q)*max(w.planned, float64(g.latencies.Count())), float64(g.latencies.Count())
			if now := 1 - may/n; now > 0 && !compare(float64(g.latencies.Quantile(now)), w.plan.Op, limit) {
				return fmt.Sprintf("more than %s of the %s records have been slower", plan.FormatPercent(1-q), plan.FormatCount(int64(w.planned)))
			}
		}
	case w.plan.Metric == "errors.rate" && upper && w.planned > 0:
		if least := g.sum / max(w.planned, g.of, 1); !compare(least, w.plan.Op, limit) {
			return fmt.Sprintf("%s errors already", plan.FormatCount(int64(g.sum)))
		}
	case (w.plan.Metric == "dropped" || w.plan.Metric == "late" || g.stat == "max") && upper, g.stat == "min" && !upper && !math.IsInf(g.least, 1):
		if !compare(out.Value, w.plan.Op, limit) {
			return "already " + w.show(out.Value)
		}
	}
	return ""
}

func (w *watch) show(v float64) string { return show(unitOf(w.plan.Metric), v) }

func unitOf(metric string) plan.Unit {
	if m, ok := plan.LookupMetric(metric); ok {
		return m.Unit
	}
	return plan.UnitCount
}

// show is a measured value for people.
func show(unit plan.Unit, v float64) string {
	switch {
	case math.IsInf(v, 0):
		return "none"
	case unit == plan.UnitDuration:
		return report.FormatLatency(int64(v))
	}
	return plan.FormatValue(unit, v)
}

// threshold judges one threshold of the script, or one that a prober made up (then by the rows of r).
func (s *scenario) threshold(r *report.Scenario, t plan.Threshold) report.Threshold {
	out := report.Threshold{Expr: t.Expr, During: t.During}
	var w *watch
	for _, have := range s.meter.watches {
		if have.plan == t {
			w = have
		}
	}
	if w == nil {
		w = newWatch(s, t)
		for _, row := range r.Series {
			w.feed(tick{Second: row})
		}
	}
	if t.Window > 0 {
		w.windows(&out)
		return out
	}
	known, why := true, ""
	lo, hi := 1, len(s.plan.Stages)+1
	for i, st := range s.plan.Stages {
		if t.During != "" && st.Name == t.During {
			lo, hi = i+1, i+2
		}
	}
	switch {
	case t.Metric == "produce.unavailable":
		longest(&out, t.Stat, s.unavailable(w.w))
	case t.Metric == "recovery.time":
		why = s.recoveryTimes(r, &out, t)
		known = why == ""
	case t.Metric == "rebalance.duration":
		longest(&out, t.Stat, s.rebalanceTimes(t.Group, w.w))
	case t.OutsideFaults || !bySlot(t.Metric):
		known = w.whole.value(&out)
	case isLatency(t.Metric):
		known = latencyStat(&out, s.series(t.Metric).Merged(lo, hi), t.Stat)
	default:
		out.Value, known = s.countStat(t.Metric, lo, hi)
	}
	unit := unitOf(t.Metric)
	out.Shown = show(unit, out.Value)
	switch {
	case why != "":
		out.Detail, out.Shown = why, "not measured"
	case !known:
		out.Detail, out.Shown = unmeasured(t.Metric), "not measured"
	case isLatency(t.Metric) && out.Samples == 0:
		out.Detail, out.Shown = "no samples", "no samples"
	default:
		out.Pass = compare(out.Value, t.Op, t.Value)
	}
	if out.Weak {
		out.Detail = fmt.Sprintf("only %d samples: %s means little", out.Samples, t.Stat)
	}
	if math.IsInf(out.Value, 0) {
		out.Value = -1 // JSON has no infinity
	}
	if !out.Pass && t.Abort {
		select {
		case <-s.aborted:
			out.Detail = "the run was stopped before its end, as the script asks (abort = True)"
		default:
		}
	}
	return out
}

// unmeasured says why a metric has no value.
func unmeasured(metric string) string {
	if len(metric) > 7 && metric[:7] == "broker." {
		return "no broker runs on this machine, or says it under /metrics: start the cluster with the run, or name a broker's process"
	}
	return "this engine does not measure it"
}

// windows writes the judgement of a threshold on windows.
func (w *watch) windows(out *report.Threshold) {
	if w.judged == 0 {
		out.Shown, out.Detail = "no samples", fmt.Sprintf("no whole window of %s was measured", plan.FormatDuration(w.plan.Window))
		return
	}
	share := float64(w.held) / float64(w.judged)
	out.Value, out.Samples = w.worst.Value, w.worst.Samples
	out.Pass = share >= w.need()-1e-9
	out.Shown = fmt.Sprintf("%s of %s windows held, worst %s", plan.FormatCount(int64(w.held)), plan.FormatCount(int64(w.judged)), w.show(w.worst.Value))
	if out.Weak = w.weak > 0; out.Weak {
		out.Detail = fmt.Sprintf("%d windows have too few samples: %s means little in them", w.weak, w.plan.Stat)
	}
	if math.IsInf(out.Value, 0) {
		out.Value = -1
	}
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

// series is the measurement of a latency.
func (s *scenario) series(metric string) *hist.Series {
	switch metric {
	case "produce.latency":
		return s.meter.latency
	case "produce.service_time":
		return s.meter.service
	case "produce.delay":
		return s.meter.delay
	case "generator.lag":
		return s.meter.lag
	default:
		return s.meter.e2e
	}
}

// longest writes the longest of the durations, or their mean. Where there is none, it is 0.
func longest(out *report.Threshold, stat string, list []time.Duration) {
	var sum, most time.Duration
	for _, d := range list {
		sum, most = sum+d, max(most, d)
	}
	out.Value = float64(most)
	if stat == "mean" && len(list) > 0 {
		out.Value = float64(sum) / float64(len(list))
	}
}

// unavailable lists the stretches without an answer that touch the window.
func (s *scenario) unavailable(w window) (list []time.Duration) {
	for _, q := range s.silences() {
		if time.Duration(q.EndNs) > w.from && time.Duration(q.BeginNs) < w.to {
			list = append(list, time.Duration(q.EndNs-q.BeginNs))
		}
	}
	if len(list) == 0 { // none that is worth a line: the longest of the short ones
		for _, f := range s.fields {
			for i := range f.silence {
				list = append(list, f.silence[i].max())
			}
		}
		var out report.Threshold
		longest(&out, "max", list)
		list = []time.Duration{min(time.Duration(out.Value), silenceFloor)}
	}
	return list
}

// recoveryTimes judges the recoveries of r; why says what kept it from being measured.
func (s *scenario) recoveryTimes(r *report.Scenario, out *report.Threshold, t plan.Threshold) (why string) {
	var list []time.Duration
	never, bound := "", 0
	for i := range r.Recoveries {
		rec := &r.Recoveries[i]
		took, known := rec.Took()
		if took < 0 {
			never = rec.Fault
			continue
		}
		if !known {
			bound++
		}
		list = append(list, time.Duration(took))
	}
	if len(r.Recoveries) == 0 {
		return "no fault was applied"
	}
	longest(out, t.Stat, list)
	if bound > 0 {
		out.Detail = fmt.Sprintf("at least: %d of %d not recovered before the next fault", bound, len(r.Recoveries))
	}
	if never != "" {
		out.Value, out.Detail = math.Inf(1), "never after "+never
	}
	return ""
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
