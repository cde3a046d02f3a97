package group

import (
	"maps"
	"slices"
	"strings"
)

// Census is what one group is at this moment.
type Census struct {
	ID      string
	State   State
	Members int
}

// Census lists the groups that are known for having or awaiting members, by id. It takes one group's lock at a time.
func (c *Coordinator) Census() []Census {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.groups))
	c.mu.Unlock()
	out := make([]Census, 0, len(all))
	for _, e := range all {
		e.mu.Lock()
		one := Census{e.id, e.g.State(), len(e.g.members)}
		e.mu.Unlock()
		if one.State != Dead {
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b Census) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Names lists the groups that have committed anything, sorted.
func (o *Offsets) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.groups))
}
