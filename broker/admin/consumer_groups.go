package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Groups of KIP-848 are described by a request of their own. Which protocol a group has is known by which request finds it, so they are asked
// for by it when the classic one does not: brokers that do not serve it have no such groups.

// consumerGroup finds a group of KIP-848.
func (c *Client) consumerGroup(ctx context.Context, group string) (kadm.DescribedConsumerGroup, bool) {
	all, err := c.kadm.DescribeConsumerGroups(ctx, group)
	d, found := all[group]
	return d, err == nil && found && d.Err == nil
}

// consumerMembers are the members of such a group, as Members has them.
func consumerMembers(g kadm.DescribedConsumerGroup) (rows []Member) {
	for _, m := range g.Members {
		row := Member{Group: g.Group, State: g.State, Member: m.MemberID, Instance: deref(m.InstanceID, ""), Client: m.ClientID, Host: m.ClientHost,
			Strategy: g.AssignorName, Assigned: []string{}}
		for _, t := range m.Assignment.Sorted() {
			row.Partitions += len(t.Partitions)
			row.Assigned = append(row.Assigned, topicPartitions(t.Topic, t.Partitions))
		}
		rows = append(rows, row)
	}
	return rows
}

// consumerLags is how far such a group is, as Lags has it.
func (c *Client) consumerLags(ctx context.Context, g kadm.DescribedConsumerGroup) ([]Lag, error) {
	committed, err := c.kadm.FetchOffsets(ctx, g.Group)
	if err != nil {
		return nil, err
	}
	rows := map[string]*Lag{}
	row := func(topic string, partition int32) *Lag {
		k := fmt.Sprint(topic, "/", partition)
		if rows[k] == nil {
			rows[k] = &Lag{Group: g.Group, State: g.State, Topic: topic, Partition: partition, Committed: -1, End: -1, Lag: -1}
		}
		return rows[k]
	}
	for _, o := range committed.Sorted() {
		if o.Err != nil {
			return nil, o.Err
		}
		row(o.Topic, o.Partition).Committed = o.At
	}
	for _, m := range g.Members {
		for _, t := range m.Assignment.Sorted() {
			for _, p := range t.Partitions {
				r := row(t.Topic, p)
				r.Member, r.Client, r.Host = m.MemberID, m.ClientID, m.ClientHost
			}
		}
	}
	out := make([]Lag, 0, len(rows))
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Lag) int {
		if n := strings.Compare(a.Topic, b.Topic); n != 0 {
			return n
		}
		return int(a.Partition - b.Partition)
	})
	return out, c.measure(ctx, out)
}

// measure fills in where partitions end, and what is left to read: all of it where nothing was committed.
func (c *Client) measure(ctx context.Context, rows []Lag) error {
	var topics []string
	for _, r := range rows {
		topics = append(topics, r.Topic)
	}
	if topics = slices.Compact(topics); len(topics) == 0 {
		return nil // no topics would mean all
	}
	starts, err := c.kadm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := c.kadm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		start, ok := starts.Lookup(r.Topic, r.Partition)
		end, ok2 := ends.Lookup(r.Topic, r.Partition)
		if !ok || !ok2 || start.Err != nil || end.Err != nil {
			continue // deleted since
		}
		from := r.Committed
		if from < 0 {
			from = start.Offset
		}
		r.End, r.Lag = end.Offset, max(end.Offset-from, 0)
	}
	return nil
}

// notFound says that a group is not there for those who ask by DescribeGroups.
func notFound(state string, err error) bool {
	return state == "Dead" || errors.Is(err, kerr.GroupIDNotFound)
}
