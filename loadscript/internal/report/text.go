package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// WriteVerdict prints the outcome for people. files are the written outputs, for the last lines; color switches on ANSI
// colors, as on a terminal without NO_COLOR.
func WriteVerdict(w io.Writer, r *Results, files []string, color bool) error {
	t := &text{paint: paint(color)}
	for i := range r.Scenarios {
		t.scenario(&r.Scenarios[i])
	}
	if r.Cluster.Exit != "" {
		t.line("%s", t.paint.bad("the embedded broker died: "+r.Cluster.Exit))
		t.line("")
	}
	if unfit := Unfit(r); unfit != "" {
		t.line("machine  %s", unfit)
		t.line("")
	}
	for _, f := range files {
		t.line("%s", f)
	}
	t.line("")
	word := t.paint.good("PASS")
	if !r.Verdict.Pass {
		word = t.paint.bad("FAIL")
	}
	t.line("%s  exit code %d: %s", word, r.Verdict.ExitCode, r.Verdict.Meaning)
	for _, reason := range r.Verdict.Reasons {
		t.line("      %s", reason)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// Unfit says which conditions of a fit machine did not hold before the load; nothing if all did.
func Unfit(r *Results) string {
	var not []string
	for _, c := range r.Preflight {
		if !c.Passed {
			not = append(not, fmt.Sprintf("%s %s (required %s)", c.Condition, c.Current, c.Required))
		}
	}
	if len(not) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d preflight conditions did not hold: %s", len(not), len(r.Preflight), strings.Join(not, "; "))
}

type paint bool

func (p paint) good(s string) string { return p.with("32;1", s) }
func (p paint) bad(s string) string  { return p.with("31;1", s) }
func (p paint) dim(s string) string  { return p.with("2", s) }
func (p paint) bold(s string) string { return p.with("1", s) }

func (p paint) with(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

type text struct {
	b     strings.Builder
	paint paint
}

func (t *text) line(format string, a ...any) {
	t.b.WriteString(strings.TrimRight(fmt.Sprintf(format, a...), " ") + "\n")
}

// table prints rows as columns; the first column is left aligned, the others right.
func (t *text) table(indent string, rows [][]string) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', tabwriter.AlignRight)
	width := 0
	for _, row := range rows {
		width = max(width, len([]rune(row[0])))
	}
	for _, row := range rows {
		head := row[0] + strings.Repeat(" ", width-len([]rune(row[0])))
		fmt.Fprintln(tw, head+"\t"+strings.Join(row[1:], "\t")+"\t")
	}
	_ = tw.Flush() // into memory
	for _, l := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		t.line("%s%s", indent, l)
	}
}

// list prints name, text pairs as two left-aligned columns.
func (t *text) list(rows [][]string) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush() // into memory
	for _, l := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		t.line("  %s", l)
	}
}

func (t *text) scenario(s *Scenario) {
	t.line("%s", t.paint.bold("scenario "+s.Name))
	for _, f := range s.Flows {
		t.line("  %s", t.paint.dim(f))
	}
	if !s.Ran {
		t.line("  %s", t.paint.bad("did not run: "+s.Error))
		t.line("")
		return
	}
	if !s.Validity.Valid {
		t.line("")
		t.line("  %s", t.paint.bad("INVALID MEASUREMENT: the numbers below are not what the plan asked to measure"))
	}
	t.line("")
	t.totals(s)
	t.line("")
	t.latencies(s)
	t.line("")
	t.stages(s)
	t.line("")
	t.recoveries(s)
	t.probes(s)
	t.checks(s)
	t.line("")
}

func (t *text) totals(s *Scenario) {
	n := &s.Totals
	rows := [][]string{
		{"offered", FormatRate(n.OfferedRate), fmt.Sprintf("%s records", formatCount(n.Offered))},
		{"achieved", FormatRate(n.AckedRate), fmt.Sprintf("%s acknowledged, %s of values", formatCount(n.Acked), formatBytes(n.Bytes))},
	}
	if len(s.Config.Consume) > 0 {
		rows = append(rows, []string{"consumed", FormatRate(n.ConsumeRate), fmt.Sprintf("%s delivered, lag at most %s", formatCount(n.Delivered), formatCount(int64(s.Peaks["lag"])))})
	}
	rows = append(rows, []string{"errors", plan.FormatPercent(n.ErrorsRate),
		fmt.Sprintf("%s failed, %s unknown, %s dropped, %s late", formatCount(n.Failed), formatCount(n.Unknown), formatCount(n.Dropped), formatCount(n.Late))})
	drain := "converged"
	if !s.Drain.Converged {
		drain = "did not converge: " + s.Drain.Detail
	}
	rows = append(rows, []string{"drain", FormatLatency(s.Drain.TookNs), drain})
	t.list(rows)
}

// quantileColumns are the columns of latency tables.
var quantileColumns = []struct {
	name string
	q    float64
	of   func(*Latency) int64
}{
	{"p50", .5, func(l *Latency) int64 { return l.P50Ns }},
	{"p90", .9, func(l *Latency) int64 { return l.P90Ns }},
	{"p99", .99, func(l *Latency) int64 { return l.P99Ns }},
	{"p99.9", .999, func(l *Latency) int64 { return l.P999Ns }},
	{"max", 1, func(l *Latency) int64 { return l.MaxNs }},
}

// cell is a latency, or a dash where there are too few samples for that quantile (R3).
func (l *Latency) cell(i int) string {
	if l.Count == 0 || !hist.Enough(l.Count, quantileColumns[i].q) {
		return "-"
	}
	return FormatLatency(quantileColumns[i].of(l))
}

func quantileRow(name string, l *Latency) []string {
	row := []string{name}
	for i := range quantileColumns {
		row = append(row, l.cell(i))
	}
	return row
}

func (t *text) latencies(s *Scenario) {
	head := []string{"latency"}
	for _, c := range quantileColumns {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for i := range s.Metrics {
		rows = append(rows, quantileRow(s.Metrics[i].Name, &s.Metrics[i].Whole))
	}
	t.table("  ", rows)
}

func (t *text) stages(s *Scenario) {
	rows := [][]string{{"stage", "length", "offered", "achieved", "p50", "p99", "max", "e2e p99", "errors"}}
	produce, e2e := s.metric("produce.latency"), s.metric("e2e.latency")
	for i, st := range s.Stages {
		row := []string{st.Name, plan.FormatDuration(time.Duration(st.EndNs - st.StartNs)), s.stageRate(&st, st.OfferedRate), s.stageRate(&st, st.AckedRate)}
		none := &Latency{}
		p, e := none, none
		if produce != nil {
			p = produce.stage(i)
		}
		if e2e != nil {
			e = e2e.stage(i)
		}
		rows = append(rows, append(row, p.cell(0), p.cell(2), p.cell(4), e.cell(2), formatCount(st.Errors)))
	}
	t.table("  ", rows)
}

// metric finds a metric by name; nil when the scenario has none of that name.
func (s *Scenario) metric(name string) *Metric {
	for i := range s.Metrics {
		if s.Metrics[i].Name == name {
			return &s.Metrics[i]
		}
	}
	return nil
}

// recoveries says how the cluster took each fault.
func (t *text) recoveries(s *Scenario) {
	if len(s.Recoveries) == 0 {
		return
	}
	rows := [][]string{{"fault", "at", "lasted", "silent", "recovered after"}}
	for _, r := range recoveries(s) {
		rows = append(rows, []string{r.Fault + ", " + r.Target, r.At, r.Lasted, r.Unavailable, r.Recovery})
	}
	t.table("  ", rows)
	t.line("")
}

// probes says which rates find_max_rate tried.
func (t *text) probes(s *Scenario) {
	for _, p := range s.Probes {
		t.line("  %s  %s  %s", t.mark(p.Pass), FormatRate(p.Rate), p.Detail)
	}
	if s.MaxRate > 0 {
		t.line("  %s", t.paint.bold("highest rate that held: "+FormatRate(s.MaxRate)))
	}
	if len(s.Probes) > 0 {
		t.line("")
	}
}

func (t *text) mark(pass bool) string {
	if pass {
		return t.paint.good("ok  ")
	}
	return t.paint.bad("FAIL")
}

func (t *text) checks(s *Scenario) {
	for _, v := range onceTold(s.Invariants) {
		switch {
		case v.Judged:
			t.line("  %s  invariant  %-18s  %s", t.mark(v.Pass), v.Name, v.Detail)
		case v.Count > 0:
			t.line("  %s  invariant  %-18s  %s (not asked for)", t.paint.dim("info"), v.Name, v.Detail)
		}
		for _, e := range v.Examples {
			t.line("                      %s", e)
		}
	}
	for i, h := range s.Thresholds {
		text := h.Shown
		if h.Detail != "" {
			text += " (" + h.Detail + ")"
		}
		t.line("  %s  threshold  %s: %s", t.mark(h.Pass), s.thresholdName(i), text)
	}
	for _, tr := range s.Trends {
		mark, weak := t.mark(tr.Pass), ""
		if tr.Weak {
			weak = " (too short a run to say)"
			if tr.Pass {
				mark = t.paint.with("33;1", "warn")
			}
		}
		t.line("  %s  trend      %s: %s%s", mark, tr.Expr, tr.Shown, weak)
	}
	for _, f := range s.Validity.Findings {
		mark, detail := t.mark(f.Pass), ""
		if f.Warn {
			mark, detail = t.paint.with("33;1", "warn"), ": "+f.Detail
		}
		t.line("  %s  validity   %s: %s (required %s)%s", mark, f.Name, f.Measured, f.Required, detail)
	}
	for _, n := range s.Notes {
		t.line("  %s  %s", t.paint.dim("note"), n)
	}
}

// WriteBrief prints a line per scenario, for one run of many; dir is where its files are.
func WriteBrief(w io.Writer, r *Results, dir string, color bool) error {
	p := paint(color)
	mark := p.good("PASS")
	if !r.Verdict.Pass {
		mark = p.bad(fmt.Sprintf("FAIL %d", r.Verdict.ExitCode))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", mark, dir)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		fmt.Fprintf(&b, "\n  %s: ", s.Name)
		if !s.Ran {
			fmt.Fprintf(&b, "did not run: %s", s.Error)
			continue
		}
		fmt.Fprintf(&b, "%s of %s", FormatRate(s.Totals.AckedRate), FormatRate(s.Totals.OfferedRate))
		if m := s.metric("produce.latency"); m != nil {
			fmt.Fprintf(&b, ", p50 %s, p99 %s", m.Whole.cell(0), m.Whole.cell(2))
		}
	}
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(&b, "\n  %s", reason)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
