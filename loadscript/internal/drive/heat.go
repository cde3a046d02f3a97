package drive

import (
	"math"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// The heat map's edges go up by a third from 10 µs to beyond the longest latency: eight rows for each power of ten. Below the
// first edge lies one row more.
const (
	heatColumns = 600
	heatFirst   = 10 * time.Microsecond
	heatDecade  = 8
)

// heatEdges are the upper edges of the rows.
var heatEdges = func() (edges []time.Duration) {
	for i := 0; ; i++ {
		edge := time.Duration(float64(heatFirst) * math.Pow(10, float64(i)/heatDecade))
		edges = append(edges, edge)
		if edge > hist.Max {
			return edges
		}
	}
}()

// heat is the map as it grows: a column a second, and when there are too many, neighbours are added up.
type heat struct {
	columns [][]int64
	stride  int // seconds in a column
	filled  int // seconds in the last one
}

// add takes a second's latencies.
func (h *heat) add(second *hist.Histogram) {
	if h.stride == 0 {
		h.stride, h.filled = 1, 1
	}
	if h.filled == h.stride {
		if len(h.columns) == heatColumns {
			for i := range heatColumns / 2 {
				for row, n := range h.columns[2*i+1] {
					h.columns[2*i][row] += n
				}
				h.columns[i] = h.columns[2*i]
			}
			clear(h.columns[heatColumns/2:])
			h.columns = h.columns[:heatColumns/2]
			h.stride *= 2
		}
		h.columns = append(h.columns, make([]int64, len(heatEdges)))
		h.filled = 0
	}
	h.filled++
	if second == nil || second.Count() == 0 {
		return
	}
	column, before := h.columns[len(h.columns)-1], int64(0)
	for row, n := range second.Below(heatEdges) {
		column[row] += n - before
		before = n
	}
}

// result is the map without the rows below the fastest and above the slowest record; nil when there was none.
func (h *heat) result() *report.Heat {
	lo, hi := len(heatEdges), -1
	for _, column := range h.columns {
		for row, n := range column {
			if n > 0 {
				lo, hi = min(lo, row), max(hi, row)
			}
		}
	}
	if hi < 0 {
		return nil
	}
	out := &report.Heat{WidthNs: int64(h.stride) * int64(time.Second), EdgesNs: []int64{0}}
	if lo > 0 {
		out.EdgesNs[0] = int64(heatEdges[lo-1])
	}
	for _, edge := range heatEdges[lo : hi+1] {
		out.EdgesNs = append(out.EdgesNs, int64(edge))
	}
	for _, column := range h.columns {
		out.Columns = append(out.Columns, column[lo:hi+1:hi+1])
	}
	return out
}
