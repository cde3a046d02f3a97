package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

var update = flag.Bool("update", false, "write what the program prints into the expectations of testdata")

// waitEnv makes the test binary wait for signals instead of testing.
const waitEnv = "LOADSCRIPT_TEST_WAIT"

func TestMain(m *testing.M) {
	script.BecomeReader()
	if os.Getenv(waitEnv) != "" {
		waitForSignals()
	}
	testscript.Main(m, map[string]func(){"loadscript": main})
}

// TestCLI runs the stories in testdata as a shell would. `exits CODE loadscript …` checks the exit code.
func TestCLI(t *testing.T) {
	scripts, err := filepath.Abs("../../../scripts")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			return os.CopyFS(filepath.Join(env.WorkDir, "scripts"), os.DirFS(scripts))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
		Condition: func(cond string) (bool, error) { // bounded: the readers of scripts have a memory limit
			if cond != "bounded" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return !raceDetector, nil
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("%s is no exit code", args[0])
	}
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("%s: exit code %d, want %d\n%s", strings.Join(args[1:], " "), code, want, ts.ReadFile("stderr"))
	}
}

// A script cannot declare a parameter that is a flag of the commands which read it: it could never be set.
func TestFlagsAreReserved(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	for _, name := range []string{"run", "check", "plan"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if n := strings.ReplaceAll(f.Name, "-", "_"); n != "brokers" && !slices.Contains(script.ReservedFlags, n) {
				t.Errorf("--%s of loadscript %s is not among script.ReservedFlags", f.Name, name)
			}
		})
	}
}

func waitForSignals() {
	ctx, stop := onSignals(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("stopping:", context.Cause(ctx))
	select {} // a run that does not end
}

// The first signal ends the context, so that the report can be written; the second ends the process with 130.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), waitEnv+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		expect := func(want string) {
			t.Helper()
			if !lines.Scan() || lines.Text() != want {
				cmd.Process.Kill()
				t.Fatalf("%s: got %q, want %q", sig, lines.Text(), want)
			}
		}
		expect("ready")
		cmd.Process.Signal(sig)
		expect("stopping: stopped by a signal")
		ended := make(chan error)
		go func() { ended <- cmd.Wait() }()
		for again := true; again; { // one that follows at once is the first one again
			cmd.Process.Signal(sig)
			select {
			case <-ended:
				again = false
			case <-time.After(doubled):
			}
		}
		if got := cmd.ProcessState.ExitCode(); got != int(plan.ExitKilled) {
			t.Errorf("%s: exit code %d, want %d", sig, got, plan.ExitKilled)
		}
		if !strings.Contains(errs.String(), "no report") {
			t.Errorf("%s: the second one says %q", sig, errs.String())
		}
	}
}

// onSignals leaves nothing behind.
func TestSignalsStop(t *testing.T) {
	ctx, stop := onSignals(context.Background())
	stop()
	if ctx.Err() == nil {
		t.Error("the context lives on")
	}
}
