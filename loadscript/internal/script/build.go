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
		Headers:     arg[[]plan.Header](c, "headers"),
		Transaction: arg[*plan.Txn](c, "transaction"),
	}
	if c.has("value") {
		p.Value = arg[plan.Value](c, "value")
	}
	if sz := p.Value.Sizes; sz != nil && sz.Max == 0 && (sz.Kind == "normal" || sz.Kind == "lognormal") {
		cut := *sz
		cut.Max = min(p.BatchBytes-plan.BatchOverhead, plan.MaxValueBytes)
		p.Value.Sizes = &cut
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
		Rate:      arg[Rate](c, "rate").PerSecond,
		Commit:    arg[plan.Commit](c, "commit"),
		Protocol:  arg[string](c, "protocol"),
	}
	if f.Group == "" {
		for _, name := range []string{"commit", "protocol"} {
			if c.has(name) {
				c.bad(name, "needs a group: a direct reader belongs to none", "", c.table.Example)
			}
		}
		f.Commit, f.Protocol = plan.Commit{}, ""
	}
	return flow{consume: f, topic: c.topic()}, nil
}

func buildTxn(c *call) (any, error) {
	return &plan.Txn{Pos: c.pos, Records: arg[int](c, "records"), Abort: float64(arg[Percent](c, "abort"))}, nil
}

func buildThreshold(c *call) (any, error) {
	l := limit{expr: arg[expr](c, "expr"), during: arg[string](c, "during"), window: time.Duration(arg[Dur](c, "window")),
		ofWindows: float64(arg[Percent](c, "of_windows")), outsideFaults: arg[bool](c, "outside_faults"), abort: arg[bool](c, "abort")}
	switch {
	case c.has("window") && l.window < time.Second:
		c.bad("window", "must be at least 1s: that is how often a run looks", "", `window = "1m"`)
	case c.has("of_windows") && !c.has("window"):
		c.bad("of_windows", "needs a window beside it", "", `window = "1m", of_windows = 0.999`)
	case c.has("of_windows") && l.ofWindows == 0:
		c.bad("of_windows", "must be more than 0%: it would always hold", "", `of_windows = 0.999`)
	case l.window > 0 && !c.has("of_windows"):
		l.ofWindows = 1
	}
	return l, nil
}

func buildTrend(c *call) (any, error) {
	m := arg[followed](c, "metric")
	t, err := parseSlope(arg[string](c, "slope"), m)
	if err != nil {
		i := c.positionOf("slope")
		c.bads = append(c.bads, problem{param: "slope", index: i, elem: -1, off: err.off, width: err.width, text: arg[string](c, "slope"), msg: err.msg, suggest: err.suggest, example: err.example})
	}
	t.Pos = c.pos
	return t, nil
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
