package group

import "fmt"

func (g *Group) onLeave(e Leave) {
	errs := make([]error, len(e.Members))
	gone := false
	for i, who := range e.Members {
		var left bool
		left, errs[i] = g.leave(who)
		gone = gone || left
	}
	g.answer(e.Ticket, LeaveAnswer{errs})
	switch {
	case gone:
		g.changed()
	case g.state == PreparingRebalance: // an id given out and never used may have held up the others
		g.maybeCompleteJoin()
	}
}

// leave takes one out. A static member may be named by its instance id alone (KIP-345, the admin's way).
func (g *Group) leave(who Identity) (gone bool, err error) {
	if g.state == Dead {
		return false, ErrNotAvailable
	}
	if who.Member == "" && who.Instance != "" {
		id, ok := g.static[who.Instance]
		if !ok {
			return false, fmt.Errorf("%w: no static member %q", ErrUnknownMember, who.Instance)
		}
		who.Member = id
	}
	if _, ok := g.pending[who.Member]; ok && who.Instance == "" {
		delete(g.pending, who.Member)
		return false, nil
	}
	m, err := g.know(who)
	if err != nil {
		return false, err
	}
	g.remove(m, ErrUnknownMember)
	return true, nil
}
