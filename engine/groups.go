package engine

import (
	"github.com/streambus/streambus/engine/internal/commit"
)

// sink is the Engine as one of its two committers sees it. What it gathers belongs to that committer's goroutine.
type sink struct {
	*Engine
	logs []*Log // those that the group at hand has batches of
}

var _ commit.Target = (*sink)(nil)

// Write writes an unlogged group to its segments: one write for each run of batches that lie together.
func (t *sink) Write(group []commit.Entry) error {
	if err := t.Err(); err != nil { // found elsewhere on the same disk
		return err
	}
	for i := range group {
		if p, ok := group[i].Ref.(*part); ok {
			p.enlist(&group[i], 0)
			group[i].Owner = nil // whoever writes it, or closes the log, gives it back
			t.touch(p.log)
		}
	}
	t.behind.add(t.logs)
	for _, l := range t.logs {
		if err := l.writeOut(); err != nil {
			return err
		}
	}
	return nil
}

// touch lists a log, once for each group.
func (t *sink) touch(l *Log) {
	if !l.touched {
		l.touched = true
		t.logs = append(t.logs, l)
	}
}

// write writes batches behind those that the segment has. The log's writing lock is held.
func (p *part) write(run [][]byte) error {
	p.log.mu.Lock()
	pos := p.seg.Size()
	p.log.mu.Unlock()
	return p.seg.Write(run, pos)
}

// Flushed makes a group readable and tells the observers (E1). The batches of a logged group are behind from now on; those of an
// unlogged one are written, and not ours any more.
func (t *sink) Flushed(at commit.LSN, group []commit.Entry) error {
	if err := t.Err(); err != nil { // found elsewhere on the same disk
		return err
	}
	t.written.Store(true)
	for i := range group {
		switch ref := group[i].Ref.(type) {
		case dropped:
			close(ref)
		case *trimming:
			ref.log.trimmed(ref.to)
			close(ref.done)
		case *part:
			if ref.log.opts().Durability == Fsync {
				ref.enlist(&group[i], at)
				t.touch(ref.log)
			}
		}
	}
	for _, l := range t.logs {
		l.touched = false
		l.tell()
	}
	if t.behind.add(t.logs) {
		t.behind.hurry()
	}
	t.logs = t.logs[:0]
	t.behind.throttle()
	return nil
}

// tell tells the observer how far the log is flushed, and whoever waits for all to be told.
func (l *Log) tell() {
	l.mu.Lock()
	end := l.taken // nobody but this goroutine moves it while told is below next
	l.flushed = end
	l.mu.Unlock()
	if l.opts().Observer != nil {
		l.opts().Observer.Flushed(end)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = end
	if l.told == l.next {
		l.settled.Broadcast()
	}
	l.flushLater()
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
