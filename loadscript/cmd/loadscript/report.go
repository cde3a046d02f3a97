package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

func newReport(stdout io.Writer) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use: "report FOLDER…", Short: "Make the report of a run again",
		Long: `Reads results.json in a results folder and writes what is made from it again: report.html, bench.txt, junit.xml, and
series.csv and events.jsonl if they are not there. Then it prints the verdict. The exit code says whether that worked,
not how the run ended.`,
		Example: `  loadscript report loadscript-results/spike-20261125-101500`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("report needs a results folder of run: loadscript report loadscript-results/…")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			for _, dir := range args {
				res, err := report.ReadResults(dir)
				if errors.Is(err, fs.ErrNotExist) {
					return usagef("%s holds no %s: is it a results folder of `loadscript run`?", dir, report.ResultsFile)
				}
				if err != nil {
					return usagef("%s", strings.TrimPrefix(err.Error(), "report: "))
				}
				if err := report.WriteFiles(dir, res); err != nil {
					return &exit{code: plan.ExitInternal, msg: fileTrouble(err)}
				}
				if quiet {
					continue
				}
				if err := report.WriteVerdict(stdout, res, []string{"report   " + filepath.Join(dir, report.PageFile)}, colored(stdout)); err != nil {
					return &exit{code: plan.ExitInternal, msg: fmt.Sprintf("printing the verdict: %v", err)}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only write the files")
	return cmd
}
