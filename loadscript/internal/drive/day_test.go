package drive

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/mock"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// counting is a sink that adds up.
type counting struct {
	begun, seconds, events int
	acked, latencies       int64
	last                   int64
	t                      *testing.T
}

func (c *counting) Begin(string, time.Time) { c.begun++ }

func (c *counting) Event(report.Event) { c.events++ }

func (c *counting) Second(row report.Second, latencies map[string]*hist.Histogram) {
	c.seconds++
	c.acked += row.Acked
	c.latencies += latencies["produce.latency"].Count()
	if row.TNs-row.WidthNs != c.last {
		c.t.Errorf("a row begins at %d ns, the one before ended at %d ns", row.TNs-row.WidthNs, c.last)
	}
	c.last = row.TNs
}

// A soak of 24 hours, with all its clients, on a clock that stands still while anything runs: what the engine keeps does not grow
// with the hours. The sink has seen every second, windows and trends were judged over all of them, and retention has taken
// records in between without anybody calling them lost.
func TestADayTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, day = 10 * time.Second, 24 * time.Hour
		network := &mock.Network{}
		b, err := mock.Start(mock.Options{Network: network})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		rate := 1 / every.Seconds()
		p := load(func(sc *plan.Scenario) {
			sc.Produce[0].Topic.Partitions = 1
			sc.Produce[0].Topic.Config = []plan.Config{{Name: "retention.ms", Value: "3600000"}, {Name: "segment.bytes", Value: "65536"}} // the broker in this process keeps its log in memory
			sc.Produce[0].Producers = 1
			sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: day, From: rate, To: rate}}
			sc.Thresholds = []plan.Threshold{
				{Expr: "p99 < 1s in windows", Metric: "produce.latency", Stat: "max", Op: "<", Value: 1e9, Window: time.Minute, OfWindows: 0.999},
			}
			sc.Trends = []plan.Trend{{Expr: "p50 < 1ms/h", Metric: "produce.latency", Stat: "p50", Op: "<", Value: 1e6, Per: time.Hour}}
		})
		sink := &counting{t: t}
		heaps := map[time.Duration]int64{}
		hours := time.Duration(0)
		opts := Options{
			Virtual: true,
			Brokers: b.ListenAddrs(), Dial: network.DialContext, LagFloor: time.Hour, CPUShare: 100, Sink: sink, Note: t.Logf,
			Progress: func(s report.Snapshot) {
				if h := s.Elapsed / time.Hour; h > hours {
					hours = h
					b.ApplyRetention()
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					heaps[h] = int64(m.HeapAlloc)
				}
			},
		}
		res := Run(t.Context(), p, opts)
		expect(t, res, plan.ExitPass)
		sc := res.Scenarios[0]
		records := int64(day / every)
		v := sc.Ledger[0]
		if sc.Totals.Acked != records || v.Views[0].Seen+v.Expired != records || v.Expired < records*22/24 || v.Lost != 0 {
			t.Errorf("%d acknowledged, %d read back, %d removed by retention, %d lost; want %d in all", sc.Totals.Acked, v.Views[0].Seen, v.Expired, v.Lost, records)
		}
		if sink.begun != 1 || sink.seconds < int((day-every)/time.Second) || sink.acked != records || sink.latencies != records || sink.events == 0 {
			t.Errorf("the sink saw %+v", sink)
		}
		if len(sc.Series) > maxRows || len(sc.Heat.Columns) > heatColumns {
			t.Errorf("%d rows, %d columns", len(sc.Series), len(sc.Heat.Columns))
		}
		if th := sc.Thresholds[0]; !th.Pass || th.Shown[:5] != "1,439" { // the offering ends with the last record, 10 s before the last window does
			t.Errorf("%+v: want 1,439 windows", th)
		}
		if len(sc.Trends) != 1 || !sc.Trends[0].Pass || sc.Trends[0].Weak {
			t.Errorf("trends %+v", sc.Trends)
		}
		t.Logf("heap after 2 h %d, after 23 h %d bytes", heaps[2], heaps[23])
		if grown := heaps[23] - heaps[2]; heaps[2] == 0 || grown > 1<<20 {
			t.Errorf("21 hours made the heap grow by %d bytes: %v", grown, heaps)
		}
	})
}
