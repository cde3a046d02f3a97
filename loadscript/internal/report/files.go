package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Names of the files in the results folder.
const (
	ResultsFile = "results.json"
	SeriesFile  = "series.csv"
	LatencyFile = "latency.hlog"
	EventsFile  = "events.jsonl"
	BenchFile   = "bench.txt"
	JUnitFile   = "junit.xml"
	PageFile    = "report.html"
)

// WriteFiles writes results.json and what is made from it into the folder, which is created if need be. Each file appears whole
// or not at all. series.csv and events.jsonl of a Recorder are left alone: they hold every second, and the results may not.
func WriteFiles(dir string, r *Results) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, f := range []struct {
		name     string
		write    func(io.Writer, *Results) error
		recorded bool // keep a file that is there
	}{
		{ResultsFile, WriteJSON, false}, {SeriesFile, WriteCSV, true}, {EventsFile, WriteEvents, true},
		{BenchFile, WriteBench, false}, {JUnitFile, WriteJUnit, false}, {PageFile, WritePage, false},
	} {
		path := filepath.Join(dir, f.name)
		if _, err := os.Stat(path); f.recorded && err == nil {
			continue
		}
		if err := writeFile(path, r, f.write); err != nil {
			return err
		}
	}
	return nil
}

// ReadResults reads results.json of a results folder (R1).
func ReadResults(dir string) (*Results, error) {
	b, err := os.ReadFile(filepath.Join(dir, ResultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(filepath.Join(dir, SeriesFile)); e == nil {
			return nil, fmt.Errorf("report: the run in %s ended before its %s was written; %s, %s and %s hold what was measured until then",
				dir, ResultsFile, SeriesFile, LatencyFile, EventsFile)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var r Results
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("report: %s is damaged, or no results of loadscript: %w", filepath.Join(dir, ResultsFile), err)
	}
	if r.Schema != SchemaVersion {
		return nil, fmt.Errorf("report: %s has schema %d; this loadscript reads schema %d", filepath.Join(dir, ResultsFile), r.Schema, SchemaVersion)
	}
	return &r, nil
}

// WriteEvents writes events.jsonl.
func WriteEvents(w io.Writer, r *Results) error {
	enc := json.NewEncoder(w)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if err := enc.Encode(eventLine{Scenario: s.Name, At: &s.Started, Event: Event{Kind: "phase", Name: "begin"}}); err != nil {
			return err
		}
		for _, e := range s.Events {
			if err := enc.Encode(eventLine{Scenario: s.Name, Event: e}); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(path string, r *Results, write func(io.Writer, *Results) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error at hand is the one to tell
		}
	}()
	if err = write(f, r); err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("report: writing %s: %w", path, err)
	}
	return nil
}

// WriteJSON writes results.json (R1).
func WriteJSON(w io.Writer, r *Results) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// csvHead names the columns of series.csv. Rates are per second, latencies milliseconds.
var csvHead = []string{
	"scenario", "t_s", "stage", "offered_rate", "handed_rate", "acked_rate", "consume_rate", "errors", "dropped", "in_flight", "lag",
	"produce_p50_ms", "produce_p90_ms", "produce_p99_ms", "produce_p99.9_ms", "produce_max_ms", "service_p99_ms", "delay_p99_ms",
	"e2e_p50_ms", "e2e_p99_ms", "e2e_max_ms", "generator_cores", "generator_rss_bytes", "generator_gc_pause_ms",
	"broker_cores", "broker_rss_bytes", "broker_disk_read", "broker_disk_write", "broker_net_in", "broker_net_out",
}

// WriteCSV writes series.csv: one row per scenario and second. Unknown values are empty; those of brokers are of all together.
func WriteCSV(w io.Writer, r *Results) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHead); err != nil {
		return err
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for _, row := range s.Series {
			if err := out.Write(csvRow(s.Name, s.stageAt(row.TNs-row.WidthNs), row)); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func csvRow(scenario, stage string, row Second) []string {
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	width := max(float64(row.WidthNs)/1e9, 1e-9)
	rate := func(n float64) string { return strconv.FormatFloat(n/width, 'f', 1, 64) }
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	ms := func(q Quantiles, ns int64) string {
		if q.N == 0 {
			return ""
		}
		return f(float64(ns) / 1e6)
	}
	cores := func(v float64) string {
		if v < 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	whole := func(v float64) string {
		if v < 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	all := sumBrokers(row.Brokers)
	p, e := row.Produce, row.E2E
	return []string{
		scenario, strconv.FormatFloat(float64(row.TNs)/1e9, 'f', 3, 64), stage, rate(row.Offered),
		rate(float64(row.Handed)), rate(float64(row.Acked)), rate(float64(row.Delivered)), count(row.Errors), count(row.Dropped),
		count(row.InFlight), count(row.Lag),
		ms(p, p.P50Ns), ms(p, p.P90Ns), ms(p, p.P99Ns), ms(p, p.P999Ns), ms(p, p.MaxNs), ms(row.Service, row.Service.P99Ns),
		ms(row.Delay, row.Delay.P99Ns), ms(e, e.P50Ns), ms(e, e.P99Ns), ms(e, e.MaxNs), cores(row.GenCPU), whole(float64(row.GenRSS)),
		f(float64(row.GCPauseNs) / 1e6), cores(row.BrokerCPU), whole(float64(all.RSS)), whole(all.DiskRead), whole(all.DiskWrite), whole(all.NetIn),
		whole(all.NetOut),
	}
}

// sumBrokers adds up all brokers; what none of them knows stays -1.
func sumBrokers(list []Broker) Broker {
	sum := Broker{ID: -1, CPU: -1, RSS: -1, DiskRead: -1, DiskWrite: -1, NetIn: -1, NetOut: -1, FDs: -1, Goroutines: -1}
	for _, b := range list {
		sum.CPU, sum.RSS = plus(sum.CPU, b.CPU), plus(sum.RSS, b.RSS)
		sum.DiskRead, sum.DiskWrite = plus(sum.DiskRead, b.DiskRead), plus(sum.DiskWrite, b.DiskWrite)
		sum.NetIn, sum.NetOut = plus(sum.NetIn, b.NetIn), plus(sum.NetOut, b.NetOut)
		sum.FDs, sum.Goroutines = plus(sum.FDs, b.FDs), plus(sum.Goroutines, b.Goroutines)
	}
	return sum
}

// plus adds what is known.
func plus[T int64 | float64](a, b T) T {
	if a < 0 || b < 0 {
		return max(a, b)
	}
	return a + b
}

// stageAt names the stage that holds the moment; after the last one it is "drain".
func (s *Scenario) stageAt(ns int64) string {
	for _, st := range s.Stages {
		if ns < st.EndNs {
			return st.Name
		}
	}
	return "drain"
}
