package meta

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

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
)

// Journal is the log of records. partition.Partition is one.
type Journal interface {
	// Write appends a batch and returns when it is durable.
	Write(ctx context.Context, b batch.Batch) error
	// Replay calls f with every durable batch, oldest first.
	Replay(f func(batch.Batch) error) error
}

// Store is the metadata and its log. Its methods may be called by any goroutine.
type Store struct {
	journal Journal
	image   atomic.Pointer[Image]
	turn    chan struct{} // holds one token: who has it may append. (No mutex, for it is held while waiting for a flush.)
	nextID  int64         // the next producer id to give; owned by who has the turn
}

// Open replays the journal, and records a start and, where it is the first, the cluster.
func Open(ctx context.Context, j Journal) (*Store, error) {
	s := &Store{journal: j, turn: make(chan struct{}, 1)}
	image := &Image{}
	err := j.Replay(func(b batch.Batch) error {
		next, err := replayBatch(image, b)
		if err == nil {
			image = next
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
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

func replayBatch(image *Image, b batch.Batch) (*Image, error) {
	var failed error
	err := b.Each(func(r batch.Record) bool {
		var rec record
		if rec, failed = decodeRecord(r.Value); failed == nil {
			image, failed = image.apply(rec)
		}
		if failed != nil {
			failed = fmt.Errorf("offset %d: %w", r.Offset, failed)
		}
		return failed == nil
	})
	return image, errors.Join(err, failed)
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
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	rec, err := decide(s.Image())
	if err != nil {
		return err
	}
	return s.write(rec)
}

// write applies rec when it is durable. It waits for that whatever becomes of the caller, since until then it is not known
// what the log holds. A write fails because nothing was taken, or because the disk is lost: in the second case the log may
// hold a record that the Image lacks, but nothing can be written after it before the next start replays it. Callers have
// the turn.
func (s *Store) write(rec record) error {
	next, err := s.Image().apply(rec)
	if err != nil {
		return err
	}
	var b batch.Builder
	b.Add(time.Now(), nil, rec.append(nil))
	if err := s.journal.Write(context.Background(), b.Batch()); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	s.image.Store(next)
	return nil
}

// CreateTopic makes a topic durable. Its partitions are the caller's to open. Errors: ErrExists, or the journal's.
func (s *Store) CreateTopic(ctx context.Context, name string, partitions int, settings map[string]string) (*Topic, error) {
	id := newUUID()
	settings = maps.Clone(settings)
	if settings == nil {
		settings = map[string]string{} // as a replay gives it
	}
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
	}
	s.nextID++
	return batch.ProducerID(s.nextID - 1), nil
}
