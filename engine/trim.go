package engine

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/producer"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/txn"
)

// trimming is a Trim on its way through the commit log.
type trimming struct {
	log  *Log
	to   batch.Offset
	done chan struct{}
}

// Trim moves the log's start to an offset: what lies below cannot be read any more, durably, when it returns. Segments that are
// wholly below go after the next checkpoint. A start that is there already is no error. Errors: ErrOffsetOutOfRange when to
// is above the flushed end, ErrFailed, ErrClosed.
func (l *Log) Trim(to batch.Offset) error {
	l.bounding.Lock()
	defer l.bounding.Unlock()
	l.mu.Lock()
	closed, start, flushed := l.closed, l.start, l.flushed
	l.mu.Unlock()
	switch {
	case closed:
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	case to <= start:
		return nil
	case to > flushed:
		return fmt.Errorf("%w: %s ends at %d, it cannot begin at %d", ErrOffsetOutOfRange, l.name, flushed, to)
	}
	if err := l.writeOut(); err != nil { // segments go as a whole
		return err
	}
	t := &trimming{log: l, to: to, done: make(chan struct{})}
	if err := l.send(l.e.committer, t); err != nil {
		return err
	}
	if to == flushed {
		return l.rollEmpty(to)
	}
	return nil
}

// send sends a trim through a committer and waits for it. It is queued under the lock, as appends are, so that none comes after a Drop:
// recovery would take it for an entry of a log that is lost.
func (l *Log) send(via *commit.Committer, t *trimming) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	err := via.Enqueue(commit.Entry{Kind: commit.Trim, Log: l.id, Offset: t.to, Ref: t})
	l.mu.Unlock()
	if err != nil {
		return l.e.refusal(err)
	}
	select {
	case <-t.done:
		return nil
	case <-l.e.failed:
		return l.e.Err()
	}
}

// rollEmpty begins a new segment at to when the log holds nothing else, so that the last segment can go too.
func (l *Log) rollEmpty(to batch.Offset) error {
	l.growing.Lock()
	defer l.growing.Unlock()
	l.mu.Lock()
	now := !l.closed && l.next == to && l.tail > 0
	l.rolling = now
	l.mu.Unlock()
	if !now {
		return nil
	}
	if err := l.roll(to); err != nil {
		return err
	}
	l.trimmed(to)
	return nil
}

// trimmed makes a new start visible, once it is durable.
func (l *Log) trimmed(to batch.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start = max(l.start, to)
	l.epochs.TrimTo(l.start)
	l.txns.Settle(l.start)
	n := 0
	// Those below the start are flushed as a whole: to was not above the flushed end.
	for n+1 < len(l.parts) && l.parts[n+1].seg.Base <= l.start && l.parts[n] != l.swapping {
		l.condemned = append(l.condemned, l.parts[n].seg)
		n++
	}
	l.parts = l.parts[n:]
	l.e.written.Store(true)
}

// Cut removes every batch that ends above an offset, durably, so that the log ends at or below it: what a replica must do whose
// copy went another way than the new leader's. It waits for the appends under way; the caller must see to it that no new ones
// come. Errors: ErrOffsetOutOfRange when to is below the start, ErrFailed, ErrClosed, ErrCorrupt.
func (l *Log) Cut(to batch.Offset) error {
	l.bounding.Lock() // a trim on its way to a start above the cut would be carried out after it
	defer l.bounding.Unlock()
	l.sealing.Lock()
	defer l.sealing.Unlock()
	l.growing.Lock()
	defer l.growing.Unlock()
	if err := l.quiesce(to); err != nil {
		return err
	}
	defer l.resume()
	if err := l.writeOut(); err != nil {
		return err
	}
	c, err := l.cutPoint(to)
	if err != nil || c.seg == nil {
		return err
	}
	defer func() { _ = c.seg.Release() }() // only read
	gone, err := l.cutAt(&c)
	if err != nil {
		return err
	}
	return l.cutFiles(&c, gone)
}

// quiesce keeps appends out and waits for those under way.
func (l *Log) quiesce(to batch.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	case to < l.start:
		return fmt.Errorf("%w: %s begins at %d, it cannot end at %d", ErrOffsetOutOfRange, l.name, l.start, to)
	}
	l.rolling = true // who finds no room waits for growing, which Cut holds
	for l.told < l.next && l.e.Err() == nil {
		l.settled.Wait()
	}
	if err := l.e.Err(); err != nil {
		l.rolling = false
		return err
	}
	return nil
}

func (l *Log) resume() {
	l.mu.Lock()
	l.rolling = false
	l.mu.Unlock()
	l.e.care(l) // whoever looked for segments to seal meanwhile saw none
}

// cut is a place to cut at: byte pos of a segment, before the batch that begins at end. A nil seg is nothing to do.
type cut struct {
	seg   *segment.Segment // acquired
	pos   int64
	end   batch.Offset
	fresh *segment.Segment // the same file, cut off at pos
}

// cutPoint finds where the first batch lies that ends above to. Appends are quiesced.
func (l *Log) cutPoint(to batch.Offset) (c cut, err error) {
	l.mu.Lock()
	if to >= l.next {
		l.mu.Unlock()
		return c, nil
	}
	i := sort.Search(len(l.parts), func(i int) bool { return l.parts[i].seg.Base > to }) - 1
	i = max(i, 0)
	c.seg = l.parts[i].seg
	c.seg.Acquire()
	floor, limit, sums := c.seg.FloorOffset(to), c.seg.Size(), c.seg.Sums()
	c.pos, c.end = limit, l.next
	if i+1 < len(l.parts) {
		c.end = l.parts[i+1].seg.Base
	}
	l.mu.Unlock()
	if err = sums.CheckCold(0, limit); err != nil { // what remains is believed as it is from then on
		return cut{}, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), c.seg.Release())
	}
	err = c.seg.Walk(floor, limit, func(pos int64, h batch.Batch, _ int64) bool {
		if h.NextOffset() <= to {
			return true
		}
		c.pos, c.end = pos, h.BaseOffset()
		return false
	})
	if err != nil {
		return cut{}, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), c.seg.Release())
	}
	c.end = min(c.end, to)
	return c, nil
}

// cutAt makes the cut in memory: what the log knows is read anew from the headers and markers that remain. It gives the segments that
// are gone as a whole.
func (l *Log) cutAt(c *cut) (gone []*segment.Segment, err error) {
	producers, txns, err := l.toldBefore(c)
	if err != nil {
		return nil, err
	}
	if err = segment.Unseal(l.e.o.FS, l.dir, c.seg.Base); err == nil {
		c.fresh, err = segment.Open(l.e.o.FS, l.dir, c.seg.Base, l.opts().IndexIntervalBytes)
	}
	if err != nil {
		return nil, l.e.growthError(err)
	}
	var bad error
	_, err = c.fresh.Scan(c.pos, func(h batch.Batch) {
		if producers.Update(h); bad == nil {
			bad = relearn(&txns, c.fresh.Aborted(), h)
		}
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrCorrupt, err), c.fresh.Release())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.parts, func(p *part) bool { return p.seg == c.seg })
	if i < 0 || l.closed {
		return nil, errors.Join(fmt.Errorf("%w: %s was trimmed or closed while it was cut", ErrClosed, l.name), c.fresh.Release())
	}
	c.fresh.SetAllocated(c.pos)
	for _, p := range l.parts[i:] {
		gone = append(gone, p.seg)
	}
	l.parts = append(l.parts[:i:i], cutPart(l, c.fresh))
	l.next, l.taken, l.flushed, l.told, l.written, l.tail = c.end, c.end, c.end, c.end, c.end, c.pos
	l.producers, l.txns = producers, txns
	l.epochs.CutAt(c.end)
	l.cleaned = min(l.cleaned, c.end)
	l.recent.Forget()
	l.draft = draft{}
	l.cuts++
	l.lsn++ // frames of what was cut off are not to be replayed
	l.cutting = true
	return gone, nil
}

// cutPart is the part that ends a log that was cut. Its last batch is not known, which only means no recap before the next one.
func cutPart(l *Log, seg *segment.Segment) *part {
	p := newPart(l, seg)
	p.dirty = true
	return p
}

// toldBefore is what the batches before the segment that is cut say of producers and transactions.
func (l *Log) toldBefore(c *cut) (producers producer.Table, txns txn.Table, err error) {
	type held struct {
		seg  *segment.Segment
		size int64
		next batch.Offset
	}
	l.mu.Lock()
	var before []held
	for _, p := range l.parts {
		if p.seg == c.seg {
			break
		}
		p.seg.Acquire()
		before = append(before, held{p.seg, p.seg.Size(), p.seg.Next()})
	}
	l.mu.Unlock()
	for _, b := range before {
		if err == nil {
			err = walkInOrder(b.seg, b.size, b.next, func(h batch.Batch) error {
				producers.Update(h)
				return relearn(&txns, nil, h)
			})
		}
		_ = b.seg.Release() // only read
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return producers, txns, err
}

// cutFiles makes a cut durable. The first checkpoint is what makes it so; only then may bytes go, or recovery would miss
// them. The second says that they are gone: until then recovery must not take whole batches beyond the end of an unlogged log
// for the newest ones.
func (l *Log) cutFiles(c *cut, gone []*segment.Segment) error {
	if err := l.e.checkpointNow(); err != nil {
		return err
	}
	err := c.fresh.Truncate(c.pos)
	if err == nil {
		err = c.fresh.Sync()
	}
	for i, seg := range gone {
		err = errors.Join(err, seg.Release())
		if i > 0 { // the first is the file that was cut
			err = errors.Join(err, segment.Unseal(l.e.o.FS, l.dir, seg.Base), l.e.o.FS.Remove(seg.Path))
		}
	}
	if err == nil {
		err = l.e.o.FS.SyncDir(l.dir)
	}
	if err != nil {
		return l.e.fail(err)
	}
	l.mu.Lock()
	l.cutting = false
	l.mu.Unlock()
	if l.opts().Durability != Fsync {
		return l.e.checkpointNow()
	}
	return nil
}
