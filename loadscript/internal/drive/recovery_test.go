package drive

import (
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// second is a row that ends at the given second: offered and acknowledged records, and the p99 in milliseconds.
func second(end int, offered float64, acked int64, p99 int64) report.Second {
	return report.Second{
		TNs: int64(end) * 1e9, WidthNs: 1e9, Offered: offered, Handed: int64(offered), Acked: acked,
		Produce: report.Quantiles{N: acked, P99Ns: p99 * 1e6},
	}
}

// faulty feeds rows of 1,000/s with a fault from second 40 to second 50; row gives what differs. It returns the recovery and
// the seconds that count as disturbed.
func faulty(seconds int, row func(end int) report.Second) (report.Recovery, []int) {
	rs := recoveries{faults: map[int]*recoverer{}}
	var disturbed []int
	for end := 1; end <= seconds; end++ {
		fault := report.Event{TNs: 40e9, Kind: "fault", Name: "kill leader", Target: "broker 2"}
		if end >= 50 {
			fault.EndNs = 50e9
		}
		var faults map[int]report.Event
		if end > 40 {
			faults = map[int]report.Event{7: fault}
		}
		if rs.feed(row(end), faults) {
			disturbed = append(disturbed, end)
		}
	}
	silences := []report.Silence{{BeginNs: 10e9, EndNs: 39e9}, {BeginNs: 41e9, EndNs: 47e9}, {BeginNs: 49e9, EndNs: 52e9}, {BeginNs: 80e9, EndNs: 99e9}}
	list := rs.results(silences)
	if len(list) != 1 {
		return report.Recovery{Detail: "no recovery at all"}, disturbed
	}
	return list[0], disturbed
}

func TestRecovery(t *testing.T) {
	calm := func(end int) report.Second { return second(end, 1000, 1000+int64(end%3), 10+int64(end%5)) }
	for name, c := range map[string]struct {
		seconds int
		row     func(end int) report.Second
		want    time.Duration // -1: never
		last    int           // last disturbed second
	}{
		"nothing to see": {90, calm, 0, 53},
		"rate and p99 are back at once, then a dip of one second": {90, func(end int) report.Second {
			switch {
			case end > 40 && end <= 50:
				return second(end, 1000, 100, 4000)
			case end == 52:
				return second(end, 1000, 500, 10)
			}
			return calm(end)
		}, 2 * time.Second, 55},
		"the backlog is worked off at a high rate, and late": {90, func(end int) report.Second {
			switch {
			case end > 40 && end <= 50:
				return second(end, 1000, 0, 0)
			case end > 50 && end <= 55:
				return second(end, 1000, 3000, 9000)
			}
			return calm(end)
		}, 5 * time.Second, 58},
		"the rate is back and the latency stays": {90, func(end int) report.Second {
			if end > 40 {
				return second(end, 1000, 1000, 60)
			}
			return calm(end)
		}, -1, 90},
		"the latency is back and the rate stays": {90, func(end int) report.Second {
			if end > 40 {
				return second(end, 1000, 800, 10)
			}
			return calm(end)
		}, -1, 90},
		"another rate was asked for meanwhile": {90, func(end int) report.Second {
			if end > 45 {
				return second(end, 5000, 5000, 12)
			}
			return calm(end)
		}, 0, 53},
		"the run ends in a drain": {54, func(end int) report.Second {
			switch {
			case end <= 40:
				return calm(end)
			case end <= 52:
				row := second(end, 0, 0, 0)
				row.InFlight = 12
				return row
			}
			return second(end, 0, 0, 0)
		}, 2 * time.Second, 54},
	} {
		got, disturbed := faulty(c.seconds, c.row)
		if got.RecoveryNs != int64(c.want) {
			t.Errorf("%s: recovered in %v, want %v (%s)", name, time.Duration(got.RecoveryNs), c.want, got.Detail)
		}
		if n := len(disturbed); n == 0 || disturbed[0] != 41 || disturbed[n-1] != c.last {
			t.Errorf("%s: disturbed %v, want 41 to %d", name, disturbed, c.last)
		}
		if got.UnavailableNs != 6e9 && c.want != -1 || got.UnavailableNs != 19e9 && c.want == -1 {
			t.Errorf("%s: unavailable for %v", name, time.Duration(got.UnavailableNs))
		}
		if got.Fault != "kill leader" || got.Target != "broker 2" || got.BeginNs != 40e9 || got.EndNs != 50e9 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Without a calm time before it nobody can say when a fault is over; and what could not be applied has no recovery.
func TestNoBandNoRecovery(t *testing.T) {
	rs := recoveries{faults: map[int]*recoverer{}}
	for end := 1; end <= 20; end++ {
		faults := map[int]report.Event{
			0: {TNs: 1e9, EndNs: 2e9, Kind: "fault", Name: "early"},
			1: {TNs: 5e9, Kind: "fault", Name: "refused", Error: "no such broker"},
		}
		if end == 1 {
			delete(faults, 0)
		}
		rs.feed(second(end, 1000, 1000, 10), faults)
	}
	list := rs.results(nil)
	if len(list) != 1 || list[0].Fault != "early" || list[0].RecoveryNs != -1 {
		t.Errorf("%+v: want one, that never ended", list)
	}
}

// A second fault that strikes before the first is over is held against the band of before the first.
func TestFaultsThatFollowShareTheCalm(t *testing.T) {
	rs := recoveries{faults: map[int]*recoverer{}}
	for end := 1; end <= 60; end++ {
		faults := map[int]report.Event{}
		row := second(end, 1000, 1000, 10)
		if end > 30 {
			faults[0] = report.Event{TNs: 30e9, EndNs: 34e9, Kind: "fault", Name: "first"}
		}
		if end > 36 {
			faults[1] = report.Event{TNs: 36e9, EndNs: 40e9, Kind: "fault", Name: "second"}
		}
		if end > 30 && end <= 45 {
			row = second(end, 1000, 300, 900)
		}
		rs.feed(row, faults)
	}
	list := rs.results(nil)
	if len(list) != 2 || list[0].Next != "second" || list[1].RecoveryNs != 5e9 || list[0].Detail != list[1].Detail {
		t.Errorf("%+v: want none before the second, and 5 s, by the same band", list)
	}
}

// What happens after the next fault began is not the doing of the one before, neither the silence nor the time until all is well.
func TestNextFaultEndsTheWindow(t *testing.T) {
	rs := recoveries{faults: map[int]*recoverer{}}
	list := []report.Event{
		{TNs: 30e9, EndNs: 31e9, Kind: "fault", Name: "pause"},
		{TNs: 33e9, EndNs: 35e9, Kind: "fault", Name: "kill"},
		{TNs: 60e9, EndNs: 70e9, Kind: "fault", Name: "latency"}, // and within it, and beyond it:
		{TNs: 65e9, EndNs: 75e9, Kind: "fault", Name: "restart"},
	}
	var disturbed []int
	for end := 1; end <= 90; end++ {
		row := second(end, 1000, 1000, 10)
		if end > 30 && end <= 38 || end > 60 && end <= 76 {
			row = second(end, 1000, 300, 900)
		}
		known := map[int]report.Event{}
		for i, e := range list {
			if e.TNs < int64(end)*1e9 {
				if e.EndNs > int64(end)*1e9 {
					e.EndNs = 0
				}
				known[i] = e
			}
		}
		if rs.feed(row, known) {
			disturbed = append(disturbed, end)
		}
	}
	got := rs.results([]report.Silence{{BeginNs: 30.5e9, EndNs: 32e9}, {BeginNs: 32.5e9, EndNs: 37e9}, {BeginNs: 66e9, EndNs: 68e9}})
	for i, want := range []report.Recovery{
		{Fault: "pause", UnavailableNs: 1.5e9, RecoveryNs: -1, Next: "kill", NextNs: 33e9},
		{Fault: "kill", UnavailableNs: 4e9, RecoveryNs: 3e9},
		{Fault: "latency", UnavailableNs: 2e9, RecoveryNs: 1e9},
		{Fault: "restart", UnavailableNs: 2e9, RecoveryNs: 1e9},
	} {
		want.BeginNs, want.EndNs, want.Detail = list[i].TNs, list[i].EndNs, got[i].Detail
		if got[i] != want {
			t.Errorf("got  %+v\nwant %+v", got[i], want)
		}
	}
	if took, known := got[0].Took(); took != 2e9 || known {
		t.Errorf("the pause took %v, known %v: want at least 2s", time.Duration(took), known)
	}
	if len(disturbed) != 11+19 || disturbed[0] != 31 || disturbed[10] != 41 {
		t.Errorf("disturbed %v, want 31 to 41 and 61 to 79", disturbed)
	}
}

// A threshold on recoveries that were cut short says that it knows a lower bound.
func TestThresholdOnRecoveryCutShort(t *testing.T) {
	r := &report.Scenario{Recoveries: []report.Recovery{{Fault: "a", EndNs: 10e9, RecoveryNs: -1, Next: "b", NextNs: 14e9}, {Fault: "b", EndNs: 16e9, RecoveryNs: 1e9}}}
	var out report.Threshold
	if why := (&scenario{}).recoveryTimes(r, &out, plan.Threshold{Metric: "recovery.time"}); why != "" || out.Value != 4e9 || out.Detail != "at least: 1 of 2 not recovered before the next fault" {
		t.Errorf("%+v, %q", out, why)
	}
}
