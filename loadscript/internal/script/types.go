package script

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// What the types of parameters want, in words.
const (
	wantTopic    = `a topic("…") or its name`
	wantValue    = `a generator such as gen.bytes("1KiB")`
	wantKey      = "a way to choose keys such as keys.zipf(100000)"
	wantFlow     = "a flow: produce(…) or consume(…)"
	wantStages   = "a list of stages: hold(…), ramp(…), wave(…), steps(…)"
	wantSizes    = `a size such as "1KiB", or sizes such as sizes.lognormal(p50 = "600B", p99 = "8KiB")`
	wantTargets  = "a target such as target.leader(…), or a list of them"
	wantFlowName = `a flow: produce(…) or consume(…), or its name such as "produce:orders"`
	wantFaults   = "a list of faults such as fault.kill(…)"
	wantAt       = `a time such as "90s", or a stage's name and a time such as "peak+5s"`
	wantVerify   = `"auto" or a list such as [no_loss(), in_order()]`
	wantLimits   = `a list such as ["produce.latency.p99 < 50ms"]`
	wantExpr     = `a threshold such as "produce.latency.p99 < 50ms"`
	wantConfig   = `a dict such as {"retention.ms": "3600000"}`
)

// The types of parameters.
var (
	typeString = &argType{name: "string", want: "a string", example: `"orders"`, unpack: func(c *conv, v starlark.Value) any {
		s, ok := starlark.AsString(v)
		if !ok {
			c.err(wrongType(v, "a string"), "")
		}
		return s
	}}
	typeAny  = &argType{name: "any", want: "a value", example: `"x"`, unpack: func(_ *conv, v starlark.Value) any { return v }}
	typeBool = &argType{name: "bool", want: "True or False", example: "True", unpack: func(c *conv, v starlark.Value) any {
		b, ok := v.(starlark.Bool)
		if !ok {
			c.err(wrongType(v, "True or False"), "")
		}
		return bool(b)
	}}
	typeDuration    = unitType[Dur]("duration", wantDuration, `"30s"`)
	typeSize        = unitType[Size]("size", wantSize, `"1KiB"`)
	typeRate        = unitType[Rate]("rate", wantRate, `"20k/s"`)
	typePercent     = unitType[Percent]("percent", wantPercent, `"5%"`)
	typeCount       = unitType[Count]("count", wantCount, "1000")
	typeName        = &argType{name: "name", want: "a name", example: `"peak"`, unpack: unpackName}
	typeTopic       = &argType{name: "topic", want: wantTopic, example: `"orders"`, unpack: unpackTopic}
	typeValue       = &argType{name: "values", want: wantValue, example: `gen.bytes("1KiB")`, unpack: unpackValue}
	typeKey         = &argType{name: "keys", want: wantKey, example: "keys.zipf(100000)", unpack: unpackKey}
	typeFlow        = &argType{name: "flow", want: wantFlow, example: `produce("orders")`, unpack: unpackFlow}
	typeStages      = &argType{name: "stages", want: wantStages, example: `[hold("30s", "2k/s"), ramp("2s", "20k/s")]`, unpack: unpackStages}
	typeVerify      = &argType{name: "verify", want: wantVerify, example: "[no_loss(), in_order()]", unpack: unpackVerify}
	typeLimits      = &argType{name: "thresholds", want: wantLimits, example: `["produce.latency.p99 < 50ms"]`, unpack: unpackThresholds}
	typeExpr        = &argType{name: "threshold", want: wantExpr, example: `"produce.latency.p99 < 50ms"`, unpack: unpackExpr}
	typeConfig      = &argType{name: "config", want: wantConfig, example: `{"retention.ms": "3600000"}`, unpack: unpackConfig}
	typeSizes       = &argType{name: "sizes", want: wantSizes, example: `"1KiB"`, unpack: unpackSizes}
	typeJSONTree    = &argType{name: "json", want: `a dict such as {"id": gen.seq()}, or a list`, example: `{"id": gen.seq()}`, unpack: unpackJSONTree}
	typeNamedValues = &argType{name: "values", want: `a dict such as {"id": gen.seq()}`, example: `{"id": gen.seq()}`, unpack: unpackNamedValues}
	typePickList    = &argType{name: "list", want: `a list such as ["de", "fr"]`, example: `["de", "fr"]`, unpack: unpackPickList}
	typeHeaders     = &argType{name: "headers", want: `a dict such as {"source": "load"}`, example: `{"source": "load"}`, unpack: unpackHeaders}
	typeFunction    = &argType{name: "function", want: "a function", example: "lambda i: str(i)", unpack: unpackFunction}
	typeInt64       = &argType{name: "int", want: "a whole number", example: "1", unpack: unpackInt64}
	typeMix         = &argType{name: "weights", want: `a dict such as {"1KiB": 0.9, "64KiB": 0.1}`, example: `{"1KiB": 0.9, "64KiB": 0.1}`, unpack: unpackMix}
	typeTargets     = &argType{name: "targets", want: wantTargets, example: "target.random()", unpack: unpackTargets}
	typeFlowName    = &argType{name: "flow", want: wantFlowName, example: `"produce:orders"`, unpack: unpackFlowName}
	typeFaults      = &argType{name: "faults", want: wantFaults, example: `[fault.pause(target.random(), at = "30s", duration = "5s")]`, unpack: unpackFaults}
	typeAt          = &argType{name: "moment", want: wantAt, example: `"90s"`, unpack: unpackAt}
	typeSkew        = &argType{name: "duration", want: wantSkew, example: `"-5s"`, unpack: unpackSkew}
	typeBytesRate   = &argType{name: "bytes rate", want: `bytes per second such as "1MiB/s"`, example: `"1MiB/s"`, unpack: unpackBytesRate}
	typeRecordRate  = &argType{name: "rate", want: `records per second such as "1k/s"`, example: `"1k/s"`, unpack: unpackRecordRate}
	typeCommit      = &argType{name: "commit", want: wantCommit, example: `"1s"`, unpack: unpackCommit}
	typeWarmup      = &argType{name: "warmup", want: wantWarmup, example: `"10s"`, unpack: unpackWarmup}
	typeSLO         = &argType{name: "thresholds", want: wantExpr, example: `"produce.latency.p99 < 20ms"`, unpack: unpackSLO}
	typeFollowed    = &argType{name: "metric", want: `a metric such as "produce.rate" or "produce.latency.p99"`, example: `"produce.rate"`, unpack: unpackFollowed}
	typeTxn         = builtType[*plan.Txn]("txn", "transactions such as txn(records = 50)", "txn(records = 50)", "txn")
	typeCluster     = builtType[*plan.Local]("cluster", "a cluster: local(…)", "local(brokers = 1)", "local")
	typeExecutor    = builtType[executor]("executor", `an executor such as full_speed("1m")`, `full_speed("1m")`, "clients", "full_speed", "records", "find_max_rate")

	typeFlight = &argType{name: "count", want: `a whole number such as 10000, or "auto"`, example: "10000", unpack: unpackFlight}

	typeAcks        = choice("acks", plan.AcksChoices)
	typeCompression = choice("compression", plan.CompressionChoices)
	typeIsolation   = choice("isolation", plan.IsolationChoices)
	typeStart       = choice("start", plan.StartChoices)
	typeProtocol    = choice("protocol", plan.ProtocolChoices)
	typeArrivals    = choice("arrivals", []string{string(plan.Uniform), string(plan.Poisson)})
)

// optional lets None stand for "not given"; the result is then nil.
func optional(t *argType) *argType {
	o := *t
	o.unpack = func(c *conv, v starlark.Value) any {
		if v == starlark.None {
			return nil
		}
		return t.unpack(c, v)
	}
	return &o
}

// unitType makes the parameter type of a unit.
func unitType[T any, P interface {
	*T
	starlark.Unpacker
}](name, want, example string) *argType {
	return &argType{name: name, want: want, example: example, unpack: func(c *conv, v starlark.Value) any {
		var dst T
		if err := P(&dst).Unpack(v); err != nil {
			c.err(err, want)
		}
		return dst
	}}
}

// whole is a whole number in [lo, hi]; the result is an int.
func whole(lo, hi int) *argType {
	want := fmt.Sprintf("a whole number from %d to %s", lo, plan.FormatCount(int64(hi)))
	if hi == math.MaxInt32 {
		want = fmt.Sprintf("a whole number, at least %d", lo)
	}
	return &argType{name: "int", want: want, example: strconv.Itoa(max(lo, 4)), unpack: func(c *conv, v starlark.Value) any {
		var n Count
		if _, isInt := v.(starlark.Int); !isInt {
			if _, isString := v.(starlark.String); !isString {
				c.err(wrongType(v, want), "")
				return 0
			}
		}
		if i, ok := v.(starlark.Int); ok {
			n64, ok := i.Int64()
			if !ok || n64 < int64(lo) || n64 > int64(hi) {
				c.bad(problem{off: -1, msg: fmt.Sprintf("must be %s, not %s", want, clip(v.String(), 24))})
				return 0
			}
			return int(n64)
		}
		if err := n.Unpack(v); err != nil {
			c.err(err, want)
		} else if int64(n) < int64(lo) || int64(n) > int64(hi) {
			c.bad(problem{text: string(v.(starlark.String)), width: v.(starlark.String).Len(), msg: fmt.Sprintf("must be %s, not %s", want, v)})
		}
		return int(n)
	}}
}

// real is a number in (lo, hi].
func real(lo, hi float64) *argType {
	want := fmt.Sprintf("a number above %v and up to %v", lo, hi)
	return &argType{name: "float", want: want, example: "0.99", unpack: func(c *conv, v starlark.Value) any {
		f, ok := starlark.AsFloat(v)
		if !ok {
			c.err(wrongType(v, want), "")
		} else if !(f > lo && f <= hi) {
			c.bad(problem{off: -1, msg: fmt.Sprintf("must be %s, not %s", want, v)})
		}
		return f
	}}
}

// choice is one word of a list.
func choice(name string, words []string) *argType {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	want := "one of " + strings.Join(quoted, ", ")
	return &argType{name: name, want: want, example: quoted[0], choices: words, unpack: func(c *conv, v starlark.Value) any {
		s, ok := starlark.AsString(v)
		if i, isInt := v.(starlark.Int); isInt && slices.Contains(words, i.String()) {
			c.bad(problem{off: -1, msg: fmt.Sprintf("must be %s, not the number %s", want, i), suggest: strconv.Quote(i.String())})
			return ""
		}
		if !ok {
			c.err(wrongType(v, want), "")
			return ""
		}
		if !slices.Contains(words, s) {
			p := problem{text: s, width: len(s), msg: fmt.Sprintf("must be %s, not %q", want, clip(s, 40))}
			if n := Nearest(s, words); n != "" {
				p.suggest = strconv.Quote(n)
			}
			c.bad(p)
		}
		return s
	}}
}

func unpackName(c *conv, v starlark.Value) any {
	s, ok := starlark.AsString(v)
	switch {
	case !ok:
		c.err(wrongType(v, "a name, as a string"), "")
	case s == "":
		c.bad(problem{off: -1, msg: "must not be empty"})
	case len(s) > 200:
		c.bad(problem{off: -1, msg: "is longer than 200 bytes"})
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD }):
		c.bad(problem{off: -1, msg: "has a control character in it"})
	}
	return s
}

// result unpacks what one of the tables in names built.
func result(c *conv, v starlark.Value, want string, kinds ...string) *built {
	b, ok := v.(*built)
	if ok && slices.ContainsFunc(kinds, func(k string) bool { return k == b.table.Name || strings.HasPrefix(b.table.Name, k+".") }) {
		return b
	}
	c.err(wrongType(v, want), "")
	return nil
}

// topicUse is a topic as a flow names it: by name alone, or as a topic(…) value.
type topicUse struct {
	plan.Topic
	described bool
}

func unpackTopic(c *conv, v starlark.Value) any {
	if s, ok := v.(starlark.String); ok {
		unpackTopicName(c, v)
		return topicUse{Topic: plan.Topic{Name: string(s)}}
	}
	if b := result(c, v, wantTopic, "topic"); b != nil {
		return b.value
	}
	return nil
}

func unpackTopicName(c *conv, v starlark.Value) any {
	s, ok := starlark.AsString(v)
	if !ok {
		c.err(wrongType(v, "a topic name"), "")
		return ""
	}
	bad := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
	switch {
	case s == "":
		c.bad(problem{off: -1, msg: "must not be empty"})
	case s == "." || s == ".." || len(s) > 249:
		c.bad(problem{off: -1, msg: fmt.Sprintf("%q is no topic name: it must have 1 to 249 characters and more than dots", clip(s, 40))})
	case bad >= 0:
		r := []rune(s[bad:])[0]
		c.bad(problem{text: s, off: bad, width: len(string(r)), msg: fmt.Sprintf("%q is no topic name: it has %q, and only a-z A-Z 0-9 . _ - are allowed", clip(s, 40), r)})
	}
	return s
}

func unpackValue(c *conv, v starlark.Value) any {
	if s, ok := v.(starlark.String); ok {
		p := problem{text: string(s), width: len(s), msg: "must be " + wantValue + ", not the string " + clip(strconv.Quote(string(s)), 40)}
		if _, err := ParseSize(string(s)); err == nil {
			p.suggest = fmt.Sprintf("gen.bytes(%q)", string(s))
		}
		c.bad(p)
		return nil
	}
	if b := result(c, v, wantValue, "gen"); b != nil {
		return b.value
	}
	return nil
}

func unpackKey(c *conv, v starlark.Value) any {
	if v == starlark.None {
		return plan.Key{Kind: "none"}
	}
	if b := result(c, v, wantKey, "keys"); b != nil {
		return b.value
	}
	return nil
}

func unpackFlow(c *conv, v starlark.Value) any {
	if b := result(c, v, wantFlow, "produce", "consume"); b != nil {
		return b
	}
	return nil
}

// items walks a list or tuple; it reports anything else.
func items(c *conv, v starlark.Value, want string, each func(v starlark.Value)) {
	var n int
	var index func(int) starlark.Value
	switch v := v.(type) {
	case *starlark.List:
		n, index = v.Len(), v.Index
	case starlark.Tuple:
		n, index = v.Len(), v.Index
	default:
		c.err(wrongType(v, want), "")
		return
	}
	for i := range n {
		if item := index(i); isBroken(item) {
			c.broken = true
		} else {
			c.elem = i
			each(item)
		}
	}
	c.elem = -1
}

func unpackStages(c *conv, v starlark.Value) any {
	var stages []*built
	if b, ok := v.(*built); ok && slices.Contains(stageNames, b.table.Name) {
		c.bad(problem{off: -1, msg: "must be a list of stages, not one stage", suggest: "[" + b.String() + "]"})
		return stages
	}
	one := func(v starlark.Value) {
		if isBroken(v) {
			c.broken = true
		} else if b := result(c, v, "a stage: hold(…), ramp(…), wave(…) or steps(…)", stageNames...); b != nil {
			stages = append(stages, b)
		}
	}
	items(c, v, wantStages, func(v starlark.Value) {
		if list, ok := v.(*starlark.List); ok { // what steps() and shape.… return
			for i := range list.Len() {
				one(list.Index(i))
			}
			return
		}
		one(v)
	})
	return stages
}

// stageNames are the functions that return one stage.
var stageNames = []string{"hold", "ramp", "wave"}

// verifyChoice is the verify argument: "auto", or exactly these.
type verifyChoice struct {
	auto bool
	list []plan.Invariant
}

func unpackVerify(c *conv, v starlark.Value) any {
	if s, ok := v.(starlark.String); ok {
		if s == "auto" {
			return verifyChoice{auto: true}
		}
		p := problem{text: string(s), width: len(s), msg: fmt.Sprintf("must be %s, not %s", wantVerify, v)}
		if n := Nearest(string(s), append(invariantNames(), "auto")); n == "auto" {
			p.suggest = `"auto"`
		} else if n != "" || slices.Contains(invariantNames(), string(s)) {
			p.suggest = fmt.Sprintf("[%s()]", firstNonEmpty(n, string(s)))
		}
		c.bad(p)
		return verifyChoice{}
	}
	out := verifyChoice{}
	items(c, v, wantVerify, func(v starlark.Value) {
		if b, ok := v.(*built); ok {
			if inv, ok := b.value.(plan.Invariant); ok {
				out.list = append(out.list, inv)
				return
			}
		}
		p := problem{off: -1, msg: "must be an invariant such as no_loss(), not " + describe(v)}
		name := ""
		if s, ok := v.(starlark.String); ok {
			name = strings.TrimSuffix(string(s), "()")
		} else if f, ok := v.(*starlark.Builtin); ok {
			name = f.Name()
		}
		if slices.Contains(invariantNames(), name) {
			p.suggest = name + "()"
		} else if n := Nearest(name, invariantNames()); n != "" {
			p.suggest = n + "()"
		}
		c.bad(p)
	})
	return out
}

func invariantNames() []string {
	return []string{string(plan.NoLoss), string(plan.NoDuplicates), string(plan.InOrder), string(plan.NoCorruption), string(plan.ReadCommitted), string(plan.CommittedOffsets)}
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// limit is a threshold as far as it is known before the scenario: its rate may still be in bytes.
type limit struct {
	expr
	pos    plan.Pos // of the threshold() call; empty for plain strings
	during string
	item   int // its place in the thresholds list

	window        time.Duration
	ofWindows     float64
	outsideFaults bool
	abort         bool
	trend         *plan.Trend // trend(…) instead of a threshold
}

func unpackThresholds(c *conv, v starlark.Value) any {
	var limits []limit
	switch v.(type) {
	case starlark.String, *built:
		c.bad(problem{off: -1, msg: "must be a list of thresholds, not a single one", suggest: "[" + v.String() + "]"})
		return limits
	}
	i := -1
	items(c, v, wantLimits, func(v starlark.Value) {
		i = c.elem
		if b, ok := v.(*built); ok {
			if l, ok := b.value.(limit); ok {
				l.pos, l.item = b.pos, i
				limits = append(limits, l)
				return
			}
			if t, ok := b.value.(plan.Trend); ok {
				limits = append(limits, limit{pos: b.pos, item: i, trend: &t})
				return
			}
		}
		if _, ok := v.(starlark.String); !ok {
			c.err(wrongType(v, `a string such as "produce.latency.p99 < 50ms", or threshold(…) or trend(…)`), "")
			return
		}
		if e, ok := unpackExpr(c, v).(expr); ok {
			limits = append(limits, limit{expr: e, item: i})
		}
	})
	return limits
}

func unpackExpr(c *conv, v starlark.Value) any {
	s, ok := starlark.AsString(v)
	if !ok {
		c.err(wrongType(v, wantExpr), "")
		return nil
	}
	e, err := parseThreshold(s)
	if err != nil {
		c.bad(problem{text: s, off: err.off, width: err.width, msg: err.msg, suggest: err.suggest, example: err.example, note: err.note})
		return nil
	}
	return e
}

func unpackFlight(c *conv, v starlark.Value) any {
	if v == starlark.String("auto") {
		return 0
	}
	return whole(1, math.MaxInt32).unpack(c, v)
}
