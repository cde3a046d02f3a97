package consumer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// Members that speak the classic protocol can be in the group beside the others (KIP-848, online migration): their generation is the member
// epoch. JoinGroup tells what they have and subscribe to, SyncGroup gives them their assignment, a heartbeat that is answered
// ErrRebalanceInProgress has them join again. Nobody of them leads.

// What only such members can be told.
var (
	ErrIllegalGeneration    = errors.New("illegal generation")
	ErrRebalanceInProgress  = errors.New("rebalance in progress")
	ErrInconsistentProtocol = errors.New("inconsistent group protocol")
)

// ClassicJoin is a JoinGroup of a consumer.
type ClassicJoin struct {
	Member, Instance     string
	NewID                string // the id to give where Member is ""
	ClientID, ClientHost string
	Rack                 string
	Topics               []string
	Owned                []TopicPartition
	Session, Rebalance   time.Duration
	Protocols            []record.ClassicProtocol // most wanted first
}

// ClassicJoined is its outcome.
type ClassicJoined struct {
	Member   string
	Epoch    int32
	Protocol string
}

// joins says that a consumer with these assignors could be in the group: the members that speak the classic protocol have one in common with it.
func (g *Group) joins(id string, protocols []record.ClassicProtocol) bool {
	return slices.ContainsFunc(protocols, func(p record.ClassicProtocol) bool {
		for other, m := range g.members {
			if other != id && m.classic != nil && !supports(m.classic.Protocols, p.Name) {
				return false
			}
		}
		return true
	})
}

func supports(all []record.ClassicProtocol, name string) bool {
	return slices.ContainsFunc(all, func(p record.ClassicProtocol) bool { return p.Name == name })
}

// Join takes a JoinGroup. Records and errors are as for Heartbeat. Errors: ErrInconsistentProtocol, ErrMaxSize, ErrUnknownMember, ErrFencedInstance.
func (g *Group) Join(now time.Time, image *Image, j ClassicJoin) (ClassicJoined, []Record, error) {
	g.begin(now, image)
	if len(j.Protocols) == 0 || !g.joins(j.Member, j.Protocols) {
		return ClassicJoined{}, nil, fmt.Errorf("%w: no assignor that all members have", ErrInconsistentProtocol)
	}
	m, changed, err := g.enterClassic(j)
	if err != nil {
		return ClassicJoined{}, nil, err
	}
	was, fresh := m.value(), m.previous < 0
	m.rack, m.clientID, m.clientHost, m.rebalance, m.session = j.Rack, j.ClientID, j.ClientHost, j.Rebalance, j.Session
	m.topics, m.regex, m.assignor = slices.Compact(slices.Sorted(slices.Values(j.Topics))), "", ""
	m.classic = &record.ClassicInfo{SessionMs: int32(j.Session.Milliseconds()), Protocols: j.Protocols}
	if v := m.value(); fresh || !sameMember(was, v) {
		g.emit(record.Member, m.id, v)
		changed = changed || !slices.Equal(was.Topics, v.Topics) || was.Regex != v.Regex || was.Assignor != v.Assignor || was.Rack != v.Rack
	}
	g.refresh(changed)
	g.retarget()
	g.reconcile(m, j.Owned, true)
	m.deadline, m.classicBy = now.Add(m.session), now.Add(m.rebalance) // until it syncs
	return ClassicJoined{m.id, m.epoch, j.Protocols[0].Name}, g.records, nil
}

// enterClassic finds the member, or makes it, as enter does. A static member that comes back takes its place at once.
func (g *Group) enterClassic(j ClassicJoin) (m *member, changed bool, err error) {
	id := j.Member
	holder, held := g.static[j.Instance]
	held = held && j.Instance != ""
	switch {
	case held && id != "" && id != holder:
		return nil, false, fmt.Errorf("%w: %q is now %q, not %q", ErrFencedInstance, j.Instance, holder, id)
	case held && id == holder:
		return g.members[id], false, nil
	case held:
		return g.replace(g.members[holder], j.NewID), false, nil
	case id != "" && g.members[id] != nil && j.Instance != g.members[id].instance:
		return nil, false, fmt.Errorf("%w: %q has another instance id", ErrUnknownMember, id)
	case id != "" && g.members[id] != nil:
		return g.members[id], false, nil
	case id != "" && j.Instance != "":
		return nil, false, fmt.Errorf("%w: no static member %q", ErrUnknownMember, j.Instance)
	case len(g.members) >= g.maxSize:
		return nil, false, fmt.Errorf("%w: it has %d members", ErrMaxSize, len(g.members))
	}
	if id == "" {
		id = j.NewID
	}
	return g.add(id, j.Instance), true, nil
}

// knowStatic finds the member that has an instance id's place.
func (g *Group) knowStatic(instance string) (*member, error) {
	if id, held := g.static[instance]; held {
		return g.members[id], nil
	}
	return nil, fmt.Errorf("%w: no static member %q", ErrUnknownMember, instance)
}

// knowClassic finds a member that speaks the classic protocol.
func (g *Group) knowClassic(id, instance string) (*member, error) {
	if instance != "" {
		holder, err := g.knowStatic(instance)
		switch {
		case err != nil:
			return nil, err
		case holder.id != id:
			return nil, fmt.Errorf("%w: %q is now %q, not %q", ErrFencedInstance, instance, holder.id, id)
		}
	}
	m := g.members[id]
	if m == nil || m.classic == nil {
		return nil, fmt.Errorf("%w: %q, in the classic protocol", ErrUnknownMember, id)
	}
	return m, nil
}

// Sync gives a member its assignment, with its metadata for its first assignor, and that one's name. protocolType and protocol are "" where the client does not say.
// Errors: ErrUnknownMember, ErrFencedInstance, ErrIllegalGeneration, ErrInconsistentProtocol, ErrRebalanceInProgress.
func (g *Group) Sync(now time.Time, id, instance string, epoch int32, protocolType, protocol string) (assigned []TopicPartition, metadata []byte, name string, err error) {
	m, err := g.knowClassic(id, instance)
	if err != nil {
		return nil, nil, "", err
	}
	switch {
	case epoch != m.epoch:
		return nil, nil, "", fmt.Errorf("%w: %d, the member is at %d", ErrIllegalGeneration, epoch, m.epoch)
	case protocolType != "" && protocolType != "consumer" || protocol != "" && !supports(m.classic.Protocols, protocol):
		return nil, nil, "", fmt.Errorf("%w: %q %q", ErrInconsistentProtocol, protocolType, protocol)
	case g.epoch > m.epoch && m.state != unrevoked:
		m.joinWithin(now)
		return nil, nil, "", ErrRebalanceInProgress
	}
	m.classicBy, m.deadline = time.Time{}, now.Add(m.session)
	first := m.classic.Protocols[0]
	return m.assigned, first.Metadata, first.Name, nil
}

// Beat keeps a member in. Errors: ErrUnknownMember, ErrFencedInstance, ErrIllegalGeneration; ErrRebalanceInProgress: it must join again.
func (g *Group) Beat(now time.Time, image *Image, id, instance string, epoch int32) ([]Record, error) {
	m, err := g.knowClassic(id, instance)
	if err != nil {
		return nil, err
	}
	if epoch != m.epoch {
		return nil, fmt.Errorf("%w: %d, the member is at %d", ErrIllegalGeneration, epoch, m.epoch)
	}
	m.deadline = now.Add(m.session)
	g.begin(now, image)
	g.refresh(false) // members of the other protocol may be few, or late, to notice that topics have changed
	if m.epoch < g.epoch || m.state == unrevoked || m.state == unreleased && !g.waits(m) {
		m.joinWithin(now)
		return g.records, ErrRebalanceInProgress
	}
	return g.records, nil
}

// joinWithin gives a member its rebalance timeout to join again.
func (m *member) joinWithin(now time.Time) {
	if m.classicBy.IsZero() {
		m.classicBy = now.Add(m.rebalance)
	}
}

// waits says that nothing is free yet of what a member is still to get.
func (g *Group) waits(m *member) bool {
	for _, tp := range g.target[m.id] {
		if _, owned := g.owners[tp]; !owned {
			return false
		}
	}
	return true
}

// Leave takes a member of the classic protocol out. A static one may be named by its instance id alone, whatever it speaks: so an operator
// removes it. Errors: ErrUnknownMember, ErrFencedInstance.
func (g *Group) Leave(now time.Time, id, instance string) ([]Record, error) {
	know := g.knowClassic
	if id == "" && instance != "" {
		know = func(_, instance string) (*member, error) { return g.knowStatic(instance) }
	}
	m, err := know(id, instance)
	if err != nil {
		return nil, err
	}
	g.begin(now, nil)
	g.remove(m)
	return g.records, nil
}

// ClassicMember is a member as it goes from the one protocol to the other.
type ClassicMember struct {
	ClassicJoin
	Assigned []TopicPartition // what it has
}

// FromClassic makes the group of a stable classic one. The records are all of it. Of a partition that was assigned twice the first keeps it.
func FromClassic(l Limits, now time.Time, generation int32, members []ClassicMember) (*Group, []Record) {
	g := New(l)
	g.now = now
	g.epoch, g.targetEpoch = generation, generation
	for _, c := range members {
		m := g.add(c.Member, c.Instance)
		m.rack, m.clientID, m.clientHost, m.rebalance, m.session = c.Rack, c.ClientID, c.ClientHost, c.Rebalance, c.Session
		m.topics = slices.Compact(slices.Sorted(slices.Values(c.Topics)))
		m.classic = &record.ClassicInfo{SessionMs: int32(c.Session.Milliseconds()), Protocols: c.Protocols}
		m.deadline = now.Add(m.session)
		m.epoch, m.previous = generation, generation
		m.assigned = slices.DeleteFunc(flat(byTopic(c.Assigned)), func(tp TopicPartition) bool { _, owned := g.owners[tp]; return owned })
		g.own(m)
		g.target[m.id] = m.assigned
	}
	return g, g.all()
}

// all are the records that restore the group.
func (g *Group) all() []Record {
	g.records = nil
	for _, id := range g.order() {
		m := g.members[id]
		g.emit(record.Member, id, m.value())
		g.emit(record.TargetOf, id, targetValue(g.target[id]))
		g.emit(record.Current, id, m.current())
	}
	g.emit(record.Consumer, "", &record.ConsumerValue{Epoch: g.epoch, MetadataHash: g.hash})
	g.emit(record.Target, "", &record.TargetValue{Epoch: g.targetEpoch, MadeMs: g.now.UnixMilli()})
	return g.records
}

// Classics gives the members, in order, when all speak the classic protocol and there are any; else none.
func (g *Group) Classics() (out []ClassicMember) {
	for _, id := range g.order() {
		m := g.members[id]
		if m.classic == nil {
			return nil
		}
		out = append(out, ClassicMember{
			ClassicJoin: ClassicJoin{
				Member: id, Instance: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, Rack: m.rack, Topics: m.topics,
				Session: m.session, Rebalance: m.rebalance, Protocols: m.classic.Protocols,
			},
			Assigned: m.assigned,
		})
	}
	return out
}
