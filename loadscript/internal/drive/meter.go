package drive

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// LateTolerance is how late a record may be handed over without being called late: a goroutine that has used up its turn is
// rescheduled after 10 ms.
const LateTolerance = 10 * time.Millisecond

// slotCounts counts records by the slot (0: warm-up, i+1: stage i) of their intended time.
type slotCounts struct {
	handed, acked, failed, unknown, aborted, dropped, late atomic.Int64
}

// meter gathers what a scenario measures: latencies per slot and second, counts, and one row of the series a second. What a
// second says is used up when it ends (the sink, thresholds on windows, trends, recoveries), so that memory does not grow with
// the length of the run.
type meter struct {
	scenario *scenario
	slots    []slotCounts
	latency  *hist.Series
	service  *hist.Series
	delay    *hist.Series
	lag      *hist.Series // delay of records that the in-flight limit did not hold back: the generator's own fault
	e2e      *hist.Series
	self     process
	gc       time.Duration // pauses until the last row
	brokers  *brokers
	phase    atomic.Value // string
	before   row          // where the next second begins
	steady   *watcher     // of a warm-up that ends when a metric is steady; nil otherwise

	// Of the goroutine that takes the rows, until stop has returned:
	watches    []*watch
	trends     []*trend
	recoveries recoveries
	heat       heat
	stage      int    // whose begin was told, -1 before the first
	told       string // phase
	seconds    int    // with a known CPU time of the generator
	busy       int    // of them: the generator took most of the machine

	mu     sync.Mutex
	rows   rowList          // guarded by mu, as below
	last   report.Second    // the newest, not merged with others
	errors map[string]int64 // how often each error was seen
}

// maxErrors bounds the number of different error texts kept.
const maxErrors = 20

func newMeter(s *scenario) *meter {
	n := len(s.plan.Stages) + 1
	m := &meter{
		scenario: s, slots: make([]slotCounts, n), errors: map[string]int64{},
		latency: hist.NewSeries(n), service: hist.NewSeries(n), delay: hist.NewSeries(n), lag: hist.NewSeries(n), e2e: hist.NewSeries(n),
		brokers: newBrokers(s.opts), recoveries: recoveries{faults: map[int]*recoverer{}}, stage: -1, told: "running",
	}
	m.phase.Store("running")
	m.expect()
	return m
}

// expect begins to follow thresholds and trends, by the stages as they are now.
func (m *meter) expect() {
	m.watches, m.trends = nil, nil
	for _, t := range m.scenario.plan.Thresholds {
		m.watches = append(m.watches, newWatch(m.scenario, t))
	}
	if e := m.scenario.plan.Executor; e != nil {
		for _, t := range e.SLO {
			w := newWatch(m.scenario, t)
			w.probe = true
			m.watches = append(m.watches, w)
		}
	}
	for _, t := range m.scenario.plan.Trends {
		m.trends = append(m.trends, &trend{plan: t})
	}
}

// slot is where a record intended at t belongs.
func (m *meter) slot(t time.Duration) int {
	shape := m.scenario.shape.Load()
	if t < shape.warmup {
		return 0
	}
	return plan.StageAt(shape.stages, t) + 1
}

// fault counts an error.
func (m *meter) fault(err error) {
	text := err.Error()
	if errors.Is(err, kgo.ErrClientClosed) {
		text = "no answer by the end of the run"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.errors[text]; known || len(m.errors) < maxErrors {
		m.errors[text]++
	}
}

// all is the metrics that are histograms.
func (m *meter) all() []*hist.Series {
	return []*hist.Series{m.latency, m.service, m.delay, m.lag, m.e2e}
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

// rebase lets the next row begin at zero; what consumers read before is not in it.
func (m *meter) rebase() {
	m.before = row{}
	for _, f := range m.scenario.readers {
		m.before.delivered += f.delivered.Load()
	}
}

// start takes a row at the end of every second until stop is called, and a last one then.
func (m *meter) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	s := m.scenario
	m.self.sample(os.Getpid())
	m.brokers.sample()
	m.gc = gcPauses()
	var wg sync.WaitGroup
	if len(m.brokers.https) > 0 {
		wg.Go(func() {
			defer m.brokers.close()
			for ctx.Err() == nil {
				m.brokers.scrape(ctx)
				_ = pace.Sleep(ctx, time.Second)
			}
		})
	}
	wg.Go(func() {
		for {
			next := (s.clock.Now()/time.Second + 1) * time.Second
			ended := s.clock.Sleep(ctx, next-s.clock.Now()) != nil
			m.before = m.take(m.before)
			if ended {
				return
			}
			s.opts.Progress(s.snapshot(m.phase.Load().(string)))
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// row is the state of the counters at the end of a second.
type row struct {
	at                                              time.Duration
	handed, acked, errors, dropped, delivered, late int64
}

// tick is a closed second with what is valid while it is looked at only.
type tick struct {
	report.Second
	late      int64
	latencies map[string]*hist.Histogram
	disturbed bool // by a fault, or by what is left of it
}

// take closes the second.
func (m *meter) take(before row) row {
	s := m.scenario
	now := row{at: s.clock.Now()}
	now.handed, now.acked, now.errors, now.dropped = m.sums()
	for i := range m.slots {
		now.late += m.slots[i].late.Load()
	}
	for _, f := range s.readers {
		now.delivered += f.delivered.Load()
	}
	self, brokers := m.self.sample(os.Getpid()), m.brokers.sample()
	second := report.Second{
		TNs: int64(now.at), WidthNs: int64(now.at - before.at),
		Offered: plan.CumulativeRecords(s.plan.Stages, now.at) - plan.CumulativeRecords(s.plan.Stages, before.at),
		Handed:  now.handed - before.handed, Acked: now.acked - before.acked, Errors: now.errors - before.errors,
		Dropped: now.dropped - before.dropped, Delivered: now.delivered - before.delivered,
		InFlight: s.inFlight.Load(),
		Produce:  report.NewQuantiles(m.latency.Fold()), Service: report.NewQuantiles(m.service.Fold()),
		Delay: report.NewQuantiles(m.delay.Fold()), E2E: report.NewQuantiles(m.e2e.Fold()),
		GenCPU: self.cpu, GenRSS: max(self.rss, 0), BrokerCPU: busy(brokers), Brokers: brokers,
	}
	if s.closed() {
		second.Offered = float64(second.Handed)
	}
	m.lag.Fold()
	second.Lags, second.Lag = s.lags()
	pauses := gcPauses()
	second.GCPauseNs, m.gc = int64(pauses-m.gc), pauses
	m.look(tick{Second: second, late: now.late - before.late, latencies: map[string]*hist.Histogram{
		"produce.latency": m.latency.Second(), "produce.service_time": m.service.Second(), "produce.delay": m.delay.Second(),
		"e2e.latency": m.e2e.Second(), "generator.lag": m.lag.Second(),
	}})
	m.mu.Lock()
	m.rows.add(second)
	m.last = second
	m.mu.Unlock()
	if m.steady != nil {
		m.steady.see(second)
	}
	return now
}

// look hands the second to everybody who wants to see each of them.
func (m *meter) look(t tick) {
	s := m.scenario
	m.tell(t)
	t.disturbed = m.recoveries.feed(t.Second, s.timeline.faults())
	if t.GenCPU >= 0 && t.WidthNs >= int64(time.Second)/2 {
		m.seconds++
		if t.GenCPU/float64(runtime.NumCPU()) > s.opts.CPUShare {
			m.busy++
		}
	}
	for _, w := range m.watches {
		w.feed(t)
		if w.plan.Abort && !w.probe {
			if why := w.hopeless(); why != "" {
				s.abort(w.plan.Expr + ": " + why)
			}
		}
	}
	m.heat.add(t.latencies["produce.latency"])
	for _, tr := range m.trends {
		tr.feed(t, s.whole())
	}
	s.timeline.second(t.Second, t.latencies)
}

// tell notes the stages that began and the phases that followed since the last second.
func (m *meter) tell(t tick) {
	s := m.scenario
	for i := m.stage + 1; i < len(s.plan.Stages) && s.plan.Warmup != always; i++ {
		w := s.stage(i)
		if int64(w.from) >= t.TNs {
			break
		}
		m.stage = i
		switch {
		case w.from == w.to: // all of it was warm-up
		case s.plan.Stages[i].Duration == openEnd:
			s.timeline.add(report.Event{TNs: int64(w.from), Kind: "stage", Name: s.plan.Stages[i].Name})
		default:
			s.timeline.add(report.Event{TNs: int64(w.from), EndNs: int64(w.to), Kind: "stage", Name: s.plan.Stages[i].Name})
		}
	}
	if phase := m.phase.Load().(string); phase != m.told {
		m.told = phase
		s.timeline.add(report.Event{TNs: t.TNs, Kind: "phase", Name: phase})
	}
}

// lags is how far each group, or direct reader, is behind; a group with several topics is behind in all of them together.
func (s *scenario) lags() (by map[string]int64, worst int64) {
	for _, f := range s.readers {
		if by == nil {
			by = map[string]int64{}
		}
		lag := f.reader.Lag()
		if f.plan.Group != "" {
			by[f.plan.Group] += lag
		} else {
			by[f.field.plan.Name] = max(by[f.field.plan.Name], lag)
		}
	}
	for _, lag := range by {
		worst = max(worst, lag)
	}
	return by, worst
}

// abort stops the offering, once: a threshold that must abort cannot hold any more.
func (s *scenario) abort(why string) {
	s.abortOnce.Do(func() {
		s.event(report.Event{Kind: "abort", Name: why})
		close(s.aborted)
	})
}

// series is what was taken so far.
func (m *meter) series() []report.Second {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.rows.rows)
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
	if snap.Total >= openEnd {
		snap.Total = 0
	}
	if s.clock == nil {
		return snap
	}
	snap.Elapsed = s.clock.Now()
	if i := plan.StageAt(s.plan.Stages, snap.Elapsed); i >= 0 && snap.Elapsed < s.plan.Duration() {
		snap.Stage = s.plan.Stages[i].Name
	}
	_, _, snap.Errors, snap.Dropped = s.meter.sums()
	snap.Fault = s.timeline.inForce()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	if last := s.meter.last; last.WidthNs > 0 {
		width := time.Duration(last.WidthNs).Seconds()
		snap.Offered = last.Offered / width
		snap.Achieved = float64(last.Acked) / width
		snap.Consumed = float64(last.Delivered) / width
		snap.P50, snap.P99 = time.Duration(last.Produce.P50Ns), time.Duration(last.Produce.P99Ns)
		snap.Lag = last.Lag
	}
	return snap
}
