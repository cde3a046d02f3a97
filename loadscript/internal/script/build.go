package script

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

func buildTopic(c *call) (any, error) {
	t := plan.Topic{
		Name:        arg[string](c, "name"),
		Pos:         c.pos,
		Partitions:  arg[int](c, "partitions"),
		Replication: arg[int](c, "replication"),
		MinInsync:   arg[int](c, "min_insync"),
		Config:      arg[[]plan.Config](c, "config"),
		Keep:        arg[bool](c, "keep"),
	}
	if i := slices.IndexFunc(c.table.Params, func(p Param) bool { return p.Name == "config" }); c.given[i] != nil {
		c.given[i] = copyDict(c.given[i].(*starlark.Dict)) // the script may go on changing its own
	}
	c.s.topics = append(c.s.topics, t)
	return topicUse{Topic: t, described: true}, nil
}

func copyDict(d *starlark.Dict) *starlark.Dict {
	out := starlark.NewDict(d.Len())
	for _, kv := range d.Items() {
		out.SetKey(kv[0], kv[1]) // cannot fail: the keys were in a dict
	}
	out.Freeze()
	return out
}

func (c *call) topic() topicUse {
	t := arg[topicUse](c, "topic")
	if !t.described {
		t.Pos = c.placeOfArg("topic", -1)
	}
	return t
}

// flow is a produce or consume value; its topic may still be only a name.
type flow struct {
	produce *plan.Produce
	consume *plan.Consume
	topic   topicUse
}

func buildProduce(c *call) (any, error) {
	p := &plan.Produce{
		Pos:         c.pos,
		Producers:   arg[int](c, "producers"),
		Value:       plan.Value{Kind: "bytes", Size: 1024},
		Key:         arg[plan.Key](c, "key"),
		Acks:        arg[string](c, "acks"),
		Compression: arg[string](c, "compression"),
		Linger:      time.Duration(arg[Dur](c, "linger")),
		BatchBytes:  int(arg[Size](c, "batch")),
	}
	if c.has("value") {
		p.Value = arg[plan.Value](c, "value")
	}
	p.Idempotent = p.Acks == "all"
	if c.has("idempotent") {
		p.Idempotent = arg[bool](c, "idempotent")
	}
	return flow{produce: p, topic: c.topic()}, nil
}

func buildConsume(c *call) (any, error) {
	f := &plan.Consume{
		Pos:       c.pos,
		Group:     arg[string](c, "group"),
		Members:   arg[int](c, "members"),
		ThinkTime: time.Duration(arg[Dur](c, "think_time")),
		Isolation: arg[string](c, "isolation"),
		Start:     arg[string](c, "start"),
	}
	return flow{consume: f, topic: c.topic()}, nil
}

// stage is a hold or ramp value. Its rate may be in bytes, its start is that of the stage before, and its name may be missing.
type stage struct {
	kind     string
	name     string
	duration time.Duration
	rate     Rate
}

func buildHold(c *call) (any, error) { return buildStage(c, "hold", "rate") }

func buildRamp(c *call) (any, error) { return buildStage(c, "ramp", "to") }

func buildStage(c *call, kind, rate string) (any, error) {
	st := stage{kind: kind, name: arg[string](c, "name"), duration: time.Duration(arg[Dur](c, "duration")), rate: arg[Rate](c, rate)}
	if st.duration == 0 {
		c.bad("duration", "a stage must last longer than 0s", "", c.table.Example)
	}
	return st, nil
}

func buildBytes(c *call) (any, error) {
	size := arg[Size](c, "size")
	if size < 1 || size > plan.MaxValueBytes {
		c.bad("size", fmt.Sprintf("must be from 1B to %s, not %s", plan.FormatSize(plan.MaxValueBytes), plan.FormatSize(float64(size))), "", c.table.Example)
	}
	return plan.Value{Kind: "bytes", Size: int(size), Compressible: float64(arg[Percent](c, "compressible"))}, nil
}

func buildKeys(c *call) (any, error) {
	_, kind, _ := cutMember(c.table.Name)
	k := plan.Key{Kind: kind}
	switch kind {
	case "none":
	case "zipf":
		k.N, k.S = arg[int](c, "n"), arg[float64](c, "s")
	case "hot":
		k.N, k.Hot, k.Share = arg[int](c, "keys"), float64(arg[Percent](c, "hot")), float64(arg[Percent](c, "share"))
		for _, p := range []struct {
			name string
			v    float64
		}{{"hot", k.Hot}, {"share", k.Share}} {
			if p.v <= 0 || p.v >= 1 {
				c.bad(p.name, fmt.Sprintf("must be more than 0%% and less than 100%%, not %s", plan.FormatPercent(p.v)), "", c.table.Example)
			}
		}
	default:
		k.N = arg[int](c, "n")
	}
	return k, nil
}

func buildThreshold(c *call) (any, error) {
	return limit{expr: arg[expr](c, "expr"), during: arg[string](c, "during")}, nil
}

func buildDur(c *call) (any, error) { return arg[Dur](c, "text"), nil }

func buildFail(c *call) (any, error) {
	d := Diagnostic{Message: arg[string](c, "msg")}
	span := span{pos: c.pos, width: 1}
	if c.node != nil {
		span = c.src.callee(c.node)
	}
	c.s.place(&d, span)
	for _, via := range c.via {
		d.Notes = append(d.Notes, "called from "+posText(via))
	}
	if set := c.s.settingsText(); set != "" {
		d.Notes = append(d.Notes, "with "+set)
	}
	return nil, &stop{d}
}

// settingsText lists what the command line set, for messages that may be its fault.
func (s *session) settingsText() string {
	var words []string
	for _, p := range s.params {
		if p.flag != "" {
			words = append(words, fmt.Sprintf("%s %s", p.flag, p.raw))
		}
	}
	return strings.Join(words, " ")
}
