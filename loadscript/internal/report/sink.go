package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// logInterval is how long an interval of latency.hlog is: a second, or for scenarios of more than an hour ten, since an
// interval takes some kilobytes.
func logInterval(s *plan.Scenario) time.Duration {
	if s != nil && s.Duration() > time.Hour {
		return 10 * time.Second
	}
	return time.Second
}

// Recorder is the Sink that appends to series.csv, latency.hlog and events.jsonl in a results folder while the run goes. What
// was written is there whatever becomes of the process: each second goes to the files as a whole. A file that cannot be written
// is given up at its first error, the others go on; Close tells. Its methods are called from one goroutine at a time.
type Recorder struct {
	plan   *plan.Plan
	series *appender
	hlog   *appender
	events *appender

	scenario string
	planned  *plan.Scenario // of the scenario; nil if the plan does not know it
	started  time.Time
	rows     int64
	log      *hist.Log
	open     map[string]*hist.Histogram // latencies of the open interval, by metric
	begin    time.Duration              // of the open interval
	every    time.Duration
}

// NewRecorder creates the files in the folder, which must exist. Files of an earlier run in it are emptied.
func NewRecorder(dir string, p *plan.Plan) (*Recorder, error) {
	r := &Recorder{plan: p}
	for _, f := range []struct {
		name string
		to   **appender
	}{{SeriesFile, &r.series}, {LatencyFile, &r.hlog}, {EventsFile, &r.events}} {
		a, err := newAppender(filepath.Join(dir, f.name))
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		*f.to = a
	}
	r.series.do(func(w io.Writer) error { return writeCSVRow(w, csvHead) })
	return r, nil
}

// Begin starts a scenario.
func (r *Recorder) Begin(scenario string, started time.Time) {
	r.closeInterval(0)
	r.scenario, r.started, r.planned = scenario, started, Planned(r.plan, scenario)
	r.every, r.begin, r.open = logInterval(r.planned), 0, map[string]*hist.Histogram{}
	if r.log == nil {
		r.hlog.do(func(w io.Writer) (err error) {
			r.log, err = hist.NewLog(w, started)
			return err
		})
	}
	r.event(eventLine{Scenario: scenario, At: &started, Event: Event{Kind: "phase", Name: "begin"}})
}

// Second appends a row, and the latencies by metric.
func (r *Recorder) Second(row Second, latencies map[string]*hist.Histogram) {
	r.rows++
	stage := ""
	if r.planned != nil {
		stage = PlannedStage(r.planned, time.Duration(row.TNs-row.WidthNs))
	}
	r.series.do(func(w io.Writer) error { return writeCSVRow(w, csvRow(r.scenario, stage, row)) })
	for metric, h := range latencies {
		if h.Count() == 0 {
			continue
		}
		if r.open[metric] == nil {
			r.open[metric] = hist.New()
		}
		r.open[metric].Merge(h)
	}
	if end := time.Duration(row.TNs); end-r.begin >= r.every-r.every/10 {
		r.closeInterval(end)
	}
}

// closeInterval writes what is open, in the metrics' order of names. end 0: as long as an interval is.
func (r *Recorder) closeInterval(end time.Duration) {
	if end == 0 {
		end = r.begin + r.every
	}
	var metrics []string
	for m, h := range r.open {
		if h.Count() > 0 {
			metrics = append(metrics, m)
		}
	}
	slices.Sort(metrics)
	for _, m := range metrics {
		if r.log != nil {
			r.hlog.do(func(io.Writer) error { return r.log.Write(m, r.started.Add(r.begin), r.started.Add(end), r.open[m]) })
		}
		r.open[m].Reset()
	}
	r.begin = end
}

// Planned is the scenario of the plan that a sink is told of; nil if the plan has none. The probes of find_max_rate are told as
// "NAME at RATE".
func Planned(p *plan.Plan, name string) *plan.Scenario {
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if s.Name == name || s.Executor != nil && strings.HasPrefix(name, s.Name+" at ") {
			return s
		}
	}
	return nil
}

// PlannedStage names the stage that holds the moment; "drain" after the last.
func PlannedStage(s *plan.Scenario, at time.Duration) string {
	if s.Executor != nil {
		return s.Executor.Kind
	}
	if at >= s.Duration() {
		return "drain"
	}
	if i := plan.StageAt(s.Stages, at); i >= 0 {
		return s.Stages[i].Name
	}
	return "drain"
}

// eventLine is a line of events.jsonl.
type eventLine struct {
	Scenario string     `json:"scenario"`
	At       *time.Time `json:"at,omitempty"` // kind "phase", name "begin": when t_ns is 0
	Event
}

// Event appends a line to events.jsonl.
func (r *Recorder) Event(e Event) { r.event(eventLine{Scenario: r.scenario, Event: e}) }

func (r *Recorder) event(l eventLine) {
	r.events.do(func(w io.Writer) error { return json.NewEncoder(w).Encode(l) })
}

// Rows is how many seconds were written.
func (r *Recorder) Rows() int64 { return r.rows }

// Close ends the files and returns what kept any of them from being whole.
func (r *Recorder) Close() error {
	r.closeInterval(0)
	var errs []error
	for _, a := range []*appender{r.series, r.hlog, r.events} {
		if a != nil {
			errs = append(errs, a.close())
		}
	}
	return errors.Join(errs...)
}

// appender is a file that grows. Its first error is its last.
type appender struct {
	f   *os.File
	w   *bufio.Writer
	err error
}

func newAppender(path string) (*appender, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &appender{f: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

// do lets write add something and hands it to the operating system.
func (a *appender) do(write func(io.Writer) error) {
	if a.err != nil {
		return
	}
	if a.err = write(a.w); a.err == nil {
		a.err = a.w.Flush()
	}
}

func (a *appender) close() error {
	if err := a.f.Close(); a.err == nil {
		a.err = err
	}
	if a.err != nil {
		return fmt.Errorf("report: writing %s: %w", a.f.Name(), a.err)
	}
	return nil
}

func writeCSVRow(w io.Writer, row []string) error {
	out := csv.NewWriter(w)
	if err := out.Write(row); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// Tee is a Sink that passes everything on, in order.
type Tee []Sink

// Begin passes on.
func (t Tee) Begin(scenario string, started time.Time) {
	for _, s := range t {
		s.Begin(scenario, started)
	}
}

// Second passes on.
func (t Tee) Second(row Second, latencies map[string]*hist.Histogram) {
	for _, s := range t {
		s.Second(row, latencies)
	}
}

// Event passes on.
func (t Tee) Event(e Event) {
	for _, s := range t {
		s.Event(e)
	}
}
