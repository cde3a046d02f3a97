package group

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/broker/internal/partition"
)

// Description is a group of the classic protocol as DescribeGroups tells it.
type Description struct {
	State        string // as Kafka names it; "Dead" is of a group that does not exist
	ProtocolType string
	Protocol     string // "" unless the group is stable, as are Metadata and Assignment of its members
	Members      []MemberDescription
}

// MemberDescription is a member in a Description. The bytes are the group's: they must not be changed.
type MemberDescription struct {
	Identity
	ClientID, ClientHost string
	Metadata, Assignment []byte
}

// Describe tells of a group. Of one that does not exist, or is of the consumer protocol, it gives a dead one and ErrNotFound (versions
// before 6 of DescribeGroups answer that without an error). Other errors: ErrNotAvailable.
func (c *Coordinator) Describe(id string) (Description, error) {
	dead := Description{State: Dead.String()}
	for {
		e, open := c.entry(id, false)
		switch {
		case !open:
			return dead, ErrNotAvailable
		case e == nil && c.Offsets.Has(id):
			return Description{State: Empty.String()}, nil
		case e == nil:
			return dead, noGroup(ErrNotFound, id)
		case e.hold():
			defer e.mu.Unlock()
			if e.c != nil {
				return dead, fmt.Errorf("%w: %q is a consumer group", ErrNotFound, id)
			}
			return e.g.describe(), nil
		}
	}
}

func (g *Group) describe() Description {
	d := Description{State: g.state.String(), ProtocolType: g.protocolType}
	stable := g.state == Stable
	if stable {
		d.Protocol = g.protocol
	}
	for _, id := range g.order {
		m := g.members[id]
		one := MemberDescription{Identity: m.Identity, ClientID: m.clientID, ClientHost: m.clientHost}
		if stable {
			one.Metadata, one.Assignment = m.metadata(g.protocol), m.assignment
		}
		d.Members = append(d.Members, one)
	}
	return d
}

// Listed is a group in ListGroups.
type Listed struct {
	Group        string
	ProtocolType string
	State        string
	Type         string // "classic" or "consumer"
}

// List lists groups by name. states and types, where not empty, say which, in any case (KIP-518, KIP-848).
func (c *Coordinator) List(states, types []string) ([]Listed, error) {
	c.mu.Lock()
	entries, closed := maps.Clone(c.groups), c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrNotAvailable
	}
	all := map[string]Listed{}
	for _, id := range c.Offsets.names() {
		all[id] = Listed{id, "", Empty.String(), "classic"}
	}
	for id, e := range entries {
		if e.hold() {
			all[id] = e.listed()
			e.mu.Unlock()
		}
	}
	wanted := func(filter []string, v string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, v) })
	}
	var out []Listed
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if l := all[id]; wanted(states, l.State) && wanted(types, l.Type) {
			out = append(out, l)
		}
	}
	return out, nil
}

// listed tells of the group. Callers hold mu.
func (e *entry) listed() Listed {
	if e.c != nil {
		return Listed{e.id, ConsumerType, string(e.c.State()), "consumer"}
	}
	return Listed{e.id, e.g.protocolType, e.g.State().String(), "classic"}
}

// names lists the groups that have offsets.
func (o *Offsets) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.groups))
}

// Delete deletes a group with its offsets. w is told when that is durable; on an error it is not called.
// Errors: ErrNotFound, ErrNotEmpty, ErrNotAvailable, and the engine's.
func (c *Coordinator) Delete(ctx context.Context, id string, w partition.Waiter) error {
	for {
		e, open := c.entry(id, false)
		if open && e == nil && c.Offsets.Has(id) {
			e, open = c.entry(id, true)
		}
		if !open {
			return ErrNotAvailable
		}
		if e == nil {
			return noGroup(ErrNotFound, id)
		}
		l, err := c.Offsets.laneOf(ctx, id)
		if err != nil {
			return err
		}
		if e.hold() {
			err := c.deleteHeld(l, e, w)
			e.mu.Unlock()
			c.removed(e)
			return err
		}
	}
}

// deleteHeld deletes an empty group. Callers hold e.mu, and call removed afterwards.
func (c *Coordinator) deleteHeld(l *lane, e *entry, w partition.Waiter) error {
	if !e.empty() {
		return fmt.Errorf("%w: %q has members", ErrNotEmpty, e.id)
	}
	err := c.Offsets.drop(l, e.id, c.Offsets.partitionsOf(e.id), e.tombstones(), w)
	if err == nil {
		e.gone = true
	}
	return err
}

// removed takes a group that is gone out of the table.
func (c *Coordinator) removed(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone && c.groups[e.id] == e {
		delete(c.groups, e.id)
	}
}

// empty says that the group has no members. Callers hold mu.
func (e *entry) empty() bool {
	if e.c != nil {
		return e.c.Len() == 0
	}
	return e.g.State() == Empty
}

// tombstones are the records that take the group out. Callers hold mu.
func (e *entry) tombstones() []pair {
	switch {
	case e.c != nil:
		return e.pairs(e.c.Tombstones())
	case e.g.generation == 0 && len(e.unsaved) == 0:
		return nil
	}
	return []pair{{key: e.key(record.Classic)}}
}

// partitionsOf lists all that a group has offsets for, decided or not.
func (o *Offsets) partitionsOf(group string) []TopicPartition {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		return nil
	}
	return g.partitions(true)
}

// OffsetDelete takes offsets of a group out, and gives one error or nil for each partition: ErrSubscribed where a member reads the topic.
// w is told when the others are gone; on an error it is not called. Errors: ErrNotFound; ErrNotEmpty for a group with members that are no
// consumers; ErrNotAvailable and the engine's.
func (c *Coordinator) OffsetDelete(ctx context.Context, id string, all []TopicPartition, w partition.Waiter) ([]error, error) {
	for {
		e, open := c.entry(id, false)
		if !open {
			return nil, ErrNotAvailable
		}
		if e == nil && !c.Offsets.Has(id) {
			return nil, noGroup(ErrNotFound, id)
		}
		l, err := c.Offsets.laneOf(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case e == nil:
			return make([]error, len(all)), c.Offsets.drop(l, id, c.Offsets.having(id, all), nil, w)
		case e.hold():
			defer e.mu.Unlock()
			return c.offsetDeleteHeld(l, e, all, w)
		}
	}
}

func (c *Coordinator) offsetDeleteHeld(l *lane, e *entry, all []TopicPartition, w partition.Waiter) ([]error, error) {
	reads, known := e.subscription()
	if !known {
		return nil, fmt.Errorf("%w: %q has members, and what they read is not known here", ErrNotEmpty, e.id)
	}
	errs := make([]error, len(all))
	var free []TopicPartition
	for i, tp := range all {
		if reads(tp.Topic) {
			errs[i] = fmt.Errorf("%w: a member of %q reads %q", ErrSubscribed, e.id, tp.Topic)
		} else {
			free = append(free, tp)
		}
	}
	return errs, c.Offsets.drop(l, e.id, c.Offsets.having(e.id, free), nil, w)
}

// having keeps of partitions those that the group has offsets for.
func (o *Offsets) having(group string, all []TopicPartition) []TopicPartition {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		return nil
	}
	set := map[TopicPartition]bool{}
	for _, tp := range all {
		if _, ok := g.offsets[tp]; ok || g.undecided(tp) {
			set[tp] = true
		}
	}
	return sortedPartitions(set)
}

// subscription says which topics the members of a group read. known is false where members are no consumers: their metadata are their
// own. A consumer whose metadata cannot be read is taken to read everything, as in Kafka. Callers hold mu.
func (e *entry) subscription() (reads func(topic string) bool, known bool) {
	if e.c != nil {
		return e.c.Reads, true
	}
	g := e.g
	if len(g.members) == 0 {
		return func(string) bool { return false }, true
	}
	if g.protocolType != ConsumerType {
		return nil, false
	}
	topics := map[string]bool{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.protocol != "" && p.Name != g.protocol {
				continue
			}
			s, err := parseSubscription(p.Metadata)
			if err != nil {
				return func(string) bool { return true }, true
			}
			for _, t := range s.topics {
				topics[t] = true
			}
		}
	}
	return func(t string) bool { return topics[t] }, true
}
