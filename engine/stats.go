package engine

import (
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/timing"
)

// counters are what Stats tells that nothing else keeps.
type counters struct {
	checkpoints, lastCheckpoint            atomic.Int64 // the last one as nanoseconds since 1970, 0 for none
	compactions, cleanedIn, cleanedOut     atomic.Int64
	recordsCleaned, scrubs, scrubbed, full atomic.Int64
}

// Committed is what one way of committing has done since Open, and what waits for it.
type Committed struct {
	Groups, Batches, Bytes uint64
	Flush                  timing.Snapshot // of a group: write and sync; of an unlogged one its write to the page cache
	QueuedBytes            int64
}

func committed(c commit.Counts) Committed {
	return Committed{Groups: c.Groups, Batches: c.Entries, Bytes: c.Bytes, Flush: c.Flush, QueuedBytes: c.Queued}
}

// Stats are counters since Open, and sizes at this moment. Counters only grow.
type Stats struct {
	Logged, Unlogged Committed // logs that are Fsync; the others
	QueueLimitBytes  int64     // of each; Append waits beyond it

	BehindBytes, BehindLimitBytes int64 // acknowledged, and not yet in segments; committing waits beyond the limit
	ReplayBytes                   int64 // of commit log since the last checkpoint: what a restart after a crash would read

	Logs, Segments, Sealed int
	SegmentBytes           int64 // in the segments of open logs, without indexes and room reserved

	Checkpoints    int64
	LastCheckpoint time.Time // zero: none since Open

	Compactions                int64 // rounds of a log
	CompactedIn, CompactedOut  int64 // bytes read and kept
	CompactedRecords           int64 // removed
	Scrubs, ScrubbedBytes      int64 // whole rounds, and bytes
	Damaged                    int   // stretches known to be damaged and not served
	FullRefusals               int64 // appends refused for lack of room (ErrFull)
	FreeBytes, ReserveBytes    int64 // of the file system, -1 when it does not say; what is left alone
	CacheBytes, ScrubPerSecond int64 // limits
	Failed                     bool  // E4
}

// Stats gathers them: cheap for the logs, a few locks and one system call. Any goroutine may call it, also while Close runs.
func (e *Engine) Stats() Stats {
	logged := e.committer.Counts()
	s := Stats{
		Logged: committed(logged), Unlogged: committed(e.unlogged.Counts()), QueueLimitBytes: e.o.QueueBytes,
		BehindLimitBytes: e.behind.hard, ReplayBytes: logged.Uncovered,
		Checkpoints: e.count.checkpoints.Load(), Compactions: e.count.compactions.Load(),
		CompactedIn: e.count.cleanedIn.Load(), CompactedOut: e.count.cleanedOut.Load(), CompactedRecords: e.count.recordsCleaned.Load(),
		Scrubs: e.count.scrubs.Load(), ScrubbedBytes: e.count.scrubbed.Load(), FullRefusals: e.count.full.Load(),
		ReserveBytes: e.o.ReserveBytes, CacheBytes: max(e.o.CacheBytes, 0), ScrubPerSecond: e.o.ScrubBytesPerSecond, Failed: e.Err() != nil,
	}
	if at := e.count.lastCheckpoint.Load(); at != 0 {
		s.LastCheckpoint = time.Unix(0, at)
	}
	e.behind.mu.Lock()
	s.BehindBytes = e.behind.bytes
	e.behind.mu.Unlock()
	for _, l := range e.open() {
		s.Logs++
		l.count(&s)
	}
	var err error
	if s.FreeBytes, err = e.o.FS.Free(e.o.Dir); err != nil {
		s.FreeBytes = -1 // whoever writes finds out what that means
	}
	return s
}

func (l *Log) count(s *Stats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.parts {
		s.Segments++
		s.SegmentBytes += p.seg.Size()
		s.Damaged += len(p.damage)
		if p.seg.Sealed() {
			s.Sealed++
		}
	}
}

// Opened says how many of the logs that exist are open.
func (e *Engine) Opened() (open, exist int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.logs), len(e.known)
}
