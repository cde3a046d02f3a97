package drive

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// gather collects one statistic of one metric over seconds.
type gather struct {
	metric, stat, group string

	latencies   *hist.Histogram // latencies only
	sum, width  float64         // value times seconds, and seconds; of counts the sum alone
	least, most float64
	n           int     // seconds in which there was a value
	of          float64 // errors.rate: records handed over
}

func newGather(metric, stat, group string) *gather {
	return &gather{metric: metric, stat: stat, group: group, least: math.Inf(1), most: math.Inf(-1)}
}

// isLatency says whether a metric is a distribution of latencies.
func isLatency(metric string) bool {
	switch metric {
	case "produce.latency", "produce.service_time", "produce.delay", "e2e.latency", "generator.lag":
		return true
	}
	return false
}

// add takes what of the second lies in the window.
func (g *gather) add(t tick, w window) {
	lo, hi := max(time.Duration(t.TNs-t.WidthNs), w.from), min(time.Duration(t.TNs), w.to)
	if hi <= lo || t.WidthNs <= 0 {
		return
	}
	part := float64(hi-lo) / float64(t.WidthNs)
	switch {
	case isLatency(g.metric):
		if h := t.latencies[g.metric]; h != nil && h.Count() > 0 && part >= 0.5 { // a second belongs to where most of it lies
			if g.latencies == nil {
				g.latencies = hist.New()
			}
			g.latencies.Merge(h)
		}
	case g.metric == "errors.rate":
		g.sum, g.of = g.sum+float64(t.Errors)*part, g.of+float64(t.Handed)*part
		g.n++
	case g.metric == "dropped":
		g.sum += float64(t.Dropped) * part
		g.n++
	case g.metric == "late":
		g.sum += float64(t.late) * part
		g.n++
	default:
		v, ok := gauge(t.Second, g.metric, g.group)
		if !ok {
			return
		}
		g.n++
		g.sum, g.width = g.sum+v*(hi-lo).Seconds(), g.width+(hi-lo).Seconds()
		g.most = max(g.most, v)
		// A rate's slowest second must be a whole one: the ends of a window cut seconds up.
		if part > 0.95 && t.WidthNs >= int64(time.Second)/2 || !strings.HasSuffix(g.metric, ".rate") {
			g.least = min(g.least, v)
		}
	}
}

// empty says that there was nothing to judge.
func (g *gather) empty() bool {
	if isLatency(g.metric) {
		return g.latencies == nil
	}
	return g.n == 0
}

// value writes the statistic to out; it is false when it does not exist or was not measured.
func (g *gather) value(out *report.Threshold) bool {
	switch {
	case isLatency(g.metric):
		h := g.latencies
		if h == nil {
			h = hist.New()
		}
		return latencyStat(out, h, g.stat)
	case g.metric == "errors.rate":
		if g.of > 0 {
			out.Value = g.sum / g.of
		}
		return true
	case g.metric == "dropped", g.metric == "late":
		out.Value = math.Round(g.sum)
		return true
	case g.n == 0:
		return false
	}
	switch g.stat {
	case "max":
		out.Value = g.most
	case "min":
		if out.Value = g.least; math.IsInf(g.least, 1) { // no whole second: a short stage
			out.Value = g.sum / g.width
		}
	case "mean", "":
		out.Value = g.sum / g.width
	default:
		return false
	}
	return true
}

// latencyStat writes a statistic of the histogram to out; it is false for an unknown one.
func latencyStat(out *report.Threshold, h *hist.Histogram, stat string) bool {
	out.Samples = h.Count()
	switch stat {
	case "min":
		out.Value = float64(h.Least())
	case "mean":
		out.Value = float64(h.Mean())
	case "max":
		out.Value = float64(h.Highest())
	default:
		q, ok := quantileOf(stat)
		if !ok {
			return false
		}
		out.Value, out.Weak = float64(h.Quantile(q)), !h.Enough(q)
	}
	return true
}

// quantileOf reads "p99.9" as 0.999.
func quantileOf(stat string) (q float64, ok bool) {
	var p float64
	if _, err := fmt.Sscanf(strings.TrimPrefix(stat, "p"), "%g", &p); err != nil || !strings.HasPrefix(stat, "p") || p <= 0 || p >= 100 {
		return 0, false
	}
	return p / 100, true
}

// gauge is a metric that has one value a second; ok is false when it is not known. Of several brokers the busiest counts.
func gauge(row report.Second, metric, group string) (v float64, ok bool) {
	width := time.Duration(row.WidthNs).Seconds()
	switch metric {
	case "produce.rate":
		return float64(row.Acked) / width, true
	case "consume.rate":
		return float64(row.Delivered) / width, true
	case "consume.lag":
		if group == "" {
			return float64(row.Lag), true
		}
		lag, ok := row.Lags[group]
		return float64(lag), ok
	case "generator.cpu":
		return row.GenCPU, row.GenCPU >= 0
	case "generator.memory.rss":
		return float64(row.GenRSS), row.GenRSS > 0
	case "generator.gc_pause":
		return float64(row.GCPauseNs), true
	}
	most := -1.0
	for _, b := range row.Brokers {
		switch metric {
		case "broker.cpu":
			v = b.CPU
		case "broker.memory.rss":
			v = float64(b.RSS)
		case "broker.disk.read":
			v = b.DiskRead
		case "broker.disk.write":
			v = b.DiskWrite
		case "broker.net.in":
			v = b.NetIn
		case "broker.net.out":
			v = b.NetOut
		case "broker.fds":
			v = float64(b.FDs)
		case "broker.goroutines":
			v = float64(b.Goroutines)
		default:
			return 0, false
		}
		most = max(most, v)
	}
	return most, most >= 0
}
