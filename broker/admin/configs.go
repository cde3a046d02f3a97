package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resource is what has settings: a topic, a broker by id, or all brokers (the empty id).
type Resource struct {
	Topic  string
	Broker string // used when Topic is ""
}

func (r Resource) String() string {
	switch {
	case r.Topic != "":
		return "topic " + r.Topic
	case r.Broker != "":
		return "broker " + r.Broker
	}
	return "all brokers"
}

func (r Resource) kind() (t kmsg.ConfigResourceType, name string) {
	if r.Topic != "" {
		return kmsg.ConfigResourceTypeTopic, r.Topic
	}
	return kmsg.ConfigResourceTypeBroker, r.Broker
}

func (r Resource) check() error {
	if _, err := strconv.ParseInt(r.Broker, 10, 32); r.Topic == "" && r.Broker != "" && err != nil {
		return fmt.Errorf("%w: a broker is named by its id, a number, or \"default\" for all; not %q", ErrOptions, r.Broker)
	}
	return nil
}

// Setting is one setting and where its value comes from.
type Setting struct {
	Resource string `json:"resource"`
	Key      string `json:"key"`
	Value    string `json:"value"`
	Source   string `json:"source"` // as Kafka names it: DYNAMIC_TOPIC_CONFIG, DEFAULT_CONFIG, …
	ReadOnly bool   `json:"read_only"`
	Hidden   bool   `json:"hidden"` // the value is a secret and not told
}

// Settings gives settings of a resource: the keys asked for, or else those that somebody has set, or with all every one.
func (c *Client) Settings(ctx context.Context, of Resource, all bool, keys ...string) ([]Setting, error) {
	if err := of.check(); err != nil {
		return nil, err
	}
	ctx, done := c.within(ctx)
	defer done()
	req := kmsg.NewPtrDescribeConfigsRequest()
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = of.kind()
	if len(keys) > 0 { // an empty list is not the same as none
		one.ConfigNames = keys
	}
	req.Resources = append(req.Resources, one)
	what := "settings of " + of.String()
	resp, err := call[*kmsg.DescribeConfigsResponse](ctx, c, what, req)
	if err != nil {
		return nil, err
	}
	rows := []Setting{}
	for _, r := range resp.Resources {
		if err := c.refusal(what, r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, err
		}
		for _, s := range r.Configs {
			byDefault := s.IsDefault || s.Source == kmsg.ConfigSourceDefaultConfig || s.Source == kmsg.ConfigSourceStaticBrokerConfig && of.Topic != ""
			if len(keys) == 0 && !all && byDefault {
				continue
			}
			rows = append(rows, Setting{of.String(), s.Name, deref(s.Value, ""), s.Source.String(), s.ReadOnly, s.IsSensitive})
		}
	}
	slices.SortFunc(rows, func(a, b Setting) int { return cmpStrings(a.Key, b.Key) })
	for _, k := range keys {
		if !slices.ContainsFunc(rows, func(s Setting) bool { return s.Key == k }) {
			err = errors.Join(err, fmt.Errorf("%s: there is no setting %q; `streambus config get --all` shows those that there are", what, k))
		}
	}
	return rows, err
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Change sets and unsets settings of a resource, all or none. DryRun only asks whether it could be.
func (c *Client) Change(ctx context.Context, of Resource, set map[string]string, unset []string, dryRun bool) ([]Done, error) {
	if err := of.check(); err != nil {
		return nil, err
	}
	ctx, done := c.within(ctx)
	defer done()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dryRun
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = of.kind()
	rows := []Done{}
	add := func(key string, op kmsg.IncrementalAlterConfigOp, value *string, what string) {
		s := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		s.Name, s.Op, s.Value = key, op, value
		one.Configs = append(one.Configs, s)
		if dryRun {
			what = "could_be_" + what
		}
		rows = append(rows, Done{"setting", key, what})
	}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		v := set[k]
		add(k, kmsg.IncrementalAlterConfigOpSet, &v, "set")
	}
	for _, k := range unset {
		add(k, kmsg.IncrementalAlterConfigOpDelete, nil, "unset")
	}
	req.Resources = append(req.Resources, one)
	what := "change settings of " + of.String()
	resp, err := call[*kmsg.IncrementalAlterConfigsResponse](ctx, c, what, req)
	if err != nil {
		return nil, err
	}
	for _, r := range resp.Resources {
		if err := c.refusal(what, r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
