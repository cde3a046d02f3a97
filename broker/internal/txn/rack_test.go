package txn

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// shelf is a Log in memory. Flushes happen when told, or at once on another goroutine, as the engine does it.
type shelf struct {
	manual  atomic.Bool
	mu      sync.Mutex
	refuse  error
	batches []batch.Batch
	waiting []partition.Waiter
}

func (s *shelf) Append(b batch.Batch, _ engine.Owner, w partition.Waiter) (engine.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return engine.Appended{}, s.refuse
	}
	b.Stamp(batch.Offset(len(s.batches)), 3)
	s.batches = append(s.batches, b)
	s.waiting = append(s.waiting, w)
	if !s.manual.Load() {
		go s.flush(nil)
	}
	return engine.Appended{Base: b.BaseOffset(), Last: b.LastOffset()}, nil
}

func (s *shelf) flush(err error) {
	s.mu.Lock()
	ws := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, w := range ws {
		w.Done(err)
	}
}

func (s *shelf) Replay(f func(batch.Batch) error) error {
	for _, b := range s.batches {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Epoch() batch.Epoch { return 3 }

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.batches)
}

// rack is everything around a Coordinator.
type rack struct {
	shelves []*shelf
	made    bool
	next    atomic.Int64

	mu      sync.Mutex
	marked  []Marker
	answer  func(m Marker) error // nil: all are written
	hold    bool
	held    []func(error)
	topMark int // the most that were held at a time
}

func newRack(n int) *rack {
	r := &rack{}
	for range n {
		r.shelves = append(r.shelves, &shelf{})
	}
	return r
}

func (r *rack) WriteMarker(m Marker, done func(error)) {
	r.mu.Lock()
	if r.hold {
		r.held = append(r.held, done)
		r.topMark = max(r.topMark, len(r.held))
		r.mu.Unlock()
		return
	}
	var err error
	if r.answer != nil {
		err = r.answer(m)
	}
	if err == nil {
		r.marked = append(r.marked, m)
	}
	r.mu.Unlock()
	done(err)
}

func (r *rack) markers() []Marker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.marked)
}

func (r *rack) NewProducerID(context.Context) (batch.ProducerID, error) {
	return batch.ProducerID(r.next.Add(1)), nil
}

func (r *rack) logs(_ context.Context, create bool) ([]Log, error) {
	if r.made = r.made || create; !r.made {
		return nil, nil
	}
	var out []Log
	for _, s := range r.shelves {
		out = append(out, s)
	}
	return out, nil
}

func (r *rack) options() Options {
	return Options{Limits: Limits{Version: 2}, Logs: r.logs, Sink: r, IDs: r, OffsetsOf: func(_ context.Context, g string) (TopicPartition, error) {
		return TopicPartition{"__consumer_offsets", int32(len(g))}, nil
	}}
}

func (r *rack) start(t *testing.T, change ...func(*Options)) *Coordinator {
	t.Helper()
	o := r.options()
	for _, f := range change {
		f(&o)
	}
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait[T any](t *testing.T, r *Reply[T]) T {
	t.Helper()
	a, err := r.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func initID(t *testing.T, c *Coordinator, id string) Producer {
	t.Helper()
	a := wait(t, c.InitProducerID(t.Context(), id, 60_000, None))
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	return a.Producer
}
