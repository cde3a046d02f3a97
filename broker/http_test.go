package broker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/engine/disk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const anyHTTP = "http.listeners=http://127.0.0.1:0"

// get asks the broker's HTTP listener.
func get(t *testing.T, addr net.Addr, path string) (code int, body string) {
	t.Helper()
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// value reads one sample, by its name and labels as they are printed.
func value(t *testing.T, metrics, sample string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + ` (\S+)$`).FindStringSubmatch(metrics)
	if m == nil {
		t.Errorf("there is no %s", sample)
		return ""
	}
	return m[1]
}

func TestMetricsSayWhatHappened(t *testing.T) {
	b := start(t, t.TempDir(), anyHTTP)
	c := b.client(kgo.DefaultProduceTopic("a"), kgo.AllowAutoTopicCreation())
	for range 3 {
		if err := c.ProduceSync(t.Context(), kgo.StringRecord("0123456789")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	consumer := b.client(kgo.ConsumeTopics("a"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if n := len(consumer.PollFetches(within(t, 10*time.Second)).Records()); n == 0 {
		t.Fatal("nothing was consumed")
	}
	adm := b.admin()
	var offsets kadm.Offsets
	offsets.AddOffset("a", 0, 1, -1)
	if err := adm.CommitAllOffsets(t.Context(), "g", offsets); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopics(t.Context(), "none"); err != nil {
		t.Fatal(err)
	}
	if err := adm.CommitAllOffsets(t.Context(), "bad \xff", offsets); err != nil { // no name for a label
		t.Fatal(err)
	}
	_, own := get(t, b.HTTPAddr(), "/metrics")
	for sample, want := range map[string]string{
		`streambus_produced_records_total{topic="a"}`:                                          "3",
		`streambus_partition_end_offset{partition="0",topic="a"}`:                              "3",
		`streambus_requests_total{api="Produce"}`:                                              "3",
		`streambus_request_seconds_count{api="Produce"}`:                                       "3",
		`streambus_requests_in_flight{api="Produce"}`:                                          "0",
		`streambus_request_errors_total{api="DeleteTopics",code="UNKNOWN_TOPIC_OR_PARTITION"}`: "1",
		`streambus_up_state{state="ready"}`:                                                    "1",
		`streambus_disk_failed`:                                                                "0",
		`streambus_ready`:                                                                      "1",
		`streambus_connection_panics_total`:                                                    "0",
		`streambus_requests_malformed_total`:                                                   "0",
		`streambus_group_series_left_out`:                                                      "1",
		`streambus_damaged_stretches`:                                                          "0",
		`streambus_connections_limit`:                                                          "10000",
	} {
		if got := value(t, own, sample); got != want {
			t.Errorf("%s is %s, want %s", sample, got, want)
		}
	}
	for _, sample := range []string{`streambus_fetched_bytes_total{topic="a"}`, `streambus_commit_groups_total{durability="fsync"}`, `streambus_received_bytes_total`,
		`streambus_commit_seconds_count{durability="fsync"}`, `streambus_disk_free_bytes`, `streambus_connections`, `go_goroutines`, `process_open_fds`} {
		if got := value(t, own, sample); got == "0" {
			t.Errorf("%s is 0", sample)
		}
	}
	_, kafka := get(t, b.HTTPAddr(), "/metrics/kafka")
	for sample, want := range map[string]string{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="a"}`:                   "3",
		`kafka_topic_partition_current_offset{partition="0",topic="a"}`:                 "3",
		`kafka_topic_partition_oldest_offset{partition="0",topic="a"}`:                  "0",
		`kafka_consumergroup_current_offset{consumergroup="g",partition="0",topic="a"}`: "1",
		`kafka_consumergroup_lag{consumergroup="g",partition="0",topic="a"}`:            "2",
		`kafka_consumergroup_lag_sum{consumergroup="g",topic="a"}`:                      "2",
		`kafka_server_brokertopicmetrics_totalproducerequests_total`:                    "3",
		`kafka_brokers`: "1",
		`kafka_server_replicamanager_underreplicatedpartitions`: "0",
		`kafka_server_kafkaserver_brokerstate`:                  "3",
	} {
		if got := value(t, kafka, sample); got != want {
			t.Errorf("%s is %s, want %s", sample, got, want)
		}
	}
	everyNameIsDocumented(t, own+kafka)
}

// everyNameIsDocumented: what is served stands in docs/METRICS.md with its type, and what stands there without depending on luck is served.
func everyNameIsDocumented(t *testing.T, metrics string) {
	t.Helper()
	docs, err := os.ReadFile("../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(metrics, -1) {
		served[m[1]] = true
		if strings.HasPrefix(m[1], "go_") || strings.HasPrefix(m[1], "process_") {
			continue
		}
		if !strings.Contains(string(docs), fmt.Sprintf("| `%s` | %s |", m[1], m[2])) {
			t.Errorf("%s (%s) is served and not documented", m[1], m[2])
		}
	}
	for _, d := range append(append([]*stat.Def{}, stat.Own...), stat.Kafka...) {
		if !served[d.Name] {
			t.Errorf("%s is documented and not served", d.Name)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	b := start(t, t.TempDir(), anyHTTP)
	if code, body := get(t, b.HTTPAddr(), "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	code, body := get(t, b.HTTPAddr(), "/readyz")
	var r struct {
		Ready   bool
		State   string
		Reasons []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != 200 || !r.Ready || r.State != "ready" || len(r.Reasons) != 0 {
		t.Errorf("readyz: %d %s, %v", code, body, err)
	}
	if code, _ := get(t, b.HTTPAddr(), "/debug/pprof/"); code != 404 {
		t.Errorf("pprof is off, and answered with %d", code)
	}
	if code, _ := get(t, start(t, t.TempDir(), anyHTTP, "http.pprof.enable=true").HTTPAddr(), "/debug/pprof/heap"); code != 200 {
		t.Errorf("pprof is on, and answered with %d", code)
	}
}

// TestFailedDiskIsTold: neither healthy nor ready once a write has failed.
func TestFailedDiskIsTold(t *testing.T) {
	var broken atomic.Bool
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, _ string) error {
		if broken.Load() && op == "sync" {
			return errExpected
		}
		return nil
	})
	b := startWith(t, broker.Options{FS: fs}, "/data", anyHTTP)
	c := b.client(kgo.DefaultProduceTopic("a"), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(time.Second))
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	_ = c.ProduceSync(within(t, 2*time.Second), kgo.StringRecord("lost")) // it fails, or waits for a broker that is better
	if code, body := get(t, b.HTTPAddr(), "/healthz"); code != 503 || !strings.Contains(body, "restart") {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get(t, b.HTTPAddr(), "/readyz"); code != 503 || !strings.Contains(body, "disk_failed") {
		t.Errorf("readyz: %d %q", code, body)
	}
	if _, m := get(t, b.HTTPAddr(), "/metrics"); value(t, m, "streambus_disk_failed") != "1" {
		t.Error("the metrics do not say so")
	}
}

// TestHTTPOnOtherAddresses: an address that was chosen must be had, and must be loopback or be said to be safe.
func TestHTTPOnOtherAddresses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct {
		set, says string
		code      int
	}{
		{"http.listeners=http://" + busy.Addr().String(), "--set http.listeners=", 1},
		{"http.listeners=http://0.0.0.0:0", "--insecure", 78},
	} {
		_, stderr, code := output(t, nil, "broker", "--data-dir", t.TempDir(), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", c.set)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d:\n%s", c.set, code, c.code, stderr)
		}
	}
}

// TestProcessDrainsWithHTTP: the listener of a real process is there until the end and goes with it.
func TestProcessDrainsWithHTTP(t *testing.T) {
	p := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0", anyHTTP)
	p.waitReady()
	m := regexp.MustCompile(`health and metrics are served.* http=(\S+)`).FindStringSubmatch(p.stderr.String())
	if m == nil {
		t.Fatalf("it does not say where:\n%s", p.stderr)
	}
	addr, err := net.ResolveTCPAddr("tcp", m[1])
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, addr, "/readyz"); code != 200 {
		t.Errorf("readyz: %d", code)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
}

// TestDefaultPortTaken: a port that nobody chose keeps no broker from starting.
func TestDefaultPortTaken(t *testing.T) {
	if ln, err := net.Listen("tcp", "127.0.0.1:9644"); err == nil {
		defer ln.Close()
	} // else it is taken already
	p := spawn(t, "broker", "--data-dir", t.TempDir(), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "commit.log.file.bytes=2097152", "--set", "commit.log.files=2")
	p.waitReady()
	if !strings.Contains(p.stderr.String(), "no health and no metrics are served") {
		t.Errorf("it says nothing of that:\n%s", p.stderr)
	}
}

// TestReadyOnlyAfterRecovery: the listener is there before the data directory is looked at, and says so.
func TestReadyOnlyAfterRecovery(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 1000)
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, _ string) error {
		if op == "readdir" {
			select {
			case held <- struct{}{}:
			default:
			}
			<-hold
		}
		return nil
	})
	port := freePort(t)
	set := append(append([]string{}, small...), "listeners=PLAINTEXT://127.0.0.1:0", fmt.Sprintf("http.listeners=http://127.0.0.1:%d", port))
	c, err := config.Load(config.Sources{DataDir: "/data", Set: set})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan *broker.Broker, 1)
	go func() { // ends when hold is closed; waited for below
		b, err := broker.New(t.Context(), broker.Options{Config: c, FS: fs, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Error(err)
		}
		started <- b
	}()
	<-held
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	code, body := get(t, addr, "/readyz")
	if code != 503 || !strings.Contains(body, `"recovering"`) || !strings.Contains(body, "group_commits_replayed") {
		t.Errorf("readyz during recovery: %d %s", code, body)
	}
	if code, _ := get(t, addr, "/healthz"); code != 200 {
		t.Errorf("healthz during recovery: %d", code)
	}
	if _, m := get(t, addr, "/metrics"); value(t, m, `streambus_up_state{state="recovering"}`) != "1" {
		t.Error("the metrics do not say that it recovers")
	}
	close(hold)
	b := <-started
	if b == nil {
		return
	}
	if code, body := get(t, addr, "/readyz"); code != 200 {
		t.Errorf("readyz after recovery: %d %s", code, body)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr.String()); err == nil {
		conn.Close()
		t.Error("HTTP is served after Close")
	}
}

// TestScrapesDuringClose: whoever scrapes while the broker goes down gets whole answers or none, and disturbs nobody.
func TestScrapesDuringClose(t *testing.T) {
	b := start(t, t.TempDir(), anyHTTP)
	c := b.client(kgo.DefaultProduceTopic("a"), kgo.AllowAutoTopicCreation())
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	scraped, first := make(chan int), make(chan struct{})
	go func() { // ends when HTTP does; waited for below
		n := 0
		for ; ; n++ {
			path := []string{"/metrics", "/metrics/kafka", "/readyz"}[n%3]
			resp, err := http.Get("http://" + b.HTTPAddr().String() + path)
			if err != nil {
				break
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && path != "/readyz" && (resp.StatusCode != 200 || strings.Contains(string(body), "BUG")) {
				t.Errorf("%s: %d\n%.500s", path, resp.StatusCode, body)
			}
			if n == 3 {
				close(first)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		scraped <- n
	}()
	<-first
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if n := <-scraped; n < 4 {
		t.Errorf("%d scrapes", n)
	}
}
