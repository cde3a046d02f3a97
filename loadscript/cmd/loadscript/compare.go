package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/compare"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

const compareLong = `Holds runs against each other. Each argument is a results folder of run, a folder of several (as run --repeat makes
it) or a pattern in quotes; the first is the one that the others are held against.

The unit is a run, because the records inside one depend on each other. Medians have 95 % confidence intervals (from
six runs on), differences are judged by the Mann-Whitney U test, corrected over all metrics by Holm's method. Where no
difference is beyond noise ("~"), the smallest that would have been is printed. Ten runs of each side, in turns, are
the usual number: run --ab does that.`

func newCompare(stdout io.Writer) *cobra.Command {
	var asJSON, gate bool
	var page string
	var margin float64
	cmd := &cobra.Command{
		Use: "compare A B [C…]", Short: "Do runs differ, beyond noise?", Long: compareLong,
		Example: `  loadscript compare out/base out/cand
  loadscript compare 'results/monday-*' 'results/tuesday-*' --html compare.html
  loadscript compare out/base out/cand --gate --margin 3    # for CI: fails if something is worse`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("compare needs two sides at least: loadscript compare out/base out/cand")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if margin < 0 {
				return usagef("--margin %v: want a percentage, such as 5", margin)
			}
			groups, err := compare.Load(args)
			if err != nil {
				return usagef("%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "compare: "), "report: "))
			}
			c := compare.Compare(groups, margin/100)
			if page != "" {
				if err := writeComparePage(page, c, groups); err != nil {
					return &exit{code: plan.ExitInternal, msg: err.Error()}
				}
			}
			write := compare.WriteText
			if asJSON {
				write = compare.WriteJSON
			}
			if err := write(stdout, c); err != nil {
				return &exit{code: plan.ExitInternal, msg: fmt.Sprintf("printing the comparison: %v", err)}
			}
			if rows := c.Regressed(); gate && len(rows) > 0 {
				var names []string
				for _, r := range rows {
					names = append(names, r.Scenario+" "+r.Metric)
				}
				return &exit{code: plan.ExitThreshold, msg: fmt.Sprintf("worse by more than %v %%, beyond noise: %s", margin, strings.Join(names, ", "))}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.Flags().StringVar(&page, "html", "", "write a page with the runs drawn side by side to this `file`")
	cmd.Flags().Float64Var(&margin, "margin", 100*compare.DefaultMargin, "changes below so many `percent` are slight")
	cmd.Flags().BoolVar(&gate, "gate", false, "exit code 99 if something is worse beyond noise and the margin")
	return cmd
}

func writeComparePage(path string, c *compare.Comparison, groups []compare.Group) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("the page of the comparison: %w", err)
	}
	err = compare.WritePage(f, c, groups)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("the page of the comparison: %s", fileTrouble(err))
	}
	return nil
}
