package commit

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/timing"
)

// ErrClosed: the commit log takes no more entries.
var ErrClosed = errors.New("commit log is closed")

// Target is the engine as the commit log sees it. Calls come from the committer's own goroutines.
type Target interface {
	// Write writes the group's batches to their segments, unsynced. Only an unlogged Committer calls it, in the place of a flush.
	Write(group []Entry) error
	// Flushed says that the group, whose frame lies at the LSN, is durable (unlogged: written). Its batches belong to the Target from
	// then on. It may wait, which holds up the next group: for segments to be written, when too many batches are behind. An error, of
	// a disk that has failed elsewhere meanwhile, says that it took nothing and told nobody.
	Flushed(at LSN, group []Entry) error
	// Full says that half of the log was written since the last checkpoint: another one would let files be recycled.
	Full()
	// Failed gives back, with the first error (C4), entries that will never be flushed: their batches are no longer borrowed.
	Failed(err error, entries []Entry)
}

// Options of a Committer. All are required, but an unlogged one needs only GroupBytes, QueueBytes and Target.
type Options struct {
	FS         disk.FS
	Dir        string // the folder "commit"
	FileBytes  int64  // multiple of disk.PageSize, >= 64 KiB
	Files      int    // how many files circulate, >= 2
	GroupBytes int    // the most that one frame carries, unless a single batch is larger
	QueueBytes int64  // the most that may be queued
	Target     Target
}

// Committer is the group commit of one disk. One goroutine writes and flushes; a second prepares files. An unlogged one has the
// first goroutine only, which writes segments and flushes nothing: for logs that do without a flush before the acknowledgement.
// Lock order: Committer.mu is a leaf, so it may be taken under a log's lock.
type Committer struct {
	o Options

	mu      sync.Mutex
	work    sync.Cond // queue is not empty, or closing or failed
	room    sync.Cond // queued fell below QueueBytes, or closing or failed
	queue   []Entry
	queued  int64 // bytes admitted and not yet flushed
	closing bool
	err     error // the first one (C4)

	newest  atomic.Uint32 // File
	durable atomic.Uint64 // LSN; written by the committing goroutine when Target knows
	covered atomic.Uint64 // LSN of the last checkpoint that Recycle was told of
	count   counters

	// Owned by the committing goroutine.
	cur   *file
	at    LSN // of the next frame
	frame LSN // of the last frame
	spare []Entry
	head  []byte
	vec   [][]byte
	asked LSN // where Full was called last

	files    *supply
	wg       sync.WaitGroup
	supplied sync.WaitGroup
}

// counters count groups that were flushed (unlogged: written), before Target is told.
type counters struct {
	groups, entries, bytes atomic.Uint64
	flush                  timing.Histogram
}

// Counts is what a Committer has done since it was started, and what waits for it.
type Counts struct {
	Groups, Entries uint64
	Bytes           uint64          // of batches
	Flush           timing.Snapshot // write and sync of a group; unlogged: its write
	Queued          int64           // bytes admitted and not told yet
	Uncovered       int64           // bytes of log since the last checkpoint: what a restart would read
}

// Counts may be called by any goroutine.
func (c *Committer) Counts() Counts {
	c.mu.Lock()
	queued := c.queued
	c.mu.Unlock()
	n := Counts{
		Groups: c.count.groups.Load(), Entries: c.count.entries.Load(), Bytes: c.count.bytes.Load(),
		Flush: c.count.flush.Snapshot(), Queued: queued,
	}
	if c.logged() {
		n.Uncovered = max(int64(c.durable.Load()-c.covered.Load()), 0)
	}
	return n
}

// Start begins a new file at or after LSN at (everything below it is durable and covered by a checkpoint) and starts the
// goroutines. The caller must have recovered before.
func Start(o Options, at LSN) (*Committer, error) {
	c := &Committer{o: o, at: at}
	c.work.L, c.room.L = &c.mu, &c.mu
	c.durable.Store(uint64(at))
	s, err := openSupply(o, at)
	if err != nil {
		return nil, err
	}
	c.files = s
	if c.cur, err = s.first(); err != nil {
		return nil, err
	}
	c.at, c.asked = c.cur.start, c.cur.start
	c.covered.Store(uint64(c.at))
	c.newest.Store(uint32(c.cur.sequence + 1))
	c.wg.Go(c.run)
	c.supplied.Go(func() { s.run(c.fail) })
	return c, nil
}

// StartUnlogged starts a Committer that keeps no log: what Target has written counts as flushed.
func StartUnlogged(o Options) *Committer {
	c := &Committer{o: o}
	c.work.L, c.room.L = &c.mu, &c.mu
	c.wg.Go(c.run)
	return c
}

// logged says whether groups go to a commit log first.
func (c *Committer) logged() bool { return c.files != nil }

// Durable is the LSN below which everything is flushed, and Target has been told so: what Target knows when it asks covers
// at least this, which is what a checkpoint needs.
func (c *Committer) Durable() LSN { return LSN(c.durable.Load()) }

// File is the sequence of the newest file in use, plus 1.
func (c *Committer) File() uint32 { return c.newest.Load() }

// MaxBatch is the largest batch that a frame can carry, in bytes.
func MaxBatch(fileBytes int64) int64 {
	return fileBytes - 2*disk.PageSize - frameHeader - entrySize
}

// Admit waits until n bytes may be queued and takes the room. Call it without holding locks, before Enqueue; give the room
// back with Dismiss when Enqueue does not follow. Errors: ErrClosed, or the first disk error.
func (c *Committer) Admit(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.queued > 0 && c.queued+int64(n) > c.o.QueueBytes && c.err == nil && !c.closing {
		c.room.Wait()
	}
	if err := c.state(); err != nil {
		return err
	}
	c.queued += int64(n)
	return nil
}

// Dismiss gives back room that Admit took.
func (c *Committer) Dismiss(n int) {
	c.mu.Lock()
	c.queued -= int64(n)
	c.mu.Unlock()
	c.room.Broadcast()
}

func (c *Committer) state() error {
	if c.err != nil {
		return c.err
	}
	if c.closing {
		return ErrClosed
	}
	return nil
}

// Enqueue puts an entry, for which Admit gave room, behind all others: the order of calls is the order of LSNs. When it refuses, the room
// is still the caller's to give back (Dismiss). Errors: those of Admit.
func (c *Committer) Enqueue(e Entry) error {
	c.mu.Lock()
	if err := c.state(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.queue = append(c.queue, e)
	first := len(c.queue) == 1
	c.mu.Unlock()
	if first {
		c.work.Signal()
	}
	return nil
}

// Close flushes what is queued and stops. It returns the first disk error, if any.
func (c *Committer) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.work.Broadcast()
	c.room.Broadcast()
	c.wg.Wait() // before the files stop: what is queued may need one more
	if !c.logged() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	}
	c.files.stop()
	c.supplied.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.err, c.cur.Close(), c.files.close())
}

// Recycle says that a durable checkpoint covers everything below its LSN (C5).
func (c *Committer) Recycle(p *Checkpoint) {
	c.covered.Store(uint64(p.LSN))
	c.files.recycle(p.LSN, p.File)
}

// run is the committing goroutine: take a group, write it, flush it, publish it, again.
func (c *Committer) run() {
	for {
		group, ok := c.next()
		if !ok {
			c.abandon(nil)
			return
		}
		begin := time.Now()
		err := c.commit(group)
		if err == nil {
			c.count.flush.Observe(time.Since(begin))
			err = c.publish(group)
		}
		if err != nil {
			c.fail(err)
			c.abandon(group)
			return
		}
		// Producers whose records were just acknowledged send the next ones at once: two rounds of the scheduler gather them
		// into the next group, which is worth 1.1 to 1.9 times the acknowledgements per second, as measured.
		runtime.Gosched()
		runtime.Gosched()
		if err := c.mark(); err != nil {
			c.fail(err)
			c.abandon(nil)
			return
		}
	}
}

// mark writes a mark behind the last frame when nothing follows it at once, so that damage of that frame can be told from a torn write
// (C2). It is not synced: nobody waits for it, and the frame that overwrites it takes its place.
func (c *Committer) mark() error {
	if !c.logged() {
		return nil
	}
	c.mu.Lock()
	idle := len(c.queue) == 0
	c.mu.Unlock()
	if !idle {
		return nil
	}
	return c.writeMark(false)
}

func (c *Committer) writeMark(turn bool) error {
	c.head = appendMark(c.head[:0], c.cur.generation, c.at, c.Durable(), turn)
	c.vec = append(c.vec[:0], c.head)
	return c.cur.WriteVec(c.vec, c.cur.position(c.at))
}

// next waits for entries and takes a group; ok is false when there is nothing left to do.
func (c *Committer) next() (group []Entry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closing && c.err == nil {
		c.work.Wait()
	}
	if c.err != nil || len(c.queue) == 0 {
		return nil, false
	}
	n := c.fitting()
	group = append(c.spare[:0], c.queue[:n]...)
	c.spare = group
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	return group, true
}

// fitting counts the entries that go into one frame: as many as GroupBytes and a file hold, and at least one.
func (c *Committer) fitting() int {
	limit := int64(c.o.GroupBytes)
	if c.logged() {
		limit = min(limit, c.o.FileBytes-2*disk.PageSize)
	}
	size := int64(frameHeader)
	for n := range c.queue {
		size += entrySize + int64(len(c.queue[n].Batch))
		if n > 0 && (size > limit || n == maxEntries) {
			return n
		}
	}
	return len(c.queue)
}

// commit makes one group durable; an unlogged one is written instead (C1, C3).
func (c *Committer) commit(group []Entry) error {
	if !c.logged() {
		return c.o.Target.Write(group)
	}
	size := frameSize(group)
	if c.at+LSN(size) > c.cur.end()-disk.PageSize { // the last page is for the mark that says so
		if err := c.turn(); err != nil {
			return err
		}
	}
	if err := c.flush(group); err != nil {
		return err
	}
	c.frame, c.at = c.at, pageUp(c.at+LSN(size))
	half := LSN(c.o.FileBytes * int64(c.o.Files) / 2)
	if c.at-LSN(c.covered.Load()) > half && c.at-c.asked > half/4 {
		c.asked = c.at
		c.o.Target.Full()
	}
	return nil
}

func (c *Committer) flush(group []Entry) error {
	c.head = appendFrame(c.head[:0], group, c.cur.generation, c.at, c.Durable())
	c.vec = append(c.vec[:0], c.head)
	for i := range group {
		if len(group[i].Batch) > 0 {
			c.vec = append(c.vec, group[i].Batch)
		}
	}
	err := c.cur.WriteVec(c.vec, c.cur.position(c.at))
	clear(c.vec)
	if err != nil {
		return err
	}
	return c.cur.Sync()
}

// turn goes on in the next file, waiting for one if none is free.
func (c *Committer) turn() error {
	if !c.files.hasNext() {
		c.o.Target.Full() // a checkpoint may be needed for a file to be free
	}
	next, err := c.files.next()
	if err != nil {
		return err
	}
	if err = c.writeMark(true); err == nil {
		err = c.cur.Sync()
	}
	if err == nil {
		err = c.cur.Close()
	}
	if err != nil {
		return errors.Join(err, next.Close())
	}
	c.cur, c.at = next, next.start
	c.newest.Store(uint32(next.sequence + 1))
	return nil
}

func (c *Committer) publish(group []Entry) error {
	size := 0
	for i := range group {
		size += len(group[i].Batch)
	}
	c.count.groups.Add(1)
	c.count.entries.Add(uint64(len(group)))
	c.count.bytes.Add(uint64(size))
	if err := c.o.Target.Flushed(c.frame, group); err != nil {
		return err
	}
	c.durable.Store(uint64(c.at))
	clear(group)
	c.mu.Lock()
	c.queued -= int64(size)
	c.mu.Unlock()
	c.room.Broadcast()
	return nil
}

// Fail stops the commit log because of an error elsewhere on the same disk (C4).
func (c *Committer) Fail(err error) { c.fail(err) }

func (c *Committer) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.work.Broadcast()
	c.room.Broadcast()
	if c.logged() {
		c.files.stop()
	}
}

// abandon reports the first error, if there is one, for the group that it struck and for what was queued behind.
func (c *Committer) abandon(group []Entry) {
	c.mu.Lock()
	err, queued := c.err, c.queue
	c.queue = nil
	c.mu.Unlock()
	if err == nil {
		return
	}
	c.o.Target.Failed(err, group)
	c.o.Target.Failed(err, queued)
}
