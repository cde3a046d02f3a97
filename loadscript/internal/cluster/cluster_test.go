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
	if err := ask(t, c.Addr()); err != nil {
		t.Errorf("the broker does not answer: %v", err)
	}
	if c.Exit() != "" {
		t.Errorf("it runs, and Exit says %q", c.Exit())
	}
	if forced := c.Stop(); forced || !gone(c.PID()) {
		t.Errorf("after Stop: forced %t, gone %t", forced, gone(c.PID()))
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
	if err := ask(t, c.Addr()); err == nil {
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
	if !c.Stop() || !gone(c.PID()) {
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
