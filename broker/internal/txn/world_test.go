package txn

import (
	"errors"
	"slices"
	"time"
)

func (w *world) count() {
	if w.effects++; w.effects == w.crashAt {
		w.crash()
	}
}

// crash loses what is in memory. What was under way is in the logs or is not.
func (w *world) crash() {
	w.crashed = true
}

func (w *world) restart() {
	w.crashed, w.crashAt = false, 0
	if w.writing != nil && w.r.IntN(2) == 0 {
		w.persist(*w.writing)
	}
	w.writing, w.asked = nil, false
	for _, m := range w.marking {
		if w.r.IntN(2) == 0 {
			w.marked(m)
		}
	}
	w.marking, w.open, w.inside = nil, map[Ticket]Event{}, nil
	for _, c := range w.clients {
		c.ticket = 0
	}
	if w.durable == nil {
		w.core = New(w.limits)
		return
	}
	value := appendValue(nil, w.durable, 2)
	m, err := decodeValue(value)
	if err != nil {
		w.fatalf("what was written cannot be read: %v", err)
	}
	w.core = Load(w.limits, w.now, m)
	w.step(Resume{})
}

// ask lets a client ask.
func (w *world) ask(c *client, make func(Ticket) Event) {
	w.tickets++
	e := make(w.tickets)
	w.open[w.tickets], c.ticket = e, w.tickets
	w.step(e)
}

func (w *world) someParts() (ps []TopicPartition) {
	for i := range int32(3) {
		if w.r.IntN(2) == 0 {
			ps = append(ps, TopicPartition{"t", i})
		}
	}
	return ps
}

// act lets something happen.
func (w *world) act() {
	switch n := w.r.IntN(20); {
	case n < 8:
		w.request(w.clients[w.r.IntN(len(w.clients))])
	case n < 12 && w.writing != nil:
		w.disk(w.r.IntN(8) == 0)
	case n < 15 && len(w.marking) > 0:
		w.deliver(w.r.IntN(len(w.marking)), w.r.IntN(5) == 0)
	case n < 17 && len(w.inside) > 0:
		w.leave(w.r.IntN(len(w.inside)))
	case n < 18 && w.asked:
		w.allocate(w.r.IntN(4) == 0)
	case n < 19:
		w.pass(time.Duration(w.r.IntN(3000)) * time.Millisecond)
	case w.r.IntN(20) == 0:
		w.pass(2 * time.Hour)
	}
}

func (w *world) request(c *client) {
	if c.ticket != 0 {
		return
	}
	who := c.who
	switch w.r.IntN(30) {
	case 0, 1: // its last answer was lost
		who = c.old
	case 2: // it has lost its mind
		who.Epoch += 1000
	}
	switch n := w.r.IntN(8); {
	case n == 0 || who == None:
		expected := &who
		if w.r.IntN(2) == 0 || who == None {
			expected = nil
		}
		w.ask(c, func(t Ticket) Event { return Init{t, int32(1000 + w.r.IntN(20_000)), expected} })
	case n < 3:
		w.ask(c, func(t Ticket) Event { return Add{t, who, w.someParts(), c.version} })
	case n < 6:
		w.ask(c, func(t Ticket) Event {
			return Admit{Ticket: t, Who: who, Parts: w.someParts(), Implicit: c.version == 2}
		})
	default:
		w.ask(c, func(t Ticket) Event { return End{t, who, w.r.IntN(5) > 0, c.version} })
	}
}

func (w *world) disk(refuse bool) {
	r := *w.writing
	w.writing = nil
	if refuse {
		w.step(Written{Err: errors.New("disk is full")})
		return
	}
	w.persist(r)
	w.step(Written{})
}

// deliver brings the answer of a marker. One that failed may be in the log nevertheless.
func (w *world) deliver(i int, fail bool) {
	m := w.marking[i]
	w.marking = slices.Delete(w.marking, i, i+1)
	var err error
	if fail {
		err = errors.New("partition is offline")
	}
	if !fail || w.r.IntN(2) == 0 {
		w.marked(m)
	}
	w.step(Marked{m.Part, err})
}

// leave appends the records of an admission, and releases it.
func (w *world) leave(i int) {
	a := w.inside[i]
	w.inside = slices.Delete(w.inside, i, i+1)
	for _, p := range a.parts {
		w.logs[p.Partition] = append(w.logs[p.Partition], entryOf{who: a.who, serial: a.serial})
	}
	w.step(Release{a.parts})
}

func (w *world) allocate(fail bool) {
	w.asked = false
	if fail {
		w.step(Allocated{Err: errors.New("no ids")})
		return
	}
	w.nextID++
	w.step(Allocated{ID: w.nextID})
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	if at, ok := w.core.Deadline(); ok && !at.After(w.now) {
		w.step(Tick{})
		if at, ok := w.core.Deadline(); ok && !at.After(w.now) && w.writing == nil && len(w.marking) == 0 && !w.crashed {
			w.fatalf("after a Tick the deadline %v is still over", at)
		}
	}
}

// finish answers all that is under way until nothing is, and lets what is ongoing run out of time.
func (w *world) finish() {
	if w.crashed {
		w.restart()
	}
	w.crashAt = 0
	for range 1000 {
		switch {
		case w.asked:
			w.allocate(false)
		case w.writing != nil:
			w.disk(false)
		case len(w.inside) > 0:
			w.leave(0)
		case len(w.marking) > 0:
			w.deliver(0, false)
		default:
			if w.durable == nil || w.durable.State != Ongoing && !w.durable.State.ends() {
				w.checkEnd()
				return
			}
			if _, ok := w.core.Deadline(); !ok {
				w.fatalf("state %v, nothing is under way, and nothing is due", w.durable.State)
			}
			w.pass(30 * time.Second)
		}
	}
	w.fatalf("it does not come to an end: %+v", w.durable)
}
