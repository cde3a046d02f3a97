package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/broker/admin"
)

func aclCommand() *cobra.Command {
	r := &remote{}
	c := room("acl", "List, create and delete access rules", `List, create and delete access rules: who may, or may not, do what with which topic, group, transactional id, or the cluster.
`+connection, aclList(r), aclCreate(r), aclDelete(r))
	c.Example = `  streambus acl create --allow User:alice --operation read --topic orders
  streambus acl list --topic orders`
	r.flags(c)
	return c
}

// rules are the flags that describe access rules.
type rules struct {
	allow, deny, operations             []string
	host, topic, group, transactionalID string
	cluster, prefixed                   bool
}

func (u *rules) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&u.allow, "allow", nil, "`PRINCIPAL` that may, as in User:alice; may be given many times")
	f.StringArrayVar(&u.deny, "deny", nil, "`PRINCIPAL` that may not; may be given many times, and wins over --allow")
	f.StringArrayVar(&u.operations, "operation", nil, "`OPERATION`: read, write, create, delete, alter, describe, all, ...; may be given many times")
	f.StringVar(&u.host, "host", "", "`ADDRESS` that it holds for; created for all (*) unless given")
	f.StringVar(&u.topic, "topic", "", "`NAME` of the topic, * for all")
	f.StringVar(&u.group, "group", "", "`NAME` of the group, * for all")
	f.StringVar(&u.transactionalID, "transactional-id", "", "`ID`, * for all")
	f.BoolVar(&u.cluster, "cluster", false, "the cluster itself")
	f.BoolVar(&u.prefixed, "prefixed", false, "names are the beginnings of names")
}

// list is every rule that the flags describe. In a filter, what is not said is any.
func (u *rules) list(filter bool) (all []admin.ACL, err error) {
	base := admin.ACL{Host: u.host, Pattern: "LITERAL"}
	if filter {
		base.Pattern = ""
	} else if base.Host == "" {
		base.Host = "*"
	}
	if u.prefixed {
		base.Pattern = "PREFIXED"
	}
	var on []admin.ACL
	add := func(resource, name string) {
		a := base
		a.Resource, a.Name = resource, name
		on = append(on, a)
	}
	for _, x := range []struct{ resource, name string }{{"TOPIC", u.topic}, {"GROUP", u.group}, {"TRANSACTIONAL_ID", u.transactionalID}} {
		if x.name != "" {
			add(x.resource, x.name)
		}
	}
	if u.cluster {
		add("CLUSTER", "kafka-cluster")
	}
	operations := u.operations
	if filter {
		if len(on) == 0 {
			on = []admin.ACL{base}
		}
		if len(operations) == 0 {
			operations = []string{""}
		}
	}
	if len(on) == 0 || len(operations) == 0 {
		return nil, fmt.Errorf("%w: say on what (--topic, --group, --transactional-id or --cluster) and which --operation", errUsage)
	}
	for _, a := range on {
		for _, op := range operations {
			a.Operation = strings.ToUpper(op)
			all = append(all, u.principals(a, filter)...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: say for whom, with --allow or --deny", errUsage)
	}
	return all, nil
}

func (u *rules) principals(a admin.ACL, filter bool) (all []admin.ACL) {
	for _, p := range u.allow {
		a.Principal, a.Permission = p, "ALLOW"
		all = append(all, a)
	}
	for _, p := range u.deny {
		a.Principal, a.Permission = p, "DENY"
		all = append(all, a)
	}
	if filter && len(all) == 0 {
		all = append(all, a)
	}
	return all
}

func aclList(r *remote) *cobra.Command {
	u := &rules{}
	c := &cobra.Command{
		Use: "list", Short: "List rules: all, or those that fit the flags", Args: cobra.NoArgs, Example: "  streambus acl list\n  streambus acl list --allow User:alice",
		RunE: listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.ACL, error) {
			filters, err := u.list(true)
			if err != nil {
				return nil, err
			}
			return each(filters, func(f admin.ACL) ([]admin.ACL, error) { return a.ACLs(ctx, f) })
		}),
	}
	u.flags(c)
	return c
}

// each joins what f gives for every filter, each rule once.
func each(filters []admin.ACL, f func(admin.ACL) ([]admin.ACL, error)) (all []admin.ACL, err error) {
	seen := map[admin.ACL]bool{}
	for _, filter := range filters {
		some, err := f(filter)
		for _, a := range some {
			if !seen[a] {
				seen[a] = true
				all = append(all, a)
			}
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func aclCreate(r *remote) *cobra.Command {
	u := &rules{}
	c := &cobra.Command{
		Use: "create", Short: "Create rules: one for each principal, operation and resource given", Args: cobra.NoArgs,
		Example: `  streambus acl create --allow User:alice --operation read --operation describe --topic orders --group billing
  streambus acl create --deny User:mallory --operation all --topic '*'
  streambus acl create --allow User:etl --operation write --topic etl- --prefixed`,
		RunE: listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.ACL, error) {
			all, err := u.list(false)
			if err != nil {
				return nil, err
			}
			return a.CreateACLs(ctx, all)
		}),
	}
	u.flags(c)
	return c
}

func aclDelete(r *remote) *cobra.Command {
	u := &rules{}
	c := &cobra.Command{
		Use: "delete", Short: "Delete the rules that fit the flags", Args: cobra.NoArgs,
		Long:    "Delete the rules that fit the flags; what is not said is any. `streambus acl list` with the same flags shows them before.",
		Example: "  streambus acl delete --allow User:alice --topic orders --yes",
	}
	c.RunE = listing(r, func(ctx context.Context, a *admin.Client, _ []string) ([]admin.ACL, error) {
		filters, err := u.list(true)
		if err != nil {
			return nil, err
		}
		fit, err := each(filters, func(f admin.ACL) ([]admin.ACL, error) { return a.ACLs(ctx, f) })
		if err != nil || len(fit) == 0 {
			return nil, err
		}
		if err := r.confirm(c, "delete %d access rules", len(fit)); err != nil {
			return nil, err
		}
		return each(filters, func(f admin.ACL) ([]admin.ACL, error) { return a.DeleteACLs(ctx, f) })
	})
	u.flags(c)
	r.askYes(c)
	return c
}
