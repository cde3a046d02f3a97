package hist

import (
	"bytes"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestLogIsReadByItsReader(t *testing.T) {
	started := time.UnixMilli(1_795_000_000_250)
	var b bytes.Buffer
	l, err := NewLog(&b, started)
	if err != nil {
		t.Fatal(err)
	}
	for second := range 3 {
		h := New()
		for i := range 1000 {
			h.Record(time.Duration(i+1) * time.Duration(second+1) * time.Microsecond)
		}
		begin := started.Add(time.Duration(second) * time.Second)
		if err := l.Write("produce.latency", begin, begin.Add(time.Second), h); err != nil {
			t.Fatal(err)
		}
	}
	r := hdrhistogram.NewHistogramLogReader(&b)
	for second := range 3 {
		h, err := r.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("interval %d: %v, %v", second, h, err)
		}
		p99 := h.ValueAtQuantile(99)
		if want := int64(990_000 * (second + 1)); h.Tag() != "produce.latency" || h.TotalCount() != 1000 || p99 < want*999/1000 || p99 > want*1001/1000 {
			t.Errorf("interval %d: tag %q, %d values, p99 %d ns, want %d", second, h.Tag(), h.TotalCount(), p99, want)
		}
		if h.EndTimeMs()-h.StartTimeMs() != 1000 {
			t.Errorf("interval %d: from %d to %d ms", second, h.StartTimeMs(), h.EndTimeMs())
		}
	}
	if h, _ := r.NextIntervalHistogram(); h != nil {
		t.Error("a fourth interval")
	}
}

func TestBelow(t *testing.T) {
	h := New()
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	got := h.Below([]time.Duration{time.Microsecond, 100 * time.Millisecond, 500 * time.Millisecond, Max})
	for i, want := range []int64{0, 100, 500, 1000} {
		if got[i] < want-1 || got[i] > want+1 {
			t.Errorf("edge %d: %d, want %d", i, got[i], want)
		}
	}
}
