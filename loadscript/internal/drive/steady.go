package drive

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// sample is a metric's value in a stretch of time that ends at at.
type sample struct {
	at, width time.Duration
	value     float64
}

// level is how even a metric was over a window.
type level struct {
	full   bool    // the window is as long as it should be
	slope  float64 // of the least-squares line over the whole window, as a fraction of the mean
	spread float64 // the largest distance of a sample from the mean, as a fraction of it
}

// within says whether both stay inside the fraction.
func (l level) within(fraction float64) bool {
	return l.full && math.Abs(l.slope) <= fraction && l.spread <= fraction
}

// leastSamples is how many samples a window needs: through two points any line fits.
const leastSamples = 3

// levelOf looks at the newest samples, as many as over is long. These are fio's two criteria for a steady state, slope and
// deviation: a metric that creeps has a slope, one that swings a spread.
func levelOf(samples []sample, over time.Duration) level {
	if len(samples) == 0 {
		return level{}
	}
	from := len(samples)
	var have time.Duration
	for from > 0 && have < over {
		from--
		have += samples[from].width
	}
	recent := samples[from:]
	l := level{full: have >= over && len(recent) >= leastSamples}
	n := float64(len(recent))
	var meanT, meanV float64
	for _, p := range recent {
		meanT += p.at.Seconds() / n
		meanV += p.value / n
	}
	var tt, tv float64
	for _, p := range recent {
		dt, dv := p.at.Seconds()-meanT, p.value-meanV
		tt += dt * dt
		tv += dt * dv
		l.spread = max(l.spread, math.Abs(dv))
	}
	if tt > 0 {
		l.slope = tv / tt * have.Seconds()
	}
	switch {
	case meanV != 0:
		l.slope, l.spread = l.slope/math.Abs(meanV), l.spread/math.Abs(meanV)
	case l.spread > 0:
		l.slope, l.spread = math.Inf(1), math.Inf(1)
	}
	return l
}

// rowValue is a metric's value in one row of the series; ok is false for one that rows do not hold, or that had no samples.
func rowValue(row report.Second, metric, stat string) (v float64, ok bool) {
	width := time.Duration(row.WidthNs).Seconds()
	var q report.Quantiles
	switch metric {
	case "produce.rate":
		return float64(row.Acked) / width, width > 0
	case "consume.rate":
		return float64(row.Delivered) / width, width > 0
	case "consume.lag":
		return float64(row.Lag), true
	case "produce.latency":
		q = row.Produce
	case "produce.service_time":
		q = row.Service
	case "produce.delay":
		q = row.Delay
	case "e2e.latency":
		q = row.E2E
	}
	by := map[string]int64{"p50": q.P50Ns, "p90": q.P90Ns, "p99": q.P99Ns, "p99.9": q.P999Ns, "max": q.MaxNs}
	ns, known := by[stat]
	return float64(ns), known && q.N > 0
}

// watcher collects a metric while the warm-up runs and says when it is steady. The meter calls see, from one goroutine.
type watcher struct {
	steady *plan.Steady
	done   chan struct{} // closed when steady

	mu      sync.Mutex
	samples []sample // guarded by mu, as below
	last    level
	over    bool
}

func (w *watcher) see(row report.Second) {
	v, ok := rowValue(row, w.steady.Metric, w.steady.Stat)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ok || w.over || row.WidthNs < int64(time.Second)/2 { // the end of the warm-up cuts a second off
		return
	}
	w.samples = append(w.samples, sample{time.Duration(row.TNs), time.Duration(row.WidthNs), v})
	w.last = levelOf(w.samples, w.steady.Over)
	if w.last.within(w.steady.Within) {
		w.over = true
		close(w.done)
	}
}

// text says how even it got.
func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.samples) == 0:
		return "no samples"
	case !w.last.full:
		return fmt.Sprintf("%d samples, less than the window", len(w.samples))
	}
	return fmt.Sprintf("slope %.1f %%, spread %.1f %%", w.last.slope*100, w.last.spread*100)
}

// tidy is what times that the run itself sets are rounded to.
const tidy = 10 * time.Millisecond

// warmUp offers the first stage's rate, or what the executor offers, until the metric is steady; it returns when that was. What
// it measured belongs to the warm-up: the stages begin now.
func (s *scenario) warmUp(ctx context.Context, stages []plan.Stage) (begin time.Duration) {
	w := &watcher{steady: s.plan.Steady, done: make(chan struct{})}
	s.meter.steady = w
	over := s.event(report.Event{Kind: "phase", Name: "warm-up"})
	stop := s.meter.start(context.WithoutCancel(ctx))
	limited, cancel := context.WithTimeout(ctx, s.plan.Steady.Timeout)
	defer cancel()
	go func() { // ends with warmUp: cancel is deferred
		select {
		case <-w.done:
			cancel()
		case <-limited.Done():
		}
	}()
	if s.closed() {
		s.offerClosed(limited, 0)
	} else {
		s.offer(limited, stages, 0)
	}
	stop()
	s.meter.steady = nil
	over(w.text())
	begin = s.clock.Now().Round(tidy) + tidy // soon, at a time that people can read
	measured := stages[0]
	measured.Duration = begin
	s.reshape(append([]plan.Stage{measured}, s.plan.Stages[1:]...), begin)
	s.meter.expect()
	name := s.plan.Steady.Metric
	if s.plan.Steady.Stat != "" {
		name += "." + s.plan.Steady.Stat
	}
	required := fmt.Sprintf("%s within %.3g %% over %s, after %s at most", name, s.plan.Steady.Within*100,
		plan.FormatDuration(s.plan.Steady.Over), plan.FormatDuration(s.plan.Steady.Timeout))
	select {
	case <-w.done:
		s.findings = append(s.findings, report.Finding{Name: "steady before the first stage", Required: required,
			Measured: fmt.Sprintf("after %s: %s", round(begin), w.text()), Pass: true})
	default:
		if ctx.Err() == nil {
			s.findings = append(s.findings, report.Finding{Name: "steady before the first stage", Required: required,
				Measured: fmt.Sprintf("not within %s: %s", round(begin), w.text())})
		}
	}
	return begin
}
