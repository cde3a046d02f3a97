//go:build clients

package drive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// threeKafkas is a cluster of Apache Kafka, from the jars that broker/clients/install.sh fetches, or those in KAFKA_HOME. A
// dead broker is noticed after four seconds in place of nine, to keep the test short.
func threeKafkas(t *testing.T) *cluster.Cluster {
	t.Helper()
	home := os.Getenv("KAFKA_HOME")
	if home == "" {
		home = "../../../bin/clients/kafka-4"
	}
	c, err := cluster.Start(t.Context(), cluster.Options{
		Kind: cluster.Kafka, Nodes: 3, KafkaHome: home, Links: true, Dir: t.TempDir(), Log: filepath.Join(t.TempDir(), "broker.log"),
		Config: []string{"broker.session.timeout.ms=4000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=5000"},
	})
	if errors.Is(err, cluster.ErrNoKafka) {
		t.Skipf("%v: `make test-clients` fetches it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	return c
}

// failover is the scenario of scripts/failover.star, shortened: leaders are killed, frozen and cut off, then the controller,
// then all links are slow, while records are written to three replicas in transactions and read in a group.
func failover(faults ...plan.Fault) *plan.Plan {
	return load(withGroup(2), func(sc *plan.Scenario) {
		sc.Produce[0].Topic = plan.Topic{Name: "payments", Partitions: 6, Replication: 3, MinInsync: 2}
		sc.Produce[0].Transaction = &plan.Txn{Records: 50, Abort: 0.05}
		sc.Consume[0].Topic, sc.Consume[0].Isolation = sc.Produce[0].Topic, "read_committed"
		sc.Verify = append(sc.Verify, plan.ReadCommitted)
		last := faults[len(faults)-1]
		end := last.End(last.At, 0) + 10*time.Second
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: end, From: 300, To: 300}}
		sc.Faults, sc.Drain = faults, time.Minute
	})
}

func TestFailoverOnKafka(t *testing.T) {
	c := threeKafkas(t)
	leader := []plan.Target{{Kind: "leader", Topic: "payments"}}
	controller := []plan.Target{{Kind: "controller"}}
	const s = time.Second
	p := failover(
		plan.Fault{Kind: "kill", Targets: leader, At: 5 * s, RestartAfter: 8 * s},
		plan.Fault{Kind: "pause", Targets: leader, At: 25 * s, Duration: 8 * s},
		plan.Fault{Kind: "partition", Symmetric: true, Targets: leader, At: 45 * s, Duration: 8 * s},
		plan.Fault{Kind: "partition", Targets: controller, At: 65 * s, Duration: 8 * s},
		plan.Fault{Kind: "kill", Targets: controller, At: 85 * s, RestartAfter: 5 * s},
		plan.Fault{Kind: "latency", Targets: []plan.Target{{Kind: "brokers"}}, At: 105 * s, Duration: 5 * s, Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond},
	)
	res := Run(t.Context(), p, Options{
		Brokers: c.Addrs(), Control: c, Peers: c.Peers(), Dead: c.Dead(), Note: t.Logf, LagFloor: time.Hour, CPUShare: 100, LateLimit: time.Minute,
	})
	if len(res.Scenarios) > 0 {
		tell(t, res.Scenarios[0])
	}
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	events := faultEvents(sc)
	if len(events) != len(p.Scenarios[0].Faults) {
		t.Fatalf("%d events, want one for each of %d faults", len(events), len(p.Scenarios[0].Faults))
	}
	for i, seen := range []string{"seen gone", "seen stopped", "no ping came through", "no ping came through", "seen gone", "pings took from"} {
		if !strings.Contains(events[i].Detail, seen) {
			t.Errorf("%s: %q, want that %s", events[i].Name, events[i].Detail, seen)
		}
	}
	if v := sc.Ledger[0]; v.Lost != 0 || v.Duplicates != 0 || v.Acked == 0 || v.Aborted == 0 || v.Acked+v.Aborted+v.Failed+v.Unknown != sc.Totals.Handed {
		t.Errorf("ledger %+v of %d records", v, sc.Totals.Handed)
	}
	if len(sc.Recoveries) != len(events) {
		t.Errorf("%d recoveries of %d faults", len(sc.Recoveries), len(events))
	}
}

// tell logs what the faults did.
func tell(t *testing.T, sc report.Scenario) {
	t.Helper()
	for _, e := range faultEvents(sc) {
		t.Logf("%8s to %8s  %s of %s: %s %s", time.Duration(e.TNs).Round(time.Millisecond), time.Duration(e.EndNs).Round(time.Millisecond), e.Name, e.Target, e.Detail, e.Error)
	}
	for _, r := range sc.Recoveries {
		t.Logf("%s: silent for %s, recovered after %s (%s)", r.Fault, time.Duration(r.UnavailableNs).Round(time.Millisecond), time.Duration(r.RecoveryNs).Round(time.Millisecond), r.Detail)
	}
	t.Logf("%d offered, %d acknowledged, %d unknown, %d failed, %d dropped; drain %+v", sc.Totals.Offered, sc.Totals.Acked, sc.Totals.Unknown, sc.Totals.Failed, sc.Totals.Dropped, sc.Drain)
}
