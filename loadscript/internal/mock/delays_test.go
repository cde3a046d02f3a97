package mock

import (
	"math"
	"testing"
	"time"
)

// Known values of the normal distribution: z of 50 %, 90 %, 99 % and 99.9 %.
func TestLognormalQuantiles(t *testing.T) {
	l := Lognormal{Median: 100 * time.Millisecond, Sigma: 0.5}
	for q, z := range map[float64]float64{0.5: 0, 0.9: 1.2815515655, 0.99: 2.3263478740, 0.999: 3.0902323062, 0.1: -1.2815515655} {
		want := time.Duration(float64(100*time.Millisecond) * math.Exp(0.5*z))
		if got := l.Quantile(q); (got - want).Abs() > time.Microsecond {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

// K3: every quantile once, whatever the order in which records ask; and no answer ends before that in front of it on the same
// connection, but where nothing that is left would do.
func TestDelaysAreTheDistribution(t *testing.T) {
	const n, producers = 10_000, 200
	l := Lognormal{Median: 100 * time.Millisecond, Sigma: 0.5}
	d := NewDelays(1, n, l, 7)
	ends := map[uint32]int64{}
	crossed := 0
	for i := range n {
		producer, due := uint32(i%producers), int64(i)*int64(time.Millisecond)
		end := d.draw(producer, due)
		if end < ends[producer] {
			crossed++
		}
		ends[producer] = end
	}
	if crossed > n/1000 {
		t.Errorf("%d of %d answers end before the one in front of them", crossed, n)
	}
	drawn := d.Drawn()
	if len(drawn) != n {
		t.Fatalf("%d delays drawn, want %d", len(drawn), n)
	}
	for i, have := range drawn {
		if want := l.Quantile((float64(i) + 0.5) / n); have != want {
			t.Fatalf("delay %d is %v, want the quantile %v", i, have, want)
		}
	}
	if due := int64(time.Hour); d.draw(0, due) != due {
		t.Error("a record beyond the last delay was held back")
	}
}
