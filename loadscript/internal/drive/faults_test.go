package drive

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// withFaults makes the run last for d and gives it faults.
func withFaults(d time.Duration, faults ...plan.Fault) func(*plan.Scenario) {
	return func(sc *plan.Scenario) {
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: d, From: 500, To: 500}}
		sc.Faults = faults
		sc.Drain = 30 * time.Second
	}
}

var everyBroker = []plan.Target{{Kind: "brokers"}}

// faultEvents are the events of faults, in order of time.
func faultEvents(sc report.Scenario) (list []report.Event) {
	for _, e := range sc.Events {
		if e.Kind == "fault" {
			list = append(list, e)
		}
	}
	return list
}

// Latency on the clients' links is in the latencies, is over when its time is, and costs no record.
func TestLatencyFault(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(1), withFaults(1500*time.Millisecond,
		plan.Fault{Kind: "latency", Targets: everyBroker, At: 300 * time.Millisecond, Duration: 600 * time.Millisecond, Delay: 60 * time.Millisecond})))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 1 || events[0].EndNs < int64(900*time.Millisecond) || !strings.Contains(events[0].Detail, "pings took from ") {
		t.Errorf("events %+v: want one, over after 900ms, that a ping was seen to feel", events)
	}
	if l := sc.Metrics[0].Whole; l.MaxNs < int64(120*time.Millisecond) {
		t.Errorf("latencies up to %s: 60ms there and back are not in them", time.Duration(l.MaxNs))
	}
	if len(sc.Recoveries) != 1 || !strings.Contains(strings.Join(sc.Notes, "\n"), "proxies") {
		t.Errorf("recoveries %+v, notes %q", sc.Recoveries, sc.Notes)
	}
}

// A group whose only reader is cut off reads what it has missed once it is back.
func TestCutOffReader(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(1), withFaults(1500*time.Millisecond, plan.Fault{
		Kind: "partition", Symmetric: true, At: 200 * time.Millisecond, Duration: 700 * time.Millisecond,
		Targets: []plan.Target{{Kind: "client", Flow: "consume:orders:billing"}},
	})))
	expect(t, res, plan.ExitPass)
	if e := faultEvents(res.Scenarios[0]); len(e) != 1 || e[0].Target != "client consume:orders:billing" || !strings.Contains(e[0].Detail, "no ping came through") {
		t.Errorf("events %+v", e)
	}
}

func TestRebalanceFault(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(2), withFaults(1500*time.Millisecond,
		plan.Fault{Kind: "rebalance", Group: "billing", Leave: 1, At: 300 * time.Millisecond, RejoinAfter: 500 * time.Millisecond})))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if e := faultEvents(sc); len(e) != 1 || e[0].EndNs == 0 {
		t.Errorf("events %+v", e)
	}
	rebalances := 0
	for _, e := range sc.Events {
		if e.Kind == "rebalance" {
			rebalances++
		}
	}
	if rebalances == 0 {
		t.Errorf("nobody noticed that a member left and came back: %+v", sc.Events)
	}
}

// A fault that could not be applied makes the run invalid: what it measured is not what the script says.
func TestFaultThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withFaults(500*time.Millisecond, plan.Fault{Kind: "kill", Targets: everyBroker, At: 100 * time.Millisecond})))
	expect(t, res, plan.ExitInvalid)
	if e := faultEvents(res.Scenarios[0]); len(e) != 2 || !strings.Contains(e[1].Error, "not ours to stop") {
		t.Errorf("events %+v", e)
	}
}

// streambus builds the broker and starts one, with failpoints if asked to.
func streambus(t *testing.T, failpoints bool) *cluster.Cluster {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "streambus")
	if out, err := exec.Command("go", "build", "-o", binary, "../../../broker/cmd/streambus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := filepath.Join(t.TempDir(), "broker.log")
	c, err := cluster.Start(t.Context(), cluster.Options{Binary: binary, Dir: t.TempDir(), Log: log, Failpoints: failpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("the broker's log:\n%s", text)
		}
	})
	return c
}

// A broker that is killed, frozen and shut down under load comes back each time and has lost nothing that it acknowledged.
func TestBrokerIsKilledAndLosesNothing(t *testing.T) {
	t.Parallel()
	c := streambus(t, false)
	p := load(withGroup(2), withFaults(5*time.Second,
		plan.Fault{Kind: "kill", Targets: []plan.Target{{Kind: "leader", Topic: "orders"}}, At: 500 * time.Millisecond, RestartAfter: 500 * time.Millisecond},
		plan.Fault{Kind: "pause", Targets: []plan.Target{{Kind: "coordinator", Group: "billing"}}, At: 2500 * time.Millisecond, Duration: 500 * time.Millisecond},
		plan.Fault{Kind: "restart", Targets: []plan.Target{{Kind: "controller"}}, At: 4 * time.Second},
	))
	res := Run(t.Context(), p, Options{
		Brokers: c.Addrs(), Control: c, Dead: c.Dead(), Note: t.Logf, LagFloor: time.Hour, CPUShare: 100,
	})
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 3 {
		t.Fatalf("events %+v, want three", events)
	}
	for i, seen := range []string{"seen gone", "seen stopped", "seen gone"} {
		if e := events[i]; !strings.Contains(e.Detail, seen) || !strings.HasPrefix(e.Target, "broker 1 (") || e.EndNs == 0 {
			t.Errorf("event %+v: want one that was %s", e, seen)
		}
	}
	if sc.Ledger[0].Acked != 2500 || sc.Ledger[0].Lost != 0 || !sc.Drain.Converged {
		t.Errorf("ledger %+v, drain %+v: want all 2,500 records acknowledged and read", sc.Ledger[0], sc.Drain)
	}
	if len(sc.Recoveries) != 3 || sc.Peaks["unavailable_ns"] < float64(400*time.Millisecond) {
		t.Errorf("recoveries %+v, unavailable for %s: want three, and half a second", sc.Recoveries, time.Duration(sc.Peaks["unavailable_ns"]))
	}
}

// runOn runs a plan on a cluster of our own.
func runOn(t *testing.T, c *cluster.Cluster, p *plan.Plan) *report.Results {
	t.Helper()
	return Run(t.Context(), p, Options{
		Brokers: c.Addrs(), Control: c, Dead: c.Dead(), Note: t.Logf, LagFloor: time.Hour, CPUShare: 100, LateLimit: time.Minute,
	})
}

// Records go on to be acknowledged by a broker whose disk is slow, and each of them has waited for it.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	const delay = 100 * time.Millisecond
	c := streambus(t, true)
	res := runOn(t, c, load(withGroup(1), withFaults(8*time.Second, plan.Fault{
		Kind: "slow_disk", Targets: []plan.Target{{Kind: "leader", Topic: "orders"}}, At: time.Second, Delay: delay, Duration: 5 * time.Second,
	})))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 1 || events[0].Error != "" || !strings.HasPrefix(events[0].Target, "broker 1 (") || !strings.Contains(events[0].Detail, "takes 100ms longer; ") ||
		!strings.Contains(events[0].Detail, " writes and flushes were slow") {
		t.Fatalf("events %+v: want one that was felt", events)
	}
	within := int64(0)
	for _, row := range sc.Series {
		// What is acknowledged a second after the beginning was written and flushed on the slow disk, or took that second.
		if row.TNs < events[0].TNs+int64(time.Second) || row.TNs+row.WidthNs > events[0].EndNs || row.Acked == 0 {
			continue
		}
		within += row.Acked
		if row.Service.P50Ns < int64(delay) {
			t.Errorf("at %s half of %d records were acknowledged within %s, by a disk that takes %s for a write, and as much for a flush",
				time.Duration(row.TNs), row.Acked, time.Duration(row.Service.P50Ns), delay)
		}
	}
	if within == 0 {
		t.Errorf("nothing was acknowledged while the disk was slow")
	}
	if l := sc.Ledger[0]; l.Acked != 4000 || l.Lost != 0 || l.Unseen != 0 || !sc.Drain.Converged {
		t.Errorf("ledger %+v, drain %+v: want all 4,000 records acknowledged and read", l, sc.Drain)
	}
	if !strings.Contains(strings.Join(sc.Notes, "\n"), "failpoints") {
		t.Errorf("no note says that failpoints were there: %q", sc.Notes)
	}
}

// A broker whose disk is full refuses records, lives, and takes them when there is room: none that it acknowledged is lost.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	c := streambus(t, true)
	pid := c.Nodes()[0].PID
	res := runOn(t, c, load(withGroup(2), withFaults(9*time.Second, plan.Fault{
		Kind: "disk_full", Targets: everyBroker, At: time.Second, Duration: 4 * time.Second,
	}), func(sc *plan.Scenario) { sc.Produce[0].Value.Size = 10_000 }))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 1 || events[0].Error != "" || !strings.Contains(events[0].Detail, " requests for room were refused") {
		t.Fatalf("events %+v: want one that was felt", events)
	}
	tot, l := sc.Totals, sc.Ledger[0]
	if tot.Acked+tot.Failed+tot.Unknown != 4500 || l.Lost != 0 || l.Unseen != 0 || !sc.Drain.Converged {
		t.Errorf("totals %+v, ledger %+v, drain %+v: want all 4,500 records with an outcome, and none lost", tot, l, sc.Drain)
	}
	after := int64(0)
	for _, row := range sc.Series {
		if row.TNs > events[0].EndNs {
			after += row.Acked
		}
	}
	if after == 0 {
		t.Error("nothing was acknowledged when there was room again")
	}
	if now := c.Nodes()[0].PID; now != pid || c.Exit() != "" || died(c.Dead()) {
		t.Errorf("process %d instead of %d; %s", now, pid, c.Exit())
	}
}

// A clock that is ahead and behind for a while, by seconds to a year, also when the broker is killed meanwhile, costs no record, no order and
// no member of a group.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	c := streambus(t, true)
	p := load(withGroup(2), withFaults(10*time.Second,
		plan.Fault{Kind: "clock_skew", Targets: everyBroker, At: time.Second, Skew: year, Duration: time.Second},
		plan.Fault{Kind: "clock_skew", Targets: everyBroker, At: 3 * time.Second, Skew: -year, Duration: time.Second},
		plan.Fault{Kind: "clock_skew", Targets: []plan.Target{{Kind: "leader", Topic: "orders"}}, At: 5 * time.Second, Skew: -5 * time.Second, Duration: 3 * time.Second},
		plan.Fault{Kind: "kill", Targets: everyBroker, At: 6 * time.Second, RestartAfter: 500 * time.Millisecond},
		plan.Fault{Kind: "clock_skew", Targets: everyBroker, At: 8500 * time.Millisecond, Skew: 5 * time.Second, Duration: time.Second},
	), func(sc *plan.Scenario) {
		// Without this records come from the future by more than a topic lets them, when the broker is a year behind.
		late := plan.Config{Name: "message.timestamp.after.max.ms", Value: "9223372036854775807"}
		sc.Produce[0].Topic.Config = append(sc.Produce[0].Topic.Config, late)
		sc.Consume[0].Topic.Config = append(sc.Consume[0].Topic.Config, late)
	})
	res := runOn(t, c, p)
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 5 {
		t.Fatalf("events %+v, want five", events)
	}
	for i, says := range []string{"365d ahead; it looked at the clock ", "365d behind; it looked at the clock ", "5s behind; ", "seen gone", "5s ahead; it looked at the clock "} {
		if e := events[i]; e.Error != "" || !strings.Contains(e.Detail, says) {
			t.Errorf("event %+v: want one that says %q", e, says)
		}
	}
	if l := sc.Ledger[0]; l.Acked != 5000 || l.Lost != 0 || l.Unseen != 0 || !sc.Drain.Converged {
		t.Errorf("ledger %+v, drain %+v: want all 5,000 records acknowledged and read", l, sc.Drain)
	}
}

// A broker that is killed while its disk is full comes back when there is room, with all that it had acknowledged.
func TestKilledOnAFullDisk(t *testing.T) {
	t.Parallel()
	c := streambus(t, true)
	res := runOn(t, c, load(withGroup(1), withFaults(7*time.Second,
		plan.Fault{Kind: "disk_full", Targets: everyBroker, At: time.Second, Duration: 3 * time.Second},
		plan.Fault{Kind: "kill", Targets: everyBroker, At: 2 * time.Second, RestartAfter: 500 * time.Millisecond},
	)))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != 2 || events[0].Error != "" || events[1].Error != "" || events[1].EndNs < int64(4*time.Second) {
		t.Errorf("events %+v: want two, and the broker back when there was room", events)
	}
	if l := sc.Ledger[0]; l.Acked != 3500 || l.Lost != 0 || l.Unseen != 0 || !sc.Drain.Converged {
		t.Errorf("ledger %+v, drain %+v: want all 3,500 records acknowledged and read", l, sc.Drain)
	}
}

// Clients of a cluster that wants TLS and a login go through proxies too: those see the frames, and TLS begins behind them.
func TestLatencyFaultWithTLSAndLogin(t *testing.T) {
	t.Parallel()
	conf, roots := certified(t)
	c := fake(t, kfake.Superuser("SCRAM-SHA-256", "alice", "secret"), kfake.EnableSASL(), kfake.TLS(conf))
	p := load(withGroup(1), withFaults(time.Second,
		plan.Fault{Kind: "latency", Targets: everyBroker, At: 200 * time.Millisecond, Duration: 500 * time.Millisecond, Delay: 30 * time.Millisecond}))
	res := Run(t.Context(), p, options(c, Options{Note: t.Logf, Security: Security{&tls.Config{RootCAs: roots}, "SCRAM-SHA-256", "alice", "secret"}}))
	expect(t, res, plan.ExitPass)
	if e := faultEvents(res.Scenarios[0]); len(e) != 1 || !strings.Contains(e[0].Detail, "pings took from") {
		t.Errorf("events %+v", e)
	}
}
