package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines writes n rounds of a benchmark around a value, each by its noise, and gives the file's name.
func lines(t *testing.T, rng *rand.Rand, name string, n int, units map[string]float64, noise float64) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("pkg: example.com/bench\n")
	for range n {
		fmt.Fprintf(&b, "Benchmark%s-2 1", name)
		for unit, v := range units {
			fmt.Fprintf(&b, " %g %s", v*(1+noise*rng.NormFloat64()), unit)
		}
		b.WriteString("\n")
	}
	file := filepath.Join(t.TempDir(), "run.txt")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func newRand(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestVerdicts(t *testing.T) {
	rng := newRand(t)
	round := map[string]float64{"MB/s": 100, "CPU-s/GB": 2, "p50-us": 300, "p99-us": 900}
	scaled := func(unit string, by float64) map[string]float64 {
		out := map[string]float64{}
		for u, v := range round {
			out[u] = v
		}
		out[unit] *= by
		return out
	}
	for _, c := range []struct {
		name       string
		to         map[string]float64
		n          int
		says       string
		regression bool
	}{
		{"slower", scaled("MB/s", 0.7), 10, "CHANGED FOR THE WORSE", true},
		{"more CPU", scaled("CPU-s/GB", 1.3), 10, "CHANGED FOR THE WORSE", true},
		{"faster", scaled("MB/s", 1.4), 10, "changed for the better", false},
		{"within the margin", scaled("MB/s", 0.98), 10, "not changed beyond noise and margin\n", false},
		{"too few", scaled("MB/s", 0.5), 3, "too few values", false},
	} {
		base, next := lines(t, rng, "A/x=1", c.n, round, 0.001), lines(t, rng, "A/x=1", c.n, c.to, 0.001)
		var out bytes.Buffer
		err := compareFiles(base, next, 0.05, 0.05, &out)
		if errors.Is(err, errRegression) != c.regression || err != nil && !c.regression || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v\n%s", c.name, err, out.String())
		}
	}
}

// TestANoisyRunSaysWhatItWouldHaveMissed: "not changed" alone would be taken for more than it is.
func TestANoisyRunSaysWhatItWouldHaveMissed(t *testing.T) {
	values := func(from float64) (all set) {
		for i := range 8 {
			all = append(all, result{name: "A", values: map[string]float64{"ns/op": from + 20*float64(i)}})
		}
		return all
	}
	changes, missing := compare(values(100), values(105), 0.05, 0.05)
	var out bytes.Buffer
	if err := verdict(changes, missing, 0.05, 0.05, &out); err != nil || !strings.Contains(out.String(), "margin, but half of the comparisons would have missed a change of less than ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestAtAGivenRateThroughputIsNoVerdict: it is what was offered.
func TestAtAGivenRateThroughputIsNoVerdict(t *testing.T) {
	rng := newRand(t)
	base := lines(t, rng, "A/rate=1", 8, map[string]float64{"MB/s": 100, "CPU-s/GB": 1}, 0)
	next := lines(t, rng, "A/rate=1", 8, map[string]float64{"MB/s": 10, "CPU-s/GB": 1}, 0)
	var out bytes.Buffer
	if err := compareFiles(base, next, 0.05, 0.05, &out); err != nil || strings.Contains(out.String(), "MB/s") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestNoiseAloneSeldomAlarms looks 300 times at two runs of the same program with 40 metrics: without a correction nearly all would alarm.
func TestNoiseAloneSeldomAlarms(t *testing.T) {
	rng := newRand(t)
	alarms := 0
	for range 300 {
		var a, b set
		for i := range 40 {
			for range 8 {
				name := fmt.Sprint("M", i)
				a = append(a, result{name: name, values: map[string]float64{"ns/op": 100 + 10*rng.NormFloat64()}})
				b = append(b, result{name: name, values: map[string]float64{"ns/op": 100 + 10*rng.NormFloat64()}})
			}
		}
		changes, _ := compare(a, b, 0, 0.05)
		for _, c := range changes {
			if c.significant {
				alarms++
				break
			}
		}
	}
	if alarms > 45 { // 15 are to be expected; so many come by chance in less than one of 10^9 runs
		t.Errorf("%d of 300 looks at noise raised an alarm, about 15 should", alarms)
	}
}

// TestWhatIsSaidToBeVisibleIsSeen makes changes of just the size that is said to be visible: most are found. And of a fifth of that, few.
func TestWhatIsSaidToBeVisibleIsSeen(t *testing.T) {
	rng := newRand(t)
	const n, noise, tries = 10, 0.05, 400
	// The true noise is known here, so the estimate from quartiles is left out: both samples have exactly its spread.
	exact := []float64{}
	for i := range n {
		exact = append(exact, 1+noise*quantile((float64(i)+0.5)/n))
	}
	size := visible(exact, exact, 0.05) * noise / spread(exact)
	seen := func(by float64) (found int) {
		for range tries {
			var x, y []float64
			for range n {
				x, y = append(x, 1+noise*rng.NormFloat64()), append(y, (1+by)*(1+noise*rng.NormFloat64()))
			}
			if newChange(sampleKey{"M", "ns/op"}, x, y).p < 0.05 {
				found++
			}
		}
		return found
	}
	if full, fifth := seen(size), seen(size/5); full < tries*6/10 || full > tries*95/100 || fifth > tries/4 {
		t.Errorf("a change of %.1f %% was seen %d times of %d, a fifth of it %d times", 100*size, full, tries, fifth)
	}
}

func TestSmallestP(t *testing.T) {
	for _, c := range []struct {
		n1, n2 int
		want   float64
	}{{3, 3, 0.1}, {4, 4, 2.0 / 70}, {8, 8, 2.0 / 12870}} {
		if p := smallestP(c.n1, c.n2); math.Abs(p-c.want) > 1e-12 {
			t.Errorf("%d+%d: %g, want %g", c.n1, c.n2, p, c.want)
		}
	}
}
