package engine

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// tidyNowAndThen deletes what retention lets go, until the engine stops.
func (e *Engine) tidyNowAndThen() {
	tick := time.NewTicker(e.o.TidyInterval)
	defer tick.Stop()
	var clock steadyClock
	begun := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case <-e.failed:
			return
		case <-tick.C:
			e.tidy(clock.trust(e.o.Now(), time.Since(begun)))
		}
	}
}

// tidy deletes what retention lets go at a time, and ends segments that are old enough; the zero time stands for an unknown one, at
// which nothing is too old.
func (e *Engine) tidy(now time.Time) {
	for _, l := range e.open() {
		e.care(l)
		err := l.writeOut() // sizes are those of what is written
		start := l.retained(now)
		if err == nil {
			err = l.Trim(start)
		}
		if err == nil {
			err = l.rollOld(now)
		}
		if err != nil && e.Err() == nil {
			e.o.Logger.Warn("could not delete what retention lets go, or begin a new segment", "log", l.name, "below", int64(start), "err", err)
		}
	}
}

// rollOld begins a new segment when the last one was begun too long ago (SegmentAge), so that its records can be deleted or compacted.
// How long that is, is known to a TidyInterval.
func (l *Log) rollOld(now time.Time) error {
	if l.opts().SegmentAge == 0 || now.IsZero() {
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
	if p.first.IsZero() {
		p.first = now
	}
	l.rolling = now.Sub(p.first) > l.opts().SegmentAge-l.jitter(p)
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
func (l *Log) retained(now time.Time) batch.Offset {
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
		byTime := l.opts().RetentionTime > 0 && size > 0 && !now.IsZero() && now.Sub(p.age(now)) > l.opts().RetentionTime
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

// age is how new a segment's newest record is, for retention: as its timestamp says, but not later than the segment was
// last written to, so that a timestamp in the year 9999 does not keep it for ever. Callers hold log.mu.
func (p *part) age(now time.Time) time.Time {
	if p.touched.IsZero() { // not written to in this life of the program: it counts from the first look on
		p.touched = now
	}
	newest := time.UnixMilli(p.seg.Newest().Time)
	if newest.Before(leastTime) || newest.After(p.touched) {
		return p.touched
	}
	return newest
}

// steadyClock keeps a jump of the wall clock from deleting everything: time that has not passed by the monotonic clock is
// believed only when it still stands a day later.
type steadyClock struct {
	wall   time.Time     // at the last look
	mono   time.Duration // then
	jumped bool
	since  time.Duration // of the jump, by the monotonic clock
}

const (
	jump    = time.Hour
	believe = 24 * time.Hour
)

// trust gives the wall time, or the zero time while it is in doubt. mono is any clock that only goes forward.
func (c *steadyClock) trust(wall time.Time, mono time.Duration) time.Time {
	if !c.wall.IsZero() {
		if d := wall.Sub(c.wall) - (mono - c.mono); d > jump || d < -jump {
			c.jumped, c.since = true, mono
		}
	}
	c.wall, c.mono = wall, mono
	if c.jumped && mono-c.since >= believe {
		c.jumped = false
	}
	if c.jumped {
		return time.Time{}
	}
	return wall
}
