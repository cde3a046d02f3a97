package group

import (
	"math"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// save has the group written down as it is now. It is called when a generation has got its assignment, when a static member of it is
// given a new id, and when nobody is left: what lies between is decided anew after a restart, as in Kafka.
func (g *Group) save() {
	g.effects = append(g.effects, Effect{0, Save{g.value()}})
}

// value is the group's record. Only a generation that has its assignment has members in it.
func (g *Group) value() *record.ClassicValue {
	v := &record.ClassicValue{
		ProtocolType: g.protocolType, Generation: int32(g.generation), Protocol: g.protocol, Leader: g.leader, StateMs: g.since.UnixMilli(),
	}
	if g.state != Stable {
		v.Protocol, v.Leader = "", ""
		return v
	}
	for _, id := range g.order {
		m := g.members[id]
		v.Members = append(v.Members, record.ClassicMember{
			ID: m.Member, Instance: m.Instance, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceMs: millis(m.rebalanceTimeout), SessionMs: millis(m.sessionTimeout),
			Subscription: m.metadata(g.protocol), Assignment: m.assignment,
		})
	}
	return v
}

func millis(d time.Duration) int32 { return int32(min(d.Milliseconds(), math.MaxInt32)) }

// Restore gives the group that a record tells of. Its members have as long as their sessions to be heard of.
func Restore(l Limits, now time.Time, v *record.ClassicValue) *Group {
	g := New(l)
	g.generation, g.protocolType, g.now = Generation(v.Generation), v.ProtocolType, now
	g.since = time.UnixMilli(v.StateMs)
	if v.StateMs < 0 {
		g.since = l.wall(now) // not known (a record of an old Kafka): offsets had better live too long
	}
	for _, r := range v.Members {
		if g.members[r.ID] != nil {
			continue
		}
		m := &member{
			Identity: Identity{r.ID, r.Instance}, clientID: r.ClientID, clientHost: r.ClientHost,
			protocols:        []Protocol{{v.Protocol, r.Subscription}},
			rebalanceTimeout: time.Duration(r.RebalanceMs) * time.Millisecond, sessionTimeout: time.Duration(r.SessionMs) * time.Millisecond,
			assignment: r.Assignment, synced: true,
		}
		g.members[r.ID] = m
		g.order = append(g.order, r.ID)
		if m.Instance != "" {
			g.static[m.Instance] = r.ID
		}
		g.touch(m)
	}
	if len(g.order) == 0 {
		return g
	}
	g.state, g.protocol, g.leader = Stable, v.Protocol, v.Leader
	if !slices.Contains(g.order, g.leader) {
		g.leader = g.order[0]
	}
	return g
}
