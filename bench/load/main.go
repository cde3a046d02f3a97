// Load runs the load scripts in their short form and prints what they measured in the Go benchmark format (loadscript's bench.txt).
//
//	go run ./bench/load [-loadscript bin/loadscript] [-duration 20s] [-count 1] [SCRIPT…]
//
// It does not judge: a threshold that fails, or a generator that was late (a machine shared with the broker), is said on standard error, and
// the figures are printed. A script that lost a record, or did not run, is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// quarter stands for a quarter of -duration.
const quarter = "QUARTER"

// short are the scripts that are run by default, with what makes them short and bearable for two cores.
var short = []struct {
	script string
	params []string
}{
	{"throughput", []string{"--rate", "10k/s", "--producers", "4", "--consumers", "4"}},
	{"latency", []string{"--rate", "1k/s"}},
	{"spike", []string{"--rate", "1k/s", "--spike-rate", "10k/s", "--spike-duration", quarter}},
	{"stress", []string{"--rate", "20k/s", "--usual", "2k/s", "--producers", "4", "--consumers", "4"}},
	{"soak", []string{"--rate", "2k/s", "--producers", "2", "--consumers", "2"}},
	{"consumer_group", []string{"--rate", "1k/s"}},
}

// loadscript's exit codes (docs/CLI.md) after which there are figures.
var told = map[int]string{0: "passed", 99: "a threshold failed", 95: "the measurement is invalid: the generator did not keep up"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "load:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(errs)
	program := f.String("loadscript", "bin/loadscript", "the program to run (make build)")
	scripts := f.String("scripts", "scripts", "folder of the scripts")
	duration := f.Duration("duration", 20*time.Second, "how long each script's load lasts")
	count := f.Int("count", 1, "how often each is run, in turn")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := known(f.Args()); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "streambus-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if _, err := io.WriteString(out, "pkg: github.com/streambus/streambus/loadscript\n"); err != nil {
		return err
	}
	for pass := range *count {
		for _, s := range short {
			if f.NArg() > 0 && !slices.Contains(f.Args(), s.script) {
				continue
			}
			dir := filepath.Join(tmp, fmt.Sprintf("%s-%d", s.script, pass))
			command := append([]string{"run", filepath.Join(*scripts, s.script+".star"), "--quiet", "--out", dir, "--duration", duration.String()}, s.params...)
			if i := slices.Index(command, quarter); i >= 0 {
				command[i] = (*duration / 4).String()
			}
			if err := one(ctx, *program, command, dir, out, errs); err != nil {
				return err
			}
		}
	}
	return nil
}

// known refuses what is not in the list, before anything is run.
func known(scripts []string) error {
	var names []string
	for _, s := range short {
		names = append(names, s.script)
	}
	for _, s := range scripts {
		if !slices.Contains(names, s) {
			return fmt.Errorf("%s: no script with a short form; there are %s", s, strings.Join(names, ", "))
		}
	}
	return nil
}

// one runs a script and copies its figures.
func one(ctx context.Context, program string, command []string, dir string, out, errs io.Writer) error {
	fmt.Fprintln(errs, program, strings.Join(command, " "))
	cmd := exec.CommandContext(ctx, program, command...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	said, err := cmd.CombinedOutput()
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		return fmt.Errorf("%w (make build)", err)
	}
	meaning, ok := told[code]
	if !ok {
		return fmt.Errorf("%s ended with %d:\n%s", command[1], code, said)
	}
	fmt.Fprintln(errs, "  ", meaning)
	text, err := os.ReadFile(filepath.Join(dir, "bench.txt"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "outcome: %s\n%s", meaning, text)
	return err
}
