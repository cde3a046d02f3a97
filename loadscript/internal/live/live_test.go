package live

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// running is a run in its second scenario, with a fault in force.
func running() *Metrics {
	m := NewMetrics(&plan.Plan{Script: "x.star", Scenarios: []plan.Scenario{
		{Name: "first"}, {Name: "second", Stages: []plan.Stage{{Name: "before", Duration: time.Second}, {Name: "peak", Duration: time.Minute}}},
	}}, "1.0")
	h := hist.New()
	for range 100 {
		h.Record(3 * time.Millisecond)
	}
	h.Record(40 * time.Millisecond)
	latencies := map[string]*hist.Histogram{"produce.latency": h}
	m.Second(report.Second{}, latencies) // before any scenario: nobody's
	for _, name := range []string{"first", "second"} {
		m.Begin(name, time.Now())
		for i := range 2 {
			m.Second(report.Second{
				TNs: int64(i+1) * 1e9, WidthNs: 1e9, Offered: 1000.5, Handed: 1000, Acked: 101, Errors: 3, Delivered: 90, InFlight: 7, GenCPU: .5, BrokerCPU: -1,
				Lags: map[string]int64{"billing": 12},
			}, latencies)
		}
	}
	healed := report.Event{TNs: 1e8, Kind: "fault", Name: "pause broker 1", Target: "broker 1"}
	m.Event(healed)
	healed.EndNs = 5e8
	m.Event(healed)
	m.Event(report.Event{TNs: 9e8, Kind: "fault", Name: "kill leader", Target: "broker 2"})
	m.Event(report.Event{TNs: 9e8, Kind: "rebalance", Name: "billing"})
	return m
}

// expected is what a reader sees of running.
var expected = []string{
	`streambus_benchmark_info{script="x.star",version="1.0"} 1`,
	`streambus_benchmark_records_total{outcome="acked",scenario="first"} 202`,
	`streambus_benchmark_records_total{outcome="offered",scenario="second"} 2001`,
	`streambus_benchmark_errors_total{scenario="second"} 6`,
	`streambus_benchmark_rate_records{kind="offered",scenario="second"} 1000.5`,
	`streambus_benchmark_in_flight_records{scenario="second"} 7`,
	`streambus_benchmark_lag_records{group="billing",scenario="second"} 12`,
	`streambus_benchmark_stage{scenario="second",stage="peak"} 1`,
	`streambus_benchmark_fault{fault="kill leader",scenario="second",target="broker 2"} 1`,
	`streambus_benchmark_cpu_cores{process="generator",scenario="second"} 0.5`,
	`streambus_benchmark_latency_seconds_bucket{metric="produce.latency",scenario="second",le="0.0025"} 0`,
	`streambus_benchmark_latency_seconds_bucket{metric="produce.latency",scenario="second",le="0.005"} 200`,
	`streambus_benchmark_latency_seconds_bucket{metric="produce.latency",scenario="second",le="+Inf"} 202`,
	`streambus_benchmark_latency_seconds_count{metric="produce.latency",scenario="second"} 202`,
}

// unexpected is what a reader must not see.
var unexpected = []string{`fault="pause`, `rate_records{kind="offered",scenario="first"}`, `process="brokers"`}

func TestScrape(t *testing.T) {
	s, err := Serve("127.0.0.1:0", running())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.Addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %v\n%s", resp.Status, err, body)
	}
	for _, want := range expected {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for _, bad := range unexpected {
		if strings.Contains(string(body), bad) {
			t.Errorf("%s is there", bad)
		}
	}
	if _, err := Serve(s.Addr, running()); err == nil {
		t.Error("two servers on one port")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// decode reads a WriteRequest with protowire and prints its series as the text format does, with labels in the protocol's order.
func decode(t *testing.T, b []byte) (lines []string) {
	t.Helper()
	fields := func(b []byte, see func(protowire.Number, []byte, uint64)) {
		for len(b) > 0 {
			num, kind, n := protowire.ConsumeTag(b)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			b = b[n:]
			var v []byte
			var x uint64
			switch kind {
			case protowire.BytesType:
				v, n = protowire.ConsumeBytes(b)
			case protowire.VarintType:
				x, n = protowire.ConsumeVarint(b)
			case protowire.Fixed64Type:
				x, n = protowire.ConsumeFixed64(b)
			}
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			b = b[n:]
			see(num, v, x)
		}
	}
	fields(b, func(_ protowire.Number, series []byte, _ uint64) {
		name, before, value := "", "", 0.0
		var labels []string
		fields(series, func(num protowire.Number, part []byte, _ uint64) {
			if num == 2 {
				fields(part, func(num protowire.Number, _ []byte, x uint64) {
					if num == 1 {
						value = math.Float64frombits(x)
					} else if at := time.UnixMilli(int64(x)); time.Since(at).Abs() > time.Hour {
						t.Errorf("a sample of %v", at)
					}
				})
				return
			}
			var pair [2]string
			fields(part, func(num protowire.Number, v []byte, _ uint64) { pair[num-1] = string(v) })
			if pair[0] <= before {
				t.Errorf("label %s after %s", pair[0], before)
			}
			switch before = pair[0]; pair[0] {
			case "__name__":
				name = pair[1]
			case "job", "instance":
			default:
				labels = append(labels, fmt.Sprintf("%s=%q", pair[0], pair[1]))
			}
		})
		lines = append(lines, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), value))
	})
	return lines
}

func TestRemoteWrite(t *testing.T) {
	var mu sync.Mutex
	var got [][]byte
	refuse := false
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			http.Error(w, "out of order sample", http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			body, err = snappy.Decode(nil, body)
		}
		if err != nil || r.Header.Get("X-Prometheus-Remote-Write-Version") != "0.1.0" || r.Header.Get("Content-Encoding") != "snappy" {
			t.Errorf("%v, headers %v", err, r.Header)
		}
		got = append(got, body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	p, err := NewPusher(receiver.URL+"/api/v1/write", running(), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d requests, want the last one", len(got))
	}
	lines := "\n" + strings.Join(decode(t, got[0]), "\n") + "\n"
	for _, want := range expected {
		if !strings.Contains(lines, "\n"+want+"\n") && !strings.Contains(want, "le=") {
			t.Errorf("no %s in%s", want, lines)
		}
	}
	if !strings.Contains(lines, `streambus_benchmark_latency_seconds_bucket{le="0.005",metric="produce.latency",scenario="second"} 200`) || !strings.Contains(lines, `streambus_benchmark_latency_seconds_sum`) {
		t.Errorf("no histogram in%s", lines)
	}

	refuse = true
	if p, err = NewPusher(receiver.URL, running(), func(error) {}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err == nil || !strings.Contains(err.Error(), "400 Bad Request out of order sample (1 of 1 requests failed)") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestRemoteWriteWantsAURL(t *testing.T) {
	for _, bad := range []string{"", "prometheus:9090", "ftp://x/y", "http://"} {
		if _, err := NewPusher(bad, running(), nil); err == nil || !strings.Contains(err.Error(), "http://prometheus:9090/api/v1/write") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
