package plan

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stagesGen draws schedules as scripts write them: holds and ramps, with stretches of rate zero, from milliseconds to days.
func stagesGen() *rapid.Generator[[]Stage] {
	return rapid.Custom(func(t *rapid.T) []Stage {
		rate := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.001, 1e6), rapid.SampledFrom([]float64{1, 1000, 20_000, 1e6}))
		length := rapid.OneOf(rapid.Int64Range(1e6, 1e10), rapid.SampledFrom([]int64{1e9, 30e9, 24 * 3600 * 1e9}))
		n := rapid.IntRange(1, 8).Draw(t, "stages")
		stages := make([]Stage, 0, n)
		before := 0.0
		for range n {
			to := rate.Draw(t, "to")
			st := Stage{Kind: "hold", Duration: time.Duration(length.Draw(t, "duration")), From: to, To: to}
			switch rapid.SampledFrom([]string{"hold", "ramp", "wave"}).Draw(t, "kind") {
			case "ramp":
				st.Kind, st.From = "ramp", before
			case "wave":
				st.Kind, st.Amplitude = "wave", to*rapid.SampledFrom([]float64{0.01, 0.5, 1}).Draw(t, "amplitude")
				st.Period = time.Duration(rapid.Int64Range(1e6, 1e10).Draw(t, "period"))
				st.To = st.RateAt(st.Duration)
			}
			stages = append(stages, st)
			before = to
		}
		return stages
	})
}

func TestCumulativeIsMonotoneAndSumsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scenario{Stages: stagesGen().Draw(t, "stages")}
		total := s.Duration()
		a := time.Duration(rapid.Int64Range(0, int64(total)).Draw(t, "a"))
		b := time.Duration(rapid.Int64Range(int64(a), int64(total)).Draw(t, "b"))
		ca, cb, all := CumulativeRecords(s.Stages, a), CumulativeRecords(s.Stages, b), CumulativeRecords(s.Stages, total)
		slack := 1e-9 * max(1, all)
		if ca > cb+slack || cb > all+slack {
			t.Fatalf("not monotone: C(%s) = %v, C(%s) = %v, total %v", a, ca, b, cb, all)
		}
		sum := 0.0
		for _, st := range s.Stages {
			if st.Kind == "wave" {
				turn := 2 * math.Pi / st.Period.Seconds()
				sum += st.From*st.Duration.Seconds() + st.Amplitude/turn*(1-math.Cos(math.Mod(turn*st.Duration.Seconds(), 2*math.Pi)))
				continue
			}
			sum += (st.From + st.To) / 2 * st.Duration.Seconds()
		}
		if math.Abs(sum-all) > slack {
			t.Fatalf("total %v, by hand %v", all, sum)
		}
		if after := CumulativeRecords(s.Stages, total+time.Hour); after != all {
			t.Fatalf("C grows after the end: %v > %v", after, all)
		}
	})
}

// The integral agrees with a numerical one.
func TestCumulativeAgreesWithRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scenario{Stages: stagesGen().Draw(t, "stages")}
		at := time.Duration(rapid.Int64Range(1, int64(s.Duration())-1).Draw(t, "at"))
		i := StageAt(s.Stages, at)
		var start time.Duration
		for _, st := range s.Stages[:i] {
			start += st.Duration
		}
		if st := s.Stages[i]; st.Kind == "wave" {
			start = max(start, at-st.Period/1000) // so short that a sine is straight
		}
		// Inside one stage the rate is linear, so the midpoint rule is exact.
		got := CumulativeRecords(s.Stages, at) - CumulativeRecords(s.Stages, start)
		want := (RateAt(s.Stages, start) + RateAt(s.Stages, at)) / 2 * (at - start).Seconds()
		if math.Abs(got-want) > 1e-9*max(1, CumulativeRecords(s.Stages, at))+1e-5*s.Stages[i].Amplitude*(at-start).Seconds() {
			t.Fatalf("stage %d up to %s: %v, by the rate %v", i, at, got, want)
		}
	})
}

// TimeOf is the inverse: no record is due before the integral has reached it, and records are due in order.
func TestTimeOfInverts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scenario{Stages: stagesGen().Draw(t, "stages")}
		all := CumulativeRecords(s.Stages, s.Duration())
		if all < 1 {
			t.Skip("nothing offered")
		}
		n := rapid.Float64Range(0, all*0.999999).Draw(t, "n")
		at := TimeOf(s.Stages, n)
		if at < 0 || at > s.Duration() {
			t.Fatalf("TimeOf(%v) = %s outside [0, %s]", n, at, s.Duration())
		}
		// A nanosecond of rounding moves the integral by at most the peak rate times a nanosecond.
		slack := s.PeakRate()*2e-9 + 1e-9*max(1, all)
		if c := CumulativeRecords(s.Stages, at); math.Abs(c-n) > slack {
			t.Fatalf("C(TimeOf(%v)) = %v, off by %v > %v (stages %+v)", n, c, math.Abs(c-n), slack, s.Stages)
		}
		m := rapid.Float64Range(n, all).Draw(t, "m")
		if next := TimeOf(s.Stages, m); next < at {
			t.Fatalf("record %v at %s is due before record %v at %s", m, next, n, at)
		}
	})
}

func TestTimeOfExact(t *testing.T) {
	hold := func(d time.Duration, r float64) Stage { return Stage{Kind: "hold", Duration: d, From: r, To: r} }
	ramp := func(d time.Duration, a, b float64) Stage { return Stage{Kind: "ramp", Duration: d, From: a, To: b} }
	wave := Stage{Kind: "wave", Duration: 20 * time.Second, From: 1000, To: 1000, Amplitude: 1000, Period: 10 * time.Second}
	for _, tc := range []struct {
		name   string
		stages []Stage
		n      float64
		want   time.Duration
	}{
		{"first of a hold", []Stage{hold(time.Second, 1000)}, 0, 0},
		{"last of a hold", []Stage{hold(time.Second, 1000)}, 999, 999 * time.Millisecond},
		{"past the end", []Stage{hold(time.Second, 1000)}, 1000, time.Second},
		{"before the start", []Stage{hold(time.Second, 1000)}, -3, 0},
		{"ramp from zero", []Stage{ramp(2*time.Second, 0, 1000)}, 250, time.Second},
		{"ramp to zero", []Stage{ramp(2*time.Second, 1000, 0)}, 750, time.Second},
		{"ramp to zero, end", []Stage{ramp(2*time.Second, 1000, 0)}, 1000, 2 * time.Second},
		{"over a pause", []Stage{hold(time.Second, 10), hold(10*time.Second, 0), hold(time.Second, 10)}, 10, 11 * time.Second},
		{"opens at rate zero", []Stage{hold(5*time.Second, 0), hold(time.Second, 10)}, 0, 5 * time.Second},
		{"second stage", []Stage{hold(30*time.Second, 2000), ramp(2*time.Second, 2000, 20000)}, 60000, 30 * time.Second},
		{"a day at a million", []Stage{hold(24*time.Hour, 1e6)}, 86399999999, 24*time.Hour - time.Microsecond},
		{"gentle ramp", []Stage{ramp(24*time.Hour, 1000, 1000.0001)}, 1000, time.Second},
		{"no stages", nil, 5, 0},
		{"whole waves", []Stage{wave}, 10_000, 10 * time.Second},
		{"half a wave", []Stage{wave}, 5000 + 1000*10/math.Pi, 5 * time.Second},
		{"after waves", []Stage{wave, hold(time.Second, 10)}, 20_005, 20*time.Second + 500*time.Millisecond},
	} {
		if got := TimeOf(tc.stages, tc.n); got != tc.want {
			t.Errorf("%s: TimeOf(%v) = %s, want %s", tc.name, tc.n, got, tc.want)
		}
	}
}

// Every record i in [0, Records) is due before the end, and record Records is not.
func TestRecordsCountsWhatIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scenario{Stages: stagesGen().Draw(t, "stages")}
		n := s.Records()
		if n == 0 {
			t.Skip("nothing offered")
		}
		if at, end := TimeOf(s.Stages, float64(n)), s.Duration(); CumulativeRecords(s.Stages, end)-CumulativeRecords(s.Stages, at) > 1e-6*max(1, float64(n)*1e-6)+s.PeakRate()*3e-9 {
			t.Fatalf("record %d of %d would be due at %s, before the end %s", n, n, at, end)
		}
		c := CumulativeRecords(s.Stages, s.Duration())
		if float64(n-1) > c || float64(n) < c-1e-9*max(1, c) {
			t.Fatalf("%d records for %v", n, c)
		}
	})
}

func TestRecordsRounds(t *testing.T) {
	third := Scenario{Stages: []Stage{{Kind: "hold", Duration: 3 * time.Second, From: 1000. / 3, To: 1000. / 3}}}
	if got := third.Records(); got != 1000 {
		t.Errorf("3s at 1000/3 per second: %d records, want 1000", got)
	}
	part := Scenario{Stages: []Stage{{Kind: "hold", Duration: 1500 * time.Millisecond, From: 1, To: 1}}}
	if got := part.Records(); got != 2 { // at 0s and at 1s
		t.Errorf("1.5s at 1/s: %d records, want 2", got)
	}
}
