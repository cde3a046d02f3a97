package group

import "fmt"

func (g *Group) onSync(e Sync) {
	m, err := g.maySync(e)
	if err != nil {
		g.answer(e.Ticket, SyncAnswer{Err: err})
		return
	}
	m.synced = true
	g.touch(m)
	if g.state == Stable {
		g.answer(e.Ticket, g.assigned(m))
		return
	}
	g.failSync(m, ErrRebalanceInProgress) // an older try of the same client
	m.sync = e.Ticket
	if m.Member == g.leader {
		g.assign(e.Assignments)
	}
}

func (g *Group) maySync(e Sync) (*member, error) {
	if g.state == Dead {
		return nil, ErrNotAvailable
	}
	m, err := g.know(e.Who)
	if err != nil {
		return nil, err
	}
	if e.Generation != g.generation {
		return nil, fmt.Errorf("%w: %d, the group is at %d", ErrIllegalGeneration, e.Generation, g.generation)
	}
	if e.ProtocolType != "" && e.ProtocolType != g.protocolType || e.Protocol != "" && e.Protocol != g.protocol {
		return nil, fmt.Errorf("%w: %q %q, the group has %q %q", ErrInconsistentProtocol, e.ProtocolType, e.Protocol, g.protocolType, g.protocol)
	}
	if g.state == PreparingRebalance {
		return nil, ErrRebalanceInProgress
	}
	return m, nil
}

// assign takes the leader's assignments and tells those who wait. A member left out is assigned nothing.
func (g *Group) assign(all map[string][]byte) {
	g.enter(Stable)
	for _, id := range g.order {
		g.members[id].assignment = all[id]
	}
	g.save()
	for _, id := range g.order {
		m := g.members[id]
		if m.sync != 0 {
			g.touch(m)
			g.answer(m.sync, g.assigned(m))
			m.sync = 0
		}
	}
}

func (g *Group) assigned(m *member) SyncAnswer {
	return SyncAnswer{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}
