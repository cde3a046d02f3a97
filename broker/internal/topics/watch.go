package topics

import "context"

// Kind is what happened to a topic.
type Kind uint8

// The kinds.
const (
	Created Kind = iota
	Deleted
	Grown   // it has more partitions
	Changed // its settings are others
)

// Event says what happened to a topic. Topic is as it is from then on; of a deleted one, as it was.
type Event struct {
	Kind  Kind
	Topic *Topic
}

type watch struct{ f func(Event) }

// Watch has f called for each topic that there is, as Created, and then for each change, in order, after it became visible, until
// cancel is called. f must be quick and must not call a method that changes topics, Watch or cancel. Errors: the context's.
func (c *Catalog) Watch(ctx context.Context, f func(Event)) (cancel func(), err error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.give()
	w := &watch{f}
	c.watching.Lock()
	defer c.watching.Unlock()
	c.watches[w] = struct{}{}
	for _, t := range c.All() {
		f(Event{Created, t})
	}
	return func() {
		c.watching.Lock()
		defer c.watching.Unlock()
		delete(c.watches, w)
	}, nil
}

// tell tells who watches. Callers have the turn, or are alone.
func (c *Catalog) tell(e Event) {
	c.watching.Lock()
	defer c.watching.Unlock()
	for w := range c.watches {
		w.f(e)
	}
}
