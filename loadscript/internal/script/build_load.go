package script

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// stage is a hold, ramp or wave value. Its rates may be in bytes, its start is that of the stage before, and its name may be
// missing.
type stage struct {
	kind      string
	name      string
	duration  time.Duration
	rate      Rate
	amplitude Rate
	period    time.Duration
}

func buildHold(c *call) (any, error) { return buildStage(c, "hold", "rate") }

func buildRamp(c *call) (any, error) { return buildStage(c, "ramp", "to") }

func buildStage(c *call, kind, rate string) (any, error) {
	st := stage{kind: kind, name: arg[string](c, "name"), duration: c.positive("duration"), rate: arg[Rate](c, rate)}
	return st, nil
}

// positive is a duration above zero.
func (c *call) positive(param string) time.Duration {
	d := time.Duration(arg[Dur](c, param))
	if d == 0 {
		c.bad(param, "must be longer than 0s", "", c.table.Example)
	}
	return d
}

func buildWave(c *call) (any, error) {
	st := stage{kind: "wave", name: arg[string](c, "name"), duration: c.positive("duration"), rate: arg[Rate](c, "mean"),
		amplitude: arg[Rate](c, "amplitude"), period: c.positive("period")}
	if c.sameUnit("amplitude", st.rate, st.amplitude) && st.amplitude.PerSecond > st.rate.PerSecond {
		c.bad("amplitude", "is more than the mean: the rate would fall below 0", "", c.table.Example)
	}
	return st, nil
}

// sameUnit refuses records beside bytes.
func (c *call) sameUnit(param string, a, b Rate) bool {
	if a.Bytes != b.Bytes {
		c.bad(param, "is in another unit: one is records per second, the other bytes", "", c.table.Example)
		return false
	}
	return true
}

// maxSteps bounds one steps().
const maxSteps = 1000

func buildSteps(c *call) (any, error) {
	prefix := arg[string](c, "name")
	if prefix == "" {
		prefix = "step"
	}
	return c.stageList(c.steps(prefix)), nil
}

func (c *call) steps(prefix string) []stage {
	from, to, step := arg[Rate](c, "from_"), arg[Rate](c, "to"), arg[Rate](c, "step")
	each := c.positive("each")
	if !c.sameUnit("to", from, to) || !c.sameUnit("step", from, step) {
		return nil
	}
	if step.PerSecond <= 0 {
		c.bad("step", "must be more than 0", "", c.table.Example)
		return nil
	}
	n := math.Ceil(math.Abs(to.PerSecond-from.PerSecond)/step.PerSecond-1e-9) + 1
	if n > maxSteps {
		c.bad("step", fmt.Sprintf("makes %s steps, at most %d are allowed", plan.FormatCount(int64(n)), maxSteps), "", c.table.Example)
		return nil
	}
	sign := 1.0
	if to.PerSecond < from.PerSecond {
		sign = -1
	}
	var stages []stage
	for i := range int(n) {
		r := Rate{PerSecond: from.PerSecond + sign*step.PerSecond*float64(i), Bytes: from.Bytes}
		if i == int(n)-1 {
			r = to
		}
		stages = append(stages, stage{kind: "hold", name: fmt.Sprintf("%s-%d", prefix, i+1), duration: each, rate: r})
	}
	return stages
}

// stageList makes a Starlark list of stages, so that shapes can be added to other stages and looked into.
func (c *call) stageList(stages []stage) starlark.Value {
	list := make([]starlark.Value, 0, len(stages))
	for _, st := range stages {
		list = append(list, c.stageValue(st))
	}
	return starlark.NewList(list)
}

// stageValue is what hold or ramp would return.
func (c *call) stageValue(st stage) *built {
	for _, t := range c.s.tables {
		if t.Name == st.kind {
			return &built{table: t, pos: c.pos, value: st, args: []starlark.Value{Dur(st.duration), starlark.String(st.rate.exact()), starlark.String(st.name)}}
		}
	}
	panic("script: no table for the stage " + st.kind)
}

// exact is the rate as a script reads it back, without rounding.
func (r Rate) exact() string {
	unit := "/s"
	if r.Bytes {
		unit = "B/s"
	}
	return strconv.FormatFloat(r.PerSecond, 'f', -1, 64) + unit
}

func buildSpike(c *call) (any, error) {
	base, peak := arg[Rate](c, "base"), arg[Rate](c, "peak")
	ramp := c.positive("ramp")
	stages := []stage{
		{kind: "hold", name: "before", duration: c.positive("before"), rate: base},
		{kind: "ramp", name: "up", duration: ramp, rate: peak},
		{kind: "hold", name: "peak", duration: c.positive("hold"), rate: peak},
		{kind: "ramp", name: "down", duration: ramp, rate: base},
		{kind: "hold", name: "after", duration: c.positive("after"), rate: base},
	}
	return c.stageList(stages), nil
}

func buildSoak(c *call) (any, error) {
	var stages []stage
	rate := arg[Rate](c, "rate")
	if up := time.Duration(arg[Dur](c, "ramp")); up > 0 {
		stages = append(stages, stage{kind: "ramp", name: "up", duration: up, rate: rate})
	}
	stages = append(stages, stage{kind: "hold", name: "steady", duration: c.positive("duration"), rate: rate})
	return c.stageList(stages), nil
}

func buildStress(c *call) (any, error) {
	stages := c.steps("step")
	if len(stages) > 0 {
		after := stages[0]
		after.name = "after"
		stages = append(stages, after)
	}
	return c.stageList(stages), nil
}

// executor is an executor value; rates may still be in bytes.
type executor struct {
	plan.Executor
	start Rate
	slo   []limit
}

func buildClients(c *call) (any, error) {
	return executor{Executor: plan.Executor{Kind: "clients", Pos: c.pos, Clients: arg[int](c, "n"), Duration: c.positive("duration"),
		Think: time.Duration(arg[Dur](c, "think_time"))}}, nil
}

func buildFullSpeed(c *call) (any, error) {
	return executor{Executor: plan.Executor{Kind: "full_speed", Pos: c.pos, Duration: c.positive("duration"), InFlight: arg[int](c, "in_flight")}}, nil
}

func buildRecords(c *call) (any, error) {
	n := int64(arg[Count](c, "n"))
	if n == 0 {
		c.bad("n", "must be at least 1", "", c.table.Example)
	}
	return executor{Executor: plan.Executor{Kind: "records", Pos: c.pos, Records: n}}, nil
}

func buildFindMaxRate(c *call) (any, error) {
	e := executor{Executor: plan.Executor{Kind: "find_max_rate", Pos: c.pos, Hold: c.positive("hold"), Tolerance: float64(arg[Percent](c, "tolerance"))},
		start: arg[Rate](c, "start"), slo: arg[[]limit](c, "slo")}
	for i := range e.slo {
		if e.slo[i].pos.Line == 0 {
			e.slo[i].pos = c.placeOfArg("slo", e.slo[i].item)
		}
	}
	if e.start.PerSecond <= 0 {
		c.bad("start", "must be more than 0/s", "", c.table.Example)
	}
	if e.Tolerance <= 0 {
		c.bad("tolerance", "must be more than 0%: it would never be reached", "", `tolerance = "5%"`)
	}
	if len(e.slo) == 0 && !c.broken {
		c.bad("slo", "the list is empty: without a threshold there is no limit to find", "", c.table.Example)
	}
	return e, nil
}

func buildSteady(c *call) (any, error) {
	m := arg[followed](c, "metric")
	st := &plan.Steady{Pos: c.pos, Metric: m.metric, Stat: m.stat, Within: float64(arg[Percent](c, "within")), Over: c.positive("over"),
		Timeout: c.positive("timeout")}
	if st.Within <= 0 {
		c.bad("within", "must be more than 0%", "", `within = "5%"`)
	}
	if st.Timeout < st.Over {
		c.bad("timeout", fmt.Sprintf("%s is less than the window of %s: it could never be steady in time", plan.FormatDuration(st.Timeout), plan.FormatDuration(st.Over)), "", c.table.Example)
	}
	return st, nil
}

func buildLocal(c *call) (any, error) {
	return &plan.Local{Pos: c.pos, Brokers: arg[int](c, "brokers")}, nil
}
