// Package timing counts durations in log-linear buckets, for code that may neither allocate nor take a lock: an Observe is three atomic
// additions. It is a leaf, shared by whoever measures (the commit log's flushes, the broker's requests) and whoever shows.
//
// It is not a library of metrics: it knows no names, labels or formats, and forgets nothing. Who wants the last minute takes two
// snapshots and subtracts.
//
// # Buckets
//
//	0        [0, 2^10 ns)                                  below a microsecond, nearly
//	1..108   2^e ns, in 4 equal parts each, e = 10..36      at most 25 % wide
//	109      [2^37 ns, ...)                                137 s and more
package timing

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// MinExp and MaxExp bound the powers of two, in nanoseconds, between which buckets are told apart.
	MinExp, MaxExp = 10, 37

	parts   = 4
	buckets = 1 + (MaxExp-MinExp)*parts + 1
)

// Histogram counts durations. The zero value is ready; it must not be copied. Its methods may be called by any goroutine.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts a duration; a negative one, of a clock that was set back, counts as none.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

func bucketOf(d time.Duration) int {
	e := bits.Len64(uint64(d)) - 1
	switch {
	case e < MinExp:
		return 0
	case e >= MaxExp:
		return buckets - 1
	}
	return 1 + (e-MinExp)*parts + int(uint64(d)>>(e-2))&(parts-1)
}

// lower is where a bucket begins.
func lower(bucket int) time.Duration {
	if bucket == 0 {
		return 0
	}
	e, part := MinExp+(bucket-1)/parts, (bucket-1)%parts
	return time.Duration(1)<<e + time.Duration(part)<<(e-2)
}

// Snapshot is a Histogram at one moment. Observations that come while it is taken are in it or not, but Count is always the sum of
// its buckets.
type Snapshot struct {
	Count uint64
	Sum   time.Duration

	counts [buckets]uint64
}

// Snapshot copies the counts.
func (h *Histogram) Snapshot() (s Snapshot) {
	s.Sum = time.Duration(h.sum.Load())
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.Count += s.counts[i]
	}
	return s
}

// Below counts the durations under 2^exp nanoseconds; MinExp <= exp <= MaxExp.
func (s *Snapshot) Below(exp int) (n uint64) {
	for _, c := range s.counts[:1+(exp-MinExp)*parts] {
		n += c
	}
	return n
}

// Quantile is a duration which a part q of all does not exceed, too large by a quarter at most; 0 when there are none, and the lower
// end of the last bucket when it lies there.
func (s *Snapshot) Quantile(q float64) time.Duration {
	want := uint64(q * float64(s.Count))
	var seen uint64
	for i, c := range s.counts {
		if seen += c; c > 0 && seen >= max(want, 1) {
			return lower(min(i+1, buckets-1))
		}
	}
	return 0
}
