// Command loadscript is a load tester for Kafka-protocol brokers whose scenarios are Starlark scripts.
//
//	loadscript run scripts/spike.star --rate 5k/s
//
// main.go is the process (signals, exit codes), root.go the command tree, args.go the command line of a script, and run.go the
// hand-over to the engine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

func main() {
	script.BecomeReader()
	os.Exit(int(mainCode()))
}

// mainCode is the whole program: the first signal ends the context, the second the process.
func mainCode() plan.ExitCode {
	ctx, stop := onSignals(context.Background())
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// doubled is how close a second signal must follow to be the first one again: timeout(1) sends each to its child and then to the
// group that the child is in.
const doubled = 100 * time.Millisecond

// errSignal is why the context ends.
var errSignal = errors.New("stopped by a signal")

// onSignals ends the context on the first INT or TERM, so that the report can still be written, and the process on the second.
func onSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-signals:
				if !first.IsZero() {
					if time.Since(first) < doubled {
						continue
					}
					fmt.Fprintln(os.Stderr, "loadscript: stopped at once by a second signal: of a run there is no report and nothing is verified, its folder has the series so far")
					os.Exit(int(plan.ExitKilled))
				}
				first = time.Now()
				cancel(errSignal)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-gone
		cancel(nil)
	}
}
