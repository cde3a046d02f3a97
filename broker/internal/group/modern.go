package group

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// Settings are those of one consumer group (KIP-848, group configs). Zero values mean the defaults given.
type Settings struct {
	Session   time.Duration // consumer.session.timeout.ms; default 45 s
	Heartbeat time.Duration // consumer.heartbeat.interval.ms, that members are told; default 5 s
}

func (l *Limits) consumers() consumer.Limits {
	return consumer.Limits{MaxSize: l.ConsumerMaxSize, Assignors: l.Assignors}
}

func (c *Coordinator) settings(id string) (s Settings) {
	if c.limits.Settings != nil {
		s = c.limits.Settings(id)
	}
	if s.Session == 0 {
		s.Session = 45 * time.Second
	}
	if s.Heartbeat == 0 {
		s.Heartbeat = 5 * time.Second
	}
	return s
}

// noTopics is what a Coordinator sees that was given no topics.
var noTopics = consumer.NewImage(1, nil)

// Image is the topics that there are.
func (c *Coordinator) Image() *consumer.Image {
	if c.limits.Topics == nil {
		return noTopics
	}
	return c.limits.Topics()
}

// HeartbeatAnswer is the outcome of a ConsumerHeartbeat. With an error only Err counts.
type HeartbeatAnswer struct {
	consumer.Answer
	Interval time.Duration // until the next heartbeat
	Err      error
}

// ConsumerHeartbeat takes a ConsumerGroupHeartbeat: a member joins, goes on or leaves. Session and NewID of h are filled in. The topics of
// h.Owned and of the answer are ids: Image knows their names. A classic group is converted by a joining member, when it is empty, or when it
// is one of consumers and Limits.Migration allows it.
//
// Errors: ErrInvalidRequest, ErrNotFound, ErrUnknownMember, ErrFencedEpoch, ErrUnreleasedInstance, ErrFencedInstance, ErrUnsupportedAssignor,
// ErrInvalidRegex, ErrMaxSize; ErrNotAvailable, which clients answer by trying again.
func (c *Coordinator) ConsumerHeartbeat(id string, h consumer.Heartbeat) *Reply[HeartbeatAnswer] {
	r := newReply[HeartbeatAnswer]()
	s := c.settings(id)
	h.Session, h.NewID = s.Session, rand.Text()
	names := append([]string{id, h.Member, h.Instance, h.ClientID, h.ClientHost}, h.Topics...)
	if h.Rack != nil {
		names = append(names, *h.Rack)
	}
	if err := checkNames(names...); err != nil {
		r.give(HeartbeatAnswer{Err: err})
		return r
	}
	for {
		e, open := c.entry(id, h.Epoch == consumer.JoinEpoch)
		switch {
		case !open:
			r.give(HeartbeatAnswer{Err: ErrNotAvailable})
			return r
		case e == nil:
			r.give(HeartbeatAnswer{Err: noGroup(ErrNotFound, id)})
			return r
		case !e.hold():
			continue
		}
		c.heartbeatHeld(e, h, func(a HeartbeatAnswer) {
			a.Interval = s.Heartbeat
			r.give(a)
		})
		return r
	}
}

// heartbeatHeld does a heartbeat. Callers hold e.mu, which it releases.
func (c *Coordinator) heartbeatHeld(e *entry, h consumer.Heartbeat, give func(HeartbeatAnswer)) {
	if e.closed {
		e.mu.Unlock()
		give(HeartbeatAnswer{Err: ErrNotAvailable})
		return
	}
	a, pairs, err := c.heartbeat(e, h)
	answer := HeartbeatAnswer{Answer: a, Err: err}
	c.save(e, pairs, func(lost error) {
		if lost != nil {
			answer = HeartbeatAnswer{Err: ErrNotAvailable}
		}
		give(answer)
	})
	c.settle(e)
}

// heartbeat runs the core on a heartbeat, after converting the group if that must be. Callers hold e.mu.
func (c *Coordinator) heartbeat(e *entry, h consumer.Heartbeat) (consumer.Answer, []pair, error) {
	now := time.Now()
	if e.c != nil {
		a, records, err := e.c.Heartbeat(now, c.Image(), h)
		pairs := e.pairs(records)
		if h.Epoch < 0 && err == nil {
			pairs = append(pairs, c.downgrade(e, now)...)
		}
		return a, pairs, err
	}
	if h.Epoch != consumer.JoinEpoch {
		return consumer.Answer{}, nil, fmt.Errorf("%w: %q is no consumer group", ErrNotFound, e.id)
	}
	g, records, err := c.upgraded(e, now)
	if err != nil {
		return consumer.Answer{}, nil, err
	}
	a, more, err := g.Heartbeat(now, c.Image(), h)
	if err != nil {
		return a, nil, err // the classic group stays as it is
	}
	pairs := append(e.tombstones(), e.pairs(append(records, more...))...)
	e.g, e.c = nil, g
	return a, pairs, nil
}

// pairs are the records of a consumer group's core, with the group's name.
func (e *entry) pairs(records []consumer.Record) []pair {
	out := make([]pair, len(records))
	for i, r := range records {
		r.Key.Group = e.id
		out[i] = pair{r.Key, r.Value}
	}
	return out
}

// ConsumerDescription is a consumer group as ConsumerGroupDescribe tells it, with the topics by whose names its ids are to be read.
type ConsumerDescription struct {
	consumer.Description
	Image *consumer.Image
}

// ConsumerDescribe tells of a consumer group. Errors: ErrNotFound, also for a group of the classic protocol; ErrNotAvailable.
func (c *Coordinator) ConsumerDescribe(id string) (ConsumerDescription, error) {
	for {
		e, open := c.entry(id, false)
		switch {
		case !open:
			return ConsumerDescription{}, ErrNotAvailable
		case e == nil:
			return ConsumerDescription{}, noGroup(ErrNotFound, id)
		case e.hold():
			defer e.mu.Unlock()
			if e.c == nil {
				return ConsumerDescription{}, fmt.Errorf("%w: %q is no consumer group", ErrNotFound, id)
			}
			return ConsumerDescription{e.c.Describe(), c.Image()}, nil
		}
	}
}

// mayCommitConsumer follows Kafka's ConsumerGroup.validateOffsetCommit. Callers hold e.mu.
func (e *entry) mayCommitConsumer(r CommitRequest) error {
	switch {
	case r.Generation < 0 && e.c.Len() == 0:
		return nil
	case r.Generation < 0 && r.Producer != nil && r.Who == Identity{}:
		return nil
	}
	err := e.c.MayCommit(r.Who.Member, int32(r.Generation))
	known := err == nil || !errors.Is(err, ErrUnknownMember)
	if known && r.Producer == nil && !r.Epochs && !e.c.SpeaksClassic(r.Who.Member) {
		return fmt.Errorf("%w: a member of a consumer group commits by version 9 or later", ErrUnsupportedVersion)
	}
	return err
}

// key is a record's key without a name.
func (e *entry) key(kind record.Kind) record.Key { return record.Key{Kind: kind, Group: e.id} }
