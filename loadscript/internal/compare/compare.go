package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// Comparison is what was found: the first group against each other one.
type Comparison struct {
	Alpha  float64     `json:"alpha"`
	Margin float64     `json:"margin"` // changes smaller than this fraction are called slight
	Groups []GroupInfo `json:"groups"`
	Pairs  []Pair      `json:"pairs"`
}

// GroupInfo is a group and how its runs ended.
type GroupInfo struct {
	Label   string   `json:"label"`
	Runs    []string `json:"runs"` // folders
	Passed  int      `json:"passed"`
	Invalid int      `json:"invalid"` // runs with an invalid measurement
}

// Pair is one group against the first.
type Pair struct {
	A           string   `json:"a"`
	B           string   `json:"b"`
	Rows        []Row    `json:"rows"`
	VerdictP    float64  `json:"verdict_p"` // Fisher's exact test of how many passed
	Verdict     string   `json:"verdict"`
	Differences []string `json:"differences,omitempty"` // what the two were run with
	Warnings    []string `json:"warnings,omitempty"`
}

// Outcome is the judgement of a row.
type Outcome string

// The outcomes. Slight changes are beyond noise and within the margin.
const (
	Better       Outcome = "better"
	Worse        Outcome = "worse"
	SlightBetter Outcome = "slightly better"
	SlightWorse  Outcome = "slightly worse"
	Noise        Outcome = "~"          // not beyond noise
	Same         Outcome = "same"       // every run of both has the same number
	NoInference  Outcome = "one run"    // C1
	TooFew       Outcome = "too few"    // so few runs that no change could be believed
	NotInAll     Outcome = "not in all" // some runs have no such number, or too few samples for it (C3)
)

// Row is one metric of one scenario.
type Row struct {
	Scenario string   `json:"scenario"`
	Metric   string   `json:"metric"`
	Higher   bool     `json:"higher_is_better"`
	A        Summary  `json:"a"`
	B        Summary  `json:"b"`
	Effect   *float64 `json:"effect"`     // of the medians, a fraction of A's; null when that is 0
	P        *float64 `json:"p"`          // null where nothing was tested
	Holm     *float64 `json:"p_holm"`     // corrected over the rows of the pair
	Seen     *float64 `json:"detectable"` // C2: smallest change that could have been seen, a fraction; null: none, or not known
	Spread   *float64 `json:"p_spread"`   // of the Kolmogorov-Smirnov test, corrected like p_holm
	Outcome  Outcome  `json:"outcome"`
	show     func(float64) string
}

// DefaultMargin is the change below which even a sure one is called slight.
const DefaultMargin = 0.05

// Compare holds the first group against each other one. margin is a fraction.
func Compare(groups []Group, margin float64) *Comparison {
	c := &Comparison{Alpha: alpha, Margin: margin}
	for i := range groups {
		c.Groups = append(c.Groups, info(&groups[i]))
	}
	for i := range groups[1:] {
		c.Pairs = append(c.Pairs, comparePair(&groups[0], &groups[i+1], c.Groups[0], c.Groups[i+1], margin))
	}
	return c
}

func info(g *Group) GroupInfo {
	out := GroupInfo{Label: g.Label, Runs: g.Dirs}
	for _, r := range g.Runs {
		if r.Verdict.Pass {
			out.Passed++
		}
		if slices.ContainsFunc(r.Scenarios, func(s report.Scenario) bool { return s.Ran && !s.Validity.Valid }) {
			out.Invalid++
		}
	}
	return out
}

func comparePair(a, b *Group, ia, ib GroupInfo, margin float64) Pair {
	p := Pair{A: a.Label, B: b.Label, Differences: differences(a.Runs[0], b.Runs[0])}
	p.VerdictP = fisher(ia.Passed, len(a.Runs), ib.Passed, len(b.Runs))
	p.Verdict = verdict(ia, ib, p.VerdictP)
	for _, name := range scenarios(a, b) {
		for i := range metrics {
			if row, ok := newRow(a, b, name, &metrics[i]); ok {
				p.Rows = append(p.Rows, row)
			}
		}
	}
	judge(p.Rows, margin)
	p.Warnings = warnings(a, b, ia, ib, p.Rows)
	return p
}

// verdict says whether the outcome of the runs has changed.
func verdict(a, b GroupInfo, p float64) string {
	text := fmt.Sprintf("passed: %d of %d → %d of %d", a.Passed, len(a.Runs), b.Passed, len(b.Runs))
	switch {
	case a.Passed*len(b.Runs) == b.Passed*len(a.Runs):
		return text + ", no change"
	case len(a.Runs) == 1 || len(b.Runs) == 1:
		return text + ", of which one run says nothing about chance"
	case p <= alpha:
		return text + ", beyond chance (" + pValue(p) + ")"
	}
	return text + ", which chance may have done (" + pValue(p) + ")"
}

// scenarios are those that both groups ran, in the order of the first run.
func scenarios(a, b *Group) (names []string) {
	for i := range a.Runs[0].Scenarios {
		name := a.Runs[0].Scenarios[i].Name
		if find(b.Runs[0], name) != nil {
			names = append(names, name)
		}
	}
	return names
}

func find(r *report.Results, name string) *report.Scenario {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name && r.Scenarios[i].Ran {
			return &r.Scenarios[i]
		}
	}
	return nil
}

// newRow gathers a metric of all runs; false if no run has it.
func newRow(a, b *Group, scenario string, m *metric) (Row, bool) {
	row := Row{Scenario: scenario, Metric: m.name, Higher: m.higher, show: m.show}
	values := func(g *Group) (list []float64) {
		for _, r := range g.Runs {
			if s := find(r, scenario); s != nil {
				if v, ok := m.of(s); ok {
					list = append(list, v)
				}
			}
		}
		return list
	}
	x, y := values(a), values(b)
	if len(x) == 0 && len(y) == 0 {
		return row, false
	}
	if len(x) > 0 {
		row.A = summarize(x)
	}
	if len(y) > 0 {
		row.B = summarize(y)
	}
	if len(x) > 0 && len(y) > 0 && row.A.Median != 0 {
		effect := row.B.Median/row.A.Median - 1
		row.Effect = &effect
	}
	if len(x) < len(a.Runs) || len(y) < len(b.Runs) {
		row.Outcome = NotInAll
	}
	return row, true
}

// judge tests the rows of a pair together.
func judge(rows []Row, margin float64) {
	var tested []*Row
	var p, spread []float64
	for i := range rows {
		r := &rows[i]
		x, y := r.A.Values, r.B.Values
		switch {
		case r.Outcome != "":
		case len(x) < 2 || len(y) < 2: // C1
			r.Outcome = NoInference
		case slices.Min(slices.Concat(x, y)) == slices.Max(slices.Concat(x, y)):
			r.Outcome = Same
		default:
			v := uTest(x, y)
			r.P = &v
			tested, p, spread = append(tested, r), append(p, v), append(spread, ksTest(x, y))
		}
	}
	for i, h := range holm(spread) {
		tested[i].Spread = &h
	}
	for i, h := range holm(p) {
		r := tested[i]
		r.Holm = &h
		// What the first step of Holm's method asks for: the change that is found whatever the other rows say.
		seen := detectable(r.A.Values, r.B.Values, alpha/float64(len(tested)))
		if !math.IsInf(seen, 0) && !math.IsNaN(seen) {
			r.Seen = &seen
		}
		r.Outcome = outcome(r, h, margin)
		if r.Outcome == Noise && criticalU(len(r.A.Values), len(r.B.Values), alpha/float64(len(tested))) < 0 {
			r.Outcome = TooFew
		}
	}
}

func outcome(r *Row, p, margin float64) Outcome {
	change := r.B.Median - r.A.Median
	switch {
	case p > alpha || change == 0:
		return Noise
	case (change > 0) == r.Higher:
		if r.Effect != nil && math.Abs(*r.Effect) < margin {
			return SlightBetter
		}
		return Better
	case r.Effect != nil && math.Abs(*r.Effect) < margin:
		return SlightWorse
	}
	return Worse
}

// Regressed lists the rows that are worse by more than the margin, beyond noise.
func (c *Comparison) Regressed() (rows []Row) {
	for _, p := range c.Pairs {
		for _, r := range p.Rows {
			if r.Outcome == Worse {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// warnings are what weakens the comparison.
func warnings(a, b *Group, ia, ib GroupInfo, rows []Row) (list []string) {
	n, m := len(a.Runs), len(b.Runs)
	switch {
	case n < 2 || m < 2:
		list = append(list, "one run on a side shows no noise, so nothing can be said about whether a difference is real: `loadscript run --repeat 10`, or `--ab`")
	case slices.ContainsFunc(rows, func(r Row) bool { return r.Outcome == TooFew }):
		list = append(list, fmt.Sprintf("with %d and %d runs no change can be told from chance, however large, for so many metrics are looked at; 10 of each is the usual number", n, m))
	case n < 10 || m < 10:
		list = append(list, fmt.Sprintf("%d and %d runs see only large changes; 10 of each is the usual number, and they must not be repeated until something turns out significant", n, m))
	}
	if n > 1 && m > 1 && alternations(a, b) == 1 {
		list = append(list, "all runs of one side came before those of the other: a machine that drifts looks like a change; `loadscript run --ab` takes turns")
	}
	for _, g := range []GroupInfo{ia, ib} {
		if g.Invalid > 0 {
			list = append(list, fmt.Sprintf("%s: %d of %d runs are invalid measurements; their numbers are in here", g.Label, g.Invalid, len(g.Runs)))
		}
	}
	return list
}

// alternations counts how often the side changes when all runs are put in the order in which they started.
func alternations(a, b *Group) int {
	type run struct {
		at   int64
		side int
	}
	var runs []run
	for side, g := range []*Group{a, b} {
		for _, r := range g.Runs {
			runs = append(runs, run{r.Started.UnixNano(), side})
		}
	}
	slices.SortStableFunc(runs, func(x, y run) int {
		if x.at < y.at {
			return -1
		}
		if x.at > y.at {
			return 1
		}
		return 0
	})
	n := 0
	for i := 1; i < len(runs); i++ {
		if runs[i].side != runs[i-1].side {
			n++
		}
	}
	return n
}
