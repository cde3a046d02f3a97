package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

const testLong = `Runs the functions test_… in files …_test.star: the files named, and those in the folders named or below them
(default: the current folder). Nothing is sent anywhere: a test looks at what scripts add up to.

  def test_short_spike():
      p = plan("spike.star", duration = "1m")
      assert.eq(p.duration, dur("1m"))
      assert.true(p.peak_rate <= 10000, msg = "the spike is too high")

plan(SCRIPT, **PARAMETERS) gives records, duration, peak_rate, bytes, fault_times, and scenarios with the same and
name, stages, thresholds and verify. assert has eq, ne, true, contains and fails.
Exit code 0 if all hold, 107 if not.`

func newTest(stdout, stderr io.Writer) *cobra.Command {
	var run string
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use: "test [FILE | FOLDER]…", Short: "Run the tests of scripts", Long: testLong,
		Example: `  loadscript test
  loadscript test scripts --run spike -v`,
		RunE: func(cmd *cobra.Command, args []string) error {
			only, err := regexp.Compile(run)
			if err != nil {
				return usagef("--run %s: %v", run, err)
			}
			files, err := testFiles(args)
			if err != nil {
				return err
			}
			return runTests(cmd.Context(), files, only, asJSON, verbose, stdout, stderr)
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "run only tests whose names match this `pattern`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "name every test")
	return cmd
}

// testFiles finds the files of tests.
func testFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	var files []string
	for _, a := range args {
		st, err := os.Stat(a)
		switch {
		case err != nil:
			return nil, usagef("there is no %s", a)
		case !st.IsDir() && !strings.HasSuffix(a, script.TestSuffix):
			return nil, usagef("%s is no file of tests: those end in %s", a, script.TestSuffix)
		case !st.IsDir():
			files = append(files, a)
			continue
		}
		err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, script.TestSuffix) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, usagef("%v", err)
		}
	}
	if len(files) == 0 {
		return nil, usagef("there are no files …%s in %s", script.TestSuffix, strings.Join(args, ", "))
	}
	return files, nil
}

// fileTests is the JSON of one file.
type fileTests struct {
	File   string              `json:"file"`
	Tests  []script.TestResult `json:"tests"`
	Errors script.Errors       `json:"errors,omitempty"` // the file itself is wrong
}

func runTests(ctx context.Context, files []string, only *regexp.Regexp, asJSON, verbose bool, stdout, stderr io.Writer) error {
	worst := plan.ExitPass
	all := []fileTests{}
	for _, file := range files {
		results, err := script.ReadTests(ctx, script.Options{Path: file, Print: stderr}, only)
		mistakes, wrong := err.(script.Errors)
		if err != nil && !wrong {
			return loadError(ctx, file, err, stderr)
		}
		f := fileTests{File: file, Tests: results, Errors: mistakes}
		all = append(all, f)
		if f.failed() {
			worst = plan.ExitScript
		}
		if !asJSON {
			f.print(stdout, verbose)
		}
	}
	if asJSON {
		if err := writeJSON(stdout, all); err != nil {
			return err
		}
	}
	if worst != plan.ExitPass {
		return &exit{code: worst}
	}
	return nil
}

func (f fileTests) failed() bool {
	for _, t := range f.Tests {
		if len(t.Failures) > 0 {
			return true
		}
	}
	return len(f.Errors) > 0
}

func (f fileTests) print(w io.Writer, verbose bool) {
	if len(f.Errors) > 0 {
		f.Errors.Print(w)
		fmt.Fprintf(w, "FAIL  %s\n", f.File)
		return
	}
	bad := 0
	for _, t := range f.Tests {
		switch {
		case len(t.Failures) > 0:
			bad++
			fmt.Fprintf(w, "FAIL  %s: %s\n", f.File, t.Name)
			for _, d := range t.Failures {
				io.WriteString(w, d.String())
			}
		case verbose:
			fmt.Fprintf(w, "ok    %s: %s\n", f.File, t.Name)
		}
	}
	switch {
	case bad > 0:
		fmt.Fprintf(w, "FAIL  %s: %d of %d tests\n", f.File, bad, len(f.Tests))
	case len(f.Tests) == 0:
		fmt.Fprintf(w, "ok    %s: no tests to run\n", f.File)
	default:
		fmt.Fprintf(w, "ok    %s: %d tests\n", f.File, len(f.Tests))
	}
}
