package group

import "sync"

// queue calls functions in the order in which they were put in, one at a time, each when it is done and all before it have been
// called. The functions must not block, and must take no lock that is held while something is put in.
type queue struct {
	mu      sync.Mutex
	turns   []*turn
	calling bool // a goroutine is at it; who comes in between leaves it the work
}

// turn is a place in a queue. It is a partition.Waiter.
type turn struct {
	q    *queue
	f    func(err error)
	done bool
	err  error
}

// add puts f at the end.
func (q *queue) add(f func(err error)) *turn {
	t := &turn{q: q, f: f}
	q.mu.Lock()
	q.turns = append(q.turns, t)
	q.mu.Unlock()
	return t
}

// Done has f called with err, now or when its turn has come. Only the first call counts.
func (t *turn) Done(err error) {
	q := t.q
	q.mu.Lock()
	if !t.done {
		t.done, t.err = true, err
	}
	if q.calling {
		q.mu.Unlock()
		return
	}
	q.calling = true
	for len(q.turns) > 0 && q.turns[0].done {
		next := q.turns[0]
		q.turns[0] = nil
		q.turns = q.turns[1:]
		q.mu.Unlock()
		next.f(next.err)
		q.mu.Lock()
	}
	if len(q.turns) == 0 {
		q.turns = nil
	}
	q.calling = false
	q.mu.Unlock()
}

// all ends every turn that is not done with err.
func (q *queue) all(err error) {
	q.mu.Lock()
	waiting := q.turns
	q.mu.Unlock()
	for _, t := range waiting {
		if t != nil {
			t.Done(err)
		}
	}
}
