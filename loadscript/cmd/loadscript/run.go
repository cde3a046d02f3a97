package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/drive"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
	"github.com/streambus/streambus/tools/checks"
)

// runOptions is what the command line says about a run, beside the plan.
type runOptions struct {
	Brokers   []string // host:port; empty = start the embedded cluster
	Out       string   // folder of the report; it may not exist yet
	Only      string   // name of the one scenario to drive; the plan is cut down to it already
	Seed      *uint64  // --seed; already written into every scenario of the plan
	Quiet     bool     // no progress, only the verdict
	Format    string   // "text", "json" or "kafka-perf": how the verdict is printed on Stdout
	Brief     bool     // a line instead of the verdict: one run of many
	Live      liveOptions
	Sources   []report.Source // of the plan
	Security  drive.Security
	Cluster   clusterFlags // what to start when Brokers is empty
	Streambus string       // path of the streambus binary for the embedded cluster; empty = look for it
	Stdout    io.Writer
	Stderr    io.Writer
}

// brokerLog is the name of the embedded broker's log in the results folder.
const brokerLog = "broker.log"

// runPlan drives the plan and returns the verdict. ctx ends on the first signal: what was measured is still reported.
func runPlan(ctx context.Context, p *plan.Plan, opts runOptions) plan.ExitCode {
	res, code := measure(ctx, p, opts)
	if res == nil {
		return code
	}
	return plan.Worse(code, deliver(res, opts))
}

// measure drives the plan. Without results nothing was driven, and the code says why. With them the code is that of the outputs
// that are written as the run goes; the verdict's is in the results.
func measure(ctx context.Context, p *plan.Plan, opts runOptions) (*report.Results, plan.ExitCode) {
	own, err := opts.Cluster.options(p)
	if err == nil && len(opts.Brokers) > 0 && opts.Cluster.cluster != "" {
		err = usagef("--cluster %s and --brokers exclude each other: a run starts its cluster, or is given one", opts.Cluster.cluster)
	}
	if err != nil {
		fmt.Fprintf(opts.Stderr, "loadscript: %v\n", err)
		return nil, plan.ExitConfig
	}
	if problems := p.CheckOn(ability(opts.Brokers, own)); len(problems) > 0 {
		mistakes(problems).Print(opts.Stderr)
		return nil, plan.ExitScript
	}
	if opts.Out != "" {
		if err := os.MkdirAll(opts.Out, 0o755); err != nil {
			fmt.Fprintf(opts.Stderr, "loadscript: the results folder: %v\n", err)
			return nil, plan.ExitConfig
		}
	}
	progress := report.NewProgress(opts.Stderr, width(opts.Stderr), colored(opts.Stderr))
	options := drive.Options{
		Brokers: opts.Brokers, Security: opts.Security,
		Cluster: report.Cluster{Shared: len(opts.Brokers) == 0 || local(opts.Brokers)},
		Note:    func(format string, a ...any) { progress.Note(fmt.Sprintf(format, a...)) },
	}
	if !opts.Quiet {
		options.Progress = progress.Show
	}
	out, err := openOutputs(p, opts, progress.Note)
	if err != nil {
		fmt.Fprintf(opts.Stderr, "loadscript: %v\n", err)
		return nil, plan.ExitConfig
	}
	defer out.close(opts.Stderr) // a second time does nothing
	options.Sink = out.sink
	preflight := checks.Quick(ctx) // while this machine is still as the load will find it
	var c *cluster.Cluster
	if len(opts.Brokers) == 0 {
		if c, err = startCluster(ctx, own, opts, progress); err != nil {
			if ctx.Err() != nil {
				fmt.Fprintln(opts.Stderr, "loadscript: stopped by a signal before the cluster was up: nothing was sent")
				return nil, plan.ExitSignal
			}
			fmt.Fprintf(opts.Stderr, "loadscript: %v\n", err)
			switch {
			case asked(err):
				return nil, plan.ExitConfig
			}
			return nil, plan.ExitUnreachable
		}
		defer c.Stop()
		use(c, &options)
	}
	said := make(chan struct{})
	unsaid := context.AfterFunc(ctx, func() {
		defer close(said)
		progress.Note("stopped by a signal: the load ends, what was sent is verified, the report is written; a second signal stops at once")
	})
	res := drive.Run(ctx, p, options)
	if !unsaid() {
		<-said // before others write where it does
	}
	progress.Done()
	if c != nil {
		if res.Verdict.ExitCode == int(plan.ExitUnreachable) {
			select { // the connection breaks a moment before the process is known to be gone
			case <-c.Dead():
			case <-time.After(time.Second):
			}
		}
		res.Cluster.Exit = c.Exit()
		if c.Stop() {
			progress.Note("the broker did not end within 10 s of SIGTERM and was killed")
		}
	}
	res.Version, res.Sources, res.Preflight = programVersion(), opts.Sources, preflight
	return res, out.close(opts.Stderr)
}

// deliver writes the files and prints the verdict.
func deliver(res *report.Results, opts runOptions) plan.ExitCode {
	code := plan.ExitCode(res.Verdict.ExitCode)
	var files []string
	if opts.Out != "" {
		dir, err := writeFiles(opts.Out, res)
		if err != nil {
			fmt.Fprintf(opts.Stderr, "loadscript: the report is not whole: %s; the verdict below is\n", fileTrouble(err))
			code = plan.Worse(code, plan.ExitInternal)
		}
		if dir != "" {
			files = []string{
				"report   " + filepath.Join(dir, report.PageFile),
				"results  " + filepath.Join(dir, report.ResultsFile) + ", " + report.SeriesFile + ", " + report.LatencyFile + ", …",
			}
		}
	}
	var err error
	switch {
	case opts.Brief:
		err = report.WriteBrief(opts.Stdout, res, opts.Out, colored(opts.Stdout))
	case opts.Format == "json":
		err = report.WriteJSON(opts.Stdout, res)
	case opts.Format == "kafka-perf":
		err = report.WriteKafkaPerf(opts.Stdout, res)
	default:
		err = report.WriteVerdict(opts.Stdout, res, files, colored(opts.Stdout))
	}
	if err != nil {
		fmt.Fprintf(opts.Stderr, "loadscript: printing the verdict: %v\n", err)
		code = plan.Worse(code, plan.ExitInternal)
	}
	return code
}

// writeFiles writes the files into dir or, where that fails, into a fresh temporary folder: a run may have taken hours. It
// returns where they are, empty if nowhere, and what went wrong.
func writeFiles(dir string, res *report.Results) (string, error) {
	err := report.WriteFiles(dir, res)
	if err == nil {
		return dir, nil
	}
	advice := ""
	if errors.Is(err, syscall.ENOSPC) {
		advice = "; make room, or give --out a folder on another disk"
	}
	spare, tempErr := os.MkdirTemp("", "loadscript-results-")
	if tempErr == nil {
		tempErr = report.WriteFiles(spare, res)
	}
	if tempErr != nil {
		return "", fmt.Errorf("%w%s; nor could they be kept in a temporary folder: %w", err, advice, tempErr)
	}
	return spare, fmt.Errorf("%w%s; this time they are in %s", err, advice, spare)
}

// width is the number of columns of a terminal, 0 for anything else.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		return 80
	}
	return columns
}

// colored says whether w is a terminal that wants colors (https://no-color.org).
func colored(w io.Writer) bool {
	return width(w) > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// local says whether all brokers are on this machine's loopback.
func local(brokers []string) bool {
	for _, b := range brokers {
		host, _, err := net.SplitHostPort(b)
		if err != nil {
			host = b
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
