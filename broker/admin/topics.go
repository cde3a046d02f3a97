package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Topic is one topic.
type Topic struct {
	Topic       string `json:"topic"`
	Partitions  int    `json:"partitions"`
	Replication int    `json:"replication"`
	Internal    bool   `json:"internal"`
	ID          string `json:"id"` // as Kafka prints it; "" when the cluster has none
}

// Topics lists the topics, the cluster's own only if internal says so.
func (c *Client) Topics(ctx context.Context, internal bool) ([]Topic, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, c.explain("list topics", err)
	}
	rows, errs := []Topic{}, []error{}
	for _, t := range all.Sorted() {
		if t.Err != nil {
			errs = append(errs, c.explain("topic "+t.Topic, t.Err))
		} else if !t.IsInternal || internal {
			rows = append(rows, topicRow(t))
		}
	}
	return rows, errors.Join(errs...)
}

func topicRow(t kadm.TopicDetail) Topic {
	row := Topic{Topic: t.Topic, Partitions: len(t.Partitions), Replication: t.Partitions.NumReplicas(), Internal: t.IsInternal}
	if t.ID != (kadm.TopicID{}) {
		row.ID = idString(t.ID)
	}
	return row
}

// idString is base64 as Kafka has it: for URLs, without padding.
func idString(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Partition is one partition of a topic.
type Partition struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"` // -1: none
	Epoch     int32   `json:"epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"start"` // first offset kept
	End       int64   `json:"end"`   // high watermark
}

// Partitions describes topics.
func (c *Client) Partitions(ctx context.Context, topics ...string) ([]Partition, error) {
	ctx, done := c.within(ctx)
	defer done()
	known, err := c.known(ctx, topics)
	if len(known) == 0 {
		return []Partition{}, err
	}
	starts, serr := c.kadm.ListStartOffsets(ctx, names(known)...)
	ends, eerr := c.kadm.ListEndOffsets(ctx, names(known)...)
	if lerr := errors.Join(serr, eerr); lerr != nil {
		err = errors.Join(err, c.explain("list offsets", lerr))
	}
	rows := []Partition{}
	for _, t := range known {
		for _, p := range t.Partitions.Sorted() {
			row := Partition{t.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, -1, -1}
			if o, ok := starts.Lookup(t.Topic, p.Partition); ok && o.Err == nil {
				row.Start = o.Offset
			}
			if o, ok := ends.Lookup(t.Topic, p.Partition); ok && o.Err == nil {
				row.End = o.Offset
			}
			if p.Err != nil {
				err = errors.Join(err, c.explain(fmt.Sprintf("partition %s-%d", t.Topic, p.Partition), p.Err))
			}
			rows = append(rows, row)
		}
	}
	return rows, err
}

// known looks topics up; the error names those that there are not.
func (c *Client) known(ctx context.Context, topics []string) ([]kadm.TopicDetail, error) {
	all, err := c.kadm.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return nil, c.explain("describe topics", err)
	}
	var good []kadm.TopicDetail
	var errs []error
	for _, t := range all.Sorted() {
		if t.Err != nil {
			errs = append(errs, c.explain("topic "+t.Topic, t.Err))
			continue
		}
		good = append(good, t)
	}
	return good, errors.Join(errs...)
}

func names(topics []kadm.TopicDetail) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = t.Topic
	}
	return out
}

// NewTopic says what a topic is to be.
type NewTopic struct {
	Partitions  int32 // -1: the cluster's default
	Replication int16 // -1: the cluster's default
	Settings    map[string]string
	IfNotExists bool // one that is there already is no error, and no row
	DryRun      bool // only ask whether it could be
}

// CreateTopics makes topics, all alike.
func (c *Client) CreateTopics(ctx context.Context, n NewTopic, topics ...string) ([]Topic, error) {
	ctx, done := c.within(ctx)
	defer done()
	settings := map[string]*string{}
	for k, v := range n.Settings {
		settings[k] = &v
	}
	create := c.kadm.CreateTopics
	if n.DryRun {
		create = c.kadm.ValidateCreateTopics
	}
	all, err := create(ctx, n.Partitions, n.Replication, settings, topics...)
	if err != nil {
		return nil, c.explain("create topics", err)
	}
	rows, errs := []Topic{}, []error{}
	for _, t := range all.Sorted() {
		switch {
		case t.Err == nil:
			row := Topic{Topic: t.Topic, Partitions: int(t.NumPartitions), Replication: int(t.ReplicationFactor)}
			if t.ID != (kadm.TopicID{}) {
				row.ID = idString(t.ID)
			}
			rows = append(rows, row)
		case n.IfNotExists && errors.Is(t.Err, kerr.TopicAlreadyExists):
		default:
			errs = append(errs, c.refused("create topic "+t.Topic, t.Err, t.ErrMessage))
		}
	}
	return rows, errors.Join(errs...)
}

// Done names something that was done.
type Done struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Done string `json:"done"`
}

// DeleteTopics ends topics, with all their records.
func (c *Client) DeleteTopics(ctx context.Context, ifExists bool, topics ...string) ([]Done, error) {
	ctx, done := c.within(ctx)
	defer done()
	all, err := c.kadm.DeleteTopics(ctx, topics...)
	if err != nil {
		return nil, c.explain("delete topics", err)
	}
	rows, errs := []Done{}, []error{}
	for _, t := range all.Sorted() {
		switch {
		case t.Err == nil:
			rows = append(rows, Done{"topic", t.Topic, "deleted"})
		case ifExists && errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		default:
			errs = append(errs, c.refused("delete topic "+t.Topic, t.Err, t.ErrMessage))
		}
	}
	return rows, errors.Join(errs...)
}

// AddPartitions gives topics so many partitions in all.
func (c *Client) AddPartitions(ctx context.Context, total int, dryRun bool, topics ...string) ([]Done, error) {
	ctx, done := c.within(ctx)
	defer done()
	update := c.kadm.UpdatePartitions
	if dryRun {
		update = c.kadm.ValidateUpdatePartitions
	}
	all, err := update(ctx, total, topics...)
	if err != nil {
		return nil, c.explain("add partitions", err)
	}
	rows, errs := []Done{}, []error{}
	for _, t := range all.Sorted() {
		if t.Err != nil {
			errs = append(errs, c.refused("add partitions to topic "+t.Topic, t.Err, t.ErrMessage))
			continue
		}
		what := fmt.Sprintf("has_%d_partitions", total)
		if dryRun {
			what = fmt.Sprintf("could_have_%d_partitions", total)
		}
		rows = append(rows, Done{"topic", t.Topic, what})
	}
	return rows, errors.Join(errs...)
}

// Trimmed is where a partition begins after a trim.
type Trimmed struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
}

// Trim deletes the records below an offset of a topic's partitions, for good. partitions empty: all of them.
func (c *Client) Trim(ctx context.Context, topic string, partitions []int32, to Target) ([]Trimmed, error) {
	if to.Shift || to.Kind == AtStart {
		return nil, fmt.Errorf("trim %s: give an offset, a time or the end; below the start there is nothing", topic)
	}
	ctx, done := c.within(ctx)
	defer done()
	at, err := c.resolve(ctx, topic, partitions, to)
	if err != nil {
		return nil, err
	}
	var offsets kadm.Offsets
	for p, o := range at {
		offsets.AddOffset(topic, p, o, -1)
	}
	all, err := c.kadm.DeleteRecords(ctx, offsets)
	if err != nil {
		return nil, c.explain("trim "+topic, err)
	}
	rows, errs := []Trimmed{}, []error{}
	for _, r := range all.Sorted() {
		if r.Err != nil {
			errs = append(errs, c.explain(fmt.Sprintf("trim %s-%d", r.Topic, r.Partition), r.Err))
			continue
		}
		rows = append(rows, Trimmed{r.Topic, r.Partition, r.LowWatermark})
	}
	return rows, errors.Join(errs...)
}

// resolve says which offset a target is in each partition. partitions empty: all of the topic's.
func (c *Client) resolve(ctx context.Context, topic string, partitions []int32, to Target) (map[int32]int64, error) {
	known, err := c.known(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	var have []int32
	for _, t := range known {
		have = slices.Sorted(maps.Keys(t.Partitions))
	}
	for _, p := range partitions {
		if !slices.Contains(have, p) {
			return nil, fmt.Errorf("topic %s has %d partitions, and no partition %d", topic, len(have), p)
		}
	}
	if len(partitions) == 0 {
		partitions = have
	}
	var listed kadm.ListedOffsets
	switch to.Kind {
	case AtStart:
		listed, err = c.kadm.ListStartOffsets(ctx, topic)
	case AtEnd:
		listed, err = c.kadm.ListEndOffsets(ctx, topic)
	case atStable:
		listed, err = c.kadm.ListCommittedOffsets(ctx, topic)
	case AtTime:
		listed, err = c.kadm.ListOffsetsAfterMilli(ctx, to.Time.UnixMilli(), topic)
	}
	if err != nil {
		return nil, c.explain("list offsets of "+topic, err)
	}
	out := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		out[p] = to.Offset
		if to.Kind == AtOffset {
			continue
		}
		o, ok := listed.Lookup(topic, p)
		if !ok || o.Err != nil {
			return nil, c.explain(fmt.Sprintf("list offsets of %s-%d", topic, p), cmpOr(o.Err, kerr.UnknownTopicOrPartition))
		}
		out[p] = o.Offset
	}
	return out, nil
}

func cmpOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
