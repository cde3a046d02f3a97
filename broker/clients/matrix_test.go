//go:build clients

package clients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	peerKind = flag.String("peer", "streambus", "what the clients talk to: `streambus`, or kafka to try the tests themselves")
	onlyRows = flag.String("rows", "", "run the rows that match this `regexp` only")
	record   = flag.Bool("record", false, "write docs/CLIENTS.md; needs all rows and StreamBus as the peer")
)

// rowLimit bounds what one client may take: clients wait for ever for some answers.
const rowLimit = 150 * time.Second

// row is one client.
type row struct {
	name     string
	from     string // where it comes from
	cells    []cell
	run      func(*run) error // an error is a program that broke; cells without a result then fail with it
	optional string           // why it may be missing
}

var rows = []row{
	{name: "kcat", from: "Debian", cells: features, run: runKcat},
	{name: "franz-go", from: "go.mod", cells: features, run: runFranz},
	{name: "Java 3.9", from: "Maven", cells: features, run: runJava("kafka-3")},
	{name: "Java 4.3", from: "Maven", cells: features, run: runJava("kafka-4")},
	{name: "librdkafka", from: "PyPI: confluent-kafka", cells: features, run: runPython("confluent.py")},
	{name: "kafka-python", from: "PyPI", cells: features, run: runPython("kafka_python.py")},
	{name: "kafkajs", from: "npm", cells: features, run: runNode},
	{name: "Sarama", from: "Go module", cells: features, run: runSarama("default")},
	{name: "Sarama max", from: "Go module", cells: features, run: runSarama("max")},
	{name: "Kafka's tools", from: "Maven", cells: tools, run: runTools},
	{name: "Kafka Streams", from: "Maven", cells: streams, run: runStreams},
}

// outcome is what became of a cell: "pass", "fail" or "n.a.", and why.
type outcome struct{ is, why string }

// run is a row under way.
type run struct {
	t        *testing.T
	ctx      context.Context
	peer     *peer
	prefix   string // of topics, groups and transactional IDs
	version  string
	outcomes map[string]outcome
}

// report notes a cell's outcome, once.
func (r *run) report(cell, is, why string) {
	if old, ok := r.outcomes[cell]; ok && old.is == "fail" {
		return
	}
	r.outcomes[cell] = outcome{is, strings.TrimSpace(why)}
}

// try runs a cell that is written in Go.
func (r *run) try(cell string, do func() error) {
	start := time.Now()
	if err := do(); err != nil {
		r.report(cell, "fail", err.Error())
	} else {
		r.report(cell, "pass", "")
	}
	r.t.Logf("%-26s %s %s (%.1fs)", cell, r.outcomes[cell].is, r.outcomes[cell].why, time.Since(start).Seconds())
}

// result is a row that has been run.
type result struct {
	row
	version  string
	outcomes map[string]outcome
	calls    map[call]int
}

func TestClients(t *testing.T) {
	only := regexp.MustCompile(*onlyRows)
	p := startPeer(t, *peerKind)
	checkNotServed(t, p)
	var results []result
	for i, row := range rows {
		if !only.MatchString(row.name) {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			if !p.alive() {
				t.Fatalf("%s is gone:\n%s", p.name, p.logs)
			}
			res := runRow(t, p, row, fmt.Sprintf("r%d-", i))
			judge(t, res)
			results = append(results, res)
		})
	}
	for _, bug := range p.logs.bugs {
		t.Errorf("the broker found a bug in itself: %s", bug)
	}
	if *record {
		if len(results) != len(rows) || *peerKind != "streambus" {
			t.Fatal("-record needs all rows and StreamBus")
		}
		if err := os.WriteFile("../../docs/CLIENTS.md", document(results), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func runRow(t *testing.T, p *peer, w row, prefix string) result {
	ctx, cancel := context.WithTimeout(t.Context(), rowLimit)
	defer cancel()
	r := &run{t: t, ctx: ctx, peer: p, prefix: prefix, outcomes: map[string]outcome{}}
	p.proxy.take()
	start := time.Now()
	err := w.run(r)
	calls, hungUp := p.proxy.take()
	if err != nil {
		t.Logf("the program: %v", err)
	}
	for _, c := range w.cells {
		if w.optional != "" && errors.Is(err, errNotInstalled) {
			r.report(c.name, "n.a.", fmt.Sprintf("%v (optional: %s)", err, w.optional))
		}
		if _, ok := r.outcomes[c.name]; !ok {
			r.report(c.name, "fail", fmt.Sprintf("no result: %v", err))
		}
	}
	if w.cells[0].name == features[0].name {
		lookAtBatches(r)
		lookAtCalls(r, calls)
	}
	for c, n := range hungUp {
		t.Logf("%s closed %d connections after a request %s", p.name, n, c)
	}
	if len(hungUp) > 0 {
		logs := p.logs.String()
		t.Logf("its log ends with:\n%s", logs[max(0, len(logs)-2000):])
	}
	t.Logf("%s %s: %.0f s", w.name, r.version, time.Since(start).Seconds())
	return result{w, r.version, r.outcomes, calls}
}

// judge compares with what is expected, in both directions.
func judge(t *testing.T, res result) {
	for _, c := range res.cells {
		got, want := res.outcomes[c.name], expected(*peerKind, res.name, c)
		switch {
		case got.is == "fail" && want == "":
			t.Errorf("%s: %s", c.name, got.why)
		case got.is == "fail" && want != "":
			t.Logf("%s fails as expected (%s): %s", c.name, want, got.why)
			res.outcomes[c.name] = outcome{"expected", want}
		case got.is == "pass" && want != "":
			t.Errorf("%s passes, and was expected to fail (%s): take that out of expect_test.go", c.name, want)
		}
	}
	for name := range res.outcomes {
		if !slices.ContainsFunc(res.cells, func(c cell) bool { return c.name == name }) {
			t.Errorf("a result for %q, which is no cell of this row", name)
		}
	}
}

// checkNotServed asks the broker what it serves, and fails when a key is served and still listed as missing.
func checkNotServed(t *testing.T, p *peer) {
	if *peerKind != "streambus" {
		return
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(p.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	served, err := kadm.NewClient(c).ApiVersions(t.Context())
	if err != nil || len(served) != 1 {
		t.Fatalf("what is served: %v, %v", served, err)
	}
	for key, name := range notServed {
		for _, broker := range served {
			if _, max, ok := broker.KeyVersions(key); ok {
				t.Errorf("%s is served up to version %d: take %d out of notServed", name, max, key)
			}
		}
	}
}

func (c call) name() string { return kmsg.NameForKey(c.key) }

func (c call) String() string {
	return fmt.Sprintf("%s (%d) v%d", c.name(), c.key, c.version)
}

// installed is where install.sh puts things.
func installed() string {
	dir, err := filepath.Abs("../../bin/clients")
	if err != nil {
		panic(err)
	}
	return dir
}
