// Record runs Go benchmarks with their configuration on top, as lines that benchstat understands ("key: value"), and on request
// keeps the output in bench/results. It is the only program that writes there.
//
//	go run ./bench/record -name storage [-record] [-durability fsync] -- <arguments of go test>
//	go run ./bench/record -name load [-record] -exec -- <program and arguments>
//
// The last output of each suite stays in bin/benchmarks, recorded or not, for reports.
//
// The benchmarks get a temporary folder of their own (in $TMPDIR, so set that to the disk to measure), which is removed at the
// end, however they end. It does not judge the figures: benchstat and tools/benchreport do.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "record:", err)
		}
		stop()
		os.Exit(1)
	}
}

// request is what the command line asks for.
type request struct {
	name       string // of the suite, part of the file name
	durability string
	dir        string // where results are kept; empty: nowhere
	last       string // where the last output of each suite is
	command    []string
}

func parse(args []string, errs io.Writer) (q request, err error) {
	f := flag.NewFlagSet("record", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&q.name, "name", "", "name of the suite, as in bench/results/DATE-NAME-COMMIT.txt")
	f.StringVar(&q.durability, "durability", "see each benchmark's name", "what the configuration says of durability")
	keep := f.Bool("record", false, "keep the output in -dir")
	f.StringVar(&q.dir, "dir", "bench/results", "folder for results")
	f.StringVar(&q.last, "last", "bin/benchmarks", "folder for the last output of each suite")
	program := f.Bool("exec", false, "what follows is a program with its arguments, not those of go test")
	if err := f.Parse(args); err != nil {
		return q, err
	}
	if q.command = f.Args(); q.name == "" || strings.ContainsAny(q.name, "/ ") || len(q.command) == 0 {
		return q, fmt.Errorf("want -name NAME (no slash, no space) and, after --, the arguments of go test")
	}
	if !*program {
		q.command = append([]string{"go", "test"}, q.command...)
	}
	if !*keep {
		q.dir = ""
	}
	return q, nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	q, err := parse(args, errs)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "streambus-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	c := describe(ctx, tmp)
	c.set("durability", q.durability)
	c.set("command", strings.Join(q.command, " "))
	var kept bytes.Buffer
	both := io.MultiWriter(out, &kept)
	fmt.Fprintf(errs, "running: %s\nin: %s\n", strings.Join(q.command, " "), tmp)
	if _, err := io.WriteString(both, c.String()); err != nil {
		return err
	}
	if err := execute(ctx, q.command, tmp, both, errs); err != nil {
		return err
	}
	if !bytes.Contains(kept.Bytes(), []byte("\nBenchmark")) {
		return errors.New("no benchmark was run (go test -list . PACKAGE names them; each / in BENCH begins a level of its own); nothing is recorded")
	}
	if err := errors.Join(os.MkdirAll(q.last, 0o755), os.WriteFile(filepath.Join(q.last, q.name+".txt"), kept.Bytes(), 0o644)); err != nil {
		return err
	}
	if q.dir == "" {
		fmt.Fprintln(errs, "not recorded (RECORD=1 keeps it in bench/results)")
		return nil
	}
	name, err := keep(q.dir, fmt.Sprintf("%s-%s-%s", time.Now().UTC().Format(time.DateOnly), q.name, c.value("commit")), kept.Bytes())
	if err == nil {
		fmt.Fprintln(errs, "recorded:", name)
	}
	return err
}

// execute runs the benchmarks.
func execute(ctx context.Context, command []string, tmp string, out, errs io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; nothing is recorded", command[0], err)
	}
	return nil
}

// keep writes a new file: results on record are never overwritten.
func keep(dir, stem string, b []byte) (name string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	const most = 1000
	for n := 1; n <= most; n++ {
		name = filepath.Join(dir, stem+".txt")
		if n > 1 {
			name = filepath.Join(dir, fmt.Sprintf("%s-%d.txt", stem, n))
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return "", err
		}
		_, err = f.Write(b)
		return name, errors.Join(err, f.Close())
	}
	return "", fmt.Errorf("%s: %d results of this day and commit are there already; remove some", dir, most)
}
