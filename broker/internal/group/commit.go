package group

import (
	"context"
	"fmt"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
)

// CommitRequest is an OffsetCommit or, with a Producer, a TxnOffsetCommit.
type CommitRequest struct {
	Group      string
	Who        Identity
	Generation Generation // or the member epoch; NoGeneration is a client that is in no group
	Epochs     bool       // OffsetCommit 9 and later: members of consumer groups commit by their epoch, an unknown group is ErrNotFound
	Producer   *Producer
	Retention  time.Duration // OffsetCommit 2 to 4: how long the offsets last, whatever the broker's retention; 0: by the broker's
	Offsets    []Committed
}

// Commit is CommitOffsets for versions before 9.
func (c *Coordinator) Commit(ctx context.Context, id string, who Identity, g Generation, all []Committed, w partition.Waiter) error {
	return c.CommitOffsets(ctx, CommitRequest{Group: id, Who: who, Generation: g, Offsets: all}, w)
}

// CommitOffsets commits offsets, all or none, if the group allows it. w is told when they are durable; those of a transaction count when
// Offsets.Marker commits it. On an error w is not called. Errors: ErrUnknownMember, ErrIllegalGeneration, ErrRebalanceInProgress,
// ErrFencedInstance, ErrStaleEpoch, ErrUnsupportedVersion, ErrNotFound, ErrNotAvailable; the engine's, among them ErrFencedProducer.
func (c *Coordinator) CommitOffsets(ctx context.Context, r CommitRequest, w partition.Waiter) error {
	for {
		e, open := c.entry(r.Group, false)
		switch {
		case !open:
			return ErrNotAvailable
		case e == nil && r.Generation >= 0 && r.Epochs:
			return noGroup(ErrNotFound, r.Group)
		case e == nil && r.Generation >= 0:
			return noGroup(ErrIllegalGeneration, r.Group)
		}
		l, err := c.Offsets.laneOf(ctx, r.Group)
		switch {
		case err != nil:
			return err
		case e == nil: // a simple consumer's group, which is nothing but offsets
			return c.append(l, r, w)
		case e.hold():
			defer e.mu.Unlock()
			if err := c.mayCommit(e, r); err != nil {
				return err
			}
			return c.append(l, r, w) // under the lock: no generation comes between the check and the record
		}
	}
}

func (c *Coordinator) append(l *lane, r CommitRequest, w partition.Waiter) error {
	if r.Producer != nil {
		return c.Offsets.txnCommit(l, r.Group, *r.Producer, r.Offsets, w)
	}
	return c.Offsets.commit(l, r.Group, r.Retention, r.Offsets, w)
}

// mayCommit asks the group. Callers hold e.mu.
func (c *Coordinator) mayCommit(e *entry, r CommitRequest) error {
	if e.closed {
		return ErrNotAvailable
	}
	if e.c != nil {
		return e.mayCommitConsumer(r)
	}
	fx := e.g.Step(time.Now(), Commit{1, r.Who, r.Generation, r.Producer != nil})
	return fx[0].Answer.(ErrAnswer).Err
}

// FetchRequest is one group of an OffsetFetch.
type FetchRequest struct {
	Group       string
	Member      string     // "" and a negative epoch: version 8 and before, or who is in no group
	Epoch       Generation // of the member of a consumer group
	Partitions  []TopicPartition
	All         bool // all that was committed, in place of Partitions
	StableFirst bool // require_stable: ErrUnstable for partitions that a transaction under way has offsets for
}

// FetchOffsets gives what a group has committed; a group that never was has committed nothing, which is no error. The error is the whole
// group's: ErrUnknownMember, ErrStaleEpoch, ErrNotAvailable.
func (c *Coordinator) FetchOffsets(r FetchRequest) ([]Fetched, error) {
	e, open := c.entry(r.Group, false)
	if !open {
		return nil, ErrNotAvailable
	}
	if e != nil && (r.Member != "" || r.Epoch >= 0) {
		if err := c.mayFetch(e, r); err != nil {
			return nil, fmt.Errorf("fetch offsets of group %q: %w", r.Group, err)
		}
	}
	if r.All {
		return c.Offsets.Fetch(r.Group, nil, r.StableFirst), nil
	}
	if r.Partitions == nil {
		r.Partitions = []TopicPartition{}
	}
	return c.Offsets.Fetch(r.Group, r.Partitions, r.StableFirst), nil
}

// mayFetch asks the group. Those of the classic protocol let everybody see.
func (c *Coordinator) mayFetch(e *entry, r FetchRequest) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c == nil {
		return nil
	}
	return e.c.MayCommit(r.Member, int32(r.Epoch))
}
