package topics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/engine"
)

// ResourceKind is what can be configured, with Kafka's numbers.
type ResourceKind int8

// The kinds. Kafka's 8 (the levels of a broker's loggers) and 16 (client metrics) are not served.
const (
	TopicResource  ResourceKind = 2
	BrokerResource ResourceKind = 4
	GroupResource  ResourceKind = 32
)

// String names a kind as kafka-configs does, in the singular.
func (k ResourceKind) String() string {
	switch k {
	case TopicResource:
		return "topic"
	case BrokerResource:
		return "broker"
	case GroupResource:
		return "group"
	case 8:
		return "broker-logger"
	case 16:
		return "client-metrics"
	}
	return fmt.Sprint("type ", int8(k))
}

// Resource is what is configured: a topic, a group, a broker by its id, or all brokers, whose name is empty.
type Resource struct {
	Kind ResourceKind
	Name string
}

// target is a resource that was found: its own settings, how they are described, checked and made durable.
type target struct {
	table []config.Def
	own   map[string]string
	now   func(name string) config.Value
	check func(next map[string]string) (fault string)
	set   func(ctx context.Context, next map[string]string) error
	tell  func(names []string) []config.Entry
}

// find looks a resource up. Errors: ErrNoTopic, ErrName, ErrResource.
func (c *Catalog) find(r Resource) (*target, error) {
	switch r.Kind {
	case TopicResource:
		return c.findTopic(r.Name)
	case BrokerResource:
		return c.findBroker(r.Name)
	case GroupResource:
		return c.findGroup(r.Name)
	}
	return nil, fmt.Errorf("%w: settings of kind %v are not served", ErrResource, r.Kind)
}

func (c *Catalog) findTopic(name string) (*target, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	t := c.Topic(name)
	if t == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoTopic, name)
	}
	v := c.live.View()
	return &target{
		table: config.TopicDefs, own: t.Settings,
		now: func(name string) config.Value { return v.Topic(t.Settings, name) },
		check: func(next map[string]string) string {
			fault := v.CheckTopic(next)
			if fault == "" && t.Internal && !slices.Equal(v.Topic(next, "cleanup.policy").Items, []string{"compact"}) {
				fault = "the broker's own topics are compacted, and never deleted from"
			}
			return fault
		},
		set:  func(ctx context.Context, next map[string]string) error { return c.changeTopic(ctx, t, next) },
		tell: func(names []string) []config.Entry { return v.DescribeTopic(t.Settings, names) },
	}, nil
}

func (c *Catalog) findBroker(name string) (*target, error) {
	v := c.live.View()
	self := v.Int("node.id")
	node := meta.EveryBroker
	if name != "" {
		n, err := strconv.Atoi(name)
		if err != nil || n != self {
			return nil, fmt.Errorf("%w: broker %q; there is only broker %d, and all brokers by the empty name", ErrResource, name, self)
		}
		node = int32(n)
	}
	i := c.store.Image()
	t := &target{
		table: config.Defs, own: i.Brokers[node], now: v.Value,
		check: func(next map[string]string) string {
			if node == meta.EveryBroker {
				return v.CheckBroker(i.Brokers[int32(self)], next)
			}
			return v.CheckBroker(next, i.Brokers[meta.EveryBroker])
		},
		set:  func(ctx context.Context, next map[string]string) error { return c.changeBroker(ctx, node, next) },
		tell: v.Describe,
	}
	if node == meta.EveryBroker {
		t.tell = v.DescribeCluster
	}
	return t, nil
}

func (c *Catalog) findGroup(name string) (*target, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: the group's name is empty", ErrResource)
	}
	v, own := c.live.View(), c.store.Image().Groups[name]
	return &target{
		table: config.GroupDefs, own: own,
		now:   func(key string) config.Value { return v.Group(own, key) },
		check: v.CheckGroup,
		set:   func(ctx context.Context, next map[string]string) error { return c.store.SetGroup(ctx, name, next) },
		tell:  func(names []string) []config.Entry { return v.DescribeGroup(own, names) },
	}, nil
}

// DescribeConfigs lists the settings of a resource, by name; only those of names, where there are any. Errors: ErrNoTopic, ErrName,
// ErrResource.
func (c *Catalog) DescribeConfigs(r Resource, names []string) ([]config.Entry, error) {
	t, err := c.find(r)
	if err != nil {
		return nil, err
	}
	return t.tell(names), nil
}

// Effective lists the settings that a topic would have with settings of its own.
func (c *Catalog) Effective(own map[string]string) []config.Entry {
	return c.live.View().DescribeTopic(own, nil)
}

// AlterConfigs sets all of a resource's own settings: those that are not among next are taken back. A nil value is refused. With
// validateOnly it only says whether it could be done. What was changed has taken effect when it returns. Errors: ErrNoTopic, ErrName,
// ErrResource, ErrSetting, ErrChange, meta.ErrTooLong, engine.ErrFull and the disk's.
func (c *Catalog) AlterConfigs(ctx context.Context, r Resource, next map[string]*string, validateOnly bool) error {
	return c.alter(ctx, r, validateOnly, func(t *target) (map[string]string, error) {
		changes := make([]config.Change, 0, len(next))
		for _, name := range slices.Sorted(maps.Keys(next)) {
			changes = append(changes, config.Change{Name: name, Op: config.OpSet, Value: next[name]})
		}
		return config.Apply(t.table, nil, t.now, changes)
	})
}

// IncrementalAlterConfigs makes changes to a resource's own settings: all of them or none. Otherwise it is as AlterConfigs.
func (c *Catalog) IncrementalAlterConfigs(ctx context.Context, r Resource, changes []config.Change, validateOnly bool) error {
	return c.alter(ctx, r, validateOnly, func(t *target) (map[string]string, error) {
		return config.Apply(t.table, t.own, t.now, changes)
	})
}

func (c *Catalog) alter(ctx context.Context, r Resource, validateOnly bool, decide func(*target) (map[string]string, error)) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	t, err := c.find(r)
	if err != nil {
		return err
	}
	next, err := decide(t)
	if err != nil {
		return err
	}
	if fault := t.check(next); fault != "" {
		return fmt.Errorf("%w: %s", ErrSetting, fault)
	}
	if validateOnly || maps.Equal(next, t.own) {
		return nil
	}
	return t.set(ctx, next)
}

// changeTopic makes new settings of a topic durable, and then true. Callers have the turn.
func (c *Catalog) changeTopic(ctx context.Context, t *Topic, next map[string]string) error {
	if err := c.store.ChangeTopic(ctx, t.ID, next); err != nil {
		return err
	}
	return c.follow([]*Topic{t})
}

// changeBroker makes new settings of a broker durable, and then true, for all topics too. Callers have the turn.
func (c *Catalog) changeBroker(ctx context.Context, node int32, next map[string]string) error {
	if err := c.store.SetBroker(ctx, node, next); err != nil {
		return err
	}
	c.setLive()
	return c.follow(c.All())
}

// atOnce bounds the logs that are changed at once: a change of durability waits for a checkpoint, which serves all that wait.
const atOnce = 64

// follow brings topics to what the metadata and the broker's settings say. The rules for producers come first, so that no batch is
// taken by an old one once a log has changed. Callers have the turn. Errors: the disk's.
func (c *Catalog) follow(old []*Topic) error {
	view := maps.Clone(*c.view.Load())
	var changed []*Topic
	for _, o := range old {
		t := c.describe(c.store.Image().ByID[o.ID], o.slots)
		if t.Topic == o.Topic && t.Rules == o.Rules && t.options == o.options {
			continue
		}
		view[t.Name] = t
		changed = append(changed, t)
	}
	c.publish(view)
	err := setOptions(changed)
	for _, t := range changed {
		c.tell(Event{Changed, t})
	}
	return err
}

// setOptions gives the logs of topics their options. A log that is closed is going with the engine: it is opened with the new ones.
func setOptions(topics []*Topic) error {
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for _, t := range topics {
		for _, s := range t.slots {
			if s.p == nil {
				continue
			}
			turns <- struct{}{}
			wg.Go(func() {
				defer func() { <-turns }()
				if err := s.p.SetOptions(t.options); err != nil && !errors.Is(err, engine.ErrClosed) {
					mu.Lock()
					failed = cmp.Or(failed, err)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return failed
}

// Resources lists what could be configured or has settings: topics, this broker, groups that have some; only of kinds, where there are
// any. In order of kind and name.
func (c *Catalog) Resources(kinds []ResourceKind) []Resource {
	var out []Resource
	for _, t := range c.All() {
		out = append(out, Resource{TopicResource, t.Name})
	}
	out = append(out, Resource{BrokerResource, strconv.Itoa(c.live.View().Int("node.id"))})
	for name := range c.store.Image().Groups {
		out = append(out, Resource{GroupResource, name})
	}
	if len(kinds) > 0 {
		out = slices.DeleteFunc(out, func(r Resource) bool { return !slices.Contains(kinds, r.Kind) })
	}
	slices.SortFunc(out, func(a, b Resource) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name)) })
	return out
}
