package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func within(t *testing.T, what string, got, want time.Duration, part float64) {
	t.Helper()
	if math.Abs(float64(got)-float64(want)) > part*float64(want)+float64(Lowest) {
		t.Errorf("%s = %v, want %v within %v %%", what, got, want, part*100)
	}
}

func TestKnownDistributions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	uniform, exponential := New(), New()
	for range 1_000_000 {
		uniform.Record(time.Duration(rng.Int64N(int64(100 * time.Millisecond))))
		exponential.Record(time.Duration(rng.ExpFloat64() * float64(10*time.Millisecond)))
	}
	for _, q := range []float64{.5, .9, .99} {
		within(t, "uniform", uniform.Quantile(q), time.Duration(q*float64(100*time.Millisecond)), .01)
		within(t, "exponential", exponential.Quantile(q), time.Duration(-math.Log(1-q)*float64(10*time.Millisecond)), .01)
	}
	within(t, "exponential p99.9", exponential.Quantile(.999), time.Duration(-math.Log(.001)*float64(10*time.Millisecond)), .03)
	within(t, "mean", exponential.Mean(), 10*time.Millisecond, .01)
}

func TestQuantilesOfWhatWasRecorded(t *testing.T) { // H3, against sorting
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(Max)), 1, 300).Draw(t, "values")
		h := New()
		for _, v := range values {
			h.Record(time.Duration(v))
		}
		slices.Sort(values)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		rank := min(max(int(math.Ceil(q*float64(len(values)))), 1), len(values))
		got, want := float64(h.Quantile(q)), float64(values[rank-1])
		// The library rounds ranks half up, so a neighbour is right as well.
		lo, hi := float64(values[max(rank-2, 0)]), float64(values[min(rank, len(values)-1)])
		if got < lo*0.999-float64(Lowest) || got > hi*1.001+float64(Lowest) {
			t.Fatalf("quantile %v = %v, want %v (neighbours %v, %v)", q, got, want, lo, hi)
		}
	})
}

func TestAboveTheMaximumIsClampedAndCounted(t *testing.T) { // H2
	h := New()
	h.Record(2 * time.Minute)
	h.Record(-time.Second)
	h.Record(time.Second)
	if h.Count() != 3 || h.Clamped() != 1 {
		t.Errorf("count %d, clamped %d, want 3 and 1", h.Count(), h.Clamped())
	}
	within(t, "max", h.Highest(), Max, .001)
}

func TestSecondsSlotsAndTotalsAgree(t *testing.T) { // H1
	s := NewSeries(3)
	workers := []*Recorder{s.Recorder(), s.Recorder(), s.Recorder()}
	var sum int64
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			for n := range 10_000 {
				w.Record((n+i)%3, time.Duration(n)*time.Microsecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		sum += s.Fold().Count
	}
	sum += s.Fold().Count
	if all := s.Merged(0, 3); sum != 30_000 || all.Count() != 30_000 || s.Slot(0).Count() != 10_000 {
		t.Errorf("seconds hold %d, slots %d, slot 0 %d; want 30,000, 30,000 and 10,000", sum, all.Count(), s.Slot(0).Count())
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	s := NewSeries(1)
	r := s.Recorder()
	r.Record(0, time.Millisecond)
	if n := testing.AllocsPerRun(100, func() { r.Record(0, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestEnough(t *testing.T) {
	for _, c := range []struct {
		n    int64
		q    float64
		want bool
	}{{999, .99, false}, {1000, .99, true}, {9999, .999, false}, {10_000, .999, true}, {20, .5, true}, {19, .5, false}, {1, 1, true}, {0, 1, false}} {
		if got := Enough(c.n, c.q); got != c.want {
			t.Errorf("Enough(%d, %v) = %t", c.n, c.q, got)
		}
	}
}

func TestCurveRises(t *testing.T) {
	h := New()
	for i := range 10_000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	points := h.Curve(4)
	for i := 1; i < len(points); i++ {
		if points[i].Quantile < points[i-1].Quantile || points[i].Value < points[i-1].Value {
			t.Fatalf("point %d falls: %+v after %+v", i, points[i], points[i-1])
		}
	}
	if last := points[len(points)-1]; last.Quantile != 1 || last.Value != h.Highest() {
		t.Errorf("the curve ends at %+v, want the maximum", last)
	}
	if (&Histogram{hdr: New().hdr}).Curve(4) != nil {
		t.Error("an empty histogram has a curve")
	}
}

func BenchmarkRecord(b *testing.B) {
	r := NewSeries(1).Recorder()
	for b.Loop() {
		r.Record(0, 3*time.Millisecond)
	}
}
