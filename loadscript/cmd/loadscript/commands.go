package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// scriptCommand makes run, check and plan, which share how a command line is read.
func scriptCommand(use, short, long, example string, stdout, stderr io.Writer, f *scriptFlags, run func(cmd *cobra.Command, cl commandLine) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		DisableFlagParsing: true, // splitArgs parses: the script's own flags are not known here
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"star"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	f.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := splitArgs(cmd.Flags(), args)
		if err != nil {
			return err
		}
		if f.omb != "" {
			if len(cl.scripts) > 0 {
				return usagef("%s takes a script or --import-omb, not both", cmd.CommandPath())
			}
			cl.scripts = []string{f.omb}
		}
		if cl.help {
			return scriptHelp(cmd, cl, f, stdout, stderr)
		}
		if len(cl.scripts) == 0 {
			return usagef("%s needs a script: %s scripts/smoke.star", cmd.CommandPath(), cmd.CommandPath())
		}
		return run(cmd, cl)
	}
	return cmd
}

// scriptHelp is the command's help, with the script's own parameters in front of the flags if a script is named.
func scriptHelp(cmd *cobra.Command, cl commandLine, f *scriptFlags, stdout, stderr io.Writer) error {
	if len(cl.scripts) == 0 {
		return cmd.Help()
	}
	settings, err := f.settings(cmd.Flags(), cl)
	if err != nil {
		return err
	}
	path := cl.scripts[0]
	s, loadErr := f.read(cmd.Context(), path, settings, nil)
	if _, mistakes := loadErr.(script.Errors); loadErr != nil && !mistakes {
		return loadError(cmd.Context(), path, loadErr, stderr)
	}
	if s.Doc != "" {
		fmt.Fprintf(stdout, "%s\n\n", s.Doc)
	}
	fmt.Fprintf(stdout, "Usage:\n  %s %s [flags]\n\n", cmd.CommandPath(), path)
	printParams(stdout, path, s.Params)
	flags := cmd.Flags()
	for _, p := range s.Params {
		if p.Name == "brokers" {
			flags.Lookup("brokers").Hidden = true // listed with the script's own
		}
	}
	fmt.Fprintf(stdout, "Flags:\n%s", flags.FlagUsages())
	if loadErr != nil {
		fmt.Fprintf(stderr, "\nthis script has mistakes, so this list may be incomplete: `loadscript check %s` shows them\n", path)
	}
	return nil
}

func printParams(w io.Writer, path string, params []plan.Param) {
	if len(params) == 0 {
		fmt.Fprintf(w, "%s declares no parameters.\n\n", path)
		return
	}
	fmt.Fprintf(w, "Parameters of %s:\n", path)
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, p := range params {
		help := p.Help
		if p.Default != "" {
			help = strings.TrimSpace(help + " (default " + p.Default + ")")
		}
		fmt.Fprintf(tw, "      --%s\t%s\n", script.Dashed(p.Name), help)
	}
	tw.Flush()
	fmt.Fprintln(w)
}

const runLong = `Reads the script, then puts its load on the cluster and judges what happened: thresholds, and that no record was
lost, repeated, reordered or changed. Without --brokers, a StreamBus broker of its own is started for the run. With
--cluster kafka:3 it is three of Apache Kafka, for faults that need replicas; a fault that the cluster at hand cannot
take is a mistake of the script (107), shown before anything is started.

Parameters that the script declares with param() are flags: ` + "`loadscript run SCRIPT --help`" + ` lists them.
The first interrupt ends the load and still writes the report (exit code 105); a second one stops at once.
Exit codes: 0 passed, 99 a threshold failed, 96 an invariant was violated, 95 the measurement is invalid, 94 the
cluster could not be reached, 104 bad flags, 105 stopped by a signal, 107 the script is wrong.`

func newRun(stdout, stderr io.Writer) *cobra.Command {
	f, secure, many := &scriptFlags{}, &securityFlags{}, &manyRuns{}
	opts := &runOptions{Stdout: stdout, Stderr: stderr}
	cmd := scriptCommand("run SCRIPT [flags]", "Run a script against a cluster", runLong,
		`  loadscript run scripts/smoke.star
  loadscript run scripts/spike.star --duration 2m --rate 5k/s --spike-rate 50k/s
  loadscript run scripts/spike.star --brokers host1:9092,host2:9092 --out results/today
  loadscript run scripts/latency.star --ab base=./old,cand=bin/streambus
  loadscript run scripts/failover.star --cluster kafka:3 --kafka-home ~/kafka_2.13-4.3.1
  loadscript run scripts/spike.star --help`, stdout, stderr, f, func(cmd *cobra.Command, cl commandLine) error {
			return run(cmd, cl, f, secure, many, opts)
		})
	flags := cmd.Flags()
	flags.StringVarP(&opts.Out, "out", "o", "", "`folder` for the report (default loadscript-results/SCRIPT-TIME)")
	flags.BoolVarP(&opts.Quiet, "quiet", "q", false, "no progress, only the verdict")
	flags.StringVar(&opts.Format, "format", "text", "how the verdict is printed: `text|json|kafka-perf`, the last as kafka-producer-perf-test's final line")
	flags.StringVar(&opts.Live.Prometheus, "prometheus", "", "serve the run's metrics at http://`host:port`/metrics while it goes")
	flags.StringVar(&opts.Live.RemoteWrite, "remote-write", "", "send the run's metrics to this remote-write `URL` of Prometheus")
	flags.IntVar(&many.repeat, "repeat", 0, "run `N` times, into OUT/1, OUT/2, … (with --ab: of each side, 10 if not given)")
	flags.StringVar(&many.ab, "ab", "", "two streambus binaries in turns, compared at the end: `base=PATH,cand=PATH`")
	flags.StringVar(&opts.Streambus, "streambus", "", "`path` of the streambus binary, for the broker of its own")
	opts.Cluster.add(flags)
	secure.add(flags)
	return cmd
}

func run(cmd *cobra.Command, cl commandLine, f *scriptFlags, secure *securityFlags, many *manyRuns, opts *runOptions) error {
	path, settings, err := oneScript(cmd, cl, f)
	if err != nil {
		return err
	}
	if err := checkFormat(opts.Format, "kafka-perf"); err != nil {
		return err
	}
	if err := many.check(cmd.Flags()); err != nil {
		return err
	}
	l, err := load(cmd.Context(), cmd, path, f, settings, opts.Stderr)
	if err != nil {
		return err
	}
	opts.Brokers, opts.Only = l.brokers, f.only
	if opts.Security, err = secure.security(l.brokers); err != nil {
		return err
	}
	if cmd.Flags().Changed("seed") {
		opts.Seed = &f.seed
	}
	if opts.Out == "" {
		base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		opts.Out = filepath.Join("loadscript-results", base+"-"+time.Now().Format("20060102-150405"))
	}
	opts.Sources = sources(path)
	drive := runPlan
	if many.asked() {
		drive = many.run
	}
	if code := drive(cmd.Context(), l.plan, *opts); code != plan.ExitPass {
		return &exit{code: code}
	}
	return nil
}

func checkFormat(format string, more ...string) error {
	if !slices.Contains(append(more, "text", "json"), format) {
		return usagef("--format %s: must be %s", format, strings.Join(append([]string{"text or json"}, more...), " or "))
	}
	return nil
}

// oneScript is the script that run and plan take.
func oneScript(cmd *cobra.Command, cl commandLine, f *scriptFlags) (string, []script.Setting, error) {
	if len(cl.scripts) > 1 {
		return "", nil, usagef("%s takes one script, not %s", cmd.CommandPath(), strings.Join(cl.scripts, " and "))
	}
	settings, err := f.settings(cmd.Flags(), cl)
	return cl.scripts[0], settings, err
}

func newCheck(stdout, stderr io.Writer) *cobra.Command {
	f := &scriptFlags{}
	var format string
	cmd := scriptCommand("check SCRIPT… [flags]", "Show every mistake in scripts",
		`Reads scripts as run does and shows every mistake with its place, without any network. Exit code 0 if there is none,
107 if there are, 104 if only the command line is wrong.`,
		`  loadscript check scripts/*.star
  loadscript check scripts/spike.star --duration 30s     # do these settings fit?
  loadscript check --format json scripts/spike.star      # for editors`, stdout, stderr, f, func(cmd *cobra.Command, cl commandLine) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			return check(cmd, cl, f, format, stdout, stderr)
		})
	cmd.Flags().StringVar(&format, "format", "text", "how mistakes are printed: `text|json`")
	return cmd
}

func check(cmd *cobra.Command, cl commandLine, f *scriptFlags, format string, stdout, stderr io.Writer) error {
	settings, err := f.settings(cmd.Flags(), cl)
	if err != nil {
		return err
	}
	if format == "json" {
		return checkJSON(cmd, cl, f, settings, stdout, stderr)
	}
	worst := plan.ExitPass
	for _, path := range cl.scripts {
		if strings.HasSuffix(path, script.TestSuffix) { // for *.star
			fmt.Fprintf(stdout, "%s: holds tests; `loadscript test` runs them\n", path)
			continue
		}
		l, err := load(cmd.Context(), cmd, path, f, settings, stderr)
		if err != nil {
			e, ok := err.(*exit)
			if !ok {
				return err
			}
			if e.msg != "" {
				fmt.Fprintf(stderr, "loadscript: %s\n", e.msg)
			}
			worst = plan.Worse(worst, e.code)
			continue
		}
		fmt.Fprintf(stdout, "%s: ok, %s\n", path, summary(l.plan))
	}
	if worst != plan.ExitPass {
		return &exit{code: worst}
	}
	return nil
}

// summary is a plan in a few words.
func summary(p *plan.Plan) string {
	var d time.Duration
	var n int64
	for _, s := range p.Scenarios {
		d += s.Duration()
		n += s.Records()
	}
	word := "scenarios"
	if len(p.Scenarios) == 1 {
		word = "scenario"
	}
	return fmt.Sprintf("%d %s, %s records in %s", len(p.Scenarios), word, plan.FormatCount(n), plan.FormatDuration(d))
}

// checkJSON prints the mistakes of all scripts as one list.
func checkJSON(cmd *cobra.Command, cl commandLine, f *scriptFlags, settings []script.Setting, stdout, stderr io.Writer) error {
	all, worst := script.Errors{}, plan.ExitPass
	for _, path := range cl.scripts {
		if strings.HasSuffix(path, script.TestSuffix) {
			continue
		}
		s, err := f.read(cmd.Context(), path, settings, stderr)
		if mistakes, ok := err.(script.Errors); ok {
			all = append(all, mistakes...)
			worst = plan.Worse(worst, mistakes.ExitCode())
		} else if err := loadError(cmd.Context(), path, err, stderr); err != nil {
			return err
		} else if err := unknownSettings(cmd, path, s); err != nil {
			return err
		}
	}
	if err := writeJSON(stdout, all); err != nil {
		return err
	}
	if worst != plan.ExitPass {
		return &exit{code: worst}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newPlan(stdout, stderr io.Writer) *cobra.Command {
	f := &scriptFlags{}
	var asJSON bool
	var width int
	cmd := scriptCommand("plan SCRIPT [flags]", "Show what a script would do",
		`Reads the script and shows the offered rate over time, the totals, and what the cluster must allow, without any
network. With --json it prints the plan itself: exactly what the engine is given.`,
		`  loadscript plan scripts/spike.star
  loadscript plan scripts/spike.star --spike-rate 50k/s --duration 1m
  loadscript plan --json scripts/spike.star`, stdout, stderr, f, func(cmd *cobra.Command, cl commandLine) error {
			path, settings, err := oneScript(cmd, cl, f)
			if err != nil {
				return err
			}
			l, err := load(cmd.Context(), cmd, path, f, settings, stderr)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(stdout, l.plan)
			}
			return l.plan.Chart(stdout, chartWidth(stdout, width))
		})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.Flags().IntVar(&width, "width", 0, "`columns` of the chart (default: the terminal's, or 100)")
	return cmd
}

// chartWidth is the width asked for, that of the terminal, or 100.
func chartWidth(w io.Writer, asked int) int {
	if asked > 0 {
		return asked
	}
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}

func newDoc(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "doc [NAME]", Short: "The language: built-ins, units, thresholds",
		Long: "Prints what a built-in does and takes. Without a name, lists all of them and the other pages.",
		Example: `  loadscript doc
  loadscript doc produce
  loadscript doc gen.bytes
  loadscript doc thresholds`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(script.DocNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			if script.Doc(stdout, name) {
				return nil
			}
			if n := script.Nearest(name, script.DocNames()); n != "" {
				return usagef("nothing is called %q: did you mean `loadscript doc %s`?", name, n)
			}
			return usagef("nothing is called %q: `loadscript doc` lists everything", name)
		},
	}
}

// length is how long a script's load takes with the parameters that it has; "?" when that is not known or the script is wrong.
func length(cmd *cobra.Command, path string) string {
	s, err := script.Read(cmd.Context(), script.Options{Path: path})
	if err != nil {
		return "?"
	}
	var sum time.Duration
	for i := range s.Plan.Scenarios {
		d, known := s.Plan.Scenarios[i].Length()
		if !known {
			return "?"
		}
		sum += d
	}
	return plan.FormatDuration(sum)
}

func newList(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "list [FOLDER]", Short: "List the scripts in a folder",
		Long: "Lists the scripts in a folder (default: scripts, or the current one) with how long they take as they stand and the first line\nof what they say about themselves.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "scripts"
			if len(args) > 0 {
				dir = args[0]
			} else if st, err := os.Stat(dir); err != nil || !st.IsDir() {
				dir = "."
			}
			if _, err := os.Stat(dir); err != nil {
				return usagef("there is no folder %s", dir)
			}
			names := starFiles(dir)
			if len(names) == 0 {
				return usagef("there are no .star files in %s", dir)
			}
			tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			for _, n := range names {
				if strings.HasSuffix(n, script.TestSuffix) {
					continue
				}
				path := filepath.Join(dir, n)
				title, err := script.Title(path)
				if err != nil {
					title = "(" + err.Error() + ")"
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\n", path, length(cmd, path), title)
			}
			return tw.Flush()
		},
	}
}
