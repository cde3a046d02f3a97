package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
)

var rewrite = flag.Bool("rewrite", false, "write docs/CLI.md anew, and what the scripts compare with")

// TestMain lets the test binary be the program: scripts run it as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"streambus": main})
}

// TestScripts runs testdata/*.txtar. Each has a directory of its own, and these commands besides testscript's:
//
//	broker           starts a broker on $WORK/data and sets $BROKERS; it is killed with the script
//	halt             ends it by SIGTERM; it must exit with 0 (stop is testscript's own word: it ends the script)
//	kfake [secure]   starts franz-go's fake cluster, which serves more than this broker, and sets $BROKERS; secure: with an authorizer, the
//	                 superuser is root, the password secret
//	flip FILE AT     flips a bit of a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *rewrite, RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"broker": startBroker, "halt": stopBroker, "kfake": startKfake, "flip": flip},
	})
}

// running is the broker of a script.
type running struct {
	cmd  *exec.Cmd
	errs *bytes.Buffer
	done chan error
}

var ready = regexp.MustCompile(`broker is ready.* listen=(\S+)`)

func startBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: broker")
	}
	bin := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "streambus")
	r := &running{errs: &bytes.Buffer{}, done: make(chan error, 1)}
	r.cmd = exec.Command(bin, "broker", "--data-dir", ts.MkAbs("data"), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners=",
		"--set", "commit.log.file.bytes=2097152", "--set", "commit.log.files=2", "--set", "group.initial.rebalance.delay.ms=0", "--set", "log.segment.bytes=65536", "--set", "log.reserve.bytes=0")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := r.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	addr := make(chan string, 1)
	go func() { // ends with the process; kill and halt wait for it
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(r.errs, lines.Text())
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				addr <- m[1]
			}
		}
		r.done <- r.cmd.Wait()
	}()
	ts.Defer(func() {
		_ = r.cmd.Process.Kill() // it may be gone
		r.done <- <-r.done
	})
	select {
	case a := <-addr:
		ts.Setenv("BROKERS", a)
	case err := <-r.done:
		r.done <- err
		ts.Fatalf("the broker did not start: %v\n%s", err, r.errs)
	case <-time.After(20 * time.Second):
		ts.Fatalf("the broker is not ready")
	}
	brokers.Store(ts, r)
}

func stopBroker(ts *testscript.TestScript, neg bool, args []string) {
	found, ok := brokers.LoadAndDelete(ts)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: halt, after broker")
	}
	r := found.(*running)
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	err := <-r.done
	r.done <- err
	if err != nil {
		ts.Fatalf("the broker: %v\n%s", err, r.errs)
	}
}

// brokers are those of the scripts, which run side by side: *testscript.TestScript to *running.
var brokers sync.Map

func startKfake(ts *testscript.TestScript, neg bool, args []string) {
	opts := []kfake.Opt{kfake.NumBrokers(2), kfake.SeedTopics(2, "seeded")}
	switch {
	case neg || len(args) > 1 || len(args) == 1 && args[0] != "secure":
		ts.Fatalf("usage: kfake [secure]")
	case len(args) == 1:
		opts = append(opts, kfake.EnableACLs(), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "root", "secret"), kfake.Superuser("PLAIN", "root", "secret"))
	}
	c, err := kfake.NewCluster(opts...)
	ts.Check(err)
	ts.Defer(c.Close)
	ts.Setenv("BROKERS", strings.Join(c.ListenAddrs(), ","))
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE AT")
	}
	var at int
	_, err := fmt.Sscan(args[1], &at)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(name, b, 0o600))
}
