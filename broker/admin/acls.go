package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ACL is one rule; in a filter an empty field stands for any.
type ACL struct {
	Principal  string `json:"principal"`  // User:alice
	Host       string `json:"host"`       // an address, or *
	Permission string `json:"permission"` // ALLOW or DENY
	Operation  string `json:"operation"`  // READ, WRITE, ALL, …
	Resource   string `json:"resource"`   // TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID, …
	Name       string `json:"name"`
	Pattern    string `json:"pattern"` // LITERAL or PREFIXED
}

// rule is an ACL in Kafka's numbers.
type rule struct {
	resource   kmsg.ACLResourceType
	pattern    kmsg.ACLResourcePatternType
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

func (a ACL) numbers(filter bool) (r rule, err error) {
	any := func(s string) string {
		if s == "" && filter {
			return "ANY"
		}
		return s
	}
	var errs []error
	bad := func(what, got string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s %q: %w", ErrOptions, what, got, err))
		}
	}
	r.resource, err = kmsg.ParseACLResourceType(any(a.Resource))
	bad("resource", a.Resource, err)
	r.pattern, err = kmsg.ParseACLResourcePatternType(any(a.Pattern))
	bad("pattern", a.Pattern, err)
	r.operation, err = kmsg.ParseACLOperation(any(a.Operation))
	bad("operation", a.Operation, err)
	r.permission, err = kmsg.ParseACLPermissionType(any(a.Permission))
	bad("permission", a.Permission, err)
	if a.Principal != "" && !strings.Contains(a.Principal, ":") {
		errs = append(errs, fmt.Errorf("%w: principal %q must be TYPE:NAME, as in User:alice", ErrOptions, a.Principal))
	}
	return r, errors.Join(errs...)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ACLs lists the rules that fit a filter.
func (c *Client) ACLs(ctx context.Context, filter ACL) ([]ACL, error) {
	r, err := filter.numbers(true)
	if err != nil {
		return nil, err
	}
	ctx, done := c.within(ctx)
	defer done()
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = r.resource, r.pattern, r.operation, r.permission
	req.ResourceName, req.Principal, req.Host = optional(filter.Name), optional(filter.Principal), optional(filter.Host)
	resp, err := call[*kmsg.DescribeACLsResponse](ctx, c, "list ACLs", req)
	if err != nil {
		return nil, err
	}
	if err := c.refusal("list ACLs", resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	rows := []ACL{}
	for _, on := range resp.Resources {
		for _, a := range on.ACLs {
			rows = append(rows, ACL{a.Principal, a.Host, a.PermissionType.String(), a.Operation.String(), on.ResourceType.String(), on.ResourceName, on.ResourcePatternType.String()})
		}
	}
	sortACLs(rows)
	return rows, nil
}

func sortACLs(rows []ACL) {
	key := func(a ACL) string {
		return strings.Join([]string{a.Resource, a.Name, a.Pattern, a.Principal, a.Host, a.Operation, a.Permission}, "\x00")
	}
	slices.SortFunc(rows, func(a, b ACL) int { return strings.Compare(key(a), key(b)) })
}

// CreateACLs makes rules. One that is there already is made again without harm.
func (c *Client) CreateACLs(ctx context.Context, rules []ACL) ([]ACL, error) {
	ctx, done := c.within(ctx)
	defer done()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range rules {
		r, err := a.numbers(false)
		if err != nil {
			return nil, err
		}
		one := kmsg.NewCreateACLsRequestCreation()
		one.ResourceType, one.ResourceName, one.ResourcePatternType = r.resource, a.Name, r.pattern
		one.Principal, one.Host, one.Operation, one.PermissionType = a.Principal, a.Host, r.operation, r.permission
		req.Creations = append(req.Creations, one)
	}
	resp, err := call[*kmsg.CreateACLsResponse](ctx, c, "create ACLs", req)
	if err != nil {
		return nil, err
	}
	made, errs := []ACL{}, []error{}
	for i, r := range resp.Results {
		if i >= len(rules) {
			break
		}
		if err := c.refusal(fmt.Sprintf("create ACL for %s on %s %s", rules[i].Principal, rules[i].Resource, rules[i].Name), r.ErrorCode, r.ErrorMessage); err != nil {
			errs = append(errs, err)
			continue
		}
		made = append(made, rules[i])
	}
	sortACLs(made)
	return made, errors.Join(errs...)
}

// DeleteACLs ends the rules that fit a filter, and gives them.
func (c *Client) DeleteACLs(ctx context.Context, filter ACL) ([]ACL, error) {
	r, err := filter.numbers(true)
	if err != nil {
		return nil, err
	}
	ctx, done := c.within(ctx)
	defer done()
	req := kmsg.NewPtrDeleteACLsRequest()
	one := kmsg.NewDeleteACLsRequestFilter()
	one.ResourceType, one.ResourcePatternType, one.Operation, one.PermissionType = r.resource, r.pattern, r.operation, r.permission
	one.ResourceName, one.Principal, one.Host = optional(filter.Name), optional(filter.Principal), optional(filter.Host)
	req.Filters = append(req.Filters, one)
	resp, err := call[*kmsg.DeleteACLsResponse](ctx, c, "delete ACLs", req)
	if err != nil {
		return nil, err
	}
	rows, errs := []ACL{}, []error{}
	for _, f := range resp.Results {
		if err := c.refusal("delete ACLs", f.ErrorCode, f.ErrorMessage); err != nil {
			errs = append(errs, err)
		}
		for _, a := range f.MatchingACLs {
			if err := c.refusal(fmt.Sprintf("delete ACL for %s on %s", a.Principal, a.ResourceName), a.ErrorCode, a.ErrorMessage); err != nil {
				errs = append(errs, err)
				continue
			}
			rows = append(rows, ACL{a.Principal, a.Host, a.PermissionType.String(), a.Operation.String(), a.ResourceType.String(), a.ResourceName, a.ResourcePatternType.String()})
		}
	}
	sortACLs(rows)
	return rows, errors.Join(errs...)
}
