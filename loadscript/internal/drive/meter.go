package drive

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// LateTolerance is how late a record may be handed over without being called late: a goroutine that has used up its turn is
// rescheduled after 10 ms.
const LateTolerance = 10 * time.Millisecond

// slotCounts counts records by the slot (0: warm-up, i+1: stage i) of their intended time.
type slotCounts struct {
	handed, acked, failed, unknown, dropped, late atomic.Int64
}

// meter gathers what a scenario measures: latencies per slot and second, counts, and one row of the series a second.
type meter struct {
	scenario *scenario
	slots    []slotCounts
	latency  *hist.Series
	service  *hist.Series
	delay    *hist.Series
	lag      *hist.Series // delay of records that the in-flight limit did not hold back: the generator's own fault
	e2e      *hist.Series
	cpu      *cpuMeter
	phase    atomic.Value // string

	mu     sync.Mutex
	rows   []report.Second
	errors map[string]int64 // guarded by mu: how often each error was seen
}

// silence follows one partition's longest stretch without an answer while records waited.
type silence struct {
	last    atomic.Int64 // ns, time of the last answer
	longest atomic.Int64 // ns
}

// maxErrors bounds the number of different error texts kept.
const maxErrors = 20

func newMeter(s *scenario) *meter {
	n := len(s.plan.Stages) + 1
	m := &meter{
		scenario: s, slots: make([]slotCounts, n), errors: map[string]int64{},
		latency: hist.NewSeries(n), service: hist.NewSeries(n), delay: hist.NewSeries(n), lag: hist.NewSeries(n), e2e: hist.NewSeries(n),
		cpu: newCPUMeter(s.opts.BrokerPID),
	}
	m.phase.Store("running")
	return m
}

// slot is where a record intended at t belongs.
func (m *meter) slot(t time.Duration) int {
	if t < m.scenario.plan.Warmup {
		return 0
	}
	return plan.StageAt(m.scenario.plan.Stages, t) + 1
}

// fault counts an error.
func (m *meter) fault(err error) {
	text := err.Error()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.errors[text]; known || len(m.errors) < maxErrors {
		m.errors[text]++
	}
}

// answered follows how long the partition kept silent while this record waited.
func (q *silence) answered(handed, now time.Duration) {
	since := max(q.last.Swap(int64(now)), int64(handed))
	for gap := int64(now) - since; ; {
		was := q.longest.Load()
		if gap <= was || q.longest.CompareAndSwap(was, gap) {
			return
		}
	}
}

// sums adds up the slots.
func (m *meter) sums() (handed, acked, errors, dropped int64) {
	for i := range m.slots {
		c := &m.slots[i]
		handed += c.handed.Load()
		acked += c.acked.Load()
		errors += c.failed.Load() + c.unknown.Load()
		dropped += c.dropped.Load()
	}
	return handed, acked, errors, dropped
}

// start takes a row at the end of every second until stop is called, and a last one then.
func (m *meter) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		var before row
		m.cpu.sample()
		for {
			next := (m.scenario.clock.Now()/time.Second + 1) * time.Second
			ended := m.scenario.clock.Sleep(ctx, next-m.scenario.clock.Now()) != nil
			before = m.take(before)
			if ended {
				return
			}
			m.scenario.opts.Progress(m.scenario.snapshot(m.phase.Load().(string)))
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// row is the state of the counters at the end of a second.
type row struct {
	at                                        time.Duration
	handed, acked, errors, dropped, delivered int64
}

// take closes the second.
func (m *meter) take(before row) row {
	s := m.scenario
	now := row{at: s.clock.Now()}
	now.handed, now.acked, now.errors, now.dropped = m.sums()
	lag := int64(0)
	for _, f := range s.readers {
		now.delivered += f.delivered.Load()
		lag = max(lag, f.field.ledger.Acked()-f.reader.Count())
	}
	gen, broker := m.cpu.sample()
	second := report.Second{
		TNs: int64(now.at), WidthNs: int64(now.at - before.at),
		Offered: plan.CumulativeRecords(s.plan.Stages, now.at) - plan.CumulativeRecords(s.plan.Stages, before.at),
		Handed:  now.handed - before.handed, Acked: now.acked - before.acked, Errors: now.errors - before.errors,
		Dropped: now.dropped - before.dropped, Delivered: now.delivered - before.delivered,
		InFlight: s.inFlight.Load(), Lag: lag,
		Produce: report.NewQuantiles(m.latency.Fold()), Service: report.NewQuantiles(m.service.Fold()),
		Delay: report.NewQuantiles(m.delay.Fold()), E2E: report.NewQuantiles(m.e2e.Fold()),
		GenCPU: gen, BrokerCPU: broker,
	}
	m.lag.Fold()
	m.mu.Lock()
	m.rows = append(m.rows, second)
	m.mu.Unlock()
	return now
}

// series is what was taken so far.
func (m *meter) series() []report.Second {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rows)
}

// faults lists the errors, the most frequent first.
func (m *meter) faults() (texts []string, counts map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts = map[string]int64{}
	for text, n := range m.errors {
		counts[text] = n
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		if counts[a] != counts[b] {
			return int(counts[b] - counts[a])
		}
		if a < b {
			return -1
		}
		return 1
	})
	return texts, counts
}

// snapshot is the state for the live display.
func (s *scenario) snapshot(phase string) report.Snapshot {
	snap := report.Snapshot{
		Scenario: s.plan.Name, Index: s.index, Count: s.count, Phase: phase, Total: s.plan.Duration(),
		InFlight: s.inFlight.Load(), Reads: len(s.plan.Consume) > 0,
	}
	if s.clock == nil {
		return snap
	}
	snap.Elapsed = s.clock.Now()
	if i := plan.StageAt(s.plan.Stages, snap.Elapsed); i >= 0 && snap.Elapsed < snap.Total {
		snap.Stage = s.plan.Stages[i].Name
	}
	_, _, snap.Errors, snap.Dropped = s.meter.sums()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	if n := len(s.meter.rows); n > 0 {
		last := s.meter.rows[n-1]
		width := time.Duration(last.WidthNs).Seconds()
		snap.Offered = last.Offered / width
		snap.Achieved = float64(last.Acked) / width
		snap.Consumed = float64(last.Delivered) / width
		snap.P50, snap.P99 = time.Duration(last.Produce.P50Ns), time.Duration(last.Produce.P99Ns)
		snap.Lag = last.Lag
	}
	return snap
}
