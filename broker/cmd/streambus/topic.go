package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

func topicCommand() *cobra.Command {
	r := &remote{}
	c := room("topic", "Create, look at, change and delete topics; write and read their records", `Create, look at, change and delete topics; write and read their records.
`+connection, topicList(r), topicDescribe(r), topicCreate(r), topicAlter(r), topicDelete(r), topicAddPartitions(r), topicTrim(r), topicProduce(r), topicConsume(r))
	c.Example = `  streambus topic create orders --partitions 6 --config retention.ms=86400000
  echo hello | streambus topic produce orders
  streambus topic consume orders --from start --exit-at-end`
	r.flags(c)
	return c
}

func topicList(r *remote) *cobra.Command {
	var internal bool
	c := &cobra.Command{
		Use: "list", Short: "List the topics", Args: cobra.NoArgs,
		Example: "  streambus topic list | awk 'NR>1 {n+=$2} END {print n, \"partitions\"}'",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.Topic, error) {
			return a.Topics(ctx, internal)
		}),
	}
	c.Flags().BoolVar(&internal, "internal", false, "the cluster's own topics too")
	return c
}

func topicDescribe(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "describe TOPIC...", Short: "Show each partition: leader, replicas, where it begins and ends", Args: cobra.MinimumNArgs(1),
		Long:    "Show each partition: leader, replicas, where it begins and ends. `streambus config get --topic TOPIC` shows the settings.",
		Example: "  streambus topic describe orders\n  streambus topic describe orders --format json | jq 'map(.end - .start) | add'",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Partition, error) {
			return a.Partitions(ctx, args...)
		}),
	}
}

func topicCreate(r *remote) *cobra.Command {
	n := admin.NewTopic{}
	var settings []string
	c := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics", Args: cobra.MinimumNArgs(1),
		Example: `  streambus topic create orders --partitions 6
  streambus topic create latest --config cleanup.policy=compact --if-not-exists`,
		RunE: listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Topic, error) {
			var err error
			if n.Settings, err = pairs("config", settings); err != nil {
				return nil, err
			}
			return a.CreateTopics(ctx, n, args...)
		}),
	}
	c.Flags().Int32VarP(&n.Partitions, "partitions", "p", -1, "how many partitions; -1: the cluster's default")
	c.Flags().Int16Var(&n.Replication, "replication-factor", -1, "how many replicas; -1: the cluster's default")
	c.Flags().StringArrayVar(&settings, "config", nil, "set one `KEY=VALUE` of the topic; may be given many times")
	c.Flags().BoolVar(&n.IfNotExists, "if-not-exists", false, "a topic that is there already is no error")
	c.Flags().BoolVar(&n.DryRun, "dry-run", false, "only ask whether it could be done")
	return c
}

func topicAlter(r *remote) *cobra.Command {
	var set, unset []string
	var dry bool
	c := &cobra.Command{
		Use: "alter TOPIC", Short: "Change a topic's settings", Args: cobra.ExactArgs(1),
		Example: "  streambus topic alter orders --set retention.ms=3600000 --unset segment.bytes",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
			return change(ctx, a, admin.Resource{Topic: args[0]}, set, unset, dry)
		}),
	}
	c.Flags().StringArrayVar(&set, "set", nil, "set one `KEY=VALUE`; may be given many times")
	c.Flags().StringArrayVar(&unset, "unset", nil, "go back to the default of one `KEY`; may be given many times")
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

func change(ctx context.Context, a *admin.Client, of admin.Resource, set, unset []string, dry bool) ([]admin.Done, error) {
	values, err := pairs("set", set)
	if err != nil {
		return nil, err
	}
	if len(set)+len(unset) == 0 {
		return nil, fmt.Errorf("%w: say what to change, with --set KEY=VALUE or --unset KEY", errUsage)
	}
	return a.Change(ctx, of, values, unset, dry)
}

func topicDelete(r *remote) *cobra.Command {
	var ifExists bool
	c := &cobra.Command{
		Use: "delete TOPIC...", Short: "Delete topics with all their records", Args: cobra.MinimumNArgs(1),
		Example: "  streambus topic delete orders --yes",
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
		if err := r.confirm(c, "delete the topics %s with all their records", strings.Join(args, ", ")); err != nil {
			return nil, err
		}
		return a.DeleteTopics(ctx, ifExists, args...)
	})
	c.Flags().BoolVar(&ifExists, "if-exists", false, "a topic that there is not is no error")
	r.askYes(c)
	return c
}

func topicAddPartitions(r *remote) *cobra.Command {
	var total int
	var dry bool
	c := &cobra.Command{
		Use: "add-partitions TOPIC... --total N", Short: "Give topics more partitions", Args: cobra.MinimumNArgs(1),
		Long: `Give topics more partitions. They cannot be taken away again, and records with a key go to other partitions than before: consumers
that count on the order of a key must be able to stand that.`,
		Example: "  streambus topic add-partitions orders --total 12",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Done, error) {
			if total < 1 {
				return nil, fmt.Errorf("%w: say how many partitions there shall be in all, with --total N", errUsage)
			}
			return a.AddPartitions(ctx, total, dry, args...)
		}),
	}
	c.Flags().IntVar(&total, "total", 0, "how many partitions there shall be in all")
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

const places = `
A place is start, end, an offset (4711), so many records on or back (+100, -100), the first record at or after a time
(@2026-11-24T10:00:00Z, or @ and milliseconds since 1970), or so long ago (@-2h).`

func topicTrim(r *remote) *cobra.Command {
	var before string
	c := &cobra.Command{
		Use: "trim TOPIC[:PARTITION,...] --before PLACE", Short: "Delete the records before an offset or a time", Args: cobra.ExactArgs(1),
		Long: `Delete the records before an offset or a time: they cannot be read any more at once, and their space is free soon after.
` + places,
		Example: "  streambus topic trim orders --before @-24h --yes\n  streambus topic trim orders:0 --before 4711",
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.Trimmed, error) {
		topic, partitions, err := admin.ParseTopicPartitions(args[0])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if before == "" {
			return nil, fmt.Errorf("%w: say before which place, as in --before 4711 or --before @-24h", errUsage)
		}
		to, err := admin.ParseTarget(before, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%w: --before: %w", errUsage, err)
		}
		if err := r.confirm(c, "delete the records of %s before %s", args[0], before); err != nil {
			return nil, err
		}
		return a.Trim(ctx, topic, partitions, to)
	})
	c.Flags().StringVar(&before, "before", "", "the first `PLACE` that stays")
	r.askYes(c)
	return c
}

func topicProduce(r *remote) *cobra.Command {
	p := admin.Producing{}
	var headers []string
	c := &cobra.Command{
		Use: "produce TOPIC", Short: "Write records read from stdin", Args: cobra.ExactArgs(1),
		Long: `Write records read from stdin, one a line unless --layout says otherwise, and print what was acknowledged.

A layout is made of %k (key), %v (value), %p (partition), %d (time) and %h{...} (headers) with whatever separates them; \n and \t are
line end and tab, %v{json} is one JSON value however long, %k{5} is 5 bytes.`,
		Example: `  echo hello | streambus topic produce orders
  printf 'alice:1\nbob:2\n' | streambus topic produce orders --layout '%k:%v\n'
  streambus topic produce orders --compression zstd < lines.txt`,
		RunE: r.on(func(ctx context.Context, c *cobra.Command, a *admin.Client, args []string) (err error) {
			p.Topic = args[0]
			if p.Headers, err = pairs("header", headers); err != nil {
				return err
			}
			p.Layout = unescape(p.Layout)
			all, err := a.Produce(ctx, p, c.InOrStdin())
			if err != nil && len(all) == 0 {
				return err
			}
			return errors.Join(rows(c, r.format, all), err)
		}),
	}
	c.Flags().StringVar(&p.Layout, "layout", `%v\n`, "how records lie in the input")
	c.Flags().Int32Var(&p.Partition, "partition", -1, "write to one partition; -1: by key")
	c.Flags().StringArrayVar(&headers, "header", nil, "give every record a header `KEY=VALUE`; may be given many times")
	c.Flags().StringVar(&p.Compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	c.Flags().StringVar(&p.Acks, "acks", "all", "whose acknowledgement to wait for: all, leader or none")
	return c
}

// unescape reads \n, \t, \r, \0 and \\, which a shell passes on as they are. franz-go knows the rest.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00").Replace(s)
}
