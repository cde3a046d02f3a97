package meta

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// MaxPartitions bounds one topic: each partition costs open files and start-up time.
const MaxPartitions = 10_000

// producerIDBlock is how many producer ids are made durable at once: one flush per thousand producers.
const producerIDBlock = 1000

var (
	// ErrExists: there is a topic of that name.
	ErrExists = errors.New("topic exists")
	// ErrNoTopic: there is no such topic.
	ErrNoTopic = errors.New("no such topic")
	// ErrTooLong: a name or value is longer than the metadata takes (Kafka: INVALID_REQUEST).
	ErrTooLong = errors.New("too long for the metadata")
)

// Journal is the log of records. partition.Partition is one.
type Journal interface {
	// Write appends a batch and returns when it is durable.
	Write(ctx context.Context, b batch.Batch) error
	// Replay calls f with every durable batch, oldest first.
	Replay(f func(batch.Batch) error) error
	// HighWatermark is where the next batch will begin, when nothing is being written.
	HighWatermark() batch.Offset
	// Trim cuts off what lies before an offset, durably.
	Trim(to batch.Offset) error
}

// LogOptions are those of the log that is the Journal. Segments are small, since only whole ones can go when a snapshot was made.
func LogOptions() engine.LogOptions { return engine.LogOptions{Reserve: true, SegmentBytes: 4 << 20} }

// Store is the metadata and its log. Its methods may be called by any goroutine.
type Store struct {
	journal Journal
	image   atomic.Pointer[Image]
	turn    chan struct{} // holds one token: who has it may append. (No mutex, for it is held while waiting for a flush.)

	// Owned by who has the turn.
	nextID  int64 // the next producer id to give
	since   int   // records since the last snapshot
	watches map[*watch]struct{}
}

// Open replays the journal, and records a start and, where it is the first, the cluster.
func Open(ctx context.Context, j Journal) (*Store, error) {
	s := &Store{journal: j, turn: make(chan struct{}, 1), watches: map[*watch]struct{}{}}
	p := newReplay()
	if err := j.Replay(p.batch); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	image := p.image
	image.open, s.since = false, p.since
	s.image.Store(image)
	s.nextID = image.NextProducerID // the rest of the last block is lost, not given twice (M3)
	s.turn <- struct{}{}
	if image.ClusterID == (UUID{}) {
		if err := s.change(ctx, func(*Image) (record, error) { return record{kind: clusterCreated, id: newUUID()}, nil }); err != nil {
			return nil, err
		}
	}
	if err := s.change(ctx, func(*Image) (record, error) { return record{kind: brokerStarted}, nil }); err != nil {
		return nil, err
	}
	return s, nil
}

// newUUID is random and does not begin with '-' in its text form, which command lines would take for an option.
func newUUID() UUID {
	for {
		var u UUID
		rand.Read(u[:])
		if u.String()[0] != '-' {
			return u
		}
	}
}

// Image is the metadata as it is now.
func (s *Store) Image() *Image { return s.image.Load() }

// take gets the turn; give hands it on.
func (s *Store) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("metadata: %w", context.Cause(ctx))
	}
}

func (s *Store) give() { s.turn <- struct{}{} }

// change makes one change durable and then visible (M1). decide looks at the Image that the record will be applied to.
func (s *Store) change(ctx context.Context, decide func(*Image) (record, error)) error {
	return s.changes(ctx, func(i *Image) ([]record, error) {
		r, err := decide(i)
		return []record{r}, err
	})
}

// changes is change for several records that count together or not at all; none is no change.
func (s *Store) changes(ctx context.Context, decide func(*Image) ([]record, error)) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	recs, err := decide(s.Image())
	if err != nil || len(recs) == 0 {
		return err
	}
	if err := s.write(recs...); err != nil {
		return err
	}
	s.snapshotIfDue()
	return nil
}

// write applies records, which become one batch, when they are durable. It waits for that whatever becomes of the caller, since until
// then it is not known what the log holds. A write fails because nothing was taken, or because the disk is lost: in the second case
// the log may hold records that the Image lacks, but nothing can be written after them before the next start replays them. Callers
// have the turn.
func (s *Store) write(recs ...record) error {
	next := s.Image()
	for _, rec := range recs {
		var err error
		if next, err = next.apply(rec); err != nil {
			return err
		}
	}
	if err := s.put(recs); err != nil {
		return err
	}
	s.since += len(recs)
	s.image.Store(next)
	for w := range s.watches {
		w.f(next)
	}
	return nil
}

type watch struct{ f func(*Image) }

// Watch has f called with the Image that there is, at once, and with each later one, in order, until cancel is called. f must be quick
// and must not call the Store, but for Image, nor cancel. Errors: the context's.
func (s *Store) Watch(ctx context.Context, f func(*Image)) (cancel func(), err error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	w := &watch{f}
	s.watches[w] = struct{}{}
	f(s.Image())
	return func() {
		<-s.turn // whoever has it gives it back
		defer s.give()
		delete(s.watches, w)
	}, nil
}

// put appends records as one batch and waits until it is durable. Callers have the turn.
func (s *Store) put(recs []record) error {
	var b batch.Builder
	for _, rec := range recs {
		value, err := rec.encode()
		if err != nil {
			return err
		}
		b.Add(time.Now(), nil, value)
	}
	if err := s.journal.Write(context.Background(), b.Batch()); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return nil
}

// snapshotIfDue writes a snapshot when the log holds several times what there is to say, and cuts off what was before it. When there
// is no room for that the next change tries again; what is left of the attempt counts for nothing. Callers have the turn.
func (s *Store) snapshotIfDue() {
	if s.since < snapshotEvery {
		return
	}
	parts := s.Image().parts()
	records := 0
	for _, p := range parts {
		records += len(p)
	}
	if s.since < 2*records {
		return
	}
	begin := s.journal.HighWatermark()
	for _, p := range parts {
		if s.put(p) != nil {
			return
		}
	}
	s.since = 0
	_ = s.journal.Trim(begin) // the next snapshot's trim goes further
}

// CreateTopic makes a topic durable. Its partitions are the caller's to open. Errors: ErrExists, ErrTooLong, or the journal's.
func (s *Store) CreateTopic(ctx context.Context, name string, partitions int, settings map[string]string) (*Topic, error) {
	id := newUUID()
	settings = owned(settings)
	err := s.change(ctx, func(i *Image) (record, error) {
		if i.Topics[name] != nil {
			return record{}, fmt.Errorf("%w: %q", ErrExists, name)
		}
		return record{kind: topicCreated, id: id, name: name, partitions: uint32(partitions), settings: settings}, nil
	})
	if err != nil {
		return nil, err
	}
	return s.Image().ByID[id], nil
}

// owned is a copy of settings, as a replay gives it.
func owned(settings map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, settings)
	return out
}

// ChangeTopic sets all of a topic's own settings. Errors: ErrNoTopic, ErrTooLong, or the journal's.
func (s *Store) ChangeTopic(ctx context.Context, id UUID, settings map[string]string) error {
	return s.alter(ctx, record{kind: topicChanged, id: id, settings: owned(settings)})
}

// SetPartitions says how many partitions a topic has from then on. Less than it had is only for who could not open the new ones.
// Errors: ErrNoTopic, or the journal's.
func (s *Store) SetPartitions(ctx context.Context, id UUID, n int) error {
	return s.alter(ctx, record{kind: partitionsSet, id: id, partitions: uint32(n)})
}

func (s *Store) alter(ctx context.Context, r record) error {
	return s.change(ctx, func(i *Image) (record, error) {
		if i.ByID[r.id] == nil {
			return record{}, fmt.Errorf("%w: %v", ErrNoTopic, r.id)
		}
		return r, nil
	})
}

// SetBroker sets all settings of a broker, or of EveryBroker, that are set over the wire. Errors: ErrTooLong, or the journal's.
func (s *Store) SetBroker(ctx context.Context, node int32, settings map[string]string) error {
	return s.change(ctx, func(*Image) (record, error) {
		return record{kind: brokerSettings, node: node, settings: owned(settings)}, nil
	})
}

// SetGroup sets all settings of a group. Errors: ErrTooLong, or the journal's.
func (s *Store) SetGroup(ctx context.Context, group string, settings map[string]string) error {
	return s.change(ctx, func(*Image) (record, error) {
		return record{kind: groupSettings, name: group, settings: owned(settings)}, nil
	})
}

// DeleteTopic makes a topic's end durable. Its logs are the caller's to drop, and to report by Dropped. Errors: ErrNoTopic,
// or the journal's.
func (s *Store) DeleteTopic(ctx context.Context, id UUID) error {
	return s.change(ctx, func(i *Image) (record, error) {
		if i.ByID[id] == nil {
			return record{}, fmt.Errorf("%w: %v", ErrNoTopic, id)
		}
		return record{kind: topicDeleted, id: id}, nil
	})
}

// Dropped records that the logs of a deleted topic are gone.
func (s *Store) Dropped(ctx context.Context, id UUID) error {
	return s.change(ctx, func(*Image) (record, error) { return record{kind: topicDropped, id: id}, nil })
}

// NewProducerID gives an id that was never given before (M3).
func (s *Store) NewProducerID(ctx context.Context) (batch.ProducerID, error) {
	if err := s.take(ctx); err != nil {
		return batch.NoProducerID, err
	}
	defer s.give()
	if durable := s.Image().NextProducerID; s.nextID == durable {
		if err := s.write(record{kind: producerIDs, next: uint64(durable + producerIDBlock)}); err != nil {
			return batch.NoProducerID, err
		}
		s.snapshotIfDue()
	}
	s.nextID++
	return batch.ProducerID(s.nextID - 1), nil
}
