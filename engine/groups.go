package engine

import (
	"time"

	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/segment"
)

// target is the Engine as its commit log sees it.
type target Engine

var _ commit.Target = (*target)(nil)

func (e *Engine) target() *target { return (*target)(e) }

// Write writes a group's batches to their segments: one write for each run of batches that lie together.
func (t *target) Write(group []commit.Entry) error {
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
			first = p.seg.Write(p.run, p.pos)
		}
		clear(p.run)
		p.run = p.run[:0]
	}
	return first
}

// Flushed makes a group readable and tells the observers (E1).
func (t *target) Flushed(group []commit.Entry) {
	t.flushed = t.flushed[:0]
	for i := range group {
		switch ref := group[i].Ref.(type) {
		case dropped:
			close(ref)
		case *part:
			l := ref.log
			l.mu.Lock()
			b := group[i].Batch
			ref.seg.Append(b, int64(len(b)))
			ref.dirty = true
			l.flushed = b.NextOffset()
			l.mu.Unlock()
			if !l.touched {
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
		if l.o.Observer != nil {
			l.o.Observer.Flushed(l.flushed) // only this goroutine writes flushed
		}
	}
}

// Full asks for a checkpoint.
func (t *target) Full() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Failed gives back batches that will never be flushed (E4).
func (t *target) Failed(err error, entries []commit.Entry) {
	(*Engine)(t).note(err)
	for i := range entries {
		if entries[i].Owner != nil {
			entries[i].Owner.Release()
		}
	}
}

// checkpoints writes a checkpoint whenever one was asked for, and now and then.
func (e *Engine) checkpoints() {
	tick := time.NewTicker(checkpointInterval)
	defer tick.Stop()
	last := e.committer.Durable()
	for {
		select {
		case <-e.stop:
			return
		case <-e.failed:
			return
		case <-tick.C:
			if e.committer.Durable() == last {
				continue
			}
		case <-e.wake:
		}
		last = e.committer.Durable()
		if err := e.checkpoint(false); err != nil {
			_ = e.fail(err)
			return
		}
	}
}

// checkpoint makes all segments durable as far as they are readable now, says so durably, and lets commit-log files be
// recycled. The order matters: the LSN is taken first, then each log's state, which covers at least that LSN. One goroutine
// at a time may call it: what one call finds dirty, another must not believe clean before it is synced.
func (e *Engine) checkpoint(clean bool) error {
	c := commit.Checkpoint{LSN: e.committer.Durable(), Clean: clean}
	e.mu.Lock()
	c.NextLog = e.nextLog
	for _, at := range e.drops {
		c.LSN = min(c.LSN, at)
	}
	var dirty []*segment.Segment
	for id, s := range e.known {
		if l := e.logs[s.Name]; l != nil && l.id == id {
			var d []*segment.Segment
			s, d = l.state()
			dirty = append(dirty, d...)
		}
		c.Logs = append(c.Logs, s)
	}
	e.mu.Unlock()
	err := syncAll(dirty)
	if err == nil {
		err = commit.WriteCheckpoint(e.o.FS, e.checkpointPath(), &c)
	}
	if err == nil {
		e.committer.Recycle(c.LSN)
	}
	return err
}

// syncAll makes the segments durable and releases them.
func syncAll(segs []*segment.Segment) error {
	var first error
	for _, s := range segs {
		if first == nil {
			first = s.Sync()
		}
		if err := s.Release(); first == nil {
			first = err
		}
	}
	return first
}
