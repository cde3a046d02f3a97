package drive

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// fake starts a broker in this process.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "10", "group.consumer.heartbeat.interval.ms": "100"}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// all is every invariant.
var all = []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption}

// load is a small scenario: one flow into "orders", 1,500 records in 1.5 s.
func load(change ...func(*plan.Scenario)) *plan.Plan {
	sc := plan.Scenario{
		Name: "small",
		Produce: []plan.Produce{{
			Topic: plan.Topic{Name: "orders", Partitions: 3, Replication: 1}, Producers: 2,
			Value: plan.Value{Kind: "bytes", Size: 200, Compressible: 0.5}, Key: plan.Key{Kind: "none"},
			Acks: "all", Idempotent: true, Compression: "none", BatchBytes: 1 << 20,
		}},
		Stages: []plan.Stage{
			{Kind: "hold", Name: "steady", Duration: time.Second, From: 1000, To: 1000},
			{Kind: "ramp", Name: "down", Duration: 500 * time.Millisecond, From: 1000, To: 1000},
		},
		Arrivals: plan.Uniform, Drain: 10 * time.Second, Verify: all, Seed: 1,
	}
	for _, c := range change {
		c(&sc)
	}
	return &plan.Plan{Script: "small.star", Scenarios: []plan.Scenario{sc}}
}

func withGroup(members int) func(*plan.Scenario) {
	return func(sc *plan.Scenario) {
		sc.Consume = append(sc.Consume, plan.Consume{
			Topic: sc.Produce[0].Topic, Group: "billing", Members: members, Isolation: "read_uncommitted", Start: "earliest",
		})
	}
}

// options makes validity a matter of its own tests: here broker, generator and other tests share a core or two.
func options(c *kfake.Cluster, o Options) Options {
	o.Brokers, o.LagFloor, o.CPUShare = c.ListenAddrs(), time.Hour, 100
	return o
}

func run(t *testing.T, c *kfake.Cluster, p *plan.Plan) *report.Results {
	t.Helper()
	return Run(t.Context(), p, options(c, Options{Note: t.Logf}))
}

// expect fails unless the run ended with the code; it prints the reasons.
func expect(t *testing.T, res *report.Results, code plan.ExitCode) {
	t.Helper()
	if res.Verdict.ExitCode != int(code) {
		t.Fatalf("exit code %d, want %d; reasons:\n%s", res.Verdict.ExitCode, code, strings.Join(res.Verdict.Reasons, "\n"))
	}
}

func TestRunReadsBackWithoutConsumer(t *testing.T) {
	t.Parallel()
	c := fake(t)
	res := run(t, c, load())
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if sc.Totals.Acked != 1500 || sc.Totals.Handed != 1500 || sc.Ledger[0].Acked != 1500 {
		t.Errorf("totals %+v, ledger %+v: want 1500 acked", sc.Totals, sc.Ledger[0])
	}
	if v := sc.Ledger[0].Views; len(v) != 1 || v[0].Seen != 1500 || !v[0].Complete {
		t.Errorf("views %+v: want the whole topic read back", v)
	}
	if c.TopicInfo("orders") != nil {
		t.Error("the topic that the run created is still there")
	}
}

func TestRunWithGroup(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(2)))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	if v := sc.Ledger[0].Views; len(v) != 1 || v[0].Seen != 1500 {
		t.Errorf("views %+v: want one complete group and no reading back", v)
	}
	if n := len(sc.Metrics); n != 4 || sc.Metrics[3].Name != "e2e.latency" || sc.Metrics[3].Whole.Count != 1500 {
		t.Errorf("metrics %+v: want four latencies, e2e of 1500", sc.Metrics)
	}
}

func TestEveryKindOfFlow(t *testing.T) {
	t.Parallel()
	key := func(k plan.Key) func(*plan.Scenario) { return func(sc *plan.Scenario) { sc.Produce[0].Key = k } }
	for name, change := range map[string]func(*plan.Scenario){
		"tiny values":   func(sc *plan.Scenario) { sc.Produce[0].Value.Size = 10 },
		"empty values":  func(sc *plan.Scenario) { sc.Produce[0].Value.Size = 0 },
		"uniform keys":  key(plan.Key{Kind: "uniform", N: 100}),
		"zipf keys":     key(plan.Key{Kind: "zipf", N: 100, S: 0.99}),
		"hot keys":      key(plan.Key{Kind: "hot", N: 100, Hot: 0.1, Share: 0.9}),
		"round robin":   key(plan.Key{Kind: "round_robin", N: 7}),
		"zstd":          func(sc *plan.Scenario) { sc.Produce[0].Compression = "zstd" },
		"lz4, linger":   func(sc *plan.Scenario) { sc.Produce[0].Compression, sc.Produce[0].Linger = "lz4", 5*time.Millisecond },
		"acks 1":        func(sc *plan.Scenario) { sc.Produce[0].Acks, sc.Produce[0].Idempotent = "1", false },
		"poisson":       func(sc *plan.Scenario) { sc.Arrivals = plan.Poisson },
		"ten producers": func(sc *plan.Scenario) { sc.Produce[0].Producers = 10 },
		"latest": func(sc *plan.Scenario) {
			sc.Consume = []plan.Consume{{Topic: sc.Produce[0].Topic, Members: 1, Start: "latest", Isolation: "read_committed"}}
		},
		"two readers": func(sc *plan.Scenario) {
			withGroup(2)(sc)
			sc.Consume = append(sc.Consume, plan.Consume{Topic: sc.Produce[0].Topic, Members: 1, Start: "earliest", Isolation: "read_uncommitted"})
		},
		"two flows": func(sc *plan.Scenario) {
			second := sc.Produce[0]
			second.Topic.Name = "payments"
			sc.Produce = append(sc.Produce, second)
			withGroup(2)(sc)
		},
		"more members than partitions": withGroup(5),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(change, func(sc *plan.Scenario) {
				sc.Stages = []plan.Stage{{Kind: "hold", Name: "steady", Duration: 400 * time.Millisecond, From: 1000, To: 1000}}
			})
			res := run(t, fake(t), p)
			expect(t, res, plan.ExitPass)
			sc := res.Scenarios[0]
			if n := sc.Totals.Acked; n != sc.Totals.Handed || n != sc.Totals.Offered || name != "poisson" && n != 400 {
				t.Errorf("totals %+v, want 400 acknowledged", sc.Totals)
			}
			for _, v := range sc.Ledger {
				for _, view := range v.Views {
					if view.Seen != v.Acked || view.Foreign != 0 {
						t.Errorf("%s: view %+v, want %d seen and nothing foreign", v.Topic, view, v.Acked)
					}
				}
			}
		})
	}
}

// With acks=0 nobody confirms anything: every outcome is unknown, and what is missing is no loss.
func TestAcksZeroConfirmsNothing(t *testing.T) {
	t.Parallel()
	p := load(func(sc *plan.Scenario) {
		sc.Produce[0].Acks, sc.Produce[0].Idempotent = "0", false
		sc.Verify = []plan.Invariant{plan.NoCorruption}
	})
	res := run(t, fake(t), p)
	expect(t, res, plan.ExitPass)
	if l := res.Scenarios[0].Ledger[0]; l.Acked != 0 || l.Unknown != 1500 || l.UnknownSeen != 1500 {
		t.Errorf("ledger %+v, want 1,500 unknown and all of them there", l)
	}
}

func TestScenariosShareATopic(t *testing.T) {
	t.Parallel()
	p := load(withGroup(1))
	second := p.Scenarios[0]
	second.Name = "again"
	p.Scenarios = append(p.Scenarios, second)
	c := fake(t)
	res := run(t, c, p)
	expect(t, res, plan.ExitPass)
	if v := res.Scenarios[1].Ledger[0].Views[0]; v.Seen != 1500 {
		t.Errorf("second scenario: %+v, want its own 1,500 records only", v)
	}
	if c.TopicInfo("orders") != nil {
		t.Error("the topic is still there after its last scenario")
	}
}

// A topic that was there before keeps its records, and stays (D5).
func TestExistingTopicStays(t *testing.T) {
	t.Parallel()
	c := fake(t, kfake.SeedTopics(3, "orders"))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 50 {
		if err := client.ProduceSync(t.Context(), kgo.KeySliceRecord([]byte("k"), []byte("somebody's"))).FirstErr(); err == nil {
			t.Fatal("produced without a topic")
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("somebody's")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	res := run(t, c, load(withGroup(1)))
	expect(t, res, plan.ExitPass)
	if v := res.Scenarios[0].Ledger[0].Views[0]; v.Foreign != 50 || v.Seen != 1500 {
		t.Errorf("view %+v, want 50 foreign records beside 1,500 of ours", v)
	}
	read := int64(0)
	for _, row := range res.Scenarios[0].Series {
		read += row.Delivered
	}
	if read != 1500 {
		t.Errorf("%d records were read during the run, want 1,500: the others were read before it", read)
	}
	if c.TopicInfo("orders") == nil {
		t.Error("a topic that the run did not create is gone")
	}
}

// Who has to read first what the topic held before is not waited for, where that is the load, or longer than there is time; who
// reads nothing is.
func TestReadersThatAreBehind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		backlog, limited, alive bool
		patient                 bool // there is time
		notes                   int
		want                    string
	}{
		"there is no time left":     {alive: true, notes: 1},
		"the load is the backlog":   {alive: true, patient: true, backlog: true, notes: 1},
		"it is slow on purpose":     {alive: true, patient: true, limited: true},
		"it reads nothing":          {want: "a probe record was not seen by group g within"},
		"it reads nothing, limited": {limited: true, backlog: true, want: "a probe record was not seen by group g within"},
	} {
		sc := load().Scenarios[0]
		sc.Backlog = c.backlog
		f := &field{partitions: 2}
		r := &consumeFlow{plan: &plan.Consume{Group: "g"}, field: f, seen: map[int32]bool{0: true}}
		if r.seen[1] = c.alive; !c.alive {
			delete(r.seen, 1)
		}
		if c.limited {
			r.limiter = &limiter{every: 1}
		}
		ctx, cancel := context.WithCancel(t.Context())
		if !c.patient {
			cancel()
		}
		s := &scenario{plan: &sc, readers: []*consumeFlow{r}, shards: []*shard{{field: f}}}
		err := s.probe(ctx)
		cancel()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if len(s.notes) != c.notes || r.started.Load() != (err == nil) {
			t.Errorf("%s: notes %q, started %v", name, s.notes, r.started.Load())
		}
	}
}

// Offsets that a group committed for an earlier topic of the same name point into nowhere: the group must not skip records.
func TestOldCommitsOfANewTopic(t *testing.T) {
	t.Parallel()
	c := fake(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := c.CreateTopic("orders", 3, nil); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	old := kadm.Offsets{}
	for p := range int32(3) {
		old.AddOffset("orders", p, 100, -1)
	}
	if err := admin.CommitAllOffsets(t.Context(), "billing", old); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	res := run(t, c, load(withGroup(2)))
	expect(t, res, plan.ExitPass)
	groups, err := admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, there := groups["billing"]; !there {
		t.Error("a group that the run did not create is gone")
	}
}

func TestKeepKeepsTheTopic(t *testing.T) {
	t.Parallel()
	c := fake(t)
	expect(t, run(t, c, load(func(sc *plan.Scenario) { sc.Produce[0].Topic.Keep = true })), plan.ExitPass)
	if c.TopicInfo("orders") == nil {
		t.Error("the topic was to be kept")
	}
}

func TestThresholdsAreJudged(t *testing.T) {
	t.Parallel()
	th := func(expr, metric, stat, op string, value float64, during string) plan.Threshold {
		return plan.Threshold{Expr: expr, Metric: metric, Stat: stat, Op: op, Value: value, During: during}
	}
	p := load(withGroup(1), func(sc *plan.Scenario) {
		sc.Thresholds = []plan.Threshold{
			th("p50 < 10s", "produce.latency", "p50", "<", 10e9, ""),
			th("p50 < 1ns", "produce.latency", "p50", "<", 1, "down"),
			th("service max < 10s", "produce.service_time", "max", "<", 10e9, ""),
			th("delay mean < 10s", "produce.delay", "mean", "<", 10e9, ""),
			th("e2e p99.9 < 10s", "e2e.latency", "p99.9", "<", 10e9, ""),
			th("rate > 1", "produce.rate", "", ">", 1, "steady"),
			th("rate min > 900k", "produce.rate", "min", ">", 900_000, ""),
			th("consume >= 1", "consume.rate", "mean", ">=", 1, ""),
			th("lag < 1M", "consume.lag", "max", "<=", 1e6, ""),
			th("errors < 1%", "errors.rate", "", "<", 0.01, ""),
			th("dropped < 1", "dropped", "", "<", 1, ""),
			th("late < 1M", "late", "", "<", 1e6, ""),
			th("made up", "broker.magic", "p99", "<", 1, ""),
		}
	})
	res := run(t, fake(t), p)
	expect(t, res, plan.ExitThreshold)
	for i, th := range res.Scenarios[0].Thresholds {
		if want := i != 1 && i != 6 && i != 12; th.Pass != want {
			t.Errorf("%s: pass %t (%s), want %t", th.Expr, th.Pass, th.Shown, want)
		}
	}
	if th := res.Scenarios[0].Thresholds[4]; !th.Weak {
		t.Error("p99.9 of 1,500 samples was not called weak")
	}
}

func TestWarmupIsLeftOut(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(withGroup(1), func(sc *plan.Scenario) { sc.Warmup = 500 * time.Millisecond }))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	for _, m := range sc.Metrics {
		if m.Whole.Count != 1000 || m.Stages[0].Count != 500 {
			t.Errorf("%s: %d samples, %d in the first stage; want 1,000 and 500", m.Name, m.Whole.Count, m.Stages[0].Count)
		}
	}
	if sc.Ledger[0].Acked != 1500 {
		t.Errorf("%d records verified, want those of the warm-up as well", sc.Ledger[0].Acked)
	}
}
