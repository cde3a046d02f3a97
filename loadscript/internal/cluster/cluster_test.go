package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fakestreambus-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "streambus")
	if out, err := exec.Command("go", "build", "-o", path, "./testdata/fakestreambus").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// fakeBinary builds the stand-in once for all tests.
func fakeBinary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts the stand-in with a fault.
func start(t *testing.T, fault string, opts Options) (*Cluster, error) {
	t.Helper()
	t.Setenv("FAKE_STREAMBUS", fault)
	opts.Binary, opts.Dir, opts.Log = fakeBinary(t), t.TempDir(), filepath.Join(t.TempDir(), "broker.log")
	c, err := Start(t.Context(), opts)
	t.Cleanup(func() {
		if err == nil {
			c.Stop()
		}
		if left, _ := os.ReadDir(opts.Dir); len(left) > 0 {
			t.Errorf("left behind (C2): %v", left)
		}
	})
	return c, err
}

// ask sends one Metadata request.
func ask(t *testing.T, addr string) error {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	return err
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestStartAnswersAndStops(t *testing.T) { // C1, C2
	c, err := start(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, c.Addrs()[0]); err != nil {
		t.Errorf("the broker does not answer: %v", err)
	}
	if c.Exit() != "" {
		t.Errorf("it runs, and Exit says %q", c.Exit())
	}
	if forced := c.Stop(); forced || !gone(c.Nodes()[0].PID) {
		t.Errorf("after Stop: forced %t, gone %t", forced, gone(c.Nodes()[0].PID))
	}
	c.Stop() // twice is fine
	if c.Exit() != "" {
		t.Errorf("a broker that was stopped did not die: %q", c.Exit())
	}
	select {
	case <-c.Dead():
		t.Error("Dead is closed after a Stop")
	default:
	}
}

func TestCrashIsReportedWithTheLog(t *testing.T) { // C3
	c, err := start(t, "crash", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, c.Addrs()[0]); err == nil {
		t.Error("it answered, and should have crashed")
	}
	<-c.Dead()
	if e := c.Exit(); !strings.Contains(e, "exit status 3") || !strings.Contains(e, "something terrible") {
		t.Errorf("Exit says %q", e)
	}
}

func TestDeafBrokerIsKilled(t *testing.T) { // C1
	c, err := start(t, "deaf", Options{Stop: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Stop() || !gone(c.Nodes()[0].PID) {
		t.Error("a broker that ignores SIGTERM is still there")
	}
}

func TestNeverReady(t *testing.T) {
	if _, err := start(t, "mute", Options{Ready: 3 * time.Second}); err == nil || !strings.Contains(err.Error(), "starting on") {
		t.Errorf("error %v, want one that quotes the log", err)
	}
}

func TestEndsAtOnce(t *testing.T) {
	if _, err := start(t, "refuse", Options{}); err == nil || !strings.Contains(err.Error(), "data directory is locked") {
		t.Errorf("error %v, want one that quotes the log", err)
	}
}

func TestInterruptedWhileStarting(t *testing.T) {
	t.Setenv("FAKE_STREAMBUS", "mute")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Binary: fakeBinary(t), Dir: t.TempDir(), Log: filepath.Join(t.TempDir(), "log")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that wraps context.Canceled", err)
	}
}

// A broker that is killed and launched again is another process with the same address and the same data (C4).
func TestKillAndLaunch(t *testing.T) {
	c, err := start(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Addrs()[0]
	for name, end := range map[string]func(string) error{"kill": c.Kill, "shutdown": c.Shutdown} {
		pid := c.Nodes()[0].PID
		if err := end(addr); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !gone(pid) || ask(t, addr) == nil {
			t.Errorf("after %s: gone %t", name, gone(pid))
		}
		if err := end(addr); err == nil || !strings.Contains(err.Error(), "down already") {
			t.Errorf("%s of a broker that is down: %v", name, err)
		}
		if err := c.Launch(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		if err := ask(t, addr); err != nil || c.Nodes()[0].PID == pid {
			t.Errorf("after Launch: %v, pid %d as before", err, pid)
		}
		if err := c.Launch(t.Context(), addr); err == nil {
			t.Error("a broker that runs was launched")
		}
	}
	select {
	case <-c.Dead():
		t.Errorf("a broker that was killed on purpose is reported dead: %s", c.Exit())
	default:
	}
	if err := c.Kill("127.0.0.1:1"); err == nil {
		t.Error("a broker that is not ours was killed")
	}
}

func TestShutdownOfADeafBroker(t *testing.T) {
	c, err := start(t, "deaf", Options{Stop: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Shutdown(c.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("error %v, want one that says it was killed", err)
	}
}

// A paused broker keeps its connections and says nothing; resumed, it answers what was asked meanwhile. Stop ends it either way.
func TestPauseAndResume(t *testing.T) {
	c, err := start(t, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.Addrs()[0]
	if err := c.Pause(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- ask(t, addr) }()
	select {
	case err := <-answered:
		t.Errorf("a paused broker answered: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := c.Resume(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := c.Pause(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if c.Stop() {
		t.Error("a paused broker had to be killed")
	}
}

func TestWhatCannotBeStarted(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("JAVA_HOME", "")
	for name, c := range map[string]struct {
		opts Options
		is   error
		says string
	}{
		"several of StreamBus": {Options{Nodes: 3}, ErrNoReplication, "does not replicate"},
		"no folder of jars":    {Options{Kind: Kafka, Nodes: 3}, ErrNoKafka, "--kafka-home"},
		"a folder without":     {Options{Kind: Kafka, KafkaHome: empty}, ErrNoKafka, empty},
		"a kind of no kind":    {Options{Kind: "zookeeper"}, nil, "zookeeper"},
		"too many":             {Options{Kind: Kafka, Nodes: 1000}, nil, "at most"},
		"Kafka's disks":        {Options{Kind: Kafka, Failpoints: true}, nil, "no failpoints"},
	} {
		c.opts.Dir, c.opts.Log = t.TempDir(), filepath.Join(t.TempDir(), "log")
		_, err := Start(t.Context(), c.opts)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v that says %q", name, err, c.is, c.says)
		}
		if left, _ := os.ReadDir(c.opts.Dir); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(""); !errors.Is(err, ErrNoBinary) || !strings.Contains(err.Error(), "go build") {
		t.Errorf("error %v, want ErrNoBinary with the way to build one", err)
	}
	if _, err := Find("/nowhere/streambus"); !errors.Is(err, ErrNoBinary) {
		t.Errorf("error %v, want ErrNoBinary", err)
	}
	bin := filepath.Join(t.TempDir(), "streambus")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(bin))
	if got, err := Find(""); err != nil || got != bin {
		t.Errorf("Find() = %q, %v; want %q from PATH", got, err, bin)
	}
}
