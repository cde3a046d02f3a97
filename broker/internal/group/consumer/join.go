package consumer

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// member is one member as the group knows it.
type member struct {
	id, instance         string
	rack                 string
	clientID, clientHost string
	topics               []string // named, sorted, each once
	regex                string
	assignor             string
	rebalance            time.Duration
	session              time.Duration

	epoch, previous int32
	state           memberState
	assigned        []TopicPartition // sorted
	revoking        []TopicPartition // sorted; still owned

	classic   *record.ClassicInfo // of a member that speaks the classic protocol, else nil
	classicBy time.Time           // when such a member must have joined again, or synced; zero when it need not

	deadline time.Time // of the session
	revokeBy time.Time // when it must have given back what it revokes; zero when it need not
}

// value is the member's record.
func (m *member) value() *record.MemberValue {
	return &record.MemberValue{
		Instance: m.instance, Rack: m.rack, ClientID: m.clientID, ClientHost: m.clientHost, Topics: m.topics, Regex: m.regex,
		RebalanceMs: int32(m.rebalance.Milliseconds()), Assignor: m.assignor, Classic: m.classic,
	}
}

// enter finds the member that a heartbeat is of, or makes it. changed says that the set of members has. An error comes before any change.
func (g *Group) enter(e Heartbeat) (m *member, changed bool, err error) {
	id := e.Member
	if id == "" {
		id = e.NewID
	}
	if e.Epoch == JoinEpoch && g.members[id] == nil && !g.takesPlace(e) && len(g.members) >= g.maxSize {
		return nil, false, fmt.Errorf("%w: it has %d members", ErrMaxSize, len(g.members))
	}
	if e.Instance != "" {
		return g.enterStatic(e, id)
	}
	if m = g.members[id]; m != nil {
		return m, false, m.mayGoOn(e)
	}
	if e.Epoch != JoinEpoch {
		return nil, false, fmt.Errorf("%w: %q", ErrUnknownMember, id)
	}
	return g.add(id, ""), true, nil
}

// takesPlace says that a static member comes back, so that the group does not grow.
func (g *Group) takesPlace(e Heartbeat) bool {
	_, ok := g.static[e.Instance]
	return e.Instance != "" && ok
}

func (g *Group) enterStatic(e Heartbeat, id string) (m *member, changed bool, err error) {
	holder, held := g.static[e.Instance]
	if e.Epoch != JoinEpoch {
		switch {
		case !held:
			return nil, false, fmt.Errorf("%w: no static member %q", ErrUnknownMember, e.Instance)
		case holder != id:
			return nil, false, fmt.Errorf("%w: %q is now %q, not %q", ErrFencedInstance, e.Instance, holder, id)
		}
		m = g.members[id]
		return m, false, m.mayGoOn(e)
	}
	switch {
	case !held && g.members[id] != nil:
		return nil, false, fmt.Errorf("%w: member %q is in under another instance id", ErrUnreleasedInstance, id)
	case !held:
		return g.add(id, e.Instance), true, nil
	case id != holder && g.members[id] != nil:
		return nil, false, fmt.Errorf("%w: member %q is in already, and not as %q", ErrUnreleasedInstance, id, e.Instance)
	case g.members[holder].epoch == LeaveStaticEpoch, g.members[holder].classic != nil:
		return g.replace(g.members[holder], id), false, nil
	case holder == id:
		m = g.members[id]
		return m, false, m.mayGoOn(e) // the answer to its join may have been lost
	}
	return nil, false, fmt.Errorf("%w: %q is held by %q", ErrUnreleasedInstance, e.Instance, holder)
}

// mayGoOn holds the epoch of a heartbeat against the member's. One behind is taken when the answer that told the new epoch may have been lost,
// which is so as long as the member claims nothing that it does not have. Errors: ErrFencedEpoch: the member gives up all and joins.
func (m *member) mayGoOn(e Heartbeat) error {
	if e.Epoch == m.epoch {
		return nil
	}
	if e.Epoch < m.epoch && e.Epoch == m.previous && subset(e.Owned, m.assigned) {
		return nil
	}
	return fmt.Errorf("%w: %d, the member is at %d", ErrFencedEpoch, e.Epoch, m.epoch)
}

func (g *Group) add(id, instance string) *member {
	m := &member{id: id, instance: instance, previous: -1}
	g.members[id] = m
	if instance != "" {
		g.static[instance] = id
	}
	return m
}

// replace lets a static member that left for a while come back under the id given, with all that it had.
func (g *Group) replace(old *member, id string) *member {
	m := *old
	g.disown(old)
	m.id, m.epoch, m.previous, m.state, m.revoking, m.revokeBy = id, JoinEpoch, JoinEpoch, stable, nil, time.Time{}
	delete(g.members, old.id)
	g.members[id] = &m
	g.static[m.instance] = id
	g.own(&m)
	if id != old.id {
		g.target[id] = g.target[old.id]
		delete(g.target, old.id)
		g.bury(old.id)
		g.emit(record.TargetOf, id, targetValue(g.target[id]))
	}
	g.emit(record.Member, id, m.value())
	return &m
}

func (g *Group) bury(id string) {
	g.emit(record.Current, id, nil)
	g.emit(record.TargetOf, id, nil)
	g.emit(record.Member, id, nil)
}

// update takes over what a heartbeat says of its member. It says whether what the target depends on has changed.
func (g *Group) update(m *member, e Heartbeat, compiled *regex) (changed bool) {
	was := m.value()
	m.classic, m.classicBy = nil, time.Time{} // whoever sends such heartbeats speaks the new protocol
	if e.Rack != nil {
		m.rack = *e.Rack
	}
	if e.RebalanceMs >= 0 {
		m.rebalance = time.Duration(e.RebalanceMs) * time.Millisecond
	}
	if e.TopicsTold {
		m.topics = slices.Compact(slices.Sorted(slices.Values(e.Topics)))
	}
	if e.Regex != nil {
		m.regex = *e.Regex
		if compiled != nil {
			g.regexes[m.regex], g.seen = compiled, 0
		}
	}
	if e.Assignor != nil {
		m.assignor = *e.Assignor
	}
	if e.ClientID != "" || e.ClientHost != "" {
		m.clientID, m.clientHost = e.ClientID, e.ClientHost
	}
	now := m.value()
	if sameMember(was, now) && m.previous >= 0 {
		return false
	}
	g.emit(record.Member, m.id, now)
	return !slices.Equal(was.Topics, now.Topics) || was.Regex != now.Regex || was.Assignor != now.Assignor || was.Rack != now.Rack
}

func sameMember(a, b *record.MemberValue) bool {
	return a.Instance == b.Instance && a.Rack == b.Rack && a.ClientID == b.ClientID && a.ClientHost == b.ClientHost &&
		slices.Equal(a.Topics, b.Topics) && a.Regex == b.Regex && a.RebalanceMs == b.RebalanceMs && a.Assignor == b.Assignor &&
		sameClassic(a.Classic, b.Classic)
}

func sameClassic(a, b *record.ClassicInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.SessionMs == b.SessionMs && slices.EqualFunc(a.Protocols, b.Protocols, func(x, y record.ClassicProtocol) bool {
		return x.Name == y.Name && bytes.Equal(x.Metadata, y.Metadata)
	})
}

// onLeave takes a member out, or lets a static one go for a while.
func (g *Group) onLeave(e Heartbeat) error {
	m := g.members[e.Member]
	if e.Instance != "" {
		holder, held := g.static[e.Instance]
		switch {
		case !held:
			return fmt.Errorf("%w: no static member %q", ErrUnknownMember, e.Instance)
		case holder != e.Member:
			return fmt.Errorf("%w: %q is now %q, not %q", ErrFencedInstance, e.Instance, holder, e.Member)
		}
	}
	if m == nil {
		return fmt.Errorf("%w: %q", ErrUnknownMember, e.Member)
	}
	if e.Epoch == LeaveEpoch {
		g.remove(m)
		return nil
	}
	if m.instance == "" {
		return fmt.Errorf("%w: %q is no static member", ErrInvalidRequest, e.Member)
	}
	m.revokeBy = time.Time{}
	g.settle(m, stable, LeaveStaticEpoch, m.assigned, nil) // what it was to revoke it has given back by going
	return nil
}

// remove takes a member out: what it had is free.
func (g *Group) remove(m *member) {
	g.disown(m)
	delete(g.members, m.id)
	delete(g.target, m.id)
	if m.instance != "" {
		delete(g.static, m.instance)
	}
	g.bury(m.id)
	g.dropRegexes()
	g.bump()
}
