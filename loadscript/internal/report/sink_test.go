package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"errors"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

func recordedPlan() *plan.Plan {
	return &plan.Plan{Scenarios: []plan.Scenario{
		{Name: "spike", Stages: []plan.Stage{{Name: "before", Duration: 2 * time.Second}, {Name: "peak", Duration: time.Second}}},
		{Name: "soak", Stages: []plan.Stage{{Name: "steady", Duration: 2 * time.Hour}}},
		{Name: "cap", Executor: &plan.Executor{Kind: "find_max_rate"}},
	}}
}

// record plays a scenario of n seconds into the sink.
func record(s Sink, scenario string, n int) {
	s.Begin(scenario, time.Unix(1_795_000_000, 0).UTC())
	h := hist.New()
	h.Record(3 * time.Millisecond)
	for i := range n {
		row := sampleScenario(scenario, 1).Series[0]
		row.TNs = int64(i+1) * 1e9
		s.Second(row, map[string]*hist.Histogram{"produce.latency": h, "e2e.latency": h, "produce.delay": hist.New()})
	}
	s.Event(Event{TNs: 1e9, EndNs: 2e9, Kind: "fault", Name: "kill broker 1"})
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func TestRecorderKeepsWhatWasMeasuredSoFar(t *testing.T) {
	dir := t.TempDir()
	rec, err := NewRecorder(dir, recordedPlan())
	if err != nil {
		t.Fatal(err)
	}
	record(rec, "spike", 4)
	// Nobody has called Close: the process may be gone now.
	rows, err := csv.NewReader(strings.NewReader(strings.Join(lines(t, filepath.Join(dir, SeriesFile)), "\n"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	for _, r := range rows[1:] {
		stages = append(stages, r[2])
	}
	if got := strings.Join(stages, " "); got != "before before peak drain" {
		t.Errorf("stages %q", got)
	}
	log := lines(t, filepath.Join(dir, LatencyFile))
	if len(log) != 3+4*2 || !strings.HasPrefix(log[3], "Tag=e2e.latency,0.000000,1.000000,3.0") || !strings.HasPrefix(log[10], "Tag=produce.latency,3.000000,1.000000,") {
		t.Errorf("latency.hlog:\n%.1500s", strings.Join(log, "\n"))
	}
	events := lines(t, filepath.Join(dir, EventsFile))
	var e map[string]any
	if err := json.Unmarshal([]byte(events[len(events)-1]), &e); err != nil || len(events) != 2 || e["scenario"] != "spike" || e["name"] != "kill broker 1" || e["end_ns"] != 2e9 {
		t.Errorf("events %q: %v", events, err)
	}
	record(rec, "soak", 25) // of two hours: intervals of ten seconds, the last one of what there is
	if err := rec.Close(); err != nil || rec.Rows() != 29 {
		t.Errorf("%d rows, %v", rec.Rows(), err)
	}
	if log := lines(t, filepath.Join(dir, LatencyFile)); len(log) != 3+8+3*2 {
		t.Errorf("%d lines in latency.hlog, want 17", len(log))
	}
}

func TestPlannedStages(t *testing.T) {
	p := recordedPlan()
	for _, c := range []struct {
		scenario string
		at       time.Duration
		want     string
	}{{"spike", 2500 * time.Millisecond, "peak"}, {"spike", 3 * time.Second, "drain"}, {"cap at 10k/s", time.Second, "find_max_rate"}} {
		if s := Planned(p, c.scenario); s == nil || PlannedStage(s, c.at) != c.want {
			t.Errorf("%s at %v: %+v, want stage %s", c.scenario, c.at, s, c.want)
		}
	}
	if s := Planned(p, "spike at 5k/s"); s != nil { // no probe: spike has no executor
		t.Errorf("%+v", s)
	}
}

func TestRecordedSeriesIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	rec, err := NewRecorder(dir, recordedPlan())
	if err != nil {
		t.Fatal(err)
	}
	record(rec, "spike", 4)
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	if err := WriteFiles(dir, sample("spike", 1, 2)); err != nil {
		t.Fatal(err)
	}
	if n := len(lines(t, filepath.Join(dir, SeriesFile))); n != 5 {
		t.Errorf("%d lines in series.csv, want those of the recorder", n)
	}
}

func TestRecorderOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, LatencyFile)); err != nil {
		t.Fatal(err)
	}
	rec, err := NewRecorder(dir, recordedPlan())
	if err != nil {
		t.Fatal(err)
	}
	record(rec, "spike", 4)
	err = rec.Close()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), LatencyFile) || strings.Contains(err.Error(), SeriesFile) {
		t.Errorf("error %v, want one about latency.hlog alone", err)
	}
	if n := len(lines(t, filepath.Join(dir, SeriesFile))); n != 5 {
		t.Errorf("%d lines in series.csv: the other files go on", n)
	}
}

func TestBenchFileIsReadByBenchstat(t *testing.T) {
	r := sample("scripts/spike one.star", 2, 30)
	r.Params = []plan.Param{{Name: "spike_rate", Value: "5k/s"}}
	dir := t.TempDir()
	var paths []string
	for i := range 4 {
		var b bytes.Buffer
		r.Scenarios[0].Totals.AckedRate = float64(4500 + i)
		if err := WriteBench(&b, r); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(dir, string(rune('a'+i))))
		if err := os.WriteFile(paths[i], b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "benchstat", "-format", "csv"}, paths...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("benchstat: %v\n%s", err, stderr.String())
	}
	for _, want := range []string{"param-spike-rate: 5k/s", "Load/scenario=scripts_spike_one.star_0/stage=all,4500", "records/s", "p99-sec", "e2e-p99.9-sec"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("benchstat does not show %q:\n%s%s", want, out, stderr.String())
		}
	}
	for _, bad := range []string{"parse error", "invalid", "duplicate"} {
		if strings.Contains(stderr.String(), bad) {
			t.Errorf("benchstat says: %s", stderr.String())
		}
	}
}

func TestBenchLeavesWeakPercentilesOut(t *testing.T) { // R3
	r := sample("spike", 1, 30)
	r.Scenarios[0].Stages[1].Name = "late peak"
	var b bytes.Buffer
	if err := WriteBench(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(b.String(), "\n") {
		if strings.Contains(l, "stage=late_peak") && (strings.Contains(l, "p99") || !strings.Contains(l, " p50-ns")) {
			t.Errorf("50 samples have no p99: %s", l)
		}
	}
}

func TestJUnitFile(t *testing.T) {
	r := sample("spike \x01", 2, 30)
	r.Scenarios[0].Trends = []Trend{{Expr: "broker.memory.rss < 1MiB/h", Shown: "3.2 MiB/h"}}
	r.Scenarios = append(r.Scenarios, Scenario{Name: "never", Error: "the cluster cannot be reached"})
	var b bytes.Buffer
	if err := WriteJUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	var back junitSuites
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	// Of each scenario: no_loss and one threshold fail; the first has a trend, too.
	if len(back.Suites) != 3 || back.Suites[0].Tests != 6 || back.Suites[0].Failures != 3 || back.Failures != 5 || back.Errors != 1 {
		t.Errorf("%d failures, %d errors\n%s", back.Failures, back.Errors, b.String())
	}
	r = &Results{Verdict: Verdict{ExitCode: 94, Meaning: "unreachable", Reasons: []string{"no answer"}}}
	b.Reset()
	if err := WriteJUnit(&b, r); err != nil || !strings.Contains(b.String(), `errors="1"`) || !strings.Contains(b.String(), "no answer") {
		t.Errorf("a run that failed as a whole: %v\n%s", err, b.String())
	}
}

func TestKafkaPerfLine(t *testing.T) {
	r := sample("spike", 1, 30)
	r.Scenarios[0].Totals.AckedRate = 49_019.607_843
	var b bytes.Buffer
	if err := WriteKafkaPerf(&b, r); err != nil {
		t.Fatal(err)
	}
	// The form of ProducerPerformance of Apache Kafka 4.
	want := "20000 records sent, 49019.607843 records/sec (49.02 MB/sec), 10.00 ms avg latency, 20.00 ms max latency, 10 ms 50th, 19 ms 95th, 20 ms 99th, 20 ms 99.9th.\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}
