package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// exit carries an exit code through cobra. Its message has been printed unless msg is set.
type exit struct {
	code plan.ExitCode
	msg  string
}

// Error is the message.
func (e *exit) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &exit{code: plan.ExitConfig, msg: fmt.Sprintf(format, args...)}
}

// execute runs one command line and returns the exit code of the process.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) plan.ExitCode {
	if len(args) > 0 && strings.HasSuffix(args[0], ".star") {
		fmt.Fprintf(stderr, "loadscript: what is to be done with %s?\n  did you mean `loadscript run %s`?\n", args[0], strings.Join(args, " "))
		return plan.ExitConfig
	}
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var e *exit
	switch {
	case err == nil:
		return plan.ExitPass
	case errors.As(err, &e):
		if e.msg != "" {
			fmt.Fprintf(stderr, "loadscript: %s\n", e.msg)
		}
		return e.code
	default: // cobra's own: unknown commands and flags, wrong numbers of arguments
		msg := strings.TrimSpace(err.Error())
		fmt.Fprintf(stderr, "loadscript: %s\n", msg)
		if hint := unknownCommandHint(args, msg); hint != "" {
			fmt.Fprintf(stderr, "  did you mean `%s`?\n", hint)
		} else {
			fmt.Fprintf(stderr, "  `loadscript --help` lists the commands\n")
		}
		return plan.ExitConfig
	}
}

// unknownCommandHint turns `loadscript chek` into `loadscript check`.
func unknownCommandHint(args []string, msg string) string {
	if !strings.HasPrefix(msg, "unknown command") {
		return ""
	}
	if len(args) > 0 {
		names := []string{"help", "completion"}
		for _, c := range newRoot(io.Discard, io.Discard).Commands() {
			names = append(names, c.Name())
		}
		if n := script.Nearest(args[0], names); n != "" {
			return "loadscript " + n
		}
	}
	return ""
}

const rootLong = `loadscript puts a described load on a Kafka-protocol broker, measures what it does to every record, and
verifies that none was lost, repeated, reordered or changed.

A load is a script. The shortest one:

  scenario("smoke", produce("orders"), rate = "1k/s", duration = "30s")

A script runs once and yields a plan; then the clock starts. So a script can be checked and its plan looked at
before anything is sent.`

const rootExample = `  loadscript run scripts/smoke.star                      # against a broker of its own
  loadscript run scripts/spike.star --brokers host:9092 --rate 5k/s
  loadscript run scripts/spike.star --help               # what this script lets you set
  loadscript plan scripts/spike.star                     # what it would do, without doing it
  loadscript check scripts/*.star                        # every mistake, for CI
  loadscript doc                                         # the language
  loadscript doc produce`

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "loadscript",
		Short:         "Load tests for Kafka-protocol brokers, as scripts",
		Long:          rootLong,
		Example:       rootExample,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = -1
	root.DisableSuggestions = true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.AddCommand(newRun(stdout, stderr), newCheck(stdout, stderr), newPlan(stdout, stderr), newCompare(stdout), newReport(stdout), newTest(stdout, stderr),
		newFmt(os.Stdin, stdout, stderr), newDoc(stdout), newList(stdout), newSelftest(stdout), newVersion(stdout))
	root.InitDefaultCompletionCmd("completion") // any argument: the commands are there already
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// flagError adds the nearest flag to pflag's message.
func flagError(cmd *cobra.Command, err error) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "unknown flag: --"); ok {
		if n := script.Nearest(name, flagNames(cmd.Flags())); n != "" {
			return usagef("unknown flag --%s: did you mean --%s?", name, n)
		}
		return usagef("unknown flag --%s: `%s --help` lists the flags", name, cmd.CommandPath())
	}
	return usagef("%s: `%s --help` lists the flags", msg, cmd.CommandPath())
}
