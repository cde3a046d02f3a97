package txn

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/streambus/streambus/engine/batch"
)

// MaxOpen is how many open transactions whoever appends should let a log have, which bounds a Table to about 6 MiB. The Table itself
// takes what is in the log.
const MaxOpen = 1 << 16

// MaxDecided is how many transactions that have ended are kept until Settle, 16 bytes each. Beyond it the older half become one (T2).
const MaxDecided = 1 << 10

// ErrCorrupt: the bytes are not what was written, or not of this log. Rebuild from the batches.
var ErrCorrupt = errors.New("transaction state is corrupt")

// Open is a transaction that has not ended: its first record is at First, and its first batch was written with Epoch.
type Open struct {
	ProducerID batch.ProducerID
	Epoch      batch.ProducerEpoch
	First      batch.Offset
}

// Table is the transactions of one log that are not settled yet. The zero value is empty. Once copied, only the copy may be used.
type Table struct {
	of             map[batch.ProducerID]*node
	oldest, newest *node     // T3
	decided        []decided // rising in first and in marker, so those at or above a high watermark begin with the least first
}

// node is a place in the list of open transactions.
type node struct {
	Open
	older, newer *node
}

// decided is a transaction that has ended.
type decided struct {
	first, marker batch.Offset
}

// Update takes a batch into account; the batches of a log come in order. When it ends a transaction by aborting it, a is the entry for the
// index of the segment that holds the batch. Of data batches only the header is read; for control batches see batch.ControlType. It
// allocates only when a transaction begins or ends, and costs next to nothing for batches outside of transactions.
func (t *Table) Update(b batch.Batch) (a Aborted, aborted bool) {
	if !b.Transactional() && !b.Control() {
		return a, false
	}
	return t.update(b)
}

func (t *Table) update(b batch.Batch) (a Aborted, aborted bool) {
	if b.ProducerID() < 0 { // nobody could end it
		return a, false
	}
	if !b.Control() {
		t.begin(b)
		return a, false
	}
	c, _, ok := b.ControlType()
	if !ok || c != batch.Abort && c != batch.Commit {
		return a, false
	}
	return t.end(b.ProducerID(), b.BaseOffset(), c == batch.Abort)
}

// begin opens a transaction unless one is open. A batch that compaction has emptied opens none: there is nothing in it to wait for, and
// Kafka's cleaner may have taken its marker away.
func (t *Table) begin(b batch.Batch) {
	id := b.ProducerID()
	if t.of[id] != nil || b.Count() == 0 {
		return
	}
	t.open(Open{id, b.ProducerEpoch(), b.BaseOffset()})
}

func (t *Table) open(o Open) {
	n := &node{Open: o, older: t.newest}
	if t.newest == nil {
		t.oldest = n
	} else {
		if o.First <= t.newest.First {
			panic(fmt.Sprintf("T3: a transaction begins at offset %d after one at %d", o.First, t.newest.First))
		}
		t.newest.newer = n
	}
	t.newest = n
	if t.of == nil {
		t.of = make(map[batch.ProducerID]*node)
	}
	t.of[o.ProducerID] = n
}

// end closes a producer's transaction with the marker at an offset.
func (t *Table) end(id batch.ProducerID, marker batch.Offset, abort bool) (a Aborted, aborted bool) {
	n := t.of[id]
	if n == nil {
		return a, false
	}
	if last := len(t.decided) - 1; marker <= n.First || last >= 0 && marker <= t.decided[last].marker {
		panic(fmt.Sprintf("T3: the transaction of producer %d that begins at offset %d ends at %d, or the last one after it", id, n.First, marker))
	}
	delete(t.of, id)
	t.unlink(n)
	t.decide(decided{n.First, marker})
	if !abort {
		return a, false
	}
	stable := marker + 1
	if first, ok := t.FirstOpen(); ok {
		stable = first
	}
	return Aborted{ProducerID: id, First: n.First, Last: marker, LastStable: stable}, true
}

func (t *Table) unlink(n *node) {
	if n.older == nil {
		t.oldest = n.newer
	} else {
		n.older.newer = n.newer
	}
	if n.newer == nil {
		t.newest = n.older
	} else {
		n.newer.older = n.older
	}
}

// decide notes a transaction that has ended. Those that ended before it and began after it count for nothing any more: where their
// marker lies at or above a high watermark, so does this one's.
func (t *Table) decide(d decided) {
	all := t.decided
	for len(all) > 0 && all[len(all)-1].first >= d.first {
		all = all[:len(all)-1]
	}
	if len(all) == MaxDecided {
		all[MaxDecided/2-1].first = all[0].first
		all = slices.Delete(all, 0, MaxDecided/2-1)
	}
	t.decided = append(all, d)
}

// FirstOpen is the first offset of the open transaction that began first; ok is false when none is open.
func (t *Table) FirstOpen() (first batch.Offset, ok bool) {
	if t.oldest == nil {
		return 0, false
	}
	return t.oldest.First, true
}

// Stable is the last stable offset for a high watermark: everything below is decided, and will stay so (T2). high must not be below one
// given to Settle. After a trim the result may lie below the log's start. It takes the logarithm of the markers since Settle.
func (t *Table) Stable(high batch.Offset) batch.Offset {
	stable := high
	if t.oldest != nil {
		stable = min(stable, t.oldest.First)
	}
	if i := t.undecided(high); i < len(t.decided) {
		stable = min(stable, t.decided[i].first)
	}
	return stable
}

// Settle says that the high watermark has reached high, and will not be lower again for this Table: what has ended below is forgotten. Who
// never calls it is answered right all the same, but for what T2 says.
func (t *Table) Settle(high batch.Offset) {
	t.decided = slices.Delete(t.decided, 0, t.undecided(high))
}

// undecided is the first of decided whose marker lies at or above high.
func (t *Table) undecided(high batch.Offset) int {
	return sort.Search(len(t.decided), func(i int) bool { return t.decided[i].marker >= high })
}

// Len is how many transactions are open.
func (t *Table) Len() int { return len(t.of) }

// Of is the open transaction of a producer; ok is false when it has none.
func (t *Table) Of(id batch.ProducerID) (o Open, ok bool) {
	if n := t.of[id]; n != nil {
		return n.Open, true
	}
	return o, false
}

// Each calls f for every open transaction, in the order of first offsets, until f returns false. f must not change the Table.
func (t *Table) Each(f func(Open) bool) {
	for n := t.oldest; n != nil && f(n.Open); n = n.newer {
	}
}
