package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/producer"
	"github.com/streambus/streambus/engine/internal/recap"
	"github.com/streambus/streambus/engine/internal/segment"
)

const recapFile = "recap"

// load opens the segments of a recovered log and brings back what is kept in memory: from the recap and the seals where they can
// be believed, from the batch headers where not.
func (l *Log) load(s commit.LogState) error {
	if err := finishSwaps(l.e.o.FS, l.dir); err != nil {
		return err
	}
	if err := segment.RemoveLeftovers(l.e.o.FS, l.dir); err != nil {
		return err
	}
	bases, err := l.wanted(s)
	if err != nil {
		return err
	}
	if bases[0] > s.Start {
		return fmt.Errorf("%w: log %s begins at offset %d, but its first segment at %d: one is missing; restore it from a copy", ErrCorrupt, l.name, s.Start, bases[0])
	}
	known, err := l.readRecap(s, bases)
	if err != nil {
		return err
	}
	next := bases[0]
	for i, base := range bases {
		switch {
		case base < next:
			return fmt.Errorf("%w: log %s: segment %s begins before the one below it ends (%d)", ErrCorrupt, l.name, segment.Name(base), next)
		case base > next && !s.Compacted:
			return fmt.Errorf("%w: log %s: the segment that begins at offset %d is missing; restore it from a copy", ErrCorrupt, l.name, next)
		}
		if end := l.sealedEnd(); end != batch.NoOffset && base != end {
			return fmt.Errorf("%w: log %s: segment %s followed when the one below it was sealed, and it is missing; restore it from a copy", ErrCorrupt, l.name, segment.Name(end))
		}
		if next, err = l.loadSegment(base, i == len(bases)-1, known); err != nil {
			return err
		}
	}
	if known != nil && known.lacks {
		if err := l.relearn(); err != nil {
			return err
		}
	}
	if next > s.End || next < s.End && !s.Compacted { // a compacted log may have been cut in a gap
		return fmt.Errorf("%w: log %s ends at offset %d, the checkpoint says %d", ErrCorrupt, l.name, next, s.End)
	}
	if err := l.unchanged(s); err != nil {
		return err
	}
	l.epochs.TrimTo(l.start)
	return nil
}

// sealedEnd is where the segment begins that follows the last part, as its seal says; NoOffset when there is none.
func (l *Log) sealedEnd() batch.Offset {
	if n := len(l.parts); n > 0 {
		return l.parts[n-1].seg.End()
	}
	return batch.NoOffset
}

// unchanged says whether the offsets, lengths and epochs of batches, which no CRC covers until a segment is sealed, are those that the
// checkpoint summed.
func (l *Log) unchanged(s commit.LogState) error {
	for _, p := range l.parts {
		i := slices.IndexFunc(s.Rolled, func(c commit.Chain) bool { return c.Base == p.seg.Base })
		if i >= 0 && !p.seg.Sealed() && p.seg.PrefixSum() != s.Rolled[i].Prefix {
			return fmt.Errorf("%w: log %s: the headers in segment %s add up to %08x, the checkpoint says %08x; restore it from a copy",
				ErrCorrupt, l.name, segment.Name(p.seg.Base), p.seg.PrefixSum(), s.Rolled[i].Prefix)
		}
		if p.seg.Base == s.Segment && (p.seg.Size() != s.Position || p.seg.PrefixSum() != s.Prefix) {
			return fmt.Errorf("%w: log %s: the headers in segment %s have %d bytes of batches and add up to %08x, the checkpoint says %d and %08x; restore it from a copy",
				ErrCorrupt, l.name, segment.Name(s.Segment), p.seg.Size(), p.seg.PrefixSum(), s.Position, s.Prefix)
		}
	}
	return nil
}

// wanted lists the segments of the log. Those that a trim made useless go after the next checkpoint: the one on the disk may
// still name them.
func (l *Log) wanted(s commit.LogState) ([]batch.Offset, error) {
	bases, err := segmentBases(l.e.o.FS, l.dir)
	if err != nil {
		return nil, err
	}
	for len(bases) > 1 && bases[1] <= s.Start {
		seg, err := segment.Open(l.e.o.FS, l.dir, bases[0], l.opts().IndexIntervalBytes)
		if err != nil {
			return nil, err
		}
		l.condemned = append(l.condemned, seg)
		l.newNames = true // the segment that follows may be new, too
		bases = bases[1:]
	}
	if len(bases) == 0 {
		return nil, fmt.Errorf("%w: log %s has no segment files in %s", ErrCorrupt, l.name, l.dir)
	}
	return bases, nil
}

// known is a recap that can be believed: what lies below it need not be looked at for producers, transactions and epochs.
type known struct {
	*recap.Recap
	index   []byte       // of the segment that it ends in, and its prefix sums
	aborted []knownIndex // of those that were not sealed
	lacks   bool         // a segment with markers has neither a seal nor a place in aborted
}

// readRecap takes producers, transactions and epochs from the recap; nil when there is none that is of this log as it is now.
func (l *Log) readRecap(s commit.LogState, bases []batch.Offset) (*known, error) {
	r, err := recap.Read(l.e.o.FS, path.Join(l.dir, recapFile))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, recap.ErrCorrupt):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Log != s.ID || r.Cuts != s.Cuts || r.Next > s.End:
		return nil, nil
	}
	same, err := l.sameAs(r, bases)
	if err != nil || !same {
		return nil, err
	}
	rest, err := segment.SkipIndex(r.Rest, r.Segment, r.Position, r.Next)
	if err != nil {
		return nil, nil
	}
	producers, rest, err := producer.Parse(rest)
	if err != nil {
		return nil, nil
	}
	txns, aborted, rest, err := parseTransactions(rest, r.Next)
	if err != nil || len(rest) > 0 || !l.epochs.Restore(r.Epochs) {
		return nil, nil
	}
	l.producers, l.txns = producers, txns
	return &known{Recap: r, index: r.Rest, aborted: aborted}, nil
}

// sameAs says whether the bytes that a recap speaks of are there still: an unlogged log may have lost them in a crash and have
// gone on with others.
func (l *Log) sameAs(r *recap.Recap, bases []batch.Offset) (same bool, err error) {
	for _, base := range bases {
		if base != r.Segment {
			continue
		}
		seg, err := segment.Open(l.e.o.FS, l.dir, base, 0)
		if err != nil {
			return false, err
		}
		defer func() { _ = seg.Release() }() // only read
		size, err := seg.FileSize()
		if err != nil || size < r.Position {
			return false, err
		}
		if r.LastPos < 0 {
			return r.Position == 0, nil
		}
		err = seg.Walk(r.LastPos, r.Position, func(_ int64, h batch.Batch, size int64) bool {
			same = h.CRC() == r.LastCRC && r.LastPos+size == r.Position && h.NextOffset() == r.Next
			return false
		})
		if errors.Is(err, segment.ErrCorrupt) {
			return false, nil
		}
		return same, err
	}
	return false, nil
}

// loadSegment opens one segment. What producers, transactions and epochs are owed by batches beyond the recap is read from their headers,
// and from the markers.
func (l *Log) loadSegment(base batch.Offset, last bool, k *known) (next batch.Offset, err error) {
	p, err := l.openPart(base, last, k)
	if err != nil {
		return 0, err
	}
	l.parts = append(l.parts, p)
	size := p.seg.Size()
	if !p.seg.Sealed() {
		if size, err = p.seg.FileSize(); err != nil {
			return 0, err
		}
	}
	if !p.seg.Sealed() {
		l.sinceRecap += size - p.seg.Size() // it must be scanned, and should not be again
	}
	markers := false
	note := func(h batch.Batch) error {
		markers = markers || h.Control()
		if k != nil && h.BaseOffset() < k.Next {
			return nil
		}
		l.producers.Update(h)
		l.epochs.Add(h.LeaderEpoch(), h.BaseOffset())
		return relearn(&l.txns, p.unsealedAborted(), h)
	}
	if p.seg.Sealed() {
		if k == nil || p.seg.Next() > k.Next {
			err = walkInOrder(p.seg, size, p.seg.Next(), note)
		}
		next = p.seg.Next()
	} else {
		var bad error
		next, err = p.seg.Scan(size, func(h batch.Batch) {
			if p.note(h); bad == nil {
				bad = note(h)
			}
		})
		err = errors.Join(err, bad)
		if k != nil && base < k.Next && base != k.Segment && !k.adopt(p.seg) && markers {
			k.lacks = true
		}
	}
	err = asCorrupt(err)
	p.clean = size
	if last {
		l.tail = size
		p.seg.SetAllocated(size)
	}
	return next, err
}

// openPart opens a segment by its seal, or as one that is appended to. The last one is always the latter.
func (l *Log) openPart(base batch.Offset, last bool, k *known) (*part, error) {
	if !last {
		seg, err := segment.OpenSealed(l.e.o.FS, l.dir, base, l.id)
		if err == nil {
			return newPart(l, seg), nil
		}
		if !errors.Is(err, segment.ErrUnsealed) {
			return nil, asCorrupt(err)
		}
	} else if err := segment.Unseal(l.e.o.FS, l.dir, base); err != nil { // it is appended to again
		return nil, err
	}
	seg, err := segment.Open(l.e.o.FS, l.dir, base, l.opts().IndexIntervalBytes)
	if err != nil {
		return nil, err
	}
	p := newPart(l, seg)
	if k != nil && base == k.Segment {
		if _, err := seg.Restore(k.index, k.Position, k.Next); err != nil { // parsed before: a bug
			return nil, errors.Join(err, seg.Release())
		}
		p.lastPos, p.lastCRC = k.LastPos, k.LastCRC
		k.lacks = !k.adopt(seg) || k.lacks
	}
	return p, nil
}

// asCorrupt makes what a segment finds damaged damage of the log.
func asCorrupt(err error) error {
	if errors.Is(err, segment.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// recapBytes is how much a log must have grown since its last recap to be worth another one at a checkpoint.
const recapBytes = 1 << 20

// draft is a recap to be, of a log that is appended to all the time: what was known of producers and transactions when all below at was
// given out. The rest is added when that much is written, and no more.
type draft struct {
	at   batch.Offset
	told []byte
}

// remembered encodes what all batches below next say of producers and transactions. Callers hold mu.
func (l *Log) remembered() []byte { return l.txns.Append(l.producers.Append(nil)) }

// recap encodes what the log keeps in memory; nil when little has changed, or when producers and transactions know more than is
// written, which a crash could undo: then it is drafted. Callers hold mu.
func (l *Log) recap(least int64) []byte {
	switch {
	case l.sinceRecap < least || l.sinceRecap == 0:
		return nil
	case l.written == l.next:
		return l.recapAt(l.parts[len(l.parts)-1], l.remembered())
	case l.draft.at <= l.written:
		l.draft = draft{l.next, l.remembered()}
	}
	return nil
}

// recapAt is the recap of a log that is written up to the end of p, with what was told by then. Callers hold mu.
func (l *Log) recapAt(p *part, told []byte) []byte {
	l.sinceRecap, l.draft = 0, draft{}
	r := recap.Recap{
		Log: l.id, Cuts: l.cuts, Segment: p.seg.Base, Position: p.seg.Size(), Next: p.seg.Next(), LastPos: p.lastPos, LastCRC: p.lastCRC,
		Epochs: l.epochs.Before(p.seg.Next()),
	}
	b := l.appendAborted(append(p.seg.AppendIndex(r.Append(nil)), told...), p)
	recap.Seal(b)
	return b
}
