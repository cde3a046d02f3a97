package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// call is one call of a built-in: its unpacked arguments, and where it stands.
type call struct {
	s      *session
	thread *starlark.Thread
	table  *Builtin
	src    *source          // nil when the call has no place in a file
	node   *syntax.CallExpr // likewise
	pos    plan.Pos         // start of the call: "produce" of produce(…)
	via    []plan.Pos       // the calls that led here, innermost first

	given  []starlark.Value // by parameter; nil = not given
	index  []int            // place among the positional arguments; -1 = by keyword or not given
	values []any            // unpacked, defaults filled in
	rest   []any            // unpacked *rest
	bads   []problem
	apart  []problem // in items of a list that the call can do without (Param.Apart)
	broken bool
}

// arg is an unpacked argument; the zero T when it is None or was not given.
func arg[T any](c *call, name string) T {
	for i, p := range c.table.Params {
		if p.Name == name {
			v, _ := c.values[i].(T)
			return v
		}
	}
	panic(fmt.Sprintf("script: %s has no parameter %q in its table", c.table.Name, name))
}

// has reports whether the script gave the argument, and not as None.
func (c *call) has(name string) bool {
	i := slices.IndexFunc(c.table.Params, func(p Param) bool { return p.Name == name })
	return i >= 0 && c.given[i] != nil && c.given[i] != starlark.None
}

// bad reports a mistake in an argument, found while building.
func (c *call) bad(param, msg, suggest, example string) {
	c.bads = append(c.bads, problem{param: param, index: c.positionOf(param), elem: -1, off: -1, msg: msg, suggest: suggest, example: example, hard: true})
}

func (c *call) positionOf(param string) int {
	for i, p := range c.table.Params {
		if p.Name == param {
			return c.index[i]
		}
	}
	return -1
}

// builtin wraps a table into a callable.
func (s *session) builtin(t *Builtin) *starlark.Builtin {
	return starlark.NewBuiltin(t.Name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		c := s.newCall(thread, t)
		c.unpack(args, kwargs)
		if len(c.bads) > 0 || c.broken {
			return c.giveUp(), nil
		}
		c.file(c.apart)
		v, err := t.build(c)
		switch {
		case err != nil:
			return nil, err
		case len(c.bads) > 0 || c.broken:
			return c.giveUp(), nil
		case t.Effect:
			return starlark.None, nil
		}
		if v, ok := v.(starlark.Value); ok {
			return v, nil
		}
		return &built{table: t, pos: c.pos, args: c.given, value: v}, nil
	})
}

// file files mistakes: the plan lacks something then.
func (c *call) file(mistakes []problem) {
	for _, p := range mistakes {
		c.s.report(c.diagnose(p))
		c.s.incomplete = true
	}
}

// giveUp files the mistakes and lets the script go on with a stand-in.
func (c *call) giveUp() starlark.Value {
	c.file(append(c.apart, c.bads...))
	c.s.incomplete = true
	if c.table.Effect {
		return starlark.None
	}
	return broken{}
}

// newCall finds the place of the call in the script: the innermost frame in a file. (A built-in called by sorted() has a
// built-in as its caller.)
func (s *session) newCall(thread *starlark.Thread, t *Builtin) *call {
	c := &call{s: s, thread: thread, table: t}
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		p := thread.CallFrame(depth).Pos
		src := s.sources[p.Filename()]
		if src == nil {
			continue
		}
		if c.src == nil {
			c.src, c.node = src, src.calls[at(p)]
			c.pos = plan.Pos{File: src.name, Line: int(p.Line), Column: int(p.Col)}
			if c.node != nil {
				c.pos = src.node(c.node).pos
			}
			continue
		}
		c.via = append(c.via, plan.Pos{File: src.name, Line: int(p.Line), Column: int(p.Col)})
	}
	return c
}

// unpack matches arguments with the table. It reports everything that is wrong, not just the first thing.
func (c *call) unpack(args starlark.Tuple, kwargs []starlark.Tuple) {
	n := len(c.table.Params)
	c.given, c.values, c.index = make([]starlark.Value, n), make([]any, n), make([]int, n)
	for i := range c.index {
		c.index[i] = -1
	}
	for i, a := range args {
		c.positional(i, a)
	}
	for _, kv := range kwargs {
		c.keyword(string(kv[0].(starlark.String)), kv[1])
	}
	for i := range c.table.Params {
		c.param(i)
	}
}

func (c *call) positional(i int, a starlark.Value) {
	switch {
	case i < c.table.Max:
		c.given[i], c.index[i] = a, i
	case c.table.Rest != nil:
		c.rest = append(c.rest, c.convert(*c.table.Rest, i, a))
	default:
		c.surplus(i, a)
	}
}

// surplus reports a positional argument too many and names the keyword it was probably meant for.
func (c *call) surplus(i int, a starlark.Value) {
	takes := fmt.Sprintf("%s takes %d argument%s by position", c.table.Name, c.table.Max, plural(c.table.Max))
	if c.table.Max == 0 {
		takes = c.table.Name + " takes no arguments by position"
	}
	p := problem{index: i, elem: -1, off: -1, msg: takes, example: c.table.Example, hard: true}
	if i < len(c.table.Params) {
		p.msg += ": give this one by name"
		p.suggest = fmt.Sprintf("%s = %s", c.table.Params[i].Name, clip(argText(a), 60))
	}
	if isBroken(a) {
		p.suggest = ""
	}
	c.bads = append(c.bads, p)
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (c *call) keyword(name string, v starlark.Value) {
	for i, p := range c.table.Params {
		if p.Name != name {
			continue
		}
		if c.given[i] != nil {
			c.bads = append(c.bads, problem{param: name, index: -1, keyword: true, elem: -1, off: -1, hard: true,
				msg: fmt.Sprintf("%s is given twice: by position and by name", name)})
			return
		}
		c.given[i] = v
		return
	}
	if c.table.Rest != nil && name == c.table.Rest.Name {
		c.bads = append(c.bads, problem{param: name, index: -1, keyword: true, elem: -1, off: -1, hard: true,
			msg: fmt.Sprintf("%s are given by position, without a name", name), example: c.table.Example})
		return
	}
	c.unknown(name)
}

// unknown reports a keyword that the table does not have.
func (c *call) unknown(name string) {
	p := problem{param: name, index: -1, keyword: true, elem: -1, off: -1, hard: true}
	var names []string
	for _, prm := range c.table.Params {
		names = append(names, prm.Name)
	}
	if len(names) == 0 {
		p.msg = fmt.Sprintf("there is no parameter %q: it takes none", name)
		c.bads = append(c.bads, p)
		return
	}
	p.msg = fmt.Sprintf("there is no parameter %q", name)
	p.note = "parameters: " + strings.Join(names, ", ")
	p.example = c.table.Example
	if n := Nearest(name, names); n != "" {
		p.suggest = strconv.Quote(n)
		if prm := c.table.param(n); prm != nil && prm.example() != "" {
			p.example = fmt.Sprintf("%s = %s", n, prm.example())
		}
	}
	c.bads = append(c.bads, p)
}

func (t *Builtin) param(name string) *Param {
	for i := range t.Params {
		if t.Params[i].Name == name {
			return &t.Params[i]
		}
	}
	return nil
}

// param unpacks parameter i, or its default.
func (c *call) param(i int) {
	p := c.table.Params[i]
	v := c.given[i]
	if v != nil {
		c.values[i] = c.convert(p, c.index[i], v)
		return
	}
	if p.Default == nil {
		c.bads = append(c.bads, problem{index: -1, elem: -1, off: -1, hard: true,
			msg: fmt.Sprintf("%s is missing: %s", p.Name, p.Doc), example: c.table.Example})
		return
	}
	cv := &conv{elem: -1}
	c.values[i] = p.Type.unpack(cv, p.Default)
	if len(cv.problems) > 0 {
		panic(fmt.Sprintf("script: the default of %s.%s is wrong: %s", c.table.Name, p.Name, cv.problems[0].msg))
	}
}

// convert unpacks one argument and files what is wrong with it.
func (c *call) convert(p Param, index int, v starlark.Value) any {
	if isBroken(v) {
		c.broken = true
		return nil
	}
	cv := &conv{elem: -1}
	out := p.Type.unpack(cv, v)
	if p.Apart {
		c.s.incomplete = c.s.incomplete || cv.broken
	} else {
		c.broken = c.broken || cv.broken
	}
	for _, pr := range cv.problems {
		pr.param, pr.index = p.Name, index
		if pr.example == "" {
			pr.example = fmt.Sprintf("%s = %s", p.Name, p.example())
			if p.Name == "" || c.table.Rest != nil && p.Name == c.table.Rest.Name {
				pr.example = c.table.Example
			} else if i := slices.IndexFunc(c.table.Params, func(q Param) bool { return q.Name == p.Name }); i >= 0 && i < c.table.Max {
				pr.example = c.table.Example
			}
		}
		if p.Apart && pr.elem >= 0 {
			c.apart = append(c.apart, pr)
		} else {
			c.bads = append(c.bads, pr)
		}
	}
	return out
}

// diagnose turns a problem into a message with a place.
func (c *call) diagnose(p problem) Diagnostic {
	d := Diagnostic{Suggest: p.suggest, Example: p.example}
	label := c.table.Name
	if p.param != "" && !p.keyword {
		label += ": " + p.param
	}
	if p.elem >= 0 {
		label += fmt.Sprintf("[%d]", p.elem)
	}
	d.Message = label + ": " + p.msg
	if strings.HasPrefix(p.msg, c.table.Name+" ") {
		d.Message = p.msg
	}
	c.s.place(&d, c.spanOf(p))
	if p.note != "" {
		d.Notes = append(d.Notes, p.note)
	}
	for _, via := range c.via {
		d.Notes = append(d.Notes, "called from "+posText(via))
		if len(d.Notes) == 5 {
			break
		}
	}
	c.s.blame(&d, p, label)
	return d
}

// spanOf is the place that a problem points at, as exact as the syntax tree allows.
func (c *call) spanOf(p problem) span {
	if c.node == nil {
		return span{pos: c.pos, width: 1}
	}
	if p.keyword {
		if n := keywordOf(c.node, p.param); n != nil {
			return c.src.node(n)
		}
		return c.src.callee(c.node)
	}
	if p.param == "" && p.index < 0 {
		return c.src.callee(c.node)
	}
	e := argument(c.node, p.param, p.index)
	if e == nil {
		return c.src.callee(c.node)
	}
	if p.elem >= 0 {
		item, exact := element(e, p.elem)
		if !exact {
			return c.src.node(e)
		}
		e = item
	}
	if p.off >= 0 && p.text != "" {
		return c.src.within(e, p.text, p.off, p.width)
	}
	return c.src.node(e)
}

// placeOfArg is the span of an argument or of an item of it; the call itself when it is not written in place.
func (c *call) placeOfArg(name string, elem int) plan.Pos {
	p := problem{param: name, index: c.positionOf(name), elem: elem, off: -1}
	return c.spanOf(p).pos
}
