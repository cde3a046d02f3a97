package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/streambus/streambus/broker/internal/group/consumer"
)

// Census is what one group is at this moment.
type Census struct {
	ID      string
	State   string // as Kafka names it
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
		if !e.gone {
			out = append(out, e.census())
		}
		e.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Census) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// census tells what the group is. Callers hold mu.
func (e *entry) census() Census {
	if e.c != nil {
		return Census{e.id, string(e.c.State()), e.c.Len()}
	}
	return Census{e.id, e.g.State().String(), len(e.g.members)}
}

// States lists the states that a group may be in: those of the classic protocol, then those that only consumer groups know.
func States() []string {
	return []string{Empty.String(), PreparingRebalance.String(), CompletingRebalance.String(), Stable.String(), string(consumer.Assigning), string(consumer.Reconciling)}
}

// Names lists the groups that have committed anything, sorted.
func (o *Offsets) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.groups))
}
