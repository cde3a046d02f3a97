package drive

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// brokers measures the cluster's processes once a second: those of this machine by procfs, and StreamBus brokers also by their
// /metrics, wherever they are.
type brokers struct {
	pids  func() map[int32]int // nil: none is known
	https map[int32]string     // host:port
	procs map[int32]*process
	http  http.Client

	mu     sync.Mutex
	told   map[int32]exposed // by /metrics; guarded by mu
	before map[int32]exposed // the answers before those
}

// exposed is what a broker's /metrics said.
type exposed struct {
	at               time.Time
	received, sent   float64 // bytes since it started
	cpu              float64 // seconds
	rss, fds, gorout float64
}

// scrapeLimit bounds how long /metrics may take, and how much of it is read.
const (
	scrapeLimit = 900 * time.Millisecond
	scrapeBytes = 16 << 20
)

func newBrokers(opts Options) *brokers {
	b := &brokers{pids: opts.BrokerPIDs, https: opts.BrokerHTTP, procs: map[int32]*process{}, told: map[int32]exposed{}, before: map[int32]exposed{}}
	b.http.Timeout = scrapeLimit
	return b
}

// scrape asks every broker's /metrics once. It is called in a goroutine of its own: a broker that hangs must not hold up the
// rows.
func (b *brokers) scrape(ctx context.Context) {
	for id, addr := range b.https {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			continue
		}
		var now exposed
		if resp, err := b.http.Do(req); err == nil {
			if resp.StatusCode == http.StatusOK {
				now = parseMetrics(io.LimitReader(resp.Body, scrapeBytes))
				now.at = time.Now()
			}
			_ = resp.Body.Close()
		}
		b.mu.Lock()
		b.before[id], b.told[id] = b.told[id], now
		b.mu.Unlock()
	}
}

// close lets go of the connections.
func (b *brokers) close() { b.http.CloseIdleConnections() }

// parseMetrics reads the few lines that count from the Prometheus text format.
func parseMetrics(r io.Reader) (e exposed) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), '}'); i >= 0 {
			name, value, ok = lines.Text()[:i+1], strings.TrimSpace(lines.Text()[i+1:]), true
		}
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		name, _, _ = strings.Cut(name, "{")
		value, _, _ = strings.Cut(value, " ") // a time may follow
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "streambus_received_bytes_total":
			e.received += v
		case "streambus_sent_bytes_total": // from memory, and from files
			e.sent += v
		case "process_cpu_seconds_total":
			e.cpu = v
		case "process_resident_memory_bytes":
			e.rss = v
		case "process_open_fds":
			e.fds = v
		case "go_goroutines":
			e.gorout = v
		}
	}
	return e
}

// sample is one row of every broker that is known, in order of their ids.
func (b *brokers) sample() (rows []report.Broker) {
	byID := map[int32]report.Broker{}
	unknown := report.Broker{CPU: -1, RSS: -1, DiskRead: -1, DiskWrite: -1, NetIn: -1, NetOut: -1, FDs: -1, Goroutines: -1}
	if b.pids != nil {
		for id, pid := range b.pids() {
			p := b.procs[id]
			if p == nil {
				p = &process{}
				b.procs[id] = p
			}
			u, row := p.sample(pid), unknown
			row.CPU, row.RSS, row.DiskRead, row.DiskWrite, row.FDs = u.cpu, u.rss, u.diskRead, u.diskOut, u.fds
			byID[id] = row
		}
	}
	b.mu.Lock()
	for id, now := range b.told {
		row, there := byID[id]
		if !there {
			row = unknown
		}
		if !now.at.IsZero() {
			row.Goroutines = int64(now.gorout)
			if row.RSS < 0 {
				row.RSS, row.FDs = int64(now.rss), int64(now.fds)
			}
			// A counter that went back belongs to a broker that was restarted.
			if was := b.before[id]; !was.at.IsZero() && now.at.After(was.at) && now.received >= was.received && now.sent >= was.sent {
				width := now.at.Sub(was.at).Seconds()
				row.NetIn, row.NetOut = (now.received-was.received)/width, (now.sent-was.sent)/width
				if row.CPU < 0 && now.cpu >= was.cpu {
					row.CPU = (now.cpu - was.cpu) / width
				}
			}
		}
		byID[id] = row
	}
	b.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		row := byID[id]
		row.ID = id
		rows = append(rows, row)
	}
	return rows
}

// busy is how many cores all brokers use together; -1 when one of them is not known, or none.
func busy(rows []report.Broker) float64 {
	if len(rows) == 0 {
		return -1
	}
	sum := 0.0
	for _, r := range rows {
		if r.CPU < 0 {
			return -1
		}
		sum += r.CPU
	}
	return sum
}
