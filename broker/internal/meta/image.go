package meta

import (
	"fmt"
	"maps"

	"github.com/streambus/streambus/engine/batch"
)

// Topic is one topic. It does not change.
type Topic struct {
	ID         UUID
	Name       string
	Partitions int
	Settings   map[string]string // those set when it was created; the others are the broker's defaults
	born       int               // starts of the broker before it was created
}

// Image is the metadata at one moment (M5). The zero Image is of a cluster without a record.
type Image struct {
	ClusterID      UUID
	Topics         map[string]*Topic
	ByID           map[UUID]*Topic
	Deleted        map[UUID]*Topic // deleted, their logs not dropped yet
	NextProducerID int64
	starts         int
}

// Epoch is the leader epoch of a topic's partitions: how often the broker has started since it was created. A start is a
// change of leadership, since what was not flushed before is gone.
func (i *Image) Epoch(t *Topic) batch.Epoch { return batch.Epoch(i.starts - t.born) }

// apply gives the Image with r applied. Errors: errRecord where r does not fit the state, which no writer here brings about.
func (i *Image) apply(r record) (*Image, error) {
	n := *i
	switch r.kind {
	case clusterCreated:
		if i.ClusterID != (UUID{}) {
			return nil, fmt.Errorf("%w: cluster %v is created again as %v", errRecord, i.ClusterID, r.id)
		}
		n.ClusterID = r.id
	case brokerStarted:
		n.starts++
	case topicCreated:
		return n.created(r)
	case topicDeleted:
		t := i.ByID[r.id]
		if t == nil {
			return nil, fmt.Errorf("%w: topic %v is deleted and does not exist", errRecord, r.id)
		}
		n.Topics, n.ByID, n.Deleted = maps.Clone(i.Topics), maps.Clone(i.ByID), cloned(i.Deleted)
		delete(n.Topics, t.Name)
		delete(n.ByID, t.ID)
		n.Deleted[t.ID] = t
	case topicDropped:
		if i.Deleted[r.id] == nil {
			return nil, fmt.Errorf("%w: topic %v is dropped and was not deleted", errRecord, r.id)
		}
		n.Deleted = maps.Clone(i.Deleted)
		delete(n.Deleted, r.id)
	case producerIDs:
		if int64(r.next) <= i.NextProducerID {
			return nil, fmt.Errorf("%w: producer ids go back from %d to %d", errRecord, i.NextProducerID, int64(r.next))
		}
		n.NextProducerID = int64(r.next)
	}
	return &n, nil
}

// created works on a copy of the old Image.
func (i Image) created(r record) (*Image, error) {
	switch {
	case i.Topics[r.name] != nil || i.ByID[r.id] != nil || i.Deleted[r.id] != nil:
		return nil, fmt.Errorf("%w: topic %q (%v) is created twice", errRecord, r.name, r.id)
	case r.partitions < 1 || r.partitions > MaxPartitions:
		return nil, fmt.Errorf("%w: topic %q has %d partitions", errRecord, r.name, r.partitions)
	}
	t := &Topic{ID: r.id, Name: r.name, Partitions: int(r.partitions), Settings: r.settings, born: i.starts}
	i.Topics, i.ByID = cloned(i.Topics), cloned(i.ByID)
	i.Topics[t.Name], i.ByID[t.ID] = t, t
	return &i, nil
}

// cloned is maps.Clone that makes a map of nil.
func cloned[K comparable](m map[K]*Topic) map[K]*Topic {
	if m == nil {
		return map[K]*Topic{}
	}
	return maps.Clone(m)
}
