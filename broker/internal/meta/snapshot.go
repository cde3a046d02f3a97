package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/engine/batch"
)

// A snapshot keeps the log short: it says in a run of batches what all records before it amount to, after which these are cut off.
//
//	… changes … │ part 0 │ part 1 │ … │ part n, the last │ changes …
//	            └ when the last part is durable, the log is trimmed to here
//
// Each batch of it begins with a snapshotPart. One that has no last part (a crash, a full disk) counts for nothing: the records before
// it are still there, and whatever follows ends it.
const (
	snapshotEvery = 1000      // records before the first one
	snapshotBytes = 256 << 10 // of a batch, about
)

// records say all that the Image holds, in an order that does not change.
func (i *Image) records() []record {
	out := []record{{kind: clusterState, id: i.ClusterID, starts: uint32(i.starts), next: uint64(i.NextProducerID), epoch: uint64(i.FeaturesEpoch)}}
	topic := func(t *Topic, deleted bool) {
		out = append(out, record{
			kind: topicState, id: t.ID, name: t.Name, partitions: uint32(t.Partitions), settings: t.Settings, starts: uint32(t.born), deleted: deleted,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(i.Topics)) {
		topic(i.Topics[name], false)
	}
	for _, t := range slices.SortedFunc(maps.Values(i.Deleted), func(a, b *Topic) int { return strings.Compare(string(a.ID[:]), string(b.ID[:])) }) {
		topic(t, true)
	}
	for _, node := range slices.Sorted(maps.Keys(i.Brokers)) {
		out = append(out, record{kind: brokerSettings, node: node, settings: i.Brokers[node]})
	}
	for _, g := range slices.Sorted(maps.Keys(i.Groups)) {
		out = append(out, record{kind: groupSettings, name: g, settings: i.Groups[g]})
	}
	for _, e := range slices.SortedFunc(maps.Keys(i.Quotas), quota.Compare) {
		out = append(out, record{kind: clientQuotas, entity: e, settings: quotaTexts(i.Quotas[e])})
	}
	for _, name := range slices.Sorted(maps.Keys(i.features)) {
		out = append(out, record{kind: featureLevel, name: name, level: uint16(i.features[name])})
	}
	for _, k := range slices.SortedFunc(maps.Keys(i.Scram), func(a, b ScramKey) int {
		return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
	}) {
		out = append(out, record{kind: scramSet, name: k.User, scram: i.Scram[k]})
	}
	return out
}

func quotaTexts(q map[string]float64) map[string]string {
	out := make(map[string]string, len(q))
	for k, v := range q {
		out[k] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return out
}

// parts are the records of a snapshot, divided into batches.
func (i *Image) parts() [][]record {
	var out [][]record
	var part []record
	bytes := 0
	for _, r := range i.records() {
		if size := len(r.append(nil)); part == nil || bytes+size > snapshotBytes {
			if part != nil {
				out = append(out, part)
			}
			part, bytes = []record{{kind: snapshotPart, index: uint32(len(out))}}, 0
		}
		part = append(part, r)
		bytes += len(r.append(nil))
	}
	part[0].last = true // there is always a clusterState
	return append(out, part)
}

// replay puts together what the log says.
type replay struct {
	image *Image // of all whole snapshots and changes
	side  *Image // of a snapshot that has not ended; nil: there is none
	next  uint32 // its next part
	since int    // records since the last whole snapshot
}

func newReplay() *replay { return &replay{image: &Image{open: true}} }

// batch takes the next batch of the log. Errors: errRecord, batch.ErrCorrupt.
func (p *replay) batch(b batch.Batch) error {
	var failed error
	var part *record
	n := 0
	err := b.Each(func(r batch.Record) bool {
		rec, err := decodeRecord(r.Value)
		switch {
		case err != nil:
		case n == 0 && rec.kind == snapshotPart:
			part = &rec
			err = p.begin(rec)
		case part != nil:
			err = p.side.restore(rec)
		default:
			p.side = nil // it was never ended
			p.since++
			p.image, err = p.image.apply(rec)
		}
		if n++; err != nil {
			failed = fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		return err == nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errRecord, err)
	case failed != nil:
		return failed
	case part != nil && part.last:
		p.image, p.side, p.since = p.side, nil, 0
	}
	return nil
}

// begin takes the head of a part.
func (p *replay) begin(r record) error {
	if r.index == 0 {
		p.side, p.next = &Image{open: true}, 0
	}
	if p.side == nil || r.index != p.next {
		return fmt.Errorf("%w: part %d of a snapshot, wanted is %d", errRecord, r.index, p.next)
	}
	p.next++
	return nil
}

// restore takes a record of a snapshot.
func (i *Image) restore(r record) error {
	switch r.kind {
	case clusterState:
		if i.starts != 0 || i.ClusterID != (UUID{}) {
			return fmt.Errorf("%w: a snapshot has two clusters", errRecord)
		}
		if r.starts > 1<<31-1 || int64(r.next) < 0 || int64(r.epoch) < 0 {
			return fmt.Errorf("%w: a snapshot of %d starts, producer id %d, features epoch %d", errRecord, r.starts, int64(r.next), int64(r.epoch))
		}
		i.ClusterID, i.starts, i.NextProducerID, i.FeaturesEpoch = r.id, int(r.starts), int64(r.next), int64(r.epoch)
		return nil
	case topicState:
		if int(r.starts) > i.starts {
			return fmt.Errorf("%w: topic %q was created at start %d of %d", errRecord, r.name, r.starts, i.starts)
		}
		return i.add(&Topic{ID: r.id, Name: r.name, Partitions: int(r.partitions), Settings: r.settings, born: int(r.starts)}, r.deleted)
	case brokerSettings, groupSettings, clientQuotas, scramSet, featureLevel:
		epoch := i.FeaturesEpoch // the whole of it stood in the clusterState
		_, err := i.apply(r)
		i.FeaturesEpoch = epoch
		return err
	}
	return fmt.Errorf("%w: kind %d in a snapshot", errRecord, r.kind)
}
