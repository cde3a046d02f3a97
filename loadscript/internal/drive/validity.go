package drive

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// The conditions of a valid measurement.
const (
	// A generator that is late by more than a tenth of the reported p99 measures itself. But Go and Linux hand out a core in
	// turns of up to 10 ms each, so on a machine that broker and generator share a lag of one turn of both is the machine's,
	// is inside every latency reported (they count from the intended time) and is shown as produce.delay. Below this floor no
	// run is called invalid, and above it only if the lag can have turned the verdict: see harmless.
	lagShare        = 0.10
	DefaultLagFloor = 20 * time.Millisecond
	lagBearable     = 250 * time.Millisecond
	// A generator that takes most of the machine leaves nothing to notice lateness with.
	DefaultCPUShare = 0.85
	cpuTime         = 0.05
	// Fewer records than planned although the broker did not push back.
	handedShare = 0.99
)

// validity says whether the numbers are about the broker.
func (s *scenario) validity(r *report.Scenario, interrupted bool) report.Validity {
	v := report.Validity{Valid: true, Findings: []report.Finding{}}
	find := func(f report.Finding) {
		v.Findings = append(v.Findings, f)
		v.Valid = v.Valid && f.Pass
	}
	add := func(name, required, measured string, pass bool) {
		find(report.Finding{Name: name, Required: required, Measured: measured, Pass: pass})
	}
	for _, e := range s.timeline.list() {
		if e.Kind == "fault" && e.Error != "" {
			add("fault "+e.Name, "applied, and seen to work", e.Error, false)
		}
	}
	for _, f := range s.findings {
		find(f)
	}
	if len(s.plan.Produce) == 0 {
		return v
	}
	n := len(s.plan.Stages)
	lag := s.meter.lag.Merged(1, n+1).Quantile(.99)
	limit := max(time.Duration(float64(s.meter.latency.Merged(1, n+1).Quantile(.99))*lagShare), s.opts.LagFloor)
	late := report.Finding{Name: "generator lag p99", Required: "<= " + report.FormatLatency(int64(limit)), Measured: report.FormatLatency(int64(lag)), Pass: lag <= limit}
	if !late.Pass && s.harmless(r, lag) {
		late.Pass, late.Warn = true, true
		late.Detail = "the machine was busy; the lag is inside the latencies, which are too high rather than too low"
	}
	if !s.closed() { // who follows no schedule is never behind it
		find(late)
	}

	if rows := s.meter.seconds; rows > 0 {
		busy := s.meter.busy
		share := float64(busy) / float64(rows)
		// One second in a short run is no share of anything: the start of the process would condemn every smoke test.
		ok := share <= cpuTime || busy <= 1
		f := report.Finding{Name: fmt.Sprintf("generator above %.0f %% of %d cores", s.opts.CPUShare*100, runtime.NumCPU()),
			Required: fmt.Sprintf("<= %.0f %% of the seconds", cpuTime*100), Measured: fmt.Sprintf("%.0f %% (%d of %d s)", share*100, busy, rows), Pass: ok}
		if !ok && s.closed() {
			f.Pass, f.Warn, f.Detail = true, true, "a closed model sends as much as it can: the rate may be the generator's limit rather than the broker's"
		}
		find(f)
	}

	if c := s.counts; c.Offered > 0 {
		share := float64(c.Handed) / float64(c.Offered)
		pressed := c.Pressed > 0 || died(s.opts.Dead)
		text := fmt.Sprintf("%.2f %%", share*100)
		if pressed && share < handedShare {
			text += ": the broker pushed back"
		}
		add("records handed over", fmt.Sprintf(">= %.0f %% of the plan", handedShare*100), text, share >= handedShare || pressed)
	}
	if r.Totals.Acked == 0 && !interrupted {
		add("records acknowledged", "> 0", "0: nothing was measured", false)
	}
	return v
}

// harmless says whether a late generator cannot have turned the verdict: the latencies that count from the intended time only
// ever get worse by it. So thresholds on them that hold, hold in spite of it. Where there are none, nobody judges a latency,
// and lateness up to lagBearable leaves counts and rates alone; more than that means that the schedule was not kept.
func (s *scenario) harmless(r *report.Scenario, lag time.Duration) bool {
	n := 0
	for i, t := range s.plan.Thresholds {
		switch t.Metric {
		case "produce.service_time":
			return false // counts from the real send: a late generator may even flatter it
		case "produce.latency", "e2e.latency", "produce.delay":
			if !r.Thresholds[i].Pass || !strings.HasPrefix(t.Op, "<") {
				return false
			}
			n++
		}
	}
	return n > 0 || lag <= lagBearable
}
