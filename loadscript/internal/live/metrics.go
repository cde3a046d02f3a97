package live

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

const namespace = "streambus_benchmark"

// edges are the upper bounds of the histograms' buckets.
var edges = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	latencyDesc  = desc("latency_seconds", "Latency of records, by metric of loadscript; from the intended send time but for produce.service_time.", "scenario", "metric")
	recordsDesc  = desc("records_total", "Records, by what became of them.", "scenario", "outcome")
	rateDesc     = desc("rate_records", "Records per second in the last second.", "scenario", "kind")
	errorsDesc   = desc("errors_total", "Records that failed or whose fate is unknown.", "scenario")
	inFlightDesc = desc("in_flight_records", "Records given to the client and without an answer.", "scenario")
	lagDesc      = desc("lag_records", "Records that a group is behind; the empty group is the slowest reader.", "scenario", "group")
	elapsedDesc  = desc("elapsed_seconds", "Time since the scenario's first record was due.", "scenario")
	cpuDesc      = desc("cpu_cores", "Cores in use in the last second.", "scenario", "process")
	stageDesc    = desc("stage", "1 for the stage that the scenario is in.", "scenario", "stage")
	faultDesc    = desc("fault", "1 for each fault in force.", "scenario", "fault", "target")
	infoDesc     = desc("info", "The run: always 1.", "script", "version")
)

// Metrics is the state of a run for Prometheus. It is a report.Sink and a prometheus.Collector; both may be used at the same time.
type Metrics struct {
	plan    *plan.Plan
	version string

	mu        sync.Mutex
	scenarios []*scenario // that have begun, the last one is running; guarded by mu, as all below them
}

type scenario struct {
	name    string
	planned *plan.Scenario // nil if the plan does not know it
	latency map[string]*buckets
	last    report.Second
	total   report.Second // counts added up
	ended   bool          // another one has begun
	faults  []report.Event
}

// buckets is a histogram that only grows.
type buckets struct {
	counts []int64 // up to each edge
	n      int64
	sum    float64 // seconds
}

// NewMetrics returns the state before the first scenario.
func NewMetrics(p *plan.Plan, version string) *Metrics { return &Metrics{plan: p, version: version} }

// Begin starts a scenario; the one before it has ended.
func (m *Metrics) Begin(name string, _ time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.scenarios {
		s.ended = true
	}
	m.scenarios = append(m.scenarios, &scenario{name: name, planned: report.Planned(m.plan, name), latency: map[string]*buckets{}})
}

// Second adds a second.
func (m *Metrics) Second(row report.Second, latencies map[string]*hist.Histogram) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.running()
	if s == nil {
		return
	}
	s.last = row
	s.total.Offered += row.Offered
	s.total.Handed += row.Handed
	s.total.Acked += row.Acked
	s.total.Errors += row.Errors
	s.total.Dropped += row.Dropped
	s.total.Delivered += row.Delivered
	for metric, h := range latencies {
		b := s.latency[metric]
		if b == nil {
			b = &buckets{counts: make([]int64, len(edges))}
			s.latency[metric] = b
		}
		for i, n := range h.Below(edges) {
			b.counts[i] += n
		}
		b.n += h.Count()
		b.sum += h.Mean().Seconds() * float64(h.Count())
	}
}

// Event follows the faults in force. A fault is told when it begins, and again when it has ended.
func (m *Metrics) Event(e report.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.running()
	if s == nil || e.Kind != "fault" {
		return
	}
	s.faults = slices.DeleteFunc(s.faults, func(f report.Event) bool { return f.Name == e.Name && f.TNs == e.TNs })
	if e.EndNs == 0 && e.Error == "" {
		s.faults = append(s.faults, e)
	}
}

func (m *Metrics) running() *scenario {
	if n := len(m.scenarios); n > 0 {
		return m.scenarios[n-1]
	}
	return nil
}

// Describe sends no descriptions: the label values come and go.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the state. Counters of scenarios that have ended stay; their gauges go.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(infoDesc, prometheus.GaugeValue, 1, m.plan.Script, m.version)
	for _, s := range m.scenarios {
		s.counters(out, send)
		if !s.ended {
			s.gauges(send)
		}
	}
}

func (s *scenario) counters(out chan<- prometheus.Metric, send func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	t := &s.total
	for outcome, v := range map[string]float64{
		"offered": t.Offered, "handed": float64(t.Handed), "acked": float64(t.Acked), "failed": float64(t.Errors), "dropped": float64(t.Dropped),
		"delivered": float64(t.Delivered),
	} {
		send(recordsDesc, prometheus.CounterValue, v, s.name, outcome)
	}
	send(errorsDesc, prometheus.CounterValue, float64(t.Errors), s.name)
	for metric, b := range s.latency {
		counts := map[float64]uint64{}
		for i, e := range edges {
			counts[e.Seconds()] = uint64(b.counts[i])
		}
		out <- prometheus.MustNewConstHistogram(latencyDesc, uint64(b.n), b.sum, counts, s.name, metric)
	}
}

func (s *scenario) gauges(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		send(d, prometheus.GaugeValue, v, append([]string{s.name}, labels...)...)
	}
	row := &s.last
	width := time.Duration(row.WidthNs).Seconds()
	if width == 0 {
		return // nothing measured yet
	}
	gauge(rateDesc, row.Offered/width, "offered")
	gauge(rateDesc, float64(row.Acked)/width, "acked")
	gauge(rateDesc, float64(row.Delivered)/width, "delivered")
	gauge(inFlightDesc, float64(row.InFlight))
	gauge(elapsedDesc, time.Duration(row.TNs).Seconds())
	gauge(cpuDesc, row.GenCPU, "generator")
	if row.BrokerCPU >= 0 {
		gauge(cpuDesc, row.BrokerCPU, "brokers")
	}
	for group, n := range row.Lags {
		gauge(lagDesc, float64(n), group)
	}
	if len(row.Lags) == 0 && (s.planned == nil || len(s.planned.Consume) > 0) {
		gauge(lagDesc, float64(row.Lag), "")
	}
	if s.planned != nil {
		gauge(stageDesc, 1, report.PlannedStage(s.planned, time.Duration(row.TNs)))
	}
	// Two of the same name at the same time are one series.
	in := map[[2]string]bool{}
	for _, f := range s.faults {
		in[[2]string{f.Name, f.Target}] = true
	}
	for f := range in {
		gauge(faultDesc, 1, f[0], f[1])
	}
}
