package txn

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
)

// Description is one transactional id as DescribeTransactions tells it.
type Description struct {
	Producer
	State     State
	TimeoutMs int32
	StartedMs int64            // NoTime before the first transaction
	Parts     []TopicPartition // sorted; not to be changed
}

// Describe tells of one id (key 65). Errors: ErrInvalidRequest, ErrNotFound, ErrNotAvailable.
func (c *Coordinator) Describe(id string) (Description, error) {
	e, open := c.find(id, nil)
	switch {
	case !open:
		return Description{}, ErrNotAvailable
	case id == "":
		return Description{}, fmt.Errorf("%w: the transactional id is empty", ErrInvalidRequest)
	}
	if m, ok := e.meta(); ok {
		return Description{m.Producer, m.State, m.TimeoutMs, m.StartedMs, m.Parts}, nil
	}
	return Description{}, fmt.Errorf("%w: %q", ErrNotFound, id)
}

// meta is what is durable of an entry; e may be nil.
func (e *entry) meta() (m Meta, ok bool) {
	if e == nil {
		return m, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.t.Meta()
}

// Filter says which ids List gives. The zero value of each field but LongerMs is all.
type Filter struct {
	States      []string
	ProducerIDs []batch.ProducerID
	LongerMs    int64  // those whose transaction began longer ago; negative is all (version 1)
	Pattern     string // a regular expression that matches the whole id (version 2)
}

// Listed is one transactional id as ListTransactions tells it.
type Listed struct {
	ID         string
	ProducerID batch.ProducerID
	State      State
}

// List gives the ids that f lets through, sorted, and the names in f.States that are no states (key 66). Errors: ErrPattern, ErrNotAvailable.
func (c *Coordinator) List(f Filter) (all []Listed, unknown []string, err error) {
	var states []State
	for _, name := range f.States {
		if s, ok := StateNamed(name); ok {
			states = append(states, s)
		} else {
			unknown = append(unknown, name)
		}
	}
	var pattern *regexp.Regexp
	if f.Pattern != "" {
		if _, err = regexp.Compile(f.Pattern); err == nil { // by itself first: it must not close the group
			pattern, err = regexp.Compile(`\A(?:` + f.Pattern + `)\z`)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %v", ErrPattern, err)
		}
	}
	c.mu.Lock()
	closed := c.closed
	entries := slices.Collect(maps.Values(c.txns))
	c.mu.Unlock()
	if closed {
		return nil, nil, ErrNotAvailable
	}
	nowMs := c.opts.Now().UnixMilli()
	for _, e := range entries {
		m, ok := e.meta()
		switch {
		case !ok:
		case len(f.States) > 0 && !slices.Contains(states, m.State):
		case len(f.ProducerIDs) > 0 && !slices.Contains(f.ProducerIDs, m.ID):
		case f.LongerMs >= 0 && (m.StartedMs == NoTime || nowMs-m.StartedMs <= f.LongerMs):
		case pattern != nil && !pattern.MatchString(e.id):
		default:
			all = append(all, Listed{e.id, m.ID, m.State})
		}
	}
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.ProducerID, b.ProducerID))
	})
	return all, unknown, nil
}
