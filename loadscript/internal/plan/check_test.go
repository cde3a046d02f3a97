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
		{"swings by", "amplitude", func(_ *Plan, s *Scenario) {
			s.Stages[0] = Stage{Kind: "wave", Name: "w", Duration: time.Minute, From: 10, To: 10, Amplitude: 11, Period: time.Second}
		}},
		{"given twice: by executor", "stages", func(_ *Plan, s *Scenario) { s.Executor = &Executor{Kind: "records", Records: 5} }},
		{"is no executor", "", func(_ *Plan, s *Scenario) { s.Stages, s.Executor = nil, &Executor{Kind: "odd"} }},
		{"0 clients", "n", func(_ *Plan, s *Scenario) {
			s.Stages, s.Executor = nil, &Executor{Kind: "clients", Duration: time.Minute}
		}},
		{"must last longer than 0s", "duration", func(_ *Plan, s *Scenario) { s.Stages, s.Executor, s.Warmup = nil, &Executor{Kind: "full_speed"}, 0 }},
		{"at least one record", "n", func(_ *Plan, s *Scenario) { s.Stages, s.Executor = nil, &Executor{Kind: "records"} }},
		{"too short to judge", "hold", func(_ *Plan, s *Scenario) {
			s.Stages, s.Warmup = nil, 0
			s.Executor = &Executor{Kind: "find_max_rate", StartRate: 5, Tolerance: 0.1, SLO: s.Thresholds}
		}},
		{"is no way to make values", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value.Kind = "odd" }},
		{"nested too deeply", "value", func(_ *Plan, s *Scenario) {
			v := Value{Kind: "const", Text: "1"}
			for range maxDepth + 1 {
				v = Value{Kind: "json", List: []Value{v}}
			}
			s.Produce[0].Value = v
		}},
		{"no values in", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value = Value{Kind: "pool", Size: 5, Path: "x"} }},
		{"nothing to pick", "value", func(_ *Plan, s *Scenario) {
			s.Produce[0].Value = Value{Kind: "json", List: []Value{{Kind: "pick"}}}
		}},
		{"there is none", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value = Value{Kind: "int", Lo: 5, Hi: 1} }},
		{"make no sizes", "value", func(_ *Plan, s *Scenario) { s.Produce[0].Value.Sizes = &Sizes{Kind: "lognormal", A: 5, B: 1, Max: 10} }},
		{"does not fit into a batch", "value", func(_ *Plan, s *Scenario) {
			s.Produce[0].Headers = []Header{{Key: "h", Value: Value{Kind: "text", Size: 1 << 20}}}
		}},
		{"no keys in", "key", func(_ *Plan, s *Scenario) { s.Produce[0].Key = Key{Kind: "file", Path: "x"} }},
		{"transactions need", "transaction", func(_ *Plan, s *Scenario) {
			s.Produce[0].Transaction, s.Produce[0].Idempotent = &Txn{Records: 5}, false
		}},
		{"transactions of 0 records", "", func(_ *Plan, s *Scenario) { s.Produce[0].Transaction = &Txn{} }},
		{"must be above 0/s", "rate", func(_ *Plan, s *Scenario) { s.Consume[0].Rate = -1 }},
		{"protocol =", "protocol", func(_ *Plan, s *Scenario) { s.Consume[0].Protocol = "new" }},
		{"commit =", "commit", func(_ *Plan, s *Scenario) { s.Consume[0].Commit = Commit{Kind: "every"} }},
		{"read_committed() needs", "verify", func(_ *Plan, s *Scenario) { s.Verify = []Invariant{ReadCommitted} }},
		{"committed_offsets() needs", "verify", func(_ *Plan, s *Scenario) {
			s.Verify, s.Consume[0].Commit.Kind = []Invariant{CommittedOffsets}, "none"
		}},
		{"before the first record", "start", func(_ *Plan, s *Scenario) { s.Start = -1 }},
		{"needs a part above 0%", "", func(_ *Plan, s *Scenario) { s.Steady = &Steady{Metric: "produce.rate"} }},
		{"cannot be followed", "metric", func(_ *Plan, s *Scenario) { s.Trends = []Trend{{Metric: "errors.rate"}} }},
		{"10 brokers on this machine", "brokers", func(_ *Plan, s *Scenario) { s.Cluster = &Local{Brokers: 10} }},
		{"is no fault", "", fault(Fault{Kind: "odd"})},
		{"strikes nobody", "target", fault(Fault{Kind: "kill"})},
		{"is no target", "", fault(Fault{Kind: "kill", Targets: []Target{{Kind: "odd"}}})},
		{"negative time", "", fault(Fault{Kind: "kill", At: -1, Targets: []Target{{Kind: "random"}}})},
		{"must last longer", "duration", fault(Fault{Kind: "pause", Targets: []Target{{Kind: "random"}}})},
		{"above 0s", "delay", fault(Fault{Kind: "slow_disk", Duration: 1, Targets: []Target{{Kind: "random"}}})},
		{"at most 1h", "delay", fault(Fault{Kind: "slow_disk", Delay: time.Hour + 1, Duration: 1, Targets: []Target{{Kind: "random"}}})},
		{"strikes brokers", "", fault(Fault{Kind: "disk_full", Duration: 1, Targets: []Target{{Kind: "client", Flow: "produce:orders"}}})},
		{"at least 1B/s", "limit", fault(Fault{Kind: "bandwidth", Duration: 1, Targets: []Target{{Kind: "random"}}})},
		{"must not be 0s", "skew", fault(Fault{Kind: "clock_skew", Duration: 1, Targets: []Target{{Kind: "random"}}})},
		{"at most 3650d", "skew", fault(Fault{Kind: "clock_skew", Skew: -maxSkew - 1, Duration: 1, Targets: []Target{{Kind: "random"}}})},
		{"needs choices and every", "choices", fault(Fault{Kind: "random"})},
		{"cannot hold another", "choices", fault(Fault{Kind: "random", Every: time.Second, Choices: []Fault{{Kind: "random"}}})},
		{"must join or leave", "", fault(Fault{Kind: "rebalance", Group: "g"})},
		{"more than 100,000 times", "every", fault(Fault{Kind: "restart", Every: 1, Targets: []Target{{Kind: "random"}}})},
		{"strikes while", "", func(_ *Plan, s *Scenario) { // the third beat of one meets the only beat of the other
			s.Faults = []Fault{{Kind: "pause", At: time.Second, Every: 10 * time.Second, Duration: time.Second, Targets: []Target{{Kind: "broker", ID: 1}}},
				{Kind: "restart", At: 21500 * time.Millisecond, Targets: []Target{{Kind: "brokers"}}}}
		}},
		{"a window lasts at least 1s", "window", func(_ *Plan, s *Scenario) { s.Thresholds[0].Window = 1 }},
		{"longer than what it looks at", "window", func(_ *Plan, s *Scenario) { s.Thresholds[0].Window, s.Thresholds[0].OfWindows = time.Hour, 1 }},
		{"is not measured for one group", "", func(_ *Plan, s *Scenario) { s.Thresholds[0].Group = "g" }},
	} {
		p := good()
		tc.spoil(p, &p.Scenarios[0])
		problems := p.Check()
		if len(problems) != 1 || !strings.Contains(problems[0].Message, tc.want) || problems[0].Arg != tc.arg {
			t.Errorf("want one problem with %q at %q, got %+v", tc.want, tc.arg, problems)
		}
	}
}

func fault(f Fault) func(*Plan, *Scenario) {
	return func(_ *Plan, s *Scenario) { s.Faults = []Fault{f} }
}

// Faults that do not meet, or may strike someone else by then, are let through.
func TestCheckLetsFaultsBe(t *testing.T) {
	p := good()
	one, leader := []Target{{Kind: "broker", ID: 1}}, []Target{{Kind: "leader", Topic: "orders"}}
	p.Scenarios[0].Faults = []Fault{
		{Kind: "pause", At: time.Second, Every: 10 * time.Second, Duration: time.Second, Targets: one},
		{Kind: "restart", At: 25 * time.Second, Targets: one},
		{Kind: "latency", At: time.Second, Duration: time.Minute, Delay: 1, Targets: one},
		{Kind: "kill", At: time.Second, RestartAfter: time.Minute, Targets: leader},
		{Kind: "kill", At: 2 * time.Second, RestartAfter: time.Minute, Targets: leader},
		{Kind: "rebalance", At: time.Second, RejoinAfter: time.Minute, Leave: 4, Group: "g"},
	}
	if problems := p.Check(); problems != nil {
		t.Fatalf("refused: %+v", problems)
	}
}

// Sizes that the plan only estimates are near what such a value has.
func TestMeanSize(t *testing.T) {
	object := Value{Kind: "json", Fields: []Field{{"id", Value{Kind: "seq"}}, {"c", Value{Kind: "pick", List: []Value{{Kind: "const", Text: `"de"`}, {Kind: "const", Text: `"fra"`}}}}}}
	for _, tc := range []struct {
		v        Value
		want     float64
		largest  int
		describe string
	}{
		{Value{Kind: "bytes", Size: 1024}, 1024, 1024, "1KiB"},
		{object, 24.5, 25, "json of about 25B"}, // {"id":12345678,"c":"fra"}
		{Value{Kind: "template", Text: "a{{0}}b{{1}}", List: []Value{{Kind: "const", Text: "xyz"}, {Kind: "int", Hi: 99}}}, 7, 7, "template of about 7B"},
		{Value{Kind: "bytes", Size: 300, Sizes: &Sizes{Kind: "uniform", A: 200, B: 400}}, 300, 400, "200B to 400B"},
		{Value{Kind: "text", Size: 1000, Sizes: &Sizes{Kind: "lognormal", A: 1000, B: 1024, Max: 5000}}, 1000, 5000, "text of lognormal(p50 1000B, p99 1KiB)"},
		{Value{Kind: "bytes", Sizes: &Sizes{Kind: "mix", Values: []int{100, 200}, Weights: []float64{3, 1}}}, 125, 200, "a mix of 100B, 200B"},
		{Value{Kind: "pool", Path: "x.ndjson", Size: 2, Pool: [][]byte{[]byte("a"), []byte("abc")}}, 2, 3, "x.ndjson (2B on average)"},
	} {
		if got := tc.v.MeanSize(); math.Abs(got-tc.want) > 0.5 {
			t.Errorf("%+v: mean %v, want %v", tc.v, got, tc.want)
		}
		if got := tc.v.LargestSize(); got != tc.largest {
			t.Errorf("%+v: largest %v, want %v", tc.v, got, tc.largest)
		}
		if got := tc.v.describe(); got != tc.describe {
			t.Errorf("%+v: %q, want %q", tc.v, got, tc.describe)
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
