// Versus runs a short choice of the benchmarks by the programs of two trees in turn (A B A B), so that what the machine does besides falls on
// both. Benchmarks and broker are built beforehand and kept, the older side as a baseline.
//
//	go run ./bench/versus -keep bin/baseline             builds this tree's programs there, runs them, and keeps the results beside them
//	go run ./bench/versus -base bin/baseline -out DIR    alternates those programs with this tree's: DIR/base.txt, DIR/new.txt
//
// Each line of the results is one round, so that benchstat and `benchreport compare` have as many values as there were rounds. It does not judge.
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

	"github.com/streambus/streambus/bench/bare"
)

// suite is what is run in each pass: about half a minute on two cores. Names match as those of go test -bench.
var suite = []struct{ program, bench, benchtime string }{
	{"wire", "^BenchmarkProtocol_", "20ms"},
	{"engine", "^BenchmarkStorage_Write$/^durability=fsync$/^record=1KiB$/^writers=64x1$/^partitions=1$", "1x"},
	{"engine", "^BenchmarkStorage_Read$/^hot$/^batch=16KiB$", "1x"},
	{"bench", "^BenchmarkProducer_Throughput$/^client=franz-go$/^durability=fsync$/^record=100B$|" +
		"^BenchmarkProducer_Send$/^durability=fsync$/^record=1KiB$|" +
		"^BenchmarkConsumer_Throughput$/^durability=fsync$/^batch=16KiB$/^partitions=1$|" +
		"^BenchmarkE2E_Latency$/^durability=fsync$/^record=100B$/^rate=10000$|" +
		"^BenchmarkConcurrent_Producers$/^durability=fsync$/^producers=8$", "1x"},
}

const resultsFile = "results.txt"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "versus:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, errs io.Writer) error {
	f := flag.NewFlagSet("versus", flag.ContinueOnError)
	f.SetOutput(errs)
	keep := f.String("keep", "", "build this tree's programs into this folder, run them alone, and keep the results there")
	base := f.String("base", "", "the folder of a baseline, to alternate with this tree")
	out := f.String("out", "", "with -base: the folder for base.txt and new.txt")
	count := f.Int("count", 8, "passes of each side; fewer than 6 can show little")
	round := f.Duration("round", 300*time.Millisecond, "how long a side of a round is measured")
	only := f.String("only", "", "run only the entries of this program: wire, engine or bench")
	tags := f.String("tags", "iouring", "build tags")
	if err := f.Parse(args); err != nil {
		return err
	}
	if (*keep == "") == (*base == "") || *base != "" && *out == "" || *count < 1 {
		return errors.New("give -keep DIR, or -base DIR with -out DIR, and a -count above 0")
	}
	r := runner{round: *round, only: *only, errs: errs}
	if *keep != "" {
		if err := build(ctx, *keep, *tags, errs); err != nil {
			return err
		}
		return r.alternate(ctx, *count, []string{*keep}, []string{filepath.Join(*keep, resultsFile)})
	}
	if _, err := os.Stat(filepath.Join(*base, "bench.test")); err != nil {
		return fmt.Errorf("no baseline: %w (make benchmark-baseline on the commit to compare with)", err)
	}
	programs, err := os.MkdirTemp("", "streambus-versus-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(programs) }()
	if err := build(ctx, programs, *tags, errs); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	return r.alternate(ctx, *count, []string{*base, programs}, []string{filepath.Join(*out, "base.txt"), filepath.Join(*out, "new.txt")})
}

// build makes the programs of this tree: the broker, and the benchmarks of three packages.
func build(ctx context.Context, dir, tags string, errs io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	options := []string{"-tags", tags, "-ldflags=-checklinkname=0"}
	commands := [][]string{append(append([]string{"build"}, options...), "-o", filepath.Join(dir, "streambus"), "./broker/cmd/streambus")}
	for _, pkg := range []string{"wire", "engine", "bench"} {
		commands = append(commands, append(append([]string{"test", "-c"}, options...), "-o", filepath.Join(dir, pkg+".test"), "./"+pkg))
	}
	for _, args := range commands {
		fmt.Fprintln(errs, "go", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stderr = errs
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go %s: %w", args[0], err)
		}
	}
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	return os.WriteFile(filepath.Join(dir, "commit"), bytes.TrimSpace(commit), 0o644)
}

type runner struct {
	round time.Duration
	only  string
	errs  io.Writer
}

// alternate runs passes of the programs in dirs in turn, and writes what each said to its file, new.
func (r *runner) alternate(ctx context.Context, count int, dirs, files []string) error {
	outs := make([]*os.File, len(dirs))
	for i, name := range files {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // closed below when all went well
		commit, err := os.ReadFile(filepath.Join(dirs[i], "commit"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(f, "commit: %s\ndate: %s\n", commit, time.Now().UTC().Format(time.RFC3339)); err != nil {
			return err
		}
		outs[i] = f
	}
	for pass := range count {
		for side := range dirs {
			i := (side + pass) % len(dirs) // neither is always first
			filled, err := r.fill()
			if err != nil {
				return err
			}
			fmt.Fprintf(r.errs, "pass %d of %d: %s (%.1f GiB of free memory made page cache before)\n", pass+1, count, dirs[i], float64(filled)/(1<<30))
			if err := r.pass(ctx, dirs[i], outs[i]); err != nil {
				return fmt.Errorf("%s: %w", dirs[i], err)
			}
		}
	}
	var err error
	for i, f := range outs {
		err = errors.Join(err, f.Close())
		fmt.Fprintln(r.errs, "written:", files[i])
	}
	return err
}

// fill makes free memory page cache here, and keeps it so. Each process of the benchmarks would fill all of it, and let it go at its end.
func (r *runner) fill() (int64, error) {
	if r.only == "wire" {
		return 0, nil // writes no files
	}
	return bare.FillCache(os.TempDir(), bare.LeaveFree)
}

// pass runs the suite once.
func (r *runner) pass(ctx context.Context, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "streambus-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	for _, s := range suite {
		if r.only != "" && r.only != s.program {
			continue
		}
		args := []string{"-test.run", "^$", "-test.bench", s.bench, "-test.benchtime", s.benchtime, "-test.timeout", "5m"}
		switch s.program {
		case "bench":
			args = append(args, "-program", filepath.Join(dir, "streambus"), "-round", r.round.String())
		case "engine":
			args = append(args, "-storage.round", r.round.String())
		}
		cmd := exec.CommandContext(ctx, filepath.Join(dir, s.program+".test"), args...)
		cmd.Dir, cmd.Env = tmp, append(os.Environ(), "TMPDIR="+tmp)
		cmd.Stdout, cmd.Stderr = out, r.errs
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %s: %w", s.program, s.bench, err)
		}
	}
	return nil
}
