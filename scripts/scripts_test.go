package scripts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// bin is where the programs under test are.
var bin string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

// buildAndRun tests the programs as users have them: built from this tree.
func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "scripts-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-o", bin+"/", "../loadscript/cmd/loadscript", "../broker/cmd/streambus")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// all lists the scripts.
func all(t *testing.T) (names []string) {
	paths, err := filepath.Glob("*.star")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, p := range paths {
		if !strings.HasSuffix(p, "_test.star") {
			names = append(names, strings.TrimSuffix(p, ".star"))
		}
	}
	return names
}

// loadscript runs one command line to its end.
func loadscript(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "loadscript"), args...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Error(err)
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Every script says what it shows and how long it takes, and takes the cluster's address.
func TestHelp(t *testing.T) {
	for _, name := range all(t) {
		out, errs, code := loadscript(t, "run", name+".star", "--help")
		if code != 0 {
			t.Errorf("%s: exit code %d\n%s", name, code, errs)
		}
		if !regexp.MustCompile(`(?m)^Takes \d+ |Half a minute|half a minute`).MatchString(out) {
			t.Errorf("%s does not say how long it takes:\n%s", name, out)
		}
		if !strings.Contains(out, "--brokers") {
			t.Errorf("%s does not take --brokers:\n%s", name, out)
		}
	}
}

// The guide's scenarios, with its flags as it writes them: they are what the scripts do anyway.
func TestGuide(t *testing.T) {
	for name, c := range map[string]struct {
		flags, records, text string
	}{
		"throughput": {"--duration 30m --rate 10000 --producers 10 --consumers 10", "18,000,000", "10 producers"},
		"stress":     {"--duration 10m --rate 50000 --producers 20 --consumers 20", "30,900,000", "20 members"}, // 30 million of them at the peak
		"soak":       {"--duration 24h --rate 5000", "432,000,000", "retention.ms"},
		"spike":      {"--duration 5m --rate 1000 --spike-rate 10000 --spike-duration 30s", "588,000", "10k/s"},
	} {
		plain, _, _ := loadscript(t, "plan", name+".star")
		out, errs, code := loadscript(t, append([]string{"plan", name + ".star", "--brokers", "host1:9092,host2:9092"}, strings.Fields(c.flags)...)...)
		if code != 0 {
			t.Errorf("%s %s: exit code %d\n%s", name, c.flags, code, errs)
			continue
		}
		for _, text := range []string{"records     " + c.records + " ", c.text} {
			if !strings.Contains(out, text) || !strings.Contains(plain, text) {
				t.Errorf("%s %s: no %q in\n%s\nor without flags in\n%s", name, c.flags, text, out, plain)
			}
		}
	}
	latency, _, _ := loadscript(t, "plan", "latency.star")
	for _, limit := range []string{"p50 < 5ms", "p95 < 20ms", "p99 < 50ms", "p99.9 < 100ms"} {
		if !strings.Contains(latency, "produce.latency."+limit) {
			t.Errorf("latency does not ask for %s", limit)
		}
	}
	sizing, _, _ := loadscript(t, "plan", "sizing.star")
	for _, limit := range []string{"5k/s", "20k/s", "100k/s", "broker.cpu < 1", "broker.cpu < 10", "broker.memory.rss.max < 500MB", "broker.net.in"} {
		if !strings.Contains(sizing, limit) {
			t.Errorf("sizing does not know of %s", limit)
		}
	}
	region, _, _ := loadscript(t, "plan", "cross_region.star")
	for _, limit := range []string{"p50 < 1ms", "p50 < 5ms", "p50 > 50ms", "p50 < 100ms"} {
		if !strings.Contains(region, "produce.service_time."+limit) {
			t.Errorf("cross_region does not ask for %s", limit)
		}
	}
}

// The scripts' own tests, of their arithmetic; and all of them are formatted.
func TestScriptTests(t *testing.T) {
	if out, errs, code := loadscript(t, "test", "."); code != 0 {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	files, err := filepath.Glob("lib/*.star")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("*.star")
	if err != nil {
		t.Fatal(err)
	}
	if out, errs, code := loadscript(t, append([]string{"fmt", "-l"}, append(files, more...)...)...); code != 0 || out != "" {
		t.Errorf("exit code %d; `loadscript fmt -w` formats these:\n%s%s", code, out, errs)
	}
}

// short is each script in a form that takes seconds.
var short = map[string]string{
	"smoke":          "",
	"throughput":     "--duration 2s --rate 500 --producers 2 --consumers 2",
	"latency":        "--duration 2s --rate 500",
	"stress":         "--duration 2s --rate 2k/s --usual 200/s --producers 3 --consumers 3",
	"soak":           "--duration 3s --rate 500",
	"spike":          "--duration 7s --rate 200 --spike-rate 2000 --spike-duration 1s --producers 2 --consumers 2",
	"failover":       "--duration 10s --rate 300",
	"consumer_group": "--duration 4s --rate 300 --consumers 3",
	"partition":      "--duration 10s --rate 300",
	"cross_region":   "--duration 6s --rate 300",
	"sizing":         "--duration 10s --small 200/s --medium 500/s --large 1k/s --producers 2 --consumers 2",
	"compare":        "--duration 4s --rounds 2 --rate 300",
}

// verdict is the part of results.json that counts here.
type verdict struct {
	Verdict struct {
		Reasons []string `json:"reasons"`
	} `json:"verdict"`
	Scenarios []struct {
		Name   string `json:"name"`
		Ran    bool   `json:"ran"`
		Totals struct {
			Acked int64 `json:"acked"`
		} `json:"totals"`
		Invariants []struct {
			Name   string `json:"name"`
			Judged bool   `json:"judged"`
			Pass   bool   `json:"pass"`
			Detail string `json:"detail"`
		} `json:"invariants"`
		Thresholds []struct {
			Expr   string `json:"expr"`
			Shown  string `json:"shown"`
			Detail string `json:"detail"`
			Pass   bool   `json:"pass"`
		} `json:"thresholds"`
	} `json:"scenarios"`
}

// Each script runs against a broker of its own. A busy machine may miss thresholds (99), or be no fit place to measure (95);
// but records are never lost, and no script asks for what is not measured.
func TestShortRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every script for seconds")
	}
	places := make(chan struct{}, 6)
	var wg sync.WaitGroup
	for _, name := range all(t) {
		flags, ok := short[name]
		if !ok {
			t.Errorf("%s has no short form here", name)
			continue
		}
		if name == "smoke" {
			continue // it has one form only, which makes benchmark-load and the README run
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			runShort(t, name, strings.Fields(flags))
		})
	}
	wg.Wait()
}

func runShort(t *testing.T, name string, flags []string) {
	begun := time.Now()
	args := []string{"run", name + ".star", "--quiet", "--format", "json", "--out", filepath.Join(t.TempDir(), name), "--streambus", filepath.Join(bin, "streambus")}
	out, errs, code := loadscript(t, append(args, flags...)...)
	t.Logf("%s: exit code %d after %s", name, code, time.Since(begun).Round(100*time.Millisecond))
	var v verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Errorf("%s: no verdict: %v\n%s%s", name, err, out, errs)
		return
	}
	if !slices.Contains([]int{0, 95, 99}, code) {
		t.Errorf("%s: exit code %d: %s\n%s", name, code, strings.Join(v.Verdict.Reasons, "\n"), errs)
	}
	for _, sc := range v.Scenarios {
		if !sc.Ran || sc.Totals.Acked == 0 {
			t.Errorf("%s, scenario %s: ran %t, %d records acknowledged", name, sc.Name, sc.Ran, sc.Totals.Acked)
		}
		for _, inv := range sc.Invariants {
			if inv.Judged && !inv.Pass {
				t.Errorf("%s, scenario %s: %s: %s", name, sc.Name, inv.Name, inv.Detail)
			}
		}
		for _, th := range sc.Thresholds {
			if th.Shown == "not measured" {
				t.Errorf("%s, scenario %s: %s is not measured: %s", name, sc.Name, th.Expr, th.Detail)
			}
			if strings.HasSuffix(th.Expr, "p50 > 50ms") && !th.Pass { // of cross_region; the only one that no busy machine can miss
				t.Errorf("%s, scenario %s: %s, and yet %s", name, sc.Name, th.Expr, th.Shown)
			}
		}
	}
}
