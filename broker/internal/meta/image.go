package meta

import (
	"fmt"
	"maps"
	"math"
	"strconv"

	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/engine/batch"
)

// Topic is one topic. It does not change.
type Topic struct {
	ID         UUID
	Name       string
	Partitions int
	Settings   map[string]string // its own; the others are the broker's defaults
	born       int               // starts of the broker before it was created
}

// Image is the metadata at one moment (M5). The zero Image is of a cluster without a record. Its maps may be nil.
type Image struct {
	ClusterID      UUID
	Topics         map[string]*Topic
	ByID           map[UUID]*Topic
	Deleted        map[UUID]*Topic // deleted, their logs not dropped yet
	NextProducerID int64
	Brokers        map[int32]map[string]string         // settings of brokers that were set over the wire, and of all (EveryBroker)
	Groups         map[string]map[string]string        // settings of groups
	Quotas         map[quota.Entity]map[string]float64 // quotas of clients
	Scram          map[ScramKey]Scram                  // credentials
	FeaturesEpoch  int64                               // how often a feature's level was set

	features map[string]int16 // levels that were set
	starts   int
	open     bool // nobody else has it: maps may be changed where they are
}

// EveryBroker is the node whose settings are those of all brokers.
const EveryBroker int32 = -1

// Epoch is the leader epoch of a topic's partitions: how often the broker has started since it was created. A start is a
// change of leadership, since what was not flushed before is gone.
func (i *Image) Epoch(t *Topic) batch.Epoch { return batch.Epoch(i.starts - t.born) }

// apply gives the Image with r applied. An open Image is changed itself; on an error it is of no more use. Errors: errRecord
// where r does not fit the state, which no writer here brings about.
func (i *Image) apply(r record) (*Image, error) {
	n := i
	if !i.open {
		c := *i
		n = &c
	}
	switch r.kind {
	case clusterCreated:
		if i.ClusterID != (UUID{}) {
			return nil, fmt.Errorf("%w: cluster %v is created again as %v", errRecord, i.ClusterID, r.id)
		}
		n.ClusterID = r.id
	case brokerStarted:
		n.starts++
	case topicCreated:
		return n, n.add(&Topic{ID: r.id, Name: r.name, Partitions: int(r.partitions), Settings: r.settings, born: i.starts}, false)
	case topicDeleted, topicChanged, partitionsSet:
		return n, n.alter(r)
	case topicDropped:
		if i.Deleted[r.id] == nil {
			return nil, fmt.Errorf("%w: topic %v is dropped and was not deleted", errRecord, r.id)
		}
		n.Deleted = own(n, n.Deleted)
		delete(n.Deleted, r.id)
	case producerIDs:
		if int64(r.next) <= i.NextProducerID {
			return nil, fmt.Errorf("%w: producer ids go back from %d to %d", errRecord, i.NextProducerID, int64(r.next))
		}
		n.NextProducerID = int64(r.next)
	case brokerSettings:
		n.Brokers = own(n, n.Brokers)
		put(n.Brokers, r.node, r.settings)
	case groupSettings:
		n.Groups = own(n, n.Groups)
		put(n.Groups, r.name, r.settings)
	case clientQuotas:
		return n, n.setQuotas(r)
	case featureLevel:
		if r.level > math.MaxInt16 {
			return nil, fmt.Errorf("%w: feature %q at level %d", errRecord, r.name, r.level)
		}
		n.features = own(n, n.features)
		n.features[r.name] = int16(r.level)
		n.FeaturesEpoch++
	case scramSet:
		n.Scram = own(n, n.Scram)
		n.Scram[ScramKey{r.name, r.scram.Mechanism}] = r.scram
	case scramRemoved:
		n.Scram = own(n, n.Scram)
		delete(n.Scram, ScramKey{r.name, r.scram.Mechanism})
	default:
		return nil, fmt.Errorf("%w: kind %d stands where none of it may", errRecord, r.kind)
	}
	return n, nil
}

// add makes a topic part of n, which is ours to change.
func (i *Image) add(t *Topic, deleted bool) error {
	switch {
	case i.Topics[t.Name] != nil && !deleted || i.ByID[t.ID] != nil || i.Deleted[t.ID] != nil:
		return fmt.Errorf("%w: topic %q (%v) is created twice", errRecord, t.Name, t.ID)
	case t.Partitions < 1 || t.Partitions > MaxPartitions:
		return fmt.Errorf("%w: topic %q has %d partitions", errRecord, t.Name, t.Partitions)
	}
	if deleted {
		i.Deleted = own(i, i.Deleted)
		i.Deleted[t.ID] = t
		return nil
	}
	i.Topics, i.ByID = own(i, i.Topics), own(i, i.ByID)
	i.Topics[t.Name], i.ByID[t.ID] = t, t
	return nil
}

// alter changes or deletes a topic of n, which is ours to change.
func (i *Image) alter(r record) error {
	old := i.ByID[r.id]
	if old == nil {
		return fmt.Errorf("%w: topic %v is changed or deleted and does not exist", errRecord, r.id)
	}
	i.Topics, i.ByID = own(i, i.Topics), own(i, i.ByID)
	t := *old
	switch r.kind {
	case topicDeleted:
		i.Deleted = own(i, i.Deleted)
		delete(i.Topics, t.Name)
		delete(i.ByID, t.ID)
		i.Deleted[t.ID] = old
		return nil
	case topicChanged:
		t.Settings = r.settings
	case partitionsSet:
		if r.partitions < 1 || r.partitions > MaxPartitions {
			return fmt.Errorf("%w: topic %q gets %d partitions", errRecord, t.Name, r.partitions)
		}
		t.Partitions = int(r.partitions)
	}
	i.Topics[t.Name], i.ByID[t.ID] = &t, &t
	return nil
}

func (i *Image) setQuotas(r record) error {
	if r.entity == (quota.Entity{}) {
		return fmt.Errorf("%w: quotas of nobody", errRecord)
	}
	var values map[string]float64
	for k, text := range r.settings {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: quota %s = %q", errRecord, k, text)
		}
		if values == nil {
			values = map[string]float64{}
		}
		values[k] = v
	}
	i.Quotas = own(i, i.Quotas)
	if delete(i.Quotas, r.entity); values != nil {
		i.Quotas[r.entity] = values
	}
	return nil
}

// put sets or, where there are no settings left, removes.
func put[K comparable](m map[K]map[string]string, k K, settings map[string]string) {
	if delete(m, k); len(settings) > 0 {
		m[k] = settings
	}
}

// own gives a map that may be changed: m itself where the Image is open.
func own[K comparable, V any](i *Image, m map[K]V) map[K]V {
	switch {
	case m == nil:
		return map[K]V{}
	case i.open:
		return m
	}
	return maps.Clone(m)
}
