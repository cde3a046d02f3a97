package group

import (
	"fmt"
	"slices"
	"time"
)

func (g *Group) refuse(e Join, id string, err error) {
	g.answer(e.Ticket, JoinAnswer{Err: err, Generation: NoGeneration, Member: id})
}

func (g *Group) onJoin(e Join) {
	switch {
	case g.state == Dead:
		g.refuse(e, e.Who.Member, ErrNotAvailable)
	case e.SessionTimeout < g.limits.MinSession || e.SessionTimeout > g.limits.MaxSession:
		g.refuse(e, e.Who.Member, fmt.Errorf("%w: %v is not within %v and %v", ErrInvalidSession, e.SessionTimeout, g.limits.MinSession, g.limits.MaxSession))
	case !g.hasRoom(e.Who):
		delete(g.pending, e.Who.Member)
		g.refuse(e, "", fmt.Errorf("%w: it has %d members", ErrMaxSize, len(g.members)))
	case !g.fits(e):
		g.refuse(e, e.Who.Member, fmt.Errorf("%w: type %q", ErrInconsistentProtocol, e.ProtocolType))
	case e.Who.Member == "":
		g.joinNew(e)
	default:
		g.joinKnown(e)
	}
}

// hasRoom is Kafka's acceptJoiningMember: during a join phase only those count that have joined in it.
// A static member that comes back takes its own place.
func (g *Group) hasRoom(who Identity) bool {
	id := who.Member
	if _, known := g.static[who.Instance]; known && id == "" {
		return true
	}
	switch g.state {
	case Empty:
		return true
	case PreparingRebalance:
		if m := g.members[id]; m != nil && m.join != 0 {
			return true
		}
		return g.awaitingJoin() < g.limits.MaxSize
	}
	return g.members[id] != nil || len(g.members) < g.limits.MaxSize
}

// fits says that the group can go on with this member: same type, and a protocol that all members have.
func (g *Group) fits(e Join) bool {
	if e.ProtocolType == "" || len(e.Protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if e.ProtocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(e.Protocols, func(p Protocol) bool { return g.allSupport(p.Name, e.Who.Member) })
}

// allSupport asks all members but the one named.
func (g *Group) allSupport(protocol, but string) bool {
	for id, m := range g.members {
		if id != but && !m.supports(protocol) {
			return false
		}
	}
	return true
}

func (g *Group) joinNew(e Join) {
	if e.Who.Instance != "" {
		if old, ok := g.static[e.Who.Instance]; ok {
			g.replaceStatic(e, g.members[old])
			return
		}
		g.addMember(e, e.NewID)
		return
	}
	if e.RequireKnownID {
		g.pending[e.NewID] = g.now.Add(e.SessionTimeout)
		g.refuse(e, e.NewID, ErrMemberIDRequired)
		return
	}
	g.addMember(e, e.NewID)
}

func (g *Group) joinKnown(e Join) {
	if _, ok := g.pending[e.Who.Member]; ok && e.Who.Instance == "" {
		g.addMember(e, e.Who.Member)
		return
	}
	m, err := g.know(e.Who)
	if err != nil {
		g.refuse(e, e.Who.Member, err)
		return
	}
	same := m.matches(e.Protocols)
	switch {
	case g.state == CompletingRebalance && same, // the answer was lost: give it again
		g.state == Stable && same && m.Member != g.leader:
		g.touch(m)
		m.fresh = false
		g.answer(e.Ticket, g.joined(m))
	default:
		g.rejoin(m, e)
		g.joining()
	}
}

func (g *Group) addMember(e Join, id string) {
	delete(g.pending, id)
	if len(g.members) == 0 {
		g.protocolType = e.ProtocolType
	}
	m := &member{Identity: Identity{Member: id, Instance: e.Who.Instance}, fresh: true}
	g.members[id] = m
	g.order = append(g.order, id)
	if m.Instance != "" {
		g.static[m.Instance] = id
	}
	if g.leader == "" {
		g.leader = id
	}
	if g.state == PreparingRebalance && g.initial {
		g.newcomer = true
	}
	g.rejoin(m, e)
	g.joining()
}

// rejoin parks a join of m and takes over what it says. A join already parked is an older try of the same client: it is
// answered so that its connection can go on.
func (g *Group) rejoin(m *member, e Join) {
	g.failJoin(m, ErrRebalanceInProgress)
	m.join = e.Ticket
	m.protocols = e.Protocols
	m.clientID, m.clientHost = e.ClientID, e.ClientHost
	m.sessionTimeout, m.rebalanceTimeout = e.SessionTimeout, e.RebalanceTimeout
	g.touch(m)
	if m.fresh {
		m.deadline = g.now.Add(newMemberTimeout)
	}
}

// joining moves the group on after a join was parked.
func (g *Group) joining() {
	if g.state == PreparingRebalance {
		g.maybeCompleteJoin()
		return
	}
	g.prepare()
}

// replaceStatic lets a restarted static member take over under a new id (KIP-345). In a stable group nothing else changes
// as long as the protocol that the group would choose is the same.
func (g *Group) replaceStatic(e Join, old *member) {
	wasLeader := g.leader
	g.failJoin(old, ErrFencedInstance)
	g.failSync(old, ErrFencedInstance)
	delete(g.members, old.Member)
	g.order[slices.Index(g.order, old.Member)] = e.NewID
	if g.leader == old.Member {
		g.leader = e.NewID
	}
	m := old
	m.Member = e.NewID
	g.members[m.Member] = m
	g.static[m.Instance] = m.Member
	g.rejoin(m, e)
	if g.state != Stable || g.choose() != g.protocol {
		g.joining()
		return
	}
	g.save() // the member's new id
	a := g.joined(m)
	if e.CanSkip {
		a.Skip = a.Leader == m.Member
	} else { // before v9 the old leader's id is told, so that the client does not assign
		a.Leader, a.Members = wasLeader, nil
	}
	g.answer(m.join, a)
	m.join = 0
}

// prepare starts the join phase.
func (g *Group) prepare() {
	first := g.state == Empty
	for _, m := range g.members {
		g.failSync(m, ErrRebalanceInProgress)
		m.assignment, m.synced = nil, false
	}
	g.enter(PreparingRebalance)
	g.initial = first
	if first {
		whole := g.rebalanceTimeout()
		d := min(g.limits.InitialDelay, whole)
		g.initialLeft, g.newcomer = whole-d, false
		g.phaseEnd = g.now.Add(d)
		if d == 0 {
			g.completeJoin()
		}
		return
	}
	g.phaseEnd = g.now.Add(g.rebalanceTimeout())
	g.maybeCompleteJoin()
}

// rebalanceTimeout is the longest that any member asked for.
func (g *Group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

func (g *Group) awaitingJoin() int {
	n := 0
	for _, m := range g.members {
		if m.join != 0 {
			n++
		}
	}
	return n
}

// maybeCompleteJoin ends the join phase when nobody is missing; the first one always lasts its time.
func (g *Group) maybeCompleteJoin() {
	if !g.initial && len(g.pending) == 0 && g.awaitingJoin() == len(g.members) {
		g.completeJoin()
	}
}

// completeJoin forms the next generation of those who joined. Static members that have not are kept until their session ends.
func (g *Group) completeJoin() {
	for _, id := range slices.Clone(g.order) {
		if m := g.members[id]; m.join == 0 && m.Instance == "" {
			g.remove(m, ErrUnknownMember)
		}
	}
	if len(g.members) == 0 {
		g.become(Empty)
		g.protocol, g.leader, g.phaseEnd = "", "", time.Time{}
		g.save()
		return
	}
	if !g.electLeader() { // only static members, none of them here yet: give them as long again
		g.phaseEnd = g.now.Add(max(g.rebalanceTimeout(), time.Millisecond))
		return
	}
	g.become(CompletingRebalance)
	g.protocol = g.choose()
	for _, id := range g.order {
		m := g.members[id]
		g.answer(m.join, g.joined(m))
		m.join, m.fresh, m.synced, m.assignment = 0, false, false, nil
		g.touch(m)
	}
	g.phaseEnd = g.now.Add(max(g.rebalanceTimeout(), time.Millisecond))
}

func (g *Group) become(s State) {
	g.enter(s)
	g.generation++
	g.initial = false
}

// electLeader keeps the leader if it has joined, else takes the first that has.
func (g *Group) electLeader() bool {
	if m := g.members[g.leader]; m != nil && m.join != 0 {
		return true
	}
	for _, id := range g.order {
		if g.members[id].join != 0 {
			g.leader = id
			return true
		}
	}
	return false
}

// choose lets every member vote for the first of its protocols that all have. A tie goes to the leader's liking.
func (g *Group) choose() string {
	votes := map[string]int{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.allSupport(p.Name, "") {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, p := range g.members[g.leader].protocols {
		if n := votes[p.Name]; n > 0 && (best == "" || n > votes[best]) {
			best = p.Name
		}
	}
	return best
}

// joined is the answer to a member of the generation formed.
func (g *Group) joined(m *member) JoinAnswer {
	a := JoinAnswer{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, Member: m.Member}
	if m.Member == g.leader {
		for _, id := range g.order {
			other := g.members[id]
			a.Members = append(a.Members, MemberInfo{other.Identity, other.metadata(g.protocol)})
		}
	}
	return a
}
