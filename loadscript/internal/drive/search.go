package drive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// bounds is the search for the highest rate that holds: doubling from the start until one fails (halving if the first does),
// then the middle, until the highest that held and the lowest that failed are close.
type bounds struct {
	low, high float64 // the highest rate that held, the lowest that failed; 0: none yet
	start     float64
	tolerance float64 // fraction of the lowest that failed
	probes    int
}

const (
	// maxProbes ends a search whose answers contradict each other: doubling from 1/s to the largest rate that a plan may hold
	// takes 30, and as many again find any bound to a billionth.
	maxProbes = 64
	// leastRate is where halving gives up, in records a second.
	leastRate = 1
)

// next is the rate to try; ok is false when the search is over.
func (b *bounds) next() (rate float64, ok bool) {
	switch {
	case b.probes >= maxProbes:
		return 0, false
	case b.low == 0 && b.high == 0:
		return b.start, true
	case b.high == 0:
		return min(b.low*2, plan.MaxRate), b.low < plan.MaxRate
	case b.low == 0:
		return b.high / 2, b.high/2 >= leastRate
	default:
		return (b.low + b.high) / 2, b.high-b.low > b.tolerance*b.high
	}
}

// tell says whether the rate held.
func (b *bounds) tell(rate float64, held bool) {
	b.probes++
	if held {
		b.low = max(b.low, rate)
	} else if b.high == 0 || rate < b.high {
		b.high = rate
	}
}

// A rate that is more than the generator or the cluster can do leaves a backlog at its end: an SLO on errors alone would hold
// all the same. What takes longer to catch up than catchUpShare of the hold, and catchUpLeast, was too much.
const (
	catchUpShare = 0.05
	catchUpLeast = time.Second
)

// search is the executor find_max_rate: it tries rates, each for its time and then drained, and keeps the measurement of the
// highest that held (of the last one tried, if none did): that is the scenario's.
func (s *scenario) search(ctx context.Context) {
	e := s.plan.Executor
	if s.plan.Warmup > 0 {
		s.rehearse(ctx)
	}
	b := bounds{start: e.StartRate, tolerance: e.Tolerance}
	var kept measurement
	for ctx.Err() == nil {
		rate, ok := b.next()
		if !ok {
			break
		}
		probe, m := s.try(ctx, rate)
		if ctx.Err() != nil || died(s.opts.Dead) {
			if len(s.probes) == 0 {
				kept = m // better than nothing
			}
			break
		}
		s.probes = append(s.probes, probe)
		b.tell(rate, probe.Pass)
		if probe.Pass && rate == b.low || b.low == 0 {
			kept = m
		}
		if s.stopped() {
			break
		}
		if s.inFlight.Load() > 0 {
			s.notes = append(s.notes, fmt.Sprintf("the search ended at %s: the cluster did not recover from it within %s",
				plan.FormatRate(rate), plan.FormatDuration(s.plan.Drain)))
			break
		}
	}
	s.maxRate = b.low
	s.restore(kept)
	if b.low > 0 {
		s.notes = append(s.notes, fmt.Sprintf("highest rate that held: %s, of %d tried; latencies, counts and the series are those of it, the ledger is that of all",
			plan.FormatRate(b.low), len(s.probes)))
	}
}

// rehearse is the warm-up before the first probe.
func (s *scenario) rehearse(ctx context.Context) {
	length := s.plan.Warmup
	stages := []plan.Stage{{Kind: "hold", Name: "warm-up", Duration: length, From: s.plan.Executor.StartRate, To: s.plan.Executor.StartRate}}
	s.reshape(stages, always)
	stop := s.meter.start(context.WithoutCancel(ctx))
	s.offer(ctx, stages, 0)
	s.settle(ctx)
	s.converge(ctx)
	stop()
}

// try offers one rate for its time, waits until everything is answered and seen, and judges it by the script's own thresholds.
func (s *scenario) try(ctx context.Context, rate float64) (report.Probe, measurement) {
	e := s.plan.Executor
	stages := []plan.Stage{{Kind: "hold", Name: e.Kind, Pos: e.Pos, Duration: e.Hold, From: rate, To: rate}}
	s.reshape(stages, 0)
	s.zero()
	s.renew()
	s.timeline.begin(fmt.Sprintf("%s at %s", s.plan.Name, plan.FormatRate(rate)), time.Now())
	stop := s.meter.start(context.WithoutCancel(ctx))
	s.offer(ctx, stages, 0)
	s.settle(ctx)
	s.converge(ctx)
	stop()

	r := s.describe()
	r.Drain, r.Series = s.drain, s.meter.series()
	s.totals(&r)
	probe := report.Probe{Rate: rate, Pass: true}
	var details []string
	fail := func(text string) {
		probe.Pass = false
		details = append(details, text)
	}
	for _, t := range e.SLO {
		if got := s.threshold(&r, t); got.Pass {
			details = append(details, fmt.Sprintf("%s: %s", t.Expr, got.Shown))
		} else {
			fail(fmt.Sprintf("%s does not hold: %s", t.Expr, got.Shown))
		}
	}
	if n := r.Totals.Dropped; n > 0 {
		fail(plan.FormatCount(n) + " records could not be sent in time")
	}
	limit := max(time.Duration(float64(e.Hold)*catchUpShare), catchUpLeast)
	if took := time.Duration(s.drain.TookNs); took > limit {
		fail(fmt.Sprintf("took %s after its end to catch up, more than %s", plan.FormatDuration(round(took)), plan.FormatDuration(limit)))
	}
	if !s.drain.Converged {
		fail("the cluster did not converge: " + s.drain.Detail)
	}
	probe.Detail = strings.Join(details, "; ")
	return probe, s.take()
}

// measurement is what was measured of one probe.
type measurement struct {
	stages        []plan.Stage
	slots         []slotCounts
	hists         [][]*hist.Histogram
	silences      map[*field][]silence
	rows          rowList
	watches       []*watch
	trends        []*trend
	heat          heat
	seconds, busy int
	counts        pace.Counts
	drain         report.Drain
	first, end    int // events
}

// take moves what was measured out. Nothing may be in flight that still measures.
func (s *scenario) take() measurement {
	m := s.meter
	out := measurement{
		stages: s.plan.Stages, slots: m.slots, silences: map[*field][]silence{}, rows: m.rows, watches: m.watches, trends: m.trends, heat: m.heat,
		seconds: m.seconds, busy: m.busy, counts: s.counts, drain: s.drain, first: s.firstEvent, end: s.timeline.count(),
	}
	for _, series := range m.all() {
		out.hists = append(out.hists, series.Take())
	}
	for _, f := range s.fields {
		out.silences[f] = f.silence
	}
	return out
}

// renew makes room for the next probe.
func (s *scenario) renew() {
	m := s.meter
	for _, series := range m.all() {
		series.Take()
	}
	for _, f := range s.fields {
		f.silence = make([]silence, f.partitions)
	}
	m.slots, m.seconds, m.busy, m.stage, m.told = make([]slotCounts, len(m.slots)), 0, 0, -1, "running"
	m.phase.Store("running")
	s.counts, s.drain, s.firstEvent = pace.Counts{}, report.Drain{}, s.timeline.count()
	m.mu.Lock()
	m.rows = rowList{}
	m.mu.Unlock()
	m.heat = heat{}
	m.rebase()
	m.expect()
}

// restore puts a measurement back.
func (s *scenario) restore(from measurement) {
	if from.slots == nil {
		return // not one probe was made
	}
	m := s.meter
	for i, series := range m.all() {
		series.Put(from.hists[i])
	}
	for f, silences := range from.silences {
		f.silence = silences
	}
	m.slots, m.seconds, m.busy, m.watches, m.trends, m.heat = from.slots, from.seconds, from.busy, from.watches, from.trends, from.heat
	s.counts, s.drain = from.counts, from.drain
	m.mu.Lock()
	m.rows = from.rows
	m.mu.Unlock()
	s.reshape(from.stages, 0)
	s.timeline.keep(from.first, from.end)
}
