package engine

import (
	"sync"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/tail"
)

// pending is a batch that is behind: durable in the commit log (in an unlogged log: taken), and not yet written to its segment.
type pending struct {
	b    batch.Batch
	part *part
	own  Owner      // of b; nil: nobody waits for it
	at   commit.LSN // of its frame
}

// behind says which logs have batches that are behind, and lets one goroutine write them, several batches of a log at once: a
// system call for each batch of each log would cost more than everything else when there are many logs. Nothing is lost by waiting,
// for the commit log has them; memory is what bounds it. Lock order: behind.mu is a leaf.
type behind struct {
	soft, hard int64 // bytes above which logs are written, and above which no more may come

	mu     sync.Mutex
	room   sync.Cond // bytes fell to hard, or off
	bytes  int64     // of all logs
	waits  logQueue  // logs with batches behind, the oldest first
	urgent logQueue  // those that have enough for one write
	off    bool      // nobody writes any more

	wake chan struct{}
}

// debt is a log's part of behind, which guards it.
type debt struct {
	bytes          int64
	waits, pressed bool // in the queue of that name
}

const (
	// oneWrite is when a log has enough behind to be written without waiting for more, in bytes. Four times as much costs a third less
	// CPU, but holds a processor for a millisecond where memory is new: the p99 of an acknowledgement was half as much again.
	oneWrite = 64 << 10
	// longBehind is how long a batch may be behind when there is no other reason to write it.
	longBehind = time.Second
	// leastBehind is what may be behind where there is no cache.
	leastBehind = 8 << 20
)

// newBehind lets a quarter of the cache be behind. A chunk of it is free again when the last of the logs that have something in it is
// written, and by then as much again has come.
func newBehind(cacheBytes int64) *behind {
	q := &behind{soft: max(cacheBytes/4, leastBehind), wake: make(chan struct{}, 1)}
	q.hard = 2 * q.soft
	q.room.L = &q.mu
	return q
}

// logQueue is a queue of logs.
type logQueue struct {
	logs []*Log
	head int
}

func (q *logQueue) len() int { return len(q.logs) - q.head }

func (q *logQueue) push(l *Log) {
	if q.head > 0 && len(q.logs) == cap(q.logs) {
		n := copy(q.logs, q.logs[q.head:])
		clear(q.logs[n:])
		q.logs, q.head = q.logs[:n], 0
	}
	q.logs = append(q.logs, l)
}

func (q *logQueue) pop() *Log {
	l := q.logs[q.head]
	q.logs[q.head] = nil
	q.head++
	return l
}

// add notes that so many bytes of each log (Log.grown) are behind, and says whether the segment goroutine should hurry.
func (q *behind) add(logs []*Log) (due bool) {
	q.mu.Lock()
	for _, l := range logs {
		q.bytes += l.grown
		l.debt.bytes += l.grown
		l.grown = 0
		if !l.debt.waits {
			l.debt.waits = true
			q.waits.push(l)
		}
		if !l.debt.pressed && (l.debt.bytes >= oneWrite || l.borrows) {
			l.debt.pressed = true
			q.urgent.push(l)
		}
		l.borrows = false
	}
	due = q.urgent.len() > 0 || q.bytes > q.soft
	q.mu.Unlock()
	return due
}

// hurry wakes the segment goroutine.
func (q *behind) hurry() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// paid notes that so many bytes of a log are behind no more.
func (q *behind) paid(l *Log, n int64) {
	q.mu.Lock()
	l.debt.bytes -= n
	q.bytes -= n
	room := q.bytes <= q.hard
	q.mu.Unlock()
	if room {
		q.room.Broadcast()
	}
}

// of is how many bytes of a log are behind.
func (q *behind) of(l *Log) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return l.debt.bytes
}

// throttle waits until no more is behind than may be.
func (q *behind) throttle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > q.hard && !q.off {
		q.room.Wait()
	}
}

// next is a log to write; nil when none is due. Of those that wait without being due, late says how many to take all the same.
func (q *behind) next(late *int) *Log {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.urgent.len() > 0 {
		l := q.urgent.pop()
		l.debt.pressed = false
		return l
	}
	if q.waits.len() > 0 && (q.bytes > q.soft || *late > 0) {
		*late = max(*late-1, 0)
		l := q.waits.pop()
		l.debt.waits = false
		return l
	}
	return nil
}

func (q *behind) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waits.len()
}

// stop lets nobody wait any more.
func (q *behind) stop() {
	q.mu.Lock()
	q.off = true
	q.mu.Unlock()
	q.room.Broadcast()
}

// writeBehind is the segment goroutine: it writes what is behind, until the engine stops or the disk fails.
func (e *Engine) writeBehind() {
	defer e.behind.stop()
	tick := time.NewTicker(longBehind)
	defer tick.Stop()
	for late := 0; ; {
		if l := e.behind.next(&late); l != nil {
			if l.writeOut() != nil {
				return
			}
			continue
		}
		select {
		case <-e.behind.wake:
		case <-tick.C:
			late = e.behind.waiting()
		case <-e.stop:
			return
		case <-e.failed:
			return
		}
	}
}

// enlist puts a batch behind those of its log, where readers find it as soon as it is flushed. Only the goroutine that commits the
// log's batches calls it.
func (p *part) enlist(entry *commit.Entry, at commit.LSN) {
	l, b := p.log, entry.Batch
	var ref tail.Ref
	if chunk, ok := entry.Owner.(*tail.Chunk); ok {
		ref = chunk.Ref(b)
	} else {
		l.borrows = true
	}
	base, next := b.BaseOffset(), b.NextOffset()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = next
	if len(l.parts) == 0 { // dropped and closed
		if entry.Owner != nil {
			entry.Owner.Release()
		}
		return
	}
	l.grown += int64(len(b))
	l.recent.Add(tail.Entry{Base: base, Next: next, Segment: entry.Segment, Position: entry.Position, Size: int32(len(b)), Ref: ref})
	l.epochs.Add(b.LeaderEpoch(), base)
	l.behind = append(l.behind, pending{b: b, part: p, own: entry.Owner, at: at})
}

// writeOut writes everything that was behind when it was called to the log's segments, in the page cache, and makes it readable
// there. Any goroutine may call it, without the log's lock. The first error is the disk's end (E4): what is behind stays so, to be
// read from memory.
func (l *Log) writeOut() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	todo := l.behind
	if len(todo) == 0 {
		l.mu.Unlock()
		return nil
	}
	if err := l.e.Err(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.behind = l.spare[:0]
	l.mu.Unlock()
	for n := 0; n < len(todo); {
		end := n + 1
		for end < len(todo) && todo[end].part == todo[n].part {
			end++
		}
		if err := todo[n].part.writeRun(todo[n:end]); err != nil {
			l.mu.Lock()
			l.behind = append(todo[n:len(todo):len(todo)], l.behind...)
			l.mu.Unlock()
			return l.e.fail(err)
		}
		n = end
	}
	clear(todo)
	l.spare = todo[:0]
	return nil
}

var runs = sync.Pool{New: func() any { return new([][]byte) }}

// writeRun writes batches that follow each other in one segment by one call. The log's writing lock is held.
func (p *part) writeRun(run []pending) error {
	pool := runs.Get().(*[][]byte)
	bufs, size := (*pool)[:0], int64(0)
	for i := range run {
		bufs = append(bufs, run[i].b)
		size += int64(len(run[i].b))
	}
	err := p.write(bufs)
	clear(bufs)
	*pool = bufs[:0]
	runs.Put(pool)
	if err != nil {
		return err
	}
	p.wrote(run)
	for i := range run {
		if run[i].own != nil {
			run[i].own.Release()
		}
	}
	p.log.e.behind.paid(p.log, size)
	return nil
}

// wrote makes batches readable in their segment.
func (p *part) wrote(run []pending) {
	l := p.log
	if recap := p.append(run, l.e.elapsed()); recap != nil {
		l.e.chore(func() {
			if err := l.writeRecap(recap); err != nil {
				_ = l.e.fail(err)
			}
		})
	}
}

// append is wrote in memory. It gives the recap that was drafted for the end of one of the batches, if there is one.
func (p *part) append(run []pending, elapsed time.Duration) (recap []byte) {
	l := p.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range run {
		b := run[i].b
		p.seg.Append(b, int64(len(b)))
		l.sinceRecap += int64(len(b))
		next := b.NextOffset()
		if i < len(run)-1 && next != l.draft.at {
			continue
		}
		p.note(b)
		l.written = next
		if next == l.draft.at {
			recap = l.recapAt(p, l.draft.told)
		}
	}
	p.dirty, p.touched = true, elapsed
	if l.opts().Durability != Fsync {
		l.flushed = l.written
	}
	l.lsn = max(l.lsn, run[len(run)-1].at)
	l.careIfWhole(p)
	return recap
}

// careIfWhole asks for a look at a log of which a rolled segment is written to its end. Callers hold mu.
func (l *Log) careIfWhole(p *part) {
	for i, q := range l.parts[:len(l.parts)-1] {
		if q == p && l.written == l.parts[i+1].seg.Base {
			l.e.care(l)
		}
	}
}

// forgive gives back what is behind and will never be written. The log is closed; its writing lock and lock are held.
func (l *Log) forgive() {
	var bytes int64
	for i := range l.behind {
		bytes += int64(len(l.behind[i].b))
		if own := l.behind[i].own; own != nil {
			own.Release()
		}
	}
	l.behind, l.spare = nil, nil
	l.e.behind.paid(l, bytes)
}
