package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/broker/internal/meta"
)

// CheckAssignments says whether the partitions from first on could be put where assignments say: each on this broker, and nowhere
// else. Errors: ErrAssignment.
func (c *Catalog) CheckAssignments(first int, assignments [][]int32) error {
	node := int32(c.live.View().Int("node.id"))
	for i, brokers := range assignments {
		if !slices.Equal(brokers, []int32{node}) {
			return fmt.Errorf("%w: partition %d on brokers %v; there is only broker %d", ErrAssignment, first+i, brokers, node)
		}
	}
	return nil
}

// CheckPartitions says whether a topic could have so many partitions, and the new ones assignments, where they are given (nil: they are
// not). Errors: ErrNoTopic, ErrInternal, ErrPartitions, ErrAssignment.
func (c *Catalog) CheckPartitions(name string, total int, assignments [][]int32) error {
	t := c.Topic(name)
	switch {
	case t == nil:
		return fmt.Errorf("%w: %q", ErrNoTopic, name)
	case t.Internal:
		return fmt.Errorf("%w: %q: what is in it is found by its number of partitions", ErrInternal, name)
	case total == t.Partitions:
		return fmt.Errorf("%w: topic %q has %d already", ErrPartitions, name, total)
	case total < t.Partitions:
		return fmt.Errorf("%w: topic %q has %d, and %d would be fewer; partitions cannot be taken away", ErrPartitions, name, t.Partitions, total)
	case total > meta.MaxPartitions:
		return fmt.Errorf("%w: %d; a topic has at most %d", ErrPartitions, total, meta.MaxPartitions)
	case assignments != nil && len(assignments) != total-t.Partitions:
		return fmt.Errorf("%w: %d partitions are added, and %d assigned", ErrAssignment, total-t.Partitions, len(assignments))
	}
	return c.CheckAssignments(t.Partitions, assignments)
}

// AddPartitions gives a topic more partitions, durably, until it has total. Records with keys go elsewhere from then on, which is the
// clients' to know. Errors: those of CheckPartitions, ErrExists where a log is in the way, engine.ErrFull and the disk's.
func (c *Catalog) AddPartitions(ctx context.Context, name string, total int, assignments [][]int32) (*Topic, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.give()
	if err := c.CheckPartitions(name, total, assignments); err != nil {
		return nil, err
	}
	old := c.Topic(name)
	if err := c.vacant(name, old.Partitions, total); err != nil {
		return nil, err
	}
	if err := c.store.SetPartitions(ctx, old.ID, total); err != nil {
		return nil, err
	}
	topic := c.describe(c.store.Image().ByID[old.ID], slices.Clone(old.slots))
	for len(topic.slots) < total {
		s, err := c.openSlot(topic, len(topic.slots))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("add partitions to topic %s: %w", name, err), c.ungrow(old, topic))
		}
		topic.slots = append(topic.slots, s)
	}
	c.replace(topic)
	c.tell(Event{Grown, topic})
	return topic, nil
}

// ungrow takes back partitions that could not all be opened (no room for their logs, as a rule). Nobody has seen them. What it cannot
// take back, the next start completes.
func (c *Catalog) ungrow(old, grown *Topic) error {
	for _, s := range grown.slots[len(old.slots):] {
		if s.p != nil {
			s.p.Close()
		}
	}
	if err := c.dropLogs(old.Name, old.Partitions, grown.Partitions); err != nil {
		return err
	}
	return c.store.SetPartitions(context.Background(), old.ID, old.Partitions)
}
