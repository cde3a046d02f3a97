package engine

import (
	"time"

	"github.com/streambus/streambus/engine/internal/segment"
)

// flushLater has an Interval log synced when its time has come. Callers hold mu.
func (l *Log) flushLater() {
	if l.opts().Durability != Interval {
		return
	}
	if l.timer == nil && !l.closed {
		l.timer = time.AfterFunc(l.opts().FlushInterval, func() {
			if !l.e.chore(l.flushNow) {
				l.flushNow()
			}
		})
	}
}

// flushNow syncs what was written since the last checkpoint.
func (l *Log) flushNow() {
	l.mu.Lock()
	l.timer = nil
	var segs []*segment.Segment
	for _, p := range l.parts {
		if p.dirty && !l.closed {
			p.seg.Acquire()
			segs = append(segs, p.seg)
		}
	}
	l.mu.Unlock()
	if err := syncAll(l.e.o.FS, segs); err != nil {
		_ = l.e.fail(err)
	}
}
