package bare

import (
	"math/bits"
	"time"
)

// Durations are counted in buckets: exact below subBuckets ns, then subBuckets to each doubling, so that a bucket is at most
// 1/subBuckets (3 %) wide. The last doubling ends at 2^36 ns, 68 s; longer ones count there.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	doublings  = 36 - subBits
)

// Histogram counts durations. The zero value is empty. Not safe for concurrent use.
type Histogram struct {
	counts [(doublings + 1) * subBuckets]uint32
	total  uint64
}

// Add counts one duration; one below 0 counts as 0.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the duration that the fraction q of all durations does not exceed, up to the width of a bucket; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	want := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && (seen > want || seen == h.total) {
			return time.Duration(upperOf(i))
		}
	}
	return 0
}

func bucketOf(ns uint64) int {
	if ns < subBuckets {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1 // ns>>shift is in [subBuckets, 2*subBuckets)
	if shift >= doublings {
		return (doublings+1)*subBuckets - 1
	}
	return shift*subBuckets + int(ns>>shift)
}

// upperOf is the largest value of a bucket, in ns.
func upperOf(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return (uint64(i-shift*subBuckets)+1)<<shift - 1
}
