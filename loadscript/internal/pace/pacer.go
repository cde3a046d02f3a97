package pace

import (
	"context"
	"time"
)

// Handover is one record at the moment it is given to the client.
type Handover struct {
	Index    int64         // number of the record within the share
	Intended time.Duration // when the schedule wanted it
	Now      time.Duration // when it is really handed over; >= Intended (A3)
	Pressed  bool          // the in-flight limit held it, or one before it in the same backlog, back
}

// Sink takes records from a Pacer. All calls come from the goroutine that runs the Pacer.
type Sink interface {
	// Acquire takes one place of the in-flight limit, or says that there is none. It never blocks.
	Acquire() bool
	// Send hands the record to the client; it must not block. Only called after an Acquire that said yes.
	Send(Handover)
	// Idle tells that the backlog is empty: a good moment to let a sticky partition go.
	Idle()
	// Drop tells that the record will never be sent.
	Drop(index int64, intended time.Duration)
}

// Pacer runs one Schedule against a clock. The zero values of its limits mean the defaults.
type Pacer struct {
	Clock     Clock
	Schedule  *Schedule
	Begin     time.Duration // when the schedule starts, by the clock
	Slice     time.Duration // shortest sleep; default half a millisecond
	LateLimit time.Duration // a record later than this is dropped; default 10 s
	Deadline  time.Duration // when it passes, everything not handed over is dropped; default: never
}

// Defaults of Pacer.
const (
	DefaultSlice     = 500 * time.Microsecond
	DefaultLateLimit = 10 * time.Second
)

// Counts says what became of a share.
type Counts struct {
	Offered int64 // handed over or dropped
	Handed  int64
	Dropped int64
	Pressed int64 // of the handed: waited for the in-flight limit
}

// Run hands records over until the schedule is exhausted or ctx ends. What was not handed over when ctx ended counts as not
// offered: somebody wanted to stop, and no record was refused.
func (p *Pacer) Run(ctx context.Context, sink Sink) Counts {
	slice, late := p.Slice, p.LateLimit
	if slice <= 0 {
		slice = DefaultSlice
	}
	if late <= 0 {
		late = DefaultLateLimit
	}
	var c Counts
	pressed := false
	for {
		due, ok := p.Schedule.Peek()
		if !ok {
			return c
		}
		due += p.Begin
		now := p.Clock.Now()
		if due > now {
			pressed = false
			sink.Idle()
			if p.Clock.Sleep(ctx, max(due-now, slice)) != nil {
				return c
			}
			continue
		}
		if ctx.Err() != nil {
			return c
		}
		past := p.Deadline > 0 && now >= p.Deadline
		if now-due > late || past {
			sink.Drop(p.Schedule.Index(), due)
			c.Offered, c.Dropped = c.Offered+1, c.Dropped+1
			p.Schedule.Pop()
			continue
		}
		if !sink.Acquire() {
			pressed = true
			_ = p.Clock.Sleep(ctx, slice) // an ended ctx is seen above
			continue
		}
		sink.Send(Handover{Index: p.Schedule.Index(), Intended: due, Now: now, Pressed: pressed})
		c.Offered, c.Handed = c.Offered+1, c.Handed+1
		if pressed {
			c.Pressed++
		}
		p.Schedule.Pop()
	}
}
