package drive

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// conduct runs the first scenario of a plan as Run does, and calls during once, in a goroutine of its own, when load flows.
func conduct(t *testing.T, c *kfake.Cluster, p *plan.Plan, during func(s *scenario)) report.Scenario {
	t.Helper()
	opts := options(c, Options{Note: t.Logf})
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
	t.Parallel()
	for name, c := range map[string]struct {
		commit      plan.Commit
		least, most int32
	}{
		"none":        {plan.Commit{Kind: "none"}, 0, 0},
		"every 100ms": {plan.Commit{Kind: "every", Every: 100 * time.Millisecond}, 4, 100},
		"auto":        {plan.Commit{Kind: "auto"}, 1, 4}, // at the end: the run is shorter than the interval
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := fake(t)
			n := commits(broker)
			res := run(t, broker, load(withGroup(2), func(sc *plan.Scenario) {
				sc.Consume[0].Commit = c.commit
				sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
			}))
			expect(t, res, plan.ExitPass)
			if got := n.Load(); got < c.least || got > c.most {
				t.Errorf("%d commits, want %d to %d", got, c.least, c.most)
			}
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
	t.Parallel()
	const limit = 200
	var s *scenario
	sc := conduct(t, fake(t), load(withGroup(2), func(sc *plan.Scenario) {
		sc.Consume = append(sc.Consume, plan.Consume{
			Topic: sc.Produce[0].Topic, Group: "audit", Members: 2, Start: "earliest", Isolation: "read_uncommitted", Rate: limit,
		})
		sc.Stages[0].Duration = 2 * time.Second
	}), func(running *scenario) { s = running })
	if sc.ExitCode != int(plan.ExitPass) || !sc.Drain.Converged {
		t.Fatalf("exit code %d: %v, drain %+v", sc.ExitCode, sc.Reasons, sc.Drain)
	}
	slow, elapsed := s.readers[1], s.epoch.Now()
	if most := limit*elapsed.Seconds() + limit*limiterCredit.Seconds() + 1; float64(slow.delivered.Load()) > most {
		t.Errorf("the slow group got %d records in %v, more than %v", slow.delivered.Load(), elapsed, most)
	}
	worst := map[string]int64{}
	for _, row := range sc.Series {
		for g, lag := range row.Lags {
			worst[g] = max(worst[g], lag)
		}
	}
	if last := sc.Series[len(sc.Series)-1].Lags; last["billing"] != 0 || last["audit"] < 1000 || worst["audit"] < last["audit"] {
		t.Errorf("lags at the end %v, worst %v: want none of billing, and a long one of audit", last, worst)
	}
}

// Members come and go under load: what was committed is taken over, nothing is lost, and each rebalance has a duration.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var errs []error
			sc := conduct(t, fake(t), load(withGroup(2), func(sc *plan.Scenario) {
				sc.Consume[0].Protocol = protocol
				sc.Consume[0].Commit = plan.Commit{Kind: "every", Every: 50 * time.Millisecond}
				sc.Stages[0].Duration = 4 * time.Second
				sc.Verify = append(slices.Clone(sc.Verify), plan.CommittedOffsets)
				sc.Thresholds = []plan.Threshold{{Expr: "rebalance.duration.max < 1m", Metric: "rebalance.duration", Stat: "max", Op: "<", Value: 60e9}}
			}), func(s *scenario) {
				f := s.readers[0]
				errs = append(errs, f.RemoveMembers(1), f.AddMembers(2))
				_ = sleep(t.Context(), 500*time.Millisecond)
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
			if v := sc.Ledger[0].Views[0]; v.Seen != 4500 || v.Lost != 0 {
				t.Errorf("view %+v, want all 4,500 records", v)
			}
		})
	}
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
