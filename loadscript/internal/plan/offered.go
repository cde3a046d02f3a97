package plan

import (
	"math"
	"time"
)

// The offered load of a scenario is piecewise linear or a sine wave in time, so the number of records due has a closed form: no
// step size, no drift over a 24-hour soak. Its inverse has one too, but for waves, where a few steps of Newton find it.
//
//	rate                 To
//	  |             ____/
//	  |            /    |        C(t)      = area left of t
//	  |  From ____/     |        TimeOf(n) = inf { t : C(t) > n }
//	  |      |    |     |
//	  +------+----+-----+---- t
//	         hold  ramp
//
// Records are numbered from 0 and record i is due at TimeOf(i). So a hold of one second at 1000/s has the records 0 to 999,
// at 0 ms to 999 ms; record 1000 opens the next stage, after any stretch of rate zero between them.

// Duration is the length of all stages together. Warm-up lies inside it; the drain after the last stage does not.
func (s Scenario) Duration() time.Duration {
	var sum time.Duration
	for _, st := range s.Stages {
		sum += st.Duration
	}
	return sum
}

// Length is how long the load lasts: its stages, or what its executor says. It is not known for a fixed number of records and
// for the search for a rate.
func (s Scenario) Length() (d time.Duration, known bool) {
	if e := s.Executor; e != nil {
		return e.Duration, e.Kind == "clients" || e.Kind == "full_speed"
	}
	return s.Duration(), true
}

// Records is the number of records that the scenario offers: those i with TimeOf(i) < Duration().
func (s Scenario) Records() int64 {
	return int64(wholeRecords(CumulativeRecords(s.Stages, s.Duration())))
}

// PeakRate is the highest offered rate, in records per second.
func (s Scenario) PeakRate() float64 {
	peak := 0.0
	for _, st := range s.Stages {
		peak = max(peak, st.peakBetween(0, st.Duration))
	}
	return peak
}

// peakBetween is the highest rate of the stage in [from, to], 0 <= from <= to <= Duration.
func (st Stage) peakBetween(from, to time.Duration) float64 {
	peak := max(st.RateAt(from), st.RateAt(to))
	if st.Kind == "wave" && st.Period > 0 {
		crest := st.Period / 4
		if from > crest {
			crest += (from - crest + st.Period - 1) / st.Period * st.Period
		}
		if crest <= to {
			return st.From + st.Amplitude
		}
	}
	return peak
}

// RateAt is the rate in records per second at t inside the stage, 0 <= t <= Duration.
func (st Stage) RateAt(t time.Duration) float64 {
	if st.Kind == "wave" {
		return st.From + st.Amplitude*math.Sin(st.angle(t))
	}
	return st.From + (st.To-st.From)*(float64(t)/float64(max(st.Duration, 1)))
}

// angle is how far a wave has turned at t. Whole periods are taken off in integers, so that a day of short waves stays exact.
func (st Stage) angle(t time.Duration) float64 {
	return 2 * math.Pi * float64(t%st.Period) / float64(st.Period)
}

// Bytes is the size of all values offered. Flows share the records evenly, so it uses the mean value size.
func (s Scenario) Bytes() int64 { return int64(float64(s.Records()) * s.MeanValueSize()) }

// MeanValueSize is the mean size in bytes of a record's value over the scenario's produce flows; 0 without one.
func (s Scenario) MeanValueSize() float64 {
	if len(s.Produce) == 0 {
		return 0
	}
	sum := 0.0
	for _, p := range s.Produce {
		sum += p.Value.MeanSize()
	}
	return sum / float64(len(s.Produce))
}

// StageAt is the index of the stage that holds t, stages being half open [start, end). Before the first it is 0, after
// the last it is len(stages)-1, and -1 when there is none.
func StageAt(stages []Stage, t time.Duration) int {
	for i, st := range stages {
		if t < st.Duration {
			return i
		}
		t -= st.Duration
	}
	return len(stages) - 1
}

// RateAt is the offered rate in records per second at t; 0 outside [0, duration).
func RateAt(stages []Stage, t time.Duration) float64 {
	if t < 0 {
		return 0
	}
	for _, st := range stages {
		if t < st.Duration {
			return st.RateAt(t)
		}
		t -= st.Duration
	}
	return 0
}

// CumulativeRecords is the (real) number of records due in [0, t): the integral of the offered rate. It is 0 before the
// start, constant after the end and never decreases.
func CumulativeRecords(stages []Stage, t time.Duration) float64 {
	sum := 0.0
	for _, st := range stages {
		if t < st.Duration {
			return sum + st.area(t)
		}
		sum += st.area(st.Duration)
		t -= st.Duration
	}
	return sum
}

// TimeOf is the time at which record n (counted from 0) is due: the inverse of CumulativeRecords, to the nanosecond. Where
// nothing is offered for a while, record n is due when load comes back. For n at or past the total it is the duration of
// all stages, for n < 0 it is that of n = 0.
func TimeOf(stages []Stage, n float64) time.Duration {
	n = max(n, 0)
	var start time.Duration
	sum := 0.0
	for _, st := range stages {
		area := st.area(st.Duration)
		if n < sum+area {
			return start + st.inverse(n-sum)
		}
		sum += area
		start += st.Duration
	}
	return start
}

// area is the number of records due in the first t of the stage, 0 <= t <= Duration.
func (st Stage) area(t time.Duration) float64 {
	if t <= 0 || st.Duration <= 0 {
		return 0
	}
	x, d := t.Seconds(), st.Duration.Seconds()
	if st.Kind == "wave" {
		return st.From*x + st.Amplitude*st.Period.Seconds()/(2*math.Pi)*(1-math.Cos(st.angle(t)))
	}
	if st.From == st.To {
		return st.From * x
	}
	// From*x + (To-From)*x²/(2d), written as mean rate times length: no cancellation when To is near -From.
	atX := st.From + (st.To-st.From)*(x/d)
	return (st.From + atX) / 2 * x
}

// inverse is the time inside the stage at which area reaches m, 0 <= m < area(Duration).
func (st Stage) inverse(m float64) time.Duration {
	if m <= 0 {
		return 0
	}
	if st.Kind == "wave" {
		return st.inverseWave(m)
	}
	var x float64
	if st.From == st.To {
		x = m / st.From
	} else {
		// a·x² + From·x - m = 0 with a = (To-From)/2d. The root as 2m/(b+√(b²+4am)) adds two numbers >= 0, whereas the
		// schoolbook form subtracts near-equal ones on a gentle ramp. At the end of a ramp to zero the root of a rounded
		// difference can fall a hair below zero.
		a := (st.To - st.From) / (2 * st.Duration.Seconds())
		x = 2 * m / (st.From + math.Sqrt(max(st.From*st.From+4*a*m, 0)))
	}
	return min(max(time.Duration(math.Round(x*1e9)), 0), st.Duration)
}

// inverseWave finds the time between two bounds that it narrows: a step of Newton where that stays between them, else the
// middle. A wave only adds to its mean line, and at most two amplitudes' worth of a half period, which gives the first bounds.
func (st Stage) inverseWave(m float64) time.Duration {
	line := m / st.From * 1e9
	hi := min(time.Duration(math.Ceil(line)), st.Duration)
	lo := max(time.Duration(line-st.Amplitude/st.From*float64(st.Period)/math.Pi)-1, 0)
	at := lo + (hi-lo)/2
	for step := 0; hi-lo > 1; step++ {
		miss := st.area(at) - m
		if miss < 0 {
			lo = at
		} else {
			hi = at
		}
		next := lo + (hi-lo)/2
		if rate := st.RateAt(at); step < 8 && math.Abs(miss) < rate*st.Period.Seconds() { // it converges within a few steps or not at all
			near := at - time.Duration(math.Round(miss/rate*1e9))
			switch { // within a nanosecond: close the bounds around it
			case near == at && miss < 0:
				near++
			case near == at:
				near--
			}
			if near > lo && near < hi {
				next = near
			}
		}
		at = next
	}
	return hi
}

// wholeRecords rounds the total up (record i is due when i < total), but takes 29999.999999999996 as 30000.
func wholeRecords(total float64) float64 {
	if near := math.Round(total); math.Abs(total-near) <= max(1e-9, 1e-12*near) {
		return near
	}
	return math.Ceil(total)
}

// ReadsTransactions says whether a consumer of the scenario reads transactions that it produces, and only committed ones.
func (s Scenario) ReadsTransactions() bool {
	for _, p := range s.Produce {
		for _, c := range s.Consume {
			if p.Transaction != nil && c.Isolation == "read_committed" && c.Topic.Name == p.Topic.Name {
				return true
			}
		}
	}
	return false
}
