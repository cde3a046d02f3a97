package drive

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// However many seconds come, at most maxRows rows are kept, counts add up to what was fed, and no peak is lost.
func TestRowsAreThinned(t *testing.T) {
	for _, seconds := range []int{1, 10, maxRows, maxRows + 1, 2*maxRows + 3, 86_400} {
		var l rowList
		for end := 1; end <= seconds; end++ {
			row := second(end, 10, 10, 5)
			row.GenCPU, row.BrokerCPU, row.Lags = 0.5, -1, map[string]int64{"ledger": 1}
			row.Brokers = []report.Broker{{ID: 1, CPU: 0.25, RSS: 100, DiskWrite: 7, NetIn: -1}}
			if end == seconds/2+1 {
				row.Lag, row.Produce.P99Ns, row.Brokers[0].RSS, row.Lags["ledger"] = 900, 77, 500, 900
				row.Produce.MaxNs = 99
			}
			l.add(row)
		}
		var acked, lag, p99, peak, rss, group int64
		var width, at int64
		var offered float64
		for _, r := range l.rows {
			if r.TNs-r.WidthNs != at {
				t.Fatalf("%d seconds: a row begins at %d ns, the one before ended at %d ns", seconds, r.TNs-r.WidthNs, at)
			}
			at = r.TNs
			acked, offered, width = acked+r.Acked, offered+r.Offered, width+r.WidthNs
			lag, peak, rss, group = max(lag, r.Lag), max(peak, r.Produce.MaxNs), max(rss, r.Brokers[0].RSS), max(group, r.Lags["ledger"])
			p99 = max(p99, r.Produce.P99Ns)
			if r.GenCPU != 0.5 || r.BrokerCPU != -1 || r.Brokers[0].CPU != 0.25 || r.Brokers[0].DiskWrite != 7 || r.Brokers[0].NetIn != -1 {
				t.Fatalf("%d seconds: %+v: want the means", seconds, r)
			}
		}
		if n := len(l.rows); n > maxRows || seconds <= maxRows && n != seconds {
			t.Errorf("%d seconds: %d rows", seconds, n)
		}
		if acked != int64(seconds)*10 || offered != float64(acked) || width != int64(seconds)*1e9 {
			t.Errorf("%d seconds: %d acknowledged of %v in %v", seconds, acked, offered, time.Duration(width))
		}
		if lag != 900 || p99 < 77 || peak != 99 || rss != 500 || group != 900 {
			t.Errorf("%d seconds: the peaks are lost: lag %d, p99 %d, max %d, rss %d, group %d", seconds, lag, p99, peak, rss, group)
		}
	}
}

func TestSilence(t *testing.T) {
	const ms = time.Millisecond
	show := func(q *silence) string {
		var text []string
		for _, s := range q.stretches() {
			text = append(text, fmt.Sprintf("%d-%d", s.BeginNs/1e6, s.EndNs/1e6))
		}
		return fmt.Sprintf("%s longest %d", strings.Join(text, " "), q.max()/ms)
	}
	for name, c := range map[string]struct {
		then func(q *silence)
		want string
	}{
		"everyday": {func(q *silence) {
			for i := time.Duration(1); i < 50; i++ {
				q.answered(i*10*ms, i*10*ms+15*ms)
			}
		}, " longest 15"},
		"nothing was sent for a while: no silence": {func(q *silence) {
			q.answered(10*ms, 12*ms)
			q.answered(5000*ms, 5003*ms)
		}, " longest 3"},
		"records waited": {func(q *silence) {
			q.answered(10*ms, 12*ms)
			q.answered(20*ms, 1500*ms)
			q.answered(30*ms, 1501*ms)
			q.answered(2000*ms, 2300*ms)
		}, "20-1500 2000-2300 longest 1480"},
		"a record that was given up had waited": {func(q *silence) {
			q.answered(10*ms, 12*ms)
			q.unanswered(40 * ms)
			q.unanswered(30 * ms)
			q.answered(900*ms, 1000*ms)
			q.answered(1010*ms, 1011*ms)
		}, "30-1000 longest 970"},
		"until the end": {func(q *silence) {
			q.answered(10*ms, 12*ms)
			q.unanswered(40 * ms)
			q.close(3000 * ms)
			q.close(4000 * ms)
		}, "40-3000 longest 2960"},
	} {
		var q silence
		c.then(&q)
		if got := show(&q); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// A partition that flickers for a day keeps its longest silences, in order of time.
	var q silence
	at := time.Duration(0)
	for i := range time.Duration(10_000) {
		gap := 100*ms + i%1000*ms
		q.answered(at, at+gap)
		at += gap
	}
	list := q.stretches()
	long := 0
	for i, s := range list {
		if i > 0 && s.BeginNs < list[i-1].EndNs {
			t.Fatal("silences out of order")
		}
		if s.EndNs-s.BeginNs >= int64(1090*ms) {
			long++
		}
	}
	if len(list) > 2*maxSilences || long < 60 || q.max() != 1099*ms {
		t.Errorf("%d kept, %d of them among the longest hundred, the longest %v", len(list), long, q.max())
	}
}

// The rate holds over any stretch, what is late is made up for, and what was not used is gone.
func TestLimiter(t *testing.T) {
	l := limiter{every: float64(time.Second) / 1000}
	now, taken := time.Duration(0), 0
	for now < 10*time.Second {
		if wait := l.take(now); wait > 0 {
			now += wait
		}
		taken++
		if taken%100 == 0 {
			now += 7 * time.Millisecond // the reader was held up
		}
	}
	if taken < 9_990 || taken > 10_010+int(limiterCredit/time.Millisecond) {
		t.Errorf("%d records in 10 s, want 10,000", taken)
	}
	now += time.Hour
	burst := 0
	for l.take(now) <= 0 {
		burst++
	}
	if want := int(limiterCredit / time.Millisecond); burst < want || burst > want+2 {
		t.Errorf("%d records at once after an idle hour, want %d", burst, want)
	}
}

func TestBrokersByMetrics(t *testing.T) {
	var received atomic.Int64
	received.Store(1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "# HELP go_goroutines Number of goroutines.\n# TYPE go_goroutines gauge\ngo_goroutines 42\n"+
			"streambus_received_bytes_total %d\nstreambus_sent_bytes_total{from=\"memory\"} 10\nstreambus_sent_bytes_total{from=\"file\"} 2.5e+03\n"+
			"process_cpu_seconds_total 3.5\nprocess_resident_memory_bytes 1.048576e+06\nprocess_open_fds 17\n"+
			"odd{text=\"a } b\"} 1\nnonsense\n", received.Load())
		received.Add(1000)
	}))
	defer srv.Close()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := dead.Addr().String()
	_ = dead.Close()
	b := newBrokers(Options{BrokerHTTP: map[int32]string{3: strings.TrimPrefix(srv.URL, "http://"), 9: gone}, BrokerPIDs: func() map[int32]int {
		return map[int32]int{1: os.Getppid(), 2: 1 << 30}
	}})
	defer b.close()
	b.sample()
	b.scrape(t.Context())
	rows := b.sample()
	if len(rows) != 4 || rows[2].ID != 3 || rows[2].NetIn != -1 || rows[2].Goroutines != 42 || rows[2].RSS != 1<<20 || rows[2].FDs != 17 {
		t.Fatalf("first rows %+v", rows)
	}
	b.scrape(t.Context())
	rows = b.sample()
	if r := rows[2]; r.NetIn <= 0 || r.NetOut != 0 || r.CPU != 0 {
		t.Errorf("second row %+v: want bytes received, none sent and no time used", r)
	}
	if own := rows[0]; own.CPU < 0 || own.RSS < 1<<20 || own.FDs < 0 || own.Goroutines != -1 {
		t.Errorf("our parent process: %+v", own)
	}
	for _, r := range []report.Broker{rows[1], rows[3]} {
		if r.CPU != -1 || r.RSS != -1 || r.NetIn != -1 || r.Goroutines != -1 {
			t.Errorf("a broker that nobody can see: %+v", r)
		}
	}
	if busy(rows) != -1 || busy(rows[2:3]) != 0 || busy(nil) != -1 {
		t.Errorf("busy: %v, %v, %v", busy(rows), busy(rows[2:3]), busy(nil))
	}
	received.Store(0) // restarted
	b.scrape(t.Context())
	if r := b.sample()[2]; r.NetIn != -1 {
		t.Errorf("after a restart: %+v, want no rate", r)
	}
}
