package compare

import (
	"math"
	"testing"
)

// The critical values of the two-sided test at 5 %, as printed in tables of the Mann-Whitney U test (Milton 1964, Siegel 1956).
func TestCriticalValuesAreThoseOfTheTables(t *testing.T) {
	for _, c := range []struct {
		n, m int
		p    float64
		want int
	}{
		{3, 3, .05, -1}, {3, 5, .05, 0}, {4, 4, .05, 0}, {4, 5, .05, 1}, {5, 5, .05, 2}, {6, 6, .05, 5}, {7, 7, .05, 8}, {8, 8, .05, 13}, {9, 9, .05, 17},
		{10, 10, .05, 23}, {8, 12, .05, 22}, {12, 8, .05, 22}, {15, 15, .05, 64}, {20, 20, .05, 127}, {5, 5, .01, 0}, {10, 10, .01, 16}, {20, 20, .01, 105},
	} {
		if got := criticalU(c.n, c.m, c.p); got != c.want {
			t.Errorf("n=%d, m=%d, p <= %v: U <= %d, want %d", c.n, c.m, c.p, got, c.want)
		}
	}
	// The normal approximation takes over without a step.
	if exact, normal := criticalU(40, 40, .05), criticalU(41, 40, .05); normal < exact || normal > exact+30 {
		t.Errorf("U <= %d with 40+40 and <= %d with 41+40", exact, normal)
	}
}

func TestUTest(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 0.1},
		{[]float64{5, 5, 5}, []float64{5, 5, 5}, 1},
		// Hollander and Wolfe, Nonparametric Statistical Methods, table 4.1: permeability of membranes, U = 15; R's wilcox.test gives 0.2544.
		{[]float64{.80, .83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, .73, 1.46}, []float64{1.15, .88, .90, .74, 1.21}, 0.2544},
	} {
		if got := uTest(c.a, c.b); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("%v against %v: p = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestKolmogorovSmirnov(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	shifted := func(by float64) (out []float64) {
		for _, v := range ten {
			out = append(out, v+by)
		}
		return out
	}
	for _, c := range []struct {
		a, b []float64
		want float64 // as R's ks.test(exact = TRUE) has it
	}{
		{ten[:5], ten[5:], 2.0 / 252}, {ten, shifted(6.5), 0.01234}, {ten, shifted(5.5), 0.05245}, {ten, ten, 1}, {ten[:3], ten[3:7], 2.0 / 35},
	} {
		if got := ksTest(c.a, c.b); math.Abs(got-c.want) > 1e-5 {
			t.Errorf("%v against %v: p = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestMedianHasAnIntervalFromSixRuns(t *testing.T) {
	if s := summarize([]float64{5, 1, 3, 2, 4}); s.Median != 3 || s.Lo != nil || s.Values[0] != 5 {
		t.Errorf("five runs: %+v", s)
	}
	s := summarize([]float64{6, 5, 1, 3, 2, 4})
	if s.Median != 3.5 || s.Lo == nil || *s.Lo != 1 || *s.Hi != 6 { // 1 - 2/2^6 = 97 %
		t.Errorf("six runs: %+v", s)
	}
}

func TestHolm(t *testing.T) {
	got := holm([]float64{.01, .04, .03, .005})
	for i, want := range []float64{.03, .06, .06, .02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("%v, want .03 .06 .06 .02", got)
			break
		}
	}
}

func TestFisher(t *testing.T) {
	for _, c := range []struct {
		a, n, b, m int
		want       float64
	}{{3, 4, 1, 4, 34.0 / 70}, {10, 10, 0, 10, 2.0 / 184_756}, {10, 10, 7, 10, 0.2105263}, {5, 5, 5, 5, 1}} {
		if got := fisher(c.a, c.n, c.b, c.m); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%d of %d and %d of %d: p = %v, want %v", c.a, c.n, c.b, c.m, got, c.want)
		}
	}
}

// The powers that were simulated when the method was chosen, with another program.
func TestPower(t *testing.T) {
	for _, c := range []struct {
		n           int
		noise, want float64
	}{{6, .03, .63}, {10, .03, .90}, {20, .03, 1}, {10, .05, .54}, {20, .05, .83}, {20, .10, .28}} {
		got := power(c.n, c.n, criticalU(c.n, c.n, .05), c.noise, .05, 3)
		if math.Abs(got-c.want) > .09 {
			t.Errorf("%d runs of noise %v see 5 %% in %v of the cases, want about %v", c.n, c.noise, got, c.want)
		}
	}
}

func TestDetectable(t *testing.T) {
	noisy := []float64{95, 98, 99, 100, 100, 101, 102, 103, 104, 98}
	quiet := []float64{99.5, 99.8, 99.9, 100, 100, 100.1, 100.2, 100.3, 100.4, 99.8}
	many, few := detectable(noisy, noisy, .05), detectable(noisy[:5], noisy[5:], .05)
	if q := detectable(quiet, quiet, .05); q > many/5 || many < .02 || many > .06 || few < many {
		t.Errorf("10+10 noisy runs see %v, quiet ones %v, 5+5 noisy ones %v", many, q, few)
	}
	if d := detectable(noisy[:3], noisy[:3], .05); !math.IsInf(d, 1) {
		t.Errorf("3+3 runs see %v; they cannot see anything", d)
	}
	if a, b := detectable(noisy, quiet, .05), detectable(noisy, quiet, .05); a != b { // C4
		t.Errorf("%v, then %v", a, b)
	}
	if d := detectable([]float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1}, .05); !math.IsNaN(d) {
		t.Errorf("without scatter: %v", d)
	}
}
