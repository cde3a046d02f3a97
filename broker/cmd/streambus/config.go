package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/internal/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show and explain the configuration",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(checkCommand(), dumpCommand(), docsCommand())
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
