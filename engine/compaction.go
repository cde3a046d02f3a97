package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/compact"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Compaction replaces segments by cleaned ones (internal/compact says what stays). Several neighbours may become one.
//
//	write X.log.cleaned, sync ─▶ rename to X.log.swap, sync the folder: from here on it counts
//	─▶ rename the segments behind X that it replaces to *.deleted, sync the folder ─▶ rename X.log.swap to X.log, sync
//
// A crash before the swap leaves a .cleaned file, which the next start removes; one after it leaves a .swap file, which the next
// start brings to its place. Only segments below the one that the checkpoint names are touched, so replay never meets them.
const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
)

// compaction is the caretaker's: one cleaner for all logs, made when the first one needs it.
type compaction struct {
	cleaner *compact.Cleaner
	buf     []byte
	out     []byte
}

// compact cleans a log if it is due. Errors end the attempt, and are the disk's end unless they pass.
func (l *Log) compact(c *compaction) error {
	o := l.opts()
	if !o.Compact {
		return nil
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if l.isGone() {
		return nil
	}
	parts, segs := l.cleanable()
	defer release(parts)
	now := l.e.SteadyTime().UnixMilli()
	policy := compact.Policy{MinDirtyRatio: o.MinDirtyRatio, MinLagMs: o.MinCompactionLag.Milliseconds(), MaxLagMs: o.MaxCompactionLag.Milliseconds()}
	cleaned, stable := l.cleanBounds()
	if o.MaxCompactionLag > 0 {
		if err := date(parts, segs, cleaned); err != nil {
			return err
		}
	}
	plan, due := compact.Choose(segs, cleaned, stable, policy, now)
	if !due {
		return nil
	}
	if err := l.beginCompaction(); err != nil {
		return err
	}
	if c.cleaner == nil {
		var err error
		if c.cleaner, err = compact.New(compact.Options{MapBytes: l.e.o.CleanerBytes}); err != nil {
			return err
		}
	}
	err := c.cleaner.Begin(compact.Round{
		Start: plan.Start, End: plan.End, NowMs: now, DeleteRetentionMs: o.DeleteRetention.Milliseconds(), KeepEmpty: l.keepsProducer,
		Aborted: l.abortedBatches(),
	})
	if err == nil {
		err = l.mapKeys(c, parts, plan)
	}
	if err != nil {
		return err
	}
	for _, g := range compact.Group(segs, c.cleaner.Mapped(), o.SegmentBytes) {
		i := slices.IndexFunc(parts, func(p *part) bool { return p.seg.Base == g[0].Base })
		if err := l.cleanGroup(c, parts[i:i+len(g)]); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.cleaned = c.cleaner.Mapped()
	l.mu.Unlock()
	l.e.count.compactions.Add(1)
	l.e.written.Store(true)
	return nil
}

// cleanable lists the parts, held, and what compact must know of them. The last one with records, which checkpoints name, and
// those that are not sealed count as being appended to.
func (l *Log) cleanable() (parts []*part, segs []compact.Segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := 0
	for i, p := range l.parts {
		if p.seg.Size() > 0 {
			last = i
		}
	}
	for i, p := range l.parts {
		next := l.written
		if i+1 < len(l.parts) {
			next = l.parts[i+1].seg.Base
		}
		p.seg.Acquire()
		parts = append(parts, p)
		newest := p.seg.Newest().Time
		segs = append(segs, compact.Segment{
			Base: p.seg.Base, Next: next, SizeBytes: p.seg.Size(), OldestMs: newest, NewestMs: newest,
			Active: i >= last || len(p.damage) > 0 || p.seg.Size() > 0 && !p.seg.Sealed(),
		})
	}
	return parts, segs
}

// date finds out how old the first batch of each segment is that is not clean. (cleanable tells the age of the newest, which is at hand.)
func date(parts []*part, segs []compact.Segment, cleaned batch.Offset) error {
	var head [batch.HeaderSize]byte
	for i, p := range parts {
		if s := &segs[i]; s.Active || s.Next <= cleaned || s.SizeBytes < batch.HeaderSize {
			continue
		}
		if err := p.seg.ReadAt(head[:], 0); err != nil {
			return err
		}
		segs[i].OldestMs = min(segs[i].OldestMs, batch.Batch(head[:]).MaxTimestamp())
	}
	return nil
}

func release(parts []*part) {
	for _, p := range parts {
		_ = p.seg.Release() // only read
	}
}

// cleanBounds are where the last round ended, and the first offset whose transaction is not decided.
func (l *Log) cleanBounds() (cleaned, stable batch.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cleaned, l.txns.Stable(l.written)
}

// abortedBatches tells of transactional batches whether their transaction was aborted.
func (l *Log) abortedBatches() func(batch.Batch) bool {
	var all []txn.Aborted
	for _, x := range l.abortedEntries() {
		all = append(all, x...)
	}
	order := func(a, b txn.Aborted) int {
		return cmp.Or(cmp.Compare(a.ProducerID, b.ProducerID), cmp.Compare(a.First, b.First))
	}
	slices.SortFunc(all, order)
	return func(b batch.Batch) bool {
		i, begins := slices.BinarySearchFunc(all, txn.Aborted{ProducerID: b.ProducerID(), First: b.BaseOffset()}, order)
		if begins {
			return true
		}
		return i > 0 && all[i-1].ProducerID == b.ProducerID() && b.BaseOffset() < all[i-1].Last
	}
}

func (l *Log) abortedEntries() (all [][]txn.Aborted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		if x := p.seg.Aborted(); x.Len() > 0 {
			all = append(all, x.Entries())
		}
	}
	return all
}

// beginCompaction makes it durable that offsets may be missing between segments from now on, and that everything below the last
// segment is.
func (l *Log) beginCompaction() error {
	l.mu.Lock()
	l.compacted = true
	l.mu.Unlock()
	return l.e.checkpointNow()
}

func (l *Log) keepsProducer(id batch.ProducerID, last batch.Offset) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.EndsAt(id, last)
}

// mapKeys enters the keys of [plan.Start, plan.End).
func (l *Log) mapKeys(c *compaction, parts []*part, plan compact.Plan) error {
	for i, p := range parts {
		if i+1 < len(parts) && parts[i+1].seg.Base <= plan.Start {
			continue
		}
		more := true
		err := c.batches(p, l.whileOpen(l.e.slowly(l.e.o.CleanBytesPerSecond)), func(b batch.Batch) (bool, error) {
			var err error
			if more, err = c.cleaner.Map(b); errors.Is(err, compact.ErrUnreadable) {
				err = nil // it stays as it is
			}
			return more, err
		})
		if err != nil || !more {
			return l.found(p, err)
		}
	}
	return nil
}

// found quarantines what compaction finds damaged.
func (l *Log) found(p *part, err error) error {
	if errors.Is(err, batch.ErrCorrupt) || errors.Is(err, segment.ErrCorrupt) {
		l.mu.Lock()
		next := p.seg.Next()
		l.mu.Unlock()
		l.quarantine(p, Damage{l.name, p.seg.Base, next, fmt.Errorf("%w: %s: %w", ErrCorrupt, p.seg.Path, err), 0})
		return fmt.Errorf("%w: compaction of %s stops", ErrCorrupt, l.name)
	}
	return err
}

// readAhead is how much is read of a segment at once.
const readAhead = 1 << 20

// batches calls f with every whole batch of a sealed segment, in order, until f says no. The batch is valid during the call.
func (c *compaction) batches(p *part, limit func(n int) error, f func(batch.Batch) (bool, error)) error {
	size := p.seg.Size() // sealed: it does not change
	for pos, need := int64(0), int64(0); pos < size; {
		if need > size-pos {
			return fmt.Errorf("%w: %s ends in the middle of the batch at byte %d", segment.ErrCorrupt, p.seg.Path, pos)
		}
		n := min(max(readAhead, need), size-pos)
		if err := limit(int(n)); err != nil {
			return err
		}
		c.buf = slices.Grow(c.buf[:0], int(n))[:n]
		if err := p.seg.ReadAt(c.buf, pos); err != nil {
			return err
		}
		used, more, err := each(c.buf, f)
		if err != nil || !more {
			return err
		}
		need = batch.HeaderSize
		if pos += used; int64(len(c.buf))-used >= batch.HeaderSize {
			if need, err = batch.SizeOf(c.buf[used:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls f with the whole batches that buf begins with, and gives how many bytes they are.
func each(buf []byte, f func(batch.Batch) (bool, error)) (used int64, more bool, err error) {
	for int64(len(buf))-used >= batch.HeaderSize {
		size, err := batch.SizeOf(buf[used:])
		if err != nil {
			return used, false, err
		}
		if size > int64(len(buf))-used {
			break
		}
		b, err := batch.First(buf[used : used+size])
		if err != nil {
			return used, false, err
		}
		if more, err := f(b); err != nil || !more {
			return used, false, err
		}
		used += size
	}
	return used, true, nil
}

// cleanGroup makes one segment of a group of neighbours.
func (l *Log) cleanGroup(c *compaction, group []*part) error {
	if !l.has(group[0]) { // trimmed away
		return nil
	}
	if err := l.e.checkReserve(l.opts(), group[0].seg.Size()); err != nil {
		return err
	}
	name := path.Join(l.dir, segment.Name(group[0].seg.Base))
	w, err := l.writeCleaned(c, name+cleanedSuffix, group)
	if err != nil {
		return err
	}
	l.e.count.cleanedIn.Add(w.stats.Bytes)
	l.e.count.cleanedOut.Add(w.stats.KeptBytes)
	l.e.count.recordsCleaned.Add(w.stats.Records - w.stats.KeptRecords)
	if len(group) == 1 && w.size == group[0].seg.Size() && w.stats.Rewritten == 0 {
		return l.e.o.FS.Remove(name + cleanedSuffix) // nothing to gain
	}
	return l.swap(name, group, w.markers)
}

// cleaned is a file that takes the place of a group.
type cleaned struct {
	stats   compact.Stats
	size    int64
	markers []batch.Offset // those that are not in it any more
}

func (l *Log) writeCleaned(c *compaction, name string, group []*part) (w cleaned, err error) {
	d := l.e.o.FS
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return w, err
	}
	f, err := d.Create(name)
	if err != nil {
		return w, err
	}
	flush := func() error {
		if len(c.out) == 0 {
			return nil
		}
		err := disk.WriteVecUncached(f, [][]byte{c.out}, w.size)
		w.size += int64(len(c.out))
		c.out = c.out[:0]
		return err
	}
	c.out = c.out[:0]
	for _, p := range group {
		if err != nil {
			break
		}
		err = l.found(p, c.batches(p, l.whileOpen(l.e.slowly(l.e.o.CleanBytesPerSecond)), func(b batch.Batch) (bool, error) {
			out, st, err := c.cleaner.Clean(c.out, b)
			if errors.Is(err, compact.ErrUnreadable) {
				err = nil // it is there unchanged
			}
			c.out = out
			w.stats.Add(st)
			if st.Markers > 0 {
				w.markers = append(w.markers, b.BaseOffset())
			}
			if err == nil && len(c.out) >= readAhead {
				err = flush()
			}
			return true, err
		}))
	}
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return w, errors.Join(err, f.Close())
}

// swap puts a cleaned file in the place of a group; markers are those that it has no more.
func (l *Log) swap(name string, group []*part, markers []batch.Offset) error {
	p, err := l.openCleaned(group, markers)
	if err != nil {
		return err
	}
	l.growing.Lock()
	defer l.growing.Unlock()
	if !l.beginSwap(group) {
		return errors.Join(p.seg.Release(), l.e.o.FS.Remove(name+cleanedSuffix))
	}
	defer l.endSwap()
	if err := l.swapFiles(name, group); err != nil {
		return errors.Join(err, p.seg.Release())
	}
	return l.replace(group, p)
}

// openCleaned opens the cleaned file of a group, before it counts: what may fail for want of a descriptor has not failed then.
func (l *Log) openCleaned(group []*part, markers []batch.Offset) (*part, error) {
	fresh, err := segment.OpenAs(l.e.o.FS, l.dir, group[0].seg.Base, cleanedSuffix, l.opts().IndexIntervalBytes)
	if err != nil {
		return nil, err
	}
	size, err := fresh.FileSize()
	p := newPart(l, fresh)
	if err == nil {
		_, err = fresh.Scan(size, p.note)
	}
	if err != nil {
		return nil, errors.Join(err, fresh.Release())
	}
	fresh.SetAllocated(size)
	for _, old := range group { // sealed: their entries do not change
		for _, a := range old.seg.Aborted().Entries() {
			if _, gone := slices.BinarySearch(markers, a.Last); !gone {
				fresh.Aborted().Carry(a)
			}
		}
	}
	return p, nil
}

// beginSwap keeps the segments of a group in the log until endSwap. It says no when a trim has taken some, or the log is closed: the name
// that the cleaned file would get may be that of a file which is about to go.
func (l *Log) beginSwap(group []*part) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !slices.Contains(l.parts, group[0]) {
		return false
	}
	l.swapping = group[0]
	return true
}

// endSwap lets go what was trimmed meanwhile.
func (l *Log) endSwap() {
	l.mu.Lock()
	l.swapping = nil
	start := l.start
	l.mu.Unlock()
	l.trimmed(start)
}

// swapFiles swaps on the disk. From when the swap counts, an error is the disk's end, whatever its reason: a start would end the swap, while
// this process goes on with the files that were replaced.
func (l *Log) swapFiles(name string, group []*part) error {
	d := l.e.o.FS
	if err := d.Rename(name+cleanedSuffix, name+swapSuffix); err != nil {
		return err
	}
	if err := d.SyncDir(l.dir); err != nil {
		if back := d.Rename(name+swapSuffix, name+cleanedSuffix); back != nil || syncFailed(err) {
			return l.e.fail(errors.Join(err, back))
		}
		return err
	}
	var behind []batch.Offset
	for _, p := range group[1:] {
		behind = append(behind, p.seg.Base)
	}
	if err := bringIn(d, l.dir, group[0].seg.Base, behind); err != nil {
		return l.e.fail(err)
	}
	return nil
}

// bringIn ends a swap: the segments behind it go, then it takes its place.
func bringIn(d disk.FS, dir string, base batch.Offset, behind []batch.Offset) error {
	for _, b := range behind {
		if err := segment.Unseal(d, dir, b); err != nil {
			return err
		}
		name := path.Join(dir, segment.Name(b))
		if err := d.Rename(name, name+segment.DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := segment.Unseal(d, dir, base); err != nil { // syncs the folder, too
		return err
	}
	name := path.Join(dir, segment.Name(base))
	if err := d.Rename(name+swapSuffix, name); err != nil {
		return err
	}
	return d.SyncDir(dir)
}

// replace makes a swapped segment part of the log.
func (l *Log) replace(group []*part, p *part) error {
	l.mu.Lock()
	i := slices.Index(l.parts, group[0]) // beginSwap has seen it, and nothing has taken it since
	p.touched = group[len(group)-1].touched
	l.sinceRecap++ // until it is sealed, a recap is what knows its aborted transactions
	l.parts = slices.Replace(slices.Clone(l.parts), i, i+len(group), p)
	l.recent.Forget()
	l.mu.Unlock()
	var err error
	for n, old := range group {
		base := old.seg.Base
		if n == 0 { // its file is gone with the last reader: another has taken its name
			err = errors.Join(err, old.seg.Release())
			continue
		}
		err = errors.Join(err, old.seg.Retire(func() { _ = l.e.chore(func() { l.removeFiles(base) }) })) // else the next start removes it
	}
	return err
}

// finishSwaps ends the swaps that a crash interrupted, and removes what was never swapped. It gives whether there were any.
func finishSwaps(d disk.FS, dir string) error {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case strings.HasSuffix(e.Name, segment.Suffix+cleanedSuffix):
			err = d.Remove(name)
		case strings.HasSuffix(e.Name, segment.Suffix+swapSuffix):
			err = finishSwap(d, dir, strings.TrimSuffix(e.Name, swapSuffix))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func finishSwap(d disk.FS, dir, name string) error {
	n, err := strconv.ParseInt(strings.TrimSuffix(name, segment.Suffix), 10, 64)
	base := batch.Offset(n)
	if err != nil || segment.Name(base) != name {
		return fmt.Errorf("%w: %s is not the name of a segment; move it away", ErrCorrupt, path.Join(dir, name+swapSuffix))
	}
	next, err := swapEnd(d, path.Join(dir, name+swapSuffix), base)
	if err != nil {
		return err
	}
	bases, err := segmentBases(d, dir)
	if err != nil {
		return err
	}
	var behind []batch.Offset
	for _, b := range bases {
		if b > base && b < next {
			behind = append(behind, b)
		}
	}
	return bringIn(d, dir, base, behind)
}

// swapEnd is the offset after the last record of a swap file: the segments that begin below it are those that it replaces.
func swapEnd(d disk.FS, name string, base batch.Offset) (next batch.Offset, err error) {
	f, err := d.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	next = base
	for pos := int64(0); err == nil && pos < size; {
		var b batch.Batch
		if b, err = readBatch(f, pos, size); err == nil && b == nil {
			err = fmt.Errorf("%w: %s at byte %d; restore the log from a copy", ErrCorrupt, name, pos)
		}
		if err == nil {
			next = b.NextOffset()
			pos += int64(len(b))
		}
	}
	return next, err
}
