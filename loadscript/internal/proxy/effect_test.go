package proxy

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")

// random gives a generator whose seed can be given again.
func random(t *testing.T) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("repeat with: go test ./loadscript/internal/proxy -run '^%s$' -seed=%d", t.Name(), n)
	return rand.New(rand.NewPCG(n, n))
}

func TestEffectsAddUp(t *testing.T) {
	a := Effect{Delay: 10 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.5, Bandwidth: 100}
	for _, c := range []struct{ other, want Effect }{
		{Effect{}, a},
		{Effect{Hold: true, Bandwidth: 50}, Effect{a.Delay, a.Jitter, 0.5, 50, true}},
		{Effect{Delay: time.Second, Jitter: time.Second, Loss: 0.5, Bandwidth: 200}, Effect{1010 * time.Millisecond, 1001 * time.Millisecond, 0.75, 100, false}},
	} {
		if got := a.and(c.other); got != c.want {
			t.Errorf("%+v and %+v = %+v, want %+v", a, c.other, got, c.want)
		}
		if got := c.other.and(a); got != c.want {
			t.Errorf("the other way round: %+v, want %+v", got, c.want)
		}
	}
}

func TestDueByDelayAndBandwidth(t *testing.T) {
	now := time.Unix(1000, 0)
	w := wire{rng: random(t)}
	if at, _ := w.due(now, 1000, Effect{Delay: time.Second}); at != now.Add(time.Second) {
		t.Errorf("a delay of 1s: due after %s", at.Sub(now))
	}
	narrow := Effect{Delay: time.Second, Bandwidth: 1000}
	for i, want := range []time.Duration{1500 * time.Millisecond, 2 * time.Second, 2500 * time.Millisecond} {
		if at, _ := w.due(now, 500, narrow); at != now.Add(want) {
			t.Errorf("parcel %d of 500 B at 1,000 B/s behind 1s: due after %s, want %s", i, at.Sub(now), want)
		}
	}
	later := now.Add(time.Minute) // idle time is not saved up
	if at, _ := w.due(later, 500, narrow); at != later.Add(1500*time.Millisecond) {
		t.Errorf("after a pause: due after %s, want 1.5s", at.Sub(later))
	}
	for range 1000 {
		at, _ := w.due(now, 1, Effect{Delay: 10 * time.Millisecond, Jitter: 20 * time.Millisecond})
		if d := at.Sub(now); d < 0 || d > 30*time.Millisecond {
			t.Fatalf("10ms plus or minus 20ms: due after %s", d)
		}
	}
}

// The share of stalled parcels is that of parcels with a lost segment, and the stalls are those of TCP.
func TestStalls(t *testing.T) {
	rng := random(t)
	const rounds = 20_000
	for _, c := range []struct {
		bytes int
		loss  float64
		want  float64 // share of parcels that stall
	}{
		{100, 0, 0}, {0, 0.5, 0}, {100, 0.01, 0.01}, {100, 0.2, 0.2}, {3 * segmentSize, 0.1, 1 - math.Pow(0.9, 3)}, {10 * segmentSize, 0.1, 1 - math.Pow(0.9, 10)},
	} {
		stalled := 0
		for range rounds {
			d := stall(rng, c.bytes, c.loss, 20*time.Millisecond)
			if d > 0 {
				stalled++
			}
			// A multiple of the timeout, 1, 3, 7, 15 … times, with or without one round trip before.
			if rest := d % leastRTO; rest != 0 && rest != 20*time.Millisecond {
				t.Fatalf("%d bytes: a stall of %s is no sum of timeouts and a round trip", c.bytes, d)
			}
			if c.bytes <= tailLen*segmentSize && d > 0 && d < leastRTO {
				t.Fatalf("%d bytes: a loss without followers was repaired after %s", c.bytes, d)
			}
		}
		// Five standard deviations: wrong once in three million tests.
		if got, off := float64(stalled)/rounds, 5*math.Sqrt(c.want*(1-c.want)/rounds); math.Abs(got-c.want) > off {
			t.Errorf("%d bytes, loss %v: %.4f stalled, want %.4f ± %.4f", c.bytes, c.loss, got, c.want, off)
		}
	}
	if d := stall(rng, 100, 0.999999, 0); d < mostRTO || d > 4*mostRTO {
		t.Errorf("nearly everything lost: stalled for %s, want an end near the largest timeout", d)
	}
}
