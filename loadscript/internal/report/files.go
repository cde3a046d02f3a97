package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Names of the files in the results folder.
const (
	ResultsFile = "results.json"
	SeriesFile  = "series.csv"
	PageFile    = "report.html"
)

// WriteFiles writes results.json, series.csv and report.html into the folder, which is created if need be. Each file appears
// whole or not at all.
func WriteFiles(dir string, r *Results) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer, *Results) error
	}{{ResultsFile, WriteJSON}, {SeriesFile, WriteCSV}, {PageFile, WritePage}} {
		if err := writeFile(filepath.Join(dir, f.name), r, f.write); err != nil {
			return err
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
	"e2e_p50_ms", "e2e_p99_ms", "e2e_max_ms", "generator_cores", "broker_cores",
}

// WriteCSV writes series.csv: one row per scenario and second. Unknown values are empty.
func WriteCSV(w io.Writer, r *Results) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHead); err != nil {
		return err
	}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for _, row := range s.Series {
			if err := out.Write(csvRow(s, row)); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func csvRow(s *Scenario, row Second) []string {
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
	p, e := row.Produce, row.E2E
	return []string{
		s.Name, strconv.FormatFloat(float64(row.TNs)/1e9, 'f', 3, 64), s.stageAt(row.TNs - row.WidthNs), rate(row.Offered),
		rate(float64(row.Handed)), rate(float64(row.Acked)), rate(float64(row.Delivered)), count(row.Errors), count(row.Dropped),
		count(row.InFlight), count(row.Lag),
		ms(p, p.P50Ns), ms(p, p.P90Ns), ms(p, p.P99Ns), ms(p, p.P999Ns), ms(p, p.MaxNs), ms(row.Service, row.Service.P99Ns),
		ms(row.Delay, row.Delay.P99Ns), ms(e, e.P50Ns), ms(e, e.P99Ns), ms(e, e.MaxNs), cores(row.GenCPU), cores(row.BrokerCPU),
	}
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
