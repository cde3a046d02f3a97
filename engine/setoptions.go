package engine

import (
	"fmt"

	"github.com/streambus/streambus/engine/internal/commit"
)

// SetOptions changes the options of an open log, beside appends and reads. All may change but Observer and Reserve, which stay as
// they were. A size, an age or a policy counts from the next append, or the next look that the engine takes at all logs; an index
// interval from the next segment on. A batch is acknowledged by the durability that it was appended under. A change between Fsync
// and the others flushes what there is, and writes a checkpoint: appends wait for that. After an error nothing has changed. Errors: ErrFull
// (no room for the checkpoint), ErrFailed, ErrClosed.
func (l *Log) SetOptions(o LogOptions) error {
	l.setting.Lock()
	defer l.setting.Unlock()
	was := l.opts()
	o.Observer, o.Reserve = was.Observer, was.Reserve
	o.defaults(l.e.o.CommitFileBytes)
	if (o.Durability == Fsync) != (was.Durability == Fsync) {
		return l.reroute(&o)
	}
	return l.setOptions(&o)
}

func (l *Log) setOptions(o *LogOptions) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	l.o.Store(o)
	if l.timer != nil { // it runs at the old interval
		l.timer.Stop()
		l.timer = nil
	}
	l.flushLater()
	return nil
}

// reroute changes the committer. No batch is in either of them while it does: recovery must know by a checkpoint which way
// batches went before the first one goes it, and the order of a log is that of one committer (E2). It does not hold growing,
// which a checkpoint may need.
//
// The checkpoint comes before the change, both ways, and says that the log is one of those that go past the commit log. For what follows
// that is right of a log of either kind: all of it so far is durable in the segments, and of an Fsync log they hold nothing that the commit
// log does not know. So it does not matter whether a checkpoint that failed is on the disk.
func (l *Log) reroute(o *LogOptions) error {
	l.mu.Lock()
	l.rerouting = true
	for l.told < l.next && l.e.Err() == nil {
		l.settled.Wait()
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.rerouting = false
		l.settled.Broadcast()
		l.mu.Unlock()
	}()
	if err := l.e.Err(); err != nil {
		return err
	}
	if err := l.passed(l.via()); err != nil {
		return err
	}
	if err := l.writeOut(); err != nil {
		return err
	}
	l.setUnlogging(true)
	err := l.e.checkpointNow()
	l.setUnlogging(false)
	if err != nil {
		return err
	}
	if err := l.setOptions(o); err != nil {
		return err
	}
	l.e.wantCheckpoint() // it says what the log is now
	return nil
}

func (l *Log) setUnlogging(on bool) {
	l.mu.Lock()
	l.unlogging = on
	l.mu.Unlock()
}

// passed waits until a committer's goroutine has done with the log: it told the observer of the last group before it had. A trim to
// where the log begins is an entry that changes nothing, and is in a later group.
func (l *Log) passed(via *commit.Committer) error {
	return l.send(via, &trimming{log: l, to: l.StartOffset(), done: make(chan struct{})})
}
