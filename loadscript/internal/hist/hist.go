package hist

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram: 1 µs to 60 s, three significant digits (139 KB).
const (
	Lowest = time.Microsecond
	Max    = time.Minute
	digits = 3
)

// Histogram is a merged set of latencies. It is not safe for concurrent use.
type Histogram struct {
	hdr     *hdrhistogram.Histogram
	clamped int64
}

// New returns an empty histogram.
func New() *Histogram {
	return &Histogram{hdr: hdrhistogram.New(int64(Lowest), int64(Max), digits)}
}

// Record adds one latency (H2).
func (h *Histogram) Record(d time.Duration) {
	if d > Max {
		h.clamped++
		d = Max
	}
	if err := h.hdr.RecordValue(int64(max(d, 0))); err != nil {
		panic("hist: a value inside the range was rejected: " + err.Error())
	}
}

// Merge adds all of from.
func (h *Histogram) Merge(from *Histogram) {
	if dropped := h.hdr.Merge(from.hdr); dropped != 0 {
		panic("hist: merging equal histograms dropped values")
	}
	h.clamped += from.clamped
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	h.hdr.Reset()
	h.clamped = 0
}

// Count is the number of latencies recorded.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() }

// Clamped is how many of them were above Max.
func (h *Histogram) Clamped() int64 { return h.clamped }

// Quantile is the latency below or at which the fraction q in [0, 1] of all lie; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.ValueAtQuantile(q * 100))
}

// Mean is the arithmetic mean; 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Mean())
}

// Highest and Least are the ends; 0 when empty.
func (h *Histogram) Highest() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Max())
}

// Least is the smallest latency; 0 when empty.
func (h *Histogram) Least() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Min())
}

// Enough says whether the histogram holds enough samples for quantile q to mean something: n >= 10/(1-q).
func (h *Histogram) Enough(q float64) bool { return Enough(h.Count(), q) }

// Enough says whether n samples are enough for quantile q: at least ten must lie beyond it.
func Enough(n int64, q float64) bool {
	if q >= 1 {
		return n > 0 // the maximum is what it is
	}
	return float64(n)*(1-q) >= 10-1e-6
}

// Point is one point of the percentile curve.
type Point struct {
	Quantile float64
	Value    time.Duration
}

// Curve samples the quantile function where HDR plots want it: evenly in log(1/(1-q)), perHalf points for each halving of
// what is left, as far as there are samples.
func (h *Histogram) Curve(perHalf int) []Point {
	n := h.Count()
	if n == 0 {
		return nil
	}
	points := []Point{{0, h.Least()}}
	left := 1.0
	for left*float64(n) >= 1 {
		for i := 1; i <= perHalf; i++ {
			q := 1 - left*(1-0.5*float64(i)/float64(perHalf))
			points = append(points, Point{q, h.Quantile(q)})
		}
		left /= 2
	}
	return append(points, Point{1, h.Highest()})
}

// Summary is a closed second, or any other stretch, in compact form.
type Summary struct {
	Count                   int64
	P50, P90, P99, P999, Hi time.Duration
}

// Summary is the compact form of the histogram.
func (h *Histogram) Summary() Summary {
	if h.Count() == 0 {
		return Summary{}
	}
	v := h.hdr.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9})
	d := func(i int) time.Duration { return time.Duration(v[i]) }
	return Summary{h.Count(), d(0), d(1), d(2), d(3), h.Highest()}
}

// Recorder is one worker's open second: a histogram per slot that it touched. Record and Take may be called from different
// goroutines; the mutex is contended once a second.
type Recorder struct {
	mu    sync.Mutex
	slots []*Histogram // guarded by mu; nil = untouched
	pool  *sync.Pool
}

// Record adds a latency to the slot.
func (r *Recorder) Record(slot int, d time.Duration) {
	r.mu.Lock()
	h := r.slots[slot]
	if h == nil {
		h = r.pool.Get().(*Histogram)
		r.slots[slot] = h
	}
	h.Record(d)
	r.mu.Unlock()
}

// take moves the touched histograms out.
func (r *Recorder) take(into []*Histogram) {
	r.mu.Lock()
	for i, h := range r.slots {
		into[i] = h
		r.slots[i] = nil
	}
	r.mu.Unlock()
}

// Series is one metric of a scenario: the recorders of its workers, its closed seconds and its slots. Recorder and Fold are
// called by one goroutine; recorders are used by others.
type Series struct {
	recorders []*Recorder
	slots     []*Histogram
	pool      sync.Pool
	taken     []*Histogram
	second    *Histogram
}

// NewSeries returns a metric with the given number of slots.
func NewSeries(slots int) *Series {
	s := &Series{slots: make([]*Histogram, slots), taken: make([]*Histogram, slots), second: New()}
	s.pool.New = func() any { return New() }
	for i := range s.slots {
		s.slots[i] = New()
	}
	return s
}

// Recorder returns a new worker's recorder. Call it before the first Fold.
func (s *Series) Recorder() *Recorder {
	r := &Recorder{slots: make([]*Histogram, len(s.slots)), pool: &s.pool}
	s.recorders = append(s.recorders, r)
	return r
}

// Fold closes the open second: everything recorded since the last Fold goes to its slot, and its summary is returned (H1).
func (s *Series) Fold() Summary {
	if s.second.Count() > 0 { // clearing takes longer than an empty second is worth
		s.second.Reset()
	}
	for _, r := range s.recorders {
		r.take(s.taken)
		for slot, h := range s.taken {
			if h == nil {
				continue
			}
			s.slots[slot].Merge(h)
			s.second.Merge(h)
			h.Reset()
			s.pool.Put(h)
		}
	}
	return s.second.Summary()
}

// Second is the histogram of what the last Fold closed. It is valid until the next one, and the caller must not change it.
func (s *Series) Second() *Histogram { return s.second }

// Slot is the merged histogram of a slot, of all closed seconds. The caller must not change it.
func (s *Series) Slot(i int) *Histogram { return s.slots[i] }

// Take closes the open second and moves all slots out; empty ones take their place. The caller owns what it gets.
func (s *Series) Take() []*Histogram {
	s.Fold()
	out := slices.Clone(s.slots)
	for i := range s.slots {
		s.slots[i] = New()
	}
	return out
}

// Put replaces the slots by those that Take gave.
func (s *Series) Put(slots []*Histogram) { copy(s.slots, slots) }

// Merged merges the slots [lo, hi) into a new histogram.
func (s *Series) Merged(lo, hi int) *Histogram {
	h := New()
	for _, slot := range s.slots[lo:hi] {
		h.Merge(slot)
	}
	return h
}
