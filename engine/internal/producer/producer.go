// Package producer remembers what idempotent producers have written to one log, so that a batch sent again is recognised and
// a gap is refused (KIP-98). It is pure: no clock, no I/O. It is rebuilt from batch headers, in log order, when a log is opened.
//
// It does not know transactions, and it does not write snapshots.
//
// # Invariants
//
//	I1  A batch accepted from a producer continues its last one, or begins a newer epoch at sequence 0, or is the first that
//	    this table knows of that producer (older state may have been evicted, as in Kafka).
//	I2  A batch equal in epoch and sequences to one of the last Window batches is a duplicate and has that batch's offsets.
//	I3  At most MaxProducers are remembered; beyond it those that wrote longest ago are forgotten.
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
	n     int            // valid entries in recent
	next  int            // where the next entry goes
	last  batch.Sequence // of the newest batch
	at    batch.Offset   // of the newest batch
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
	if id == batch.NoProducerID || b.Control() {
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
	if id == batch.NoProducerID || h.Control() {
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
		s = &state{epoch: h.ProducerEpoch()}
		t.of[id] = s
	}
	if s.epoch != h.ProducerEpoch() {
		*s = state{epoch: h.ProducerEpoch()}
	}
	s.last, s.at = h.LastSequence(), h.BaseOffset()
	s.ring[s.next] = sent{first: h.BaseSequence(), last: s.last, base: h.BaseOffset()}
	s.next = (s.next + 1) % Window
	s.n = min(s.n+1, Window)
}

// EndsAt says whether the newest batch of a producer ends at an offset.
func (t *Table) EndsAt(id batch.ProducerID, last batch.Offset) bool {
	s := t.of[id]
	if s == nil {
		return false
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
