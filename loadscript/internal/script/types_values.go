package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

const (
	wantSkew   = `a duration such as "5s" or "-5s"`
	wantCommit = `"auto", "none", or a time such as "1s"`
	wantWarmup = `a duration such as "10s", or steady("produce.rate")`
)

// builtType is what one of the named built-ins returns.
func builtType[T any](name, want, example string, kinds ...string) *argType {
	return &argType{name: name, want: want, example: example, unpack: func(c *conv, v starlark.Value) any {
		if b := result(c, v, want, kinds...); b != nil {
			return b.value.(T)
		}
		return nil
	}}
}

func unpackSizes(c *conv, v starlark.Value) any {
	if b, ok := v.(*built); ok {
		if s, ok := b.value.(plan.Sizes); ok {
			return s
		}
	}
	if _, isBuilt := v.(*built); isBuilt {
		c.err(wrongType(v, wantSizes), "")
		return plan.Sizes{}
	}
	n := unitType[Size]("size", wantSize, "").unpack(c, v)
	return plan.Sizes{Kind: "fixed", A: float64(n.(Size))}
}

func unpackMix(c *conv, v starlark.Value) any {
	s := plan.Sizes{}
	d, ok := v.(*starlark.Dict)
	if !ok || d.Len() == 0 || d.Len() > 1000 {
		if ok {
			c.bad(problem{off: -1, msg: "must have 1 to 1,000 sizes"})
			return s
		}
		c.err(wrongType(v, typeMixWant), "")
		return s
	}
	for _, kv := range d.Items() {
		before := len(c.problems)
		n := unitType[Size]("size", wantSize, "").unpack(c, kv[0]).(Size)
		w, ok := starlark.AsFloat(kv[1])
		switch {
		case len(c.problems) > before:
		case !ok || !(w > 0 && w < 1e12):
			c.bad(problem{off: -1, msg: fmt.Sprintf("the weight of %s must be a number above 0, not %s", kv[0], describe(kv[1]))})
		case n < 1 || n > plan.MaxValueBytes:
			c.bad(problem{off: -1, msg: fmt.Sprintf("sizes must be from 1B to %s, not %s", plan.FormatSize(plan.MaxValueBytes), kv[0])})
		}
		s.Values, s.Weights = append(s.Values, int(n)), append(s.Weights, w)
	}
	return s
}

const typeMixWant = `a dict such as {"1KiB": 0.9, "64KiB": 0.1}`

// Limits of the values inside gen.json.
const (
	maxTreeDepth = 20
	maxTreeNodes = 10_000
)

// tree reads constants and generators as parts of JSON.
type tree struct {
	c     *conv
	nodes int
}

func (t *tree) bad(msg string) plan.Value {
	t.c.bad(problem{off: -1, msg: msg})
	return plan.Value{}
}

func (t *tree) value(v starlark.Value, depth int) plan.Value {
	if t.nodes++; t.nodes > maxTreeNodes || depth > maxTreeDepth {
		if t.nodes > maxTreeNodes+1 {
			return plan.Value{} // said already
		}
		t.nodes = maxTreeNodes + 1
		return t.bad(fmt.Sprintf("is too large: at most %s parts, %d levels deep", plan.FormatCount(maxTreeNodes), maxTreeDepth))
	}
	switch v := v.(type) {
	case broken:
		t.c.broken = true
		return plan.Value{}
	case *built:
		return t.generator(v)
	case *starlark.Dict:
		out := plan.Value{Kind: "json", Fields: []plan.Field{}}
		for _, kv := range v.Items() { // insertion order
			name, ok := starlark.AsString(kv[0])
			if !ok {
				t.bad("needs strings as names, not " + describe(kv[0]))
				continue
			}
			out.Fields = append(out.Fields, plan.Field{Name: name, Value: t.value(kv[1], depth+1)})
		}
		return out
	case *starlark.List:
		out := plan.Value{Kind: "json", List: []plan.Value{}}
		for i := range v.Len() {
			out.List = append(out.List, t.value(v.Index(i), depth+1))
		}
		return out
	case starlark.Tuple:
		return t.value(starlark.NewList(v), depth)
	case Dur:
		return plan.Value{Kind: "const", Text: strconv.Quote(v.String())}
	case starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, starlark.String:
		text, err := starlark.Call(&starlark.Thread{}, json.Module.Members["encode"], starlark.Tuple{v}, nil)
		if err != nil {
			return t.bad(fmt.Sprintf("%s cannot be written as JSON", describe(v)))
		}
		return plan.Value{Kind: "const", Text: string(text.(starlark.String))}
	}
	return t.bad(fmt.Sprintf("cannot hold %s: constants and gen.… are allowed", describe(v)))
}

func (t *tree) generator(b *built) plan.Value {
	v, ok := b.value.(plan.Value)
	switch {
	case !ok:
		return t.bad(fmt.Sprintf("cannot hold %s: constants and gen.… are allowed", describe(b)))
	case v.Kind == "bytes" || v.Kind == "pool" || v.Kind == "template":
		return t.bad(fmt.Sprintf("cannot hold %s(…) inside: use gen.text, gen.pick or gen.json", b.table.Name))
	}
	return v
}

func unpackJSONTree(c *conv, v starlark.Value) any {
	switch v.(type) {
	case *starlark.Dict, *starlark.List, starlark.Tuple:
		t := &tree{c: c}
		return t.value(v, 0)
	}
	c.err(wrongType(v, typeJSONWant), "")
	return nil
}

const typeJSONWant = `a dict such as {"id": gen.seq()}, or a list`

func unpackNamedValues(c *conv, v starlark.Value) any {
	d, ok := v.(*starlark.Dict)
	if !ok {
		c.err(wrongType(v, typeJSONWant), "")
		return nil
	}
	t := &tree{c: c}
	return t.value(d, 0).Fields
}

func unpackPickList(c *conv, v starlark.Value) any {
	var list []plan.Value
	t := &tree{c: c}
	items(c, v, `a list such as ["de", "fr"]`, func(v starlark.Value) { list = append(list, t.value(v, 0)) })
	if len(list) == 0 && len(c.problems) == 0 && !c.broken {
		c.bad(problem{off: -1, msg: "the list is empty: there is nothing to pick"})
	}
	return list
}

// maxConfig is far above the number of topic settings that Kafka has.
const maxConfig = 200

func unpackConfig(c *conv, v starlark.Value) any {
	d, ok := v.(*starlark.Dict)
	if !ok {
		c.err(wrongType(v, wantConfig), "")
		return nil
	}
	if d.Len() > maxConfig {
		c.bad(problem{off: -1, msg: fmt.Sprintf("has more than %d entries", maxConfig)})
		return nil
	}
	var config []plan.Config
	for _, kv := range d.Items() { // insertion order
		name, ok := starlark.AsString(kv[0])
		if !ok || name == "" {
			c.bad(problem{off: -1, msg: "needs setting names as keys, not " + describe(kv[0])})
			continue
		}
		switch val := kv[1].(type) {
		case starlark.String:
			config = append(config, plan.Config{Name: name, Value: string(val)})
		case starlark.Int, starlark.Float:
			config = append(config, plan.Config{Name: name, Value: val.String()})
		case starlark.Bool:
			config = append(config, plan.Config{Name: name, Value: strings.ToLower(val.String())})
		case Dur:
			config = append(config, plan.Config{Name: name, Value: strconv.FormatInt(time.Duration(val).Milliseconds(), 10)})
		default:
			c.bad(problem{off: -1, msg: fmt.Sprintf("%s must be a string, a number or a bool, not %s", name, describe(val))})
		}
	}
	return config
}

// maxHeaders bounds the headers of a record.
const maxHeaders = 100

func unpackHeaders(c *conv, v starlark.Value) any {
	d, ok := v.(*starlark.Dict)
	if !ok {
		c.err(wrongType(v, `a dict such as {"source": "load"}`), "")
		return nil
	}
	if d.Len() > maxHeaders {
		c.bad(problem{off: -1, msg: fmt.Sprintf("has more than %d entries", maxHeaders)})
		return nil
	}
	var headers []plan.Header
	for _, kv := range d.Items() { // insertion order
		name, ok := starlark.AsString(kv[0])
		if !ok || name == "" || len(name) > 200 {
			c.bad(problem{off: -1, msg: "needs names of 1 to 200 bytes as keys, not " + describe(kv[0])})
			continue
		}
		if b, ok := kv[1].(*built); ok {
			if v, ok := b.value.(plan.Value); ok {
				headers = append(headers, plan.Header{Key: name, Value: v})
				continue
			}
		}
		headers = append(headers, plan.Header{Key: name, Value: (&tree{c: c}).value(kv[1], 0)})
	}
	return headers
}

func unpackFunction(c *conv, v starlark.Value) any {
	f, ok := v.(starlark.Callable)
	if !ok {
		c.err(wrongType(v, "a function"), "")
		return nil
	}
	return f
}

func unpackInt64(c *conv, v starlark.Value) any {
	if i, ok := v.(starlark.Int); ok {
		if n, ok := i.Int64(); ok {
			return n
		}
	}
	c.err(wrongType(v, "a whole number"), "")
	return int64(0)
}

func unpackSkew(c *conv, v starlark.Value) any {
	if d, ok := v.(Dur); ok {
		return time.Duration(d)
	}
	text, ok := starlark.AsString(v)
	if !ok {
		c.err(wrongType(v, wantSkew), "")
		return time.Duration(0)
	}
	d, err := parseDuration(strings.TrimLeft(text, "+-"))
	if err != nil {
		err.text, err.want = text, wantSkew
		err.off = min(err.off+len(text)-len(strings.TrimLeft(text, "+-")), len(text))
		c.err(err, wantSkew)
	} else if d == 0 {
		c.bad(problem{off: -1, msg: "must not be 0s: nothing would be wrong"})
	}
	if strings.HasPrefix(text, "-") {
		d = -d
	}
	return d
}

func unpackBytesRate(c *conv, v starlark.Value) any {
	r := typeRate.unpack(c, v).(Rate)
	if len(c.problems) == 0 && (!r.Bytes || r.PerSecond < 1) {
		c.bad(problem{off: -1, msg: fmt.Sprintf(`must be bytes per second such as "1MiB/s", not %s`, describe(v))})
	}
	return r
}

func unpackRecordRate(c *conv, v starlark.Value) any {
	r := typeRate.unpack(c, v).(Rate)
	if len(c.problems) == 0 && (r.Bytes || r.PerSecond <= 0) {
		c.bad(problem{off: -1, msg: fmt.Sprintf(`must be records per second such as "1k/s", not %s`, describe(v))})
	}
	return r
}

func unpackCommit(c *conv, v starlark.Value) any {
	switch s, _ := starlark.AsString(v); s {
	case "auto", "none":
		return plan.Commit{Kind: s}
	default:
		if n := Nearest(s, []string{"auto", "none"}); n != "" {
			c.bad(problem{text: s, width: len(s), msg: fmt.Sprintf("must be %s, not %q", wantCommit, s), suggest: strconv.Quote(n)})
			return plan.Commit{}
		}
	}
	var d Dur
	if err := d.Unpack(v); err != nil {
		if u, ok := err.(*unitError); ok {
			u.want = wantCommit
		}
		c.err(err, wantCommit)
	} else if d <= 0 {
		c.bad(problem{off: -1, msg: "must be longer than 0s", suggest: `"none"`})
	}
	return plan.Commit{Kind: "every", Every: time.Duration(d)}
}

// warmup is a time at the start that is not measured, or a stretch before the stages until a metric is steady.
type warmup struct {
	time   time.Duration
	steady *plan.Steady
}

func unpackWarmup(c *conv, v starlark.Value) any {
	if b, ok := v.(*built); ok {
		if st, ok := b.value.(*plan.Steady); ok {
			return warmup{steady: st}
		}
		c.err(wrongType(v, wantWarmup), "")
		return warmup{}
	}
	d, _ := typeDuration.unpack(c, v).(Dur)
	return warmup{time: time.Duration(d)}
}

func unpackSLO(c *conv, v starlark.Value) any {
	var limits []limit
	switch v.(type) {
	case *starlark.List, starlark.Tuple:
		limits, _ = unpackThresholds(c, v).([]limit)
	default:
		limits, _ = unpackThresholds(c, starlark.NewList([]starlark.Value{v})).([]limit)
		for i := range c.problems {
			c.problems[i].elem = -1
		}
		for i := range limits {
			limits[i].item = -1
		}
	}
	for _, l := range limits {
		if l.trend != nil || l.window > 0 || l.during != "" || l.abort || l.outsideFaults {
			c.bad(problem{off: -1, msg: "takes plain thresholds: each rate is judged as a whole"})
		}
	}
	return limits
}

// followed is a metric that has a value every second.
type followed struct {
	metric, stat, text string
	unit               plan.Unit
}

func unpackFollowed(c *conv, v starlark.Value) any {
	s, ok := starlark.AsString(v)
	if !ok {
		c.err(wrongType(v, `a metric such as "produce.rate"`), "")
		return followed{}
	}
	e := expr{text: s}
	name := strings.TrimSpace(s)
	m, err := e.readMetric(s, skipBlank(s, 0), len(strings.TrimRight(s, " \t")))
	switch {
	case err != nil:
		c.bad(problem{text: s, off: err.off, width: err.width, msg: err.msg, suggest: err.suggest, note: err.note})
	case !m.Slopes:
		c.bad(problem{text: s, width: len(s), msg: fmt.Sprintf("%s is one number for the whole run: it has no course to follow", name)})
	}
	return followed{metric: e.metric, stat: e.stat, text: name, unit: m.Unit}
}
