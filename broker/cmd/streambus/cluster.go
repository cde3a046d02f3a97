package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

func clusterCommand() *cobra.Command {
	r := &remote{}
	show := func(use, short string, run func(*cobra.Command, []string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, Example: "  streambus cluster " + use, RunE: run}
	}
	c := room("cluster", "Show what a cluster says of itself; list, set and remove quotas of clients", `Show what a cluster says of itself; list, set and remove quotas of clients.
`+connection,
		show("info", "List the brokers", listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.Broker, error) { return a.Brokers(ctx) })),
		show("features", "List the features and their levels", listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.Feature, error) {
			return a.Features(ctx)
		})),
		show("log-dirs", "List the data directories", listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.LogDir, error) { return a.LogDirs(ctx) })),
		show("api-versions", "List the Kafka API keys and versions that each broker serves", listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.API, error) { return a.APIs(ctx) })),
		quotasCommand(r),
	)
	c.Example = "  streambus cluster info --brokers kafka-1:9092\n  streambus cluster api-versions --format json\n  streambus cluster quotas set --client-id backfill producer_byte_rate=10MB"
	r.flags(c)
	return c
}
