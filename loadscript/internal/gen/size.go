package gen

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// sizes draws sizes in bytes.
type sizes struct {
	kind    string
	a, b    float64 // uniform: ends; normal: mean, deviation; lognormal: mean and deviation of the logarithm
	values  []int
	bounds  []float64 // of the values: their cumulative weights, the last is 1
	fixed   int
	largest int
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

func newSizes(size int, d *plan.Sizes) (*sizes, error) {
	s := &sizes{kind: "fixed", fixed: size, largest: plan.MaxValueBytes}
	if d == nil {
		return s, nil
	}
	s.kind, s.a, s.b, s.values = d.Kind, d.A, d.B, d.Values
	if d.Max > 0 {
		s.largest = min(d.Max, s.largest)
	}
	switch d.Kind {
	case "fixed":
		if d.A > 0 {
			s.fixed = int(d.A)
		}
	case "uniform":
		if d.A > d.B || d.A < 0 {
			return nil, fmt.Errorf("gen: sizes from %v to %v: there are none", d.A, d.B)
		}
	case "normal":
		if d.B < 0 {
			return nil, fmt.Errorf("gen: a standard deviation of %v bytes", d.B)
		}
	case "lognormal":
		if !(d.A > 0 && d.B >= d.A) {
			return nil, fmt.Errorf("gen: a lognormal size with p50 = %v and p99 = %v bytes", d.A, d.B)
		}
		s.a, s.b = math.Log(d.A), (math.Log(d.B)-math.Log(d.A))/z99
	case "mix":
		if len(d.Values) == 0 || len(d.Values) != len(d.Weights) {
			return nil, fmt.Errorf("gen: %d sizes with %d weights", len(d.Values), len(d.Weights))
		}
		sum := 0.0
		for _, w := range d.Weights {
			if !(w > 0) {
				return nil, fmt.Errorf("gen: a weight of %v: it must be above 0", w)
			}
			sum += w
		}
		at := 0.0
		for _, w := range d.Weights {
			at += w / sum
			s.bounds = append(s.bounds, at)
		}
	default:
		return nil, fmt.Errorf("gen: unknown distribution of sizes %q", d.Kind)
	}
	return s, nil
}

func (s *sizes) draw(rng *rand.Rand) int {
	x := float64(s.fixed)
	switch s.kind {
	case "uniform":
		x = s.a + rng.Float64()*(s.b-s.a)
	case "normal":
		x = s.a + rng.NormFloat64()*s.b
	case "lognormal":
		x = math.Exp(s.a + rng.NormFloat64()*s.b)
	case "mix":
		i, u := 0, rng.Float64()
		for i < len(s.bounds)-1 && u >= s.bounds[i] {
			i++
		}
		x = float64(s.values[i])
	}
	return int(min(max(x, 0), float64(s.largest)) + 0.5)
}
