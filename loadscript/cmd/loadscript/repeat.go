package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/streambus/streambus/loadscript/internal/compare"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// manyRuns is --repeat and --ab.
type manyRuns struct {
	repeat int
	ab     string
	sides  []side // of --ab
}

// side is a binary under test.
type side struct{ name, binary string }

const defaultRepeat = 10

func (m *manyRuns) asked() bool { return m.repeat > 1 || m.ab != "" }

// check looks at the flags and what they name.
func (m *manyRuns) check(flags *pflag.FlagSet) error {
	if flags.Changed("repeat") && m.repeat < 1 {
		return usagef("--repeat %d: want a number of runs, such as 10", m.repeat)
	}
	if m.ab == "" {
		return nil
	}
	for _, name := range []string{"brokers", "bootstrap-server", "streambus", "cluster"} {
		if flags.Changed(name) {
			return usagef("--ab starts its own brokers: leave --%s out", name)
		}
	}
	const want = "want two names with the streambus binaries they stand for: --ab base=./old/streambus,cand=bin/streambus"
	m.sides = nil
	for _, part := range strings.Split(m.ab, ",") {
		name, path, ok := strings.Cut(part, "=")
		if !ok || name == "" || path == "" || name != filepath.Base(name) || name == "." || name == ".." {
			return usagef("--ab %s: %s", m.ab, want)
		}
		if st, err := os.Stat(path); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
			return usagef("--ab: %s is no program that can be started", path)
		}
		m.sides = append(m.sides, side{name, path})
	}
	if len(m.sides) != 2 || m.sides[0].name == m.sides[1].name {
		return usagef("--ab %s: %s", m.ab, want)
	}
	if m.repeat == 0 {
		m.repeat = defaultRepeat
	}
	return nil
}

// run drives the plan again and again and returns the worst verdict. --ab takes turns, so that a machine that drifts does so for
// both sides, and compares at the end. A signal ends it after the run at hand.
func (m *manyRuns) run(ctx context.Context, p *plan.Plan, opts runOptions) plan.ExitCode {
	sides := m.sides
	if len(sides) == 0 {
		sides = []side{{"", opts.Streambus}}
	}
	code, root := plan.ExitPass, opts.Out
	one := opts
	one.Brief = true
	if opts.Format != "text" {
		one.Stdout = opts.Stderr // stdout is for the summary
	}
	groups := make([]string, len(sides))
	done := 0
	for i := range m.repeat {
		for j, s := range sides {
			if ctx.Err() != nil {
				break
			}
			groups[j] = filepath.Join(root, s.name)
			one.Streambus, one.Out = s.binary, filepath.Join(groups[j], strconv.Itoa(i+1))
			end := "  "
			if !opts.Quiet { // the run itself has more to say before its verdict
				end = "\n"
			}
			fmt.Fprintf(one.Stdout, "run %d of %d%s", i*len(sides)+j+1, m.repeat*len(sides), end)
			c := runPlan(ctx, p, one)
			code = plan.Worse(code, c)
			if _, err := os.Stat(filepath.Join(one.Out, "results.json")); err != nil {
				return code // nothing was driven: the next would not be either
			}
			done++
		}
	}
	if ctx.Err() != nil {
		fmt.Fprintf(opts.Stderr, "loadscript: stopped after %d of %d runs\n", done, m.repeat*len(sides))
		code = plan.Worse(code, plan.ExitSignal)
	}
	if done < len(sides) {
		return code // one side never ran: there is nothing to sum up
	}
	if err := summarize(opts, root, groups); err != nil {
		fmt.Fprintf(opts.Stderr, "loadscript: %v\n", err)
		code = plan.Worse(code, plan.ExitInternal)
	}
	return code
}

// comparePage is the name of the comparison in the results folder.
const comparePage = "compare.html"

// summarize prints the medians of one group, or the comparison of two.
func summarize(opts runOptions, root string, dirs []string) error {
	groups, err := compare.Load(dirs)
	if err != nil {
		return err
	}
	fmt.Fprintln(opts.Stderr)
	if len(groups) == 1 {
		if opts.Format == "json" {
			return compare.WriteGroupJSON(opts.Stdout, groups[0])
		}
		return compare.WriteGroup(opts.Stdout, groups[0])
	}
	c := compare.Compare(groups, compare.DefaultMargin)
	if err := writeComparePage(filepath.Join(root, comparePage), c, groups); err != nil {
		return err
	}
	if opts.Format == "json" {
		return compare.WriteJSON(opts.Stdout, c)
	}
	if err := compare.WriteText(opts.Stdout, c); err != nil {
		return err
	}
	_, err = fmt.Fprintf(opts.Stdout, "page  %s\n", filepath.Join(root, comparePage))
	return err
}
