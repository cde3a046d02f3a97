package engine

import (
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// tidyNowAndThen deletes what retention lets go, until the engine stops.
func (e *Engine) tidyNowAndThen() {
	tick := time.NewTicker(e.o.TidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-e.failed:
			return
		case <-tick.C:
			e.tidy(e.SteadyTime(), e.elapsed())
		}
	}
}

// tidy deletes what retention lets go at a time, and ends segments that are old enough. elapsed is that time by the monotonic clock.
func (e *Engine) tidy(now time.Time, elapsed time.Duration) {
	for _, l := range e.open() {
		e.care(l)
		err := l.writeOut() // sizes are those of what is written
		start := l.retained(now, elapsed)
		if err == nil {
			err = l.Trim(start)
		}
		if err == nil {
			err = l.rollOld(elapsed)
		}
		if err != nil && e.Err() == nil {
			e.o.Logger.Warn("could not delete what retention lets go, or begin a new segment", "log", l.name, "below", int64(start), "err", err)
		}
	}
}

// rollOld begins a new segment when the last one was begun too long ago (SegmentAge), so that its records can be deleted or compacted.
// How long that is, is known to a TidyInterval.
func (l *Log) rollOld(elapsed time.Duration) error {
	if l.opts().SegmentAge == 0 {
		return nil
	}
	l.growing.Lock()
	defer l.growing.Unlock()
	l.mu.Lock()
	if l.closed || l.tail == 0 {
		l.mu.Unlock()
		return nil
	}
	p := l.parts[len(l.parts)-1]
	if p.first == 0 {
		p.first = elapsed
	}
	l.rolling = elapsed-p.first > l.opts().SegmentAge-l.jitter(p)
	roll, base := l.rolling, l.next
	l.mu.Unlock()
	if !roll {
		return nil
	}
	return l.roll(base)
}

// jitter is how much before SegmentAge a segment is ended: as good as random, and the same at every look.
func (l *Log) jitter(p *part) time.Duration {
	most := min(l.opts().SegmentJitter, l.opts().SegmentAge)
	if most <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", l.id, l.name, p.seg.Base) // never fails
	return time.Duration(h.Sum64() % uint64(most))
}

// open lists the open logs.
func (e *Engine) open() []*Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*Log, 0, len(e.logs))
	for _, l := range e.logs {
		out = append(out, l)
	}
	return out
}

// retained is where the log begins when retention has done its work. Only whole segments go; the last one only by time, when
// all of it is too old.
func (l *Log) retained(now time.Time, elapsed time.Duration) batch.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := l.start
	if l.closed || len(l.parts) == 0 {
		return start
	}
	var total int64
	for _, p := range l.parts {
		total += p.seg.Size()
	}
	for i, p := range l.parts {
		next := l.flushed
		if i+1 < len(l.parts) {
			next = min(next, l.parts[i+1].seg.Base)
		}
		size := p.seg.Size()
		bySize := l.opts().RetentionBytes > 0 && total-size >= l.opts().RetentionBytes && i+1 < len(l.parts)
		byTime := l.opts().RetentionTime > 0 && size > 0 && p.age(now, elapsed) > l.opts().RetentionTime
		if !bySize && !byTime {
			break
		}
		total -= size
		start = max(start, next)
	}
	return start
}

// A record's time is the producer's word. One before this was not meant (0 and -1 are the usual ones), and must not have a
// segment deleted at once.
var leastTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// age is how old a segment's newest record is, for retention: as its timestamp says, but at least as old as the last write to the segment,
// so that a timestamp in the year 9999 does not keep it for ever. When that was is not asked of the wall clock, which may have been wrong.
// Callers hold log.mu.
func (p *part) age(now time.Time, elapsed time.Duration) time.Duration {
	if p.touched == 0 { // not written to in this life of the program: it counts from the first look on
		p.touched = elapsed
	}
	idle := elapsed - p.touched
	newest := time.UnixMilli(p.seg.Newest().Time)
	if newest.Before(leastTime) || newest.After(now.Add(-idle)) {
		return idle
	}
	return now.Sub(newest)
}

// SteadyTime is the time by which old things are deleted: the wall clock's, until that jumps by more than an hour. Then, for a day or until
// it is back, the earlier of the clock's time and what it would be without the jump. What is young by either of the two is kept.
func (e *Engine) SteadyTime() time.Time {
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	return e.clock.trust(e.o.Now(), e.elapsed())
}

// elapsed is the time since Open by the monotonic clock, never 0.
func (e *Engine) elapsed() time.Duration { return max(time.Since(e.begun), 1) }

// steadyClock keeps a jump of the wall clock from deleting everything: time that has not passed by the monotonic clock is believed only
// when it still stands a day later. It knows of no jump between two lives of the program.
type steadyClock struct {
	mu     sync.Mutex
	wall   time.Time     // that was believed last
	mono   time.Duration // then
	jumped bool
	by     time.Duration // how far
	since  time.Duration // when, by the monotonic clock
}

const (
	jump    = time.Hour
	believe = 24 * time.Hour
)

// trust gives the wall time, or the earlier of the two times while it is in doubt. wall must have no monotonic reading, mono is any clock
// that only goes forward.
func (c *steadyClock) trust(wall time.Time, mono time.Duration) time.Time {
	if c.wall.IsZero() {
		c.wall, c.mono = wall, mono
	}
	steady := c.wall.Add(mono - c.mono)
	by := wall.Sub(steady)
	if by.Abs() > jump && (!c.jumped || (by-c.by).Abs() > jump) {
		c.jumped, c.by, c.since = true, by, mono
	}
	if by.Abs() <= jump || mono-c.since >= believe {
		c.wall, c.mono, c.jumped = wall, mono, false
		return wall
	}
	if wall.Before(steady) {
		return wall
	}
	return steady
}
