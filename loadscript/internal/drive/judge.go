package drive

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// describe fills in what is known before the first record.
func (s *scenario) describe() report.Scenario {
	r := report.Scenario{
		Name: s.plan.Name, Seed: s.plan.Seed, WarmupNs: int64(s.plan.Warmup), Config: *s.asked,
		// Lists of results.json are empty rather than null.
		Flows: []string{}, Stages: []report.Stage{}, Metrics: []report.Metric{}, Ledger: []ledger.Verdict{}, Invariants: []report.Invariant{},
		Thresholds: []report.Threshold{}, Series: []report.Second{}, Curves: []report.Curve{}, Validity: report.Validity{Findings: []report.Finding{}},
	}
	for _, f := range s.plan.Produce {
		text := fmt.Sprintf("produce %s: %s, %s, keys %s, acks=%s, idempotent=%t, compression %s, linger %s",
			f.Topic.Name, plural(max(f.Producers, 1), "producer"), valueText(f.Value), keyText(f.Key), f.Acks,
			f.Idempotent, f.Compression, plan.FormatDuration(f.Linger))
		if len(f.Headers) > 0 {
			text += ", " + plural(len(f.Headers), "header")
		}
		if t := f.Transaction; t != nil {
			text += fmt.Sprintf(", transactions of %s, %s of them aborted", plural(t.Records, "record"), plan.FormatPercent(t.Abort))
		}
		r.Flows = append(r.Flows, text)
	}
	for _, f := range s.plan.Consume {
		who := "direct reader"
		if f.Group != "" {
			who = fmt.Sprintf("group %s, %s", f.Group, plural(max(f.Members, 1), "member"))
		}
		text := fmt.Sprintf("consume %s: %s, from %s, %s", f.Topic.Name, who, f.Start, f.Isolation)
		if f.ThinkTime > 0 {
			text += ", think time " + plan.FormatDuration(f.ThinkTime)
		}
		if f.Rate > 0 {
			text += ", at most " + plan.FormatRate(f.Rate)
		}
		switch f.Commit.Kind {
		case "every":
			text += ", commits every " + plan.FormatDuration(f.Commit.Every)
		case "none":
			text += ", never commits"
		}
		if f.Protocol == "consumer" {
			text += ", protocol KIP-848"
		}
		r.Flows = append(r.Flows, text)
	}
	var at time.Duration
	for _, st := range s.plan.Stages {
		r.Stages = append(r.Stages, report.Stage{Name: st.Name, StartNs: int64(at), EndNs: int64(at + st.Duration), From: st.From, To: st.To})
		at += st.Duration
	}
	return r
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func valueText(v plan.Value) string {
	size := plan.FormatSize(math.Round(v.MeanSize())) + " values"
	if v.Sizes != nil && v.Sizes.Kind != "fixed" {
		size += " on average (" + v.Sizes.Kind + ")"
	}
	switch v.Kind {
	case "", "bytes":
		return size
	case "pool":
		return "values from " + v.Path
	}
	return v.Kind + " of " + size
}

func keyText(k plan.Key) string {
	switch k.Kind {
	case "", "none":
		return "none"
	case "zipf":
		return fmt.Sprintf("zipf(%d, s=%v)", k.N, k.S)
	case "file":
		return "from " + k.Path
	case "hot":
		return fmt.Sprintf("hot(%d, %v%% get %v%%)", k.N, k.Hot*100, k.Share*100)
	default:
		return fmt.Sprintf("%s(%d)", k.Kind, k.N)
	}
}

// judge fills in everything that was measured and decides. verifyErr is what kept verification from finishing.
func (s *scenario) judge(ctx context.Context, r *report.Scenario, verifyErr error) {
	r.Drain, r.Series = s.drain, s.meter.series()
	r.Ledger = append(r.Ledger, s.verdict...)
	r.Notes = append(r.Notes, s.notes...)
	for _, f := range s.fields {
		for i := range f.silence {
			f.silence[i].close(s.clock.Now())
		}
	}
	r.Events, r.Silences = s.timeline.list(), s.silences()
	r.Heat = s.meter.heat.result()
	r.Recoveries = s.meter.recoveries.results(r.Silences)
	s.totals(r)
	s.metrics(r)
	s.invariants(r, verifyErr)
	for _, t := range s.meter.trends {
		r.Trends = append(r.Trends, t.judge())
	}
	for _, t := range s.plan.Thresholds {
		r.Thresholds = append(r.Thresholds, s.threshold(r, t))
	}
	s.implied(r, ctx.Err() != nil)
	r.Validity = s.validity(r, ctx.Err() != nil)
	texts, counts := s.meter.faults()
	for _, t := range texts {
		r.Notes = append(r.Notes, fmt.Sprintf("%d times: %s", counts[t], t))
	}
	for _, f := range s.readers {
		if n := len(f.rebalances); n > 0 {
			var out report.Threshold
			longest(&out, "max", s.rebalanceTimes(f.plan.Group, window{0, s.clock.Now()}))
			r.Notes = append(r.Notes, fmt.Sprintf("%s was rebalanced %s during the run, for %s at the longest", f.name(), times(n), report.FormatLatency(int64(out.Value))))
		}
		if f.limiter != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("%s reads at most %s: nobody waits for it to catch up, and it does not count in e2e.latency", f.name(), plan.FormatRate(f.plan.Rate)))
		}
	}
	code, reasons := plan.ExitPass, []string(nil)
	for _, f := range failures(r, ctx.Err() != nil) {
		code = plan.Worse(code, f.code)
		reasons = append(reasons, f.text)
	}
	r.ExitCode, r.Reasons = int(code), reasons
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

type failure struct {
	code plan.ExitCode
	text string
}

// failures lists why the scenario is not a pass, the worst first.
func failures(r *report.Scenario, interrupted bool) (list []failure) {
	for _, v := range r.Invariants {
		if v.Judged && !v.Pass && v.Count > 0 {
			list = append(list, failure{plan.ExitInvariant, fmt.Sprintf("invariant violated: %s: %s", v.Name, v.Detail)})
		}
	}
	var unverified []string
	why := ""
	for _, v := range r.Invariants {
		if v.Judged && !v.Pass && v.Count == 0 { // all for the same reason
			unverified, why = append(unverified, v.Name), v.Detail
		}
	}
	if len(unverified) > 0 {
		list = append(list, failure{plan.ExitUnreachable, fmt.Sprintf("not verified: %s: %s", strings.Join(unverified, ", "), why)})
	}
	for _, f := range r.Validity.Findings {
		if !f.Pass {
			list = append(list, failure{plan.ExitInvalid, fmt.Sprintf("measurement invalid: %s: required %s, measured %s", f.Name, f.Required, f.Measured)})
		}
	}
	for _, t := range r.Thresholds {
		if !t.Pass {
			list = append(list, failure{plan.ExitThreshold, fmt.Sprintf("threshold failed: %s: %s", label(t), t.Shown)})
		}
	}
	for _, t := range r.Trends {
		if !t.Pass && !t.Weak { // a weak one is shown, and proves nothing
			list = append(list, failure{plan.ExitThreshold, fmt.Sprintf("trend failed: %s: %s", t.Expr, t.Shown)})
		}
	}
	if interrupted {
		list = append(list, failure{plan.ExitSignal, "stopped by a signal before the end of the plan"})
	}
	return list
}

func label(t report.Threshold) string {
	if t.During != "" {
		return t.Expr + " during " + t.During
	}
	return t.Expr
}

// window is the measured part of the schedule, [from, to), in time.
type window struct{ from, to time.Duration }

func (s *scenario) whole() window { return window{s.plan.Warmup, s.plan.Duration()} }

// stage is the window of a stage, without the warm-up.
func (s *scenario) stage(i int) window {
	var at time.Duration
	for _, st := range s.plan.Stages[:i] {
		at += st.Duration
	}
	return window{max(at, min(s.plan.Warmup, at+s.plan.Stages[i].Duration)), at + s.plan.Stages[i].Duration}
}

// clip leaves out what a run that was stopped did not come to.
func (s *scenario) clip(w window) window {
	if s.cutAt > 0 {
		w.from, w.to = min(w.from, s.cutAt), min(w.to, s.cutAt)
	}
	return w
}

// rates are means over the window, by the seconds that end in it; count weighs a second that sticks out over an edge by the
// part inside.
func rate(rows []report.Second, w window, count func(report.Second) float64) float64 {
	sum, width := 0.0, 0.0
	for _, row := range rows {
		lo, hi := time.Duration(row.TNs-row.WidthNs), time.Duration(row.TNs)
		inside := min(hi, w.to) - max(lo, w.from)
		if inside <= 0 || row.WidthNs <= 0 {
			continue
		}
		sum += count(row) * float64(inside) / float64(row.WidthNs)
		width += inside.Seconds()
	}
	if width == 0 {
		return 0
	}
	return sum / width
}

func acked(r report.Second) float64     { return float64(r.Acked) }
func handed(r report.Second) float64    { return float64(r.Handed) }
func delivered(r report.Second) float64 { return float64(r.Delivered) }

// offeredRate is the plan's mean rate over the window, as far as the run got.
func (s *scenario) offeredRate(r *report.Scenario, w window) float64 {
	if n := len(r.Series); n > 0 {
		w.to = min(w.to, time.Duration(r.Series[n-1].TNs))
	}
	if w.to <= w.from {
		return 0
	}
	return (plan.CumulativeRecords(s.plan.Stages, w.to) - plan.CumulativeRecords(s.plan.Stages, w.from)) / (w.to - w.from).Seconds()
}

// totals fills in counts and rates.
func (s *scenario) totals(r *report.Scenario) {
	t := &r.Totals
	t.Offered, t.Handed, t.Dropped, t.Pressed = s.counts.Offered, s.counts.Handed, s.counts.Dropped, s.counts.Pressed
	size := s.plan.MeanValueSize()
	for i := range s.meter.slots {
		c := &s.meter.slots[i]
		t.Acked += c.acked.Load()
		t.Failed += c.failed.Load()
		t.Unknown += c.unknown.Load()
		t.Late += c.late.Load()
		t.Aborted += c.aborted.Load()
		if i > 0 {
			r.Stages[i-1].Records = c.acked.Load()
			r.Stages[i-1].Errors = c.failed.Load() + c.unknown.Load()
		}
	}
	for _, f := range s.readers {
		t.Delivered += f.reader.Count()
	}
	t.Bytes = int64(float64(t.Acked) * size)
	if t.Handed > 0 {
		t.ErrorsRate = float64(t.Failed+t.Unknown) / float64(t.Handed)
	}
	w := s.clip(s.whole())
	t.OfferedRate, t.HandedRate = s.offeredRate(r, w), rate(r.Series, w, handed)
	t.AckedRate, t.ConsumeRate = rate(r.Series, w, acked), rate(r.Series, w, delivered)
	for i := range r.Stages {
		w, st := s.clip(s.stage(i)), &r.Stages[i]
		whole := s.clip(window{time.Duration(st.StartNs), time.Duration(st.EndNs)})
		st.StartNs, st.EndNs = int64(whole.from), int64(whole.to)
		st.OfferedRate, st.AckedRate = s.offeredRate(r, w), rate(r.Series, w, acked)
		st.ConsumeRate = rate(r.Series, w, delivered)
	}
	r.Peaks = map[string]float64{}
	for _, row := range r.Series {
		r.Peaks["in_flight"] = max(r.Peaks["in_flight"], float64(row.InFlight))
		r.Peaks["lag"] = max(r.Peaks["lag"], float64(row.Lag))
	}
	for _, f := range s.fields {
		for i := range f.silence {
			r.Peaks["unavailable_ns"] = max(r.Peaks["unavailable_ns"], float64(f.silence[i].max()))
		}
	}
}

// metrics fills in latencies and percentile curves.
func (s *scenario) metrics(r *report.Scenario) {
	for _, m := range []struct {
		name   string
		series *hist.Series
		have   bool
	}{
		{"produce.latency", s.meter.latency, len(s.plan.Produce) > 0},
		{"produce.service_time", s.meter.service, len(s.plan.Produce) > 0},
		{"produce.delay", s.meter.delay, len(s.plan.Produce) > 0 && !s.closed()}, // a closed model plans no times
		{"e2e.latency", s.meter.e2e, len(s.plan.Consume) > 0},
	} {
		if !m.have {
			continue
		}
		n := len(s.plan.Stages)
		metric := report.Metric{Name: m.name, Whole: report.NewLatency(m.series.Merged(1, n+1))}
		for i := range n {
			metric.Stages = append(metric.Stages, report.NewLatency(m.series.Slot(i+1)))
			if m.name == "produce.latency" || m.name == "e2e.latency" {
				r.Curves = append(r.Curves, curve(m.name, s.plan.Stages[i].Name, m.series.Slot(i+1)))
			}
		}
		r.Metrics = append(r.Metrics, metric)
	}
}

func curve(metric, stage string, h *hist.Histogram) report.Curve {
	c := report.Curve{Metric: metric, Stage: stage}
	for _, p := range h.Curve(4) {
		if p.Quantile >= 1 {
			c.Points = append(c.Points, report.CurvePoint{Inverse: float64(h.Count()) * 2, ValueNs: int64(p.Value)})
			break
		}
		c.Points = append(c.Points, report.CurvePoint{Inverse: 1 / (1 - p.Quantile), ValueNs: int64(p.Value)})
	}
	return c
}

// total adds the accounts of all topics up, and sorts their examples.
func total(accounts []ledger.Verdict) (sum ledger.Verdict, examples map[ledger.Kind][]string) {
	examples = map[ledger.Kind][]string{}
	for _, v := range accounts {
		sum.Acked += v.Acked
		sum.Lost += v.Lost
		sum.Duplicates += v.Duplicates
		sum.Reordered += v.Reordered
		sum.Corrupt += v.Corrupt
		sum.Phantom += v.Phantom
		sum.Inconsistent += v.Inconsistent
		sum.Aborted += v.Aborted
		sum.AbortedRead += v.AbortedRead
		sum.Torn += v.Torn
		sum.Offsets += v.Offsets
		sum.Expired += v.Expired
		sum.Unseen += v.Unseen
		sum.Unknown += v.Unknown
		sum.UnknownSeen += v.UnknownSeen
		for _, e := range v.Examples {
			examples[e.Kind] = append(examples[e.Kind], e.String())
		}
	}
	return sum, examples
}

// invariants turns the ledger's accounts into judgements.
func (s *scenario) invariants(r *report.Scenario, verifyErr error) {
	want := map[plan.Invariant]bool{}
	for _, v := range s.plan.Verify {
		want[v] = true
	}
	any := len(s.plan.Verify) > 0 && len(s.plan.Produce) > 0
	sum, examples := total(r.Ledger)
	lost := fmt.Sprintf("%s acknowledged, %d lost", plan.FormatCount(sum.Acked), sum.Lost)
	if sum.Expired > 0 {
		lost += fmt.Sprintf(", %d removed by retention", sum.Expired)
	}
	if sum.Aborted > 0 {
		lost += fmt.Sprintf(", %s aborted", plan.FormatCount(sum.Aborted))
	}
	if sum.Unknown > 0 {
		lost += fmt.Sprintf(", %d without a known outcome (%d of them are there)", sum.Unknown, sum.UnknownSeen)
	}
	unverified := ""
	switch {
	case verifyErr != nil:
		unverified = verifyErr.Error()
	case sum.Unseen > 0:
		unverified = fmt.Sprintf("%d acknowledged records were not reached by any reader", sum.Unseen)
	}
	add := func(name string, judged bool, count int64, detail string, kinds ...ledger.Kind) {
		v := report.Invariant{Name: name, Judged: judged, Pass: count == 0, Count: count, Detail: detail}
		for _, k := range kinds {
			v.Examples = append(v.Examples, examples[k]...)
		}
		if count == 0 && unverified != "" {
			v.Pass, v.Detail = false, unverified
		}
		r.Invariants = append(r.Invariants, v)
	}
	add("no_loss", want[plan.NoLoss], sum.Lost, lost, ledger.Lost)
	add("no_duplicates", want[plan.NoDuplicates], sum.Duplicates, fmt.Sprintf("%d duplicates", sum.Duplicates), ledger.Duplicate)
	add("in_order", want[plan.InOrder], sum.Reordered, fmt.Sprintf("%d out of order", sum.Reordered), ledger.Reordered)
	add("no_corruption", want[plan.NoCorruption], sum.Corrupt, fmt.Sprintf("%d corrupt", sum.Corrupt), ledger.Corrupt)
	add("no_phantoms", any, sum.Phantom, fmt.Sprintf("%d never sent, or refused, and yet there", sum.Phantom), ledger.Phantom)
	add("consistent_offsets", any && want[plan.NoLoss], sum.Inconsistent, fmt.Sprintf("%d offsets with two records", sum.Inconsistent), ledger.Inconsistent)
	if want[plan.ReadCommitted] || sum.AbortedRead+sum.Torn > 0 {
		add("read_committed", want[plan.ReadCommitted], sum.AbortedRead+sum.Torn,
			fmt.Sprintf("%d records of aborted transactions delivered, %d transactions in part", sum.AbortedRead, sum.Torn), ledger.AbortedRead, ledger.Torn)
	}
	if want[plan.CommittedOffsets] || sum.Offsets > 0 {
		add("committed_offsets", want[plan.CommittedOffsets], sum.Offsets,
			fmt.Sprintf("%d commits beyond what was delivered, or gone back behind", sum.Offsets), ledger.Offsets)
	}
}

// finish decides the verdict of the whole run.
func finish(res *report.Results, code plan.ExitCode) {
	for _, s := range res.Scenarios {
		code = plan.Worse(code, plan.ExitCode(s.ExitCode))
		for _, reason := range s.Reasons {
			if len(res.Scenarios) > 1 {
				reason = s.Name + ": " + reason
			}
			res.Verdict.Reasons = append(res.Verdict.Reasons, reason)
		}
	}
	if res.Interrupted {
		code = plan.Worse(code, plan.ExitSignal)
		if len(res.Verdict.Reasons) == 0 {
			res.Verdict.Reasons = []string{"stopped by a signal before the end of the plan"}
		}
	}
	res.Verdict.Pass = code == plan.ExitPass
	res.Verdict.ExitCode, res.Verdict.Meaning = int(code), code.String()
}
