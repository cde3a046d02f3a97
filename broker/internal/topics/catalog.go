package topics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics/admit"
	"github.com/streambus/streambus/engine"
)

// Topic is a topic that exists and is open, at one moment: when it is changed, another Topic takes its place, with the same partitions.
type Topic struct {
	*meta.Topic
	Internal bool        // the broker's own
	Rules    admit.Rules // what producers' batches are held to
	deletes  bool        // by retention, and for clients
	options  engine.LogOptions
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
	engine *engine.Engine
	store  *meta.Store
	live   *config.Live
	log    *slog.Logger

	turn chan struct{}                     // one token: who has it creates, deletes or changes
	view atomic.Pointer[map[string]*Topic] // replaced whole by who has the turn
	byID atomic.Pointer[map[meta.UUID]*Topic]

	watching sync.Mutex
	watches  map[*watch]struct{}
}

// Open sets live to what was set over the wire, finishes the deletions that were under way, opens the partitions of all topics, and
// creates those that a crash left uncreated. From then on live is the catalog's to set.
func Open(ctx context.Context, e *engine.Engine, s *meta.Store, live *config.Live, log *slog.Logger) (*Catalog, error) {
	c := &Catalog{engine: e, store: s, live: live, log: log, turn: make(chan struct{}, 1), watches: map[*watch]struct{}{}}
	c.turn <- struct{}{}
	c.setLive()
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

// open opens a topic's partitions.
func (c *Catalog) open(t *meta.Topic) (*Topic, error) {
	topic := c.describe(t, nil)
	for len(topic.slots) < t.Partitions {
		s, err := c.openSlot(topic, len(topic.slots))
		if err != nil {
			topic.close()
			return topic, err
		}
		topic.slots = append(topic.slots, s)
	}
	return topic, nil
}

// describe is a topic as its settings make it, with partitions that are open.
func (c *Catalog) describe(t *meta.Topic, slots []slot) *Topic {
	internal := internalTopic(t.Name)
	v := c.live.View()
	return &Topic{
		Topic: t, Internal: internal, Rules: rulesOf(v, t.Settings), options: logOptions(v, t.Settings, internal), slots: slots,
		deletes: slices.Contains(v.Topic(t.Settings, "cleanup.policy").Items, "delete"),
	}
}

// openSlot opens one partition. A damaged one is offline (T4); any other error is the disk's or ours, and final.
func (c *Catalog) openSlot(t *Topic, i int) (slot, error) {
	name := logName(t.Name, i)
	p, err := partition.Open(c.engine, name, c.store.Image().Epoch(t.Topic), t.options)
	if errors.Is(err, engine.ErrCorrupt) {
		c.log.Error("partition is damaged and offline; the others go on", "partition", name, "err", err)
		return slot{err: err}, nil
	}
	return slot{p: p}, err
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

// Live is the broker's settings as they are now, for rooms that follow them.
func (c *Catalog) Live() *config.Live { return c.live }

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
	Internal   bool // by the broker itself
}

// Check says whether the topic could be made now, and fills in the defaults. Errors: ErrName, ErrPartitions, ErrSetting, ErrExists.
func (c *Catalog) Check(s *Spec) error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if internalTopic(s.Name) && !s.Internal {
		return fmt.Errorf("%w: %q is the broker's own; it is made when it is first needed", ErrName, s.Name)
	}
	if s.Partitions == 0 {
		s.Partitions = c.live.View().Int("num.partitions")
	}
	if s.Partitions < 1 || s.Partitions > meta.MaxPartitions {
		return fmt.Errorf("%w: %d; it must be from 1 to %d", ErrPartitions, s.Partitions, meta.MaxPartitions)
	}
	if fault := c.live.View().CheckTopic(s.Settings); fault != "" {
		return fmt.Errorf("%w: %s", ErrSetting, fault)
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
	if err := c.vacant(s.Name, 0, s.Partitions); err != nil {
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
	c.replace(topic)
	c.tell(Event{Created, topic})
	return topic, nil
}

// replace makes a topic visible, in the place of what had its name. Callers have the turn.
func (c *Catalog) replace(t *Topic) {
	view := maps.Clone(*c.view.Load())
	view[t.Name] = t
	c.publish(view)
}

// vacant makes sure that no log of an earlier life is in the way of the partitions [lo, hi) (T3).
func (c *Catalog) vacant(topic string, lo, hi int) error {
	names := c.engine.Names()
	for i := lo; i < hi; i++ {
		if _, found := slices.BinarySearch(names, logName(topic, i)); found {
			return fmt.Errorf("%w: the data directory holds a log %s that belongs to no topic; move it away first", ErrExists, logName(topic, i))
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
	c.tell(Event{Deleted, topic})
	return c.drop(context.Background(), topic.Topic)
}

// drop drops the logs of a deleted topic, as far as they are there, and records it.
func (c *Catalog) drop(ctx context.Context, t *meta.Topic) error {
	if err := c.dropLogs(t.Name, 0, t.Partitions); err != nil {
		return fmt.Errorf("delete topic %s: %w", t.Name, err)
	}
	return c.store.Dropped(ctx, t.ID)
}

// dropLogs drops the logs of the partitions [lo, hi), as far as they are there.
func (c *Catalog) dropLogs(topic string, lo, hi int) error {
	names := c.engine.Names()
	for i := lo; i < hi; i++ {
		if _, found := slices.BinarySearch(names, logName(topic, i)); !found {
			continue
		}
		if err := c.engine.Drop(logName(topic, i)); err != nil {
			return err
		}
	}
	return nil
}

// Close tells all who wait on any partition that they wait in vain.
func (c *Catalog) Close() {
	for _, t := range c.All() {
		t.close()
	}
}
