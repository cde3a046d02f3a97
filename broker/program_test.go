package broker_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/streambus/streambus/broker/internal/api"
	"github.com/twmb/franz-go/pkg/kgo"
)

// output runs the program to its end.
func output(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("log:\n  segmnt.bytes: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	notADir := filepath.Join(dir, "file")
	if err := os.WriteFile(notADir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	cases := []struct {
		name string
		args []string
		env  []string
		code int
		says []string
	}{
		{"help", []string{"--help"}, nil, 0, nil},
		{"no command", nil, nil, 0, nil},
		{"unknown flag", []string{"broker", "--colour"}, nil, 2, []string{"unknown flag: --colour"}},
		{"unknown command", []string{"brokr"}, nil, 2, []string{`unknown command "brokr"`, "broker"}},
		{"argument too many", []string{"broker", "x"}, nil, 2, []string{"x"}},
		{"no data dir", []string{"broker"}, nil, 2, []string{"--data-dir ./data"}},
		{"bad file", []string{"broker", "--data-dir", dir, "--config", bad}, nil, 78, []string{bad + ":2", "log.segment.bytes"}},
		{"bad environment", []string{"config", "check"}, []string{"STREAMBUS_NUM_PARTITIONS=x"}, 78, []string{"STREAMBUS_NUM_PARTITIONS", "num.partitions"}},
		{"good", []string{"config", "check"}, nil, 0, nil},
		{"in the clear for all", []string{"broker", "--data-dir", dir, "--set", "listeners=PLAINTEXT://0.0.0.0:0"}, nil, 78, []string{"--insecure"}},
		{"busy port", []string{"broker", "--data-dir", dir, "--set", fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d", port)}, nil, 1,
			[]string{fmt.Sprint("port ", port), "in use", "--set listeners="}},
		{"no such address", []string{"broker", "--data-dir", dir, "--set", "listeners=PLAINTEXT://192.0.2.1:1", "--insecure"}, nil, 1, []string{"192.0.2.1:1", "--set listeners="}},
		{"a file for a directory", []string{"broker", "--data-dir", notADir, "--set", "listeners=PLAINTEXT://127.0.0.1:0"}, nil, 1, []string{notADir, "--data-dir"}},
		{"an unwritable directory", []string{"broker", "--data-dir", "/proc/streambus", "--set", "listeners=PLAINTEXT://127.0.0.1:0"}, nil, 1, []string{"/proc/streambus"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := output(t, c.env, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.code, stderr)
			}
			for _, want := range c.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr does not say %q:\n%s", want, stderr)
				}
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"broker", "--help"}, {"config", "--help"}, {"version", "--help"}, {"completion", "--help"}} {
		out, _, _ := output(t, nil, args...)
		if !strings.Contains(out, "Usage:") || len(out) < 100 {
			t.Errorf("%v says little:\n%s", args, out)
		}
	}
	if out, _, _ := output(t, nil, "--help"); !strings.Contains(out, "kcat") || !strings.Contains(out, "78 bad configuration") {
		t.Errorf("--help lacks an example or the exit codes:\n%s", out)
	}
	if out, _, _ := output(t, nil, "config", "docs"); !strings.Contains(out, "## `group.initial.rebalance.delay.ms`") {
		t.Errorf("config docs:\n%.500s", out)
	}
	if out, _, _ := output(t, nil, "config", "dump", "--set", "num.partitions=3"); !strings.Contains(out, "num.partitions: 3") {
		t.Errorf("config dump:\n%.500s", out)
	}
}

func TestVersionJSON(t *testing.T) {
	out, _, code := output(t, nil, "version", "--json")
	var v struct {
		Go   string
		APIs []struct {
			Key, Min, Max int16
			Name          string
		}
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 {
		t.Fatalf("%v, exit code %d:\n%s", err, code, out)
	}
	if len(v.APIs) != len(api.Served()) || v.APIs[0].Name != "Produce" || v.APIs[0].Max != api.Served()[0].Max || !strings.HasPrefix(v.Go, "go1.") {
		t.Errorf("%+v", v)
	}
}

func TestLockedDirectory(t *testing.T) {
	dir := t.TempDir()
	first := spawnBroker(t, dir, "PLAINTEXT://127.0.0.1:0")
	first.waitReady()
	second := spawnBroker(t, dir, "PLAINTEXT://127.0.0.1:0")
	if code := second.wait(); code != 75 {
		t.Errorf("exit code %d, want 75", code)
	}
	for _, want := range []string{dir, fmt.Sprint(first.cmd.Process.Pid), "--data-dir"} {
		if !strings.Contains(second.stderr.String(), want) {
			t.Errorf("stderr does not name %q:\n%s", want, second.stderr)
		}
	}
}

func TestTermDrainsAndKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	p := spawnBroker(t, dir, "PLAINTEXT://127.0.0.1:0")
	p.waitReady()
	p.signal(syscall.SIGHUP) // ends nothing
	c := client(t, p.addr, kgo.DefaultProduceTopic("a"), kgo.AllowAutoTopicCreation())
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("kept")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consumer := client(t, p.addr, kgo.ConsumeTopics("a")) // a long poll is under way
	consumer.PollFetches(within(t, 0))
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.stderr)
	}
	again := spawnBroker(t, dir, "PLAINTEXT://127.0.0.1:0")
	again.waitReady()
	if !strings.Contains(again.stderr.String(), "recovery=clean") {
		t.Errorf("the restart had to replay:\n%s", again.stderr)
	}
	got := client(t, again.addr, kgo.ConsumeTopics("a")).PollFetches(within(t, 10e9))
	if recs := got.Records(); len(recs) != 1 || string(recs[0].Value) != "kept" {
		t.Errorf("%d records, %v", len(recs), got.Err())
	}
}
