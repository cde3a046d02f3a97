package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

var errRegression = errors.New("worse, beyond noise and beyond the margin")

// change is one unit of one benchmark in two runs.
type change struct {
	name, unit   string
	n1, n2       int
	old, new     float64 // medians
	p            float64 // of the Mann-Whitney U test, two-sided
	significant  bool    // after Holm's correction over all changes
	visible      float64 // the smallest change, as a fraction, that would have been seen in 4 of 5 such comparisons; +Inf: none
	worse        float64 // the change as a fraction, above 0 when NEW is worse
	beyondMargin bool
}

// judged are the units that a verdict rests on, of those that a result has; -1: less is better.
func judged(r result) map[string]int {
	if _, ok := r.values["CPU-s/GB"]; !ok {
		return map[string]int{"ns/op": -1}
	}
	units := map[string]int{"CPU-s/GB": -1, "p50-us": -1, "p99-us": -1}
	if !strings.Contains(r.name, "/rate=") { // at a given rate the throughput is given
		units["MB/s"] = 1
	}
	return units
}

func compareFiles(base, next string, margin, alpha float64, out io.Writer) error {
	a, err := readFiles([]string{base})
	if err != nil {
		return err
	}
	b, err := readFiles([]string{next})
	if err != nil {
		return err
	}
	changes, missing := compare(a, b, margin, alpha)
	if len(changes) == 0 {
		return fmt.Errorf("%s and %s have no benchmark in common", base, next)
	}
	return verdict(changes, missing, margin, alpha, out)
}

// compare gives all changes, those that are worst first, and what only one side has.
func compare(a, b set, margin, alpha float64) (changes []change, missing []string) {
	olds, news := a.samples(), b.samples()
	for key, old := range olds {
		if new, ok := news[key]; ok {
			changes = append(changes, newChange(key, old, new))
		} else {
			missing = append(missing, key.name+" "+key.unit+" is in the baseline only")
		}
	}
	for key := range news {
		if _, ok := olds[key]; !ok {
			missing = append(missing, key.name+" "+key.unit+" is new")
		}
	}
	slices.Sort(missing)
	holm(changes, alpha)
	for i := range changes {
		c := &changes[i]
		c.visible = visible(olds[sampleKey{c.name, c.unit}], news[sampleKey{c.name, c.unit}], alpha/float64(len(changes)))
		c.beyondMargin = math.Abs(c.worse) > margin
	}
	slices.SortFunc(changes, func(x, y change) int {
		return cmp.Or(cmp.Compare(btoi(y.significant), btoi(x.significant)), cmp.Compare(y.worse, x.worse), cmp.Compare(x.name+x.unit, y.name+y.unit))
	})
	return changes, missing
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

type sampleKey struct{ name, unit string }

func (s set) samples() map[sampleKey][]float64 {
	out := map[sampleKey][]float64{}
	for _, r := range s {
		for unit := range judged(r) {
			if v, ok := r.values[unit]; ok {
				key := sampleKey{r.name, unit}
				out[key] = append(out[key], v)
			}
		}
	}
	return out
}

func newChange(key sampleKey, old, new []float64) change {
	t := benchmath.DefaultThresholds
	x, y := benchmath.NewSample(slices.Clone(old), &t), benchmath.NewSample(slices.Clone(new), &t)
	c := change{name: key.name, unit: key.unit, n1: len(old), n2: len(new), old: median(x.Values), new: median(y.Values)}
	c.p = benchmath.AssumeNothing.Compare(x, y).P
	if c.old != 0 {
		c.worse = c.new/c.old - 1
		if key.unit == "MB/s" {
			c.worse = -c.worse
		}
	}
	return c
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// holm marks the changes that are significant when all are looked at together: the smallest p against alpha/m, the next against alpha/(m-1),
// and so on, to the first that fails (Holm 1979).
func holm(changes []change, alpha float64) {
	order := make([]*change, len(changes))
	for i := range changes {
		order[i] = &changes[i]
	}
	slices.SortFunc(order, func(x, y *change) int { return cmp.Compare(x.p, y.p) })
	for i, c := range order {
		if c.p > alpha/float64(len(order)-i) {
			return
		}
		c.significant = true
	}
}

// visible estimates the smallest change that the test would find in four of five comparisons: that of the t test with as much noise, for
// samples that are pi/3 times smaller, which is what ranks cost when noise is normal. Noise is taken from the quartiles of both samples, so that
// an outlier does not count. +Inf when so few values can never be significant.
func visible(old, new []float64, alpha float64) float64 {
	n1, n2 := len(old), len(new)
	if smallestP(n1, n2) > alpha {
		return math.Inf(1)
	}
	noise := math.Sqrt((square(spread(old)) + square(spread(new))) / 2)
	const power = 0.8
	return (quantile(1-alpha/2) + quantile(power)) * noise * math.Sqrt(math.Pi/3*(1/float64(n1)+1/float64(n2)))
}

// smallestP is the p of two samples of which one lies wholly above the other: two of all ways to share the ranks.
func smallestP(n1, n2 int) float64 {
	ways := 1.0
	for i := range n1 {
		ways *= float64(n2+i+1) / float64(i+1)
	}
	return 2 / ways
}

func square(x float64) float64 { return x * x }

// spread is the standard deviation that normal values with these quartiles would have, as a fraction of the median.
func spread(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	m := median(v)
	if m == 0 {
		return 0
	}
	const perQuartileRange = 1.349
	n := len(v)
	return (at(v, 0.75*float64(n-1)) - at(v, 0.25*float64(n-1))) / perQuartileRange / math.Abs(m)
}

// at interpolates between sorted values.
func at(v []float64, i float64) float64 {
	lo := int(i)
	if lo+1 >= len(v) {
		return v[lo]
	}
	return v[lo] + (i-float64(lo))*(v[lo+1]-v[lo])
}

// quantile of the standard normal distribution.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// verdict prints the changes and says what they come to.
func verdict(changes []change, missing []string, margin, alpha float64, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "verdict\tbenchmark\tunit\tbase\tnew\tchange\tp\tn\tcould have seen")
	var worse, better, noise, blind int
	for _, c := range changes {
		word := "~"
		switch {
		case c.significant && c.beyondMargin && c.worse > 0:
			word, worse = "WORSE", worse+1
		case c.significant && c.beyondMargin:
			word, better = "better", better+1
		case c.significant:
			word = "small"
		case math.IsInf(c.visible, 1):
			word, blind = "blind", blind+1
		default:
			noise++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.4g\t%.4g\t%+.1f %%\t%.3g\t%d+%d\t%s\n", word, c.name, c.unit, c.old, c.new, 100*(c.new/nonzero(c.old)-1), c.p, c.n1, c.n2, percent(c.visible))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(out, "not compared:", m)
	}
	fmt.Fprintf(out, "\n%d comparisons, Mann-Whitney U with Holm's correction at %.3g, margin %s:\n", len(changes), alpha, percent(margin))
	fmt.Fprintf(out, "%d worse beyond noise and margin, %d better, %d within noise (~) or the margin (small)\n", worse, better, len(changes)-worse-better-blind)
	if blind > 0 {
		fmt.Fprintf(out, "%d blind: with so few values no change whatever could be significant over %d comparisons; raise COUNT\n", blind, len(changes))
	}
	var seen []float64
	for _, c := range changes {
		if !math.IsInf(c.visible, 1) {
			seen = append(seen, c.visible)
		}
	}
	slices.Sort(seen)
	if noise > 0 {
		fmt.Fprintf(out, "smallest change that would have been seen in 4 of 5 such comparisons: %s at best, %s in the middle, %s at worst\n", percent(seen[0]), percent(median(seen)), percent(seen[len(seen)-1]))
	}
	switch {
	case worse > 0:
		fmt.Fprintln(out, "verdict: CHANGED FOR THE WORSE")
		return fmt.Errorf("%d of %d: %w", worse, len(changes), errRegression)
	case better > 0:
		fmt.Fprintln(out, "verdict: changed for the better")
	case blind == len(changes):
		fmt.Fprintln(out, "verdict: none, there are too few values")
	case len(seen) > 0 && median(seen) > margin:
		fmt.Fprintf(out, "verdict: not changed beyond noise and margin, but half of the comparisons would have missed a change of less than %s\n", percent(median(seen)))
	default:
		fmt.Fprintln(out, "verdict: not changed beyond noise and margin")
	}
	return nil
}

func nonzero(x float64) float64 {
	if x == 0 {
		return math.NaN()
	}
	return x
}

func percent(x float64) string {
	if math.IsInf(x, 1) {
		return "nothing"
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}
