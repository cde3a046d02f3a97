package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// openTransactions opens the coordinator over what it finds in __transaction_state. It writes markers at once, so topics and groups are open.
func (b *Broker) openTransactions(ctx context.Context) (err error) {
	c := b.o.Config
	b.markers = &markers{topics: b.topics, offsets: b.groups.Offsets, now: b.now}
	b.txns, err = txn.Open(ctx, txn.Options{
		Limits: txn.Limits{
			MaxTimeout: millis(c, "transaction.max.timeout.ms"), Expiration: millis(c, "transactional.id.expiration.ms"),
			AbortInterval:  millis(c, "transaction.abort.timed.out.transaction.cleanup.interval.ms"),
			ExpireInterval: millis(c, "transaction.remove.expired.transaction.cleanup.interval.ms"),
			Version:        b.topics.Store().Image().Level("transaction.version"), Now: b.now,
		},
		Logs: b.transactionLogs, Sink: b.markers, IDs: b.topics.Store(), OffsetsOf: b.offsetsOf, Logger: b.o.Logger,
	})
	return err
}

// transactionLogs is txn.Logs: the partitions of __transaction_state.
func (b *Broker) transactionLogs(ctx context.Context, create bool) ([]txn.Log, error) {
	return partitionsOf[txn.Log](ctx, b.topics, topics.TransactionsTopic, create)
}

// offsetsOf is where a group's offsets lie, which it makes if need be.
func (b *Broker) offsetsOf(ctx context.Context, id string) (at txn.TopicPartition, err error) {
	t := b.topics.Topic(topics.OffsetsTopic)
	if t == nil {
		if t, err = b.topics.EnsureInternal(ctx, topics.OffsetsTopic); err != nil {
			return at, err
		}
	}
	return txn.TopicPartition{Topic: topics.OffsetsTopic, Partition: int32(partition.ForKey(id, t.Partitions))}, nil
}

// partitionsOf are the partitions of one of the broker's own topics, as logs of what a room wants; none when there is no such topic and it
// is not to be made.
func partitionsOf[L any](ctx context.Context, c *topics.Catalog, name string, create bool) (logs []L, err error) {
	t := c.Topic(name)
	if t == nil && create {
		if t, err = c.EnsureInternal(ctx, name); err != nil {
			return nil, err
		}
	}
	if t == nil {
		return nil, nil
	}
	for i := range int32(t.Partitions) {
		p, err := t.Partition(i)
		if err != nil {
			return nil, fmt.Errorf("%s-%d: %w", name, i, err)
		}
		logs = append(logs, any(p).(L))
	}
	return logs, nil
}

// markers is the txn.Sink: it writes markers into partitions, and tells the group room of those in __consumer_offsets. An append may wait
// for room in the log, so each has a goroutine of its own; the coordinator bounds how many there are.
type markers struct {
	topics  *topics.Catalog
	offsets *group.Offsets
	now     func() time.Time // the wall clock
	under   sync.WaitGroup
}

// told is a partition.Waiter.
type told func(error)

// Done implements partition.Waiter.
func (t told) Done(err error) { t(err) }

// WriteMarker implements txn.Sink.
func (m *markers) WriteMarker(x txn.Marker, done func(error)) {
	m.under.Go(func() {
		answer := func(err error) {
			if errors.Is(err, engine.ErrFencedProducer) {
				err = fmt.Errorf("%w: %w", txn.ErrMarkerFenced, err)
			}
			done(err)
		}
		if err := m.write(x, told(answer)); err != nil {
			answer(err)
		}
	})
}

// write has w told, unless it fails at once.
func (m *markers) write(x txn.Marker, w told) error {
	t := m.topics.Topic(x.Topic)
	if t == nil || x.Partition < 0 || int(x.Partition) >= t.Partitions { // deleted, and perhaps made again
		w(nil)
		return nil
	}
	if x.Topic == topics.OffsetsTopic {
		return m.offsets.Marker(context.Background(), int(x.Partition), group.Producer{ID: x.ID, Epoch: x.Epoch}, int32(x.CoordinatorEpoch), x.Commit, w)
	}
	p, err := t.Partition(x.Partition)
	if err != nil {
		return err
	}
	kind := batch.Abort
	if x.Commit {
		kind = batch.Commit
	}
	_, err = p.Append(batch.EndTxnMarker(kind, x.ID, x.Epoch, int32(x.CoordinatorEpoch), m.now()), nil, w)
	return err
}
