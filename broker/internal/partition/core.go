package partition

import (
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// Core decides what is committed. The zero value is no leader yet: the first event must be BecomeLeader.
type Core struct {
	leading bool
	failed  bool
	epoch   batch.Epoch
	end     batch.Offset // after the last record appended
	flushed batch.Offset // after the last record on this replica's disk
	high    batch.Offset // the high watermark: after the last committed record
}

// Event is one of BecomeLeader, Appended, Flushed, Failed.
type Event interface{ event() }

// BecomeLeader starts an epoch with what the log held then.
type BecomeLeader struct {
	Epoch   batch.Epoch
	Flushed batch.Offset // the log's end; all of it is flushed at that moment
}

// Appended says that the log has been extended to End, not yet flushed.
type Appended struct{ End batch.Offset }

// Flushed says that all below End is on the disk. It may come before the Appended of the same records.
type Flushed struct{ End batch.Offset }

// Failed says that the disk has failed: nothing more is ever flushed.
type Failed struct{}

func (BecomeLeader) event() {}
func (Appended) event()     {}
func (Flushed) event()      {}
func (Failed) event()       {}

// Effects are what a step asks of the shell.
type Effects struct {
	Committed batch.Offset // complete the waiters at or below, and wake the readers below; NoOffset: nothing new
	Fail      bool         // complete all waiters with the error
}

// Step takes one event. An event that breaks the order of things (a second leader of the same epoch, an end that goes back)
// is a bug of the shell or the engine and panics with the values.
func (c *Core) Step(e Event) Effects {
	fx := Effects{Committed: batch.NoOffset}
	switch e := e.(type) {
	case BecomeLeader:
		if c.leading && e.Epoch <= c.epoch {
			panic(fmt.Sprintf("partition: leader of epoch %d again becomes leader of %d", c.epoch, e.Epoch))
		}
		c.leading, c.epoch = true, e.Epoch
		c.end, c.flushed = max(c.end, e.Flushed), max(c.flushed, e.Flushed)
	case Appended:
		c.end = max(c.end, e.End) // appends of several connections report in any order
	case Flushed:
		if e.End < c.flushed {
			panic(fmt.Sprintf("partition: flushed end goes back from %d to %d", c.flushed, e.End))
		}
		if c.failed {
			return fx // P3: a flush that was under way when the disk failed proves nothing any more
		}
		c.flushed, c.end = e.End, max(c.end, e.End)
	case Failed:
		fx.Fail = !c.failed
		c.failed = true
	default:
		panic(fmt.Sprintf("partition: unknown event %T", e))
	}
	if c.leading && !c.failed && c.flushed > c.high { // the in-sync replicas are this one alone (P1)
		c.high = c.flushed
		fx.Committed = c.high
	}
	return fx
}

// HighWatermark is the end of what is committed.
func (c *Core) HighWatermark() batch.Offset { return c.high }
