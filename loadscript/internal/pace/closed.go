package pace

import (
	"context"
	"sync/atomic"
	"time"
)

// Closed offers load as answers come, not by a schedule: Clients records are on their way at most, and each answer, after a
// pause, lets the next one go. So a slow system is asked less, its worst moments are under-represented, and latency can only
// count from the real send: Intended is Now.
//
//	Send --> client --> broker --> Answers.Add --> (Think) --> Send
//
// With Think = 0 it is a window of so many records: full speed.
type Closed struct {
	Clock   Clock
	Clients int           // records on their way, > 0
	Think   time.Duration // from an answer to the next record
	Until   time.Duration // nothing is offered from then on; 0 = no end
	Records int64         // so many in all; 0 = no limit
}

// Sender takes the records of a Closed. All calls come from the goroutine that runs it.
type Sender interface {
	// Send hands the record to the client. Every Send must lead to one Answers.Add.
	Send(Handover)
	// Idle tells that everybody waits for an answer.
	Idle()
}

// Answers counts the records that came back, from any goroutine, for the one Closed that waits for them.
type Answers struct {
	n      atomic.Int64
	asleep atomic.Bool
	wake   chan struct{}
}

// NewAnswers returns a counter at zero.
func NewAnswers() *Answers { return &Answers{wake: make(chan struct{}, 1)} }

// Add tells that a record has its answer, whichever. It never blocks.
func (a *Answers) Add() {
	a.n.Add(1)
	if a.asleep.Load() && a.asleep.CompareAndSwap(true, false) {
		a.wake <- struct{}{} // there is room: only who resets asleep sends, and await takes it
	}
}

// await waits until there is an answer, d is over, or ctx ends.
func (a *Answers) await(ctx context.Context, d time.Duration) {
	a.asleep.Store(true)
	if a.n.Load() == 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-a.wake:
			return
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if !a.asleep.CompareAndSwap(true, false) {
		<-a.wake
	}
}

// ready is clients whose pause ends at the same time.
type ready struct {
	at time.Duration
	n  int
}

// forever is how long to wait when only an answer can end the wait; ctx does in any case.
const forever = time.Hour

// Run offers until Until, Records or the end of ctx.
func (c *Closed) Run(ctx context.Context, sink Sender, answers *Answers) Counts {
	var counts Counts
	free := c.Clients
	var thinking []ready // in order of time, for all think equally long
	for ctx.Err() == nil {
		now := c.Clock.Now()
		if n := int(answers.n.Swap(0)); c.Think == 0 {
			free += n
		} else if n > 0 {
			thinking = append(thinking, ready{now + c.Think, n})
		}
		for len(thinking) > 0 && thinking[0].at <= now {
			free += thinking[0].n
			thinking = thinking[1:]
		}
		if c.Until > 0 && now >= c.Until {
			break
		}
		if free == 0 {
			sink.Idle()
			wait := forever
			if c.Until > 0 {
				wait = c.Until - now
			}
			if len(thinking) > 0 {
				wait = min(wait, thinking[0].at-now)
			}
			answers.await(ctx, wait)
			continue
		}
		for burst := min(free, maxBurst); burst > 0; burst-- {
			if c.Records > 0 && counts.Handed == c.Records {
				return counts
			}
			now = c.Clock.Now()
			if c.Until > 0 && now >= c.Until {
				return counts
			}
			sink.Send(Handover{Index: counts.Handed, Intended: now, Now: now})
			counts.Offered, counts.Handed, free = counts.Offered+1, counts.Handed+1, free-1
		}
	}
	return counts
}

// maxBurst is how many records go before answers are looked at again.
const maxBurst = 256
