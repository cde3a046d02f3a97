package plan

import (
	"math"
	"strings"
	"testing"
	"time"
)

// good is a plan that Check accepts; each case spoils one thing.
func good() *Plan {
	orders := Topic{Name: "orders", Partitions: 12, Replication: 3, MinInsync: 2}
	return &Plan{Script: "x.star", Scenarios: []Scenario{{
		Name:     "spike",
		Produce:  []Produce{{Topic: orders, Producers: 4, Value: Value{Kind: "bytes", Size: 1024}, Key: Key{Kind: "zipf", N: 1000, S: 0.99}, Acks: "all", Idempotent: true, Compression: "none", BatchBytes: 1 << 20}},
		Consume:  []Consume{{Topic: orders, Group: "g", Members: 4, Isolation: "read_uncommitted", Start: "earliest"}},
		Stages:   []Stage{{Kind: "hold", Name: "hold-1", Duration: time.Minute, From: 1000, To: 1000}},
		Arrivals: Uniform, Warmup: time.Second, Drain: time.Minute,
		Verify:     []Invariant{NoLoss, NoDuplicates, InOrder, NoCorruption},
		Thresholds: []Threshold{{Expr: "produce.latency.p99 < 50ms", Metric: "produce.latency", Stat: "p99", Op: "<", Value: 5e7}},
	}}}
}

func TestCheckAcceptsGoodPlan(t *testing.T) {
	if problems := good().Check(); problems != nil {
		t.Fatalf("good plan refused: %+v", problems)
	}
}

func TestCheckFinds(t *testing.T) {
	for _, tc := range []struct {
		want  string // part of the message
		arg   string
		spoil func(p *Plan, s *Scenario)
	}{
		{"declares no scenario", "", func(p *Plan, _ *Scenario) { p.Scenarios = nil }},
		{"exists already", "name", func(p *Plan, s *Scenario) { p.Scenarios = append(p.Scenarios, *s) }},
		{"needs a name", "name", func(_ *Plan, s *Scenario) { s.Name = "" }},
		{"has no produce", "", func(_ *Plan, s *Scenario) { s.Produce = nil }},
		{"has no stages", "stages", func(_ *Plan, s *Scenario) { s.Stages = nil }},
		{"as stage 1 is", "name", func(_ *Plan, s *Scenario) { s.Stages = append(s.Stages, s.Stages[0]) }},
		{"must last longer", "duration", func(_ *Plan, s *Scenario) { s.Stages[0].Duration = -1 }},
		{"a rate must be", "rate", func(_ *Plan, s *Scenario) { s.Stages[0].From = math.NaN() }},
		{"a rate must be", "rate", func(_ *Plan, s *Scenario) { s.Stages[0].To = 1e12 }},
		{"would last", "", func(_ *Plan, s *Scenario) { s.Stages[0].Duration = 400 * 24 * time.Hour }},
		{"less than one record", "", func(_ *Plan, s *Scenario) { s.Stages[0].From, s.Stages[0].To = 0, 0 }},
		{"no arrival process", "arrivals", func(_ *Plan, s *Scenario) { s.Arrivals = "bursty" }},
		{"takes up all", "warmup", func(_ *Plan, s *Scenario) { s.Warmup = time.Minute }},
		{"without time to drain", "drain", func(_ *Plan, s *Scenario) { s.Drain = 0 }},
		{"too few for 4 producers", "max_in_flight", func(_ *Plan, s *Scenario) { s.MaxInFlight = 3 }},
		{"is no invariant", "verify", func(_ *Plan, s *Scenario) { s.Verify = []Invariant{"no_fun"} }},
		{"stands twice", "verify", func(_ *Plan, s *Scenario) { s.Verify = []Invariant{NoLoss, NoLoss} }},
		{"nothing is promised", "verify", func(_ *Plan, s *Scenario) { s.Produce[0].Acks, s.Produce[0].Idempotent = "0", false }},
		{"described differently", "name", func(_ *Plan, s *Scenario) {
			s.Consume[0].Topic.Partitions, s.Consume[0].Topic.Pos.Line = 3, 9
		}},
		{"is no topic name", "name", func(_ *Plan, s *Scenario) { s.Produce[0].Topic.Name, s.Consume[0].Topic.Name = "a b", "a b" }},
		{"no write could ever", "min_insync", func(_ *Plan, s *Scenario) { s.Produce[0].Topic.MinInsync = 4 }},
		{"given twice", "config", func(_ *Plan, s *Scenario) { s.Produce[0].Topic.Config = []Config{{"min.insync.replicas", "2"}} }},
		{"0 producers", "producers", func(_ *Plan, s *Scenario) { s.Produce[0].Producers = 0 }},
		{"must be between 1B", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value.Size = 0 }},
		{"does not fit into a batch", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value.Size = 1 << 20 }},
		{"compressible", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value.Compressible = 2 }},
		{"acks =", "acks", func(_ *Plan, s *Scenario) { s.Produce[0].Acks = "2" }},
		{"compression =", "compression", func(_ *Plan, s *Scenario) { s.Produce[0].Compression = "rar" }},
		{"an idempotent producer needs", "idempotent", func(_ *Plan, s *Scenario) { s.Produce[0].Acks = "1" }},
		{"exponent must be above 0", "key", func(_ *Plan, s *Scenario) { s.Produce[0].Key.S = 0 }},
		{"needs at least one", "key", func(_ *Plan, s *Scenario) { s.Produce[0].Key.N = 0 }},
		{"no way to choose keys", "key", func(_ *Plan, s *Scenario) { s.Produce[0].Key.Kind = "odd" }},
		{"both must lie", "key", func(_ *Plan, s *Scenario) { s.Produce[0].Key = Key{Kind: "hot", N: 10, Hot: 1, Share: 0.5} }},
		{"0 members", "members", func(_ *Plan, s *Scenario) { s.Consume[0].Members = 0 }},
		{"but no group", "members", func(_ *Plan, s *Scenario) { s.Consume[0].Group = "" }},
		{"isolation =", "isolation", func(_ *Plan, s *Scenario) { s.Consume[0].Isolation = "none" }},
		{"start =", "start", func(_ *Plan, s *Scenario) { s.Consume[0].Start = "middle" }},
		{"nothing produces to", "topic", func(_ *Plan, s *Scenario) { s.Consume[0].Topic = Topic{Name: "order"} }},
		{"cannot be judged", "", func(_ *Plan, s *Scenario) { s.Thresholds[0].Stat = "p42" }},
		{"cannot be judged", "", func(_ *Plan, s *Scenario) { s.Thresholds[0].Op = "==" }},
		{"needs a consumer", "", func(_ *Plan, s *Scenario) { s.Consume = nil; s.Thresholds[0].Metric = "e2e.latency" }},
		{"can never hold", "", func(_ *Plan, s *Scenario) {
			s.Thresholds[0] = Threshold{Expr: "x", Metric: "produce.rate", Op: ">", Value: 1000}
		}},
		{"has no stage named", "during", func(_ *Plan, s *Scenario) { s.Thresholds[0].During = "peak" }},
		{"inside the warm-up", "during", func(_ *Plan, s *Scenario) {
			s.Thresholds[0].During = "hold-1"
			s.Stages = append(s.Stages, Stage{Kind: "hold", Name: "hold-2", Duration: time.Minute, From: 1, To: 1})
			s.Warmup = time.Minute
		}},
	} {
		p := good()
		tc.spoil(p, &p.Scenarios[0])
		problems := p.Check()
		if len(problems) != 1 || !strings.Contains(problems[0].Message, tc.want) || problems[0].Arg != tc.arg {
			t.Errorf("want one problem with %q at %q, got %+v", tc.want, tc.arg, problems)
		}
	}
}

// Check shows everything at once.
func TestCheckFindsAll(t *testing.T) {
	p := good()
	p.Scenarios[0].Produce[0].Producers = 0
	p.Scenarios[0].Consume[0].Members = 0
	p.Scenarios[0].Warmup = time.Hour
	if got := len(p.Check()); got != 3 {
		t.Fatalf("%d problems, want 3: %+v", got, p.Check())
	}
}

// A consumer may read what an earlier scenario produced.
func TestCheckLooksBack(t *testing.T) {
	p := good()
	second := p.Scenarios[0]
	second.Name = "second"
	second.Produce = []Produce{second.Produce[0]}
	second.Produce[0].Topic = Topic{Name: "other"}
	p.Scenarios = append(p.Scenarios, second)
	if problems := p.Check(); problems != nil {
		t.Fatalf("refused: %+v", problems)
	}
}
