package compare

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/perf/benchmath"
)

// alpha is the level at which a change is believed, after Holm's correction.
const alpha = 0.05

// Summary is the median of a group's runs with its interval.
type Summary struct {
	N      int       `json:"n"`
	Median float64   `json:"median"`
	Lo     *float64  `json:"lo"` // 95 % confidence interval of the median; null with fewer than six runs
	Hi     *float64  `json:"hi"`
	Values []float64 `json:"values"` // in the order of the runs
}

func summarize(values []float64) Summary {
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 1-alpha)
	out := Summary{N: len(values), Median: s.Center, Values: values}
	if !math.IsInf(s.Lo, 0) && !math.IsInf(s.Hi, 0) {
		out.Lo, out.Hi = &s.Lo, &s.Hi
	}
	return out
}

// uTest is the two-sided p-value of the Mann-Whitney U test: exact for small samples, also with ties.
func uTest(a, b []float64) float64 {
	x := benchmath.NewSample(slices.Clone(a), &benchmath.DefaultThresholds)
	y := benchmath.NewSample(slices.Clone(b), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Compare(x, y).P
}

// ksTest is the two-sided p-value of the Kolmogorov-Smirnov test, exact by counting lattice paths (Hodges 1957); with ties it is on
// the safe side. It sees what the U test does not: the same median, and every third run slow.
func ksTest(a, b []float64) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	n, m := len(a), len(b)
	apart := func(i, j int) int { // of the two distributions, times n*m
		if d := i*m - j*n; d >= 0 {
			return d
		}
		return j*n - i*m
	}
	worst := 0
	for i, j := 0, 0; i < n || j < m; {
		v := math.Inf(1)
		if i < n {
			v = a[i]
		}
		if j < m {
			v = min(v, b[j])
		}
		for i < n && a[i] == v {
			i++
		}
		for j < m && b[j] == v {
			j++
		}
		worst = max(worst, apart(i, j))
	}
	// inside[j]: the chance that a random order of i of A's and j of B's never got so far apart.
	inside := make([]float64, m+1)
	for i := range n + 1 {
		for j := range m + 1 {
			switch {
			case i == 0 && j == 0:
				inside[0] = 1
			case i == 0:
				inside[j] = inside[j-1]
			case j == 0: // as it was: all of the first i+j are A's
			default:
				// The last of i+j is one of A's with a chance of i/(i+j).
				inside[j] = (inside[j]*float64(i) + inside[j-1]*float64(j)) / float64(i+j)
			}
			if apart(i, j) >= worst {
				inside[j] = 0
			}
		}
	}
	return min(1, 1-inside[m])
}

// holm corrects p-values that are looked at together (Holm 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	out := make([]float64, len(p))
	worst := 0.0
	for rank, i := range order {
		worst = max(worst, min(float64(len(p)-rank)*p[i], 1))
		out[i] = worst
	}
	return out
}

// fisher is the two-sided p-value of Fisher's exact test: a of n on one side passed, b of m on the other.
func fisher(a, n, b, m int) float64 {
	choose := func(n, k int) float64 {
		x, _ := math.Lgamma(float64(n + 1))
		y, _ := math.Lgamma(float64(k + 1))
		z, _ := math.Lgamma(float64(n - k + 1))
		return x - y - z
	}
	chance := func(k int) float64 { return math.Exp(choose(n, k) + choose(m, a+b-k) - choose(n+m, a+b)) }
	seen, p := chance(a), 0.0
	for k := max(0, a+b-m); k <= min(n, a+b); k++ {
		if c := chance(k); c <= seen*(1+1e-9) {
			p += c
		}
	}
	return min(p, 1)
}

// maxExact bounds the exact distribution of U; beyond it is normal enough.
const maxExact = 40

// criticalU is the largest U of the smaller side for which the two-sided p-value is at most level, with samples of n and m
// without ties; -1 when no outcome is so rare.
func criticalU(n, m int, level float64) int {
	if n > maxExact || m > maxExact {
		mean, sd := float64(n*m)/2, math.Sqrt(float64(n*m*(n+m+1))/12)
		return int(math.Floor(mean - 0.5 - sd*math.Sqrt2*math.Erfinv(1-level)))
	}
	// ways[i][u]: arrangements of i of A's among j of B's with U = u, for growing j (Mann and Whitney 1947).
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, n*m+1)
		ways[i][0] = 1 // j = 0
	}
	for j := 1; j <= m; j++ {
		next := make([][]float64, n+1)
		next[0] = slices.Clone(ways[0])
		for i := 1; i <= n; i++ {
			next[i] = slices.Clone(ways[i]) // the largest is one of B's: it adds nothing
			for u := j; u <= n*m; u++ {     // the largest is one of A's: it is above all j of B's
				next[i][u] += next[i-1][u-j]
			}
		}
		ways = next
	}
	total, sum := 0.0, 0.0
	for _, w := range ways[n] {
		total += w
	}
	for u, w := range ways[n] {
		if sum += w; 2*sum/total > level {
			return u - 1
		}
	}
	return n * m
}

// The simulation behind detectable.
const (
	powerRuns = 1000
	wantPower = 0.8
)

// power is how often the U test at that critical value finds a shift between samples of n and m with normal noise, both in the
// same unit.
func power(n, m, critical int, noise, shift float64, seed uint64) float64 {
	rnd := rand.New(rand.NewPCG(seed, 7))
	a, found := make([]float64, n), 0
	for range powerRuns {
		for i := range a {
			a[i] = rnd.NormFloat64() * noise
		}
		u := 0
		for range m {
			b := shift + rnd.NormFloat64()*noise
			for _, v := range a {
				if v > b {
					u++
				}
			}
		}
		if min(u, n*m-u) <= critical {
			found++
		}
	}
	return float64(found) / powerRuns
}

// detectable is the smallest change, as a fraction of the median, that such samples would have shown with a chance of 80 % at
// the level: their own scatter taken as normal noise, the U test simulated. +Inf when no change can be seen with so few runs,
// NaN when the samples do not scatter at all.
func detectable(a, b []float64, level float64) float64 {
	critical := criticalU(len(a), len(b), level)
	if critical < 0 {
		return math.Inf(1)
	}
	noise := scatter(a, b)
	if noise == 0 || math.IsNaN(noise) {
		return math.NaN()
	}
	lo, hi := 0.0, noise
	for power(len(a), len(b), critical, noise, hi, 1) < wantPower {
		if lo, hi = hi, hi*2; hi > noise*64 {
			return math.Inf(1)
		}
	}
	for range 12 {
		if mid := (lo + hi) / 2; power(len(a), len(b), critical, noise, mid, 1) < wantPower {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// scatter is the standard deviation of the samples around their own means, as a fraction of those; NaN when a mean is 0.
func scatter(samples ...[]float64) float64 {
	sum, free := 0.0, 0
	for _, s := range samples {
		mean := 0.0
		for _, v := range s {
			mean += v / float64(len(s))
		}
		if mean == 0 {
			return math.NaN()
		}
		for _, v := range s {
			sum += (v/mean - 1) * (v/mean - 1)
		}
		free += len(s) - 1
	}
	if free <= 0 {
		return math.NaN()
	}
	return math.Sqrt(sum / float64(free))
}
