package group

import (
	"context"
	"fmt"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/engine/batch"
)

// found is a group as its records tell of it.
type found struct {
	classic  *record.ClassicValue
	consumer consumer.Stored
}

// OpenOffsets loads what was committed, and the groups, which Start takes over. now is the wall clock, by which commits are stamped; nil:
// time.Now.
func OpenOffsets(ctx context.Context, logs Logs, now func() time.Time) (*Offsets, error) {
	o := newOffsets(logs, now)
	all, err := o.lanes(ctx, false)
	if err != nil {
		return nil, err
	}
	for i, l := range all {
		o.mu.Lock()
		err := l.log.Replay(func(b batch.Batch) error { return o.load(l, b) })
		o.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("committed offsets, partition %d: %w", i, err)
		}
	}
	return o, nil
}

// findGroup applies a record of a group that was read.
func (o *Offsets) findGroup(k record.Key, value []byte) error {
	f := o.found[k.Group]
	if f == nil {
		f = new(found)
		o.found[k.Group] = f
	}
	if k.Kind == record.Classic {
		if f.classic = nil; value == nil {
			return nil
		}
		f.classic = new(record.ClassicValue)
		return record.Decode(value, f.classic)
	}
	return f.consumer.Apply(k, value)
}
