package compare

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

var pages = flag.String("pages", "", "leave the pages in this folder, to look at")

// run is a plausible run: latencies around p50 and p99 milliseconds with some noise between runs.
func run(rnd *rand.Rand, at time.Time, p50, p99, noise float64) *report.Results {
	f := func(v float64) int64 { return int64(v * 1e6 * (1 + rnd.NormFloat64()*noise)) }
	l := report.Latency{Count: 50_000, P50Ns: f(p50), P99Ns: f(p99), P999Ns: f(p99 * 2), MaxNs: f(p99 * 5)}
	e := report.Latency{Count: 500, P50Ns: f(p50 + 1), P99Ns: f(p99 + 1)} // too few for p99
	s := report.Scenario{
		Name: "spike", Ran: true, Seed: 1, Validity: report.Validity{Valid: true}, Totals: report.Totals{Acked: 50_000, AckedRate: 5000},
		Metrics: []report.Metric{{Name: "produce.latency", Whole: l, Stages: []report.Latency{l}}, {Name: "e2e.latency", Whole: e, Stages: []report.Latency{e}}},
		Stages:  []report.Stage{{Name: "steady", EndNs: 10e9, Records: 50_000}},
	}
	s.Config = plan.Scenario{Produce: []plan.Produce{{}}}
	c := report.Curve{Metric: "produce.latency", Stage: "steady"}
	for q := 0.0; q < 4; q += .1 {
		c.Points = append(c.Points, report.CurvePoint{Inverse: math.Pow(10, q), ValueNs: int64(float64(l.P50Ns) * math.Pow(float64(l.P99Ns)/float64(l.P50Ns), q/2))})
	}
	s.Curves = []report.Curve{c}
	for i := range 10 {
		s.Series = append(s.Series, report.Second{TNs: int64(i+1) * 1e9, WidthNs: 1e9, Acked: 5000, BrokerCPU: .5 * (1 + rnd.NormFloat64()*noise)})
	}
	return &report.Results{
		Schema: report.SchemaVersion, Script: "spike.star", Started: at, Host: report.Host{Name: "m", Cores: 2}, Scenarios: []report.Scenario{s},
		Params: []plan.Param{{Name: "linger", Value: "0ms"}}, Verdict: report.Verdict{Pass: true},
	}
}

// groups are n runs of each side, in turns, B's p99 larger by the factor.
func groups(n int, noise, factor float64, seed uint64) []Group {
	rnd := rand.New(rand.NewPCG(seed, 1))
	a, b := Group{Label: "out/base"}, Group{Label: "out/cand"}
	for i := range n {
		at := time.Unix(1_795_000_000+int64(i)*60, 0).UTC()
		a.Runs = append(a.Runs, run(rnd, at, 2, 10, noise))
		b.Runs = append(b.Runs, run(rnd, at.Add(30*time.Second), 2, 10*factor, noise))
		a.Dirs, b.Dirs = append(a.Dirs, fmt.Sprintf("out/base/%d", i+1)), append(b.Dirs, fmt.Sprintf("out/cand/%d", i+1))
	}
	return []Group{a, b}
}

func rowOf(t *testing.T, c *Comparison, metric string) Row {
	t.Helper()
	for _, r := range c.Pairs[0].Rows {
		if r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no row %s in %+v", metric, c.Pairs[0].Rows)
	return Row{}
}

func TestAChangeIsFoundAndOnlyThat(t *testing.T) {
	c := Compare(groups(10, .03, 1.2, 1), DefaultMargin)
	if r := rowOf(t, c, "produce.latency.p99"); r.Outcome != Worse || *r.Effect < .12 || *r.Effect > .28 || *r.Holm > .01 {
		t.Errorf("p99: %s, %v, p=%v", r.Outcome, *r.Effect, *r.Holm)
	}
	r := rowOf(t, c, "produce.latency.p50")
	if r.Outcome != Noise || r.Seen == nil || *r.Seen < .03 || *r.Seen > .12 { // C2
		t.Errorf("p50: %+v", r)
	}
	if r := rowOf(t, c, "produce.rate"); r.Outcome != Same {
		t.Errorf("rate: %s", r.Outcome)
	}
	for _, r := range c.Pairs[0].Rows { // C3
		if r.Metric == "e2e.latency.p99" {
			t.Error("500 samples have no p99, and it is compared")
		}
	}
	if n := len(c.Regressed()); n != 2 { // p99, p99.9
		t.Errorf("%d regressions", n)
	}
	if len(c.Pairs[0].Warnings) != 0 {
		t.Errorf("warnings %q", c.Pairs[0].Warnings)
	}
}

// TestNoChangeIsRarelySeen plays many comparisons of equal sides: at most 5 % of them may find anything (Holm controls that).
func TestNoChangeIsRarelySeen(t *testing.T) {
	const n = 200
	found := 0
	for seed := range uint64(n) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		rows := make([]Row, 6)
		for i := range rows {
			for range 8 {
				rows[i].A.Values = append(rows[i].A.Values, rnd.NormFloat64())
				rows[i].B.Values = append(rows[i].B.Values, rnd.NormFloat64())
			}
			rows[i].A, rows[i].B = summarize(rows[i].A.Values), summarize(rows[i].B.Values)
		}
		var p []float64
		for i := range rows {
			p = append(p, uTest(rows[i].A.Values, rows[i].B.Values))
		}
		for _, h := range holm(p) {
			if h <= alpha {
				found++
				break
			}
		}
	}
	if found > n*alpha*2 {
		t.Errorf("%d of %d comparisons of the same with the same found a difference", found, n)
	}
}

func TestOneRunSaysNothing(t *testing.T) { // C1
	c := Compare(groups(1, .03, 3, 1), DefaultMargin)
	for _, r := range c.Pairs[0].Rows {
		if r.Outcome != NoInference || r.P != nil {
			t.Errorf("%s: %s", r.Metric, r.Outcome)
		}
	}
	var b bytes.Buffer
	if err := WriteText(&b, c); err != nil || !strings.Contains(b.String(), "nothing can be said") || len(c.Regressed()) != 0 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestFewRunsAreTooFew(t *testing.T) {
	c := Compare(groups(3, .03, 3, 1), DefaultMargin)
	if r := rowOf(t, c, "produce.latency.p99"); r.Outcome != TooFew || r.Seen != nil || !strings.Contains(strings.Join(c.Pairs[0].Warnings, "\n"), "no change can be told from chance") {
		t.Errorf("%+v", r)
	}
}

func TestASlightChangeIsNoRegression(t *testing.T) {
	c := Compare(groups(10, .001, 1.02, 1), DefaultMargin)
	if r := rowOf(t, c, "produce.latency.p99"); r.Outcome != SlightWorse || len(c.Regressed()) != 0 {
		t.Errorf("%s, %d regressions", r.Outcome, len(c.Regressed()))
	}
}

func TestTheSameMedianAndEverySecondRunSlow(t *testing.T) {
	rows := []Row{{show: showLatency}}
	for i := range 20 {
		quick, slow := 9.9e6+float64(i)*1e4, 7e6+float64(i)*2e4
		if i%2 == 1 {
			slow = 13e6 + float64(i)*2e4
		}
		rows[0].A.Values, rows[0].B.Values = append(rows[0].A.Values, quick), append(rows[0].B.Values, slow)
	}
	rows[0].A, rows[0].B = summarize(rows[0].A.Values), summarize(rows[0].B.Values)
	judge(rows, DefaultMargin)
	if rows[0].Outcome != Noise || !strings.Contains(rows[0].finding(), "spread differently, p=0.0") {
		t.Errorf("%s: %s", rows[0].Outcome, rows[0].finding())
	}
}

func TestWarnings(t *testing.T) {
	g := groups(4, .03, 1, 1)
	for _, r := range g[1].Runs {
		r.Started = r.Started.Add(time.Hour)
		r.Params[0].Value = "5ms"
		r.Verdict.Pass = false
	}
	g[1].Runs[0].Scenarios[0].Validity.Valid = false
	p := Compare(g, DefaultMargin).Pairs[0]
	all := strings.Join(append(p.Warnings, p.Differences...), "\n")
	for _, want := range []string{"takes turns", "4 and 4 runs", "1 of 4 runs are invalid", "--linger: 0ms → 5ms"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if !strings.Contains(p.Verdict, "4 of 4 → 0 of 4, beyond chance (p=0.029)") {
		t.Errorf("verdict %q", p.Verdict)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := WriteText(&b, Compare(groups(10, .03, 1.2, 1), DefaultMargin)); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/compare.txt"
	if os.Getenv("REWRITE") != "" {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("run with REWRITE=1 if this is wanted:\n%s", diff)
	}
}

func TestJSONHasNoInfinities(t *testing.T) {
	for _, n := range []int{1, 3, 10} {
		var b bytes.Buffer
		if err := WriteJSON(&b, Compare(groups(n, .03, 1.2, 1), DefaultMargin)); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("%d runs: %v", n, err)
		}
	}
}

func TestPage(t *testing.T) {
	g := groups(10, .03, 1.2, 1)
	const hostile = `<img src=x onerror=alert(1)></style>"`
	g[1].Runs[3].Scenarios[0].Name = "other" // one run without the scenario
	g[1].Runs[0].Script = hostile
	var b bytes.Buffer
	if err := WritePage(&b, Compare(g, DefaultMargin), g); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	if strings.Contains(html, hostile) || strings.Contains(html, "<script") || strings.Contains(html, "NaN") || strings.Contains(html, "style=") {
		t.Error("a name, a script or a number that is none reached the page")
	}
	if n := strings.Count(html, "<polyline"); n != 19 {
		t.Errorf("%d curves, want one for each run that has the scenario", n)
	}
	if *pages != "" {
		b.Reset()
		g := groups(10, .03, 1.2, 1)
		if err := WritePage(&b, Compare(g, DefaultMargin), g); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*pages, "compare.html"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, name := range []string{"base/1", "base/2", "base/10", "cand-a", "cand-b"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		r := run(rnd, time.Unix(1, 0).UTC(), 1, 2, .1)
		r.RunID = name
		if err := report.WriteFiles(filepath.Join(dir, name), r); err != nil {
			t.Fatal(err)
		}
	}
	g, err := Load([]string{filepath.Join(dir, "base") + "/", filepath.Join(dir, "cand-*"), filepath.Join(dir, "base/2")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range g {
		for _, r := range g.Runs {
			got = append(got, r.RunID)
		}
	}
	if s := strings.Join(got, " "); s != "base/1 base/2 base/10 cand-a cand-b base/2" {
		t.Errorf("runs %s", s)
	}
	for args, want := range map[string]string{"base base": "named twice", "nowhere base": "there is no folder", "base/2/.. base/1/nothing": "there is no folder"} {
		list := strings.Fields(args)
		for i := range list {
			list[i] = dir + "/" + list[i]
		}
		if _, err := Load(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cand-a", report.ResultsFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load([]string{filepath.Join(dir, "cand-a")}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("half a file: %v", err)
	}
}
