package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Group is one group.
type Group struct {
	Group       string `json:"group"`
	State       string `json:"state"`
	Type        string `json:"type"` // of protocol; consumer as a rule
	Coordinator int32  `json:"coordinator"`
}

// Groups lists the groups.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.ListGroups(ctx)
	if err != nil {
		return nil, c.explain("list groups", err)
	}
	rows := []Group{}
	for _, g := range all.Sorted() {
		rows = append(rows, Group{g.Group, g.State, g.ProtocolType, g.Coordinator})
	}
	return rows, nil
}

// Lag is how far a group is in one partition, and who reads it.
type Lag struct {
	Group     string `json:"group"`
	State     string `json:"state"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: nothing
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"` // -1: not known
	Member    string `json:"member"`
	Client    string `json:"client"`
	Host      string `json:"host"`
}

// Lags describes groups: a row for each partition that they have committed for or are assigned.
func (c *Client) Lags(ctx context.Context, groups ...string) ([]Lag, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.Lag(ctx, groups...)
	if err != nil {
		return nil, c.explain("describe groups", err)
	}
	rows, errs := []Lag{}, []error{}
	for _, g := range all.Sorted() {
		if notFound(g.State, g.DescribeErr) {
			if d, found := c.consumerGroup(ctx, g.Group); found {
				of, err := c.consumerLags(ctx, d)
				if err != nil {
					errs = append(errs, c.explain("group "+g.Group, err))
				}
				rows = append(rows, of...)
				continue
			}
		}
		if err := g.Error(); err != nil {
			errs = append(errs, c.explain("group "+g.Group, err))
			continue
		}
		if g.State == "Dead" {
			errs = append(errs, c.explain("group "+g.Group, kerr.GroupIDNotFound))
			continue
		}
		for _, l := range g.Lag.Sorted() {
			row := Lag{Group: g.Group, State: g.State, Topic: l.Topic, Partition: l.Partition, Committed: l.Commit.At, End: l.End.Offset, Lag: l.Lag}
			if l.Member != nil {
				row.Member, row.Client, row.Host = l.Member.MemberID, l.Member.ClientID, l.Member.ClientHost
			}
			rows = append(rows, row)
		}
	}
	return rows, errors.Join(errs...)
}

// Member is one member of a group.
type Member struct {
	Group      string   `json:"group"`
	State      string   `json:"state"`
	Member     string   `json:"member"`
	Instance   string   `json:"instance"`
	Client     string   `json:"client"`
	Host       string   `json:"host"`
	Assigned   []string `json:"assigned"` // TOPIC:PARTITION,…
	Strategy   string   `json:"strategy"`
	Partitions int      `json:"partitions"` // assigned
}

// Members describes who is in groups.
func (c *Client) Members(ctx context.Context, groups ...string) ([]Member, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.DescribeGroups(ctx, groups...)
	if err != nil {
		return nil, c.explain("describe groups", err)
	}
	rows, errs := []Member{}, []error{}
	for _, g := range all.Sorted() {
		if notFound(g.State, g.Err) {
			if d, found := c.consumerGroup(ctx, g.Group); found {
				rows = append(rows, consumerMembers(d)...)
				continue
			}
		}
		if g.Err != nil {
			errs = append(errs, c.refused("group "+g.Group, g.Err, g.ErrMessage))
			continue
		}
		for _, m := range g.Members {
			row := Member{Group: g.Group, State: g.State, Member: m.MemberID, Instance: deref(m.InstanceID, ""), Client: m.ClientID, Host: m.ClientHost,
				Strategy: g.Protocol, Assigned: []string{}}
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range a.Topics {
					row.Partitions += len(t.Partitions)
					row.Assigned = append(row.Assigned, topicPartitions(t.Topic, t.Partitions))
				}
			}
			rows = append(rows, row)
		}
	}
	return rows, errors.Join(errs...)
}

func topicPartitions(topic string, partitions []int32) string {
	s := topic
	for i, p := range slices.Sorted(slices.Values(partitions)) {
		sep := ","
		if i == 0 {
			sep = ":"
		}
		s += fmt.Sprint(sep, p)
	}
	return s
}

// DeleteGroups ends groups, with all that they have committed. They must have no members.
func (c *Client) DeleteGroups(ctx context.Context, groups ...string) ([]Done, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.DeleteGroups(ctx, groups...)
	if err != nil {
		return nil, c.explain("delete groups", err)
	}
	rows, errs := []Done{}, []error{}
	for _, g := range all.Sorted() {
		if g.Err != nil {
			errs = append(errs, c.refused("delete group "+g.Group, g.Err, g.ErrMessage))
			continue
		}
		rows = append(rows, Done{"group", g.Group, "deleted"})
	}
	return rows, errors.Join(errs...)
}

// Scope says which partitions of which topics; a topic without partitions stands for all of it.
type Scope map[string][]int32

// Moved is what a group has committed for a partition, and would have.
type Moved struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1: nothing was committed
	To        int64  `json:"to"`
	Lag       int64  `json:"lag"` // that it would have then
}

// PlanReset says what a reset would commit. An empty scope is all that the group has committed for. Offsets are brought within what the
// partition holds.
func (c *Client) PlanReset(ctx context.Context, group string, scope Scope, to Target) ([]Moved, error) {
	ctx, done := c.within(ctx)
	defer done()
	fetched, err := c.kadm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that there is not yet has committed nothing
		return nil, c.explain("offsets of group "+group, err)
	}
	if len(scope) == 0 {
		scope = Scope{}
		for _, o := range fetched.Sorted() {
			scope[o.Topic] = append(scope[o.Topic], o.Partition)
		}
		if len(scope) == 0 {
			return nil, fmt.Errorf("group %s has committed nothing; say which topics to reset it for with --topic", group)
		}
	}
	rows := []Moved{}
	for _, topic := range slices.Sorted(maps.Keys(scope)) {
		one, err := c.planTopic(ctx, group, topic, scope[topic], fetched, to)
		if err != nil {
			return nil, err
		}
		rows = append(rows, one...)
	}
	return rows, nil
}

func (c *Client) planTopic(ctx context.Context, group, topic string, partitions []int32, fetched kadm.OffsetResponses, to Target) ([]Moved, error) {
	starts, err := c.resolve(ctx, topic, partitions, Target{Kind: AtStart})
	if err != nil {
		return nil, err
	}
	ends, err := c.resolve(ctx, topic, partitions, Target{Kind: AtEnd})
	if err != nil {
		return nil, err
	}
	aims, err := c.resolve(ctx, topic, partitions, to)
	if err != nil {
		return nil, err
	}
	var rows []Moved
	for _, p := range slices.Sorted(maps.Keys(starts)) {
		m := Moved{Group: group, Topic: topic, Partition: p, From: -1, To: aims[p]}
		if o, ok := fetched.Lookup(topic, p); ok {
			if o.Err != nil {
				return nil, c.explain(fmt.Sprintf("offset of group %s for %s-%d", group, topic, p), o.Err)
			}
			m.From = o.At
		}
		if to.Shift {
			m.To = to.Offset + cmpOffset(m.From, ends[p])
		}
		m.To = min(max(m.To, starts[p]), ends[p])
		m.Lag = ends[p] - m.To
		rows = append(rows, m)
	}
	return rows, nil
}

func cmpOffset(committed, end int64) int64 {
	if committed < 0 {
		return end
	}
	return committed
}

// Reset commits what was planned. A group with members refuses.
func (c *Client) Reset(ctx context.Context, group string, plan []Moved) error {
	ctx, done := c.within(ctx)
	defer done()
	var offsets kadm.Offsets
	for _, m := range plan {
		offsets.AddOffset(m.Topic, m.Partition, m.To, -1)
	}
	all, err := c.kadm.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return c.explain("commit offsets of group "+group, err)
	}
	var errs []error
	for _, o := range all.Sorted() {
		if o.Err != nil {
			errs = append(errs, c.explain(fmt.Sprintf("commit %d for %s-%d of group %s", o.At, o.Topic, o.Partition, group), o.Err))
		}
	}
	return errors.Join(errs...)
}

// Forgotten is a partition for which a group has nothing committed any more.
type Forgotten struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

// DeleteOffsets takes back what a group has committed, for topics that no member of it reads.
func (c *Client) DeleteOffsets(ctx context.Context, group string, scope Scope) ([]Forgotten, error) {
	ctx, done := c.within(ctx)
	defer done()
	set := kadm.TopicsSet{}
	for topic, partitions := range scope {
		if len(partitions) == 0 {
			at, err := c.resolve(ctx, topic, nil, Target{})
			if err != nil {
				return nil, err
			}
			partitions = slices.Collect(maps.Keys(at))
		}
		set.Add(topic, partitions...)
	}
	all, err := c.kadm.DeleteOffsets(ctx, group, set)
	if err != nil {
		return nil, c.explain("delete offsets of group "+group, err)
	}
	rows, errs := []Forgotten{}, []error{}
	for _, topic := range slices.Sorted(maps.Keys(all)) {
		for _, p := range slices.Sorted(maps.Keys(all[topic])) {
			if err := all[topic][p]; err != nil {
				errs = append(errs, c.explain(fmt.Sprintf("delete the offset of group %s for %s-%d", group, topic, p), err))
				continue
			}
			rows = append(rows, Forgotten{group, topic, p})
		}
	}
	return rows, errors.Join(errs...)
}
