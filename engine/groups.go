package engine

import (
	"slices"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/tail"
)

// sink is the Engine as one of its two committers sees it. What it gathers belongs to that committer's goroutines.
type sink struct {
	*Engine
	writing []*part // owned by the goroutine that calls Write
	flushed []*Log  // owned by the one that calls Flushed
}

var _ commit.Target = (*sink)(nil)

// Write writes a group's batches to their segments: one write for each run of batches that lie together.
func (t *sink) Write(group []commit.Entry) error {
	if err := t.Err(); err != nil { // found elsewhere on the same disk
		return err
	}
	t.writing = t.writing[:0]
	for i := range group {
		p, ok := group[i].Ref.(*part)
		if !ok {
			continue
		}
		if len(p.run) == 0 {
			p.pos = group[i].Position
			t.writing = append(t.writing, p)
		}
		p.run = append(p.run, group[i].Batch)
	}
	var first error
	for _, p := range t.writing {
		if first == nil {
			first = p.write()
		}
		clear(p.run)
		p.run = p.run[:0]
	}
	return first
}

// Large runs of a log that nobody has read from for a while are written past the page cache: its pages would only push out others
// and pile up for the next checkpoint, which cost 2 to 3 times the throughput and a p99 of 100 ms (bench/results, large batches
// once). Readers that follow want them there.
const (
	uncachedBytes = 64 << 10
	unreadFor     = 10 * time.Second
)

// write writes the run of a part.
func (p *part) write() error {
	size := 0
	for _, b := range p.run {
		size += len(b)
	}
	if size >= uncachedBytes && p.log.e.since()-p.log.read.Load() > int64(unreadFor) {
		return p.seg.WriteUncached(p.run, p.pos)
	}
	return p.seg.Write(p.run, p.pos)
}

// since is the age of the engine in nanoseconds, by a clock that only goes forward.
func (e *Engine) since() int64 { return int64(time.Since(e.begun)) }

// Flushed makes a group readable and tells the observers (E1).
func (t *sink) Flushed(at commit.LSN, group []commit.Entry) {
	t.written.Store(true)
	t.flushed = t.flushed[:0]
	now := t.o.Now()
	for i := range group {
		switch ref := group[i].Ref.(type) {
		case dropped:
			close(ref)
		case *trimming:
			ref.log.trimmed(ref.to)
			close(ref.done)
		case *part:
			ref.appended(group[i].Batch, at, now)
			if l := ref.log; !l.touched {
				l.touched = true
				t.flushed = append(t.flushed, l)
			}
		}
		if group[i].Owner != nil {
			group[i].Owner.Release()
		}
	}
	for _, l := range t.flushed {
		l.touched = false
		l.tell()
	}
}

// tell tells the observer how far the log is flushed, and whoever waits for all to be told.
func (l *Log) tell() {
	l.mu.Lock()
	end := l.flushed // nobody but this goroutine moves it while told is below next
	l.mu.Unlock()
	if l.o.Observer != nil {
		l.o.Observer.Flushed(end)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = end
	if l.told == l.next {
		l.settled.Broadcast()
	}
	l.flushLater()
}

// appended makes one batch readable.
func (p *part) appended(b batch.Batch, at commit.LSN, now time.Time) {
	l := p.log
	var ref tail.Ref
	if len(b) <= hotBytes {
		ref, _ = l.e.cache.Put(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent.Add(tail.Entry{Base: b.BaseOffset(), Next: b.NextOffset(), Segment: p.seg.Base, Position: p.seg.Size(), Size: int32(len(b)), Ref: ref})
	p.seg.Append(b, int64(len(b)))
	p.note(b)
	l.sinceRecap += int64(len(b))
	p.dirty, p.touched = true, now
	l.epochs.Add(b.LeaderEpoch(), b.BaseOffset())
	l.flushed = b.NextOffset()
	l.lsn = max(l.lsn, at)
	if n := len(l.parts); n == 0 || p == l.parts[n-1] {
		return
	}
	if i := slices.Index(l.parts, p); i >= 0 && l.flushed == l.parts[i+1].seg.Base {
		l.e.care(l) // rolled, and now whole
	}
}

// Full asks for a checkpoint.
func (t *sink) Full() { t.wantCheckpoint() }

func (e *Engine) wantCheckpoint() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Failed gives back batches that will never be flushed (E4).
func (t *sink) Failed(err error, entries []commit.Entry) {
	t.note(err)
	for i := range entries {
		if entries[i].Owner != nil {
			entries[i].Owner.Release()
		}
	}
}
