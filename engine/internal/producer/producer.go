// Package producer remembers what idempotent producers have written to one log, so that a batch sent again is recognised and
// a gap is refused (KIP-98). It is pure: no clock, no I/O. It is rebuilt from batch headers, in log order, when a log is opened.
//
// It does not know transactions (internal/txn does). Of their markers it takes the epoch: one that ends a transaction in a newer epoch
// fences what the producer sent before and arrives after it (KIP-890).
//
// # Invariants
//
//	I1  A batch accepted from a producer continues its last one, or begins a newer epoch at sequence 0, or is the first that
//	    this table knows of that producer (older state may have been evicted, as in Kafka). A marker may begin an epoch, too.
//	I2  A batch equal in epoch and sequences to one of the last Window batches is a duplicate and has that batch's offsets.
//	I3  At most MaxProducers are remembered; beyond it those that wrote longest ago are forgotten.
//	I4  A marker has no sequence: it is never a duplicate and never out of order, only fenced, and leaves the sequences of its epoch. So it is
//	    with a batch without sequences (the offsets that the group coordinator writes for a transaction), whose epoch counts in the same way.
package producer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/engine/batch"
)

// Window is how many batches of a producer are remembered: clients may have as many in flight.
const Window = 5

// MaxProducers bounds the memory of a Table to about 16 MiB.
const MaxProducers = 1 << 16

// Why a batch is refused.
var (
	ErrOutOfOrder = errors.New("sequence is out of order")
	ErrFenced     = errors.New("producer epoch is fenced")
)

// Table is what one log knows. The zero value is empty. It is not safe for concurrent use: the log's lock guards it.
type Table struct {
	of map[batch.ProducerID]*state
}

type state struct {
	epoch batch.ProducerEpoch
	n     int            // valid entries in ring; 0: a marker began the epoch, and nothing followed
	next  int            // where the next entry goes
	last  batch.Sequence // of the newest batch; NoSequence when n is 0
	at    batch.Offset   // of the newest batch, or that marker
	ring  [Window]sent
}

type sent struct {
	first, last batch.Sequence
	base        batch.Offset
}

// Len is the number of producers remembered.
func (t *Table) Len() int { return len(t.of) }

// Check says what to do with a batch that arrives: accept (duplicate false, no error), answer as a duplicate that lies at
// base, or refuse (ErrOutOfOrder, ErrFenced). It changes nothing and allocates nothing unless it refuses.
func (t *Table) Check(b batch.Batch) (base batch.Offset, duplicate bool, err error) {
	id := b.ProducerID()
	if id == batch.NoProducerID {
		return 0, false, nil
	}
	s := t.of[id]
	if s == nil {
		return 0, false, nil
	}
	epoch, first := b.ProducerEpoch(), b.BaseSequence()
	switch {
	case epoch < s.epoch:
		return 0, false, fmt.Errorf("%w: producer %d has epoch %d, batch has %d", ErrFenced, id, s.epoch, epoch)
	case b.Control() || first == batch.NoSequence: // I4
		return 0, false, nil
	case epoch > s.epoch:
		if first != 0 {
			return 0, false, fmt.Errorf("%w: producer %d begins epoch %d with sequence %d", ErrOutOfOrder, id, epoch, first)
		}
		return 0, false, nil
	}
	last := b.LastSequence()
	for i := range s.n {
		if e := s.ring[i]; e.first == first && e.last == last {
			return e.base, true, nil
		}
	}
	if want := s.last.Add(1); first != want {
		return 0, false, fmt.Errorf("%w: producer %d epoch %d sends sequence %d, expected %d", ErrOutOfOrder, id, epoch, first, want)
	}
	return 0, false, nil
}

// Update notes a batch that was appended; h needs to hold its header only.
func (t *Table) Update(h batch.Batch) {
	id := h.ProducerID()
	if id == batch.NoProducerID {
		return
	}
	s := t.of[id]
	if s == nil {
		if t.of == nil {
			t.of = make(map[batch.ProducerID]*state)
		}
		if len(t.of) >= MaxProducers {
			t.evict()
		}
		s = begun(h)
		t.of[id] = s
	}
	if s.epoch != h.ProducerEpoch() {
		*s = *begun(h)
	}
	if h.Control() || h.BaseSequence() == batch.NoSequence { // I4
		return
	}
	s.last, s.at = h.LastSequence(), h.BaseOffset()
	s.ring[s.next] = sent{first: h.BaseSequence(), last: s.last, base: h.BaseOffset()}
	s.next = (s.next + 1) % Window
	s.n = min(s.n+1, Window)
}

// begun is a producer of which only the epoch of h is known.
func begun(h batch.Batch) *state {
	return &state{epoch: h.ProducerEpoch(), last: batch.NoSequence, at: h.BaseOffset()}
}

// Each calls f for each producer, in any order: its epoch, the sequence of its last record in it, and where its newest batch begins.
func (t *Table) Each(f func(id batch.ProducerID, epoch batch.ProducerEpoch, last batch.Sequence, at batch.Offset)) {
	for id, s := range t.of {
		f(id, s.epoch, s.last, s.at)
	}
}

// EndsAt says whether the batch that must stay for a producer to be known ends at an offset: its newest one, or the marker that began
// its epoch.
func (t *Table) EndsAt(id batch.ProducerID, last batch.Offset) bool {
	s := t.of[id]
	if s == nil {
		return false
	}
	if s.n == 0 {
		return s.at == last
	}
	e := s.ring[(s.next-1+Window)%Window]
	records := int64(e.last) - int64(e.first)
	if records < 0 { // sequences went round
		records += 1 << 31
	}
	return e.base+batch.Offset(records) == last
}

// evict forgets the half of the producers that wrote longest ago.
func (t *Table) evict() {
	ats := make([]batch.Offset, 0, len(t.of))
	for _, s := range t.of {
		ats = append(ats, s.at)
	}
	slices.Sort(ats)
	limit := ats[len(ats)/2]
	for id, s := range t.of {
		if s.at < limit {
			delete(t.of, id)
		}
	}
}
