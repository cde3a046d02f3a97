package drive

import (
	"math"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// trend follows a metric by least squares as the seconds come: five sums, whatever the length of the run.
//
//	slope = (n·Σty - Σt·Σy) / (n·Σtt - (Σt)²)      t in hours, around the first second; y around the first value
type trend struct {
	plan                plan.Trend
	n, t, y, tt, ty, yy float64
	firstT, lastT       time.Duration
	firstY              float64
}

// How long a run must be for its slope to mean something: short ones follow caches that fill and the collector's cycle.
const (
	trendRows  = 60   // seconds with a value
	trendShare = 0.05 // of the time that the slope is per: 3 minutes for "per hour"
)

// feed takes a second of the measured part.
func (tr *trend) feed(t tick, w window) {
	at := time.Duration(t.TNs)
	if at <= w.from || at > w.to+time.Second/2 {
		return
	}
	y, ok := instant(t, tr.plan.Metric, tr.plan.Stat)
	if !ok {
		return
	}
	if tr.n == 0 {
		tr.firstT, tr.firstY = at, y
	}
	tr.lastT = at
	x := (at - tr.firstT).Hours()
	y -= tr.firstY
	tr.n++
	tr.t, tr.y, tr.tt, tr.ty, tr.yy = tr.t+x, tr.y+y, tr.tt+x*x, tr.ty+x*y, tr.yy+y*y
}

// instant is the value of a metric in one second.
func instant(t tick, metric, stat string) (v float64, ok bool) {
	if !isLatency(metric) {
		return gauge(t.Second, metric, "")
	}
	h := t.latencies[metric]
	if h == nil || h.Count() == 0 {
		return 0, false
	}
	var out report.Threshold
	known := latencyStat(&out, h, stat)
	return out.Value, known
}

// slope is the slope per hour, its standard error and the mean; ok is false with fewer than three points.
func (tr *trend) slope() (perHour, deviation, mean float64, ok bool) {
	spread := tr.n*tr.tt - tr.t*tr.t
	if tr.n < 3 || spread <= 0 {
		return 0, 0, 0, false
	}
	perHour = (tr.n*tr.ty - tr.t*tr.y) / spread
	left := tr.yy - tr.y*tr.y/tr.n - perHour*perHour*spread/tr.n // squares that the line does not explain
	deviation = math.Sqrt(max(left, 0) / (tr.n - 2) * tr.n / spread)
	return perHour, deviation, tr.y/tr.n + tr.firstY, true
}

// judge closes the trend. Weak says that the run was too short, or too noisy to tell the slope from its limit: then it does
// not fail the run.
func (tr *trend) judge() report.Trend {
	p := tr.plan
	out := report.Trend{Expr: p.Expr, Shown: "not measured"}
	perHour, deviation, mean, ok := tr.slope()
	if !ok {
		out.Weak = tr.n > 0
		return out
	}
	scale := p.Per.Hours()
	unit := unitOf(p.Metric)
	per := "/" + perText(p.Per)
	if p.Relative {
		if mean == 0 {
			out.Weak = true
			return out
		}
		scale /= math.Abs(mean)
		unit = plan.UnitPercent
	}
	out.Slope = perHour * scale
	out.Pass = compare(out.Slope, p.Op, p.Value)
	out.Shown = show(unit, out.Slope) + per
	out.Weak = tr.n < trendRows || tr.lastT-tr.firstT < time.Duration(float64(p.Per)*trendShare) ||
		math.Abs(out.Slope-p.Value) < 2*deviation*scale
	return out
}

// perText prints "h" for an hour, "10m" for ten minutes.
func perText(d time.Duration) string {
	switch d {
	case time.Hour:
		return "h"
	case time.Minute:
		return "min"
	case time.Second:
		return "s"
	case 24 * time.Hour:
		return "d"
	}
	return plan.FormatDuration(d)
}
