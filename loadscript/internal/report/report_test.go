package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// hostile is a name that breaks out of markup, of scripts and of attributes, if anything lets it.
const hostile = `<img src=x onerror="document.documentElement.dataset.owned=1"></script><script>document.documentElement.dataset.owned=2</script>'"&` + "\u2028"

// sample is a run of n scenarios of secs seconds each; name goes wherever somebody else chooses a name.
func sample(name string, n, secs int) *Results {
	r := &Results{
		Schema: SchemaVersion, RunID: "0123456789abcdef", Script: name, Title: name, Started: time.Unix(1_795_000_000, 0).UTC(), ElapsedNs: int64(secs) * 1e9,
		Params: []plan.Param{{Name: name, Value: name, Set: true}}, Host: Host{Name: name, Cores: 2, CPU: name},
		Cluster: Cluster{Brokers: []string{name}, Nodes: 1, Shared: true, Exit: name},
		Verdict: Verdict{ExitCode: 99, Meaning: "a threshold failed", Reasons: []string{name}},
	}
	for i := range n {
		r.Scenarios = append(r.Scenarios, sampleScenario(fmt.Sprintf("%s %d", name, i), secs))
	}
	return r
}

func sampleScenario(name string, secs int) Scenario {
	h := hist.New()
	for i := range 20_000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	l := NewLatency(h)
	few := Latency{Count: 50, P50Ns: 1e6, P99Ns: 2e6, P999Ns: 3e6, MaxNs: 4e6}
	end := int64(secs) * 1e9
	s := Scenario{
		Name: name, Ran: true, Flows: []string{name}, Notes: []string{name}, WarmupNs: end / 10,
		Stages: []Stage{{Name: name, EndNs: end / 2, From: 1000, To: 1000, OfferedRate: 1000, AckedRate: 999}, {Name: "peak", StartNs: end / 2, EndNs: end, OfferedRate: 9000, AckedRate: 8000, Errors: 3}},
		Totals: Totals{Offered: 20_003, Handed: 20_003, Acked: 20_000, Unknown: 3, Delivered: 20_000, Bytes: 20 << 20, OfferedRate: 5000, AckedRate: 4500},
		Metrics: []Metric{
			{Name: "produce.latency", Whole: l, Stages: []Latency{l, few}}, {Name: "produce.service_time", Whole: l, Stages: []Latency{l, few}},
			{Name: "produce.delay", Whole: l, Stages: []Latency{l, few}}, {Name: "e2e.latency", Whole: l, Stages: []Latency{l, few}},
		},
		Drain: Drain{TookNs: 5e6, Converged: true},
		Ledger: []ledger.Verdict{{
			Topic: name, Sent: 20_003, Acked: 20_000, Unknown: 3, Lost: 2, Views: []ledger.View{{Name: name, Seen: 19_998}},
			Examples: []ledger.Example{{Kind: ledger.Lost, Topic: name, Offset: 17, Other: -1, Reader: name, Text: "acknowledged, and not there"}},
		}},
		Invariants: []Invariant{{Name: "no_loss", Judged: true, Count: 2, Detail: name, Examples: []string{name}}, {Name: "in_order", Judged: true, Pass: true, Detail: "0 out of order"}},
		Thresholds: []Threshold{{Expr: name, During: name, Shown: "12.0 ms"}, {Expr: "errors.rate < 1%", Shown: "0%", Pass: true}},
		Validity:   Validity{Valid: true, Findings: []Finding{{Name: "generator lag p99", Required: "<= 20 ms", Measured: "2 ms", Pass: true}}},
		Curves:     []Curve{sampleCurve("produce.latency", name, h), sampleCurve("e2e.latency", name, h)},
		ExitCode:   96, Reasons: []string{name},
	}
	s.Config.Consume = []plan.Consume{{Group: name}}
	for i := range secs {
		q := Quantiles{N: 900, P50Ns: 1e6 + int64(i)*1000, P90Ns: 2e6, P99Ns: 5e6, P999Ns: 2e7, MaxNs: 5e7}
		s.Series = append(s.Series, Second{
			TNs: int64(i+1) * 1e9, WidthNs: 1e9, Offered: 1000, Handed: 1000, Acked: 990, Delivered: 980, InFlight: 7, Lag: int64(i % 13),
			Produce: q, E2E: q, Service: q, Delay: q, GenCPU: 0.5, BrokerCPU: 0.7,
		})
	}
	return s
}

func sampleCurve(metric, stage string, h *hist.Histogram) Curve {
	c := Curve{Metric: metric, Stage: stage}
	for _, p := range h.Curve(4) {
		x := float64(h.Count()) * 2
		if p.Quantile < 1 {
			x = 1 / (1 - p.Quantile)
		}
		c.Points = append(c.Points, CurvePoint{x, int64(p.Value)})
	}
	return c
}

func render(t *testing.T, r *Results) string {
	t.Helper()
	var b bytes.Buffer
	if err := WritePage(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNothingReachesThePageUnescaped(t *testing.T) { // R2
	html := render(t, sample(hostile, 2, 30))
	if strings.Contains(html, "<img src=x") || strings.Contains(html, "<script>document.documentElement.dataset.owned") {
		t.Error("a name reached the page as markup")
	}
	if n := strings.Count(html, "</script>"); n != 2 {
		t.Errorf("%d script elements end on the page, want the two of its own", n)
	}
}

func TestPageIsSelfContained(t *testing.T) { // R4
	html := render(t, sample("spike", 1, 30))
	for _, bad := range []string{"http://", "https://", "src=", "@import", "url(", "<link"} {
		for _, line := range strings.Split(html, "\n") {
			if strings.Contains(line, bad) && !strings.Contains(line, "uPlot") {
				t.Errorf("the page holds %q: %.120s", bad, line)
			}
		}
	}
	csp := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)
	if csp == nil || !strings.Contains(csp[1], "default-src") || strings.Contains(csp[1], "unsafe") {
		t.Errorf("content security policy %q", csp)
	}
}

func TestPageStaysSmall(t *testing.T) {
	for _, c := range []struct{ scenarios, seconds int }{{1, 86_400}, {30, 600}, {1, 5}} {
		if n := len(render(t, sample("soak", c.scenarios, c.seconds))); n > 500_000 {
			t.Errorf("%d scenarios of %d s: a page of %d bytes, want less than 500,000", c.scenarios, c.seconds, n)
		}
	}
}

func TestSqueezeKeepsTheWorst(t *testing.T) {
	s := sampleScenario("x", 5000)
	s.Series[1234].Produce.MaxNs = 9e9
	s.Series[1234].Lag = 777
	rows, size := squeeze(s.Series, 100)
	var most, lag, acked int64
	for _, r := range rows {
		most, lag, acked = max(most, r.Produce.MaxNs), max(lag, r.Lag), acked+r.Acked
	}
	if len(rows) > 100 || size != 50 || most != 9e9 || lag != 777 || acked != 5000*990 {
		t.Errorf("%d rows of %d, max %d, lag %d, acked %d", len(rows), size, most, lag, acked)
	}
}

func TestResultsRoundTrip(t *testing.T) { // R1
	r := sample("spike", 1, 3)
	var b bytes.Buffer
	if err := WriteJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back Results
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back); diff != "" {
		t.Error(diff)
	}
}

func TestSeriesFile(t *testing.T) {
	var b bytes.Buffer
	if err := WriteCSV(&b, sample("a,b", 2, 3)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 7 || rows[0][0] != "scenario" || rows[1][0] != "a,b 0" || rows[1][5] != "990.0" || rows[3][2] != "peak" {
		t.Errorf("%q", rows)
	}
}

func TestWriteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "results")
	for range 2 { // the second time over the first
		if err := WriteFiles(dir, sample("spike", 1, 3)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%v, want six files and nothing temporary", entries)
	}
	if err := WriteFiles(filepath.Join(dir, ResultsFile), sample("spike", 1, 3)); err == nil {
		t.Error("writing into a file worked")
	}
}

func TestVerdictText(t *testing.T) {
	r := sample("spike", 1, 30)
	r.Cluster.Exit = ""
	var b bytes.Buffer
	if err := WriteVerdict(&b, r, []string{"report   out/report.html"}, false); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/verdict.txt"
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

func TestVerdictTextOfFaultsAndProbes(t *testing.T) {
	r := plausible(60, 1)
	r.Scenarios[0].Recoveries = append(r.Scenarios[0].Recoveries, Recovery{Fault: "pause controller", Target: "broker 1", BeginNs: 5e10, EndNs: 55e9, RecoveryNs: -1},
		Recovery{Fault: "restart broker", Target: "broker 3", BeginNs: 45e9, EndNs: 46e9, RecoveryNs: -1, Next: "pause controller", NextNs: 5e10})
	r.Scenarios[0].Probes = []Probe{{10_000, true, "produce.latency.p99 = 12 ms < 20 ms"}, {20_000, false, "produce.latency.p99 = 31 ms, not < 20 ms"}}
	r.Scenarios[0].MaxRate = 10_000
	var b bytes.Buffer
	if err := WriteVerdict(&b, r, nil, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`kill leader\(orders/0\), broker 2 \(10.0.0.2:9092\) +27s +6.00 s +2.31 s +4.20 s`, `pause controller, broker 1 +50s +5.00 s +0 ns +never`,
		`restart broker, broker 3 +45s +1.00 s +0 ns +not recovered before the next fault, 4.00 s later`,
		`FAIL  20,000/s  produce.latency.p99 = 31 ms, not < 20 ms`, `highest rate that held: 10,000/s`, `warn  trend      broker.memory.rss < 1MiB/h: 1.03 GiB/h \(too short`,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

// A stage of nothing but warm-up, or that the run did not come to, has no rates.
func TestStageWithoutRates(t *testing.T) {
	s := Scenario{WarmupNs: 10e9}
	for _, c := range []struct {
		begin, end int64
		want       string
	}{{0, 10e9, "-"}, {5e9, 15e9, "0.0/s"}, {20e9, 20e9, "-"}, {20e9, 21e9, "0.0/s"}} {
		if got := s.stageRate(&Stage{StartNs: c.begin, EndNs: c.end}, 0); got != c.want {
			t.Errorf("from %d to %d: %q, want %q", c.begin, c.end, got, c.want)
		}
	}
}

// Why nothing could be verified is said once.
func TestNotVerifiedIsToldOnce(t *testing.T) {
	list := onceTold([]Invariant{
		{Name: "no_loss", Judged: true, Detail: "no broker"}, {Name: "in_order", Judged: true, Count: 2, Detail: "2 out of order"},
		{Name: "no_duplicates", Judged: true, Detail: "no broker"}, {Name: "no_phantoms", Judged: true, Pass: true, Detail: "0 phantoms"},
	})
	var got []string
	for _, v := range list {
		got = append(got, v.Detail)
	}
	if diff := cmp.Diff([]string{"no broker", "2 out of order", "not verified, as above", "0 phantoms"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestThresholdsSayWhatTheyWereJudgedOver(t *testing.T) {
	s := Scenario{Thresholds: []Threshold{{Expr: "a < 1", During: "peak"}, {Expr: "b < 1"}, {Expr: "c < 1"}, {Expr: "late < 1%"}}}
	s.Config.Thresholds = []plan.Threshold{
		{Expr: "a < 1", OutsideFaults: true}, {Expr: "b < 1", Window: time.Minute, OfWindows: .999}, {Expr: "c < 1", Window: 10 * time.Second, OfWindows: 1},
	}
	var got []string
	for i := range s.Thresholds {
		got = append(got, s.thresholdName(i))
	}
	want := []string{"a < 1 during peak, outside faults", "b < 1 in 99.9% of the 1m windows", "c < 1 in every 10s window", "late < 1%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextWithColorSaysTheSame(t *testing.T) {
	var plain, color bytes.Buffer
	r := sample("spike", 2, 30)
	if err := WriteVerdict(&plain, r, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := WriteVerdict(&color, r, nil, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(color.String(), "\x1b[31;1mFAIL") {
		t.Error("escapes without color, or none with")
	}
	if stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(color.String(), ""); stripped != plain.String() {
		t.Error(cmp.Diff(plain.String(), stripped))
	}
}

func TestFewSamplesAreNotShown(t *testing.T) { // R3
	few := Latency{Count: 50, P50Ns: 1e6, P99Ns: 2e6, P999Ns: 3e6, MaxNs: 4e6}
	if row := strings.Join(quantileRow("x", &few), " "); row != "x 1.00 ms - - - 4.00 ms" {
		t.Errorf("row %q", row)
	}
	for i, c := range cells(&few) {
		if weak := i == 1 || i == 2 || i == 3; c.Weak != weak {
			t.Errorf("column %d: weak %t, want %t", i, c.Weak, weak)
		}
	}
}

func TestFormats(t *testing.T) {
	for ns, want := range map[int64]string{0: "0 ns", 999: "999 ns", 1000: "1.00 µs", 99_940: "99.9 µs", 99_960: "100 µs", 4_210_000: "4.21 ms", 1_900_000_000: "1.90 s", 60_000_000_000: "60.0 s"} {
		if got := FormatLatency(ns); got != want {
			t.Errorf("FormatLatency(%d) = %q, want %q", ns, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 20: "1.0 MiB", 162 << 20: "162 MiB", 5 << 40: "5.0 TiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func snapshot(elapsed time.Duration, stage string) Snapshot {
	return Snapshot{
		Scenario: "spike", Count: 2, Phase: "running", Stage: stage, Elapsed: elapsed, Total: time.Minute, Offered: 1000, Achieved: 998,
		Consumed: 990, P50: time.Millisecond, P99: 9 * time.Millisecond, InFlight: 12, Lag: 8, Reads: true,
	}
}

func TestPlainProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 0, false)
	p.Show(Snapshot{Scenario: "spike", Phase: "preparing"})
	for i := 1; i <= 12; i++ {
		stage := "before"
		if i > 7 {
			stage = "peak"
		}
		p.Show(snapshot(time.Duration(i)*time.Second, stage))
	}
	struck := snapshot(12*time.Second, "peak")
	struck.Fault = "kill leader(orders/0)"
	p.Show(struck)
	p.Note("something happened")
	p.Done()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	// preparing; 1 s; 6 s (5 s later); 8 s (new stage); 12 s (a fault); the note
	if len(lines) != 6 || strings.Contains(b.String(), "\x1b") || !strings.Contains(lines[3], "peak 8s of 1m") ||
		!strings.HasSuffix(lines[4], ", fault: kill leader(orders/0)") || lines[5] != "loadscript: something happened" {
		t.Errorf("%d lines:\n%s", len(lines), b.String())
	}
}

func TestTerminalProgressRedrawsItself(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 60, true)
	p.Show(snapshot(10*time.Second, "before"))
	first := strings.Count(b.String(), "\n")
	if first < 3 || first > 5 {
		t.Errorf("%d lines, want 3 to 5", first)
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if n := len([]rune(regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]").ReplaceAllString(l, ""))); n > 59 {
			t.Errorf("a line of %d columns on a terminal of 60: %q", n, l)
		}
	}
	if !strings.Contains(b.String(), "achieved 998/s (100%)") {
		t.Errorf("the rate is not held against the plan: %q", b.String())
	}
	b.Reset()
	struck := snapshot(11*time.Second, "before")
	struck.Fault = "kill leader(orders/0)"
	p.Show(struck)
	if !strings.Contains(b.String(), "fault in force: kill leader(orders/0)") || strings.Count(b.String(), "\n") != first+1 {
		t.Errorf("no fault: %q", b.String())
	}
	first = strings.Count(b.String(), "\n")
	b.Reset()
	p.Show(snapshot(11*time.Second, "before"))
	if !strings.HasPrefix(b.String(), fmt.Sprintf("\x1b[%dA\r\x1b[J", first)) {
		t.Errorf("the second picture does not replace the first: %q", b.String())
	}
	b.Reset()
	p.Done()
	if b.String() != fmt.Sprintf("\x1b[%dA\r\x1b[J", first-1) { // the last picture had no fault
		t.Errorf("Done left something: %q", b.String())
	}
}
