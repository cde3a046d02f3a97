package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
	"github.com/streambus/streambus/broker/internal/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show and explain the configuration; read and change settings of a running cluster",
		Long: `check, dump and docs are about the configuration that a broker of this program is started with; they ask no broker. get, set and unset
are about the settings that the topics and brokers of a running cluster have.`,
		Example: `  streambus config check --config streambus.yaml
  streambus config get --topic orders --all
  streambus config set --topic orders retention.ms=3600000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(checkCommand(), dumpCommand(), docsCommand(), getCommand(), setCommand(), unsetCommand())
	return c
}

// resource are the flags that say what has the settings.
type resource struct {
	remote
	topic, broker string
}

func (r *resource) flags(c *cobra.Command) {
	r.remote.flags(c)
	c.Flags().StringVar(&r.topic, "topic", "", "settings of the topic `NAME`")
	c.Flags().StringVar(&r.broker, "broker", "", "settings of the broker `ID`, or of all brokers: default")
}

func (r *resource) of() (of admin.Resource, err error) {
	if (r.topic == "") == (r.broker == "") {
		return of, fmt.Errorf("%w: say whose settings, with --topic NAME, --broker ID or --broker default", errUsage)
	}
	if r.broker == "default" {
		return admin.Resource{}, nil
	}
	return admin.Resource{Topic: r.topic, Broker: r.broker}, nil
}

func getCommand() *cobra.Command {
	r := &resource{}
	var all bool
	c := &cobra.Command{
		Use: "get [KEY...]", Short: "Show settings of a topic or broker", Example: "  streambus config get --topic orders\n  streambus config get --topic orders --all\n  streambus config get --broker 1 log.retention.ms",
		Long: "Show settings of a topic or broker: the keys named, or those that somebody has set, or with --all every one.\n" + connection,
	}
	c.RunE = listing(&r.remote, func(ctx context.Context, a *admin.Client, keys []string) ([]admin.Setting, error) {
		of, err := r.of()
		if err != nil {
			return nil, err
		}
		return a.Settings(ctx, of, all, keys...)
	})
	r.flags(c)
	c.Flags().BoolVar(&all, "all", false, "those at their defaults too")
	return c
}

func setCommand() *cobra.Command {
	r := &resource{}
	var dry bool
	c := &cobra.Command{
		Use: "set KEY=VALUE...", Short: "Change settings of a topic or broker", Args: cobra.MinimumNArgs(1),
		Long:    "Change settings of a topic or broker, all that are given or none.\n" + connection,
		Example: "  streambus config set --topic orders retention.ms=3600000 cleanup.policy=compact,delete",
	}
	c.RunE = listing(&r.remote, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
		of, err := r.of()
		if err != nil {
			return nil, err
		}
		return change(ctx, a, of, args, nil, dry)
	})
	r.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

func unsetCommand() *cobra.Command {
	r := &resource{}
	var dry bool
	c := &cobra.Command{
		Use: "unset KEY...", Short: "Let settings of a topic or broker go back to their defaults", Args: cobra.MinimumNArgs(1),
		Long:    "Let settings of a topic or broker go back to their defaults, all that are named or none.\n" + connection,
		Example: "  streambus config unset --topic orders retention.ms",
	}
	c.RunE = listing(&r.remote, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
		of, err := r.of()
		if err != nil {
			return nil, err
		}
		return change(ctx, a, of, nil, args, dry)
	})
	r.flags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

func checkCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:     "check",
		Short:   "Say whether the configuration is good; exit 78 if not",
		Example: "  streambus config check --config streambus.yaml",
		Args:    cobra.NoArgs,
		RunE: doing(func(c *cobra.Command) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "the configuration is good")
			return err
		}),
	}
	s.flags(c)
	return c
}

func dumpCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:     "dump",
		Short:   "Print every setting, its value and where it comes from, as a file for --config",
		Example: "  streambus config dump --set num.partitions=3",
		Args:    cobra.NoArgs,
		RunE: doing(func(c *cobra.Command) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			return cfg.Dump(c.OutOrStdout())
		}),
	}
	s.flags(c)
	return c
}

func docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs",
		Short: "Explain every setting, in Markdown",
		Args:  cobra.NoArgs,
		RunE:  doing(func(c *cobra.Command) error { return config.Docs(c.OutOrStdout()) }),
	}
}
