package proxy

import (
	"math"
	"math/rand/v2"
	"time"
)

// Effect is what happens to one direction of a link. The zero value does nothing.
type Effect struct {
	Delay     time.Duration // added to everything that passes
	Jitter    time.Duration // uniform, plus or minus; the sum is never below zero, and order is kept
	Loss      float64       // fraction of the segments, [0, 1): played as the stall of a retransmission, see stall
	Bandwidth float64       // bytes per second over all connections of the link; 0 = as fast as it goes
	Hold      bool          // nothing passes until the hold ends
}

// and is both effects at once: they come from different faults on the same link.
func (e Effect) and(o Effect) Effect {
	e.Delay += o.Delay
	e.Jitter += o.Jitter
	e.Loss = 1 - (1-e.Loss)*(1-o.Loss)
	if e.Bandwidth == 0 || o.Bandwidth > 0 && o.Bandwidth < e.Bandwidth {
		e.Bandwidth = o.Bandwidth
	}
	e.Hold = e.Hold || o.Hold
	return e
}

// How TCP on Linux repairs a loss (RFC 6298, RFC 5681; tcp(7) for the smallest timeout).
const (
	segmentSize = 1448                   // payload bytes of a segment on Ethernet with timestamps
	tailLen     = 3                      // segments at the end of a burst: too few duplicate answers follow for a fast retransmit
	leastRTO    = 200 * time.Millisecond // Linux's smallest retransmission timeout
	mostRTO     = 120 * time.Second      // and its largest
	leastRTT    = time.Millisecond       // of a fast retransmit on a link without a delay of its own
)

// stall is how much later a burst of n bytes arrives because segments of it were lost, each with the probability loss. A loss
// in the middle of the burst is repaired by a fast retransmit, after a round trip; one in the last tailLen segments only by
// the timeout, which doubles each time the repetition is lost as well.
func stall(rng *rand.Rand, n int, loss float64, rtt time.Duration) time.Duration {
	if loss <= 0 || n <= 0 {
		return 0
	}
	segments := (n + segmentSize - 1) / segmentSize
	some := func(count int) bool { return rng.Float64() >= math.Pow(1-loss, float64(count)) }
	var d time.Duration
	if body := segments - tailLen; body > 0 && some(body) {
		d += max(rtt, leastRTT)
	}
	rto := max(leastRTO, 2*rtt)
	for lost := some(min(segments, tailLen)); lost; lost = some(1) {
		d += rto
		if rto *= 2; rto > mostRTO {
			break
		}
	}
	return d
}

// wire keeps what one direction of a link has to remember between parcels. It is pure: time comes in as a parameter.
type wire struct {
	free time.Time // when the bandwidth has room again
	rng  *rand.Rand
}

// due is when a parcel of n bytes that is sent now arrives.
func (w *wire) due(now time.Time, n int, e Effect) (at time.Time, stalled bool) {
	at = now
	if e.Bandwidth > 0 {
		if w.free.Before(now) {
			w.free = now
		}
		w.free = w.free.Add(time.Duration(float64(n) / e.Bandwidth * float64(time.Second)))
		at = w.free
	}
	delay := e.Delay
	if e.Jitter > 0 {
		delay += time.Duration((2*w.rng.Float64() - 1) * float64(e.Jitter))
	}
	s := stall(w.rng, n, e.Loss, 2*e.Delay)
	return at.Add(max(delay, 0) + s), s > 0
}
