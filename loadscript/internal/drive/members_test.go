package drive

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/mock"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// virtual runs a test with a broker and a network of its own, on a clock that stands still while anything runs: it takes no
// longer than its work, and a busy machine changes nothing.
func virtual(t *testing.T, o mock.Options, test func(t *testing.T, b *mock.Broker, opts Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Network = &mock.Network{}
		b, err := mock.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		test(t, b, options(b.Cluster, Options{Virtual: true, Note: t.Logf, Dial: o.Network.DialContext}))
		if err := b.Err(); err != nil {
			t.Error(err)
		}
	})
}

// conduct runs the first scenario of a plan as Run does, and calls during once, in a goroutine of its own, when load flows.
func conduct(t *testing.T, opts Options, p *plan.Plan, during func(s *scenario)) report.Scenario {
	t.Helper()
	started := make(chan struct{})
	var once atomic.Bool
	opts.Progress = func(snap report.Snapshot) {
		if snap.Phase == "running" && snap.Elapsed > 0 && once.CompareAndSwap(false, true) {
			close(started)
		}
	}
	opts.defaults()
	client, err := kgo.NewClient(clientOpts(opts, "admin")...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	h := newHouse(admin, opts, 1)
	defer h.cleanUp(t.Context())
	s := newScenario(p, 0, admin, h, opts)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-started:
			during(s)
		case <-t.Context().Done():
		}
	}()
	result, err := s.run(t.Context())
	if err != nil {
		t.Errorf("%v", err)
	}
	<-done
	return result
}

// commits counts the broker's acknowledged commits.
func commits(c *kfake.Cluster) *atomic.Int32 {
	var n atomic.Int32
	c.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return &n
}

func TestCommit(t *testing.T) {
	for name, c := range map[string]struct {
		commit      plan.Commit
		least, most int32
	}{
		"none":        {plan.Commit{Kind: "none"}, 0, 0},
		"every 100ms": {plan.Commit{Kind: "every", Every: 100 * time.Millisecond}, 4, 100},
		"auto":        {plan.Commit{Kind: "auto"}, 1, 4}, // at the end: the run is shorter than the interval
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, mock.Options{}, func(t *testing.T, b *mock.Broker, opts Options) {
				n := commits(b.Cluster)
				res := Run(t.Context(), load(withGroup(2), func(sc *plan.Scenario) {
					sc.Consume[0].Commit = c.commit
					sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
				}), opts)
				expect(t, res, plan.ExitPass)
				if got := n.Load(); got < c.least || got > c.most {
					t.Errorf("%d commits, want %d to %d", got, c.least, c.most)
				}
			})
		})
	}
}

// A broker that acknowledges commits and forgets them breaks committed_offsets, and nothing else.
func TestForgottenCommits(t *testing.T) {
	t.Parallel()
	c := fake(t)
	c.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.OffsetCommitRequest)
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewOffsetCommitResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetCommitResponseTopicPartition()
				sp.Partition = rp.Partition
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	expectBroken(t, run(t, c, load(withGroup(1), func(sc *plan.Scenario) {
		sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
	})), "committed_offsets")
}

// A broker that refuses commits breaks no promise.
func TestRefusedCommits(t *testing.T) {
	t.Parallel()
	c := fake(t)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError})
	expect(t, run(t, c, load(withGroup(1), func(sc *plan.Scenario) {
		sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
	})), plan.ExitPass)
}

// Two groups on one topic, one of them slow on purpose: each has its own lag, nobody waits for the slow one, and it never gets
// more than its rate allows.
func TestRateOfAGroup(t *testing.T) {
	virtual(t, mock.Options{}, func(t *testing.T, _ *mock.Broker, opts Options) {
		const limit = 200
		var s *scenario
		sc := conduct(t, opts, load(withGroup(2), func(sc *plan.Scenario) {
			sc.Consume = append(sc.Consume, plan.Consume{
				Topic: sc.Produce[0].Topic, Group: "audit", Members: 2, Start: "earliest", Isolation: "read_uncommitted", Rate: limit,
			})
			sc.Stages[0].Duration = 10 * time.Second
		}), func(running *scenario) { s = running })
		if sc.ExitCode != int(plan.ExitPass) || !sc.Drain.Converged {
			t.Fatalf("exit code %d: %v, drain %+v", sc.ExitCode, sc.Reasons, sc.Drain)
		}
		end := sc.Series[len(sc.Series)-1]
		slow, elapsed := s.readers[1], s.epoch.Now()
		if got, most := slow.delivered.Load(), int64(limit*(elapsed+limiterCredit).Seconds())+1; got > most || got < limit*10 {
			t.Errorf("the slow group got %d records, want %d to %d", got, limit*10, most)
		}
		if end.Lags["billing"] != 0 || end.Lags["audit"] < 8000 || end.Lag != end.Lags["audit"] {
			t.Errorf("lags at the end %v: want none of billing, and a long one of audit", end.Lags)
		}
		if e2e := sc.Metrics[3]; e2e.Name != "e2e.latency" || e2e.Whole.Count != 10_500 {
			t.Errorf("%s of %d records: want those of billing alone", e2e.Name, e2e.Whole.Count)
		}
	})
}

// Members come and go under load: what was committed is taken over, nothing is lost, and each rebalance has a duration. The
// classic protocol is tried on real time: its client waits for a mutex while a group rebalances, and a virtual clock with it.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	t.Run("classic", func(t *testing.T) {
		t.Parallel()
		membersComeAndGo(t, options(fake(t), Options{Note: t.Logf}), "classic", 4*time.Second, 500*time.Millisecond)
	})
	t.Run("consumer", func(t *testing.T) {
		virtual(t, mock.Options{}, func(t *testing.T, _ *mock.Broker, opts Options) {
			membersComeAndGo(t, opts, "consumer", time.Minute, 20*time.Second)
		})
	})
}

func membersComeAndGo(t *testing.T, opts Options, protocol string, length, between time.Duration) {
	const rate = 50
	var errs []error
	sc := conduct(t, opts, load(withGroup(2), func(sc *plan.Scenario) {
		sc.Consume[0].Protocol = protocol
		sc.Consume[0].Commit = plan.Commit{Kind: "every", Every: 50 * time.Millisecond}
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: length, From: rate, To: rate}}
		sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
		sc.Thresholds = []plan.Threshold{{Expr: "rebalance.duration.max < 1m", Metric: "rebalance.duration", Stat: "max", Op: "<", Value: 60e9}}
	}), func(s *scenario) {
		f := s.readers[0]
		errs = append(errs, f.RemoveMembers(1), f.AddMembers(2))
		_ = pace.Sleep(t.Context(), between)
		errs = append(errs, f.RemoveMembers(1))
		if f.RemoveMembers(7) == nil {
			t.Error("seven members left a group of two")
		}
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if sc.ExitCode != int(plan.ExitPass) {
		t.Fatalf("exit code %d: %v", sc.ExitCode, sc.Reasons)
	}
	over := 0
	for _, e := range sc.Events {
		if e.Kind == "rebalance" && e.Name == "group billing" && e.EndNs >= e.TNs && e.Detail != "" {
			over++
		}
	}
	if over == 0 || sc.Thresholds[0].Value <= 0 {
		t.Errorf("%d rebalances that ended, threshold %+v; events %+v", over, sc.Thresholds[0], sc.Events)
	}
	if v, want := sc.Ledger[0].Views[0], int64(rate*length.Seconds()); v.Seen != want || v.Lost != 0 {
		t.Errorf("view %+v, want all %d records", v, want)
	}
}

// A freeze of the broker, told as a fault: its silence, its recovery, and a threshold that leaves it out.
func TestAFaultIsMeasured(t *testing.T) {
	const pause = 3 * time.Second
	virtual(t, mock.Options{Misdeed: mock.Freeze, At: 2000, Pause: pause}, func(t *testing.T, b *mock.Broker, opts Options) {
		sc := conduct(t, opts, load(withGroup(1), func(sc *plan.Scenario) {
			sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: 60 * time.Second, From: 100, To: 100}}
			sc.Thresholds = []plan.Threshold{
				{Expr: "max", Metric: "produce.latency", Stat: "max", Op: "<", Value: 1e9},
				{Expr: "max outside", Metric: "produce.latency", Stat: "max", Op: "<", Value: 1e9, OutsideFaults: true},
				{Expr: "unavailable", Metric: "produce.unavailable", Op: "<", Value: 2.9e9},
				{Expr: "recovery", Metric: "recovery.time", Op: "<", Value: 10e9},
			}
		}), func(s *scenario) {
			for b.Done() == 0 && t.Context().Err() == nil {
				_ = pace.Sleep(t.Context(), time.Millisecond)
			}
			over := s.event(report.Event{Kind: "fault", Name: "pause the broker", Target: "broker 0"})
			_ = pace.Sleep(t.Context(), pause)
			over("")
		})
		var pass []bool
		for _, th := range sc.Thresholds {
			pass = append(pass, th.Pass)
		}
		if !slices.Equal(pass, []bool{false, true, false, true}) {
			t.Errorf("thresholds %+v", sc.Thresholds)
		}
		if len(sc.Recoveries) != 1 {
			t.Fatalf("recoveries %+v", sc.Recoveries)
		}
		if r := sc.Recoveries[0]; r.Fault != "pause the broker" || r.EndNs-r.BeginNs < int64(pause) || r.UnavailableNs < 2.9e9 || r.UnavailableNs > 4e9 || r.RecoveryNs < 0 || r.RecoveryNs > 5e9 {
			t.Errorf("recovery %+v", r)
		}
		if len(sc.Silences) != 3 {
			t.Errorf("silences %+v: want one of each partition", sc.Silences)
		}
	})
}

// A threshold that cannot hold any more and is to abort ends the offering; what was sent is still verified.
func TestAbortEndsTheOffering(t *testing.T) {
	virtual(t, mock.Options{}, func(t *testing.T, _ *mock.Broker, opts Options) {
		res := Run(t.Context(), load(withGroup(1), func(sc *plan.Scenario) {
			sc.Stages[0].Duration = time.Hour
			sc.Thresholds = []plan.Threshold{{Expr: "consume.rate.min > 1M/s", Metric: "consume.rate", Stat: "min", Op: ">", Value: 1e6, Abort: true}}
		}), opts)
		expect(t, res, plan.ExitThreshold)
		sc := res.Scenarios[0]
		if sc.Totals.Acked < 500 || sc.Totals.Acked > 2500 || sc.Ledger[0].Acked != sc.Totals.Acked || sc.Ledger[0].Unseen != 0 || !sc.Drain.Converged {
			t.Errorf("totals %+v, ledger %+v: want the records of the first second or two, all of them seen", sc.Totals, sc.Ledger[0])
		}
		if !slices.ContainsFunc(sc.Events, func(e report.Event) bool { return e.Kind == "abort" && strings.Contains(e.Name, "consume.rate.min") }) || sc.Thresholds[0].Detail == "" {
			t.Errorf("events %+v, threshold %+v: nobody says that the run was stopped", sc.Events, sc.Thresholds[0])
		}
		if first, second := sc.Stages[0], sc.Stages[1]; first.EndNs > 3e9 || second.StartNs != first.EndNs || second.EndNs != first.EndNs || first.AckedRate < 900 || second.AckedRate != 0 {
			t.Errorf("stages %+v: want what there was of them", sc.Stages)
		}
		for _, f := range sc.Validity.Findings {
			if !f.Pass {
				t.Errorf("%+v", f)
			}
		}
	})
}

// A cluster without KIP-848 is no place for protocol = "consumer": the client would fall back without a word.
func TestProtocolThatTheClusterDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := fake(t)
	c.ControlKey(int16(kmsg.ApiVersions), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := kreq.ResponseKind().(*kmsg.ApiVersionsResponse)
		for key, most := range map[int16]int16{0: 9, 1: 11, 2: 5, 3: 9, 8: 7, 9: 7, 10: 3, 11: 6, 12: 4, 13: 4, 14: 4, 15: 4, 16: 3, 18: 3, 19: 5, 20: 4, 22: 3, 42: 2} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, most
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
		return resp, nil, true
	})
	res := run(t, c, load(withGroup(1), func(sc *plan.Scenario) { sc.Consume[0].Protocol = "consumer" }))
	expect(t, res, plan.ExitUnreachable)
	if want := `protocol = "classic"`; !slices.ContainsFunc(res.Verdict.Reasons, func(r string) bool { return strings.Contains(r, want) }) {
		t.Errorf("reasons %q, want a way out: %s", res.Verdict.Reasons, want)
	}
}
