package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// section is a scenario as the template shows it.
type section struct {
	*Scenario
	Index   int
	Open    bool
	Pass    bool
	Reads   bool
	Cards   []card
	Checks  []check
	Heads   []string
	Metrics []latencyRow
	Rows    []stageRow
	Faults  []recoveryRow
	Tries   []probeRow
	Happens []eventRow
	Plan    [][2]string
	Heat    bool
	Lagged  bool // there is a lag per group
	Memory  bool // what the brokers used of it is known, as below
	Disk    bool
	Net     bool
}

type card struct{ Name, Value, Note, Class string }

type check struct {
	Kind, Name, Measured, Detail string
	Class                        string // "ok", "bad", "warn", "info"
	Examples                     []string
}

type latencyRow struct {
	Name  string
	Cells []cell
}

type cell struct {
	Text, Title string
	Weak        bool
}

type stageRow struct {
	Name, Length, Offered, Achieved, Consumed, Errors string
	Cells                                             []cell
}

// recoveryRow is a fault with what became of it.
type recoveryRow struct{ Fault, Target, At, Lasted, Unavailable, Recovery, Detail, Class string }

type probeRow struct {
	Rate, Detail, Class string
	Value, Most         float64 // for the bar
}

type eventRow struct{ At, Kind, Name, Detail, Class string }

// maxEventRows is how many events a page lists; events.jsonl has them all.
const maxEventRows = 200

func newSection(i int, s *Scenario, n int) section {
	sec := section{
		Scenario: s, Index: i, Pass: s.Ran && s.ExitCode == 0, Reads: len(s.Config.Consume) > 0,
		Open: n <= 3 || i == 0 || s.ExitCode != 0,
	}
	for _, c := range quantileColumns {
		sec.Heads = append(sec.Heads, c.name)
	}
	sec.Cards, sec.Checks = cards(s), checks(s)
	sec.Faults, sec.Tries, sec.Happens, sec.Plan = recoveries(s), probes(s), events(s), planRows(s)
	sec.Heat = newHeat(s.Heat) != nil
	sec.Lagged = slices.ContainsFunc(s.Series, func(r Second) bool { return len(r.Lags) > 0 })
	for i := range s.Series {
		all := sumBrokers(s.Series[i].Brokers)
		sec.Memory = sec.Memory || all.RSS >= 0
		sec.Disk = sec.Disk || all.DiskRead >= 0 || all.DiskWrite >= 0
		sec.Net = sec.Net || all.NetIn >= 0 || all.NetOut >= 0
	}
	for j := range s.Metrics {
		sec.Metrics = append(sec.Metrics, latencyRow{s.Metrics[j].Name, cells(&s.Metrics[j].Whole)})
	}
	produce, e2e := s.metric("produce.latency"), s.metric("e2e.latency")
	for j, st := range s.Stages {
		row := stageRow{
			Name: st.Name, Length: plan.FormatDuration(time.Duration(st.EndNs - st.StartNs)),
			Offered: s.stageRate(&st, st.OfferedRate), Achieved: s.stageRate(&st, st.AckedRate), Consumed: s.stageRate(&st, st.ConsumeRate), Errors: formatCount(st.Errors),
		}
		if produce != nil {
			row.Cells = cells(produce.stage(j))
		} else {
			row.Cells = cells(&Latency{})
		}
		if sec.Reads && e2e != nil {
			row.Cells = append(row.Cells, cells(e2e.stage(j))[2])
		}
		sec.Rows = append(sec.Rows, row)
	}
	return sec
}

// stageRate is a rate of a stage; one that was all warm-up, or was not come to, has none.
func (s *Scenario) stageRate(st *Stage, rate float64) string {
	if st.EndNs <= max(s.WarmupNs, st.StartNs) {
		return "-"
	}
	return FormatRate(rate)
}

// cells are the percentiles of a distribution; those with too few samples are marked (R3).
func cells(l *Latency) (list []cell) {
	for _, c := range quantileColumns {
		switch {
		case l.Count == 0:
			list = append(list, cell{Text: "–", Title: "no samples", Weak: true})
		case !hist.Enough(l.Count, c.q):
			need := int64(math.Ceil(10/(1-c.q) - 1e-6))
			list = append(list, cell{FormatLatency(c.of(l)), fmt.Sprintf("%s samples; %s needs %s to mean something", formatCount(l.Count), c.name, formatCount(need)), true})
		default:
			list = append(list, cell{FormatLatency(c.of(l)), fmt.Sprintf("%s samples", formatCount(l.Count)), false})
		}
	}
	return list
}

// cards are the numbers that people look for first.
func cards(s *Scenario) []card {
	if !s.Ran {
		return nil
	}
	t := &s.Totals
	list := []card{{"Achieved", FormatRate(t.AckedRate), "of " + FormatRate(t.OfferedRate) + " offered", ""}}
	if s.MaxRate > 0 {
		list = append(list, card{"Highest rate", FormatRate(s.MaxRate), "that held, of " + formatCount(int64(len(s.Probes))) + " tried", ""})
	}
	for _, m := range []struct{ metric, name string }{{"produce.latency", "Produce"}, {"e2e.latency", "End to end"}} {
		if v := s.metric(m.metric); v != nil {
			c := cells(&v.Whole)
			list = append(list, card{m.name + " p99", c[2].Text, "p50 " + c[0].Text + ", max " + c[4].Text, weakClass(c[2].Weak)})
		}
	}
	list = append(list, card{"Records", formatCount(t.Acked), formatBytes(t.Bytes) + " of values acknowledged", ""})
	bad, judged := int64(0), false
	for _, v := range s.Invariants {
		if v.Judged {
			bad, judged = bad+v.Count, true
		}
	}
	if judged {
		c := card{"Broken promises", formatCount(bad), "lost, repeated, reordered, changed", "good"}
		if bad > 0 {
			c.Class = "bad"
		}
		list = append(list, c)
	}
	if c, ok := recoveryCard(s); ok {
		list = append(list, c)
	}
	c := card{"Errors", formatCount(t.Failed + t.Unknown), formatCount(t.Dropped) + " dropped, " + formatCount(t.Late) + " late", "good"}
	if t.Failed+t.Unknown+t.Dropped > 0 {
		c.Class = "bad"
	}
	return append(list, c)
}

func weakClass(weak bool) string {
	if weak {
		return "weak"
	}
	return ""
}

func checks(s *Scenario) (list []check) {
	class := func(pass bool) string {
		if pass {
			return "ok"
		}
		return "bad"
	}
	for _, v := range onceTold(s.Invariants) {
		switch {
		case v.Judged:
			list = append(list, check{"invariant", v.Name, v.Detail, "", class(v.Pass), v.Examples})
		case v.Count > 0:
			list = append(list, check{"invariant", v.Name, v.Detail, "not asked for", "info", v.Examples})
		}
	}
	for i, t := range s.Thresholds {
		list = append(list, check{"threshold", s.thresholdName(i), t.Shown, t.Detail, class(t.Pass), nil})
	}
	for _, t := range s.Trends {
		c := check{"trend", t.Expr, t.Shown, "", class(t.Pass), nil}
		if t.Weak {
			c.Detail = "too short a run to say"
			if t.Pass {
				c.Class = "warn"
			}
		}
		list = append(list, c)
	}
	for _, f := range s.Validity.Findings {
		c := check{"validity", f.Name, f.Measured, "required " + f.Required, class(f.Pass), nil}
		if f.Warn {
			c.Class, c.Detail = "warn", c.Detail+": "+f.Detail
		}
		list = append(list, c)
	}
	return list
}

// onceTold leaves out of those that could not be verified why not, but for the first: it is the same for all.
func onceTold(list []Invariant) []Invariant {
	list = slices.Clone(list)
	told := ""
	for i := range list {
		switch v := &list[i]; {
		case !v.Judged || v.Pass || v.Count > 0:
		case v.Detail == told:
			v.Detail = "not verified, as above"
		default:
			told = v.Detail
		}
	}
	return list
}

// recoveryCard is the slowest recovery.
func recoveryCard(s *Scenario) (card, bool) {
	if len(s.Recoveries) == 0 {
		return card{}, false
	}
	worst, silent, unknown, never := int64(0), int64(0), 0, false
	for _, r := range s.Recoveries {
		silent = max(silent, r.UnavailableNs)
		took, known := r.Took()
		if !known {
			unknown++
			continue
		}
		never = never || took < 0
		worst = max(worst, took)
	}
	c := card{"Slowest recovery", FormatLatency(worst), "of " + count(len(s.Recoveries), "fault") + ", silent at most " + FormatLatency(silent), ""}
	if unknown > 0 {
		c.Note += fmt.Sprintf("; %d not recovered before the next fault", unknown)
	}
	switch {
	case never:
		c.Value, c.Class = "never", "bad"
	case unknown == len(s.Recoveries):
		c.Value = "–"
	}
	return c, true
}

func recoveries(s *Scenario) (list []recoveryRow) {
	for _, r := range s.Recoveries {
		row := recoveryRow{
			Fault: r.Fault, Target: r.Target, At: clock(time.Duration(r.BeginNs)), Lasted: FormatLatency(r.EndNs - r.BeginNs),
			Unavailable: FormatLatency(r.UnavailableNs), Recovery: FormatLatency(r.RecoveryNs), Detail: r.Detail, Class: "ok",
		}
		switch took, known := r.Took(); {
		case !known:
			row.Recovery, row.Class = "not recovered before the next fault, "+FormatLatency(took)+" later", "warn"
		case took < 0:
			row.Recovery, row.Class = "never", "bad"
		}
		list = append(list, row)
	}
	return list
}

func probes(s *Scenario) (list []probeRow) {
	most := 0.0
	for _, p := range s.Probes {
		most = max(most, p.Rate)
	}
	for _, p := range s.Probes {
		row := probeRow{FormatRate(p.Rate), p.Detail, "ok", p.Rate, most}
		if !p.Pass {
			row.Class = "bad"
		}
		list = append(list, row)
	}
	return list
}

func events(s *Scenario) (list []eventRow) {
	for _, e := range s.Events {
		if e.Kind == "stage" || e.Kind == "phase" {
			continue // the plots show them
		}
		row := eventRow{At: FormatLatency(e.TNs), Kind: e.Kind, Name: e.Name, Detail: e.Detail, Class: "info"}
		if e.Target != "" {
			row.Name += " → " + e.Target
		}
		if e.EndNs > e.TNs {
			row.Detail = strings.TrimSuffix("for "+FormatLatency(e.EndNs-e.TNs)+", "+e.Detail, ", ")
		}
		if e.Error != "" {
			row.Detail, row.Class = e.Error, "bad"
		}
		if len(list) == maxEventRows {
			return append(list, eventRow{Name: formatCount(int64(len(s.Events)-maxEventRows)) + " more are in events.jsonl", Class: "info"})
		}
		list = append(list, row)
	}
	return list
}

// planRows says in words what the engine was given.
func planRows(s *Scenario) [][2]string {
	c := &s.Config
	list := [][2]string{{"Seed", fmt.Sprint(s.Seed)}, {"Arrivals", string(c.Arrivals)}}
	add := func(name, text string) { list = append(list, [2]string{name, text}) }
	if c.Executor != nil {
		add("Executor", c.Executor.Kind)
	}
	if c.Warmup > 0 {
		add("Warm-up", plan.FormatDuration(c.Warmup)+", left out of every number")
	}
	add("Drain", "at most "+plan.FormatDuration(c.Drain))
	if c.MaxInFlight > 0 {
		add("In flight", "at most "+formatCount(int64(c.MaxInFlight)))
	}
	seen := map[string]bool{}
	topic := func(t plan.Topic) {
		if seen[t.Name] {
			return
		}
		seen[t.Name] = true
		text := count(t.Partitions, "partition")
		if t.Partitions == 0 {
			text = "the broker's number of partitions"
		}
		if t.Replication > 0 {
			text += fmt.Sprintf(", replication %d", t.Replication)
		}
		if t.MinInsync > 0 {
			text += fmt.Sprintf(", min.insync.replicas %d", t.MinInsync)
		}
		for _, kv := range t.Config {
			text += ", " + kv.Name + "=" + kv.Value
		}
		add("Topic "+t.Name, text)
	}
	for i := range c.Produce {
		topic(c.Produce[i].Topic)
	}
	for i := range c.Consume {
		topic(c.Consume[i].Topic)
	}
	var verify []string
	for _, v := range c.Verify {
		verify = append(verify, string(v))
	}
	if len(verify) > 0 {
		add("Verified", strings.Join(verify, ", "))
	}
	return list
}

// stage is the metric of one stage; an empty one if there is none.
func (m *Metric) stage(i int) *Latency {
	if i < len(m.Stages) {
		return &m.Stages[i]
	}
	return &Latency{}
}

// thresholdName is a threshold with what it was judged over.
func (s *Scenario) thresholdName(i int) string {
	t := &s.Thresholds[i]
	name := t.Expr
	if t.During != "" {
		name += " during " + t.During
	}
	if i >= len(s.Config.Thresholds) || s.Config.Thresholds[i].Expr != t.Expr {
		return name // implied, or of results that somebody else wrote
	}
	p := &s.Config.Thresholds[i]
	if p.Window > 0 {
		window := plan.FormatDuration(p.Window) + " window"
		if p.OfWindows > 0 && p.OfWindows < 1 {
			name += " in " + plan.FormatPercent(p.OfWindows) + " of the " + window + "s"
		} else {
			name += " in every " + window
		}
	}
	if p.OutsideFaults {
		name += ", outside faults"
	}
	return name
}
