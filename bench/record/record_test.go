package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/streambus/streambus/tools/checks"
)

func TestConfigurationLinesAreOfTheBenchmarkFormat(t *testing.T) {
	c := describe(context.Background(), t.TempDir())
	form := regexp.MustCompile(`^[a-z][^\sA-Z]*: \S.*$`)
	lines := strings.Split(strings.TrimSuffix(c.String(), "\n"), "\n")
	for _, l := range lines {
		if !form.MatchString(l) {
			t.Errorf("%q is not key: value", l)
		}
	}
	for _, key := range []string{"commit", "machine", "processor", "kernel", "governor", "filesystem", "disk", "go"} {
		if c.value(key) == "" {
			t.Errorf("no line for %s", key)
		}
	}
}

func TestPreflightNamesWhatIsNotAsItShouldBe(t *testing.T) {
	all := []checks.Result{{Condition: "swap", Required: "off", Current: "on"}, {Condition: "governor", Passed: true}}
	if got := preflight(all); got != "swap is on (off)" {
		t.Errorf("got %q", got)
	}
	if got := preflight(all[1:]); got != "passed" {
		t.Errorf("got %q", got)
	}
}

func TestMountOfFindsTheDeepest(t *testing.T) {
	const info = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /data rw,noatime shared:2 - xfs /dev/sdb rw
31 22 0:5 / /data2 rw - tmpfs tmpfs rw
nonsense
32 30 8:3 / /data rw,discard - ext4 /dev/sdc rw
`
	for dir, want := range map[string]string{"/x": "/dev/sda1", "/data": "/dev/sdc", "/data/a": "/dev/sdc", "/data2/b": "tmpfs", "/data3": "/dev/sda1"} {
		if m := mountOf(info, dir); m.source != want {
			t.Errorf("%s lies on %q, want %q", dir, m.source, want)
		}
	}
	if m := mountOf("", "/x"); m.describe() != "" || m.disk() != "" {
		t.Errorf("without mounts: %+v", m)
	}
}

func TestGovernor(t *testing.T) {
	dir := t.TempDir()
	if g := governor(dir); g != "none" {
		t.Errorf("a machine without cpufreq has %q", g)
	}
	for i, name := range []string{"performance", "performance", "powersave"} {
		d := filepath.Join(dir, "cpu"+string(rune('0'+i)), "cpufreq")
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "scaling_governor"), []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if g := governor(dir); g != "performance,powersave" {
		t.Errorf("got %q", g)
	}
}

func TestResultsAreNeverOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	for i, want := range []string{"a.txt", "a-2.txt", "a-3.txt"} {
		name, err := keep(dir, "a", []byte{byte('0' + i)})
		if err != nil || filepath.Base(name) != want {
			t.Fatalf("result %d went to %s: %v", i, name, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(b) != "0" {
		t.Errorf("the first result holds %q: %v", b, err)
	}
}

func TestCommandLine(t *testing.T) {
	var out bytes.Buffer
	for _, bad := range [][]string{{}, {"-name", "x"}, {"--", "./engine"}, {"-name", "a/b", "--", "./engine"}, {"-none"}} {
		if _, err := parse(bad, &out); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	q, err := parse([]string{"-name", "storage", "--", "-bench", "X", "./engine"}, &out)
	if err != nil || q.dir != "" || strings.Join(q.command, " ") != "go test -bench X ./engine" {
		t.Errorf("got %+v, %v", q, err)
	}
	if q, err = parse([]string{"-name", "storage", "-record", "--", "./engine"}, &out); err != nil || q.dir != "bench/results" {
		t.Errorf("got %+v, %v", q, err)
	}
}

func TestFailedBenchmarksAreNotRecorded(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	err := run(context.Background(), []string{"-name", "x", "-record", "-dir", dir, "-last", dir, "--", "-run", "^$", "./no-such-package"}, &out, &errs)
	if err == nil {
		t.Fatal("benchmarks of a missing package went well")
	}
	err = run(context.Background(), []string{"-name", "x", "-record", "-dir", dir, "-last", dir, "-exec", "--", "echo", "PASS"}, &out, &errs)
	if err == nil || !strings.Contains(err.Error(), "no benchmark was run") {
		t.Errorf("a run without any benchmark: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v was recorded", left)
	}
}

func TestTheLastOutputStays(t *testing.T) {
	last := t.TempDir()
	var out, errs bytes.Buffer
	if err := run(context.Background(), []string{"-name", "x", "-last", last, "-exec", "--", "echo", "BenchmarkX 1 5 ns/op"}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(last, "x.txt"))
	if err != nil || string(text) != out.String() || !strings.Contains(out.String(), "\nBenchmarkX 1 5 ns/op\n") || !strings.Contains(out.String(), "\ncommand: echo BenchmarkX") {
		t.Errorf("%v: kept %q, printed %q", err, text, out.String())
	}
}
