package tail

import (
	"sort"

	"github.com/streambus/streambus/engine/batch"
)

// Length is how many batches of a log are remembered, at 48 bytes each.
const Length = 128

// Entry is one batch.
type Entry struct {
	Base, Next batch.Offset // [Base, Next)
	Segment    batch.Offset // base offset of the segment that it lies in
	Position   int64        // of its first byte there
	Size       int32        // bytes
	Ref        Ref          // zero where its bytes are not in the cache
}

// Recent is the newest batches of one log. The zero value is empty and takes memory with the first Add. The log's lock guards it.
type Recent struct {
	ring  []Entry
	first int // index of the oldest
	n     int
}

// Add notes a batch that became readable. One that does not follow the last makes the rest forgotten (T4).
func (r *Recent) Add(e Entry) {
	if r.n > 0 && r.at(r.n-1).Next != e.Base {
		r.n = 0
	}
	if len(r.ring) < Length && r.n == len(r.ring) {
		r.grow()
	}
	if r.n == len(r.ring) {
		r.first = (r.first + 1) % len(r.ring)
		r.n--
	}
	r.ring[(r.first+r.n)%len(r.ring)] = e
	r.n++
}

// grow doubles the ring: most logs of many are quiet.
func (r *Recent) grow() {
	bigger := make([]Entry, min(max(2*len(r.ring), 8), Length))
	for i := range r.n {
		bigger[i] = *r.at(i)
	}
	r.ring, r.first = bigger, 0
}

func (r *Recent) at(i int) *Entry { return &r.ring[(r.first+i)%len(r.ring)] }

// Forget forgets all.
func (r *Recent) Forget() { r.n = 0 }

// Len is how many batches are known.
func (r *Recent) Len() int { return r.n }

// Find is the number of the entry that holds offset; ok is false when it is not known.
func (r *Recent) Find(offset batch.Offset) (i int, ok bool) {
	if r.n == 0 || offset < r.at(0).Base || offset >= r.at(r.n-1).Next {
		return 0, false
	}
	return sort.Search(r.n, func(i int) bool { return r.at(i).Next > offset }), true
}

// Get gives the i-th entry, 0 being the oldest.
func (r *Recent) Get(i int) Entry { return *r.at(i) }
