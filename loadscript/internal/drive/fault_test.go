package drive

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// plain switches idempotence off: kfake refuses the broken sequences that some faults leave behind.
func plain(sc *plan.Scenario) { sc.Produce[0].Idempotent = false }

// nth calls fn for one produce request of the load: the nth after the probes.
func nth(c *kfake.Cluster, n int, fn func(*kmsg.ProduceRequest) (kmsg.Response, bool)) {
	var seen atomic.Int32
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if seen.Add(1) != int32(n) {
			return nil, nil, false
		}
		resp, handled := fn(req.(*kmsg.ProduceRequest))
		return resp, nil, handled
	})
}

// success answers a produce request as if everything had been stored from offset base on.
func success(req *kmsg.ProduceRequest, base int64) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset = p.Partition, base
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// again sends what an earlier request carried once more, from another client.
func again(t *testing.T, c *kfake.Cluster, req *kmsg.ProduceRequest) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := req.RequestWith(ctx, client); err != nil {
		t.Errorf("sending a request again: %v", err)
	}
}

// keep copies a request, whose records belong to kfake's connection.
func keep(req *kmsg.ProduceRequest) *kmsg.ProduceRequest {
	cp := *req
	cp.Topics = slices.Clone(req.Topics)
	for i := range cp.Topics {
		cp.Topics[i].Partitions = slices.Clone(cp.Topics[i].Partitions)
		for j := range cp.Topics[i].Partitions {
			cp.Topics[i].Partitions[j].Records = slices.Clone(cp.Topics[i].Partitions[j].Records)
		}
	}
	return &cp
}

// broken lists the invariants that a scenario violated.
func broken(sc report.Scenario) (names []string) {
	for _, v := range sc.Invariants {
		if v.Judged && v.Count > 0 {
			names = append(names, v.Name)
		}
	}
	return names
}

func expectBroken(t *testing.T, res *report.Results, want ...string) {
	t.Helper()
	expect(t, res, plan.ExitInvariant)
	if got := broken(res.Scenarios[0]); !slices.Equal(got, want) {
		t.Errorf("broken %v, want %v\n%v", got, want, res.Verdict.Reasons)
	}
	for _, v := range res.Scenarios[0].Invariants {
		if v.Count > 0 && len(v.Examples) == 0 {
			t.Errorf("%s: no example proves it", v.Name)
		}
	}
}

// The broker confirms a batch and does not keep it. The offset that it names lies far ahead, where nothing else is.
func TestAckedAndDropped(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*plan.Scenario){"reading back": func(*plan.Scenario) {}, "group": withGroup(2)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fake(t)
			nth(c, 40, func(req *kmsg.ProduceRequest) (kmsg.Response, bool) { return success(req, 1<<30), true })
			p := load(plain, change)
			p.Scenarios[0].Drain = 2 * time.Second
			expectBroken(t, run(t, c, p), "no_loss")
		})
	}
}

// The broker names an offset that another batch gets as well: the log was rolled back under the acknowledged one.
func TestAckedAndRolledBack(t *testing.T) {
	t.Parallel()
	c := fake(t)
	nth(c, 40, func(req *kmsg.ProduceRequest) (kmsg.Response, bool) { return success(req, 5), true })
	expectBroken(t, run(t, c, load(plain)), "no_loss", "consistent_offsets")
}

func TestStoredTwice(t *testing.T) {
	t.Parallel()
	c := fake(t)
	copies := make(chan *kmsg.ProduceRequest, 1)
	done := make(chan struct{})
	nth(c, 40, func(req *kmsg.ProduceRequest) (kmsg.Response, bool) { copies <- keep(req); return nil, false })
	go func() {
		defer close(done)
		again(t, c, <-copies)
	}()
	expectBroken(t, run(t, c, load(plain, withGroup(2))), "no_duplicates")
	<-done
}

// A batch is confirmed, kept back, and stored after its successors.
func TestStoredOutOfOrder(t *testing.T) {
	t.Parallel()
	c := fake(t)
	held := make(chan *kmsg.ProduceRequest, 1)
	done := make(chan struct{})
	var seen atomic.Int32
	var hold atomic.Pointer[kmsg.ProduceRequest]
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		switch seen.Add(1) {
		case 40:
			hold.Store(keep(req))
			return success(req, 1<<30), nil, true
		case 120:
			held <- hold.Load()
		}
		return nil, nil, false
	})
	go func() {
		defer close(done)
		again(t, c, <-held)
	}()
	expectBroken(t, run(t, c, load(plain)), "in_order")
	<-done
}

// A byte of a value changes on its way into the log, and the batch gets a checksum that matches.
func TestChangedInTheLog(t *testing.T) {
	t.Parallel()
	c := fake(t)
	nth(c, 40, func(req *kmsg.ProduceRequest) (kmsg.Response, bool) {
		b := req.Topics[0].Partitions[0].Records
		b[len(b)-20] ^= 0x10
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
		return nil, false
	})
	expectBroken(t, run(t, c, load(plain, withGroup(1))), "no_corruption")
}

// noisy changes a byte of what a broker sends whenever told to.
type noisy struct {
	net.Listener
	armed *atomic.Int32
}

func (n noisy) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	return noisyConn{c, n.armed}, err
}

type noisyConn struct {
	net.Conn
	armed *atomic.Int32
}

func (n noisyConn) Write(b []byte) (int, error) {
	if at := bytes.LastIndex(b, []byte("lazy dog")); at >= 0 && n.armed.Add(-1) >= 0 {
		b = bytes.Clone(b)
		b[at] ^= 1
	}
	return n.Conn.Write(b)
}

// The broker hands out a batch whose checksum does not match: the client refuses it, and we call it corrupt.
func TestUnreadableBatch(t *testing.T) {
	t.Parallel()
	var armed atomic.Int32
	c := fake(t, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return noisy{l, &armed}, err
	}))
	nth(c, 40, func(*kmsg.ProduceRequest) (kmsg.Response, bool) { armed.Store(1); return nil, false })
	expectBroken(t, run(t, c, load(withGroup(1))), "no_corruption")
}

// A definite refusal is a failed record: an error, no loss, and no phantom as it is not there.
func TestRefusedRecordsAreFailed(t *testing.T) {
	t.Parallel()
	c := fake(t)
	var seen atomic.Int32
	c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: 3,
		When: func(kmsg.Request) bool { return seen.Add(1) > 40 },
	})
	p := load(plain)
	p.Scenarios[0].Thresholds = []plan.Threshold{{Expr: "errors.rate < 0.01%", Metric: "errors.rate", Op: "<", Value: 0.0001}}
	res := run(t, c, p)
	expect(t, res, plan.ExitThreshold)
	tot := res.Scenarios[0].Totals
	if tot.Failed == 0 || tot.Unknown != 0 || tot.Acked+tot.Failed != 1500 || len(broken(res.Scenarios[0])) > 0 {
		t.Errorf("totals %+v, broken %v: want some failed, none unknown", tot, broken(res.Scenarios[0]))
	}
}

// NOT_ENOUGH_REPLICAS_AFTER_APPEND: the record is there, the broker says it does not know. The client sends it again; without
// idempotence that is a duplicate, with idempotence it is none.
func TestRetriesWithoutIdempotenceDuplicate(t *testing.T) {
	t.Parallel()
	for _, idempotent := range []bool{false, true} {
		c := fake(t)
		var seen atomic.Int32
		c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1,
			When: func(kmsg.Request) bool { return seen.Add(1) > 40 },
		})
		res := run(t, c, load(func(sc *plan.Scenario) { sc.Produce[0].Idempotent = idempotent }))
		dups := res.Scenarios[0].Ledger[0].Duplicates
		if idempotent && dups != 0 || !idempotent && dups == 0 {
			t.Errorf("idempotent=%t: %d duplicates", idempotent, dups)
		}
		if res.Scenarios[0].Ledger[0].Lost != 0 {
			t.Errorf("idempotent=%t: lost records: %v", idempotent, res.Verdict.Reasons)
		}
	}
}

// A broker that freezes for a second must show in the latency from the intended time, although few records were sent to it
// meanwhile: with an in-flight limit of 8, measuring from the real send would hide the freeze from all but eight of them.
func TestCoordinatedOmission(t *testing.T) {
	t.Parallel()
	c := fake(t)
	nth(c, 40, func(*kmsg.ProduceRequest) (kmsg.Response, bool) {
		c.SleepControl(func() { _ = sleep(t.Context(), time.Second) })
		return nil, false
	})
	p := load(func(sc *plan.Scenario) {
		sc.MaxInFlight = 8
		sc.Produce[0].Producers = 1
		sc.Produce[0].Topic.Partitions = 1
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: 3 * time.Second, From: 400, To: 400}}
	})
	res := run(t, c, p)
	sc := res.Scenarios[0]
	if sc.Totals.Acked != 1200 || sc.Totals.Dropped != 0 {
		t.Fatalf("totals %+v, want all 1,200 records", sc.Totals)
	}
	latency, service := sc.Metrics[0].Whole, sc.Metrics[1].Whole
	// A second of 400/s was due during the freeze: a third of all records waited, evenly from 0 to 1 s. So the p90 of all is
	// at about 700 ms; a tenth of that is enough to tell it from the eight that were in flight.
	if latency.P90Ns < int64(70*time.Millisecond)*3 {
		t.Errorf("p90 from the intended time is %s: the freeze is hidden", report.FormatLatency(latency.P90Ns))
	}
	if service.P90Ns > latency.P90Ns/2 {
		t.Errorf("p90 of the service time is %s, of the latency %s: the in-flight limit did not hold", report.FormatLatency(service.P90Ns), report.FormatLatency(latency.P90Ns))
	}
	if sc.Totals.Pressed == 0 || sc.Peaks["unavailable_ns"] < float64(500*time.Millisecond) {
		t.Errorf("pressed %d, unavailable %v: want the freeze in both", sc.Totals.Pressed, time.Duration(sc.Peaks["unavailable_ns"]))
	}
	for _, f := range sc.Validity.Findings {
		if !f.Pass && f.Name == "records handed over" {
			t.Errorf("the broker pushed back, and the generator is blamed: %+v", f)
		}
	}
}

func TestTooLateIsDroppedAndFailsTheRun(t *testing.T) {
	t.Parallel()
	c := fake(t)
	nth(c, 40, func(*kmsg.ProduceRequest) (kmsg.Response, bool) {
		c.SleepControl(func() { _ = sleep(t.Context(), time.Second) })
		return nil, false
	})
	p := load(func(sc *plan.Scenario) { sc.MaxInFlight = 8 })
	res := Run(t.Context(), p, options(c, Options{LateLimit: 300 * time.Millisecond}))
	tot := res.Scenarios[0].Totals
	if tot.Dropped == 0 || tot.Handed+tot.Dropped != 1500 || tot.Acked != tot.Handed {
		t.Errorf("totals %+v, want some dropped and the others acknowledged", tot)
	}
	expect(t, res, plan.ExitThreshold)
}

func TestInterruptStillVerifies(t *testing.T) { // D4
	t.Parallel()
	c := fake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := load(withGroup(2), func(sc *plan.Scenario) { sc.Stages[0].Duration = time.Hour })
	res := Run(ctx, p, options(c, Options{Progress: func(s report.Snapshot) {
		if s.Elapsed >= time.Second {
			cancel()
		}
	}}))
	expect(t, res, plan.ExitSignal)
	sc := res.Scenarios[0]
	if !res.Interrupted || sc.Totals.Acked == 0 || sc.Totals.Acked != sc.Ledger[0].Acked || sc.Ledger[0].Unseen != 0 {
		t.Errorf("interrupted %t, totals %+v, ledger %+v: want what was sent, verified", res.Interrupted, sc.Totals, sc.Ledger[0])
	}
	if c.TopicInfo("orders") != nil {
		t.Error("the interrupted run left its topic behind")
	}
}

func TestInterruptBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res := Run(ctx, load(), Options{Brokers: fake(t).ListenAddrs()})
	expect(t, res, plan.ExitSignal)
}

func TestBrokerDiesUnderLoad(t *testing.T) {
	t.Parallel()
	c := fake(t)
	dead := make(chan struct{})
	p := load(withGroup(1), func(sc *plan.Scenario) { sc.Stages[0].Duration = time.Hour })
	res := Run(t.Context(), p, options(c, Options{
		Dead: dead, Brief: 300 * time.Millisecond,
		Progress: func(s report.Snapshot) {
			if s.Elapsed >= time.Second && s.Phase == "running" && !died(dead) {
				c.Close()
				close(dead)
			}
		},
	}))
	expect(t, res, plan.ExitUnreachable)
	if sc := res.Scenarios[0]; sc.Totals.Acked == 0 || len(broken(sc)) != 0 {
		t.Errorf("totals %+v, broken %v: what was acknowledged before counts, and nothing proves a loss", sc.Totals, broken(sc))
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	c := fake(t)
	addrs := c.ListenAddrs()
	c.Close()
	res := Run(t.Context(), load(), Options{Brokers: addrs, Prepare: 500 * time.Millisecond})
	expect(t, res, plan.ExitUnreachable)
}

func TestSlowConsumerDoesNotConverge(t *testing.T) {
	t.Parallel()
	p := load(withGroup(1), func(sc *plan.Scenario) {
		sc.Consume[0].ThinkTime = 5 * time.Millisecond
		sc.Drain = 300 * time.Millisecond
	})
	res := run(t, fake(t), p)
	expect(t, res, plan.ExitThreshold)
	sc := res.Scenarios[0]
	if sc.Drain.Converged || len(broken(sc)) != 0 || sc.Ledger[0].Unseen != 0 {
		t.Errorf("drain %+v, broken %v, ledger %+v: want a slow reader, and the log read back in full", sc.Drain, broken(sc), sc.Ledger[0])
	}
}
