package engine

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Log.txns and the segments' indexes of aborted transactions follow what is appended, as Log.producers does: they say what all batches up
// to Log.next say, flushed or not. That is right for readers, who ask for a high watermark: a transaction that begins above it has nothing
// below, one whose marker lies above it counts as open (txn.T2), and what its marker adds to an index begins above what is stable. So
// nothing is done at a flush, and an append knows what is queued.

// AbortedTxn is a transaction that was aborted. Consumers of committed records leave out its producer's transactional records of
// [First, Last); Last is the offset of its marker.
type AbortedTxn = txn.Aborted

// Stable is the last stable offset for a high watermark (cut to FlushedEnd): every record below it is outside of transactions, or its
// transaction has ended below the high watermark, so that its fate will not change. It is at least StartOffset. By the way the log is told how far the
// high watermark has come, so that it keeps no more than it must of what has ended below; a high that is lower than before, maybe before a
// restart, but not before a Cut, is answered by what was decided below the higher one. It does no I/O.
//
// A fetch of committed records (read_committed) goes
//
//	stable := l.Stable(highWatermark)
//	span, err := l.Read(from, stable, maxBytes)
//	aborted, err := l.Aborted(nil, from, span.Next())
//
// in this order, and gives all of them to the consumer, who leaves out what was aborted: stored bytes are sent as they are.
func (l *Log) Stable(high batch.Offset) batch.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	high = min(high, l.flushed) // E3
	l.txns.Settle(high)
	return max(l.start, l.txns.Stable(high)) // what began below the start has nothing there
}

// Aborted appends to dst the aborted transactions that have records in [from, upper), in the order of their markers; upper must not be
// above what Stable gave. It does no I/O, and allocates only what is appended. Errors, with dst as it was: ErrOffsetOutOfRange when from
// is below the log's start by now, so that they are not known any more; ErrClosed. What was Read must not be given away then.
func (l *Log) Aborted(dst []AbortedTxn, from, upper batch.Offset) ([]AbortedTxn, error) {
	out := dst
	for at := from; ; {
		x, next, err := l.abortedFrom(from, at)
		if err != nil {
			return dst, err
		}
		var done bool
		if out, done = x.Collect(out, at, upper); done || next == batch.NoOffset {
			return out, nil
		}
		at = next // not the next part: parts may be joined meanwhile
	}
}

// abortedFrom is the index of the first part with aborted transactions at or after the one that holds at, and where the part behind it
// begins; NoOffset when there is none.
func (l *Log) abortedFrom(from, at batch.Offset) (x txn.Index, next batch.Offset, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.parts) == 0:
		return x, 0, fmt.Errorf("%w: %s", ErrClosed, l.name)
	case from < l.start:
		return x, 0, fmt.Errorf("%w: %s begins at %d, asked for %d", ErrOffsetOutOfRange, l.name, l.start, from)
	}
	i := sort.Search(len(l.parts), func(i int) bool { return l.parts[i].seg.Base > at }) - 1
	for i = max(i, 0); i < len(l.parts); i++ {
		if x := l.parts[i].seg.Aborted(); x.Len() > 0 {
			next = batch.NoOffset
			if i+1 < len(l.parts) {
				next = l.parts[i+1].seg.Base
			}
			return *x, next, nil // a copy stays as it is
		}
	}
	return x, batch.NoOffset, nil
}

// checkTransaction says whether a batch fits the transactions that are open, as Kafka's ProducerAppendInfo does. Callers hold mu.
func (l *Log) checkTransaction(b batch.Batch) error {
	id := b.ProducerID()
	switch {
	case b.Control():
		return l.e.Err()
	case b.Transactional():
		if l.txns.Len() >= txn.MaxOpen {
			if _, open := l.txns.Of(id); !open {
				return fmt.Errorf("%w: %s has %d", ErrTooManyTransactions, l.name, l.txns.Len())
			}
		}
		return l.e.Err() // after a batch that was noted and then not taken, nothing more may be noted
	case l.txns.Len() > 0 && id != batch.NoProducerID:
		if o, open := l.txns.Of(id); open {
			return fmt.Errorf("%w: %s: producer %d sends outside of its transaction, which is open since offset %d", ErrInvalidTxnState, l.name, id, o.First)
		}
	}
	return nil
}

// noteTransaction takes a stamped batch into account that goes to a part. Callers hold mu.
func (l *Log) noteTransaction(p *part, b batch.Batch) {
	if a, aborted := l.txns.Update(b); aborted {
		p.seg.Aborted().Add(a)
	}
}

// relearn takes a batch into account as Segment.Walk gives it; into is the index of its segment, nil when that has its entries. A damaged
// marker cannot be passed over: what its transaction wrote would be decided by the next one of its producer. Error: ErrCorrupt.
func relearn(t *txn.Table, into *txn.Index, h batch.Batch) error {
	if h.Control() {
		_, err := batch.First(h)
		if err == nil {
			err = h.Check()
		}
		if err != nil {
			return fmt.Errorf("%w: the marker at offset %d: %w", ErrCorrupt, h.BaseOffset(), err)
		}
	}
	if a, aborted := t.Update(h); aborted && into != nil {
		into.Add(a)
	}
	return nil
}

// relearn learns all that is known of transactions from the batches, in order. Only while the log is being opened. Errors: ErrCorrupt,
// I/O errors.
func (l *Log) relearn() error {
	l.txns = txn.Table{}
	for _, p := range l.parts {
		into := p.unsealedAborted()
		if into != nil {
			*into = txn.Index{}
		}
		err := walkInOrder(p.seg, p.seg.Size(), p.seg.Next(), func(h batch.Batch) error { return relearn(&l.txns, into, h) })
		if err != nil {
			return fmt.Errorf("log %s: %w", l.name, err)
		}
	}
	return nil
}

// unsealedAborted is the index of aborted transactions of a part whose seal does not say what it holds; nil for others.
func (p *part) unsealedAborted() *txn.Index {
	if p.seg.Sealed() {
		return nil
	}
	return p.seg.Aborted()
}

// walkInOrder calls f with each batch of the size bytes of a segment that ends at next, as Segment.Walk does, until it fails. Offsets that
// do not rise, or go beyond next, are ErrCorrupt, too.
func walkInOrder(seg *segment.Segment, size int64, next batch.Offset, f func(h batch.Batch) error) error {
	least := seg.Base
	var bad error
	err := seg.Walk(0, size, func(pos int64, h batch.Batch, _ int64) bool {
		if h.BaseOffset() < least || h.NextOffset() > next {
			bad = fmt.Errorf("%w: %s at byte %d: offsets [%d, %d), want some of [%d, %d)", ErrCorrupt, seg.Path, pos, h.BaseOffset(), h.NextOffset(), least, next)
			return false
		}
		least = h.NextOffset()
		bad = f(h)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return asCorrupt(err)
}

// A recap says of transactions, little-endian:
//
//	…  …  the Table (internal/txn)
//	0  4  segments  how many follow: those that are not sealed, the one that is appended to is the last
//	   then for each:
//	    0  8  base
//	    8  8  size      bytes of it
//	   16  4  prefixes  batch.PrefixSum over its batches: an index is not believed of other ones
//	   20  …  its Index (internal/txn)
const recapIndexHeader = 20

// appendAborted encodes what follows the Table, of a log that is written up to the end of the part upTo. Callers hold mu.
func (l *Log) appendAborted(dst []byte, upTo *part) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	n := uint32(0)
	for _, p := range l.parts {
		if !p.seg.Sealed() {
			n++
			dst = binary.LittleEndian.AppendUint64(dst, uint64(p.seg.Base))
			dst = binary.LittleEndian.AppendUint64(dst, uint64(p.seg.Size()))
			dst = binary.LittleEndian.AppendUint32(dst, p.seg.PrefixSum())
			dst = p.seg.Aborted().AppendBefore(dst, p.seg.Next())
		}
		if p == upTo {
			break
		}
	}
	binary.LittleEndian.PutUint32(dst[at:], n)
	return dst
}

// knownIndex is what a recap says of the aborted transactions of a segment.
type knownIndex struct {
	base     batch.Offset
	size     int64
	prefixes uint32
	aborted  txn.Index
}

// parseTransactions decodes what Table.Append and appendAborted wrote of a log that ended at next, and gives what follows. Error: txn.ErrCorrupt.
func parseTransactions(b []byte, next batch.Offset) (t txn.Table, indexes []knownIndex, rest []byte, err error) {
	if t, b, err = txn.Parse(b, next); err != nil {
		return t, nil, nil, err
	}
	if len(b) < 4 {
		return t, nil, nil, fmt.Errorf("%w: %d bytes", txn.ErrCorrupt, len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if b = b[4:]; n > int64(len(b)/recapIndexHeader) {
		return t, nil, nil, fmt.Errorf("%w: %d segments in %d bytes", txn.ErrCorrupt, n, len(b))
	}
	for range n {
		if len(b) < recapIndexHeader {
			return t, nil, nil, fmt.Errorf("%w: it ends in the middle of a segment", txn.ErrCorrupt)
		}
		k := knownIndex{
			base: batch.Offset(binary.LittleEndian.Uint64(b)), size: int64(binary.LittleEndian.Uint64(b[8:])), prefixes: binary.LittleEndian.Uint32(b[16:]),
		}
		if k.aborted, b, err = txn.ParseIndex(b[recapIndexHeader:], k.base, next); err != nil {
			return t, nil, nil, err
		}
		indexes = append(indexes, k)
	}
	return t, indexes, b, nil
}

// adopt gives a segment that was not sealed when the recap was written, and has not changed since, its aborted transactions; false when
// it is not such a one.
func (k *known) adopt(seg *segment.Segment) bool {
	i := slices.IndexFunc(k.aborted, func(x knownIndex) bool {
		return x.base == seg.Base && x.size == seg.Size() && x.prefixes == seg.PrefixSum()
	})
	if i >= 0 {
		*seg.Aborted() = k.aborted[i].aborted
	}
	return i >= 0
}
