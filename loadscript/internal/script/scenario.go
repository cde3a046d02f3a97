package script

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// maxStages bounds the schedule of one scenario; pacing walks it.
const maxStages = 10_000

func buildScenario(c *call) (any, error) {
	if err := c.refuseInModule(); err != nil {
		return nil, err
	}
	s := plan.Scenario{
		Name:        arg[string](c, "name"),
		Pos:         c.pos,
		Arrivals:    plan.Arrivals(arg[string](c, "arrivals")),
		Warmup:      arg[warmup](c, "warmup").time,
		Steady:      arg[warmup](c, "warmup").steady,
		Start:       time.Duration(arg[Dur](c, "start")),
		Cluster:     arg[*plan.Local](c, "cluster"),
		Drain:       time.Duration(arg[Dur](c, "drain")),
		MaxInFlight: arg[int](c, "max_in_flight"),
		Seed:        uint64(arg[Count](c, "seed")),
		Produce:     []plan.Produce{},
		Stages:      []plan.Stage{},
		Verify:      []plan.Invariant{},
	}
	for _, r := range c.rest {
		c.addFlow(&s, r.(*built).value.(flow))
	}
	c.schedule(&s)
	c.verify(&s)
	c.limits(&s)
	c.faults(&s)
	if len(c.bads) == 0 && !c.broken {
		c.s.scenarios = append(c.s.scenarios, s)
	}
	return nil, nil
}

// refuseInModule stops a module that declares something while it loads: which declarations a script has must not depend on
// what it loads.
func (c *call) refuseInModule() error {
	if c.s.testing {
		d := Diagnostic{Message: fmt.Sprintf("%s() cannot be called in a test: it declares something for a run", c.table.Name), Example: `p = plan("spike.star", rate = "5k/s")`}
		c.s.place(&d, c.spanOf(problem{index: -1}))
		return &stop{d}
	}
	if name, ok := c.thread.Local(loadingKey).(string); ok {
		d := Diagnostic{
			Message: fmt.Sprintf("%s() cannot be called while the module %s loads: put it into a function, and let the script call that", c.table.Name, name),
			Example: fmt.Sprintf("def declare():\n    %s", c.table.Example),
		}
		c.s.place(&d, c.spanOf(problem{index: -1}))
		return &stop{d}
	}
	return nil
}

func (c *call) addFlow(s *plan.Scenario, f flow) {
	if f.produce != nil {
		p := *f.produce
		p.Topic = f.topic.Topic
		s.Produce = append(s.Produce, p)
		return
	}
	f2 := *f.consume
	f2.Topic = f.topic.Topic
	s.Consume = append(s.Consume, f2)
}

// schedule makes the stages, from stages = […] or from rate and duration.
func (c *call) schedule(s *plan.Scenario) {
	stages, rate, duration := c.has("stages"), c.has("rate"), c.has("duration")
	const either = `stages = [hold("30s", "2k/s")], or rate = "2k/s", duration = "30s"`
	if c.has("executor") {
		for _, other := range []string{"stages", "rate", "duration"} {
			if c.has(other) {
				c.bad(other, "the load is given twice: by executor and by "+other, "", "executor = full_speed(\"1m\"), or "+either)
			}
		}
		c.executor(s, arg[executor](c, "executor"))
		return
	}
	switch {
	case stages && rate:
		c.bad("rate", "the load is given twice: by stages and by rate", "", either)
	case stages && duration:
		c.bad("duration", "the load is given twice: by stages and by duration", "", either)
	case !stages && !rate && !duration:
		c.bad("", "the load is missing: give stages, or rate and duration, or an executor", "", either)
	case rate && !duration:
		c.bad("rate", "rate needs a duration beside it", "", `rate = "2k/s", duration = "30s"`)
	case duration && !rate:
		c.bad("duration", "duration needs a rate beside it", "", `rate = "2k/s", duration = "30s"`)
	case rate:
		r, ok := c.records(s, arg[Rate](c, "rate"), "rate")
		if d := time.Duration(arg[Dur](c, "duration")); ok {
			s.Stages = append(s.Stages, plan.Stage{Kind: "hold", Name: "hold-1", Pos: c.pos, Duration: d, From: r, To: r})
		}
	default:
		c.stages(s, arg[[]*built](c, "stages"))
	}
}

func (c *call) stages(s *plan.Scenario, stages []*built) {
	if len(stages) == 0 && !c.broken {
		c.bad("stages", "the list is empty: nothing would be offered", "", `stages = [hold("30s", "2k/s")]`)
	}
	if len(stages) > maxStages {
		c.bad("stages", fmt.Sprintf("there are %d stages, at most %d are allowed", len(stages), maxStages), "", "")
		return
	}
	before := 0.0
	for i, b := range stages {
		st := b.value.(stage)
		to, ok := c.records(s, st.rate, "stages")
		if !ok {
			return
		}
		out := plan.Stage{Kind: st.kind, Name: st.name, Pos: b.pos, Duration: st.duration, From: to, To: to}
		switch st.kind {
		case "ramp":
			out.From = before
		case "wave":
			if out.Amplitude, ok = c.records(s, st.amplitude, "stages"); !ok {
				return
			}
			out.Period = st.period
			out.To = math.Round(out.RateAt(st.duration)*1e6) / 1e6 // a whole number of swings ends at the mean, not a hair beside it
		}
		if out.Name == "" {
			out.Name = fmt.Sprintf("%s-%d", st.kind, i+1)
		}
		s.Stages = append(s.Stages, out)
		before = out.To
	}
}

// executor resolves what depends on the flows.
func (c *call) executor(s *plan.Scenario, e executor) {
	out := e.Executor
	if out.Kind == "find_max_rate" {
		var ok bool
		if out.StartRate, ok = c.records(s, e.start, "executor"); !ok {
			return
		}
		for _, l := range e.slo {
			t, ok := c.threshold(s, l, "executor")
			if !ok {
				return
			}
			out.SLO = append(out.SLO, t)
		}
	}
	s.Executor = &out
}

// records resolves a rate in bytes by the size of the values.
func (c *call) records(s *plan.Scenario, r Rate, param string) (float64, bool) {
	if !r.Bytes {
		return r.PerSecond, true
	}
	size := s.MeanValueSize()
	if size == 0 {
		if len(s.Produce) == 0 && !c.broken {
			c.bad(param, "a rate in bytes needs a produce flow, whose value size makes it records", "", `scenario("x", produce("orders", value = gen.bytes("1KiB")), rate = "50MiB/s", duration = "30s")`)
		}
		return 0, false
	}
	return r.PerSecond / size, true
}

// verify resolves "auto": what every flow promises. With mixed flows only what all of them promise is asked of the scenario.
func (c *call) verify(s *plan.Scenario) {
	v := arg[verifyChoice](c, "verify")
	if !v.auto {
		s.Verify = append(s.Verify, v.list...)
		return
	}
	every := func(ok func(p plan.Produce) bool) bool {
		return len(s.Produce) > 0 && !slices.ContainsFunc(s.Produce, func(p plan.Produce) bool { return !ok(p) })
	}
	if every(func(p plan.Produce) bool { return p.Acks == "all" }) {
		s.Verify = append(s.Verify, plan.NoLoss)
	}
	if every(func(p plan.Produce) bool { return p.Idempotent }) {
		s.Verify = append(s.Verify, plan.NoDuplicates, plan.InOrder)
	}
	if s.ReadsTransactions() {
		s.Verify = append(s.Verify, plan.ReadCommitted)
	}
	s.Verify = append(s.Verify, plan.NoCorruption)
}

func (c *call) limits(s *plan.Scenario) {
	for _, l := range arg[[]limit](c, "thresholds") {
		if l.trend != nil {
			s.Trends = append(s.Trends, *l.trend)
			continue
		}
		if l.pos.Line == 0 {
			l.pos = c.placeOfArg("thresholds", l.item)
		}
		t, ok := c.threshold(s, l, "thresholds")
		if !ok {
			return
		}
		s.Thresholds = append(s.Thresholds, t)
	}
}

// threshold resolves a rate in bytes.
func (c *call) threshold(s *plan.Scenario, l limit, param string) (plan.Threshold, bool) {
	t := plan.Threshold{Expr: l.text, Pos: l.pos, Metric: l.metric, Stat: l.stat, Op: l.op, Value: l.value, During: l.during, Group: l.group,
		Window: l.window, OfWindows: l.ofWindows, OutsideFaults: l.outsideFaults, Abort: l.abort}
	if l.bytes {
		v, ok := c.records(s, Rate{PerSecond: l.value, Bytes: true}, param)
		if !ok {
			return t, false
		}
		t.Value = v
	}
	return t, true
}

// resolveTopics gives flows that name a topic the description that the script has of it, wherever it stands.
func (s *session) resolveTopics() {
	describe := func(t *plan.Topic) {
		if i := slices.IndexFunc(s.topics, func(d plan.Topic) bool { return d.Name == t.Name }); i >= 0 && !s.described(t) {
			*t = s.topics[i]
		}
	}
	for i := range s.scenarios {
		for j := range s.scenarios[i].Produce {
			describe(&s.scenarios[i].Produce[j].Topic)
		}
		for j := range s.scenarios[i].Consume {
			describe(&s.scenarios[i].Consume[j].Topic)
		}
	}
}

func (s *session) described(t *plan.Topic) bool {
	return slices.ContainsFunc(s.topics, func(d plan.Topic) bool { return d.Name == t.Name && d.Pos == t.Pos })
}
