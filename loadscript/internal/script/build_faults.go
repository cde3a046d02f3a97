package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

func buildTarget(c *call) (any, error) {
	_, kind, _ := cutMember(c.table.Name)
	t := plan.Target{Kind: kind, Pos: c.pos}
	switch kind {
	case "leader", "follower":
		t.Topic, t.Partition = arg[topicUse](c, "topic").Name, arg[int](c, "partition")
	case "coordinator":
		t.Group = arg[string](c, "group")
	case "broker":
		t.ID = arg[int](c, "id")
	case "client":
		t.Flow = arg[string](c, "flow")
	}
	return t, nil
}

// flowName is how target.client names a flow.
func flowName(f flow) string {
	switch {
	case f.produce != nil:
		return "produce:" + f.topic.Name
	case f.consume.Group == "":
		return "consume:" + f.topic.Name
	}
	return "consume:" + f.topic.Name + ":" + f.consume.Group
}

func unpackFlowName(c *conv, v starlark.Value) any {
	if s, ok := v.(starlark.String); ok {
		if !strings.HasPrefix(string(s), "produce:") && !strings.HasPrefix(string(s), "consume:") {
			c.bad(problem{text: string(s), width: len(s), msg: fmt.Sprintf(`must begin with "produce:" or "consume:", not %s`, clip(s.String(), 40)), suggest: strconv.Quote("produce:" + string(s))})
		}
		return string(s)
	}
	if b := result(c, v, wantFlowName, "produce", "consume"); b != nil {
		return flowName(b.value.(flow))
	}
	return ""
}

func unpackTargets(c *conv, v starlark.Value) any {
	var targets []plan.Target
	one := func(v starlark.Value) {
		if b := result(c, v, wantTargets, "target"); b != nil {
			targets = append(targets, b.value.(plan.Target))
		}
	}
	switch v := v.(type) {
	case *starlark.List, starlark.Tuple:
		items(c, v, wantTargets, one)
		if len(targets) == 0 && len(c.problems) == 0 && !c.broken {
			c.bad(problem{off: -1, msg: "the list is empty: nobody would be struck"})
		}
	default:
		one(v)
	}
	return targets
}

// moment is when a fault begins: a time, or a stage and a time from its beginning.
type moment struct {
	text  string // as written, when it names a stage
	after time.Duration
}

func unpackAt(c *conv, v starlark.Value) any {
	text, ok := starlark.AsString(v)
	if d, err := parseDuration(text); ok && err == nil {
		return moment{after: d}
	} else if ok && (text == "" || text[0] >= '0' && text[0] <= '9' || text[0] == '-' || text[0] == '+') {
		err.want = wantAt
		c.err(err, wantAt)
		return moment{}
	}
	if ok {
		return moment{text: text}
	}
	var d Dur
	if err := d.Unpack(v); err != nil {
		c.err(err, wantAt)
	}
	return moment{after: time.Duration(d)}
}

// faultValue is a fault whose moment is still to be found among the scenario's stages.
type faultValue struct {
	plan.Fault
	at      moment
	hasAt   bool
	choices []faultValue
}

func buildFault(c *call) (any, error) {
	_, kind, _ := cutMember(c.table.Name)
	f := faultValue{Fault: plan.Fault{Kind: kind, Pos: c.pos, Targets: arg[[]plan.Target](c, "target")}}
	for _, p := range c.table.Params {
		switch p.Name {
		case "duration":
			f.Duration = c.positive("duration")
		case "restart_after":
			f.RestartAfter = time.Duration(arg[Dur](c, p.Name))
		case "symmetric":
			f.Symmetric = arg[bool](c, p.Name)
		case "delay":
			f.Delay = c.positive("delay")
		case "jitter":
			f.Jitter = time.Duration(arg[Dur](c, p.Name))
		case "loss":
			f.Loss = float64(arg[Percent](c, p.Name))
		case "limit":
			f.Bandwidth = arg[Rate](c, p.Name).PerSecond
		case "skew":
			f.Skew = arg[time.Duration](c, p.Name)
		}
	}
	c.when(&f)
	return f, nil
}

// when reads at and every, which all faults have.
func (c *call) when(f *faultValue) {
	f.hasAt, f.at = c.has("at"), arg[moment](c, "at")
	f.Every = time.Duration(arg[Dur](c, "every"))
	if c.has("every") && f.Every == 0 {
		c.bad("every", "must be longer than 0s", "", `every = "1h"`)
	}
}

func buildRebalance(c *call) (any, error) {
	f := faultValue{Fault: plan.Fault{Kind: "rebalance", Pos: c.pos, Group: arg[string](c, "group"), Join: arg[int](c, "join"), Leave: arg[int](c, "leave"),
		RejoinAfter: time.Duration(arg[Dur](c, "rejoin_after"))}}
	if f.Join == 0 && f.Leave == 0 {
		c.bad("", "says neither how many members join nor how many leave", "", c.table.Example)
	}
	c.when(&f)
	return f, nil
}

func buildRandomFault(c *call) (any, error) {
	f := faultValue{Fault: plan.Fault{Kind: "random", Pos: c.pos, Seed: uint64(arg[Count](c, "seed"))}, choices: arg[[]faultValue](c, "choices")}
	if len(f.choices) == 0 && !c.broken {
		c.bad("choices", "the list is empty: nothing could happen", "", c.table.Example)
	}
	for i, o := range f.choices {
		switch {
		case o.Kind == "random":
			c.bad("choices", fmt.Sprintf("item %d is itself a fault.random(…)", i+1), "", c.table.Example)
		case o.hasAt || o.Every > 0:
			c.bad("choices", fmt.Sprintf("item %d has a time of its own: the list is drawn from at every beat", i+1), "", c.table.Example)
		}
	}
	c.when(&f)
	return f, nil
}

func unpackFaults(c *conv, v starlark.Value) any {
	var faults []faultValue
	if b, ok := v.(*built); ok && strings.HasPrefix(b.table.Name, "fault.") {
		c.bad(problem{off: -1, msg: "must be a list of faults, not a single one", suggest: "[" + b.String() + "]"})
		return faults
	}
	items(c, v, wantFaults, func(v starlark.Value) {
		if b := result(c, v, "a fault such as fault.kill(…)", "fault"); b != nil {
			faults = append(faults, b.value.(faultValue))
		}
	})
	return faults
}

// faults resolves the moments of the scenario's faults by its stages.
func (c *call) faults(s *plan.Scenario) {
	for _, f := range arg[[]faultValue](c, "faults") {
		out := f.Fault
		for _, o := range f.choices {
			out.Choices = append(out.Choices, o.Fault)
		}
		switch {
		case !f.hasAt && f.Every == 0:
			c.s.reportProblem(plan.Problem{Pos: f.Pos, Message: fmt.Sprintf("fault.%s: when? Give at, or every for again and again", f.Kind), Example: `at = "30s", or at = "peak+5s", or every = "1h"`})
			continue
		case !f.hasAt:
			out.At = f.Every
		case f.at.text == "":
			out.At = f.at.after
		default:
			at, ok := c.resolve(s, f)
			if !ok {
				continue
			}
			out.At = at
		}
		s.Faults = append(s.Faults, out)
	}
}

// resolve finds "peak+5s" among the stages: the longest stage name that the text begins with, then + or - and a duration.
func (c *call) resolve(s *plan.Scenario, f faultValue) (time.Duration, bool) {
	text := f.at.text
	var start, found time.Duration
	name := ""
	names := make([]string, 0, len(s.Stages))
	for _, st := range s.Stages {
		names = append(names, st.Name)
		rest, ok := strings.CutPrefix(text, st.Name)
		if ok && len(st.Name) > len(name) && (rest == "" || rest[0] == '+' || rest[0] == '-') {
			name, found = st.Name, start
		}
		start += st.Duration
	}
	bad := func(p plan.Problem) (time.Duration, bool) {
		p.Pos, p.Arg = f.Pos, "at"
		c.s.reportProblem(p)
		return 0, false
	}
	if name == "" {
		wrong := text
		if i := strings.IndexAny(text, "+-"); i > 0 && !slices.Contains(names, text) {
			wrong = text[:i]
		}
		msg := fmt.Sprintf("at = %q: scenario %q has no stage named %q; it has %s", text, s.Name, wrong, quoted(names))
		if len(names) == 0 {
			msg = fmt.Sprintf("at = %q: scenario %q has no stages, only a time can be given", text, s.Name)
		}
		return bad(plan.Problem{Message: msg, Wrong: wrong, Among: names, Example: `hold("20s", "20k/s", name = "peak") and at = "peak+5s"`})
	}
	rest := text[len(name):]
	if rest == "" {
		return found, true
	}
	d, err := parseDuration(rest[1:])
	if err != nil {
		return bad(plan.Problem{Message: fmt.Sprintf("at = %q: %s after the stage's name: want %s", text, err.headline(), wantDuration), Example: fmt.Sprintf("at = %q", name+"+5s")})
	}
	if rest[0] == '-' {
		d = -d
	}
	if found+d < 0 {
		return bad(plan.Problem{Message: fmt.Sprintf("at = %q is before the first record: stage %q begins at %s", text, name, plan.FormatDuration(found))})
	}
	return found + d, true
}

func quoted(names []string) string {
	words := make([]string, 0, len(names))
	for i, n := range names {
		if i == 8 {
			return strings.Join(words, ", ") + fmt.Sprintf(" and %d more", len(names)-i)
		}
		words = append(words, strconv.Quote(n))
	}
	return strings.Join(words, ", ")
}
