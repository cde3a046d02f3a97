package drive

import (
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
)

// Every record is in the map, once, at its time and latency, however long the run.
func TestHeat(t *testing.T) {
	none, usual, slowest := hist.New(), hist.New(), hist.New()
	for _, h := range []*hist.Histogram{usual, slowest} {
		h.Record(2 * time.Millisecond)
		h.Record(time.Microsecond)
	}
	slowest.Record(2 * hist.Max)
	for _, seconds := range []int{1, heatColumns, heatColumns + 1, 7 * heatColumns} {
		var h heat
		slow := seconds/2 + 1
		if slow%3 == 0 {
			slow++
		}
		for s := 1; s <= seconds; s++ {
			switch {
			case s == slow:
				h.add(slowest)
			case s%3 == 0:
				h.add(none)
			default:
				h.add(usual)
			}
		}
		out := h.result()
		if len(out.Columns) > heatColumns || seconds <= heatColumns && len(out.Columns) != seconds {
			t.Errorf("%d seconds: %d columns", seconds, len(out.Columns))
		}
		if covered := time.Duration(out.WidthNs) * time.Duration(len(out.Columns)); covered < time.Duration(seconds)*time.Second || covered-time.Duration(out.WidthNs) >= time.Duration(seconds)*time.Second {
			t.Errorf("%d seconds: %d columns of %v", seconds, len(out.Columns), time.Duration(out.WidthNs))
		}
		counts := map[int64]int64{} // by lower edge
		for i, column := range out.Columns {
			if len(column) != len(out.EdgesNs)-1 {
				t.Fatalf("%d rows for %d edges", len(column), len(out.EdgesNs))
			}
			for row, n := range column {
				counts[out.EdgesNs[row]] += n
				if row == len(column)-1 && n > 0 && i != (slow-1)*int(time.Second)/int(out.WidthNs) {
					t.Errorf("%d seconds: the slow record is in column %d", seconds, i)
				}
			}
		}
		each := int64(seconds - seconds/3)
		var mid, all int64
		for edge, n := range counts {
			all += n
			if edge <= 2e6 && edge > 1.4e6 {
				mid += n
			}
		}
		if counts[0] != each || mid != each || all != 2*each+1 {
			t.Errorf("%d seconds: %v, want %d at 1 µs, %d at 2 ms and one beyond a minute", seconds, counts, each, each)
		}
		for i := 1; i < len(out.EdgesNs); i++ {
			if out.EdgesNs[i] <= out.EdgesNs[i-1] {
				t.Fatalf("edges %v do not ascend", out.EdgesNs)
			}
		}
	}
	if (&heat{}).result() != nil {
		t.Error("a map of nothing")
	}
}
