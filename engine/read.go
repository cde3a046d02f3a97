package engine

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/tail"
)

// Span is a stretch of a log: whole batches, back to back, flushed. It keeps the segment file open, or its bytes in memory, until
// Release. The zero Span is empty. A Span may be copied, but only one of the copies may be used and released.
type Span struct {
	seg  *segment.Segment // nil: it is not in the file
	pos  int64
	size int
	next batch.Offset
	hot  *hot // its bytes in memory, when they are few and new; nil: they are in the file only
}

// hotBytes is the size up to which a read is served from memory: above it sendfile costs less than copying, as measured.
const hotBytes = 32 << 10

// hot is the batches of a Span where the cache has them.
type hot struct {
	cache *tail.Cache
	refs  []tail.Ref
	bufs  [][]byte
}

var hots = sync.Pool{New: func() any { return new(hot) }}

func (h *hot) pin(cache *tail.Cache, ref tail.Ref) bool {
	b, ok := cache.Pin(ref)
	if ok {
		h.cache, h.refs, h.bufs = cache, append(h.refs, ref), append(h.bufs, b)
	}
	return ok
}

func (h *hot) release() {
	for _, r := range h.refs {
		h.cache.Unpin(r)
	}
	clear(h.bufs)
	h.cache, h.refs, h.bufs = nil, h.refs[:0], h.bufs[:0]
	hots.Put(h)
}

// Size is the length in bytes.
func (s Span) Size() int { return s.size }

// Next is the offset after the span's last record; for an empty span, the offset that was asked for.
func (s Span) Next() batch.Offset { return s.next }

// File gives the descriptor and the position of the span's first byte for sendfile; ok is false where the bytes are not in a file
// yet, or the disk has no descriptors (in memory), and AppendTo must be used. The descriptor is valid until Release and must not be
// closed or seeked.
func (s Span) File() (fd uintptr, pos int64, ok bool) {
	if s.seg == nil {
		return 0, 0, false
	}
	fd, ok = s.seg.Descriptor()
	return fd, s.pos, ok
}

// AppendTo reads the span's bytes onto dst: from memory, without a system call, when they are few and new.
func (s Span) AppendTo(dst []byte) ([]byte, error) {
	if s.hot != nil {
		for _, b := range s.hot.bufs {
			dst = append(dst, b...)
		}
		return dst, nil
	}
	if s.seg == nil {
		return dst, nil
	}
	at := len(dst)
	dst = slices.Grow(dst, s.size)[:at+s.size]
	if err := s.seg.ReadAt(dst[at:], s.pos); err != nil {
		return dst[:at], fmt.Errorf("%s: read %d bytes at %d: %w", s.seg.Path, s.size, s.pos, err)
	}
	return dst, nil
}

// Release lets go of the file. Safe to call on an empty Span, and more than once.
func (s *Span) Release() {
	if s.hot != nil {
		s.hot.release()
		s.hot = nil
	}
	if s.seg != nil {
		_ = s.seg.Release() // closing a file that is only read loses nothing
		s.seg = nil
	}
}

// Read gives the stored bytes of whole batches, beginning with the one that holds from, of at most maxBytes in all (but at
// least one batch), and only batches that lie wholly below end (pass the high watermark; it is cut to FlushedEnd). A from at
// or above end that has been given out gives an empty Span. A Span lies within one segment, so it may be shorter than what the log
// holds. Errors: ErrOffsetOutOfRange, ErrClosed, ErrCorrupt, I/O errors. The caller must Release the Span.
func (l *Log) Read(from, end batch.Offset, maxBytes int) (Span, error) {
	if s, ok := l.readRecent(from, end, maxBytes); ok {
		return s, nil
	}
	if l.isBehind(from) {
		if err := l.writeOut(); err != nil && l.isBehind(from) { // still: another may have been about to write it
			return l.readBehind(from, end, maxBytes, err)
		}
	}
	for at := from; ; {
		w, err := l.window(at, end)
		if err != nil || w.seg == nil {
			return Span{next: from}, err
		}
		span, err := w.cut(at, maxBytes)
		if err != nil && l.foundDamage(w.part, err) {
			continue // what lies before it can be served
		}
		if err != nil || span.size > 0 {
			return span, err
		}
		at = w.next // nothing at or after it in this segment: offsets were skipped; w.next is above at
	}
}

// readRecent answers for the newest batches, without any I/O; ok is false when from is not among them.
func (l *Log) readRecent(from, end batch.Offset, maxBytes int) (s Span, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.recent.Find(from)
	if !ok || from < l.start || l.closed {
		return s, false
	}
	end = min(end, l.flushed) // E3
	head := l.recent.Get(first)
	behind := head.Base >= l.written
	last := first
	for i := first; i < l.recent.Len(); i++ {
		b := l.recent.Get(i)
		if b.Next > end || b.Segment != head.Segment || i > first && s.size+int(b.Size) > maxBytes || b.Base >= l.written && !behind {
			break
		}
		s.size += int(b.Size)
		s.next, last = b.Next, i
	}
	for i := len(l.parts) - 1; i >= 0 && s.size > 0; i-- {
		if p := l.parts[i]; p.seg.Base == head.Segment && len(p.damage) == 0 {
			l.heat(&s, first, last)
			if behind {
				return s, s.hot != nil
			}
			p.seg.Acquire()
			s.seg, s.pos = p.seg, head.Position
			return s, true
		}
	}
	return Span{}, false
}

// isBehind says whether the batch at from is flushed and not in its segment yet.
func (l *Log) isBehind(from batch.Offset) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from >= l.written && from < l.flushed
}

// readBehind answers from what is behind, by a copy, when the disk has failed and it cannot be written any more (E4). why is returned
// when from is not there.
func (l *Log) readBehind(from, end batch.Offset, maxBytes int, why error) (s Span, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end = min(end, l.flushed) // E3
	var bytes []byte
	for i := range l.behind {
		b := l.behind[i].b
		if b.NextOffset() <= from {
			continue
		}
		if b.NextOffset() > end || len(bytes) > 0 && len(bytes)+len(b) > maxBytes {
			break
		}
		bytes = append(bytes, b...)
		s.next = b.NextOffset()
	}
	if len(bytes) == 0 {
		return Span{next: from}, why
	}
	s.size = len(bytes)
	s.hot = hots.Get().(*hot)
	s.hot.bufs = append(s.hot.bufs, bytes)
	return s, nil
}

// heat gives a span its bytes in memory, if they are few and all there. Callers hold mu.
func (l *Log) heat(s *Span, first, last int) {
	if s.size > hotBytes {
		return
	}
	h := hots.Get().(*hot)
	for i := first; i <= last; i++ {
		if !h.pin(l.e.cache, l.recent.Get(i).Ref) {
			h.release()
			return
		}
	}
	s.hot = h
}

// window is what a read may look at: [floor, limit) of one segment, read without the log's lock.
type window struct {
	log   *Log
	part  *part
	seg   *segment.Segment // the part's, acquired; nil: nothing to read
	sums  segment.Sums     // of what is readable
	floor int64            // a batch at or before the one wanted
	limit int64            // end of what is readable
	next  batch.Offset     // offset after the last batch below limit
	whole bool             // limit is wanted; otherwise batches must be cut at end
	end   batch.Offset
}

func (l *Log) window(from, end batch.Offset) (w window, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && len(l.parts) == 0 {
		return w, fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	if from < l.start || from > l.next {
		return w, fmt.Errorf("%w: %s holds [%d, %d), asked for %d", ErrOffsetOutOfRange, l.name, l.start, l.next, from)
	}
	end = min(end, l.flushed, l.written) // E3
	if from >= end {
		return w, nil
	}
	i := sort.Search(len(l.parts), func(i int) bool { return l.parts[i].seg.Base > from }) - 1
	i = max(i, 0)
	p := l.parts[i]
	seg := p.seg
	end, limit, err := p.sound(from, end, seg.Size())
	if err != nil {
		return w, err
	}
	w = window{log: l, part: p, seg: seg, sums: seg.Sums(), floor: seg.FloorOffset(from), limit: limit, next: l.written, whole: true, end: end}
	if i+1 < len(l.parts) {
		w.next = min(w.next, l.parts[i+1].seg.Base)
	}
	w.whole = w.next <= end
	seg.Acquire()
	return w, nil
}

// cut finds the batches wanted. The window's hold on the segment goes to the span, or is released.
func (w *window) cut(from batch.Offset, maxBytes int) (s Span, err error) {
	defer func() {
		if s.size == 0 {
			_ = w.seg.Release() // only read
		}
	}()
	err = w.sums.CheckCold(w.floor, w.floor+1) // before the pages come in without having been looked at
	beside := w.beside(err, from, from+1)
	if err != nil && !beside {
		return Span{}, w.damage(err)
	}
	at, ok, err := w.seg.Find(from, w.floor, w.limit)
	if err != nil || !ok {
		return Span{}, w.damage(err)
	}
	if beside {
		return w.single(at)
	}
	s = Span{seg: w.seg, pos: at.Pos}
	switch {
	case at.Size >= int64(maxBytes) && at.Next <= w.end: // one batch, and all is known of it
		s.size, s.next = int(at.Size), at.Next
	case w.whole && w.limit-at.Pos <= int64(maxBytes):
		s.size, s.next = int(w.limit-at.Pos), w.next
	default: // several, or none
		stop, next, err := w.boundary(at.Pos, at.Pos+int64(maxBytes))
		if err != nil || stop == at.Pos {
			return Span{}, w.damage(err)
		}
		s.size, s.next = int(stop-at.Pos), next
	}
	if err := w.sums.CheckCold(s.pos, s.pos+int64(s.size)); w.beside(err, from, s.next) {
		return w.single(at)
	} else if err != nil {
		return Span{}, w.damage(err)
	}
	return s, nil
}

// beside says that err is damage of other batches than those of [from, next), which lie beside them: their headers are as they were
// written, so the way past them is known. In a sealed segment that is so only of damage that comes later.
func (w *window) beside(err error, from, next batch.Offset) bool {
	if err == nil {
		return false
	}
	var d *segment.Damage
	return errors.As(err, &d) && (d.First >= next || d.Next <= from && !w.seg.Sealed())
}

// single is the span of one batch beside a damaged one. It is looked at by itself: a check of more would only find the other again.
func (w *window) single(at segment.Place) (Span, error) {
	if at.Next > w.end {
		return Span{}, nil
	}
	b := batch.Batch(make([]byte, at.Size))
	if err := w.seg.ReadAt(b, at.Pos); err != nil {
		return Span{}, err
	}
	if err := b.Check(); err != nil {
		return Span{}, fmt.Errorf("%w: %s at byte %d: %w", ErrCorrupt, w.seg.Path, at.Pos, err)
	}
	return Span{seg: w.seg, pos: at.Pos, size: len(b), next: at.Next}, nil
}

// boundary finds the end of the last batch that ends at or before want and below end, or of the one at pos.
func (w *window) boundary(pos, want int64) (stop int64, next batch.Offset, err error) {
	w.log.mu.Lock()
	from := max(pos, w.seg.FloorPosition(min(want, w.limit)))
	if !w.whole {
		from = pos // the end offset may cut earlier than the bytes do
		if f := w.seg.FloorOffset(w.end - 1); f > pos && f <= want {
			from = f
		}
	}
	w.log.mu.Unlock()
	stop = from
	err = w.seg.Walk(from, w.limit, func(p int64, h batch.Batch, size int64) bool {
		if (p+size > want && p > pos) || h.NextOffset() > w.end {
			return false
		}
		stop, next = p+size, h.NextOffset()
		return p+size < want && next < w.end // what lies behind the end may not be a batch
	})
	if stop == from && from > pos { // the floor itself was one too far: its base offset is where the span ends
		err = w.seg.Walk(from, w.limit, func(_ int64, h batch.Batch, _ int64) bool { next = h.BaseOffset(); return false })
	}
	return stop, next, err
}

func (w *window) damage(err error) error {
	if errors.Is(err, segment.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// Timestamped is a record's place and time.
type Timestamped struct {
	Offset    batch.Offset
	Timestamp int64 // ms
	Epoch     batch.Epoch
}

// OffsetForTime finds the first flushed record whose timestamp is at least ms; ok is false when there is none. What was trimmed is not
// found, though the log's first segment may still hold it.
func (l *Log) OffsetForTime(ms int64) (t Timestamped, ok bool, err error) {
	if err := l.writeOut(); err != nil {
		return t, false, err
	}
	start := l.StartOffset()
	for from := batch.Offset(0); ; {
		w := l.timeWindow(func(s *segment.Segment) (int64, bool) {
			return s.FloorTime(ms), s.Base >= from && s.Newest().Time >= ms
		})
		if w.seg == nil {
			return t, false, nil
		}
		from = w.seg.Base + 1 // where what is new enough was trimmed, the next segment may have more
		if t, ok, err = w.findTime(ms, start); ok || err != nil {
			return t, ok, err
		}
	}
}

// MaxTimestamp finds the first record with the largest timestamp among the flushed ones.
func (l *Log) MaxTimestamp() (t Timestamped, ok bool, err error) {
	if err := l.writeOut(); err != nil {
		return t, false, err
	}
	newest := segment.Stamp{Time: -1}
	l.mu.Lock()
	for _, p := range l.parts {
		if n := p.seg.Newest(); n.Time > newest.Time {
			newest = n
		}
	}
	l.mu.Unlock()
	if newest.Time < 0 {
		return t, false, nil
	}
	w := l.timeWindow(func(s *segment.Segment) (int64, bool) { return newest.Pos, s.Newest() == newest })
	return w.findTime(newest.Time, 0)
}

// timeWindow is a window on the first segment that want accepts, from the position that it names.
func (l *Log) timeWindow(want func(*segment.Segment) (int64, bool)) (w window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		if from, ok := want(p.seg); ok && len(p.damage) == 0 {
			p.seg.Acquire()
			return window{log: l, part: p, seg: p.seg, sums: p.seg.Sums(), floor: from, limit: p.seg.Size()}
		}
	}
	return w
}

// EpochEnd answers who is at a leader epoch: the largest epoch in the log that is not above it, and the offset at which that
// one ends (for the newest: the end of the log). ok is false when the log knows none that old (KIP-101, KIP-279).
func (l *Log) EpochEnd(e batch.Epoch) (epoch batch.Epoch, end batch.Offset, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.EndOf(e, l.flushed)
}

// findTime looks for the first record as new as ms, not below start. Batches whose largest time is older are passed over by their headers; so are
// those without records, which compaction leaves. The window's hold on the segment is released.
func (w *window) findTime(ms int64, start batch.Offset) (t Timestamped, ok bool, err error) {
	if w.seg == nil {
		return t, false, nil
	}
	defer func() { _ = w.seg.Release() }() // only read
	var bad error
	checked := w.floor // how far headers can be believed
	if bad = w.sums.CheckCold(checked, checked+1); bad == nil {
		err = w.seg.Walk(w.floor, w.limit, func(pos int64, h batch.Batch, size int64) bool {
			if pos >= checked {
				bad = w.sums.CheckCold(pos, pos+1)
				checked = pos + checkedStep
			}
			if bad != nil || h.MaxTimestamp() < ms || h.LastOffset() < start || h.Count() == 0 {
				return bad == nil
			}
			if bad = w.sums.CheckCold(pos, pos+size); bad == nil {
				t, ok, bad = findInBatch(w.seg, pos, size, ms, start)
			}
			return !ok && bad == nil
		})
	}
	if err = errors.Join(bad, err); err != nil {
		w.log.foundDamage(w.part, err)
		return t, false, w.damage(err)
	}
	return t, ok, nil
}

// checkedStep is how far a look at headers goes on a check of one of them: about a unit of segment.Sums.
const checkedStep = 32 << 10

// maxPlainBytes bounds what a batch may be decompressed to.
const maxPlainBytes = 64 << 20

func findInBatch(seg *segment.Segment, pos, size, ms int64, start batch.Offset) (t Timestamped, ok bool, err error) {
	b := batch.Batch(make([]byte, size))
	if err := seg.ReadAt(b, pos); err != nil {
		return t, false, fmt.Errorf("%s: read %d bytes at %d: %w", seg.Path, size, pos, err)
	}
	if b.Codec() != batch.None {
		records, err := codec.Decode(nil, b.Codec(), b.Records(), maxPlainBytes)
		if err != nil { // the batch is as the producer sent it; it is all that can be said of when its records are from
			return Timestamped{Offset: max(b.BaseOffset(), start), Timestamp: b.MaxTimestamp(), Epoch: b.LeaderEpoch()}, true, nil
		}
		b = b.Plain(nil, records)
	}
	err = b.Each(func(r batch.Record) bool {
		if r.Timestamp < ms || r.Offset < start {
			return true
		}
		t, ok = Timestamped{Offset: r.Offset, Timestamp: r.Timestamp, Epoch: b.LeaderEpoch()}, true
		return false
	})
	return t, ok, err
}
