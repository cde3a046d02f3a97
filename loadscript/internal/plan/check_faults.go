package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The kinds of faults, by what they do it to.
var (
	processFaults = []string{"kill", "pause", "restart"}
	linkFaults    = []string{"partition", "latency", "packet_loss", "bandwidth"}
	brokerFaults  = []string{"slow_disk", "disk_full", "clock_skew"} // by failpoints in the broker
)

// faultNeeds says what a fault needs that most clusters do not have, or none.
var faultNeeds = map[string]string{
	"slow_disk":  "a StreamBus broker that the run starts itself, as its failpoints are what makes it write slowly; with another, a delaying device below its data folder, which only root can make",
	"disk_full":  "a StreamBus broker that the run starts itself, as its failpoints are what refuses it room; with another, a data folder on a small file system of its own, which only root can mount",
	"clock_skew": "a StreamBus broker that the run starts itself, as its failpoints are what moves its clock; the processes of a machine share one, which only root can set, and for all of them",
}

// maxDiskDelay is the most that one write of a slow disk may take longer: StreamBus takes no more.
const maxDiskDelay = time.Hour

// maxSkew is the most that a clock may be ahead, or behind: StreamBus takes no more.
const maxSkew = 10 * 365 * 24 * time.Hour

// TargetKinds are who can be struck.
var TargetKinds = []string{"leader", "follower", "controller", "coordinator", "broker", "brokers", "random", "rolling", "client"}

// End is when a fault that began at f.At, or at one of its repetitions, is over; a kill without a restart lasts until end.
func (f Fault) End(begin, end time.Duration) time.Duration {
	switch {
	case f.Kind == "kill" && f.RestartAfter == 0:
		return max(end, begin)
	case f.Kind == "kill":
		return begin + f.RestartAfter
	case f.Kind == "rebalance":
		return begin + f.RejoinAfter
	case f.Kind == "random":
		longest := begin
		for _, o := range f.Choices {
			longest = max(longest, o.End(begin, end))
		}
		return longest
	}
	return begin + f.Duration
}

// maxBeats bounds how often one fault comes in a run.
const maxBeats = 100_000

// Beats are the times at which the fault begins, at most limit of them, all before end.
func (f Fault) Beats(end time.Duration, limit int) []time.Duration {
	var beats []time.Duration
	for at := f.At; at < end && len(beats) < limit; at += f.Every {
		beats = append(beats, at)
		if f.Every <= 0 {
			break
		}
	}
	return beats
}

func (c *checker) faults(s *Scenario) {
	if len(s.Faults) > MaxFaults {
		c.add(s.Pos, "faults", fmt.Sprintf("%d faults: at most %s are allowed", len(s.Faults), FormatCount(MaxFaults)), "")
		return
	}
	if len(s.Faults) > 0 && s.Executor != nil && s.Executor.Kind == "find_max_rate" {
		c.add(s.Pos, "faults", "find_max_rate(…) tries one rate after the other: faults would strike some and not others", `executor = full_speed("1m"), or stages`)
	}
	length, known := s.Length()
	for i := range s.Faults {
		f := &s.Faults[i]
		before := len(c.problems)
		if known && f.At >= length {
			c.add(f.Pos, "at", fmt.Sprintf("fault.%s begins at %s, but the load of scenario %q ends at %s", f.Kind, FormatDuration(f.At), s.Name, FormatDuration(length)),
				fmt.Sprintf("at = %q", FormatDuration(length/2)))
		}
		c.fault(f, s)
		if len(c.problems) > before {
			continue
		}
		if known {
			c.beats(f, length)
			c.overlaps(s.Faults[:i], f, length)
		}
	}
}

// beats checks a fault that comes again and again.
func (c *checker) beats(f *Fault, length time.Duration) {
	if f.Every <= 0 {
		return
	}
	if lasts := f.End(f.At, length) - f.At; lasts > f.Every && !(f.Kind == "kill" && f.RestartAfter == 0 && f.At+f.Every >= length) {
		c.add(f.Pos, "every", fmt.Sprintf("fault.%s comes every %s but lasts %s: the next would begin before this one is over", f.Kind, FormatDuration(f.Every), FormatDuration(lasts)),
			fmt.Sprintf("every = %q", FormatDuration(2*lasts)))
	}
	if length/f.Every > maxBeats {
		c.add(f.Pos, "every", fmt.Sprintf("fault.%s would come more than %s times", f.Kind, FormatCount(maxBeats)), `every = "1m"`)
	}
}

// overlaps refuses a fault that strikes who certainly is down already, or that would replace one of its kind: a broker that is
// dead cannot be paused, and a link has one delay. Leaders and the like may be another broker by then, so they are let through.
func (c *checker) overlaps(before []Fault, f *Fault, length time.Duration) {
	const looked = 200 // beats of each; those of a pattern repeat
	for i := range before {
		o := &before[i]
		if !sameVictim(o, f) {
			continue
		}
		for _, a := range o.Beats(length, looked) {
			for _, b := range f.Beats(length, looked) {
				if a < f.End(b, length) && b < o.End(a, length) || a == b {
					c.add(f.Pos, "", fmt.Sprintf("fault.%s at %s strikes while fault.%s (%s:%d) still does, from %s to %s, on the same %s", f.Kind, FormatDuration(b), o.Kind,
						o.Pos.File, o.Pos.Line, FormatDuration(a), FormatDuration(o.End(a, length)), victimWord(f)), fmt.Sprintf("at = %q", FormatDuration(o.End(a, length)+10*time.Second)))
					return
				}
			}
		}
	}
}

func sameVictim(a, b *Fault) bool {
	process := slices.Contains(processFaults, a.Kind) && slices.Contains(processFaults, b.Kind)
	if !process && a.Kind != b.Kind {
		return false
	}
	for _, x := range a.Targets {
		for _, y := range b.Targets {
			x.Pos, y.Pos = Pos{}, Pos{}
			fixed := x.Kind == "broker" || x.Kind == "brokers" || x.Kind == "client"
			if x == y && fixed || process && (x.Kind == "brokers" || y.Kind == "brokers") {
				return true
			}
		}
	}
	return a.Kind == "rebalance" && a.Group == b.Group
}

func victimWord(f *Fault) string {
	switch {
	case f.Kind == "rebalance":
		return "group"
	case len(f.Targets) > 0 && f.Targets[0].Kind == "client":
		return "client"
	}
	return "broker"
}

// fault checks one fault, without its time.
func (c *checker) fault(f *Fault, s *Scenario) {
	if f.At < 0 || f.Every < 0 || f.Duration < 0 || f.RestartAfter < 0 || f.RejoinAfter < 0 || f.Delay < 0 || f.Jitter < 0 {
		c.add(f.Pos, "", fmt.Sprintf("fault.%s has a negative time", f.Kind), "")
	}
	switch {
	case f.Kind == "random":
		if len(f.Choices) == 0 || f.Every <= 0 {
			c.add(f.Pos, "choices", "fault.random needs choices and every", "")
		}
		for i := range f.Choices {
			if f.Choices[i].Kind == "random" {
				c.add(f.Pos, "choices", "fault.random cannot hold another fault.random", "")
				continue
			}
			c.fault(&f.Choices[i], s)
		}
		return
	case f.Kind == "rebalance":
		c.rebalance(f, s)
		return
	case slices.Contains(processFaults, f.Kind), slices.Contains(linkFaults, f.Kind), slices.Contains(brokerFaults, f.Kind):
	default:
		c.add(f.Pos, "", fmt.Sprintf("%q is no fault", f.Kind), "fault.kill(target.random(), at = \"30s\")")
		return
	}
	if f.Kind != "kill" && f.Kind != "restart" && f.Duration == 0 {
		c.add(f.Pos, "duration", fmt.Sprintf("fault.%s must last longer than 0s", f.Kind), `duration = "30s"`)
	}
	c.faultStrength(f)
	if len(f.Targets) == 0 {
		c.add(f.Pos, "target", fmt.Sprintf("fault.%s strikes nobody", f.Kind), "target.random()")
	}
	for _, t := range f.Targets {
		c.target(t, f, s)
	}
}

func (c *checker) faultStrength(f *Fault) {
	switch f.Kind {
	case "latency":
		if f.Delay == 0 || f.Jitter > f.Delay {
			c.add(f.Pos, "jitter", fmt.Sprintf("a delay of %s with a jitter of %s: the delay must be above 0s, and the jitter at most as much", FormatDuration(f.Delay), FormatDuration(f.Jitter)), `delay = "80ms", jitter = "20ms"`)
		}
	case "slow_disk":
		if f.Delay == 0 || f.Delay > maxDiskDelay {
			c.add(f.Pos, "delay", fmt.Sprintf("a delay of %s: must be above 0s, and at most %s", FormatDuration(f.Delay), FormatDuration(maxDiskDelay)), `delay = "200ms"`)
		}
	case "packet_loss":
		if !(f.Loss > 0 && f.Loss < 1) {
			c.add(f.Pos, "loss", fmt.Sprintf("a loss of %s: must be above 0%% and below 100%% (fault.partition cuts all)", FormatPercent(f.Loss)), `loss = "1%"`)
		}
	case "bandwidth":
		if !(f.Bandwidth >= 1) {
			c.add(f.Pos, "limit", "the limit must be at least 1B/s (fault.partition cuts all)", `limit = "1MiB/s"`)
		}
	case "clock_skew":
		if f.Skew == 0 || f.Skew.Abs() > maxSkew {
			c.add(f.Pos, "skew", fmt.Sprintf("a skew of %s: must not be 0s, and at most %s ahead or behind", FormatDuration(f.Skew), FormatDuration(maxSkew)), `skew = "-5s"`)
		}
	}
}

func (c *checker) target(t Target, f *Fault, s *Scenario) {
	switch t.Kind {
	case "leader", "follower":
		c.targetTopic(t, s)
	case "coordinator":
		c.knownGroup(t.Pos, "group", t.Group, s)
	case "client":
		if !slices.Contains(linkFaults, f.Kind) {
			c.add(t.Pos, "", fmt.Sprintf("fault.%s strikes brokers: of a client, only its links can be struck", f.Kind), "fault.latency(target.client(\"produce:orders\"), …), or fault.rebalance(\"billing\", leave = 1, …)")
			return
		}
		names := s.FlowNames()
		if !slices.Contains(names, t.Flow) {
			c.problems = append(c.problems, Problem{Pos: t.Pos, Arg: "flow", Wrong: t.Flow, Among: names,
				Message: fmt.Sprintf("scenario %q has no flow %q; it has %s", s.Name, t.Flow, quoteList(names)), Example: fmt.Sprintf("target.client(%q)", firstOr(names, "produce:orders"))})
		}
	default:
		if !slices.Contains(TargetKinds, t.Kind) {
			c.add(t.Pos, "", fmt.Sprintf("%q is no target", t.Kind), "target.random()")
		}
	}
}

func (c *checker) targetTopic(t Target, s *Scenario) {
	var names []string
	for _, topic := range s.topics() {
		names = append(names, topic.Name)
		if topic.Name != t.Topic {
			continue
		}
		if topic.Partitions > 0 && t.Partition >= topic.Partitions || t.Partition < 0 {
			c.add(t.Pos, "partition", fmt.Sprintf("topic %q has partitions 0 to %d, there is no %d", t.Topic, topic.Partitions-1, t.Partition), "partition = 0")
		}
		if t.Kind == "follower" && topic.Replication == 1 {
			c.add(t.Pos, "", fmt.Sprintf("topic %q has one copy of each partition: there are no followers", t.Topic), fmt.Sprintf("topic(%q, replication = 3)", t.Topic))
		}
		return
	}
	c.problems = append(c.problems, Problem{Pos: t.Pos, Arg: "topic", Wrong: t.Topic, Among: names,
		Message: fmt.Sprintf("scenario %q uses no topic %q; it uses %s", s.Name, t.Topic, quoteList(names)), Example: fmt.Sprintf("target.leader(%q, partition = 0)", firstOr(names, "orders"))})
}

func (c *checker) rebalance(f *Fault, s *Scenario) {
	if f.Join < 0 || f.Leave < 0 || f.Join+f.Leave == 0 || f.Join > MaxClients {
		c.add(f.Pos, "", "fault.rebalance: between 1 and 10,000 members must join or leave", `fault.rebalance("billing", leave = 1, rejoin_after = "30s", at = "1m")`)
	}
	if !c.knownGroup(f.Pos, "group", f.Group, s) {
		return
	}
	members := 0
	for _, g := range s.Consume {
		if g.Group == f.Group {
			members += g.Members
		}
	}
	if f.Leave > members {
		c.add(f.Pos, "leave", fmt.Sprintf("%d members cannot leave: group %q has %d", f.Leave, f.Group, members), fmt.Sprintf("leave = %d", members))
	}
}

// knownGroup reports a group that no consumer of the scenario belongs to.
func (c *checker) knownGroup(pos Pos, arg, group string, s *Scenario) bool {
	names := s.GroupNames()
	if slices.Contains(names, group) {
		return true
	}
	has := "it has none"
	if len(names) > 0 {
		has = "it has " + quoteList(names)
	}
	c.problems = append(c.problems, Problem{Pos: pos, Arg: arg, Wrong: group, Among: names,
		Message: fmt.Sprintf("scenario %q has no group %q; %s", s.Name, group, has), Example: fmt.Sprintf("consume(%q, group = %q)", firstTopic(s), group)})
	return false
}

func firstTopic(s *Scenario) string {
	if t := s.topics(); len(t) > 0 {
		return t[0].Name
	}
	return "orders"
}

func firstOr(names []string, other string) string {
	if len(names) > 0 {
		return names[0]
	}
	return other
}

// FlowNames are the names that target.client knows: "produce:orders", "consume:orders", "consume:orders:billing".
func (s *Scenario) FlowNames() []string {
	var names []string
	add := func(words ...string) {
		if n := strings.Join(words, ":"); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, p := range s.Produce {
		add("produce", p.Topic.Name)
	}
	for _, f := range s.Consume {
		if f.Group == "" {
			add("consume", f.Topic.Name)
		} else {
			add("consume", f.Topic.Name, f.Group)
		}
	}
	return names
}

// GroupNames are the consumer groups of the scenario, once each.
func (s *Scenario) GroupNames() []string {
	var names []string
	for _, f := range s.Consume {
		if f.Group != "" && !slices.Contains(names, f.Group) {
			names = append(names, f.Group)
		}
	}
	return names
}

// Ability is what a run can do to the cluster that it is about to use.
type Ability struct {
	Name    string   // in messages: "one StreamBus broker of its own", "the brokers of --brokers"
	Brokers int      // how many there are; 0 = not known
	Starts  int      // the most brokers that local(brokers = …) may ask for; 0 = the run starts none
	Faults  []string // kinds that can be applied
	Roles   []string // kinds of targets that can be found
	Cuts    bool     // a broker can be cut off from all others, or there is only one
	Instead string   // what would help: "run it with --cluster kafka:3"
}

// CheckOn returns what of the plan cannot be done on this cluster: a fault that cannot be applied is an error, never skipped.
func (p *Plan) CheckOn(a Ability) []Problem {
	c := &checker{}
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		if l := s.Cluster; l != nil && l.Brokers > a.Starts {
			msg := fmt.Sprintf("local(brokers = %d) cannot be had on %s", l.Brokers, a.Name)
			if l.Brokers > 1 && a.Starts == 1 {
				msg = fmt.Sprintf("local(brokers = %d): StreamBus does not replicate yet, so %[1]d of its brokers would be %[1]d clusters", l.Brokers)
			}
			c.add(l.Pos, "brokers", msg, a.Instead)
		}
		for j := range s.Faults {
			c.possible(&s.Faults[j], a)
		}
	}
	return c.problems
}

func (c *checker) possible(f *Fault, a Ability) {
	for i := range f.Choices {
		c.possible(&f.Choices[i], a)
	}
	if f.Kind != "random" && !slices.Contains(a.Faults, f.Kind) {
		msg := fmt.Sprintf("fault.%s cannot be applied to %s", f.Kind, a.Name)
		instead := a.Instead
		if what, ok := faultNeeds[f.Kind]; ok {
			msg, instead = msg+": it needs "+what, ""
		}
		if slices.Contains(brokerFaults, f.Kind) {
			instead = "loadscript run --cluster local:1 …"
		}
		c.add(f.Pos, "", msg, instead)
		return
	}
	for _, t := range f.Targets {
		if f.Kind == "partition" && t.Kind != "client" && !a.Cuts {
			c.add(t.Pos, "", fmt.Sprintf("fault.partition must cut target.%s off from the other brokers as well, and on %s their links do not go through a proxy of this run", t.Kind, a.Name),
				`fault.partition([target.client("produce:orders")], …) cuts a client off on any cluster; `+a.Instead)
			continue
		}
		if t.Kind == "broker" && a.Brokers > 0 && (t.ID < 1 || t.ID > a.Brokers) {
			have := "its only one has id 1"
			if a.Brokers > 1 {
				have = fmt.Sprintf("they have ids 1 to %d", a.Brokers)
			}
			c.add(t.Pos, "", fmt.Sprintf("target.broker(%d) cannot be found on %s: %s", t.ID, a.Name, have), "target.broker(1)")
			continue
		}
		if !slices.Contains(a.Roles, t.Kind) {
			c.add(t.Pos, "", fmt.Sprintf("target.%s cannot be found on %s", t.Kind, a.Name), a.Instead)
		}
	}
}
