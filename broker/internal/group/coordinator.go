package group

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// Coordinator is the groups that this broker coordinates: all of them. Its methods may be called by any goroutine.
type Coordinator struct {
	Offsets *Offsets

	limits  Limits
	clock   *clock
	tickets atomic.Uint64
	life    context.Context // ends with Close
	end     context.CancelFunc
	chores  sync.WaitGroup

	mu     sync.Mutex
	groups map[string]*entry
	closed bool
}

// entry is one group with its lock and those who wait for it.
type entry struct {
	id string

	mu      sync.Mutex
	g       *Group                      // a group of the classic protocol, or
	c       *consumer.Group             // a consumer group: one of them is nil
	parked  map[Ticket]func(answer any) // must not block. nil asks for the answer of a broker going down
	closed  bool                        // nobody may be parked any more
	gone    bool                        // deleted: look the name up again
	armed   time.Time                   // the alarm that counts, zero when none; others of this entry are stale
	unsaved []pair                      // records that were refused; they go with the next ones (G7)
	out     queue                       // answers that wait for what they depend on to be durable
}

// Start starts a Coordinator over the offsets loaded, and takes over the groups that were loaded with them: their members have as long
// as their sessions to be heard of. The caller must call Close.
func Start(l Limits, o *Offsets) *Coordinator {
	l.defaults()
	c := &Coordinator{Offsets: o, limits: l, groups: map[string]*entry{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.clock = startClock(c.tick)
	c.restore()
	c.chores.Go(c.expireNowAndThen)
	return c
}

// Close answers all who wait with ErrNotAvailable, and all who come.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.groups
	c.groups = map[string]*entry{}
	c.mu.Unlock()
	c.end()
	c.clock.close()
	c.chores.Wait()
	for _, e := range all {
		e.mu.Lock()
		parked := e.parked
		e.parked, e.closed = nil, true
		e.mu.Unlock()
		e.out.all(ErrNotAvailable)
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
		e = newEntry(id, New(c.limits))
		c.groups[id] = e
	}
	return e, !c.closed
}

func newEntry(id string, g *Group) *entry {
	return &entry{id: id, g: g, parked: map[Ticket]func(any){}}
}

// hold locks an entry; it is false, and nothing locked, where the group is gone.
func (e *entry) hold() bool {
	e.mu.Lock()
	if e.gone {
		e.mu.Unlock()
		return false
	}
	return true
}

// step runs the core on one event, answers whom it says, and arms the clock. It is false when the group is gone.
func (c *Coordinator) step(e *entry, ev Event, ticket Ticket, answer func(any)) bool {
	if !e.hold() {
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
	if e.c != nil {
		fx, pairs := c.stepConsumer(e, ev)
		c.carryOut(e, fx, pairs)
	} else {
		c.carryOut(e, e.g.Step(time.Now(), ev), nil)
	}
	c.settle(e)
	return true
}

// settle arms the clock after a step, and lets go of a group that never was one. Callers hold e.mu, which it releases.
func (c *Coordinator) settle(e *entry) {
	at, arm := e.arm()
	idle := e.g != nil && e.g.State() == Empty && e.g.generation == 0 && !arm && e.armed.IsZero()
	e.mu.Unlock()
	if arm {
		c.clock.set(at, e)
	}
	if idle {
		c.forget(e)
	}
}

// carryOut does what a step asks for. Callers hold e.mu.
func (c *Coordinator) carryOut(e *entry, fx []Effect, pairs []pair) {
	var tell []func(err error)
	for _, f := range fx {
		if s, ok := f.Answer.(Save); ok {
			pairs = append(pairs, pair{e.key(record.Classic), s.Value})
			continue
		}
		give := e.parked[f.Ticket]
		delete(e.parked, f.Ticket)
		tell = append(tell, func(err error) {
			if err != nil {
				give(nil)
				return
			}
			give(f.Answer)
		})
	}
	c.save(e, pairs, func(err error) {
		for _, f := range tell {
			f(err)
		}
	})
}

// save appends records of a group and has told called when they, and all that was saved before, are durable (G7). When they are refused
// (the disk is full), told is given the error, and they go before whatever is told next. Callers hold e.mu.
func (c *Coordinator) save(e *entry, pairs []pair, told func(err error)) {
	t := e.out.add(told)
	pairs = merge(e.unsaved, pairs)
	if len(pairs) == 0 {
		t.Done(nil)
		return
	}
	l, err := c.Offsets.laneOf(c.life, e.id)
	if err == nil {
		err = l.write(pairs, t.Done)
	}
	switch {
	case err == nil:
		e.unsaved = nil
	case !errors.Is(err, record.ErrRecord): // that will never be written (checkNames keeps it out)
		e.unsaved = pairs
	}
	if err != nil {
		t.Done(err)
	}
}

// merge puts records behind others, each key once: only its last value counts.
func merge(old, pairs []pair) []pair {
	if len(old) == 0 {
		return pairs
	}
	renewed := map[record.Key]bool{}
	for _, p := range pairs {
		renewed[p.key] = true
	}
	var out []pair
	for _, p := range old {
		if !renewed[p.key] {
			out = append(out, p)
		}
	}
	return append(out, pairs...)
}

// deadline is when the group next wants a Tick. Callers hold mu.
func (e *entry) deadline() (at time.Time, ok bool) {
	if e.c != nil {
		return e.c.Deadline()
	}
	return e.g.Deadline()
}

// arm says whether an alarm must be set: the deadline is sooner than what is set already. Callers hold mu.
func (e *entry) arm() (at time.Time, set bool) {
	at, ok := e.deadline()
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

// forget lets a group go that never had a generation, so that names made up by clients do not pile up.
func (c *Coordinator) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.unsaved) > 0 || c.groups[e.id] != e || e.c != nil {
		return
	}
	if e.g.Step(time.Now(), Forget{}); e.g.State() == Dead {
		e.gone = true
		delete(c.groups, e.id)
	}
}

// maxIDPrefix keeps member ids short, whatever clients call themselves.
const maxIDPrefix = 200

// Join enters a group, making it where there is none. clientID begins the member id that a new member is given.
func (c *Coordinator) Join(id, clientID string, j Join) *Reply[JoinAnswer] {
	var missing *JoinAnswer
	if j.Who.Member != "" {
		missing = &JoinAnswer{Err: noGroup(ErrUnknownMember, id), Generation: NoGeneration, Member: j.Who.Member}
	}
	j.ClientID = clientID
	prefix := clientID
	if j.Who.Instance != "" {
		prefix = j.Who.Instance
	}
	j.NewID = prefix[:min(len(prefix), maxIDPrefix)] + "-" + rand.Text()
	names := []string{id, j.Who.Instance, j.ProtocolType, clientID, j.ClientHost}
	for _, p := range j.Protocols {
		names = append(names, p.Name)
	}
	if err := checkNames(names...); err != nil {
		r := newReply[JoinAnswer]()
		r.give(JoinAnswer{Err: err, Generation: NoGeneration, Member: j.Who.Member})
		return r
	}
	closing := JoinAnswer{Err: ErrNotAvailable, Generation: NoGeneration, Member: j.Who.Member}
	return ask(c, id, closing, missing, func(t Ticket) Event { j.Ticket = t; return j })
}

// checkNames refuses names that no record can hold. Compact strings on the wire may be longer. Errors: ErrInvalidGroup.
func checkNames(names ...string) error {
	for _, name := range names {
		if len(name) > math.MaxInt16 {
			return fmt.Errorf("%w: a name of %d bytes, the most is %d", ErrInvalidGroup, len(name), math.MaxInt16)
		}
	}
	return nil
}

// noGroup says that a group does not exist, in the words of an error.
func noGroup(err error, id string) error { return fmt.Errorf("%w: there is no group %q", err, id) }

// Sync asks for the assignment of a generation.
func (c *Coordinator) Sync(id string, s Sync) *Reply[SyncAnswer] {
	missing := SyncAnswer{Err: noGroup(ErrUnknownMember, id)}
	return ask(c, id, SyncAnswer{Err: ErrNotAvailable}, &missing, func(t Ticket) Event { s.Ticket = t; return s })
}

// Heartbeat keeps a member in. It waits for a flush at most.
func (c *Coordinator) Heartbeat(id string, who Identity, g Generation) error {
	return (<-c.HeartbeatLater(id, who, g).c).Err
}

// HeartbeatLater is Heartbeat for who must not wait. The answer is there at once but while the group has something to be made durable.
func (c *Coordinator) HeartbeatLater(id string, who Identity, g Generation) *Reply[ErrAnswer] {
	missing := ErrAnswer{noGroup(ErrUnknownMember, id)}
	return ask(c, id, ErrAnswer{ErrNotAvailable}, &missing, func(t Ticket) Event { return Heartbeat{t, who, g} })
}

// Leave takes members out, with one error or nil for each. It waits for a flush at most.
func (c *Coordinator) Leave(id string, members []Identity) []error {
	return (<-c.LeaveLater(id, members).c).Errs
}

// LeaveLater is Leave for who must not wait.
func (c *Coordinator) LeaveLater(id string, members []Identity) *Reply[LeaveAnswer] {
	same := func(err error) LeaveAnswer {
		errs := make([]error, len(members))
		for i := range errs {
			errs[i] = err
		}
		return LeaveAnswer{errs}
	}
	missing := same(noGroup(ErrUnknownMember, id))
	return ask(c, id, same(ErrNotAvailable), &missing, func(t Ticket) Event { return Leave{t, members} })
}

// restore makes the groups that were loaded.
func (c *Coordinator) restore() {
	now := time.Now()
	for id, f := range c.Offsets.found {
		e := newEntry(id, nil)
		switch { // at most one is there, but for a foreign log: the newer protocol counts then
		case f.consumer.Exists():
			e.c = f.consumer.Restore(c.limits.consumers(), now, c.settings(id).Session)
		case f.classic != nil:
			e.g = Restore(c.limits, now, f.classic)
		default:
			continue
		}
		c.groups[id] = e
		if at, arm := e.arm(); arm {
			c.clock.set(at, e)
		}
	}
	c.Offsets.found = nil
	if c.limits.Topics != nil { // a crash may have come between the deletion of a topic and that of its offsets
		c.dropTopics(func(topic string) bool { _, exists := c.Image().Topic(topic); return !exists })
	}
}
