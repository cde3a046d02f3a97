package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// The page's own parts. uPlot 1.6.32 (MIT, assets/uPlot.LICENSE) draws the plots.
var (
	//go:embed assets/uPlot.iife.min.js
	uplotJS string
	//go:embed assets/uPlot.min.css
	uplotCSS string
	//go:embed assets/uPlot.LICENSE
	uplotLicense string
	//go:embed assets/page.js
	pageJS string
	//go:embed assets/page.css
	pageCSS string
	//go:embed assets/page.html
	pageHTML string
)

// page is what the template sees. Everything of type string is escaped by html/template; the typed ones are ours (R2).
type page struct {
	*Results
	CSP      string
	Style    template.CSS
	Library  template.JS
	Code     template.JS
	License  string
	Word     string
	Sections []section
	Data     []plotData
	Facts    [][2]string
	Shared   string
}

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pagePoints bounds how many points of time all plots of a page have together per series, so that it stays well below 500 KB.
const pagePoints = 1800

// WritePage writes report.html (R2, R3, R4).
func WritePage(w io.Writer, r *Results) error {
	style, library, code := uplotCSS+pageCSS, uplotJS, pageJS
	p := page{
		Results: r, Style: template.CSS(style), Library: template.JS(library), Code: template.JS(code), License: uplotLicense,
		// Hashes instead of 'unsafe-inline': even markup that slipped through could not run.
		CSP: fmt.Sprintf("default-src 'none'; script-src %s %s; style-src %s; img-src data:; base-uri 'none'; form-action 'none'",
			hash(library), hash(code), hash(style)),
		Word: "PASS", Facts: facts(r),
	}
	if !r.Verdict.Pass {
		p.Word = "FAIL"
	}
	if r.Cluster.Shared {
		p.Shared = fmt.Sprintf("Broker and generator share the %d cores of this machine and compete for them: compare runs of this machine with each other, not with a cluster.", r.Host.Cores)
	}
	points := max(pagePoints/max(len(r.Scenarios), 1), 60)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		p.Sections = append(p.Sections, newSection(i, s, len(r.Scenarios)))
		p.Data = append(p.Data, newPlotData(s, points))
	}
	return pageTemplate.Execute(w, p)
}

// hash is a CSP source for an inline script or style. html/template writes the typed ones unchanged.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// facts are the lines about the run.
func facts(r *Results) [][2]string {
	cpu := r.Host.CPU
	if cpu == "" {
		cpu = r.Host.Arch
	}
	cluster := fmt.Sprintf("%s (%s)", strings.Join(r.Cluster.Brokers, ", "), count(r.Cluster.Nodes, "broker"))
	if r.Cluster.Embedded {
		cluster = "embedded streambus on " + strings.Join(r.Cluster.Brokers, ", ")
	}
	list := [][2]string{
		{"Script", r.Script},
		{"Started", r.Started.Format("2006-01-02 15:04:05 MST")},
		{"Took", clock(time.Duration(r.ElapsedNs))},
		{"Cluster", cluster},
		{"Generator", fmt.Sprintf("%s, %s, %s, %s %s, %s", r.Host.Name, count(r.Host.Cores, "core"), cpu, r.Host.OS, r.Host.Kernel, r.Host.Go)},
		{"Run", r.RunID},
	}
	for _, p := range r.Params {
		text := p.Value
		if !p.Set {
			text += " (default)"
		}
		list = append(list, [2]string{"--" + p.Name, text})
	}
	return list
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

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

func newSection(i int, s *Scenario, n int) section {
	sec := section{
		Scenario: s, Index: i, Pass: s.Ran && s.ExitCode == 0, Reads: len(s.Config.Consume) > 0,
		Open: n <= 3 || i == 0 || s.ExitCode != 0,
	}
	for _, c := range quantileColumns {
		sec.Heads = append(sec.Heads, c.name)
	}
	sec.Cards, sec.Checks = cards(s), checks(s)
	for j := range s.Metrics {
		sec.Metrics = append(sec.Metrics, latencyRow{s.Metrics[j].Name, cells(&s.Metrics[j].Whole)})
	}
	produce, e2e := s.metric("produce.latency"), s.metric("e2e.latency")
	for j, st := range s.Stages {
		row := stageRow{
			Name: st.Name, Length: plan.FormatDuration(time.Duration(st.EndNs - st.StartNs)),
			Offered: formatRate(st.OfferedRate), Achieved: formatRate(st.AckedRate), Consumed: formatRate(st.ConsumeRate), Errors: formatCount(st.Errors),
		}
		if produce != nil {
			row.Cells = cells(&produce.Stages[j])
		} else {
			row.Cells = cells(&Latency{})
		}
		if sec.Reads && e2e != nil {
			row.Cells = append(row.Cells, cells(&e2e.Stages[j])[2])
		}
		sec.Rows = append(sec.Rows, row)
	}
	return sec
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
	list := []card{{"Achieved", formatRate(t.AckedRate), "of " + formatRate(t.OfferedRate) + " offered", ""}}
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
	for _, v := range s.Invariants {
		switch {
		case v.Judged:
			list = append(list, check{"invariant", v.Name, v.Detail, "", class(v.Pass), v.Examples})
		case v.Count > 0:
			list = append(list, check{"invariant", v.Name, v.Detail, "not asked for", "info", v.Examples})
		}
	}
	for _, t := range s.Thresholds {
		name := t.Expr
		if t.During != "" {
			name += " during " + t.During
		}
		list = append(list, check{"threshold", name, t.Shown, t.Detail, class(t.Pass), nil})
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

// plotData is what page.js draws. Times are seconds, latencies milliseconds, rates per second; null = not known.
type plotData struct {
	Name   string      `json:"name"`
	Warmup float64     `json:"warmup"`
	End    float64     `json:"end"` // of the last stage
	Reads  bool        `json:"reads"`
	Stages []stageData `json:"stages"`
	T      []float64   `json:"t"`
	Series []namedData `json:"series"`
	Curves []curveData `json:"curves"`
	Bucket float64     `json:"bucket"` // seconds per point, when seconds were put together; else 0
}

type stageData struct {
	Name string  `json:"name"`
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

type namedData struct {
	Key    string     `json:"key"`
	Values []*float64 `json:"values"`
}

type curveData struct {
	Metric string     `json:"metric"`
	Stage  string     `json:"stage"`
	X      []float64  `json:"x"`
	Y      []*float64 `json:"y"`
}

func newPlotData(s *Scenario, points int) plotData {
	// Empty lists, not nil ones: nil would be null on the page.
	d := plotData{
		Name: s.Name, Warmup: float64(s.WarmupNs) / 1e9, Reads: len(s.Config.Consume) > 0,
		Stages: []stageData{}, T: []float64{}, Series: []namedData{}, Curves: []curveData{},
	}
	for _, st := range s.Stages {
		d.Stages = append(d.Stages, stageData{st.Name, float64(st.StartNs) / 1e9, float64(st.EndNs) / 1e9})
		d.End = float64(st.EndNs) / 1e9
	}
	rows, size := squeeze(s.Series, points)
	if size > 1 {
		d.Bucket = float64(size)
	}
	for _, row := range rows {
		d.T = append(d.T, short(float64(row.TNs)/1e9))
	}
	for _, c := range plotColumns {
		values := make([]*float64, len(rows))
		for i := range rows {
			if v := c.of(&rows[i]); v >= 0 {
				v = short(v)
				values[i] = &v
			}
		}
		d.Series = append(d.Series, namedData{c.key, values})
	}
	for _, c := range s.Curves {
		if len(c.Points) == 0 {
			continue
		}
		cd := curveData{Metric: c.Metric, Stage: c.Stage}
		for _, p := range c.Points {
			v := short(float64(p.ValueNs) / 1e6)
			cd.X, cd.Y = append(cd.X, short(p.Inverse)), append(cd.Y, &v)
		}
		d.Curves = append(d.Curves, cd)
	}
	return d
}

// plotColumns are the series of the page; a negative value is one that is not known. A key ending in "?" marks the seconds
// with too few samples for the percentile (R3).
var plotColumns = []struct {
	key string
	of  func(*Second) float64
}{
	{"offered", func(r *Second) float64 { return perSecond(r, r.Offered) }},
	{"acked", func(r *Second) float64 { return perSecond(r, float64(r.Acked)) }},
	{"delivered", func(r *Second) float64 { return perSecond(r, float64(r.Delivered)) }},
	{"errors", func(r *Second) float64 { return perSecond(r, float64(r.Errors+r.Dropped)) }},
	{"inflight", func(r *Second) float64 { return float64(r.InFlight) }},
	{"lag", func(r *Second) float64 { return float64(r.Lag) }},
	{"gencpu", func(r *Second) float64 { return r.GenCPU }},
	{"brokercpu", func(r *Second) float64 { return r.BrokerCPU }},
	{"n", func(r *Second) float64 { return float64(r.Produce.N) }},
	{"p50", func(r *Second) float64 { return ms(r.Produce, r.Produce.P50Ns) }},
	{"p99", func(r *Second) float64 { return ms(r.Produce, r.Produce.P99Ns) }},
	{"p999", func(r *Second) float64 { return ms(r.Produce, r.Produce.P999Ns) }},
	{"max", func(r *Second) float64 { return ms(r.Produce, r.Produce.MaxNs) }},
	{"en", func(r *Second) float64 { return float64(r.E2E.N) }},
	{"e50", func(r *Second) float64 { return ms(r.E2E, r.E2E.P50Ns) }},
	{"e99", func(r *Second) float64 { return ms(r.E2E, r.E2E.P99Ns) }},
	{"e999", func(r *Second) float64 { return ms(r.E2E, r.E2E.P999Ns) }},
	{"emax", func(r *Second) float64 { return ms(r.E2E, r.E2E.MaxNs) }},
}

func perSecond(r *Second, n float64) float64 {
	if r.WidthNs <= 0 {
		return -1
	}
	return n / (float64(r.WidthNs) / 1e9)
}

func ms(q Quantiles, ns int64) float64 {
	if q.N == 0 {
		return -1
	}
	return float64(ns) / 1e6
}

// short keeps five significant digits: what a plot can show.
func short(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// squeeze puts neighbouring seconds together until there are at most n points. Counts add up; of percentiles, queues and CPU
// the worst second stands for all: percentiles of several seconds cannot be averaged. The last, short second is dropped when it
// would distort rates.
func squeeze(rows []Second, n int) (out []Second, size int) {
	if k := len(rows); k > 1 && rows[k-1].WidthNs < int64(time.Second)/5 {
		rows = rows[:k-1]
	}
	size = (len(rows) + n - 1) / n
	if size <= 1 {
		return rows, 1
	}
	for i := 0; i < len(rows); i += size {
		sum := rows[i]
		for _, r := range rows[i+1 : min(i+size, len(rows))] {
			sum.TNs, sum.WidthNs = r.TNs, sum.WidthNs+r.WidthNs
			sum.Offered += r.Offered
			sum.Handed += r.Handed
			sum.Acked += r.Acked
			sum.Errors += r.Errors
			sum.Dropped += r.Dropped
			sum.Delivered += r.Delivered
			sum.InFlight, sum.Lag = max(sum.InFlight, r.InFlight), max(sum.Lag, r.Lag)
			sum.GenCPU, sum.BrokerCPU = max(sum.GenCPU, r.GenCPU), max(sum.BrokerCPU, r.BrokerCPU)
			sum.Produce, sum.E2E = worst(sum.Produce, r.Produce), worst(sum.E2E, r.E2E)
		}
		out = append(out, sum)
	}
	return out, size
}

// worst takes the larger of each percentile, and the smaller number of samples that stands behind one.
func worst(a, b Quantiles) Quantiles {
	if a.N == 0 || b.N == 0 {
		return Quantiles{a.N + b.N, a.P50Ns + b.P50Ns, a.P90Ns + b.P90Ns, a.P99Ns + b.P99Ns, a.P999Ns + b.P999Ns, a.MaxNs + b.MaxNs}
	}
	return Quantiles{
		min(a.N, b.N), max(a.P50Ns, b.P50Ns), max(a.P90Ns, b.P90Ns), max(a.P99Ns, b.P99Ns), max(a.P999Ns, b.P999Ns), max(a.MaxNs, b.MaxNs),
	}
}
