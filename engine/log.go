package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/epochs"
	"github.com/streambus/streambus/engine/internal/producer"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/tail"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Log is one partition's log. It is safe for concurrent use.
type Log struct {
	e    *Engine
	id   uint64
	name string
	dir  string
	o    atomic.Pointer[LogOptions] // never changed, but replaced by SetOptions

	setting  sync.Mutex // held by SetOptions
	bounding sync.Mutex // held by Trim and Cut: what one waits for, the other must not move
	sealing  sync.Mutex // held while a segment is sealed, compacted or cut
	growing  sync.Mutex // held while files of the log come, grow or go: the only I/O that an append may wait for
	writing  sync.Mutex // held while batches that are behind are written to their segments

	recapping sync.Mutex // held while the recap is written

	mu         sync.Mutex
	parts      []*part        // the segments, in order; the last one is appended to
	start      batch.Offset   // first offset kept
	next       batch.Offset   // next to be given
	tail       int64          // where in the last segment the next batch goes
	taken      batch.Offset   // end of what the committer has given us; above flushed only within a group
	flushed    batch.Offset   // E1
	told       batch.Offset   // how much of it the observer knows
	written    batch.Offset   // end of what the segments hold; from there to flushed is behind
	lsn        commit.LSN     // of the last frame that is in written
	behind     []pending      // [written, taken), but for what is being written
	cuts       uint32         // how often Cut was called
	settled    sync.Cond      // told has reached next, or the disk has failed
	producers  producer.Table // of all below next
	txns       txn.Table      // of all below next; transactions.go says why
	epochs     epochs.History
	recent     tail.Recent
	rolling    bool // the last segment takes no more
	rerouting  bool // SetOptions changes the committer: appends wait
	unlogging  bool // the next checkpoint is to say that batches may go past the commit log
	growAsked  bool // a chore is under way that makes room
	closed     bool
	dropped    bool
	compacted  bool               // there may be gaps between segments
	cleaned    batch.Offset       // where the last compaction ended
	cutting    bool               // Cut has not yet removed the bytes beyond the end
	swapping   *part              // the first of those that a compaction replaces just now: they stay, though the log may begin above them
	newNames   bool               // the folder holds names that were not synced
	sinceRecap int64              // bytes since the last recap
	draft      draft              // of the next one
	condemned  []*segment.Segment // not part of the log any more; their files go after the next checkpoint
	timer      *time.Timer        // of Interval; nil when it does not run

	spare []pending // guarded by writing: behind's other half
	debt  debt      // guarded by the engine's behind

	// Owned by the committing goroutine.
	touched bool  // already in the group's list
	grown   int64 // bytes of the group
	borrows bool  // some of them are the caller's memory, to be given back soon
}

func newLog(e *Engine, s commit.LogState, o LogOptions) *Log {
	l := &Log{
		e: e, id: s.ID, name: s.Name, dir: path.Join(e.o.Dir, s.Name),
		start: s.Start, next: s.End, taken: s.End, flushed: s.End, told: s.End, written: s.End, lsn: s.LSN, cuts: s.Cuts, compacted: s.Compacted, cleaned: s.Cleaned,
	}
	l.settled.L = &l.mu
	l.o.Store(&o)
	return l
}

// opts are the options as they are now.
func (l *Log) opts() *LogOptions { return l.o.Load() }

// via is the committer that the log's batches go through.
func (l *Log) via() *commit.Committer {
	if l.opts().Durability == Fsync {
		return l.e.committer
	}
	return l.e.unlogged
}

// part is one segment of a log, and what the engine's goroutines gather for it.
type part struct {
	log *Log
	seg *segment.Segment

	// Guarded by log.mu.
	dirty   bool          // written to since the last checkpoint
	clean   int64         // bytes of it that checkpoints have brought to the disk
	touched time.Duration // when it was last written to, by Engine.elapsed; 0: not in this life of the program
	first   time.Duration // when it was first seen to hold something, likewise
	lastPos int64         // where the last batch begins; -1: there is none
	lastCRC uint32        // the CRC that stands in it
	damage  []Damage      // what is not served any more, by offset
}

func newPart(l *Log, seg *segment.Segment) *part { return &part{log: l, seg: seg, lastPos: -1} }

// note remembers the last batch, which the segment has just made readable.
func (p *part) note(h batch.Batch) {
	size, _ := batch.SizeOf(h) // it is readable, so it has one
	p.lastPos, p.lastCRC = p.seg.Size()-size, h.CRC()
}

// Appended says where a batch went.
type Appended struct {
	Base, Last batch.Offset // offsets of its first and last record
	Duplicate  bool         // the producer had sent it before: these are the offsets it got then, and nothing was written
}

// Append checks the producer's sequence and transaction, gives the batch its offsets by stamping them in place, and queues it for the next
// group commit. It does no I/O but for growing a segment. When the queue is full it waits for the committing goroutine, so the
// caller must not hold a lock that its Observer takes. The caller must have accepted the batch by Batch.CheckFresh: Append does not
// look at the CRC again. The batch is durable, and readable, when Observer.Flushed passes Last.
//
// A small batch is copied to the cache of newest batches, if there is room, and stamped there: the one copy of its bytes. Else it
// is borrowed. Control batches that end a transaction are taken like others (the transaction coordinator appends them; what a client sends
// must have been refused), but for their producer's epoch alone. On success the engine calls own.Release (own may be nil) once, when it needs b no more: before Append returns, or when
// b is in its segment; on error it keeps nothing and does not call it.
// Errors: ErrTooLarge, ErrFull, ErrOutOfOrderSequence, ErrFencedProducer, ErrInvalidTxnState, ErrTooManyTransactions, ErrFailed, ErrClosed.
func (l *Log) Append(b batch.Batch, epoch batch.Epoch, own Owner) (Appended, error) {
	if most := l.opts().MaxBatchBytes; len(b) > most || b.Control() && len(b) > segment.MaxControl {
		return Appended{}, fmt.Errorf("%w: %d bytes, %s takes %d, and control batches of %d", ErrTooLarge, len(b), l.name, most, segment.MaxControl)
	}
	for {
		at, err := l.appendBy(l.via(), b, epoch, own)
		if err != errRerouted {
			return at, err
		}
	}
}

// errRerouted says that SetOptions has changed the way that the log's batches go, and nothing was taken.
var errRerouted = errors.New("the log's committer has changed")

// appendBy appends by way of one committer. Errors: those of Append, and errRerouted.
func (l *Log) appendBy(via *commit.Committer, b batch.Batch, epoch batch.Epoch, own Owner) (at Appended, err error) {
	if err := via.Admit(len(b)); err != nil {
		return Appended{}, l.e.refusal(err)
	}
	var queued, borrowed bool
	if held, by, ok := l.e.hold(b); ok {
		if at, queued, err = l.append(via, held, epoch, by); !queued {
			by.Release()
		}
	} else {
		at, queued, err = l.append(via, b, epoch, own)
		borrowed = queued
	}
	if !queued {
		via.Dismiss(len(b))
	}
	if errors.Is(err, ErrFull) {
		l.e.count.full.Add(1)
	}
	if err == nil && !borrowed && own != nil {
		own.Release()
	}
	return at, err
}

// hold copies a batch that is small enough to the cache of newest batches.
func (e *Engine) hold(b batch.Batch) (held batch.Batch, by *tail.Chunk, ok bool) {
	if len(b) > hotBytes {
		return nil, nil, false
	}
	return e.cache.Hold(b)
}

func (l *Log) append(via *commit.Committer, b batch.Batch, epoch batch.Epoch, own Owner) (at Appended, queued bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for l.rerouting {
			l.settled.Wait()
		}
		if l.closed {
			return at, false, fmt.Errorf("%w: %s", ErrClosed, l.name)
		}
		if via != l.via() {
			return at, false, errRerouted
		}
		base, duplicate, err := l.producers.Check(b)
		if err != nil {
			return at, false, sequenceError(l.name, err)
		}
		if duplicate {
			return Appended{Base: base, Last: base + batch.Offset(b.LastOffsetDelta()), Duplicate: true}, false, nil
		}
		if err := l.checkTransaction(b); err != nil {
			return at, false, err
		}
		if l.hasRoom(b) {
			break
		}
		l.mu.Unlock()
		err = l.grow(b)
		l.mu.Lock()
		if err != nil {
			return at, false, err
		}
	}
	at, err = l.take(b, epoch, own)
	return at, err == nil, err
}

// take stamps and queues a batch for which there is room (E2: both under the lock).
func (l *Log) take(b batch.Batch, epoch batch.Epoch, own Owner) (Appended, error) {
	p := l.parts[len(l.parts)-1]
	b.Stamp(l.next, epoch)
	at := Appended{Base: b.BaseOffset(), Last: b.LastOffset()}
	size := int64(len(b))
	l.producers.Update(b)
	l.noteTransaction(p, b)
	// Once it is queued the batch may be given back at any moment. If it is not taken, the log is failed or closed for good.
	err := l.via().Enqueue(commit.Entry{Kind: commit.Append, Log: l.id, Segment: p.seg.Base, Position: l.tail, Batch: b, Ref: p, Owner: own})
	if err != nil {
		return Appended{}, l.e.refusal(err)
	}
	l.next = at.Last + 1
	l.tail += size
	l.growAhead(p.seg)
	return at, nil
}

func sequenceError(name string, err error) error {
	if errors.Is(err, producer.ErrFenced) {
		return fmt.Errorf("%w: %s: %w", ErrFencedProducer, name, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrOutOfOrderSequence, name, err)
}

// hasRoom says whether the last segment can take b now.
func (l *Log) hasRoom(b batch.Batch) bool {
	return !l.rolling && !l.mustRoll(b) && l.tail+int64(len(b)) <= l.parts[len(l.parts)-1].seg.Allocated()
}

// mustRoll says whether b belongs into a new segment. An empty segment takes any batch.
func (l *Log) mustRoll(b batch.Batch) bool {
	seg := l.parts[len(l.parts)-1].seg
	return l.tail > 0 && (l.tail+int64(len(b)) > l.opts().SegmentBytes || int64(l.next-seg.Base)+int64(b.LastOffsetDelta()) > segment.MaxRelative || seg.Aborted().Full())
}

// grow makes room for b: a new segment, or more of the last one (E5). Only one goroutine at a time does it for a log.
func (l *Log) grow(b batch.Batch) error {
	l.growing.Lock()
	defer l.growing.Unlock()
	l.mu.Lock()
	if l.closed || l.hasRoom(b) { // somebody else was faster
		l.mu.Unlock()
		return nil
	}
	l.rolling = l.mustRoll(b)
	roll, base, tail, seg := l.rolling, l.next, l.tail, l.parts[len(l.parts)-1].seg
	l.mu.Unlock()
	if roll {
		return l.roll(base)
	}
	return l.reserve(seg, tail+int64(len(b)))
}

// roll begins a segment at base. While it does, no batch is taken, so base stays the next offset.
func (l *Log) roll(base batch.Offset) error {
	seg, err := l.newSegment(base)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rolling = false
	if err != nil {
		return err
	}
	l.parts = append(l.parts, newPart(l, seg))
	l.tail = 0
	l.newNames = true
	if l.written == base {
		l.e.care(l) // else when the last of it is written
	}
	return nil
}

func (l *Log) newSegment(base batch.Offset) (*segment.Segment, error) {
	if err := l.e.checkReserve(l.opts(), minStep); err != nil {
		return nil, err
	}
	seg, err := segment.Create(l.e.o.FS, l.dir, base, l.opts().IndexIntervalBytes)
	if err != nil {
		return nil, l.e.growthError(err)
	}
	return seg, nil
}

// growAhead has room made before it runs out, so that Append need not wait for it. Callers hold mu.
func (l *Log) growAhead(seg *segment.Segment) {
	had := seg.Allocated()
	if l.growAsked || had >= l.opts().SegmentBytes || had-l.tail > growStep(had)/2 {
		return
	}
	l.growAsked = l.e.chore(func() {
		l.growing.Lock()
		defer l.growing.Unlock()
		l.mu.Lock()
		same := l.parts[len(l.parts)-1:]
		now := !l.closed && !l.rolling && len(same) == 1 && same[0].seg == seg
		if now {
			seg.Acquire()
		}
		l.mu.Unlock()
		if now {
			_ = l.reserve(seg, had+1) // whoever finds no room is told why
			_ = seg.Release()
		}
		l.mu.Lock()
		l.growAsked = false
		l.mu.Unlock()
	})
}

func growStep(had int64) int64 { return min(max(had/4, minStep), maxStep) }

// Room is reserved in steps that grow with the segment: a thousand small logs should not hold gigabytes, and a busy one
// should not ask for room at every batch. At most a third of what a large segment holds is reserved and not used.
const (
	minStep = 256 << 10
	maxStep = 16 << 20
)

// reserve makes sure that the file system has room for the segment up to need bytes at least.
func (l *Log) reserve(seg *segment.Segment, need int64) error {
	had := seg.Allocated() // only grow changes it
	target := max(need, min(had+growStep(had), l.opts().SegmentBytes))
	if l.opts().Preallocate {
		target = max(need, l.opts().SegmentBytes)
	}
	if err := l.e.checkReserve(l.opts(), target-had); err != nil {
		return err
	}
	if err := seg.Allocate(target); err != nil {
		return l.e.growthError(err)
	}
	l.mu.Lock()
	seg.SetAllocated(target)
	l.mu.Unlock()
	return nil
}

// giveBackRoom gives back what was reserved behind the end of the last segment. Nobody appends any more.
func (l *Log) giveBackRoom() error {
	l.mu.Lock()
	parts := l.parts
	l.mu.Unlock()
	if len(parts) == 0 {
		return nil
	}
	p := parts[len(parts)-1]
	size := p.seg.Size()
	if size == p.seg.Allocated() {
		return nil
	}
	return p.seg.Truncate(size) // cuts nothing
}

// checkReserve refuses growth that would eat into the space which deletes and commits need.
func (e *Engine) checkReserve(o *LogOptions, n int64) error {
	if o.Reserve || e.o.ReserveBytes == 0 {
		return nil
	}
	free, err := e.o.FS.Free(e.o.Dir)
	if err != nil {
		return e.fail(err)
	}
	if free-n < e.o.ReserveBytes {
		return fmt.Errorf("%w: %s has %d MiB free, of which %d MiB are kept in reserve; free some space or lower the reserve", ErrFull, e.o.Dir, free>>20, e.o.ReserveBytes>>20)
	}
	return nil
}

// growthError sorts what can go wrong when a file is created or extended: a full disk and a lack of descriptors or memory
// pass, anything else is the disk's end (E4).
func (e *Engine) growthError(err error) error {
	switch {
	case errors.Is(err, ErrFailed):
		return err
	case syncFailed(err): // whatever its reason: nothing more may be believed (disk.D3)
		return e.fail(err)
	}
	if lack := asLack(err); lack != nil {
		return lack
	}
	return e.fail(err)
}

// asLack is ErrFull for an error that is a lack of room, descriptors or memory; nil for another.
func asLack(err error) error {
	switch {
	case disk.NoRoom(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case disk.NoMeans(err):
		return fmt.Errorf("%w: %w; raise the limit of open files", ErrFull, err)
	}
	return nil
}

// syncFailed says that an error is that of a sync.
func syncFailed(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && strings.Contains(at.Op, "sync")
}

// StartOffset is the first offset kept.
func (l *Log) StartOffset() batch.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start
}

// FlushedEnd is the offset after the last durable record.
func (l *Log) FlushedEnd() batch.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flushed
}

// EndOffset is the next offset to be given.
func (l *Log) EndOffset() batch.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// Name is the name that the log was opened by.
func (l *Log) Name() string { return l.name }

// SizeBytes is the size of all segments, with what is flushed and not yet written to them.
func (l *Log) SizeBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.e.behind.of(l)
	for _, p := range l.parts {
		n += p.seg.Size()
	}
	return n
}

// close stops appends and lets the segments go; spans keep theirs.
func (l *Log) close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.forgive()
	if l.timer != nil {
		l.timer.Stop()
	}
	var err error
	for _, p := range l.parts {
		err = errors.Join(err, p.seg.Release())
	}
	for _, seg := range l.condemned { // their files go when the log is opened again
		err = errors.Join(err, seg.Release())
	}
	l.parts, l.condemned = nil, nil
	return err
}

// stop makes Append refuse; what is queued still goes on.
func (l *Log) stop() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}
