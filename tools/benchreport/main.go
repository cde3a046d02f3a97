// Benchreport reads benchmark results in the Go format, and says in tables and plots what they hold.
//
//	benchreport report  -o DIR FILE…                 one self-contained DIR/benchmarks.html, and DIR/benchmarks.md
//	benchreport docs    -results bench/results -o docs    docs/BENCHMARKS.md and its plots: the guide's targets beside what is on record
//	benchreport compare -margin 0.05 BASE NEW        a verdict: changed beyond noise or not, and what could have been seen
//
// It runs no benchmark (bench/record and bench/versus do), and shows nothing that is not in the files. benchstat shows the same files otherwise.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const help = `benchreport says in tables and plots what benchmark results in the Go format hold.

Usage:
  benchreport report  [-o DIR] FILE...               DIR/benchmarks.html, one page that needs nothing else, and DIR/benchmarks.md, of the
                                                     newest run of each name; -o bin/benchmarks
  benchreport docs    [-results DIR] [-o DIR]        BENCHMARKS.md and its plots; -results bench/results -o docs
  benchreport compare [-margin 0.05] [-alpha 0.05] BASE NEW
                                                     a verdict on two files with several lines for each name. -margin is the change that is
                                                     tolerated, as a fraction; -alpha the chance of one false alarm over all comparisons

Exit code:
  0  done; nothing is worse
  1  compare: worse, beyond noise and beyond the margin
  2  wrong usage, or a file that cannot be read
`

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "benchreport:", err)
	if errors.Is(err, errRegression) {
		os.Exit(1)
	}
	os.Exit(2)
}

func run(args []string, out, errs io.Writer) error {
	if len(args) == 0 {
		return errors.New("want a command: report, docs or compare (--help says more)")
	}
	f := flag.NewFlagSet("benchreport "+args[0], flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() { fmt.Fprint(out, help) }
	switch args[0] {
	case "help", "-h", "-help", "--help":
		f.Usage()
		return flag.ErrHelp
	case "report":
		dir := f.String("o", "bin/benchmarks", "folder for benchmarks.html and benchmarks.md")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		if f.NArg() == 0 {
			return errors.New("report: want files with results")
		}
		s, err := readFiles(f.Args())
		if err != nil {
			return err
		}
		return writeReport(s.newest(), *dir, errs)
	case "docs":
		results := f.String("results", "bench/results", "folder with results")
		dir := f.String("o", "docs", "folder for BENCHMARKS.md and its plots")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		files, err := documents(*results)
		if err != nil {
			return err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(*dir, name), text, 0o644); err != nil {
				return err
			}
		}
		fmt.Fprintf(errs, "written: %s and %d plots\n", filepath.Join(*dir, "BENCHMARKS.md"), len(files)-1)
		return nil
	case "compare":
		margin := f.Float64("margin", 0.05, "change that is tolerated, as a fraction")
		alpha := f.Float64("alpha", 0.05, "chance of one false alarm over all comparisons together")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		if f.NArg() != 2 || *margin < 0 || *alpha <= 0 || *alpha >= 1 {
			return errors.New("compare: want two files, BASE and NEW, a -margin of 0 or more and an -alpha between 0 and 1")
		}
		return compareFiles(f.Arg(0), f.Arg(1), *margin, *alpha, out)
	}
	return fmt.Errorf("%q is no command: report, docs or compare (--help says more)", args[0])
}

// documents makes BENCHMARKS.md and its plots from the results on record.
func documents(dir string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.Contains(n, "-baseline-") }) // single rounds, for comparisons
	slices.Sort(names)
	s, err := readFiles(names)
	if err != nil {
		return nil, err
	}
	return document(s.newest()), nil
}
