package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocumentIsCurrent: what is in docs/ is what the results on record say.
func TestDocumentIsCurrent(t *testing.T) {
	files, err := documents("../../bench/results")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../docs", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what bench/results say (%v): run make docs", name, err)
		}
	}
	plots, err := filepath.Glob("../../docs/benchmarks-*.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plots {
		if files[filepath.Base(p)] == nil {
			t.Errorf("%s is of no result any more: remove it", p)
		}
	}
}

// record writes a run with these lines, and gives its name.
func record(t *testing.T, dir, file, date string, lines ...string) string {
	t.Helper()
	name := filepath.Join(dir, file)
	text := "commit: c-" + file + "\ndate: " + date + "\npkg: example.com/bench\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTargetsAreJudgedByTheNewestRun(t *testing.T) {
	dir := t.TempDir()
	const bench = "BenchmarkE2E_Latency/durability=fsync/record=100B/rate=10000/partitions=4-2 7 "
	record(t, dir, "b-old.txt", "2026-01-01T00:00:00Z", bench+"1000 p50-us 1000 p95-us 1000 p99-us")
	record(t, dir, "a-new.txt", "2026-01-02T00:00:00Z", bench+"5000 p50-us 7000 p95-us 8000 p99-us 0.5 cores",
		bench+"6000 p50-us", bench+"9000 p50-us") // of several lines the median counts
	files, err := documents(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["BENCHMARKS.md"])
	for _, want := range []string{
		"| end-to-end latency p50 < 5 ms | **6.00, missed** | not measured | not measured |",
		"| end-to-end latency p95 < 20 ms | 7.00 | not measured | not measured |",
		"| end-to-end latency p99.9 < 100 ms | not measured |",
		"| broker's CPU at 10,000 msgs/s < 1 cores | 0.50 |",
		"c-a-new.txt",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("without %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "b-old") {
		t.Error("the older run is still shown")
	}
}

func TestAnOutcomeThatIsNotGoodStandsBesideItsFigures(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, "l.txt", "2026-01-01T00:00:00Z", "outcome: a threshold failed", "BenchmarkLoad/scenario=a/stage=all 5 2000000 p50-ns", "outcome: passed", "BenchmarkLoad/scenario=b/stage=all 5 7 records/s")
	files, err := documents(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["BENCHMARKS.md"])
	if !strings.Contains(text, "| scenario=a/stage=all (a threshold failed) | | 2000 |") || !strings.Contains(text, "| scenario=b/stage=all | 7.00 | |") {
		t.Errorf("the table is\n%s", text)
	}
}

func TestPeersThatWinAreBold(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, "p.txt", "2026-01-01T00:00:00Z",
		"BenchmarkPeer/measure=produce-MB_s/driver=x/better=more/peer=kafka/streambus=fsync-2 3 50 streambus 100 peer 0.5 x-peer 0.4 x-peer:min 0.6 x-peer:max",
		"BenchmarkPeer/measure=p99-us/driver=x/better=less/peer=kafka/streambus=fsync-2 3 50 streambus 100 peer 0.5 x-peer 0.4 x-peer:min 0.6 x-peer:max")
	files, err := documents(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := string(files["BENCHMARKS.md"])
	if !strings.Contains(text, "| produced, MB/s | x | kafka | fsync | 50.0 | 100 | **0.5 (0.4 to 0.6)** | more |") || !strings.Contains(text, "| p99-us | x | kafka | fsync | 50.0 | 100 | 0.5 (0.4 to 0.6) | less |") {
		t.Errorf("the table is\n%s", text)
	}
}

func TestPeersArePlottedLikeForLikeAndMoreIsBetter(t *testing.T) {
	values := map[string]float64{"x-peer": 0.5, "x-peer:min": 0.25, "x-peer:max": 1}
	for name, want := range map[string]bar{
		"Peer/measure=start-s/driver=all/better=less/peer=kafka-flush/streambus=fsync":             {label: "start, kafka-flush", value: 2, lo: 1, hi: 4},
		"Peer/measure=produce-MB_s/driver=client/better=more/peer=nats/streambus=page-cache":       {label: "produced, nats", value: 0.5, lo: 0.25, hi: 1},
		"Peer/measure=produce-MB_s/driver=client/better=more/peer=kafka/streambus=fsync":           {},
		"Peer/measure=produce-MB_s/driver=client/better=more/peer=nats-sync/streambus=page-cache":  {},
		"Peer/measure=ack-p50-us/driver=loadscript/better=less/peer=kafka/streambus=page-cache":    {},
		"Peer/measure=produce-MiB_s/driver=kafka-x/better=more/peer=kafka/streambus=page-cache":    {label: "produced, kafka, by Kafka's tool", value: 0.5, lo: 0.25, hi: 1},
		"Peer/measure=rate-CPU-s_Mrecord/driver=client/better=more/peer=nats/streambus=page-cache": {label: "CPU at 2,000 records/s, nats", value: 0.5, lo: 0.25, hi: 1},
	} {
		if got, ok := likeForLike(result{name: name, values: values}); got != want || ok != (want != bar{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestNamesAreInTheOrderOfTheirQuantities(t *testing.T) {
	want := []string{"A/p=1", "A/p=8", "A/p=64", "A/record=100B", "A/record=1KiB", "A/record=10KiB", "A/record=10KiB/io=sync", "B"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, byQuantity)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if byQuantity("x=01", "x=1") == 0 || byQuantity("x=1", "x=1") != 0 {
		t.Error("names that differ are the same, or one name is not")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"compare", "-h"}} {
		var out bytes.Buffer
		if err := run(args, &out, io.Discard); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "benchreport compare [-margin") {
			t.Errorf("%q: %v, %q", args, err, out.String())
		}
	}
}

func TestReportHoldsAllFiguresAndNoLinks(t *testing.T) {
	dir := t.TempDir()
	in := record(t, dir, "r.txt", "2026-01-01T00:00:00Z", "BenchmarkA_B/x=<1>-2 7 12.5 MB/s 333 p99-us 0.7 x-sink 0.6 x-sink:min 0.8 x-sink:max", "BenchmarkA_B/x=2-2 7 2000 MB/s")
	if err := run([]string{"report", "-o", dir, in}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(filepath.Join(dir, "benchmarks.html"))
	if err != nil {
		t.Fatal(err)
	}
	md, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12.5", "333", "0.70", "2000", "<svg", "c-r.txt"} {
		if !bytes.Contains(html, []byte(want)) || !bytes.Contains(md, []byte(want)) {
			t.Errorf("%q is missing", want)
		}
	}
	if bytes.Contains(html, []byte("x=<1>")) || bytes.Contains(html, []byte("src=")) || bytes.Count(html, []byte("href=")) != bytes.Count(html, []byte(`href="#`)) {
		t.Error("the page has a name that is not escaped, or a link to elsewhere")
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	for _, p := range []plot{
		{title: "a < b & c", unit: "ms", bars: []bar{{label: "<x>", value: 3, lo: 1, hi: 5, mark: 10}, {label: "0", value: 0}}},
		{title: "wide", unit: "s", line: 1, bars: []bar{{label: "a", value: 0.001}, {label: "b", value: 1000}}},
	} {
		d := xml.NewDecoder(strings.NewReader(p.svg()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.title, err)
			}
		}
	}
	if p := (&plot{}); p.svg() != "" {
		t.Error("a plot of nothing was drawn")
	}
}

func TestUnreadableResultsAreErrors(t *testing.T) {
	in := record(t, t.TempDir(), "r.txt", "2026-01-01T00:00:00Z", "BenchmarkA-2 7 twelve MB/s")
	if _, err := readFiles([]string{in}); err == nil || !strings.Contains(err.Error(), "r.txt:4") {
		t.Errorf("got %v", err)
	}
}
