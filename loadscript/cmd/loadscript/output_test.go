package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

func fakeCluster(t *testing.T) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func TestAFullDiskLeavesTheVerdict(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, report.SeriesFile)); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := runPlan(t.Context(), tinyPlan(), runOptions{Brokers: fakeCluster(t), Out: dir, Format: "text", Quiet: true, Stdout: &out, Stderr: &errs})
	if code != plan.ExitInternal || !strings.Contains(out.String(), "PASS  exit code 0") {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	if s := errs.String(); !strings.Contains(s, report.SeriesFile) || !strings.Contains(s, "no space left on device") || !strings.Contains(s, "--out") {
		t.Errorf("stderr: %s", s)
	}
	if st, err := os.Stat(filepath.Join(dir, report.PageFile)); err != nil || st.Size() == 0 {
		t.Errorf("the other files are not there: %v", err)
	}
}

func TestRemoteWriteOfARun(t *testing.T) {
	var got []byte
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			got, err = snappy.Decode(nil, body)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer receiver.Close()
	var out, errs bytes.Buffer
	code := runPlan(t.Context(), tinyPlan(), runOptions{
		Brokers: fakeCluster(t), Out: t.TempDir(), Format: "kafka-perf", Quiet: true, Stdout: &out, Stderr: &errs,
		Live: liveOptions{Prometheus: "127.0.0.1:0", RemoteWrite: receiver.URL + "/api/v1/write"},
	})
	if code != plan.ExitPass || errs.Len() > 0 || !strings.HasPrefix(out.String(), "300 records sent, ") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	for _, want := range []string{"streambus_benchmark_latency_seconds_bucket", "produce.latency", "e2e.latency", "streambus_benchmark_records_total"} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("the receiver did not see %s", want)
		}
	}
}

func TestBadOutputsAreToldBeforeTheRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string]runOptions{
		"--prometheus " + taken.Addr().String(): {Live: liveOptions{Prometheus: taken.Addr().String()}},
		"/api/v1/write":                         {Live: liveOptions{RemoteWrite: "prometheus:9090"}},
		"not a directory":                       {Out: filepath.Join(file, "out")},
	} {
		var errs bytes.Buffer
		opts.Brokers, opts.Stdout, opts.Stderr = []string{"127.0.0.1:1"}, io.Discard, &errs
		if code := runPlan(t.Context(), tinyPlan(), opts); code != plan.ExitConfig || !strings.Contains(errs.String(), want) {
			t.Errorf("exit code %d, want 104 and %q: %s", code, want, errs.String())
		}
	}
}

func TestSourcesAreTheScriptAndItsModules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"x.star":     "load(\"//lib/a.star\", \"f\")\nload(\"@std/x.star\", \"g\")\n# load(\"//lib/no.star\", \"h\")\n",
		"lib/a.star": "load(\":b.star\", \"f\")\n", "lib/b.star": "load(\"//lib/a.star\", \"f\")\n", "lib/no.star": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, s := range sources(filepath.Join(dir, "x.star")) {
		name, _ := filepath.Rel(dir, s.Path)
		names = append(names, name)
		if len(s.SHA256) != 64 {
			t.Errorf("%+v", s)
		}
	}
	if got := strings.Join(names, " "); got != "x.star lib/a.star lib/b.star" {
		t.Errorf("sources %s", got)
	}
}

func TestRepeatAndCompare(t *testing.T) {
	brokers := fakeCluster(t)
	dir := t.TempDir()
	var out, errs bytes.Buffer
	m := &manyRuns{repeat: 2}
	for _, side := range []string{"a", "b"} {
		code := m.run(t.Context(), tinyPlan(), runOptions{Brokers: brokers, Out: filepath.Join(dir, side), Format: "json", Quiet: true, Stdout: &out, Stderr: &errs})
		if code != plan.ExitPass {
			t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
		}
	}
	var group struct {
		Runs []string
		Rows []struct{ Metric string }
	}
	if err := json.NewDecoder(&out).Decode(&group); err != nil || len(group.Runs) != 2 || len(group.Rows) == 0 {
		t.Errorf("%v: %+v", err, group)
	}
	if n := strings.Count(errs.String(), "run 2 of 2  PASS"); n != 2 {
		t.Errorf("%d times the run and its verdict on a line: %s", n, errs.String())
	}
	if n := strings.Count(errs.String(), "PASS"); n != 4 {
		t.Errorf("%d lines of runs: %s", n, errs.String())
	}
	out.Reset()
	page := filepath.Join(dir, "compare.html")
	if code := execute(t.Context(), []string{"compare", filepath.Join(dir, "a"), filepath.Join(dir, "b"), "--html", page, "--gate"}, &out, &errs); code != plan.ExitPass {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if st, err := os.Stat(page); err != nil || st.Size() == 0 || !strings.Contains(out.String(), "with so few runs no change could be believed") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestRepeatThatIsInterruptedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	m := &manyRuns{repeat: 3, sides: []side{{"base", "/bin/false"}, {"cand", "/bin/false"}}}
	code := m.run(ctx, tinyPlan(), runOptions{Out: t.TempDir(), Format: "text", Quiet: true, Stdout: &out, Stderr: &errs})
	if code != plan.ExitSignal || !strings.Contains(errs.String(), "stopped after 0 of 6 runs") || out.Len() > 0 {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
}

func TestABTakesTurns(t *testing.T) {
	bin := fakeStreambus(t)
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	var out, errs bytes.Buffer
	m := &manyRuns{repeat: 2, sides: []side{{"base", bin}, {"cand", bin}}}
	if code := m.run(t.Context(), tinyPlan(), runOptions{Out: dir, Format: "text", Quiet: true, Stdout: &out, Stderr: &errs}); code != plan.ExitPass {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	at := -1
	for _, d := range []string{"base/1", "cand/1", "base/2", "cand/2"} {
		i := strings.Index(out.String(), filepath.Join(dir, d))
		if i <= at {
			t.Errorf("%s is not in its turn:\n%s", d, out.String())
		}
		at = i
		if _, err := report.ReadResults(filepath.Join(dir, d)); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(out.String(), "produce.latency.p50") || !strings.Contains(out.String(), comparePage) {
		t.Errorf("no comparison:\n%s", out.String())
	}
}

// What a run tells on its way does not follow its number on the same line.
func TestRunsThatTalk(t *testing.T) {
	var out, errs bytes.Buffer
	m := &manyRuns{repeat: 1}
	if code := m.run(t.Context(), tinyPlan(), runOptions{Brokers: fakeCluster(t), Out: t.TempDir(), Format: "text", Stdout: &out, Stderr: &errs}); code != plan.ExitPass {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	if !strings.HasPrefix(out.String(), "run 1 of 1\nPASS") || !strings.Contains(errs.String(), "tiny: ") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
}
