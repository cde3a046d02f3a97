package group

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// Migration says which way a group with members may go between the protocols (group.consumer.migration.policy). An empty one always may.
type Migration uint8

// The policies, as Kafka names them.
const (
	Bidirectional Migration = iota
	OnlyUpgrade
	OnlyDowngrade
	Disabled
)

// upgraded makes the consumer group that a classic one becomes, with its records. Nothing is changed. Callers hold e.mu.
// Errors: ErrNotFound where it may not be; ErrNotAvailable in the middle of a rebalance, which soon ends.
func (c *Coordinator) upgraded(e *entry, now time.Time) (*consumer.Group, []consumer.Record, error) {
	g := e.g
	limits := c.limits.consumers()
	no := func(why string) error { return fmt.Errorf("%w: %q is no consumer group: %s", ErrNotFound, e.id, why) }
	switch {
	case g.state == Empty:
		fresh, records := consumer.FromClassic(limits, now, int32(g.generation), nil)
		return fresh, records, nil
	case c.limits.Migration != Bidirectional && c.limits.Migration != OnlyUpgrade:
		return nil, nil, no("it has members of the classic protocol, and the upgrade is disabled")
	case g.protocolType != ConsumerType:
		return nil, nil, no("its members are no consumers")
	case c.limits.ConsumerMaxSize > 0 && len(g.members) > c.limits.ConsumerMaxSize:
		return nil, nil, no("it has more members than a consumer group may")
	case g.state != Stable:
		return nil, nil, fmt.Errorf("%w: %q is rebalancing", ErrNotAvailable, e.id)
	}
	image := c.Image()
	members := make([]consumer.ClassicMember, len(g.order))
	for i, id := range g.order {
		m := g.members[id]
		j, err := joinOf(image, m.Identity, g.ordered(m))
		assigned, err2 := parseAssignment(m.assignment)
		if err != nil || err2 != nil {
			return nil, nil, no("what its members say of themselves cannot be read")
		}
		j.ClientID, j.ClientHost, j.Session, j.Rebalance = m.clientID, m.clientHost, m.sessionTimeout, m.rebalanceTimeout
		members[i] = consumer.ClassicMember{ClassicJoin: j, Assigned: byID(image, assigned)}
	}
	made, records := consumer.FromClassic(limits, now, int32(g.generation), members)
	return made, records, nil
}

// ordered is a member's protocols, the group's first.
func (g *Group) ordered(m *member) []Protocol {
	out := slices.Clone(m.protocols)
	slices.SortStableFunc(out, func(a, b Protocol) int {
		switch {
		case a.Name == g.protocol && b.Name != g.protocol:
			return -1
		case b.Name == g.protocol && a.Name != g.protocol:
			return 1
		}
		return 0
	})
	return out
}

// joinOf reads what a consumer says in the metadata for its first protocol. Errors: errEmbedded.
func joinOf(image *consumer.Image, who Identity, protocols []Protocol) (consumer.ClassicJoin, error) {
	j := consumer.ClassicJoin{Member: who.Member, Instance: who.Instance}
	if len(protocols) == 0 {
		return j, fmt.Errorf("%w: no protocols", errEmbedded)
	}
	s, err := parseSubscription(protocols[0].Metadata)
	if err != nil {
		return j, err
	}
	j.Rack, j.Topics, j.Owned = s.rack, s.topics, byID(image, s.owned)
	for _, p := range protocols {
		j.Protocols = append(j.Protocols, record.ClassicProtocol(p))
	}
	return j, nil
}

// byID gives the ids of the topics that exist.
func byID(image *consumer.Image, all []TopicPartition) (out []consumer.TopicPartition) {
	for _, tp := range all {
		if t, ok := image.Topic(tp.Topic); ok && tp.Partition >= 0 && tp.Partition < t.Partitions {
			out = append(out, consumer.TopicPartition{Topic: t.ID, Partition: tp.Partition})
		}
	}
	return out
}

// embed writes an assignment as the consumer protocol has it (embedded.go), in the version of a member's metadata.
func embed(image *consumer.Image, all []consumer.TopicPartition, metadata []byte) []byte {
	version := uint16(0)
	if len(metadata) >= 2 {
		version = min(binary.BigEndian.Uint16(metadata), 3)
	}
	topics := map[string][]int32{}
	for _, tp := range all {
		if name, ok := image.Name(tp.Topic); ok {
			topics[name] = append(topics[name], tp.Partition)
		}
	}
	b := binary.BigEndian.AppendUint16(nil, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(topics[name])))
		for _, p := range topics[name] {
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		}
	}
	return binary.BigEndian.AppendUint32(b, 0xffffffff) // no user data
}

// downgrade makes a consumer group classic again when the last member of the new protocol has gone and others are left. They go on in a
// rebalance. Callers hold e.mu.
func (c *Coordinator) downgrade(e *entry, now time.Time) []pair {
	members := e.c.Classics()
	if len(members) == 0 || c.limits.Migration == OnlyUpgrade || c.limits.Migration == Disabled || len(members) > c.limits.MaxSize {
		return nil
	}
	image := c.Image()
	v := &record.ClassicValue{ProtocolType: ConsumerType, Generation: e.c.Epoch(), Leader: members[0].Member, StateMs: c.limits.wall(now).UnixMilli()}
	v.Protocol = common(members)
	for _, m := range members {
		i := slices.IndexFunc(m.Protocols, func(p record.ClassicProtocol) bool { return p.Name == v.Protocol })
		if i < 0 {
			return nil // the core lets nobody in who has no protocol in common with the others
		}
		v.Members = append(v.Members, record.ClassicMember{
			ID: m.Member, Instance: m.Instance, ClientID: m.ClientID, ClientHost: m.ClientHost, RebalanceMs: millis(m.Rebalance),
			SessionMs: millis(m.Session), Subscription: m.Protocols[i].Metadata, Assignment: embed(image, m.Assigned, m.Protocols[i].Metadata),
		})
	}
	pairs := append(e.pairs(e.c.Tombstones()), pair{e.key(record.Classic), v})
	e.c, e.g = nil, Restore(c.limits, now, v)
	for _, m := range members {
		e.g.members[m.Member].protocols = nil
		for _, p := range m.Protocols {
			e.g.members[m.Member].protocols = append(e.g.members[m.Member].protocols, Protocol(p))
		}
	}
	e.g.prepare() // nobody waits for anything, so there are no effects
	return pairs
}

// common is the first protocol of the first member that all have.
func common(members []consumer.ClassicMember) string {
	for _, p := range members[0].Protocols {
		if !slices.ContainsFunc(members, func(m consumer.ClassicMember) bool {
			return !slices.ContainsFunc(m.Protocols, func(q record.ClassicProtocol) bool { return q.Name == p.Name })
		}) {
			return p.Name
		}
	}
	return ""
}

// stepConsumer does an event of the classic protocol on a consumer group. Callers hold e.mu.
func (c *Coordinator) stepConsumer(e *entry, ev Event) (fx []Effect, pairs []pair) {
	now := time.Now()
	switch ev := ev.(type) {
	case Join:
		return c.joinConsumer(e, ev, now)
	case Sync:
		return []Effect{{ev.Ticket, c.syncConsumer(e, ev, now)}}, nil
	case Heartbeat:
		records, err := e.c.Beat(now, c.Image(), ev.Who.Member, ev.Who.Instance, int32(ev.Generation))
		return []Effect{{ev.Ticket, ErrAnswer{err}}}, e.pairs(records)
	case Leave:
		errs := make([]error, len(ev.Members))
		for i, who := range ev.Members {
			var records []consumer.Record
			records, errs[i] = e.c.Leave(now, who.Member, who.Instance)
			pairs = append(pairs, e.pairs(records)...)
		}
		return []Effect{{ev.Ticket, LeaveAnswer{errs}}}, append(pairs, c.downgrade(e, now)...)
	case Tick:
		pairs = e.pairs(e.c.Tick(now))
		if len(pairs) > 0 {
			pairs = append(pairs, c.downgrade(e, now)...)
		}
		return nil, pairs
	}
	panic(fmt.Sprintf("group: event %T of a consumer group", ev))
}

// joinConsumer lets a consumer of the classic protocol into a consumer group; an empty one becomes a classic group.
func (c *Coordinator) joinConsumer(e *entry, j Join, now time.Time) (fx []Effect, pairs []pair) {
	if e.c.Len() == 0 {
		pairs = e.tombstones()
		g := New(c.limits)
		g.generation = Generation(e.c.Epoch()) // G2
		e.c, e.g = nil, g
		return g.Step(now, j), pairs
	}
	a := JoinAnswer{Generation: NoGeneration, Member: j.Who.Member}
	who, err := joinOf(c.Image(), j.Who, j.Protocols)
	switch {
	case j.SessionTimeout < c.limits.MinSession || j.SessionTimeout > c.limits.MaxSession:
		a.Err = fmt.Errorf("%w: %v is not within %v and %v", ErrInvalidSession, j.SessionTimeout, c.limits.MinSession, c.limits.MaxSession)
	case j.ProtocolType != ConsumerType || err != nil:
		a.Err = fmt.Errorf("%w: type %q; the group is one of consumers", ErrInconsistentProtocol, j.ProtocolType)
	case j.Who == Identity{} && j.RequireKnownID:
		a.Err, a.Member = ErrMemberIDRequired, j.NewID
	}
	if a.Err != nil {
		return []Effect{{j.Ticket, a}}, nil
	}
	who.NewID, who.ClientID, who.ClientHost, who.Session, who.Rebalance = j.NewID, j.ClientID, j.ClientHost, j.SessionTimeout, j.RebalanceTimeout
	joined, records, err := e.c.Join(now, c.Image(), who)
	if a.Err = err; err == nil {
		a = JoinAnswer{Generation: Generation(joined.Epoch), ProtocolType: ConsumerType, Protocol: joined.Protocol, Member: joined.Member}
	}
	return []Effect{{j.Ticket, a}}, e.pairs(records)
}

func (c *Coordinator) syncConsumer(e *entry, s Sync, now time.Time) SyncAnswer {
	assigned, metadata, name, err := e.c.Sync(now, s.Who.Member, s.Who.Instance, int32(s.Generation), s.ProtocolType, s.Protocol)
	if err != nil {
		return SyncAnswer{Err: err}
	}
	return SyncAnswer{ProtocolType: ConsumerType, Protocol: name, Assignment: embed(c.Image(), assigned, metadata)}
}
