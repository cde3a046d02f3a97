package topics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
)

// Defaults are what a topic has that says nothing else.
type Defaults struct {
	Partitions         int
	SegmentBytes       int64
	IndexIntervalBytes int
	MaxBatchBytes      int
	FlushMessages      int64 // 0 is 1: before the acknowledgement
	FlushMs            int64
	RetentionBytes     int64 // -1: no limit
	RetentionMs        int64 // -1: no limit
}

// Topic is a topic that exists and is open. It does not change.
type Topic struct {
	*meta.Topic
	Internal bool // the broker's own
	slots    []slot
}

// slot is a partition, or why it is offline.
type slot struct {
	p   *partition.Partition
	err error
}

// Partition gives the i-th partition. Errors: ErrPartition, ErrOffline.
func (t *Topic) Partition(i int32) (*partition.Partition, error) {
	if i < 0 || int(i) >= len(t.slots) {
		return nil, fmt.Errorf("%w: %s has %d, not %d", ErrPartition, t.Name, len(t.slots), i)
	}
	if s := t.slots[i]; s.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffline, s.err)
	}
	return t.slots[i].p, nil
}

// Catalog is all topics. Its methods may be called by any goroutine.
type Catalog struct {
	engine   *engine.Engine
	store    *meta.Store
	defaults Defaults
	log      *slog.Logger

	turn chan struct{}                     // one token: who has it creates or deletes
	view atomic.Pointer[map[string]*Topic] // replaced whole by who has the turn
	byID atomic.Pointer[map[meta.UUID]*Topic]
}

// Open finishes the deletions that were under way, opens the partitions of all topics, and creates those that a crash left
// uncreated.
func Open(ctx context.Context, e *engine.Engine, s *meta.Store, d Defaults, log *slog.Logger) (*Catalog, error) {
	c := &Catalog{engine: e, store: s, defaults: d, log: log, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	for _, t := range s.Image().Deleted {
		if err := c.drop(ctx, t); err != nil {
			return nil, err
		}
		log.Info("finished the deletion of a topic", "topic", t.Name, "id", t.ID)
	}
	view := map[string]*Topic{}
	for name, t := range s.Image().Topics {
		topic, err := c.open(t)
		if err != nil {
			return nil, err
		}
		view[name] = topic
	}
	c.publish(view)
	c.reportStrangers()
	return c, nil
}

// reportStrangers names the logs that no topic has (T2).
func (c *Catalog) reportStrangers() {
	for _, name := range c.strangers() {
		c.log.Warn("a log in the data directory belongs to no topic; it is left alone", "log", name)
	}
}

func (c *Catalog) strangers() []string {
	known := map[string]bool{logName(MetadataTopic, 0): true}
	for _, t := range c.store.Image().Topics {
		for i := range t.Partitions {
			known[logName(t.Name, i)] = true
		}
	}
	return slices.DeleteFunc(c.engine.Names(), func(name string) bool { return known[name] })
}

// open opens a topic's partitions. A damaged one is offline (T4); any other error is the disk's or ours, and final.
func (c *Catalog) open(t *meta.Topic) (*Topic, error) {
	topic := &Topic{Topic: t, Internal: t.Name == OffsetsTopic, slots: make([]slot, t.Partitions)}
	o := c.defaults.logOptions(t.Settings, topic.Internal)
	for i := range topic.slots {
		name := logName(t.Name, i)
		p, err := partition.Open(c.engine, name, c.store.Image().Epoch(t), o)
		switch {
		case errors.Is(err, engine.ErrCorrupt):
			c.log.Error("partition is damaged and offline; the others go on", "partition", name, "err", err)
			topic.slots[i].err = err
		case err != nil:
			topic.close()
			return topic, err
		default:
			topic.slots[i].p = p
		}
	}
	return topic, nil
}

func (t *Topic) close() {
	for _, s := range t.slots {
		if s.p != nil {
			s.p.Close()
		}
	}
}

// publish makes a new set of topics visible. Callers have the turn.
func (c *Catalog) publish(view map[string]*Topic) {
	byID := make(map[meta.UUID]*Topic, len(view))
	for _, t := range view {
		byID[t.ID] = t
	}
	c.byID.Store(&byID)
	c.view.Store(&view)
}

// Topic finds a topic by name, nil when there is none.
func (c *Catalog) Topic(name string) *Topic { return (*c.view.Load())[name] }

// TopicBytes is Topic without making a string.
func (c *Catalog) TopicBytes(name []byte) *Topic { return (*c.view.Load())[string(name)] }

// ByID finds a topic by id, nil when there is none.
func (c *Catalog) ByID(id meta.UUID) *Topic { return (*c.byID.Load())[id] }

// All lists the topics by name.
func (c *Catalog) All() []*Topic {
	return slices.SortedFunc(maps.Values(*c.view.Load()), func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
}

// Defaults are what topics have that say nothing else.
func (c *Catalog) Defaults() Defaults { return c.defaults }

// Store is the metadata that the catalog makes so.
func (c *Catalog) Store() *meta.Store { return c.store }

func (c *Catalog) take(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topics: %w", context.Cause(ctx))
	}
}

func (c *Catalog) give() { c.turn <- struct{}{} }

// Spec is a topic to be made. Partitions 0 means the default.
type Spec struct {
	Name       string
	Partitions int
	Settings   map[string]string
	Internal   bool // by the broker itself: OffsetsTopic
}

// Check says whether the topic could be made now, and fills in the defaults. Errors: ErrName, ErrPartitions, ErrSetting, ErrExists.
func (c *Catalog) Check(s *Spec) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if s.Name == OffsetsTopic && !s.Internal {
		return fmt.Errorf("%w: %q is the broker's own; it is made when the first group needs it", ErrName, s.Name)
	}
	if s.Partitions == 0 {
		s.Partitions = c.defaults.Partitions
	}
	if s.Partitions < 1 || s.Partitions > meta.MaxPartitions {
		return fmt.Errorf("%w: %d; it must be from 1 to %d", ErrPartitions, s.Partitions, meta.MaxPartitions)
	}
	if err := c.defaults.checkSettings(s.Settings); err != nil {
		return err
	}
	view := *c.view.Load()
	if view[s.Name] != nil {
		return fmt.Errorf("%w: %q", ErrExists, s.Name)
	}
	if !strings.ContainsAny(s.Name, "._") {
		return nil
	}
	for other := range view {
		if metricName(other) == metricName(s.Name) {
			return fmt.Errorf("%w: %q would be the same as %q in metrics, where '.' and '_' are one", ErrName, s.Name, other)
		}
	}
	return nil
}

// Create makes a topic, durably. Errors: those of Check, engine.ErrFull and the disk's.
func (c *Catalog) Create(ctx context.Context, s Spec) (*Topic, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.give()
	if err := c.Check(&s); err != nil {
		return nil, err
	}
	if err := c.vacant(s); err != nil {
		return nil, err
	}
	t, err := c.store.CreateTopic(ctx, s.Name, s.Partitions, s.Settings)
	if err != nil {
		return nil, err
	}
	topic, err := c.open(t)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create topic %s: %w", s.Name, err), c.undo(t))
	}
	view := maps.Clone(*c.view.Load())
	view[s.Name] = topic
	c.publish(view)
	return topic, nil
}

// vacant makes sure that no log of an earlier life is in the way (T3).
func (c *Catalog) vacant(s Spec) error {
	names := c.engine.Names()
	for i := range s.Partitions {
		if _, found := slices.BinarySearch(names, logName(s.Name, i)); found {
			return fmt.Errorf("%w: the data directory holds a log %s that belongs to no topic; move it away first", ErrExists, logName(s.Name, i))
		}
	}
	return nil
}

// undo takes back a topic that could not be opened (no room for its logs, as a rule). What it cannot take back, the next
// start completes.
func (c *Catalog) undo(t *meta.Topic) error {
	ctx := context.Background()
	if err := c.store.DeleteTopic(ctx, t.ID); err != nil {
		return err
	}
	return c.drop(ctx, t)
}

// Delete ends a topic, durably. Who waits on its partitions is told. Errors: ErrNoTopic and the disk's.
func (c *Catalog) Delete(ctx context.Context, id meta.UUID) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	topic := c.ByID(id)
	if topic == nil {
		return fmt.Errorf("%w: %v", ErrNoTopic, id)
	}
	if err := c.store.DeleteTopic(ctx, id); err != nil {
		return err
	}
	view := maps.Clone(*c.view.Load())
	delete(view, topic.Name)
	c.publish(view)
	topic.close()
	return c.drop(context.Background(), topic.Topic)
}

// drop drops the logs of a deleted topic, as far as they are there, and records it.
func (c *Catalog) drop(ctx context.Context, t *meta.Topic) error {
	names := c.engine.Names()
	for i := range t.Partitions {
		if _, found := slices.BinarySearch(names, logName(t.Name, i)); !found {
			continue
		}
		if err := c.engine.Drop(logName(t.Name, i)); err != nil {
			return fmt.Errorf("delete topic %s: %w", t.Name, err)
		}
	}
	return c.store.Dropped(ctx, t.ID)
}

// Close tells all who wait on any partition that they wait in vain.
func (c *Catalog) Close() {
	for _, t := range c.All() {
		t.close()
	}
}
