package group

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// Log is a partition of __consumer_offsets. partition.Partition is one.
type Log interface {
	Append(b batch.Batch, own engine.Owner, w partition.Waiter) (engine.Appended, error)
	Replay(f func(batch.Batch) error) error
}

// Logs gives the partitions of __consumer_offsets. When the topic does not exist it makes it if create says so, else it
// gives none.
type Logs func(ctx context.Context, create bool) ([]Log, error)

// lane is a partition of __consumer_offsets as the coordinator writes to it: what a record means is applied when it is durable (G5),
// in the order of the log (G6).
type lane struct {
	log Log
	now func() time.Time // the wall clock, by which records are stamped

	mu sync.Mutex // held while something is appended, so that q is in the order of the log
	q  queue
}

// append appends a batch. apply is called when it is durable, or never will be. On an error it is not called.
func (l *lane) append(b batch.Batch, apply func(err error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	refused := false
	t := l.q.add(func(err error) {
		if !refused { // set before Done is called, if at all
			apply(err)
		}
	})
	if _, err := l.log.Append(b, nil, t); err != nil {
		refused = true
		t.Done(nil)
		return err
	}
	return nil
}

// pair is a record to be written; a nil value is a tombstone.
type pair struct {
	key   record.Key
	value record.Value
}

// build makes a batch of records. Errors: record.ErrRecord.
func build(b *batch.Builder, now time.Time, pairs []pair) (batch.Batch, error) {
	for _, p := range pairs {
		key, err := p.key.Append(nil)
		var value []byte
		if err == nil && p.value != nil {
			value, err = record.Append(nil, p.value)
		}
		if err != nil {
			return nil, fmt.Errorf("group %q: %w", p.key.Group, err)
		}
		b.Add(now, key, value)
	}
	return b.Batch(), nil
}

// write appends records, all or none. apply is called when they are durable, or never will be; on an error it is not called. Without
// records it is called at once.
func (l *lane) write(pairs []pair, apply func(err error)) error {
	var b batch.Builder
	built, err := build(&b, l.now(), pairs)
	switch {
	case err != nil:
		return err
	case built == nil:
		apply(nil)
		return nil
	}
	return l.append(built, apply)
}

// lanes gives all partitions, looked up once: they last until they are closed. nil where the topic does not exist and create is false.
func (o *Offsets) lanes(ctx context.Context, create bool) ([]*lane, error) {
	o.opening.Lock()
	defer o.opening.Unlock()
	if o.opened != nil {
		return o.opened, nil
	}
	logs, err := o.logs(ctx, create)
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	for _, l := range logs {
		o.opened = append(o.opened, &lane{log: l, now: o.now})
	}
	return o.opened, nil
}

// laneOf is the lane of a group. The topic is made when it is not there.
func (o *Offsets) laneOf(ctx context.Context, group string) (*lane, error) {
	all, err := o.lanes(ctx, true)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: __consumer_offsets has no partitions", ErrNotAvailable)
	}
	return all[partition.ForKey(group, len(all))], nil
}

// Prepare makes __consumer_offsets if it is not there.
func (o *Offsets) Prepare(ctx context.Context) error {
	_, err := o.lanes(ctx, true)
	return err
}
