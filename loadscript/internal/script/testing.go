package script

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Tests of scripts are functions test_… in files …_test.star. Beside the language they have assert.… and plan(), which reads
// another script and tells what it adds up to:
//
//	def test_short_spike():
//	    p = plan("spike.star", duration = "1m")
//	    assert.eq(p.duration, dur("1m"))
//
// A failed assertion is noted and the test goes on; fail() and mistakes end it.

// TestSuffix ends the names of files with tests.
const TestSuffix = "_test.star"

// TestResult is what one test function did.
type TestResult struct {
	Name     string   `json:"name"`
	Pos      plan.Pos `json:"pos"`
	Failures Errors   `json:"failures,omitempty"` // none: it passed
}

// ReadTests runs the tests of a file in a process of its own, in the order of the file; only those whose names match run, if
// that is not nil. The error is that of Read; then no test was run.
func ReadTests(ctx context.Context, opts Options, run *regexp.Regexp) ([]TestResult, error) {
	opts.tests = testMode{On: true}
	if run != nil {
		opts.tests.Run = run.String()
	}
	a, err := readApart(ctx, opts)
	if err != nil {
		return nil, err
	}
	_, err = a.unpack()
	return a.Tests, err
}

// testMode makes Load run tests; it travels in the request.
type testMode struct {
	On  bool
	Run string
}

// runTests is Load for a file of tests.
func runTests(ctx context.Context, opts Options, mode testMode) ([]TestResult, error) {
	only, err := regexp.Compile(mode.Run)
	if err != nil {
		return nil, err
	}
	s := newSession(opts.defaults(), slices.Concat(builtins, testTables))
	s.testing = true
	text, err := s.open()
	if s.root != nil {
		defer s.root.Close()
	}
	if err != nil {
		return nil, err
	}
	deadline, cancel := context.WithTimeoutCause(ctx, s.opts.Timeout, errTimeout)
	defer cancel()
	s.env = s.predeclared()
	src := newSource(opts.Path, text)
	s.addSource(src)
	globals, err := s.exec(deadline, src, text, "")
	if err != nil || len(s.diags) > 0 {
		return nil, s.diags.sorted(s.fileOrder)
	}
	var tests []*starlark.Function
	for _, name := range globals.Keys() {
		if f, ok := globals[name].(*starlark.Function); ok && strings.HasPrefix(name, "test_") && f.Position().Filename() == src.name {
			tests = append(tests, f)
		}
	}
	slices.SortFunc(tests, func(a, b *starlark.Function) int { return int(a.Position().Line - b.Position().Line) })
	results := []TestResult{}
	for _, f := range tests {
		if only.MatchString(f.Name()) {
			results = append(results, s.runTest(deadline, src, f))
		}
	}
	return results, nil
}

func (s *session) runTest(ctx context.Context, src *source, f *starlark.Function) TestResult {
	r := TestResult{Name: f.Name(), Pos: plan.Pos{File: src.name, Line: int(f.Position().Line), Column: int(f.Position().Col)}}
	s.diags, s.incomplete = nil, false
	thread := s.newThread(ctx, src, "")
	release := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer release()
	if _, err := starlark.Call(thread, f, nil, nil); err != nil {
		s.reportEval(src, err)
	}
	r.Failures = s.diags.sorted(s.fileOrder)
	return r
}

// testTables are what tests have beside the language.
var testTables = []*Builtin{
	assertTable("assert.eq", "The two are equal.", "assert.eq(1 + 1, 2)", assertEqual, got, want),
	assertTable("assert.ne", "The two differ.", "assert.ne(1, 2)", assertEqual, got, want),
	assertTable("assert.true", "It is true.", "assert.true(1 < 2)", assertTrue, Param{Name: "cond", Type: typeAny, Doc: "what must be true", Example: "1 < 2"}),
	assertTable("assert.contains", "A list, dict or string holds something.", `assert.contains(["a", "b"], "a")`, assertContains, got,
		Param{Name: "item", Type: typeAny, Doc: "what must be in it", Example: `"a"`}),
	assertTable("assert.fails", "A function stops with a mistake whose message matches a pattern.", `assert.fails(lambda: hold("5x", 1), "unknown unit")`, assertFails,
		Param{Name: "fn", Type: typeFunction, Doc: "what is called, without arguments", Example: `lambda: hold("5x", 1)`},
		Param{Name: "pattern", Type: typeString, Doc: "regular expression that the message must match", Example: `"unknown unit"`}),
}

var (
	got  = Param{Name: "got", Type: typeAny, Doc: "what came out", Example: "p.records"}
	want = Param{Name: "want", Type: typeAny, Doc: "what should have", Example: "30000"}
)

func assertTable(name, doc, example string, build func(*call) (any, error), params ...Param) *Builtin {
	msg := Param{Name: "msg", Type: typeString, Default: starlark.String(""), Doc: "said when it does not hold", Example: `"the spike is too short"`}
	return &Builtin{Name: name, Doc: doc, Example: example, Max: min(len(params), 2), Params: append(slices.Clone(params), msg), Since: since, Effect: true, build: build}
}

// failed notes that an assertion does not hold.
func (c *call) failed(format string, args ...any) {
	d := Diagnostic{Message: fmt.Sprintf(format, args...)}
	if msg := arg[string](c, "msg"); msg != "" {
		d.Message = msg + ": " + d.Message
	}
	sp := span{pos: c.pos, width: 1}
	if c.node != nil {
		sp = c.src.callee(c.node)
	}
	c.s.place(&d, sp)
	for _, via := range c.via {
		d.Notes = append(d.Notes, "called from "+posText(via))
	}
	c.s.report(d)
}

func assertEqual(c *call) (any, error) {
	x, y := arg[starlark.Value](c, "got"), arg[starlark.Value](c, "want")
	equal, err := starlark.Equal(x, y)
	switch {
	case err != nil:
		return nil, err
	case equal && c.table.Name == "assert.ne":
		c.failed("both are %s", clip(x.String(), 200))
	case !equal && c.table.Name == "assert.eq":
		c.failed("got %s, want %s", clip(x.String(), 200), clip(y.String(), 200))
	}
	return nil, nil
}

func assertTrue(c *call) (any, error) {
	if v := arg[starlark.Value](c, "cond"); !bool(v.Truth()) {
		c.failed("got %s, want something true", clip(v.String(), 200))
	}
	return nil, nil
}

func assertContains(c *call) (any, error) {
	in, item := arg[starlark.Value](c, "got"), arg[starlark.Value](c, "item")
	found, err := starlark.Binary(syntax.IN, item, in)
	if err != nil {
		return nil, err
	}
	if !bool(found.Truth()) {
		c.failed("%s does not contain %s", clip(in.String(), 200), clip(item.String(), 200))
	}
	return nil, nil
}

func assertFails(c *call) (any, error) {
	pattern, err := regexp.Compile(arg[string](c, "pattern"))
	if err != nil {
		c.bad("pattern", "is no regular expression: "+err.Error(), "", c.table.Example)
		return nil, nil
	}
	before, incomplete := len(c.s.diags), c.s.incomplete
	_, err = starlark.Call(c.thread, arg[starlark.Callable](c, "fn"), nil, nil)
	var messages []string
	for _, d := range c.s.diags[before:] { // mistakes in calls do not stop a script: they are filed
		messages = append(messages, d.Message)
	}
	c.s.diags, c.s.incomplete = c.s.diags[:before], incomplete
	if err != nil {
		messages = append(messages, err.Error())
	}
	switch {
	case len(messages) == 0:
		c.failed("it did not fail, want a mistake that matches %q", pattern)
	case !slices.ContainsFunc(messages, pattern.MatchString):
		c.failed("it failed with %q, which does not match %q", clip(messages[0], 200), pattern)
	}
	return nil, nil
}

// planFunction is plan(path, **params), which tests have: it reads a script with these parameters.
func (s *session) planFunction() *starlark.Builtin {
	return starlark.NewBuiltin("plan", func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		name, ok := "", len(args) == 1
		if ok {
			name, ok = starlark.AsString(args[0])
		}
		if !ok {
			return nil, fmt.Errorf(`plan: want one script and its parameters by name, such as plan("spike.star", rate = "5k/s")`)
		}
		var settings []Setting
		for _, kv := range kwargs {
			text, _, ok := paramText(kv[1])
			if !ok {
				return nil, fmt.Errorf("plan: %s must be a string, a number, a bool or a dur, not %s", kv[0], describe(kv[1]))
			}
			key := string(kv[0].(starlark.String))
			settings = append(settings, Setting{Name: key, Value: text, Flag: key})
		}
		p, err := s.planOf(name, settings)
		if err != nil {
			return nil, err
		}
		return planValue(p), nil
	})
}

// planOf reads a script beside the test.
func (s *session) planOf(name string, settings []Setting) (*plan.Plan, error) {
	if s.root == nil || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fmt.Errorf("plan(%q): scripts lie in the test's folder or below it", clip(name, 60))
	}
	text, d := s.readModule(name)
	if d != nil {
		return nil, fmt.Errorf("plan(%q): %s", clip(name, 60), strings.TrimPrefix(d.Message, "load: "))
	}
	opts := s.opts
	opts.Path, opts.Source, opts.Settings, opts.tests = s.display(name), text, settings, testMode{}
	inner, err := Load(context.Background(), opts)
	if mistakes, ok := err.(Errors); ok {
		return nil, &stop{mistakes[0]}
	} else if err != nil {
		return nil, err
	}
	for _, unused := range inner.Unused {
		return nil, fmt.Errorf("plan(%q): it has no parameter %q", clip(name, 60), unused.Name)
	}
	return inner.Plan, nil
}

// planValue is what a test sees of a plan: the totals of all scenarios, and each scenario with its own.
func planValue(p *plan.Plan) starlark.Value {
	var sum plan.Totals
	var scenarios []starlark.Value
	for i := range p.Scenarios {
		sc := &p.Scenarios[i]
		t := sc.Totals()
		sum.Records += t.Records
		sum.Duration += t.Duration
		sum.Bytes += t.Bytes
		sum.PeakRate = max(sum.PeakRate, t.PeakRate)
		sum.FaultTimes = append(sum.FaultTimes, t.FaultTimes...)
		fields := totalsFields(t)
		var stages, thresholds, verify []string
		for _, st := range sc.Stages {
			stages = append(stages, st.Name)
		}
		for _, th := range sc.Thresholds {
			thresholds = append(thresholds, th.Expr)
		}
		for _, v := range sc.Verify {
			verify = append(verify, string(v))
		}
		fields["name"], fields["stages"], fields["thresholds"], fields["verify"] = starlark.String(sc.Name), stringList(stages), stringList(thresholds), stringList(verify)
		scenarios = append(scenarios, starlarkstruct.FromStringDict(starlark.String("scenario"), fields))
	}
	fields := totalsFields(sum)
	fields["scenarios"] = starlark.NewList(scenarios)
	v := starlarkstruct.FromStringDict(starlark.String("plan"), fields)
	v.Freeze()
	return v
}

func totalsFields(t plan.Totals) starlark.StringDict {
	var times []starlark.Value
	for _, at := range t.FaultTimes {
		times = append(times, Dur(at))
	}
	return starlark.StringDict{"records": starlark.MakeInt64(t.Records), "duration": Dur(t.Duration), "peak_rate": starlark.Float(t.PeakRate),
		"bytes": starlark.MakeInt64(t.Bytes), "fault_times": starlark.NewList(times)}
}

func stringList(words []string) *starlark.List {
	var list []starlark.Value
	for _, w := range words {
		list = append(list, starlark.String(w))
	}
	return starlark.NewList(list)
}
