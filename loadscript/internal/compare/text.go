package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteJSON prints the comparison for programs.
func WriteJSON(w io.Writer, c *Comparison) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(c)
}

// WriteText prints the comparison for people.
func WriteText(w io.Writer, c *Comparison) error {
	var b strings.Builder
	for i := range c.Pairs {
		writePair(&b, c, i)
	}
	for _, l := range strings.SplitAfter(b.String(), "\n") { // columns leave blanks behind the last one
		if _, err := io.WriteString(w, strings.TrimRight(l, " \n")+l[len(strings.TrimRight(l, "\n")):]); err != nil {
			return err
		}
	}
	return nil
}

func writePair(b *strings.Builder, c *Comparison, i int) {
	p := &c.Pairs[i]
	fmt.Fprintf(b, "A  %s  (%s)\nB  %s  (%s)\n", p.A, count(len(c.Groups[0].Runs), "run"), p.B, count(len(c.Groups[i+1].Runs), "run"))
	for _, d := range p.Differences {
		fmt.Fprintf(b, "   differs: %s\n", d)
	}
	fmt.Fprintf(b, "   %s\n", p.Verdict)
	for j := 0; j < len(p.Rows); {
		name := p.Rows[j].Scenario
		fmt.Fprintf(b, "\nscenario %s\n", name)
		tw := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "  metric\tA median\t95% CI\tB median\t95% CI\tchange\t\t")
		for ; j < len(p.Rows) && p.Rows[j].Scenario == name; j++ {
			r := &p.Rows[j]
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Metric, r.median(&r.A), r.interval(&r.A), r.median(&r.B), r.interval(&r.B), r.change(), r.finding())
		}
		_ = tw.Flush() // into memory
	}
	b.WriteByte('\n')
	for _, text := range p.Warnings {
		fmt.Fprintf(b, "note: %s\n", text)
	}
	b.WriteByte('\n')
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (r *Row) median(s *Summary) string {
	if s.N == 0 {
		return "-"
	}
	return r.show(s.Median)
}

// interval is the larger half of the confidence interval, in percent of the median.
func (r *Row) interval(s *Summary) string {
	switch {
	case s.Lo == nil:
		return "-"
	case s.Median == 0:
		return r.show(*s.Lo) + "…" + r.show(*s.Hi)
	}
	return fmt.Sprintf("±%.1f%%", 100*max(*s.Hi/s.Median-1, 1-*s.Lo/s.Median))
}

func (r *Row) change() string {
	if r.Effect == nil {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", 100**r.Effect)
}

// pValue never says that something is certain.
func pValue(p float64) string {
	if p < .001 {
		return "p<0.001"
	}
	return fmt.Sprintf("p=%.3f", p)
}

// finding is the judgement in words, with what could have been seen (C2).
func (r *Row) finding() string {
	switch r.Outcome {
	case NotInAll:
		return "not compared: some runs have no such number, or too few samples for it"
	case NoInference:
		return "one run: no inference"
	case Same:
		return "the same in every run"
	case TooFew:
		return "~ " + pValue(*r.Holm) + ", with so few runs no change could be believed"
	case Noise:
		text := "what could have been seen is not known"
		if r.Seen != nil {
			text = fmt.Sprintf("could have seen %.1f%%", 100**r.Seen)
		}
		if *r.Spread <= alpha {
			text += "; but the runs are spread differently, " + pValue(*r.Spread)
		}
		return "~ " + pValue(*r.Holm) + ", " + text
	}
	return string(r.Outcome) + " " + pValue(*r.Holm)
}

// groupRows are the medians of one group, by scenario.
func groupRows(g *Group) (rows []Row) {
	for i := range g.Runs[0].Scenarios {
		for j := range metrics {
			if r, ok := newRow(g, g, g.Runs[0].Scenarios[i].Name, &metrics[j]); ok {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// WriteGroup prints the medians of repeated runs.
func WriteGroup(w io.Writer, g Group) error {
	inf := info(&g)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d passed\n", g.Label, count(len(g.Runs), "run"), inf.Passed)
	if inf.Invalid > 0 {
		fmt.Fprintf(&b, "note: %d of them are invalid measurements; their numbers are in here\n", inf.Invalid)
	}
	scenario := ""
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, r := range groupRows(&g) {
		if r.Scenario != scenario {
			_ = tw.Flush() // into memory
			scenario = r.Scenario
			fmt.Fprintf(&b, "\nscenario %s\n", scenario)
			fmt.Fprintln(tw, "  metric\tmedian\t95% CI\tleast\tmost")
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\n", r.Metric, r.median(&r.A), r.interval(&r.A), r.show(slices.Min(r.A.Values)), r.show(slices.Max(r.A.Values)))
	}
	_ = tw.Flush() // into memory
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteGroupJSON prints the medians of repeated runs for programs.
func WriteGroupJSON(w io.Writer, g Group) error {
	type row struct {
		Scenario string `json:"scenario"`
		Metric   string `json:"metric"`
		Summary
	}
	out := struct {
		GroupInfo
		Rows []row `json:"rows"`
	}{GroupInfo: info(&g)}
	for _, r := range groupRows(&g) {
		out.Rows = append(out.Rows, row{r.Scenario, r.Metric, r.A})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
