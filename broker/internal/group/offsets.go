package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine/batch"
)

// TopicPartition is what an offset is committed for.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Committed is one committed offset.
type Committed struct {
	TopicPartition
	Offset   batch.Offset
	Epoch    batch.Epoch
	Metadata string
}

// Offsets is what groups have committed. Its methods may be called by any goroutine.
type Offsets struct {
	logs Logs
	now  func() time.Time // the wall clock, by which commits are stamped

	opening sync.Mutex
	opened  []*lane

	mu     sync.Mutex
	groups map[string]*ledger
	open   map[open]map[string]bool // the groups that transactions under way have offsets for

	found map[string]*found // groups that were read when it was opened; taken by the Coordinator
}

// open is a producer with a transaction under way in a partition of __consumer_offsets.
type open struct {
	lane     *lane
	producer batch.ProducerID
}

// ledger is what one group has committed.
type ledger struct {
	offsets map[TopicPartition]stored
	pending map[batch.ProducerID]map[TopicPartition]stored // of transactions that have not ended
}

// stored is a committed offset and what decides when it expires.
type stored struct {
	Committed
	committedMs int64
	expireMs    int64 // 0: by the broker's retention
}

func newOffsets(logs Logs, now func() time.Time) *Offsets {
	if now == nil {
		now = time.Now
	}
	return &Offsets{logs: logs, now: now, groups: map[string]*ledger{}, open: map[open]map[string]bool{}, found: map[string]*found{}}
}

// put makes offsets count. Callers hold mu.
func (o *Offsets) put(group string, all ...stored) {
	g := o.ledger(group)
	for _, s := range all {
		g.offsets[s.TopicPartition] = s
	}
}

func (o *Offsets) ledger(group string) *ledger {
	g := o.groups[group]
	if g == nil {
		g = &ledger{map[TopicPartition]stored{}, map[batch.ProducerID]map[TopicPartition]stored{}}
		o.groups[group] = g
	}
	return g
}

// remove takes offsets out, with those of transactions under way: a tombstone stands for both, as in Kafka. Callers hold mu.
func (o *Offsets) remove(group string, all ...TopicPartition) {
	g := o.groups[group]
	if g == nil {
		return
	}
	for _, tp := range all {
		delete(g.offsets, tp)
		for producer, pending := range g.pending {
			if delete(pending, tp); len(pending) == 0 {
				delete(g.pending, producer)
			}
		}
	}
	o.tidy(group, g)
}

func (o *Offsets) tidy(group string, g *ledger) {
	if len(g.offsets) == 0 && len(g.pending) == 0 {
		delete(o.groups, group)
	}
}

// begin notes offsets that count when the producer's transaction commits. Callers hold mu.
func (o *Offsets) begin(l *lane, group string, producer batch.ProducerID, all ...stored) {
	g := o.ledger(group)
	if g.pending[producer] == nil {
		g.pending[producer] = map[TopicPartition]stored{}
	}
	for _, s := range all {
		g.pending[producer][s.TopicPartition] = s
	}
	k := open{l, producer}
	if o.open[k] == nil {
		o.open[k] = map[string]bool{}
	}
	o.open[k][group] = true
}

// end applies a marker. Callers hold mu.
func (o *Offsets) end(l *lane, producer batch.ProducerID, commit bool) {
	k := open{l, producer}
	for group := range o.open[k] {
		g := o.groups[group]
		if g == nil {
			continue
		}
		if commit {
			maps.Copy(g.offsets, g.pending[producer])
		}
		delete(g.pending, producer)
		o.tidy(group, g)
	}
	delete(o.open, k)
}

// Has says that the group has committed anything, or has a transaction under way that would.
func (o *Offsets) Has(group string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.groups[group] != nil
}

// Get gives what the group has committed for a partition.
func (o *Offsets) Get(group string, tp TopicPartition) (c Committed, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		return c, false
	}
	s, ok := g.offsets[tp]
	return s.Committed, ok
}

// All gives all that the group has committed, by topic and partition.
func (o *Offsets) All(group string) []Committed {
	all := o.Fetch(group, nil, false)
	out := make([]Committed, len(all))
	for i, f := range all {
		out[i] = f.Committed
	}
	return out
}

// Fetched is the answer for one partition. Without a committed offset, or with an error, Offset and Epoch are -1.
type Fetched struct {
	Committed
	Err error // nil or ErrUnstable
}

// Fetch gives what the group has committed for the partitions asked for, in their order, or, for nil, all, by topic and partition. With
// stable, a partition for which a transaction under way has an offset is ErrUnstable (KIP-447): the client asks again.
func (o *Offsets) Fetch(group string, asked []TopicPartition, stable bool) []Fetched {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		g = new(ledger)
	}
	if asked == nil {
		asked = g.partitions(stable)
	}
	out := make([]Fetched, len(asked))
	for i, tp := range asked {
		s, ok := g.offsets[tp]
		f := Fetched{Committed: s.Committed}
		if stable && g.undecided(tp) {
			f.Err, ok = ErrUnstable, false
		}
		if !ok {
			f.Committed = Committed{TopicPartition: tp, Offset: -1, Epoch: batch.NoEpoch}
		}
		out[i] = f
	}
	return out
}

// partitions lists those with an offset, and, if asked, those with an undecided one only.
func (g *ledger) partitions(undecided bool) []TopicPartition {
	set := map[TopicPartition]bool{}
	for tp := range g.offsets {
		set[tp] = true
	}
	if undecided {
		for _, pending := range g.pending {
			for tp := range pending {
				set[tp] = true
			}
		}
	}
	return sortedPartitions(set)
}

func sortedPartitions(set map[TopicPartition]bool) []TopicPartition {
	return slices.SortedFunc(maps.Keys(set), func(a, b TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

func (g *ledger) undecided(tp TopicPartition) bool {
	for _, pending := range g.pending {
		if _, ok := pending[tp]; ok {
			return true
		}
	}
	return false
}

// Commit writes offsets of a group, all or none, without asking the group. w is told when they are durable and Fetch gives them (G5);
// on an error it is not called. Errors: the engine's, those of making the topic.
func (o *Offsets) Commit(ctx context.Context, group string, all []Committed, w partition.Waiter) error {
	l, err := o.laneOf(ctx, group)
	if err != nil {
		return err
	}
	return o.commit(l, group, 0, all, w)
}

func (o *Offsets) commit(l *lane, group string, retention time.Duration, all []Committed, w partition.Waiter) error {
	rows, pairs := offsetRecords(group, all, o.now(), retention)
	return l.write(pairs, func(err error) {
		if err == nil && len(rows) > 0 {
			o.mu.Lock()
			o.put(group, rows...)
			o.mu.Unlock()
		}
		w.Done(err)
	})
}

func offsetRecords(group string, all []Committed, now time.Time, retention time.Duration) (rows []stored, pairs []pair) {
	ms, expire := now.UnixMilli(), int64(0)
	if retention > 0 {
		expire = now.Add(retention).UnixMilli()
	}
	rows, pairs = make([]stored, len(all)), make([]pair, len(all))
	for i, c := range all {
		rows[i] = stored{Committed: c, committedMs: ms, expireMs: expire}
		pairs[i] = pair{offsetKey(group, c.TopicPartition), &record.OffsetValue{
			Offset: int64(c.Offset), Epoch: int32(c.Epoch), Metadata: c.Metadata, CommitMs: ms, ExpireMs: expire, HasExpiry: expire > 0,
		}}
	}
	return rows, pairs
}

func offsetKey(group string, tp TopicPartition) record.Key {
	return record.Key{Kind: record.Offset, Group: group, Name: tp.Topic, Partition: tp.Partition}
}

// Producer is who has a transaction under way.
type Producer struct {
	ID    batch.ProducerID
	Epoch batch.ProducerEpoch
}

// TxnCommit writes offsets of a group as part of a producer's transaction, all or none, without asking the group. w is told when they are
// durable: they count when Marker commits the transaction. Errors: as for Commit, and engine.ErrFencedProducer.
func (o *Offsets) TxnCommit(ctx context.Context, group string, p Producer, all []Committed, w partition.Waiter) error {
	l, err := o.laneOf(ctx, group)
	if err != nil {
		return err
	}
	return o.txnCommit(l, group, p, all, w)
}

func (o *Offsets) txnCommit(l *lane, group string, p Producer, all []Committed, w partition.Waiter) error {
	now := o.now()
	rows, pairs := offsetRecords(group, all, now, 0)
	b := batch.Builder{ProducerID: p.ID, ProducerEpoch: p.Epoch, BaseSequence: batch.NoSequence, Sequenced: true, Transactional: true}
	built, err := build(&b, now, pairs)
	if err != nil {
		return err
	}
	if built == nil {
		w.Done(nil)
		return nil
	}
	return l.append(built, func(err error) {
		if err == nil {
			o.mu.Lock()
			o.begin(l, group, p.ID, rows...)
			o.mu.Unlock()
		}
		w.Done(err)
	})
}

// Marker ends a producer's transaction in a partition of __consumer_offsets: its offsets count, or vanish. w is told when the marker
// is durable and applied. A marker for which there is nothing to end is written all the same, and harmless.
// Errors: ErrNotAvailable where there is no such partition, and the engine's.
func (o *Offsets) Marker(ctx context.Context, index int, p Producer, coordinatorEpoch int32, commit bool, w partition.Waiter) error {
	all, err := o.lanes(ctx, true)
	if err != nil {
		return err
	}
	if index < 0 || index >= len(all) {
		return fmt.Errorf("%w: __consumer_offsets has %d partitions, not %d", ErrNotAvailable, len(all), index)
	}
	l, kind := all[index], batch.Abort
	if commit {
		kind = batch.Commit
	}
	return l.append(batch.EndTxnMarker(kind, p.ID, p.Epoch, coordinatorEpoch, o.now()), func(err error) {
		if err == nil {
			o.mu.Lock()
			o.end(l, p.ID, commit)
			o.mu.Unlock()
		}
		w.Done(err)
	})
}

// removeBatch is how many offsets one batch of tombstones takes out.
const removeBatch = 1000

// drop writes tombstones for offsets of a group, followed by more records of the group, and takes the offsets out when they are
// durable. w is told after the last batch; on an error it is not called, and some of the offsets may be gone.
func (o *Offsets) drop(l *lane, group string, all []TopicPartition, more []pair, w partition.Waiter) error {
	for chunk := range slices.Chunk(all, removeBatch) {
		pairs := make([]pair, len(chunk))
		for i, tp := range chunk {
			pairs[i] = pair{key: offsetKey(group, tp)}
		}
		last := len(chunk) == 0 || chunk[len(chunk)-1] == all[len(all)-1]
		err := l.write(pairs, func(err error) {
			if err == nil {
				o.mu.Lock()
				o.remove(group, chunk...)
				o.mu.Unlock()
			}
			if last && len(more) == 0 {
				w.Done(err)
			}
		})
		if err != nil {
			return err
		}
	}
	if len(all) > 0 && len(more) == 0 {
		return nil
	}
	return l.write(more, w.Done)
}

// load applies a batch that was read. Errors: record.ErrRecord.
func (o *Offsets) load(l *lane, b batch.Batch) error {
	if b.Control() {
		if kind, _, ok := b.ControlType(); ok && (kind == batch.Commit || kind == batch.Abort) {
			o.end(l, b.ProducerID(), kind == batch.Commit)
		}
		return nil
	}
	var bad error
	err := b.Each(func(r batch.Record) bool {
		if bad = o.loadRecord(l, b, r); bad != nil {
			bad = fmt.Errorf("offset %d: %w", r.Offset, bad)
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

func (o *Offsets) loadRecord(l *lane, b batch.Batch, r batch.Record) error {
	k, known, err := record.DecodeKey(r.Key)
	switch {
	case err != nil || !known:
		return err
	case k.Kind != record.Offset:
		return o.findGroup(k, r.Value)
	}
	tp := TopicPartition{k.Name, k.Partition}
	if r.Value == nil {
		o.remove(k.Group, tp)
		return nil
	}
	var v record.OffsetValue
	if err := record.Decode(r.Value, &v); err != nil {
		return err
	}
	s := stored{Committed{tp, batch.Offset(v.Offset), batch.Epoch(v.Epoch), v.Metadata}, v.CommitMs, 0}
	if v.HasExpiry {
		s.expireMs = v.ExpireMs
	}
	if b.Transactional() {
		o.begin(l, k.Group, b.ProducerID(), s)
		return nil
	}
	o.put(k.Group, s)
	return nil
}
