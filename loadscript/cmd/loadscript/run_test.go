package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// tinyPlan offers 300 records in 0.3 s. Its threshold on a latency keeps the verdict of a busy machine out of the test: see
// drive's rules of validity.
func tinyPlan() *plan.Plan {
	topic := plan.Topic{Name: "orders", Partitions: 2, Replication: 1}
	return &plan.Plan{Script: "tiny.star", Scenarios: []plan.Scenario{{
		Name: "tiny",
		Produce: []plan.Produce{{
			Topic: topic, Producers: 1, Value: plan.Value{Kind: "bytes", Size: 100}, Key: plan.Key{Kind: "none"}, Acks: "all",
			Idempotent: true, Compression: "none", BatchBytes: 1 << 20,
		}},
		Consume:    []plan.Consume{{Topic: topic, Group: "g", Members: 1, Start: "earliest", Isolation: "read_uncommitted"}},
		Stages:     []plan.Stage{{Kind: "hold", Name: "steady", Duration: 300 * time.Millisecond, From: 1000, To: 1000}},
		Arrivals:   plan.Uniform,
		Drain:      10 * time.Second,
		Verify:     []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption},
		Thresholds: []plan.Threshold{{Expr: "produce.latency.max < 1m", Metric: "produce.latency", Stat: "max", Op: "<=", Value: 60e9}},
		Seed:       1,
	}}}
}

func TestRunPlanAgainstBrokers(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out, errs bytes.Buffer
	dir := filepath.Join(t.TempDir(), "results")
	code := runPlan(t.Context(), tinyPlan(), runOptions{Brokers: c.ListenAddrs(), Out: dir, Format: "text", Stdout: &out, Stderr: &errs})
	if code != plan.ExitPass || !strings.Contains(out.String(), "PASS  exit code 0") || !strings.Contains(out.String(), "300 acknowledged, 0 lost") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	if !strings.Contains(errs.String(), "tiny: preparing") {
		t.Errorf("no progress on stderr: %q", errs.String())
	}
	for _, name := range []string{report.PageFile, report.ResultsFile, report.SeriesFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakeStreambus builds the stand-in for the broker.
func fakeStreambus(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "streambus")
	if out, err := exec.Command("go", "build", "-o", path, "../../internal/cluster/testdata/fakestreambus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestRunPlanWithEmbeddedBroker(t *testing.T) {
	bin := fakeStreambus(t)
	var out, errs bytes.Buffer
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	code := runPlan(t.Context(), tinyPlan(), runOptions{Streambus: bin, Out: dir, Format: "json", Quiet: true, Stdout: &out, Stderr: &errs})
	var res report.Results
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s%s", err, out.String(), errs.String())
	}
	if code != plan.ExitPass || !res.Verdict.Pass || !res.Cluster.Embedded || res.Scenarios[0].Totals.Acked != 300 {
		t.Errorf("exit code %d, results %+v", code, res.Verdict)
	}
	if len(res.Preflight) < 8 {
		t.Errorf("the machine was not looked at: %v", res.Preflight)
	}
	if errs.Len() > 0 {
		t.Errorf("quiet, and on stderr: %s", errs.String())
	}
	if log, err := os.ReadFile(filepath.Join(dir, brokerLog)); err != nil || !strings.Contains(string(log), "starting on") {
		t.Errorf("the broker's log: %q, %v", log, err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunPlanWhenTheBrokerCrashes(t *testing.T) {
	bin := fakeStreambus(t)
	t.Setenv("FAKE_STREAMBUS", "crash")
	var out, errs bytes.Buffer
	code := runPlan(t.Context(), tinyPlan(), runOptions{Streambus: bin, Out: t.TempDir(), Format: "text", Quiet: true, Stdout: &out, Stderr: &errs})
	if code != plan.ExitUnreachable || !strings.Contains(out.String(), "something terrible happened") {
		t.Errorf("exit code %d, want %d and the end of the log\n%s%s", code, plan.ExitUnreachable, out.String(), errs.String())
	}
}

func TestRunPlanWithoutBinary(t *testing.T) {
	var out, errs bytes.Buffer
	code := runPlan(t.Context(), tinyPlan(), runOptions{Streambus: "/nowhere/streambus", Out: t.TempDir(), Stdout: &out, Stderr: &errs})
	if code != plan.ExitConfig || !strings.Contains(errs.String(), "no streambus binary") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// A broker that goes away for good: what it acknowledged until then is in the report, and the verdict says what to look at.
func TestRunPlanWhenBrokersGoAway(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	p := tinyPlan()
	p.Scenarios[0].Stages[0].Duration = 2 * time.Second
	p.Scenarios[0].Drain = time.Second
	var wg sync.WaitGroup
	wg.Go(func() {
		for stored := int64(0); stored < 200; time.Sleep(5 * time.Millisecond) {
			stored = 0
			for _, info := range c.PartitionInfos("orders") {
				stored += info.HighWatermark
			}
		}
		c.Close()
	})
	defer wg.Wait()
	var out, errs bytes.Buffer
	dir := t.TempDir()
	code := runPlan(t.Context(), p, runOptions{Brokers: c.ListenAddrs(), Out: dir, Format: "text", Quiet: true, Stdout: &out, Stderr: &errs})
	if code != plan.ExitUnreachable || !strings.Contains(out.String(), "is the broker running") || !strings.Contains(out.String(), "not verified") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	var res report.Results
	if text, err := os.ReadFile(filepath.Join(dir, report.ResultsFile)); err != nil || json.Unmarshal(text, &res) != nil || res.Scenarios[0].Totals.Acked < 100 {
		t.Errorf("the results so far are not kept: %v", err)
	}
}

// A login that is right, and one that is not.
func TestRunPlanWithAWrongPassword(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for password, want := range map[string]struct {
		code plan.ExitCode
		text string
	}{
		"secret": {plan.ExitPass, "300 acknowledged, 0 lost"},
		"guess":  {plan.ExitUnreachable, `the login of "alice"`},
	} {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := securityFlags{mechanism: "scram-sha-256", user: "alice", passwordFile: file}
		secure, err := flags.security(c.ListenAddrs())
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := runPlan(t.Context(), tinyPlan(), runOptions{Brokers: c.ListenAddrs(), Security: secure, Out: t.TempDir(), Quiet: true, Stdout: &out, Stderr: &errs})
		if code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("password %s: exit code %d\n%s%s", password, code, out.String(), errs.String())
		}
	}
}

// A disk without room: the verdict is printed, and the files are kept elsewhere.
func TestRunPlanOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("loadscript-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 60<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	spare := t.TempDir()
	t.Setenv("TMPDIR", spare)
	var out, errs bytes.Buffer
	code := runPlan(t.Context(), tinyPlan(), runOptions{Brokers: c.ListenAddrs(), Out: filepath.Join(dir, "out"), Quiet: true, Stdout: &out, Stderr: &errs})
	if code != plan.ExitInternal || !strings.Contains(errs.String(), "no space left on device (free some, or choose another folder with --out)") {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
	if !strings.Contains(out.String(), "300 acknowledged, 0 lost") || !strings.Contains(out.String(), spare) {
		t.Errorf("the verdict, or where the report is now, is missing:\n%s", out.String())
	}
	if kept, err := filepath.Glob(filepath.Join(spare, "loadscript-results-*", report.ResultsFile)); err != nil || len(kept) != 1 {
		t.Errorf("results kept elsewhere: %v, %v", kept, err)
	}
}

func TestRunPlanInterruptedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := runPlan(ctx, tinyPlan(), runOptions{Streambus: fakeStreambus(t), Out: t.TempDir(), Stdout: &out, Stderr: &errs}); code != plan.ExitSignal {
		t.Errorf("exit code %d, want %d: %s", code, plan.ExitSignal, errs.String())
	}
	if said := errs.String(); !strings.Contains(said, "before the cluster was up") || strings.Contains(said, "its log ends with") {
		t.Errorf("it says %q", said)
	}
}

func TestLocal(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:9092": true, "localhost:9092": true, "[::1]:9092": true, "10.1.2.3:9092": false, "kafka:9092": false} {
		if got := local([]string{addr}); got != want {
			t.Errorf("local(%s) = %t", addr, got)
		}
	}
}
