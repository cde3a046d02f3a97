package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

const quotaKeys = `
The quotas that there are:

  producer_byte_rate        bytes a second that are produced; as a number or like 10MB (10,000,000) or 10MiB (10,485,760)
  consumer_byte_rate        bytes a second that are fetched, as above
  request_percentage        processor time, in percent of one processor: 200 is two of them
  controller_mutation_rate  partitions created and deleted a second
  connection_creation_rate  connections a second; of an address, which can have no other

Each broker grants each quota by itself. A client that exceeds it is told how long to wait, and nothing is read from it meanwhile.`

const quotaEntities = `
A quota is for a user, a client id, a user with a client id, or an address; --user-default, --client-id-default and --ip-default stand for
all that have no quota of their own. One counts, the first of: a user with a client id, a user, any user (--user-default), a client id, any
client id. Where nobody logs in every client is the user ANONYMOUS: use --client-id there, and mind that --user-default comes before it.`

func quotasCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use: "quotas", Short: "List the client quotas that were set; set and remove them", Args: cobra.NoArgs,
		Long: `List the client quotas that were set: all, or those of entities that fit the flags; what is not said is any.
` + quotaEntities + "\n" + quotaKeys,
		Example: `  streambus cluster quotas
  streambus cluster quotas --user alice
  streambus cluster quotas set --client-id backfill producer_byte_rate=10MB`,
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.Quota, error) {
		filter, err := entityOf(c)
		if err != nil {
			return nil, err
		}
		return a.Quotas(ctx, filter)
	})
	entityFlags(c)
	c.AddCommand(quotasSet(r), quotasRemove(r))
	return c
}

func quotasSet(r *remote) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "set KEY=VALUE...", Short: "Set quotas of a user, a client id, both, or an address",
		Long: `Set quotas of a user, a client id, both, or an address, all that are given or none. Others that it has stay as they are.
` + quotaEntities + "\n" + quotaKeys,
		Example: `  streambus cluster quotas set --client-id backfill producer_byte_rate=10MB consumer_byte_rate=20MB
  streambus cluster quotas set --user alice --client-id app producer_byte_rate=10MB request_percentage=50
  streambus cluster quotas set --user alice --client-id-default consumer_byte_rate=5MiB    each other client id of hers
  streambus cluster quotas set --user-default producer_byte_rate=1MB                       each user without one of its own
  streambus cluster quotas set --ip 10.0.0.7 connection_creation_rate=20`,
		ValidArgsFunction: completeQuotas("="),
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.AlteredQuota, error) {
		of, err := oneEntity(c)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 {
			return nil, fmt.Errorf("%w: say what to set, as KEY=VALUE; %s may have %s", errUsage, of, strings.Join(admin.QuotaKeys(of), ", "))
		}
		values := map[string]float64{}
		for _, arg := range args {
			key, text, ok := strings.Cut(arg, "=")
			if err := admin.CheckQuotaKey(of, key); err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
			if !ok {
				return nil, fmt.Errorf("%w: %s: it must be KEY=VALUE; `streambus cluster quotas remove` takes a quota away", errUsage, arg)
			}
			if values[key], err = admin.ParseQuota(key, text); err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
		}
		return a.AlterQuotas(ctx, of, values, nil, dry)
	})
	entityFlags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

func quotasRemove(r *remote) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "remove KEY...", Short: "Remove quotas of a user, a client id, both, or an address",
		Long: `Remove quotas of a user, a client id, both, or an address, all that are named or none; VALUE is what they were. A more general quota may
count from then on. One that was not set is no error: it is shown as not_set. ` + "`streambus cluster quotas` with the same flags lists what there is.\n" + quotaEntities,
		Example: `  streambus cluster quotas remove --user alice producer_byte_rate
  streambus cluster quotas remove --user alice --client-id app producer_byte_rate request_percentage
  streambus cluster quotas remove --ip 10.0.0.7 connection_creation_rate`,
		ValidArgsFunction: completeQuotas(""),
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, args []string) ([]admin.AlteredQuota, error) {
		of, err := oneEntity(c)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 {
			return nil, fmt.Errorf("%w: say which quotas to remove; %s may have %s", errUsage, of, strings.Join(admin.QuotaKeys(of), ", "))
		}
		for _, key := range args {
			if err := admin.CheckQuotaKey(of, key); err != nil {
				return nil, fmt.Errorf("%w: %w", errUsage, err)
			}
		}
		return a.AlterQuotas(ctx, of, nil, args, dry)
	})
	entityFlags(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "only ask whether it could be done")
	return c
}

// entityFlags gives a command the flags that say whose quotas: TYPE NAME and TYPE-default for each of admin.EntityTypes.
func entityFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("user", "", "the user `NAME`")
	f.Bool("user-default", false, "all users without a quota of their own")
	f.String("client-id", "", "the client id `ID`")
	f.Bool("client-id-default", false, "all client ids without a quota of their own")
	f.String("ip", "", "the `ADDRESS`")
	f.Bool("ip-default", false, "all addresses without a quota of their own")
}

// entityOf reads them; without any the entity is empty. A name that is empty, as of a variable that was never set, is an error: less said
// would be more chosen.
func entityOf(c *cobra.Command) (admin.Entity, error) {
	of := admin.Entity{}
	for _, kind := range admin.EntityTypes {
		name := c.Flags().Lookup(kind)
		byDefault, err := c.Flags().GetBool(kind + "-default")
		switch {
		case err != nil:
			return nil, err
		case name.Changed && byDefault:
			return nil, fmt.Errorf("%w: give --%s or --%s-default, not both", errUsage, kind, kind)
		case name.Changed && name.Value.String() == "":
			return nil, fmt.Errorf("%w: --%s is empty; say --%s-default for all that have no quota of their own", errUsage, kind, kind)
		case name.Changed || byDefault:
			of[kind] = name.Value.String()
		}
	}
	if _, address := of["ip"]; address && len(of) > 1 {
		return nil, fmt.Errorf("%w: an address has quotas of its own; it cannot be combined with a user or a client id", errUsage)
	}
	return of, nil
}

// oneEntity reads them where somebody must be named.
func oneEntity(c *cobra.Command) (admin.Entity, error) {
	of, err := entityOf(c)
	if err == nil && len(of) == 0 {
		err = fmt.Errorf("%w: say whose quotas, with --user NAME, --client-id ID, both, or --ip ADDRESS (--user-default, --client-id-default, --ip-default: all others)", errUsage)
	}
	return of, err
}

// completeQuotas completes the keys of the entity that was named so far, each once, and puts end behind them.
func completeQuotas(end string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		of, err := entityOf(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []cobra.Completion
		for _, key := range admin.QuotaKeys(of) {
			given := slices.ContainsFunc(args, func(arg string) bool { k, _, _ := strings.Cut(arg, "="); return k == key })
			if !given && strings.HasPrefix(key, typed) {
				all = append(all, key+end)
			}
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if end != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return all, directive
	}
}
