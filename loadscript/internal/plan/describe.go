package plan

import (
	"fmt"
	"slices"
	"strings"
)

// The parts of a plan in a few words each, for people.

func (st Stage) describeRate() string {
	switch {
	case st.Kind == "wave":
		return fmt.Sprintf("%s +- %s every %s", FormatRate(st.From), FormatRate(st.Amplitude), FormatDuration(st.Period))
	case st.From != st.To:
		return FormatRate(st.From) + " -> " + FormatRate(st.To)
	}
	return FormatRate(st.From)
}

func (f *Fault) describe() string {
	var words []string
	for _, t := range f.Targets {
		words = append(words, t.describe())
	}
	switch f.Kind {
	case "rebalance":
		words = append(words, "group "+f.Group)
		if f.Join > 0 {
			words = append(words, fmt.Sprintf("%s join", plural(f.Join, "member")))
		}
		if f.Leave > 0 {
			words = append(words, fmt.Sprintf("%s leave", plural(f.Leave, "member")))
		}
	case "random":
		for i := range f.Choices {
			words = append(words, f.Choices[i].Kind)
		}
		return "random: " + strings.Join(words, ", ")
	case "latency":
		words = append(words, FormatDuration(f.Delay))
		if f.Jitter > 0 {
			words = append(words, "+- "+FormatDuration(f.Jitter))
		}
	case "slow_disk":
		words = append(words, FormatDuration(f.Delay))
	case "packet_loss":
		words = append(words, FormatPercent(f.Loss))
	case "bandwidth":
		words = append(words, FormatSize(f.Bandwidth)+"/s")
	case "clock_skew":
		words = append(words, FormatDuration(f.Skew))
	case "partition":
		if !f.Symmetric {
			words = append(words, "one way")
		}
	}
	return f.Kind + " " + strings.Join(words, ", ")
}

func (t Target) describe() string {
	switch t.Kind {
	case "leader", "follower":
		return fmt.Sprintf("%s of %s/%d", t.Kind, t.Topic, t.Partition)
	case "coordinator":
		return "coordinator of " + t.Group
	case "broker":
		return fmt.Sprintf("broker %d", t.ID)
	case "brokers":
		return "all brokers"
	case "random":
		return "a random broker"
	case "rolling":
		return "one broker after the other"
	case "client":
		return "client " + t.Flow
	}
	return t.Kind
}

func (e *Executor) describe() string {
	switch e.Kind {
	case "clients":
		s := fmt.Sprintf("%s, each with one record in flight", plural(e.Clients, "client"))
		if e.Think > 0 {
			s += ", pausing for " + FormatDuration(e.Think)
		}
		return s
	case "full_speed":
		if e.InFlight > 0 {
			return fmt.Sprintf("full speed, %s records in flight", FormatCount(int64(e.InFlight)))
		}
		return "full speed"
	case "records":
		return FormatCount(e.Records) + " records, as fast as they go"
	}
	return fmt.Sprintf("the highest rate that holds, from %s, each tried for %s, to within %s", FormatRate(e.StartRate), FormatDuration(e.Hold), FormatPercent(e.Tolerance))
}

// judgements are the thresholds and trends, a line each.
func (s *Scenario) judgements() []string {
	var lines []string
	if s.Executor != nil {
		for _, t := range s.Executor.SLO {
			lines = append(lines, t.Expr+", at each rate tried")
		}
	}
	for _, t := range s.Thresholds {
		line := t.Expr
		if t.During != "" {
			line += ", during stage " + t.During
		}
		if t.Window > 0 {
			line += fmt.Sprintf(", in %s of the windows of %s", FormatPercent(t.OfWindows), FormatDuration(t.Window))
		}
		if t.OutsideFaults {
			line += ", outside faults"
		}
		if t.Abort {
			line += ", or the run ends"
		}
		lines = append(lines, line)
	}
	for _, t := range s.Trends {
		lines = append(lines, t.Expr)
	}
	return lines
}

func metricStat(metric, stat string) string {
	if stat == "" {
		return metric
	}
	return metric + "." + stat
}

func describeVerify(v []Invariant) string {
	if len(v) == 0 {
		return "nothing"
	}
	words := make([]string, len(v))
	for i, inv := range v {
		words[i] = string(inv)
	}
	return strings.Join(words, ", ")
}

func (p Produce) describe() string {
	s := fmt.Sprintf("%s: %s of %s", p.Topic.Name, plural(p.Producers, "producer"), p.Value.describe())
	s += fmt.Sprintf(", keys %s, acks=%s", p.Key.describe(), p.Acks)
	if p.Idempotent {
		s += ", idempotent"
	}
	if p.Compression != "none" {
		s += ", " + p.Compression
	}
	if p.Linger > 0 {
		s += ", linger " + FormatDuration(p.Linger)
	}
	if len(p.Headers) > 0 {
		s += ", " + plural(len(p.Headers), "header")
	}
	if t := p.Transaction; t != nil {
		s += fmt.Sprintf(", transactions of %s", plural(t.Records, "record"))
		if t.Abort > 0 {
			s += fmt.Sprintf(" (%s aborted)", FormatPercent(t.Abort))
		}
	}
	return s
}

func (k Key) describe() string {
	switch k.Kind {
	case "none":
		return "none"
	case "sequential":
		if k.N == 0 {
			return "sequential()"
		}
		return fmt.Sprintf("sequential(%s)", FormatCount(int64(k.N)))
	case "zipf":
		return fmt.Sprintf("zipf(%s, s=%v)", FormatCount(int64(k.N)), k.S)
	case "hot":
		return fmt.Sprintf("hot(%s, %s take %s)", FormatCount(int64(k.N)), FormatPercent(k.Hot), FormatPercent(k.Share))
	case "file":
		return fmt.Sprintf("file(%s, %s)", k.Path, plural(k.N, "key"))
	default:
		return fmt.Sprintf("%s(%s)", k.Kind, FormatCount(int64(k.N)))
	}
}

func (c Consume) describe() string {
	s := fmt.Sprintf("%s: one direct reader of all partitions", c.Topic.Name)
	if c.Group != "" {
		s = fmt.Sprintf("%s: group %s, %s", c.Topic.Name, c.Group, plural(c.Members, "member"))
	}
	if c.Isolation == "read_committed" {
		s += ", read_committed"
	}
	if c.ThinkTime > 0 {
		s += ", pausing for " + FormatDuration(c.ThinkTime) + " at each record"
	}
	if c.Rate > 0 {
		s += ", at most " + FormatRate(c.Rate)
	}
	switch c.Commit.Kind {
	case "every":
		s += ", commits every " + FormatDuration(c.Commit.Every)
	case "none":
		s += ", commits nothing"
	}
	if c.Protocol == "consumer" {
		s += ", new protocol"
	}
	return s
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// needs are what the plan asks for beyond topics and connections.
func (p *Plan) needs() []string {
	var started int
	var transactions, groups bool
	var process, link, broker []string
	add := func(list *[]string, kind string) {
		if !slices.Contains(*list, kind) {
			*list = append(*list, kind)
		}
	}
	var fault func(f *Fault)
	fault = func(f *Fault) {
		switch {
		case slices.Contains(processFaults, f.Kind):
			add(&process, f.Kind)
		case slices.Contains(linkFaults, f.Kind):
			add(&link, f.Kind)
		case slices.Contains(brokerFaults, f.Kind):
			add(&broker, f.Kind)
		}
		for i := range f.Choices {
			fault(&f.Choices[i])
		}
	}
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if s.Cluster != nil {
			started = max(started, s.Cluster.Brokers)
		}
		for _, f := range s.Produce {
			transactions = transactions || f.Transaction != nil
		}
		for _, f := range s.Consume {
			groups = groups || f.Protocol == "consumer"
		}
		for j := range s.Faults {
			fault(&s.Faults[j])
		}
	}
	var needs []string
	if started > 0 {
		needs = append(needs, plural(started, "broker")+" started by the run on this machine")
	}
	if transactions {
		needs = append(needs, "transactions")
	}
	if groups {
		needs = append(needs, "the consumer group protocol of KIP-848")
	}
	for _, n := range []struct {
		what  string
		kinds []string
	}{{"control of the brokers' processes", process}, {"a proxy before the brokers", link}, {"a StreamBus broker that the run starts, with failpoints", broker}} {
		if len(n.kinds) > 0 {
			needs = append(needs, fmt.Sprintf("%s, for %s", n.what, strings.Join(n.kinds, ", ")))
		}
	}
	return needs
}

func (t Topic) configText() string {
	var words []string
	if t.MinInsync > 0 {
		words = append(words, fmt.Sprintf("min.insync.replicas=%d", t.MinInsync))
	}
	for _, kv := range t.Config {
		words = append(words, kv.Name+"="+kv.Value)
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}
