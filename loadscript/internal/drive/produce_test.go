package drive

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/gen"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// order is a small document with a header beside it.
func order(sc *plan.Scenario) {
	sc.Produce[0].Value = plan.Value{Kind: "json", Size: 150, Fields: []plan.Field{
		{Name: "id", Value: plan.Value{Kind: "uuid"}}, {Name: "at", Value: plan.Value{Kind: "now"}}, {Name: "pad", Value: plan.Value{Kind: "filler"}},
	}}
	sc.Produce[0].Headers = []plan.Header{
		{Key: "kind", Value: plan.Value{Kind: "const", Text: `"order"`}}, {Key: "n", Value: plan.Value{Kind: "seq"}},
	}
}

// A value that means something arrives as it was made, with its headers, and is verified all the same (G5).
func TestDocumentsWithHeaders(t *testing.T) {
	t.Parallel()
	c := fake(t)
	p := load(order, withGroup(1), func(sc *plan.Scenario) { sc.Produce[0].Topic.Keep = true })
	res := run(t, c, p)
	expect(t, res, plan.ExitPass)
	if v := res.Scenarios[0].Ledger[0].Views[0]; v.Seen != 1500 {
		t.Errorf("view %+v, want all 1,500 verified", v)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	numbers := map[string]bool{}
	for len(numbers) < 1500 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if len(r.Headers) == 0 {
				return // a probe
			}
			if !json.Valid(r.Value) || len(r.Value) != 150 {
				t.Fatalf("%d bytes, want 150 of JSON: %q", len(r.Value), r.Value)
			}
			if len(r.Headers) != 3 || string(r.Headers[0].Value) != "order" || r.Headers[2].Key != gen.StampHeader {
				t.Fatalf("headers %v", r.Headers)
			}
			numbers[string(r.Headers[1].Value)] = true
		})
	}
}

// The path of a record from the schedule to the client allocates nothing; what the client does is the client's.
func TestMakingARecordAllocatesNothing(t *testing.T) {
	for name, change := range map[string]func(*plan.Scenario){
		"bytes": func(*plan.Scenario) {}, "document": order,
		"sizes": func(sc *plan.Scenario) {
			sc.Produce[0].Value.Sizes = &plan.Sizes{Kind: "lognormal", A: 100, B: 500, Max: 600}
		},
	} {
		sc := load(change).Scenarios[0]
		sh := bare(t, &sc)
		it := sh.newItem()
		n := testing.AllocsPerRun(500, func() {
			sh.fill(it, sh.clients[0], pace.Handover{Intended: time.Second, Now: time.Second})
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per record, want none", name, n)
		}
	}
}

// bare is a shard without a client.
func bare(t testing.TB, sc *plan.Scenario) *shard {
	t.Helper()
	s := &scenario{plan: sc, clock: pace.NewWall(), runID: 1}
	s.reshape(sc.Stages, 0)
	s.meter = newMeter(s)
	flow := &sc.Produce[0]
	sh := &shard{
		scenario: s, flow: flow, field: &field{plan: flow.Topic, partitions: 1, ledger: ledger.NewTopic("orders", 1, 1, ledger.Options{})},
		pool: sync.Pool{},
	}
	var err error
	if sh.values, err = gen.NewValues(flow.Value, 1, 0, 1); err != nil {
		t.Fatal(err)
	}
	if sh.keys, err = gen.NewKeys(plan.Key{Kind: "uniform", N: 10}, 1, 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, h := range flow.Headers {
		v, err := gen.NewValues(h.Value, 1, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		sh.headers = append(sh.headers, v)
	}
	sh.pool.New = func() any { return sh.newItem() }
	sh.clients = []*producer{{lanes: []*ledger.Lane{sh.field.ledger.Lane(0, 0)}}}
	return sh
}
