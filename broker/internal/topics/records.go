package topics

import (
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// ToHighWatermark is the offset that stands for all records there are, in DeleteRecords.
const ToHighWatermark = -1

// DeleteRecords cuts off what lies below an offset of a partition, durably, and gives the first offset that is left. Errors: ErrNoTopic,
// ErrPartition, ErrOffline, ErrInternal, ErrPolicy, ErrOffset, engine.ErrFailed, engine.ErrClosed.
func (c *Catalog) DeleteRecords(topic string, partition int32, before int64) (low int64, err error) {
	t := c.Topic(topic)
	if t == nil {
		return -1, fmt.Errorf("%w: %q", ErrNoTopic, topic)
	}
	p, err := t.Partition(partition)
	switch {
	case t.Internal:
		return -1, fmt.Errorf("%w: %q", ErrInternal, topic)
	case err != nil:
		return -1, err
	case !t.deletes:
		return -1, fmt.Errorf("%w: the records of a topic that is only compacted are not deleted; its cleanup.policy must have delete", ErrPolicy)
	}
	high := p.HighWatermark()
	to := high
	if before != ToHighWatermark {
		to = batch.Offset(before)
	}
	if before < ToHighWatermark || to > high {
		return -1, fmt.Errorf("%w: %d; the partition ends at %d", ErrOffset, before, high)
	}
	if err := p.Trim(to); err != nil {
		return -1, err
	}
	return int64(p.Start()), nil
}
