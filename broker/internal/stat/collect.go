package stat

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/timing"
)

// State is what a broker is at.
type State string

// The states, in the order in which a broker goes through them.
const (
	Starting   State = "starting"
	Recovering State = "recovering"
	Ready      State = "ready"
	Draining   State = "draining"
	Failed     State = "failed"
)

var states = []State{Starting, Recovering, Ready, Draining, Failed}

// Rooms are where the numbers come from. They are attached when they are there, which is after recovery; until then there is little
// to show.
type Rooms struct {
	NodeID   int32
	Address  string // that clients are told
	Engine   *engine.Engine
	Topics   *topics.Catalog
	Groups   *group.Coordinator
	Listen   *listen.Server
	Requests *Requests
}

// Gatherer shows everything.
type Gatherer struct {
	version, goVersion string
	state              func() State
	rooms              atomic.Pointer[Rooms]
}

// New makes a Gatherer of a program of that version. state may be asked by any goroutine.
func New(version, goVersion string, state func() State) *Gatherer {
	return &Gatherer{version: version, goVersion: goVersion, state: state}
}

// Attach shows the rooms from now on.
func (g *Gatherer) Attach(r *Rooms) { g.rooms.Store(r) }

// Own gathers what /metrics shows.
func (g *Gatherer) Own() prometheus.Gatherer {
	return registry(collector{g, Own, (*Gatherer).own}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Kafka gathers what /metrics/kafka shows.
func (g *Gatherer) Kafka() prometheus.Gatherer {
	return registry(collector{g, Kafka, (*Gatherer).kafka})
}

func registry(all ...prometheus.Collector) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(all...)
	return r
}

// collector is prometheus.Collector over one part of the table.
type collector struct {
	g    *Gatherer
	defs []*Def
	fill func(*Gatherer, *emitter)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.defs {
		out <- d.desc
	}
}

// Collect implements prometheus.Collector. It runs in a goroutine of prometheus', where a panic would end the process: a bug here makes
// the scrape fail, and nothing else.
func (c collector) Collect(out chan<- prometheus.Metric) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("BUG: panic while metrics were gathered: %v\n%s", p, debug.Stack())
			out <- prometheus.NewInvalidMetric(c.defs[0].desc, err)
		}
	}()
	c.fill(c.g, &emitter{out})
}

// emitter turns numbers into metrics of the table (ST1).
type emitter struct {
	out chan<- prometheus.Metric
}

func (e *emitter) find(name string) *Def {
	d := table[name]
	if d == nil {
		panic("stat: not in the table: " + name)
	}
	return d
}

func (e *emitter) num(name string, v float64, labels ...string) {
	d := e.find(name)
	kind := prometheus.GaugeValue
	if d.Kind == Counter {
		kind = prometheus.CounterValue
	}
	e.out <- prometheus.MustNewConstMetric(d.desc, kind, v, labels...)
}

func (e *emitter) flag(name string, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	e.num(name, v, labels...)
}

// seconds shows a histogram with a bucket for each power of two from a microsecond, nearly, to a minute.
func (e *emitter) seconds(name string, s timing.Snapshot, labels ...string) {
	const widest = 36
	le := make(map[float64]uint64, widest-timing.MinExp+1)
	for exp := timing.MinExp; exp <= widest; exp++ {
		le[float64(uint64(1)<<exp)/1e9] = s.Below(exp)
	}
	e.out <- prometheus.MustNewConstHistogram(e.find(name).desc, s.Count, s.Sum.Seconds(), le, labels...)
}

// millis shows the quantiles that Kafka's histograms have.
func (e *emitter) millis(name string, s timing.Snapshot, labels ...string) {
	q := make(map[float64]float64, 6)
	for _, at := range []float64{0.5, 0.75, 0.95, 0.98, 0.99, 0.999} {
		q[at] = float64(s.Quantile(at)) / float64(time.Millisecond)
	}
	e.out <- prometheus.MustNewConstSummary(e.find(name).desc, s.Count, float64(s.Sum)/float64(time.Millisecond), q, labels...)
}

func itoa[T int | int16 | int32](n T) string { return strconv.Itoa(int(n)) }
