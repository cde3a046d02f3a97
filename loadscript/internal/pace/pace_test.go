package pace

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// virtual is a clock that jumps: sleeping takes no time, and overshoots as a real one does.
type virtual struct {
	now, overshoot time.Duration
	cancelAt       time.Duration
	cancel         context.CancelFunc
}

func (v *virtual) Now() time.Duration { return v.now }

func (v *virtual) Sleep(ctx context.Context, d time.Duration) error {
	v.now += d + v.overshoot
	if v.cancel != nil && v.now >= v.cancelAt {
		v.cancel()
	}
	return ctx.Err()
}

// sink is a client with room for some records, which it keeps for good until told otherwise.
type sink struct {
	clock   *virtual
	room    func(now time.Duration, taken int64) bool
	cost    time.Duration // what handing over takes
	handed  []Handover
	keep    bool
	taken   int64
	dropped int64
	worst   time.Duration
	idles   int
}

func (s *sink) Acquire() bool {
	if s.room != nil && !s.room(s.clock.now, s.taken) {
		return false
	}
	s.taken++
	return true
}

func (s *sink) Send(h Handover) {
	s.clock.now += s.cost
	s.worst = max(s.worst, h.Now-h.Intended)
	if s.keep {
		s.handed = append(s.handed, h)
	}
}
func (s *sink) Idle()                     { s.idles++ }
func (s *sink) Drop(int64, time.Duration) { s.dropped++ }

func hold(rate float64, d time.Duration) plan.Stage {
	return plan.Stage{Kind: "hold", Name: "hold", Duration: d, From: rate, To: rate}
}

func scenario(stages ...plan.Stage) *plan.Scenario {
	return &plan.Scenario{Stages: stages, Arrivals: plan.Uniform, Seed: 1}
}

func TestAchievedIsOffered(t *testing.T) { // A1, at rates that no ticker delivers
	for _, rate := range []float64{1, 1000, 200_000, 1_000_000} {
		c := &virtual{overshoot: 900 * time.Microsecond} // as measured of time.Sleep
		s := &sink{clock: c, cost: 500 * time.Nanosecond}
		p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(rate, 2*time.Second)), Share{0, 1})}
		got := p.Run(t.Context(), s)
		if want := int64(2 * rate); got.Handed != want || got.Offered != want || got.Dropped != 0 {
			t.Errorf("%v/s: %+v, want %d handed over", rate, got, want)
		}
		if limit := 10 * time.Millisecond; s.worst > limit {
			t.Errorf("%v/s: a record was %v late, want at most %v", rate, s.worst, limit)
		}
	}
}

func TestADaySoakOnAVirtualClock(t *testing.T) {
	c := &virtual{overshoot: time.Millisecond}
	s := &sink{clock: c}
	p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(20, 24*time.Hour)), Share{0, 1})}
	if got := p.Run(t.Context(), s); got.Handed != 20*86400 {
		t.Errorf("handed over %d records in a day at 20/s, want %d", got.Handed, 20*86400)
	}
	if s.worst > 2*time.Millisecond {
		t.Errorf("the schedule drifted: a record was %v late", s.worst)
	}
}

func TestSharesAreTheWhole(t *testing.T) { // A1, A2: shares partition the schedule, at exactly plan.TimeOf
	rapid.Check(t, func(t *rapid.T) {
		var stages []plan.Stage
		for range rapid.IntRange(1, 4).Draw(t, "stages") {
			st := hold(rapid.Float64Range(0, 500).Draw(t, "from"), time.Duration(rapid.Int64Range(1, 3e9).Draw(t, "length")))
			if rapid.Bool().Draw(t, "ramp") {
				st.To = rapid.Float64Range(0, 500).Draw(t, "to")
			}
			stages = append(stages, st)
		}
		sc := scenario(stages...)
		n := rapid.IntRange(1, 7).Draw(t, "shares")
		var times []time.Duration
		for i := range n {
			s := NewSchedule(sc, Share{i, n})
			for due, ok := s.Peek(); ok; due, ok = s.Peek() {
				times = append(times, due)
				s.Pop()
			}
		}
		slices.Sort(times)
		if int64(len(times)) != sc.Records() {
			t.Fatalf("%d shares yield %d records, the plan has %d", n, len(times), sc.Records())
		}
		for i, got := range times {
			if want := plan.TimeOf(stages, float64(i)); got != want {
				t.Fatalf("record %d is due at %v, want %v", i, got, want)
			}
		}
	})
}

func TestPoissonKeepsRateAndSeed(t *testing.T) { // A2
	sc := scenario(hold(1000, 60*time.Second), plan.Stage{Kind: "ramp", Duration: 60 * time.Second, From: 1000, To: 3000})
	sc.Arrivals = plan.Poisson
	var times []time.Duration
	for i := range 4 {
		a, b := NewSchedule(sc, Share{i, 4}), NewSchedule(sc, Share{i, 4})
		for due, ok := a.Peek(); ok; due, ok = a.Peek() {
			if again, _ := b.Peek(); again != due {
				t.Fatalf("the same seed gave %v and %v", due, again)
			}
			times = append(times, due)
			a.Pop()
			b.Pop()
		}
	}
	want := 60_000 + 120_000.0
	if got := float64(len(times)); math.Abs(got-want) > 5*math.Sqrt(want) {
		t.Errorf("%v arrivals, want %v within five standard deviations", got, want)
	}
	slices.Sort(times)
	// Gaps of a Poisson process are exponential: as spread as they are long. Uniform ones have no spread.
	var sum, squares float64
	n := 50_000
	for i := 1; i < n; i++ {
		g := float64(times[i] - times[i-1])
		sum, squares = sum+g, squares+g*g
	}
	mean := sum / float64(n)
	if cv := math.Sqrt(squares/float64(n)-mean*mean) / mean; cv < 0.97 || cv > 1.03 {
		t.Errorf("coefficient of variation of gaps %v, want 1", cv)
	}
}

func TestFrozenClientMakesRecordsLateNotFewer(t *testing.T) { // coordinated omission
	c := &virtual{}
	frozen := func(now time.Duration, _ int64) bool { return now < 2*time.Second || now >= 4*time.Second }
	s := &sink{clock: c, room: frozen, keep: true}
	p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(1000, 10*time.Second)), Share{0, 1})}
	got := p.Run(t.Context(), s)
	if got.Handed != 10_000 || got.Dropped != 0 {
		t.Fatalf("%+v, want all 10,000 handed over", got)
	}
	late := 0
	for i, h := range s.handed {
		if want := time.Duration(i) * time.Millisecond; h.Intended != want {
			t.Fatalf("record %d intended at %v, want %v", i, h.Intended, want)
		}
		if h.Now < h.Intended {
			t.Fatalf("record %d handed over before its time (A3)", i)
		}
		if h.Now-h.Intended > 100*time.Millisecond {
			late++
			if !h.Pressed {
				t.Fatalf("record %d was held back and is not marked as pressed", i)
			}
		}
	}
	// 2 s of 1,000/s were due while frozen; those of the last 100 ms waited less than that.
	if late < 1890 || late > 1910 {
		t.Errorf("%d records were late, want 1,900", late)
	}
}

func TestTooLateIsDropped(t *testing.T) { // A4
	c := &virtual{}
	s := &sink{clock: c, room: func(now time.Duration, _ int64) bool { return now < time.Second || now >= 15*time.Second }}
	p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(100, 20*time.Second)), Share{0, 1})}
	got := p.Run(t.Context(), s)
	// At 15 s the gate opens; what was due before 5 s is more than 10 s late by then.
	if got.Handed+got.Dropped != 2000 || got.Dropped != s.dropped || got.Dropped < 398 || got.Dropped > 402 {
		t.Errorf("%+v, want 2,000 in all and 400 dropped", got)
	}
}

func TestDeadlineDropsTheRest(t *testing.T) { // A4
	c := &virtual{}
	s := &sink{clock: c, room: func(time.Duration, int64) bool { return false }}
	p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(100, time.Second)), Share{0, 1}), Deadline: 3 * time.Second}
	if got := p.Run(t.Context(), s); got.Dropped != 100 || got.Handed != 0 {
		t.Errorf("%+v, want 100 dropped", got)
	}
	if c.now > 4*time.Second {
		t.Errorf("the pacer went on until %v", c.now)
	}
}

func TestCancelStopsOffering(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &virtual{cancel: cancel, cancelAt: time.Second}
	s := &sink{clock: c}
	p := Pacer{Clock: c, Schedule: NewSchedule(scenario(hold(1000, 10*time.Second)), Share{0, 1})}
	got := p.Run(ctx, s)
	if got.Handed < 990 || got.Handed > 1010 || got.Dropped != 0 {
		t.Errorf("%+v, want about 1,000 handed over and the future not counted", got)
	}
}

func TestWallSleepsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWall()
		if err := w.Sleep(t.Context(), time.Second); err != nil || w.Now() != time.Second {
			t.Errorf("slept %v, %v", w.Now(), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Sleep(ctx, time.Hour); err == nil || w.Now() != 2*time.Second {
			t.Errorf("an ended context was slept through: %v, %v", w.Now(), err)
		}
		again := w.Restart()
		if again.Now() != 0 || again.Unix(0) != w.Unix(2*time.Second) {
			t.Error("Restart moved the wall time")
		}
	})
}
