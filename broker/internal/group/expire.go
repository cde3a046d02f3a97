package group

import (
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
)

// expireNowAndThen looks every CheckInterval for offsets that have expired, and for groups that nothing is left of.
func (c *Coordinator) expireNowAndThen() {
	t := time.NewTicker(c.limits.CheckInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.Expire(c.limits.Steady())
		case <-c.life.Done():
			return
		}
	}
}

// Expire takes out the offsets that have expired at the time now, and the groups that nothing is left of. It does not wait until that is
// durable: what is not is done again later.
//
// An offset expires when it has not been committed for Retention and its group is empty, counted from when it became so (KIP-211); or
// when it has not been committed for Retention, and its group is stable, or without members that joined, and reads the topic no more.
func (c *Coordinator) Expire(now time.Time) {
	c.mu.Lock()
	ids := c.Offsets.names()
	for id := range c.groups {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if c.life.Err() != nil {
			return
		}
		c.expireGroup(id, now)
	}
}

// expireGroup expires one group. An error is left to the next time: the disk's is told by the engine.
func (c *Coordinator) expireGroup(id string, now time.Time) {
	l, err := c.Offsets.laneOf(c.life, id)
	if err != nil {
		return
	}
	none := partition.NewFuture()
	e, open := c.entry(id, false)
	if !open {
		return
	}
	if e == nil {
		due, _ := c.Offsets.expired(id, now, c.limits.Retention, time.Time{}, nil)
		_ = c.Offsets.drop(l, id, due, nil, none) // tried again the next time
		return
	}
	if !e.hold() {
		return
	}
	since, reads, may := e.expiry()
	var due []TopicPartition
	left := true
	if may {
		due, left = c.Offsets.expired(id, now, c.limits.Retention, since, reads)
	}
	if !left && e.empty() && e.idle() {
		_ = c.deleteHeld(l, e, none) // tried again the next time
	} else {
		_ = c.Offsets.drop(l, id, due, nil, none)
	}
	e.mu.Unlock()
	c.removed(e)
}

// idle says that nobody is about to come in. Callers hold mu.
func (e *entry) idle() bool { return e.c != nil || len(e.g.pending) == 0 }

// expiry says how the group's offsets expire: since when they count, zero for when each was committed, and which topics they do not
// expire for. may is false where none do. Callers hold mu.
func (e *entry) expiry() (since time.Time, reads func(string) bool, may bool) {
	if e.c != nil {
		return time.Time{}, e.c.Reads, true
	}
	g := e.g
	switch {
	case g.state == Empty && g.protocolType != "":
		return g.since, nil, true
	case g.state == Empty:
		return time.Time{}, nil, true
	case g.state == Stable && g.protocolType == ConsumerType:
		reads, may = e.subscription()
		return time.Time{}, reads, may
	}
	return time.Time{}, nil, false
}

// expired lists the offsets of a group that have expired. left says that the group keeps others.
func (o *Offsets) expired(group string, now time.Time, retention time.Duration, since time.Time, reads func(string) bool) (due []TopicPartition, left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		return nil, false
	}
	set := map[TopicPartition]bool{}
	for tp, s := range g.offsets {
		if g.undecided(tp) || reads != nil && reads(tp.Topic) || !s.expired(now, retention, since) {
			continue
		}
		set[tp] = true
	}
	return sortedPartitions(set), len(set) < len(g.offsets) || len(g.pending) > 0
}

func (s stored) expired(now time.Time, retention time.Duration, since time.Time) bool {
	if s.expireMs > 0 {
		return now.UnixMilli() >= s.expireMs
	}
	if retention < 0 {
		return false
	}
	from := time.UnixMilli(s.committedMs)
	if since.After(from) {
		from = since
	}
	return !now.Before(from.Add(retention))
}

// TopicsDeleted takes out what all groups have committed for topics that are no more. It does not wait until that is durable.
func (c *Coordinator) TopicsDeleted(names ...string) {
	c.dropTopics(func(topic string) bool { return slices.Contains(names, topic) })
}

func (c *Coordinator) dropTopics(gone func(topic string) bool) {
	for _, id := range c.Offsets.names() {
		due := slices.DeleteFunc(c.Offsets.partitionsOf(id), func(tp TopicPartition) bool { return !gone(tp.Topic) })
		if len(due) == 0 {
			continue
		}
		l, err := c.Offsets.laneOf(c.life, id)
		if err == nil {
			err = c.Offsets.drop(l, id, due, nil, partition.NewFuture())
		}
		if err != nil {
			return // the disk is full or has failed, which the engine tells; the offsets expire
		}
	}
}
