package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

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

// Offsets is what groups have committed. Its methods may be called by any goroutine.
type Offsets struct {
	logs Logs

	mu     sync.Mutex
	groups map[string]map[TopicPartition]stored
}

// stored is a committed offset and where its record is: later records of the same partition win (G6).
type stored struct {
	Committed
	at batch.Offset
}

// OpenOffsets loads what was committed.
func OpenOffsets(ctx context.Context, logs Logs) (*Offsets, error) {
	o := &Offsets{logs: logs, groups: map[string]map[TopicPartition]stored{}}
	all, err := logs(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	for i, l := range all {
		if err := l.Replay(o.load); err != nil {
			return nil, fmt.Errorf("committed offsets, partition %d: %w", i, err)
		}
	}
	return o, nil
}

func (o *Offsets) load(b batch.Batch) error {
	var bad error
	err := b.Each(func(r batch.Record) bool {
		group, tp, ok, err := decodeKey(r.Key)
		switch {
		case err != nil:
			bad = fmt.Errorf("offset %d: %w", r.Offset, err)
		case !ok:
		case r.Value == nil:
			o.remove(group, tp)
		default:
			var c Committed
			if c, err = decodeValue(r.Value); err != nil {
				bad = fmt.Errorf("offset %d: %w", r.Offset, err)
				break
			}
			c.TopicPartition = tp
			o.put(group, c, r.Offset)
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

func (o *Offsets) put(group string, c Committed, at batch.Offset) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		g = map[TopicPartition]stored{}
		o.groups[group] = g
	}
	if old, ok := g[c.TopicPartition]; !ok || old.at <= at {
		g[c.TopicPartition] = stored{c, at}
	}
}

func (o *Offsets) remove(group string, tp TopicPartition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.groups[group], tp); len(o.groups[group]) == 0 {
		delete(o.groups, group)
	}
}

// Has says that the group has committed anything.
func (o *Offsets) Has(group string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.groups[group]) > 0
}

// Get gives what the group has committed for a partition.
func (o *Offsets) Get(group string, tp TopicPartition) (c Committed, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.groups[group][tp]
	return s.Committed, ok
}

// All gives all that the group has committed, by topic and partition.
func (o *Offsets) All(group string) []Committed {
	o.mu.Lock()
	all := slices.Collect(maps.Values(o.groups[group]))
	o.mu.Unlock()
	out := make([]Committed, len(all))
	for i, s := range all {
		out[i] = s.Committed
	}
	slices.SortFunc(out, func(a, b Committed) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return out
}

// Commit writes offsets of a group, all or none. w is told when they are durable and Get gives them (G5); on an error it is not called.
// Errors: the engine's, those of making the topic.
func (o *Offsets) Commit(ctx context.Context, group string, all []Committed, w partition.Waiter) error {
	l, err := o.logOf(ctx, group)
	if err != nil {
		return err
	}
	now := time.Now()
	var b batch.Builder
	for _, c := range all {
		b.Add(now, appendKey(nil, group, c.TopicPartition), appendValue(nil, c, now.UnixMilli()))
	}
	built := b.Batch()
	if built == nil {
		w.Done(nil)
		return nil
	}
	_, err = l.Append(built, nil, &commit{o, group, all, built, w})
	return err
}

// Prepare makes __consumer_offsets if it is not there.
func (o *Offsets) Prepare(ctx context.Context) error {
	_, err := o.logs(ctx, true)
	return err
}

func (o *Offsets) logOf(ctx context.Context, group string) (Log, error) {
	all, err := o.logs(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	return all[PartitionFor(group, len(all))], nil
}

// commit is a commit on its way to the disk.
type commit struct {
	offsets *Offsets
	group   string
	all     []Committed
	batch   batch.Batch // the log has stamped its base offset into it
	waiter  partition.Waiter
}

// Done makes the offsets visible once they are durable.
func (c *commit) Done(err error) {
	if err == nil {
		for i, one := range c.all {
			c.offsets.put(c.group, one, c.batch.BaseOffset()+batch.Offset(i))
		}
	}
	c.waiter.Done(err)
}

// PartitionFor is where Kafka keeps a group among n partitions: the absolute value of Java's String.hashCode, modulo n.
func PartitionFor(group string, n int) int {
	var h int32
	for _, unit := range utf16.Encode([]rune(group)) {
		h = 31*h + int32(unit)
	}
	if h == -1<<31 {
		return 0 // Kafka's Utils.abs
	}
	return int(max(h, -h)) % n
}
