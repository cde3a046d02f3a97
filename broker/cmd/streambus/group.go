package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

func groupCommand() *cobra.Command {
	r := &remote{}
	c := room("group", "Look at consumer groups, move and delete their offsets", `Look at consumer groups, move and delete their offsets.
`+connection, groupList(r), groupDescribe(r), groupDelete(r), groupReset(r), groupDeleteOffsets(r))
	c.Example = `  streambus group describe billing
  streambus group reset-offsets billing --topic orders --to @-1h --execute`
	r.flags(c)
	return c
}

func groupList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the groups", Args: cobra.NoArgs, Example: "  streambus group list",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.Group, error) { return a.Groups(ctx) }),
	}
}

func groupDescribe(r *remote) *cobra.Command {
	var members bool
	c := &cobra.Command{
		Use: "describe GROUP...", Short: "Show how far groups are, and who is in them", Args: cobra.MinimumNArgs(1),
		Example: `  streambus group describe billing
  streambus group describe billing --members
  streambus group describe billing | awk 'NR>1 && $7>0 {n+=$7} END {print n+0, "behind"}'`,
	}
	lags := listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Lag, error) {
		return a.Lags(ctx, args...)
	})
	who := listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Member, error) {
		return a.Members(ctx, args...)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if members {
			return who(c, args)
		}
		return lags(c, args)
	}
	c.Flags().BoolVar(&members, "members", false, "a row for each member in place of each partition")
	return c
}

func groupDelete(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use: "delete GROUP...", Short: "Delete groups with all that they have committed", Args: cobra.MinimumNArgs(1), Example: "  streambus group delete billing --yes",
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
		if err := r.confirm(c, "delete the groups %s with all that they have committed", strings.Join(args, ", ")); err != nil {
			return nil, err
		}
		return a.DeleteGroups(ctx, args...)
	})
	r.askYes(c)
	return c
}

func groupReset(r *remote) *cobra.Command {
	var topics []string
	var to string
	var execute bool
	c := &cobra.Command{
		Use: "reset-offsets GROUP --to PLACE", Short: "Move a group's offsets; only shows what it would do, unless --execute is said", Args: cobra.ExactArgs(1),
		Long: `Move a group's offsets: to one place in every partition that it has committed for, or in those that --topic names. Only shows what it
would do, unless --execute is said. The group must have no members. Offsets are kept within what the partition holds.
` + places,
		Example: `  streambus group reset-offsets billing --to start                                 what would that be?
  streambus group reset-offsets billing --to start --execute
  streambus group reset-offsets billing --topic orders:0,1 --to -1000 --execute    read the last 1000 again`,
	}
	c.RunE = r.on(func(ctx context.Context, c *cobra.Command, a *admin.Client, args []string) error {
		scope, err := scopeOf(topics)
		if err != nil {
			return err
		}
		if to == "" {
			return fmt.Errorf("%w: say where to, as in --to start or --to @-1h", errUsage)
		}
		target, err := admin.ParseTarget(to, time.Now())
		if err != nil {
			return fmt.Errorf("%w: --to: %w", errUsage, err)
		}
		plan, err := a.PlanReset(ctx, args[0], scope, target)
		if err != nil {
			return err
		}
		if execute {
			if err := a.Reset(ctx, args[0], plan); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(c.ErrOrStderr(), "nothing was changed; say --execute to commit these offsets")
		}
		return rows(c, r.format, plan)
	})
	c.Flags().StringArrayVar(&topics, "topic", nil, "`TOPIC[:PARTITION,...]` to move in; may be given many times; default: all that the group has committed for")
	c.Flags().StringVar(&to, "to", "", "the `PLACE` to go to")
	c.Flags().BoolVar(&execute, "execute", false, "do it")
	return c
}

func scopeOf(topics []string) (admin.Scope, error) {
	scope := admin.Scope{}
	for _, t := range topics {
		name, partitions, err := admin.ParseTopicPartitions(t)
		if err != nil {
			return nil, fmt.Errorf("%w: --topic: %w", errUsage, err)
		}
		scope[name] = append(scope[name], partitions...)
	}
	return scope, nil
}

func groupDeleteOffsets(r *remote) *cobra.Command {
	var topics []string
	c := &cobra.Command{
		Use: "delete-offsets GROUP --topic TOPIC[:PARTITION,...]", Short: "Forget what a group has committed for topics", Args: cobra.ExactArgs(1),
		Example: "  streambus group delete-offsets billing --topic orders --yes",
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Forgotten, error) {
		scope, err := scopeOf(topics)
		if err != nil {
			return nil, err
		}
		if len(scope) == 0 {
			return nil, fmt.Errorf("%w: say for which topics, with --topic", errUsage)
		}
		if err := r.confirm(c, "forget what group %s has committed for %s", args[0], strings.Join(topics, ", ")); err != nil {
			return nil, err
		}
		return a.DeleteOffsets(ctx, args[0], scope)
	})
	c.Flags().StringArrayVar(&topics, "topic", nil, "`TOPIC[:PARTITION,...]` to forget; may be given many times")
	r.askYes(c)
	return c
}
