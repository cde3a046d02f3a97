package plan

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
)

// Problem is one thing wrong with a plan, with the place in the script to point at.
type Problem struct {
	Pos     Pos      `json:"pos"`               // the call (scenario, produce, hold, …) or threshold that is wrong
	Arg     string   `json:"arg,omitempty"`     // the keyword of that call that is wrong; empty = the call itself
	Message string   `json:"message"`           // what is wrong
	Wrong   string   `json:"wrong,omitempty"`   // the name that matches nothing, …
	Among   []string `json:"among,omitempty"`   // … and those it could have been: the printer suggests the nearest
	Example string   `json:"example,omitempty"` // what is right, as code
}

// Limits of a plan. They keep arithmetic exact and typing errors ("1000h" for "1000s") from filling a disk.
const (
	MaxDuration   = 366 * 24 * time.Hour
	MaxRate       = 1e9 // records per second of a scenario
	MaxValueBytes = 100 << 20
	MaxClients    = 10_000 // producers of a flow, members of a group
	MaxPartitions = 100_000
	MaxScenarios  = 1_000
	MaxFaults     = 1_000
	BatchOverhead = 512 // bytes that a batch of one record needs beside the value: headers, key, record headers

	MaxLocalBrokers = 9 // of a cluster that the run starts itself
)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Check returns everything that is wrong with the plan, in script order; nil means it can be driven (P1). It needs no
// network and is cheap.
func (p *Plan) Check() []Problem {
	c := &checker{}
	if len(p.Scenarios) == 0 {
		c.add(Pos{File: p.Script, Line: 1, Column: 1}, "", "the script declares no scenario: there is nothing to run",
			`scenario("smoke", produce("orders"), rate = "1k/s", duration = "30s")`)
	}
	if len(p.Scenarios) > MaxScenarios {
		c.add(p.Scenarios[MaxScenarios].Pos, "", fmt.Sprintf("more than %d scenarios", MaxScenarios), "")
	}
	produced := map[string]bool{} // by this scenario or an earlier one
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		c.uniqueScenario(p.Scenarios[:i], s)
		c.scenario(s, produced)
	}
	return c.problems
}

type checker struct {
	problems []Problem
	topics   []Topic // first use of each name
}

func (c *checker) add(pos Pos, arg, message, example string) {
	c.problems = append(c.problems, Problem{Pos: pos, Arg: arg, Message: message, Example: example})
}

func (c *checker) uniqueScenario(before []Scenario, s *Scenario) {
	for _, b := range before {
		if b.Name == s.Name {
			c.add(s.Pos, "name", fmt.Sprintf("a scenario named %q exists already (%s:%d): the report could not tell them apart",
				s.Name, b.Pos.File, b.Pos.Line), `scenario("cap-acks=%s" % acks, …)`)
			return
		}
	}
}

func (c *checker) scenario(s *Scenario, produced map[string]bool) {
	if s.Name == "" {
		c.add(s.Pos, "name", "a scenario needs a name", `scenario("smoke", …)`)
	}
	if len(s.Produce) == 0 {
		c.add(s.Pos, "", fmt.Sprintf("scenario %q has no produce(…): its rate has nothing to go to", s.Name),
			`scenario("smoke", produce("orders"), rate = "1k/s", duration = "30s")`)
	}
	for i := range s.Produce {
		c.produce(&s.Produce[i])
		produced[s.Produce[i].Topic.Name] = true
	}
	for i := range s.Consume {
		c.consume(&s.Consume[i], s, produced)
	}
	if s.Executor != nil {
		c.executor(s)
	} else {
		c.stages(s)
	}
	c.settings(s)
	c.faults(s)
	for i := range s.Thresholds {
		c.threshold(&s.Thresholds[i], s)
	}
	for i := range s.Trends {
		c.followed(s.Trends[i].Pos, s.Trends[i].Metric, s.Trends[i].Stat, s)
	}
}

// executor checks load that follows no stages.
func (c *checker) executor(s *Scenario) {
	e := s.Executor
	if len(s.Stages) > 0 {
		c.add(s.Pos, "stages", "the load is given twice: by executor and by stages", `executor = full_speed("1m"), or stages = [hold("30s", "2k/s")]`)
	}
	if s.Arrivals == Poisson {
		c.add(s.Pos, "arrivals", fmt.Sprintf("%s(…) follows no schedule, so its arrivals cannot be chosen", e.Kind), "")
	}
	switch e.Kind {
	case "clients", "full_speed":
		if e.Duration <= 0 || e.Duration > MaxDuration {
			c.add(e.Pos, "duration", fmt.Sprintf("%s must last longer than 0s, and at most %s", e.Kind, FormatDuration(MaxDuration)), e.Kind+`("1m")`)
		}
		if e.Kind == "clients" && (e.Clients < 1 || e.Clients > MaxClients) {
			c.add(e.Pos, "n", fmt.Sprintf("%d clients: must be between 1 and %d", e.Clients, MaxClients), `clients(50, "1m")`)
		}
		if e.InFlight < 0 {
			c.add(e.Pos, "in_flight", "must not be negative", "")
		}
	case "records":
		if e.Records < 1 {
			c.add(e.Pos, "n", "at least one record must be sent", `records("1M")`)
		}
	case "find_max_rate":
		c.findMaxRate(e, s)
	default:
		c.add(e.Pos, "", fmt.Sprintf("%q is no executor", e.Kind), `full_speed("1m")`)
	}
	if e.Kind == "find_max_rate" && (s.Warmup > 0 || s.Steady != nil) {
		c.add(s.Pos, "warmup", "find_max_rate(…) has no part to leave out: each rate it tries is judged as a whole", "")
	} else if s.Steady != nil {
		c.add(s.Steady.Pos, "", fmt.Sprintf("steady(…) warms up at the rate of the first stage, and %s(…) has none", e.Kind), `warmup = "10s"`)
	}
}

func (c *checker) findMaxRate(e *Executor, s *Scenario) {
	if !(e.StartRate > 0 && e.StartRate <= MaxRate) {
		c.add(e.Pos, "start", fmt.Sprintf("%s: must be above 0/s and at most %s", FormatRate(e.StartRate), FormatRate(MaxRate)), `start = "10k/s"`)
	}
	if e.Hold < time.Second {
		c.add(e.Pos, "hold", fmt.Sprintf("%s is too short to judge a rate: at least 1s", FormatDuration(e.Hold)), `hold = "30s"`)
	}
	if !(e.Tolerance > 0 && e.Tolerance < 1) {
		c.add(e.Pos, "tolerance", "must be between 0% and 100%", `tolerance = "5%"`)
	}
	if len(e.SLO) == 0 {
		c.add(e.Pos, "slo", "without a threshold there is no limit to find", `find_max_rate("produce.latency.p99 < 20ms")`)
	}
	for i := range e.SLO {
		c.threshold(&e.SLO[i], s)
	}
}

func (c *checker) stages(s *Scenario) {
	if len(s.Stages) == 0 {
		c.add(s.Pos, "stages", fmt.Sprintf("scenario %q has no stages: say how much load, and for how long", s.Name),
			`rate = "1k/s", duration = "30s"`)
		return
	}
	before := len(c.problems)
	seen := map[string]int{}
	for i, st := range s.Stages {
		if j, ok := seen[st.Name]; ok {
			c.add(st.Pos, "name", fmt.Sprintf("stage %d is named %q, as stage %d is: a threshold could not tell them apart", i+1, st.Name, j+1),
				`hold("30s", "2k/s", name = "after")`)
		}
		seen[st.Name] = i
		if st.Duration <= 0 {
			c.add(st.Pos, "duration", fmt.Sprintf("stage %q must last longer than %s", st.Name, FormatDuration(st.Duration)), `hold("30s", "2k/s")`)
		}
		if st.Kind == "wave" && (st.Period <= 0 || !(st.Amplitude >= 0 && st.Amplitude <= st.From)) {
			c.add(st.Pos, "amplitude", fmt.Sprintf("stage %q swings by %s around %s every %s: the amplitude must lie between 0/s and the mean, the period above 0s", st.Name,
				FormatRate(st.Amplitude), FormatRate(st.From), FormatDuration(st.Period)), `wave("2k/s", "1k/s", period = "10m", duration = "1h")`)
			continue
		}
		for _, r := range []float64{st.From, st.To, st.From + st.Amplitude} {
			if math.IsNaN(r) || r < 0 || r > MaxRate {
				arg := map[string]string{"hold": "rate", "ramp": "to", "wave": "mean"}[st.Kind]
				c.add(st.Pos, arg, fmt.Sprintf("stage %q offers %s: a rate must be between 0/s and %s", st.Name, FormatRate(r), FormatRate(MaxRate)), `hold("30s", "2k/s")`)
				break
			}
		}
	}
	if len(c.problems) > before {
		return // what follows would only be a consequence
	}
	if d := s.Duration(); d > MaxDuration {
		c.add(s.Pos, "", fmt.Sprintf("scenario %q would last %s, more than %s", s.Name, FormatDuration(d), FormatDuration(MaxDuration)), "")
	} else if s.Records() < 1 {
		c.add(s.Pos, "", fmt.Sprintf("scenario %q offers less than one record in all", s.Name), `rate = "1k/s", duration = "30s"`)
	}
}

func (c *checker) settings(s *Scenario) {
	if s.Arrivals != Uniform && s.Arrivals != Poisson {
		c.add(s.Pos, "arrivals", fmt.Sprintf("%q is no arrival process", s.Arrivals), `arrivals = "poisson"`)
	}
	if d, known := s.Length(); known && d > 0 && s.Warmup >= d {
		c.add(s.Pos, "warmup", fmt.Sprintf("the warm-up of %s takes up all of scenario %q, which lasts %s: nothing would be measured",
			FormatDuration(s.Warmup), s.Name, FormatDuration(d)), fmt.Sprintf("warmup = %q", FormatDuration(d/10)))
	}
	if s.Drain <= 0 && len(s.Verify) > 0 {
		c.add(s.Pos, "drain", "without time to drain, records still under way at the end would count as lost", `drain = "60s"`)
	}
	producers := 0
	for _, p := range s.Produce {
		producers += p.Producers
	}
	if s.MaxInFlight < 0 || s.MaxInFlight > 0 && s.MaxInFlight < producers {
		c.add(s.Pos, "max_in_flight", fmt.Sprintf("%d records in flight are too few for %d producers: each needs at least one", s.MaxInFlight, producers),
			fmt.Sprintf("max_in_flight = %d", max(1000, producers)))
	}
	for i, v := range s.Verify {
		if !slices.Contains(Invariants, v) {
			c.add(s.Pos, "verify", fmt.Sprintf("%q is no invariant", v), `verify = [no_loss(), in_order()]`)
		}
		if slices.Contains(s.Verify[:i], v) {
			c.add(s.Pos, "verify", fmt.Sprintf("%s() stands twice", v), "")
		}
	}
	if slices.Contains(s.Verify, ReadCommitted) && !s.ReadsTransactions() {
		c.add(s.Pos, "verify", "read_committed() needs a flow with transactions, and a consumer of its topic that reads them so", `produce("pay", transaction = txn(records = 50)), consume("pay", isolation = "read_committed")`)
	}
	commits := slices.ContainsFunc(s.Consume, func(f Consume) bool { return f.Group != "" && f.Commit.Kind != "none" })
	if slices.Contains(s.Verify, CommittedOffsets) && !commits {
		c.add(s.Pos, "verify", "committed_offsets() needs a group that commits", `consume("orders", group = "billing", commit = "1s")`)
	}
	if s.Start < 0 || s.Start > MaxDuration {
		c.add(s.Pos, "start", fmt.Sprintf("a pause of %s before the first record", FormatDuration(s.Start)), `start = "5s"`)
	}
	if st := s.Steady; st != nil {
		c.followed(st.Pos, st.Metric, st.Stat, s)
		if !(st.Within > 0) || st.Over <= 0 || st.Timeout < st.Over {
			c.add(st.Pos, "", "steady(…) needs a part above 0%, a window, and a timeout that is not shorter", `steady("produce.rate", within = "2%", over = "60s", timeout = "10m")`)
		}
		if len(s.Stages) > 0 && s.Stages[0].From == 0 {
			c.add(st.Pos, "", fmt.Sprintf("steady(…) warms up at the rate at which the first stage begins, and stage %q begins at 0/s", s.Stages[0].Name), `stages = [hold("30s", "2k/s"), …]`)
		}
	}
	if l := s.Cluster; l != nil && (l.Brokers < 1 || l.Brokers > MaxLocalBrokers) {
		c.add(l.Pos, "brokers", fmt.Sprintf("%d brokers on this machine: must be between 1 and %d", l.Brokers, MaxLocalBrokers), "local(brokers = 3)")
	}
	if slices.Contains(s.Verify, NoLoss) && len(s.Produce) > 0 && !slices.ContainsFunc(s.Produce, func(p Produce) bool { return p.Acks != "0" }) {
		c.add(s.Pos, "verify", `no_loss() needs acknowledgements, and every flow has acks = "0": nothing is promised that could be lost`, `produce("orders", acks = "all")`)
	}
}

func (c *checker) topic(t Topic) {
	for _, first := range c.topics {
		if first.Name != t.Name {
			continue
		}
		if !sameTopic(first, t) && first.Pos != t.Pos {
			c.add(t.Pos, "name", fmt.Sprintf("topic %q is described differently at %s:%d: one topic, one description", t.Name, first.Pos.File, first.Pos.Line),
				`orders = topic("orders", partitions = 12), then produce(orders) and consume(orders)`)
		}
		return
	}
	c.topics = append(c.topics, t)
	if !topicName.MatchString(t.Name) || t.Name == "." || t.Name == ".." {
		c.add(t.Pos, "name", fmt.Sprintf("%q is no topic name: 1 to 249 of a-z A-Z 0-9 . _ -", t.Name), `topic("orders")`)
	}
	if t.Partitions < 0 || t.Partitions > MaxPartitions {
		c.add(t.Pos, "partitions", fmt.Sprintf("%d partitions: must be between 1 and %d", t.Partitions, MaxPartitions), "partitions = 12")
	}
	if t.Replication > 0 && t.MinInsync > t.Replication {
		c.add(t.Pos, "min_insync", fmt.Sprintf("min_insync = %d with replication = %d: no write could ever be acknowledged", t.MinInsync, t.Replication), "replication = 3, min_insync = 2")
	}
	for i, kv := range t.Config {
		if kv.Name == "min.insync.replicas" && t.MinInsync > 0 {
			c.add(t.Pos, "config", `"min.insync.replicas" is given twice: in config and as min_insync`, "min_insync = 2")
		}
		if slices.ContainsFunc(t.Config[:i], func(o Config) bool { return o.Name == kv.Name }) {
			c.add(t.Pos, "config", fmt.Sprintf("%q stands twice", kv.Name), "")
		}
	}
}

func sameTopic(a, b Topic) bool {
	return a.Partitions == b.Partitions && a.Replication == b.Replication && a.MinInsync == b.MinInsync && a.Keep == b.Keep && slices.Equal(a.Config, b.Config)
}

func (c *checker) produce(p *Produce) {
	c.topic(p.Topic)
	if p.Producers < 1 || p.Producers > MaxClients {
		c.add(p.Pos, "producers", fmt.Sprintf("%d producers: must be between 1 and %d", p.Producers, MaxClients), "producers = 4")
	}
	c.value(p)
	if !slices.Contains(AcksChoices, p.Acks) {
		c.add(p.Pos, "acks", fmt.Sprintf("acks = %q: must be one of %q", p.Acks, AcksChoices), `acks = "all"`)
	}
	if !slices.Contains(CompressionChoices, p.Compression) {
		c.add(p.Pos, "compression", fmt.Sprintf("compression = %q: must be one of %q", p.Compression, CompressionChoices), `compression = "zstd"`)
	}
	if p.Idempotent && (p.Acks == "1" || p.Acks == "0") {
		c.add(p.Pos, "idempotent", fmt.Sprintf("an idempotent producer needs acks = \"all\", this one has acks = %q", p.Acks), `produce("orders", acks = "all", idempotent = True)`)
	}
	if t := p.Transaction; t != nil {
		switch {
		case !p.Idempotent || p.Acks != "all":
			c.add(p.Pos, "transaction", fmt.Sprintf("transactions need acks = \"all\" and idempotent = True, this flow has acks = %q, idempotent = %s", p.Acks, starlarkBool(p.Idempotent)),
				`produce("payments", acks = "all", transaction = txn(records = 50))`)
		case t.Records < 1 || !(t.Abort >= 0 && t.Abort <= 1):
			c.add(t.Pos, "", fmt.Sprintf("transactions of %d records, %s aborted", t.Records, FormatPercent(t.Abort)), "txn(records = 50, abort = 0.05)")
		}
	}
	c.key(p)
}

func starlarkBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func nextPowerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

func (c *checker) key(p *Produce) {
	k := p.Key
	switch k.Kind {
	case "none":
		return
	case "sequential":
		if k.N >= 0 {
			return // 0 = every record has a key of its own
		}
	case "round_robin", "uniform":
	case "file":
		if len(k.Pool) == 0 {
			c.add(p.Pos, "key", fmt.Sprintf("there are no keys in %s", k.Path), `keys.file("customers.txt")`)
		}
		return
	case "zipf":
		if !(k.S > 0) || math.IsInf(k.S, 0) {
			c.add(p.Pos, "key", fmt.Sprintf("keys.zipf with s = %v: the exponent must be above 0", k.S), "keys.zipf(100000, s = 0.99)")
		}
	case "hot":
		if !(k.Hot > 0 && k.Hot < 1 && k.Share > 0 && k.Share < 1) {
			c.add(p.Pos, "key", fmt.Sprintf("keys.hot with hot = %v, share = %v: both must lie between 0 and 1", k.Hot, k.Share), "keys.hot(keys = 100000, hot = 0.01, share = 0.8)")
		}
	default:
		c.add(p.Pos, "key", fmt.Sprintf("%q is no way to choose keys", k.Kind), "key = keys.zipf(100000)")
		return
	}
	if k.N < 1 {
		c.add(p.Pos, "key", fmt.Sprintf("keys.%s with %d keys: needs at least one", k.Kind, k.N), fmt.Sprintf("key = keys.%s(100000)", k.Kind))
	}
}

func (c *checker) consume(f *Consume, s *Scenario, produced map[string]bool) {
	c.topic(f.Topic)
	if f.Members < 1 || f.Members > MaxClients {
		c.add(f.Pos, "members", fmt.Sprintf("%d members: must be between 1 and %d", f.Members, MaxClients), "members = 4")
	}
	if f.Group == "" && f.Members > 1 {
		c.add(f.Pos, "members", fmt.Sprintf("%d members but no group: without one, a single reader takes all partitions", f.Members),
			fmt.Sprintf(`consume(%q, group = "billing", members = %d)`, f.Topic.Name, f.Members))
	}
	if !slices.Contains(IsolationChoices, f.Isolation) {
		c.add(f.Pos, "isolation", fmt.Sprintf("isolation = %q: must be one of %q", f.Isolation, IsolationChoices), `isolation = "read_committed"`)
	}
	if !slices.Contains(StartChoices, f.Start) {
		c.add(f.Pos, "start", fmt.Sprintf("start = %q: must be one of %q", f.Start, StartChoices), `start = "earliest"`)
	}
	if f.Rate < 0 || math.IsNaN(f.Rate) || f.Rate > MaxRate {
		c.add(f.Pos, "rate", fmt.Sprintf("%s: must be above 0/s and at most %s", FormatRate(f.Rate), FormatRate(MaxRate)), `rate = "1k/s"`)
	}
	if f.Protocol != "" && !slices.Contains(ProtocolChoices, f.Protocol) {
		c.add(f.Pos, "protocol", fmt.Sprintf("protocol = %q: must be one of %q", f.Protocol, ProtocolChoices), `protocol = "classic"`)
	}
	if k := f.Commit.Kind; k != "" && k != "auto" && k != "none" && !(k == "every" && f.Commit.Every > 0) {
		c.add(f.Pos, "commit", fmt.Sprintf("commit = %q every %s makes no sense", k, FormatDuration(f.Commit.Every)), `commit = "1s"`)
	}
	if !produced[f.Topic.Name] && len(s.Produce) > 0 {
		names := make([]string, 0, len(s.Produce))
		for _, p := range s.Produce {
			names = append(names, p.Topic.Name)
		}
		c.problems = append(c.problems, Problem{Pos: f.Pos, Arg: "topic", Wrong: f.Topic.Name, Among: names,
			Message: fmt.Sprintf("nothing produces to topic %q: this consumer would wait for ever", f.Topic.Name),
			Example: fmt.Sprintf("produce(%q), consume(%[1]q)", names[0])})
	}
}

// The words that enumerated fields may hold.
var (
	AcksChoices        = []string{"all", "1", "0"}
	CompressionChoices = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	IsolationChoices   = []string{"read_uncommitted", "read_committed"}
	StartChoices       = []string{"earliest", "latest"}
	ProtocolChoices    = []string{"classic", "consumer"}
	Operators          = []string{"<", "<=", ">", ">="}
)
