package pace

import (
	"math/rand/v2"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Schedule is one worker's share of a scenario's records: the records First, First+Step, First+2·Step, … below the total.
// It is a pure iterator: no clock, no goroutine.
type Schedule struct {
	stages []plan.Stage
	total  float64 // records offered by all shares together
	end    time.Duration
	first  float64
	step   float64
	next   float64    // position of the next record, in records of the whole scenario
	index  int64      // how many records this share has yielded
	rng    *rand.Rand // nil: uniform spacing
}

// Share picks one worker's part of the schedule: records with n mod Of == Index.
type Share struct{ Index, Of int }

// NewSchedule returns the part of the scenario's schedule that falls to share. Uniform arrivals are exact: all shares
// together yield record n at plan.TimeOf(stages, n). Poisson arrivals are drawn by time rescaling: gaps are exponential in
// the space of cumulative records, which TimeOf maps to time, so the rate follows ramps exactly; the count is random.
func NewSchedule(sc *plan.Scenario, share Share) *Schedule {
	s := &Schedule{
		stages: sc.Stages,
		total:  float64(sc.Records()),
		end:    sc.Duration(),
		first:  float64(share.Index),
		step:   float64(share.Of),
	}
	s.next = s.first
	if sc.Arrivals == plan.Poisson {
		s.rng = rand.New(rand.NewPCG(sc.Seed, 0x9e3779b97f4a7c15^uint64(share.Index)))
		s.next = s.rng.ExpFloat64() * s.step
	}
	return s
}

// Peek is the intended time of the next record; ok is false when the share is exhausted.
func (s *Schedule) Peek() (due time.Duration, ok bool) {
	if s.next >= s.total {
		return s.end, false
	}
	return plan.TimeOf(s.stages, s.next), true
}

// Index counts this share's records from 0: the number of the record that Peek shows.
func (s *Schedule) Index() int64 { return s.index }

// Pop moves on to the next record.
func (s *Schedule) Pop() {
	s.index++
	if s.rng != nil {
		s.next += s.rng.ExpFloat64() * s.step
		return
	}
	s.next = s.first + s.step*float64(s.index) // not += : no drift over a 24-hour soak
}
