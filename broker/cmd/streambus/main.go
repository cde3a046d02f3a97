// Command streambus is the StreamBus broker and the tools around it. It reads flags, hands over to package broker, and turns
// outcomes into exit codes; nothing else is decided here.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/engine"
)

// Exit codes; 75 and 78 are those of sysexits.h.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitLocked      = 75
	exitConfig      = 78
	exitInterrupted = 130
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "streambus:", err)
	return exitCode(err)
}

// failure is an error of the work itself; all others are of its usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func exitCode(err error) int {
	var f failure
	switch {
	case errors.Is(err, config.ErrInvalid), errors.Is(err, broker.ErrPlaintext):
		return exitConfig
	case errors.Is(err, engine.ErrLocked):
		return exitLocked
	case errors.As(err, &f):
		return exitFailure
	}
	return exitUsage
}

// doing makes the errors of a command's work failures.
func doing(f func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		if err := f(c); err != nil {
			return failure{err}
		}
		return nil
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "streambus",
		Short: "A storage-first event-streaming broker that speaks the Kafka protocol",
		Long: `StreamBus is an event-streaming broker that every Kafka client can talk to. A record that it has
acknowledged is on the disk: flushed first, then acknowledged.

  streambus broker --data-dir ./data                 serve on 127.0.0.1:9092, health and metrics on 127.0.0.1:9644
  streambus topic create greetings                   on that broker, or any Kafka at --bootstrap-server
  echo hello | streambus topic produce greetings
  streambus topic consume greetings --from start -e
  kcat -b 127.0.0.1:9092 -C -t greetings -e          every Kafka client will do

Exit codes: 0 done, 1 failure, 2 wrong usage, 75 the data directory is in use, 78 bad configuration.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	root.AddCommand(brokerCommand(), topicCommand(), groupCommand(), configCommand(), aclCommand(), clusterCommand(), logCommand(), versionCommand())
	root.SetGlobalNormalizationFunc(brokersIsBootstrapServer)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.HasAvailableSubCommands() && c != root { // as a rule the flag is that of a command whose name was not right
			return fmt.Errorf("%w: %w; the commands of %s are %s", errUsage, err, c.CommandPath(), strings.Join(commandsOf(c), ", "))
		}
		return fmt.Errorf("%w: %w; see %s --help", errUsage, err, c.CommandPath())
	})
	sayWhatIsRight(root)
	return root
}

// sayWhatIsRight has a command and those below it answer wrong arguments with right ones.
func sayWhatIsRight(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sayWhatIsRight(sub)
	}
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		err := check(c, args)
		switch {
		case err == nil:
			return nil
		case c.HasAvailableSubCommands() && len(args) > 0:
			return fmt.Errorf("%w: %s has no command %q; it has %s", errUsage, c.CommandPath(), args[0], strings.Join(commandsOf(c), ", "))
		}
		return fmt.Errorf("%w: %w; it is %s", errUsage, err, c.UseLine())
	}
}

func commandsOf(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}
