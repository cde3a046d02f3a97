package timing

import (
	"math"
	"sync"
	"testing"
	"time"
)

// TestBucketsTile: every bucket begins where the one before ends, and holds its own first and last nanosecond.
func TestBucketsTile(t *testing.T) {
	for i := range buckets {
		lo := lower(i)
		if got := bucketOf(lo); got != i {
			t.Errorf("lower(%d) = %d ns falls into bucket %d", i, lo, got)
		}
		if i > 0 {
			if got := bucketOf(lo - 1); got != i-1 {
				t.Errorf("%d ns, below bucket %d, falls into %d", lo-1, i, got)
			}
		}
	}
	if got := bucketOf(math.MaxInt64); got != buckets-1 {
		t.Errorf("the longest duration falls into %d of %d", got, buckets)
	}
}

func TestSnapshot(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-5, 0, 1023, 1024, 2047, 2048, time.Millisecond, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	if s.Count != 8 || s.Sum != 1023+1024+2047+2048+time.Millisecond+time.Hour {
		t.Errorf("count %d, sum %d", s.Count, s.Sum)
	}
	for exp, want := range map[int]uint64{10: 3, 11: 5, 12: 6, 20: 7, MaxExp: 7} {
		if got := s.Below(exp); got != want {
			t.Errorf("%d are below 2^%d ns, want %d", got, exp, want)
		}
	}
	if q := s.Quantile(0.5); q < 1024 || q > 1280 {
		t.Errorf("the median is %d ns", q)
	}
	if q := s.Quantile(1); q != lower(buckets-1) {
		t.Errorf("the maximum is %d ns", q)
	}
	var none Snapshot
	if none.Quantile(0.99) != 0 {
		t.Error("nothing has a quantile")
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrently(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				h.Observe(time.Duration(i) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Count != 4000 || s.Below(MaxExp) != 4000 {
		t.Errorf("%d of 4000, %d in buckets", s.Count, s.Below(MaxExp))
	}
}
