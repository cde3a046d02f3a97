// Command governor says whether the clock of the CPUs is fit for benchmarks, sets the governor of all of them, and puts back what was
// there. How that is done is tools/cpufreq's, and what is judged tools/checks'; this is their command line.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/streambus/streambus/tools/checks"
	"github.com/streambus/streambus/tools/cpufreq"
)

const help = `governor says whether the clock of the CPUs is fit for benchmarks, and makes it so.

Usage:
  governor [--json]            look only
  governor --set performance   set the governor of every CPU; what was there is remembered in ` + cpufreq.DefaultSaved + `
  governor --restore           put back what was there before the first --set

It prints five columns: condition, required, current, severity, passed. A machine without cpufreq, as most virtual ones are, passes: its
host chooses the clock. Setting needs root. Governors are forgotten at a boot, and so is what is remembered.

Flags:
  --set GOVERNOR   one that every CPU offers: performance, powersave, schedutil, ...
  --restore        undo --set
  --json           the result as JSON
  --state FILE     where to remember what was there (default ` + cpufreq.DefaultSaved + `)
  --sys DIR        the sysfs to look at (default /sys)
  --help           this text

Exit code:
  0  fit, or only warnings; or done
  1  a fatal condition does not hold, or setting failed
  2  wrong usage
`

// The exit codes.
const (
	exitFit     = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// command is the parsed command line.
type command struct {
	set     string
	restore bool
	json    bool
	tree    cpufreq.Tree
}

func parse(args []string) (c command, err error) {
	f := flag.NewFlagSet("governor", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.set, "set", "", "")
	f.BoolVar(&c.restore, "restore", false, "")
	f.BoolVar(&c.json, "json", false, "")
	f.StringVar(&c.tree.Sys, "sys", "/sys", "")
	f.StringVar(&c.tree.Saved, "state", cpufreq.DefaultSaved, "")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("%q: governor takes flags only; did you mean --set %s?", f.Arg(0), f.Arg(0))
	case c.set != "" && c.restore:
		return c, errors.New("--set and --restore are opposites: give one")
	}
	return c, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, help); err != nil {
			return exitFailure
		}
		return exitFit
	}
	if err != nil {
		fmt.Fprintf(stderr, "governor: %v\nTry `governor --help`.\n", err)
		return exitUsage
	}
	if err := c.change(); err != nil {
		fmt.Fprintf(stderr, "governor: %v\n", cpufreq.Explain(err, os.Args[0]+" "+strings.Join(args, " ")))
		return exitFailure
	}
	state, err := c.tree.Read()
	results := checks.Governor(state, err)
	show := checks.Table
	if c.json {
		show = checks.JSON
	}
	if err := show(stdout, results); err != nil {
		fmt.Fprintf(stderr, "governor: %v\n", err)
		return exitFailure
	}
	if checks.Fatal(results) {
		return exitFailure
	}
	return exitFit
}

// change sets or restores, where that is asked for.
func (c command) change() error {
	switch {
	case c.restore:
		return c.tree.Restore()
	case c.set != "":
		return c.tree.Set(c.set)
	}
	return nil
}
