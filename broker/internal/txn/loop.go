package txn

import (
	"container/heap"
	"errors"
	"sync"
	"time"
)

// run is the Coordinator's own goroutine: it takes in what came back, ticks what is due, and sends markers.
func (c *Coordinator) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for c.ctx.Err() == nil {
		for _, p := range c.inbox.take() {
			c.step(p.entry, c.takeIn(p), 0, nil)
		}
		e, wait := c.clock.next(time.Now())
		if e != nil {
			c.step(e, Tick{}, 0, nil)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-c.clock.wake:
		case <-c.inbox.wake:
		case <-c.ctx.Done():
		}
	}
}

// takeIn looks at what came back before the core does.
func (c *Coordinator) takeIn(p posted) Event {
	switch ev := p.event.(type) {
	case Marked:
		c.markers.returned()
		switch {
		case errors.Is(ev.Err, ErrMarkerFenced):
			ev.Err = nil // a later epoch has ended the transaction there
		case ev.Err != nil:
			c.opts.Logger.Warn("the end of a transaction could not be written to a partition; it will be tried again",
				"transactionalId", p.entry.id, "topic", ev.Part.Topic, "partition", ev.Part.Partition, "err", ev.Err)
		}
		return ev
	case Written:
		if ev.Err != nil {
			c.opts.Logger.Error("the state of a transactional id could not be written", "transactionalId", p.entry.id, "lost", ev.Lost, "err", ev.Err)
		}
	}
	return p.event
}

// inbox holds what came back and waits for run. It is bounded by what was sent out.
type inbox struct {
	wake chan struct{}

	mu    sync.Mutex
	posts []posted
}

type posted struct {
	entry *entry
	event Event
}

// post does not block.
func (b *inbox) post(e *entry, ev Event) {
	b.mu.Lock()
	b.posts = append(b.posts, posted{e, ev})
	b.mu.Unlock()
	nudge(b.wake)
}

func (b *inbox) take() []posted {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.posts
	b.posts = nil
	return all
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// markers are those that are to be sent, first come first served, and how many are under way.
type markers struct {
	max int

	mu      sync.Mutex
	waiting []queued
	sent    int
}

type queued struct {
	entry  *entry
	marker Marker
}

func (m *markers) add(e *entry, one Marker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = append(m.waiting, queued{e, one})
}

func (m *markers) next() (q queued, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 || m.sent >= m.max {
		return q, false
	}
	q = m.waiting[0]
	m.waiting[0] = queued{}
	m.waiting = m.waiting[1:]
	m.sent++
	return q, true
}

func (m *markers) returned() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent--
}

// pump sends as many markers as may be under way. No lock is held.
func (c *Coordinator) pump() {
	for {
		q, ok := c.markers.next()
		if !ok {
			return
		}
		c.opts.Sink.WriteMarker(q.marker, func(err error) {
			c.inbox.post(q.entry, Marked{q.marker.TopicPartition, err})
		})
	}
}

// clock knows which entry is to be ticked when. Each is in it at most once.
type clock struct {
	wake chan struct{} // the soonest alarm has changed

	mu  sync.Mutex
	due alarms
}

// alarm is an entry's place in the clock; owned by clock.mu.
type alarm struct {
	at    time.Time
	place int // in due, from 1; 0 is not in it
}

// alarms is a heap, the soonest first.
type alarms []*entry

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].alarm.at.Before(a[j].alarm.at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarm.place, a[j].alarm.place = i+1, j+1
}
func (a *alarms) Push(x any) {
	*a = append(*a, x.(*entry))
	x.(*entry).alarm.place = len(*a)
}
func (a *alarms) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	last.alarm.place = 0
	return last
}

// set sets the alarm of an entry, or takes it out. The caller holds the entry's lock, so that the last one to set it is right.
func (c *clock) set(e *entry, at time.Time, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := e.alarm.place > 0
	switch {
	case !on && in:
		heap.Remove(&c.due, e.alarm.place-1)
	case on && in:
		e.alarm.at = at
		heap.Fix(&c.due, e.alarm.place-1)
	case on:
		e.alarm.at = at
		heap.Push(&c.due, e)
	}
	if on && c.due[0] == e {
		nudge(c.wake)
	}
}

// next takes the soonest entry out if it is due; else it says how long to wait.
func (c *clock) next(now time.Time) (e *entry, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.due) == 0:
		return nil, time.Hour
	case c.due[0].alarm.at.After(now):
		return nil, min(c.due[0].alarm.at.Sub(now), time.Hour)
	}
	return heap.Pop(&c.due).(*entry), 0
}
