package pace

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// echo answers every record after a while.
type echo struct {
	answers *Answers
	took    func(n int64) time.Duration
	sent    int64
	flying  atomic.Int64
	most    int64
	wrong   int
}

func (e *echo) Send(h Handover) {
	if h.Intended != h.Now || h.Index != e.sent {
		e.wrong++
	}
	e.sent++
	e.most = max(e.most, e.flying.Add(1))
	time.AfterFunc(e.took(h.Index), func() {
		e.flying.Add(-1)
		e.answers.Add()
	})
}
func (e *echo) Idle() {}

// Each of ten clients sends, waits 30 ms, thinks 70 ms: ten records a second each.
func TestClientsThink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{answers: NewAnswers(), took: func(int64) time.Duration { return 30 * time.Millisecond }}
		c := Closed{Clock: NewWall(), Clients: 10, Think: 70 * time.Millisecond, Until: 5 * time.Second}
		got := c.Run(t.Context(), e, e.answers)
		if got.Handed != 500 || got.Offered != 500 || e.wrong != 0 {
			t.Errorf("%+v, %d wrong; want 500 records", got, e.wrong)
		}
		time.Sleep(time.Second) // answers still to come
	})
}

// A system that freezes is asked no more: that is what a closed model means, and what its latencies hide.
func TestFrozenSystemIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{answers: NewAnswers(), took: func(n int64) time.Duration {
			if n == 1000 {
				return 2 * time.Second
			}
			return time.Millisecond
		}}
		c := Closed{Clock: NewWall(), Clients: 1, Until: 4 * time.Second}
		if got := c.Run(t.Context(), e, e.answers); got.Handed != 2001 {
			t.Errorf("%d records, want 2,001: 2 s of them, and one for the 2 s of the freeze", got.Handed)
		}
		time.Sleep(time.Second)
	})
}

func TestClosedCountsRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Never 0: the race detector of Go 1.26 can crash over a timer of no length in a bubble.
		e := &echo{answers: NewAnswers(), took: func(n int64) time.Duration { return time.Duration(1+n%7) * time.Millisecond }}
		c := Closed{Clock: NewWall(), Clients: 100, Records: 12_345}
		if got := c.Run(t.Context(), e, e.answers); got.Handed != 12_345 {
			t.Errorf("%+v, want 12,345 records", got)
		}
		if e.most != 100 {
			t.Errorf("%d records on their way at most, want 100", e.most)
		}
		time.Sleep(time.Second)
	})
}

func TestClosedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := &echo{answers: NewAnswers(), took: func(int64) time.Duration { return time.Minute }}
		c := Closed{Clock: NewWall(), Clients: 3}
		if got := c.Run(ctx, e, e.answers); got.Handed != 3 || c.Clock.Now() != time.Second {
			t.Errorf("%+v after %v, want 3 records and a second", got, c.Clock.Now())
		}
		time.Sleep(2 * time.Minute)
	})
}

// Answers that come while the loop is about to sleep wake it: real goroutines, many rounds.
func TestNoAnswerIsMissed(t *testing.T) {
	answers := NewAnswers()
	back := make(chan struct{}, 8)
	go func() {
		for range back {
			answers.Add()
		}
	}()
	c := Closed{Clock: NewWall(), Clients: 8, Records: 200_000}
	got := c.Run(t.Context(), throw(back), answers) // hangs if one is missed
	close(back)
	if got.Handed != 200_000 {
		t.Errorf("%+v", got)
	}
}

type throw chan struct{}

func (c throw) Send(Handover) { c <- struct{}{} }
func (c throw) Idle()         {}
