package group

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
)

// Coordinator is the groups that this broker coordinates: all of them. Its methods may be called by any goroutine.
type Coordinator struct {
	Offsets *Offsets

	limits  Limits
	clock   *clock
	tickets atomic.Uint64

	mu     sync.Mutex
	groups map[string]*entry
	closed bool
}

// entry is one group with its lock and those who wait for it.
type entry struct {
	id string

	mu     sync.Mutex
	g      *Group
	parked map[Ticket]func(answer any) // called outside mu; must not block. nil asks for the answer of a broker going down
	closed bool                        // nobody may be parked any more
	armed  time.Time                   // the alarm that counts, zero when none; others of this entry are stale
}

// Start starts a Coordinator over the offsets loaded. The caller must call Close.
func Start(l Limits, o *Offsets) *Coordinator {
	c := &Coordinator{Offsets: o, limits: l, groups: map[string]*entry{}}
	c.clock = startClock(c.tick)
	return c
}

// Close answers all who wait with ErrNotAvailable, and all who come.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.groups
	c.groups = map[string]*entry{}
	c.mu.Unlock()
	c.clock.close()
	for _, e := range all {
		e.mu.Lock()
		parked := e.parked
		e.parked, e.closed = nil, true
		e.mu.Unlock()
		for _, f := range parked {
			f(nil)
		}
	}
}

// Reply is an answer that may be yet to come.
type Reply[T any] struct {
	c chan T
}

func newReply[T any]() *Reply[T] { return &Reply[T]{make(chan T, 1)} }

// Ready says that Wait would not wait.
func (r *Reply[T]) Ready() bool { return len(r.c) > 0 }

// Wait waits for the answer, once, or until ctx ends.
func (r *Reply[T]) Wait(ctx context.Context) (t T, err error) {
	select {
	case t = <-r.c:
		return t, nil
	case <-ctx.Done():
		return t, fmt.Errorf("wait for the group: %w", context.Cause(ctx))
	}
}

func (r *Reply[T]) give(t T) { r.c <- t } // there is room: every ticket is answered once (G4)

// ask puts one event to a group and gives the Reply for its ticket. closing is the answer of a broker that goes down, and
// missing the one when there is no such group; nil makes the group.
func ask[T any](c *Coordinator, id string, closing T, missing *T, event func(Ticket) Event) *Reply[T] {
	r := newReply[T]()
	ticket := Ticket(c.tickets.Add(1))
	for {
		e, open := c.entry(id, missing == nil)
		switch {
		case !open:
			r.give(closing)
			return r
		case e == nil:
			r.give(*missing)
			return r
		}
		answer := func(a any) {
			if a == nil {
				r.give(closing)
				return
			}
			r.give(a.(T))
		}
		if c.step(e, event(ticket), ticket, answer) {
			return r
		} // else the group died after it was looked up: look again
	}
}

func (c *Coordinator) entry(id string, create bool) (e *entry, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.groups[id]
	if e == nil && create && !c.closed {
		e = &entry{id: id, g: New(c.limits), parked: map[Ticket]func(any){}}
		c.groups[id] = e
	}
	return e, !c.closed
}

// step runs the core on one event, answers whom it says, and arms the clock. It is false when the group is dead.
func (c *Coordinator) step(e *entry, ev Event, ticket Ticket, answer func(any)) bool {
	e.mu.Lock()
	if e.g.State() == Dead {
		e.mu.Unlock()
		return false
	}
	if e.closed {
		e.mu.Unlock()
		if ticket != 0 {
			answer(nil)
		}
		return true
	}
	if ticket != 0 {
		e.parked[ticket] = answer
	}
	fx := e.g.Step(time.Now(), ev)
	give := make([]func(any), len(fx))
	for i, f := range fx {
		give[i] = e.parked[f.Ticket]
		delete(e.parked, f.Ticket)
	}
	at, arm := e.arm()
	idle := e.g.State() == Empty && !arm && e.armed.IsZero()
	e.mu.Unlock()
	for i, f := range fx {
		give[i](f.Answer)
	}
	if arm {
		c.clock.set(at, e)
	}
	if idle {
		c.forget(e)
	}
	return true
}

// arm says whether an alarm must be set: the deadline is sooner than what is set already. Callers hold mu.
func (e *entry) arm() (at time.Time, set bool) {
	at, ok := e.g.Deadline()
	if !ok || !e.armed.IsZero() && !at.Before(e.armed) {
		return at, false
	}
	e.armed = at
	return at, true
}

func (c *Coordinator) tick(a alarm) {
	e := a.e
	e.mu.Lock()
	stale := !e.armed.Equal(a.at)
	if !stale {
		e.armed = time.Time{}
	}
	e.mu.Unlock()
	if !stale {
		c.step(e, Tick{}, 0, nil)
	}
}

// forget lets an empty group go that has committed nothing, so that names made up by clients do not pile up.
func (c *Coordinator) forget(e *entry) {
	if c.Offsets.Has(e.id) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.g.Step(time.Now(), Forget{}); e.g.State() == Dead && c.groups[e.id] == e {
		delete(c.groups, e.id)
	}
}

// maxIDPrefix keeps member ids short, whatever clients call themselves.
const maxIDPrefix = 200

// Join enters a group, making it where there is none. clientID begins the member id that a new member is given.
func (c *Coordinator) Join(id, clientID string, j Join) *Reply[JoinAnswer] {
	var missing *JoinAnswer
	if j.Who.Member != "" {
		missing = &JoinAnswer{Err: fmt.Errorf("%w: there is no group %q", ErrUnknownMember, id), Generation: NoGeneration, Member: j.Who.Member}
	}
	if j.Who.Instance != "" {
		clientID = j.Who.Instance
	}
	j.NewID = clientID[:min(len(clientID), maxIDPrefix)] + "-" + rand.Text()
	closing := JoinAnswer{Err: ErrNotAvailable, Generation: NoGeneration, Member: j.Who.Member}
	return ask(c, id, closing, missing, func(t Ticket) Event { j.Ticket = t; return j })
}

// Sync asks for the assignment of a generation.
func (c *Coordinator) Sync(id string, s Sync) *Reply[SyncAnswer] {
	missing := SyncAnswer{Err: fmt.Errorf("%w: there is no group %q", ErrUnknownMember, id)}
	return ask(c, id, SyncAnswer{Err: ErrNotAvailable}, &missing, func(t Ticket) Event { s.Ticket = t; return s })
}

// Heartbeat keeps a member in.
func (c *Coordinator) Heartbeat(id string, who Identity, g Generation) error {
	missing := ErrAnswer{fmt.Errorf("%w: there is no group %q", ErrUnknownMember, id)}
	r := ask(c, id, ErrAnswer{ErrNotAvailable}, &missing, func(t Ticket) Event { return Heartbeat{t, who, g} })
	return (<-r.c).Err // never parked
}

// Leave takes members out, with one error or nil for each.
func (c *Coordinator) Leave(id string, members []Identity) []error {
	same := func(err error) LeaveAnswer {
		errs := make([]error, len(members))
		for i := range errs {
			errs[i] = err
		}
		return LeaveAnswer{errs}
	}
	missing := same(fmt.Errorf("%w: there is no group %q", ErrUnknownMember, id))
	r := ask(c, id, same(ErrNotAvailable), &missing, func(t Ticket) Event { return Leave{t, members} })
	return (<-r.c).Errs // never parked
}

// Commit commits offsets if the group allows it. w is told when they are durable; on an error it is not called.
func (c *Coordinator) Commit(ctx context.Context, id string, who Identity, g Generation, all []Committed, w partition.Waiter) error {
	missing := ErrAnswer{}
	if g >= 0 {
		missing.Err = fmt.Errorf("%w: there is no group %q", ErrIllegalGeneration, id)
	}
	r := ask(c, id, ErrAnswer{ErrNotAvailable}, &missing, func(t Ticket) Event { return Commit{t, who, g} })
	if a := <-r.c; a.Err != nil { // never parked
		return a.Err
	}
	return c.Offsets.Commit(ctx, id, all, w)
}
