package script

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// This file turns what the Starlark machinery says into Diagnostics.

func (s *session) spanAt(src *source, p syntax.Position, width int) span {
	return span{pos: plan.Pos{File: src.name, Line: int(p.Line), Column: int(p.Col)}, width: max(width, 1)}
}

// reportSyntax files the one mistake at which the parser stops.
func (s *session) reportSyntax(src *source, err error) {
	d := Diagnostic{Message: err.Error()}
	sp := span{pos: plan.Pos{File: src.name, Line: 1, Column: 1}, width: 1}
	var se syntax.Error
	if errors.As(err, &se) {
		sp.pos.Line, sp.pos.Column = int(se.Pos.Line), int(se.Pos.Col)
		got, want, ok := strings.Cut(strings.TrimPrefix(se.Msg, "got "), ", want ")
		if ok && (want != "primary expression" || got == "end of file") {
			sp = src.tokenEndingAt(sp.pos, got)
			want = strings.Replace(want, "primary expression", "a value", 1)
		} else {
			sp.width = wordLen(src.line(sp.pos.Line), sp.pos.Column)
			if ok {
				want = "a value"
			}
		}
		d.Message, d.Suggest, d.Example = explainSyntax(src, sp, se.Msg, got, want)
	}
	s.place(&d, sp)
	s.report(d)
}

// tokenEndingAt finds the token that the parser choked on: it reports the place behind it.
func (s *source) tokenEndingAt(p plan.Pos, got string) span {
	switch got {
	case "newline", "end of file":
		for p.Line > 1 && (p.Column <= 1 || strings.TrimSpace(s.line(p.Line)) == "") {
			p.Line--
			p.Column = utf8.RuneCountInString(strings.TrimRight(s.line(p.Line), " \t")) + 1
		}
		return span{pos: p, width: 1}
	case "indent", "outdent":
		return span{pos: p, width: 1}
	}
	runes := []rune(s.line(p.Line))
	end := min(p.Column-1, len(runes))
	start := end
	switch {
	case got == "string literal" && end > 0:
		for start--; start > 0 && runes[start-1] != runes[end-1]; start-- {
		}
		start = max(start-1, 0)
	case strings.HasPrefix(got, "'"):
		start -= utf8.RuneCountInString(strings.Trim(got, "'"))
	default:
		for start > 0 && (isWord(runes[start-1]) || runes[start-1] == '.') {
			start--
		}
	}
	p.Column = max(start, 0) + 1
	return span{pos: p, width: max(end-start, 1)}
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// wordLen is the length of the word at a column, for the caret; at least 1.
func wordLen(line string, col int) int {
	runes := []rune(line)
	n := 0
	for i := col - 1; i >= 0 && i < len(runes) && isWord(runes[i]); i++ {
		n++
	}
	return max(n, 1)
}

var separator = regexp.MustCompile(`[0-9]+(_[0-9]+)+`)

// reserved are words that Starlark keeps for itself without using them, with what to write instead.
var reserved = map[string]string{
	"as": "", "assert": `if x < 1: fail("what is wrong")`, "async": "", "await": "", "class": "def f(x): …", "del": "", "except": "", "finally": "",
	"from": `load("//lib/payloads.star", "order_event")`, "global": "", "import": `load("//lib/payloads.star", "order_event")`,
	"is": "x == None", "nonlocal": "", "raise": `fail("what is wrong")`, "try": "", "while": "for i in range(10): …", "with": "", "yield": "",
}

var fromArgument = regexp.MustCompile(`^from\s*=[^=]`)

// explainSyntax says the parser's message in words, with a hint for what people write out of habit. got and want are the parts
// of "got X, want Y".
func explainSyntax(src *source, sp span, msg, got, want string) (message, suggest, example string) {
	line := []rune(src.line(sp.pos.Line))
	word := ""
	if sp.pos.Column <= len(line) {
		word = string(line[sp.pos.Column-1 : min(sp.pos.Column-1+sp.width, len(line))])
	}
	if num := separator.FindString(string(line)); num != "" && strings.HasPrefix(strings.TrimLeft(word, "0123456789"), "_") {
		plain := strings.ReplaceAll(num, "_", "")
		return "numbers have no separators here", plain, `a string with a unit, such as "20k/s" or "100k", is easier to read`
	}
	if word == "from" && fromArgument.MatchString(string(line[sp.pos.Column-1:])) {
		return `"from" is a reserved word`, "from_", `steps(from_ = "1k/s", to = "5k/s", step = "1k/s", each = "30s")`
	}
	if e, ok := reserved[word]; ok {
		return fmt.Sprintf("%q is a reserved word that Starlark does not use", word), "", e
	}
	if got == "identifier" {
		got = strconv.Quote(word)
	}
	open := src.unclosed(sp.pos)
	switch {
	case strings.Contains(msg, "excessive nesting"):
		return "brackets or blocks are nested too deeply", "", ""
	case strings.Contains(msg, "newline in string") || strings.Contains(msg, "unexpected new line in string") || strings.Contains(msg, "EOF in string"):
		return "the string is not closed", "", `"30s"`
	case got == "end of file" || got == "newline":
		return fmt.Sprintf("the %s ends too early: expected %s%s", strings.TrimPrefix(strings.Replace(got, "newline", "line", 1), "end of "), want, semicolon(open)), "", ""
	case got == "indent":
		return "unexpected indentation", "", ""
	case strings.Contains(want, "','") || strings.Contains(want, "')'") || strings.Contains(want, "']'") || strings.Contains(want, "'}'"):
		if open != "" && strings.TrimSpace(string(line[:min(sp.pos.Column-1, len(line))])) == "" {
			return fmt.Sprintf("unexpected %s: is a comma missing on the line before, or is %s?", got, strings.Replace(open, "is not closed", "not closed", 1)), "", ""
		}
		return fmt.Sprintf("unexpected %s: is a comma missing before it?", got), "", smokeExample
	case want != "":
		return fmt.Sprintf("unexpected %s, expected %s", got, want), "", ""
	}
	return "syntax error: " + msg, "", ""
}

// unclosed names the bracket that is open at a place, by counting brackets outside strings and comments; "" if there is none.
func (s *source) unclosed(p plan.Pos) string {
	type bracket struct {
		r         rune
		line, col int
	}
	var stack []bracket
	var quote rune
	for i := 1; i <= min(p.Line, len(s.lines)); i++ {
		escaped := false
		for col, r := range []rune(s.lines[i-1]) {
			if i == p.Line && col+1 >= p.Column || r == '#' && quote == 0 {
				break
			}
			switch {
			case escaped:
				escaped = false
			case quote != 0 && r == '\\':
				escaped = true
			case quote != 0:
				if r == quote {
					quote = 0
				}
			case r == '"' || r == '\'':
				quote = r
			case r == '(' || r == '[' || r == '{':
				stack = append(stack, bracket{r, i, col + 1})
			case (r == ')' || r == ']' || r == '}') && len(stack) > 0:
				stack = stack[:len(stack)-1]
			}
		}
	}
	if len(stack) == 0 {
		return ""
	}
	b := stack[len(stack)-1]
	return fmt.Sprintf("the %q at line %d, column %d is not closed", b.r, b.line, b.col)
}

// semicolon joins a further half-sentence.
func semicolon(s string) string {
	if s == "" {
		return ""
	}
	return "; " + s
}

var resolverHint = regexp.MustCompile(` \(did you mean (\S+)\?\)$`)

// habits are names from Python and elsewhere.
var habits = map[string]string{"true": "True", "false": "False", "null": "None", "nil": "None", "none": "None", "undefined": "None"}

// reportResolve files all mistakes of the resolver.
func (s *session) reportResolve(src *source, err error) {
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		d := Diagnostic{Message: err.Error()}
		s.place(&d, span{pos: plan.Pos{File: src.name, Line: 1, Column: 1}, width: 1})
		s.report(d)
		return
	}
	for _, e := range list {
		d := Diagnostic{}
		msg := e.Msg
		if m := resolverHint.FindStringSubmatch(msg); m != nil {
			d.Suggest = m[1]
			msg = strings.TrimSuffix(msg, m[0])
		}
		if name, ok := strings.CutPrefix(msg, "undefined: "); ok {
			s.explainUndefined(&d, name)
		} else {
			d.Message, d.Example = explainResolve(msg)
		}
		s.place(&d, s.spanAt(src, e.Pos, wordLen(src.line(int(e.Pos.Line)), int(e.Pos.Col))))
		s.report(d)
	}
}

// names is what a script can use, for suggestions and lists: built-ins first, then Starlark's own.
func (s *session) names() []string {
	var names []string
	for _, t := range builtins {
		if _, _, member := cutMember(t.Name); !member {
			names = append(names, t.Name)
		}
	}
	for _, m := range moduleDocs {
		names = append(names, m.name)
	}
	names = append(names, "math", "json")
	return append(names, sorted(starlark.Universe.Keys())...)
}

func (s *session) explainUndefined(d *Diagnostic, name string) {
	d.Message = fmt.Sprintf("there is no name %q", name)
	for _, t := range builtins {
		if _, member, ok := cutMember(t.Name); ok && member == name {
			d.Suggest, d.Example = t.Name, t.Example
			return
		}
	}
	if h, ok := habits[name]; ok {
		d.Suggest = h
	} else if d.Suggest == "" { // the resolver's own hint knows the script's names too
		d.Suggest = Nearest(name, s.names())
	}
	for _, t := range builtins {
		if t.Name == d.Suggest {
			d.Example = t.Example
		}
	}
	if d.Suggest == "" {
		d.Notes = append(d.Notes, "`loadscript doc` lists all names")
	}
}

func explainResolve(msg string) (message, example string) {
	switch {
	case strings.Contains(msg, "support while loops"):
		return "there are no while loops: a script must end", "for i in range(10): …"
	case strings.HasPrefix(msg, "keyword argument") && strings.HasSuffix(msg, "is repeated"):
		return msg, ""
	case msg == "positional argument may not follow named":
		return "arguments without a name come before those with one", smokeExample
	case strings.HasPrefix(msg, "load statement within"):
		return msg + ": load stands at the top of the file", `load("//lib/payloads.star", "order_event")`
	}
	return msg, ""
}

// reportEval files why a running script stopped.
func (s *session) reportEval(src *source, err error) {
	if errors.Is(err, errReported) {
		return // in a module, and filed there
	}
	var ee *starlark.EvalError
	if !errors.As(err, &ee) {
		d := Diagnostic{Message: err.Error()}
		s.place(&d, span{pos: plan.Pos{File: src.name, Line: 1, Column: 1}, width: 1})
		s.report(d)
		return
	}
	if s.incomplete && strings.Contains(ee.Msg, "broken") {
		return // a consequence of a mistake filed before
	}
	d := Diagnostic{Message: ee.Msg}
	at, via := s.frames(ee, wrongArguments.MatchString(ee.Msg))
	if st, ok := asStop(err); ok {
		d = st.d
	} else {
		explainEval(&d, ee.Msg, s.opts.MaxSteps)
	}
	if d.Pos.Line == 0 {
		s.place(&d, s.evalSpan(src, at, ee.Msg))
		for i, v := range via {
			if i == 5 {
				break
			}
			d.Notes = append(d.Notes, "called from "+posText(v))
		}
	}
	var mixed *mixedDur
	if errors.As(err, &mixed) {
		d.Example = fmt.Sprintf("dur(\"5m\") %s dur(%q)", mixed.op, mixed.text)
	}
	s.report(d)
}

// wrongArguments is what a function of the script says of its arguments: the caller is to blame then.
var wrongArguments = regexp.MustCompile(`^function \S+ (got|missing|accepts) `)

// frames is the innermost place of an error in a file, and the calls that led there, innermost first. With caller, the
// innermost function has not begun yet.
func (s *session) frames(ee *starlark.EvalError, caller bool) (at syntax.Position, via []plan.Pos) {
	for i := len(ee.CallStack) - 1; i >= 0; i-- {
		p := ee.CallStack[i].Pos
		switch {
		case s.sources[p.Filename()] == nil:
			continue
		case caller:
			caller = false
			continue
		case !at.IsValid():
			at = p
			continue
		case at == p:
			continue
		}
		via = append(via, plan.Pos{File: p.Filename(), Line: int(p.Line), Column: int(p.Col)})
	}
	return at, via
}

var unexpectedKeyword = regexp.MustCompile(`got (?:an unexpected keyword argument|multiple values for parameter) "?(\w+)`)

// evalSpan narrows a position of the interpreter (a '(' or '.' or operator) to what the reader should look at.
func (s *session) evalSpan(src *source, p syntax.Position, msg string) span {
	if f := s.sources[p.Filename()]; p.IsValid() && f != nil {
		src = f
	}
	if c := src.calls[at(p)]; c != nil {
		if m := unexpectedKeyword.FindStringSubmatch(msg); m != nil {
			if n := keywordOf(c, m[1]); n != nil {
				return src.node(n)
			}
		}
		return src.callee(c)
	}
	if d := src.dots[at(p)]; d != nil {
		return src.node(d.Name)
	}
	if b := src.binary[at(p)]; b != nil {
		return s.spanAt(src, p, len(b.Op.String()))
	}
	if st := src.loads[at(p)]; st != nil {
		for _, id := range st.To {
			if strings.HasPrefix(msg, "load: name "+id.Name+" ") {
				sp := src.node(id)
				return sp
			}
		}
		return src.node(st.Module)
	}
	if !p.IsValid() {
		return span{pos: plan.Pos{File: src.name, Line: 1, Column: 1}, width: 1}
	}
	return s.spanAt(src, p, wordLen(src.line(int(p.Line)), int(p.Col)))
}

var (
	noSuchField = regexp.MustCompile(`^(\S+) has no \.(\w+) field or method$`)
	spellHint   = regexp.MustCompile(` \(did you mean \.?(\w+)\?\)$`)
	binaryOp    = regexp.MustCompile(`^unknown binary op: (\w+) (\S+) (\w+)$`)
	comparison  = regexp.MustCompile(`^(\w+) (<|<=|>|>=) (\w+) not implemented$`)
)

// explainEval says what the interpreter means.
func explainEval(d *Diagnostic, msg string, steps uint64) {
	if m := spellHint.FindStringSubmatch(msg); m != nil {
		d.Suggest = m[1]
		msg = strings.TrimSuffix(msg, m[0])
		d.Message = msg
	}
	if m := binaryOp.FindStringSubmatch(msg); m != nil {
		d.Message = fmt.Sprintf("%s %s %s: these two do not go together", m[1], m[2], m[3])
		switch {
		case m[1] == "string" && m[3] == "string":
			d.Example = `dur("5m") - dur("30s"): strings with units cannot be computed with, durations can`
		case m[1] == "string" || m[3] == "string":
			d.Example = `"%d per second" % n, or "n = " + str(n)`
		}
	}
	if m := comparison.FindStringSubmatch(msg); m != nil {
		d.Message = fmt.Sprintf("%s %s %s: these two cannot be compared", m[1], m[2], m[3])
		if m[1] == "dur" || m[3] == "dur" {
			d.Example = `rest > dur("30s")`
		}
	}
	switch {
	case strings.HasPrefix(msg, "Starlark computation cancelled: too many steps"):
		d.Message = fmt.Sprintf("the script did not end within %s steps: a loop is too long", plan.FormatCount(int64(steps)))
		d.Example = "a script only describes the load; the engine makes the records"
	case strings.HasPrefix(msg, "Starlark computation cancelled: "):
		d.Message = strings.TrimPrefix(msg, "Starlark computation cancelled: ")
	case strings.HasPrefix(msg, "repeat count ") || strings.HasPrefix(msg, "excessive repeat "):
		d.Message = "the result would be far too long: " + msg
	case strings.HasSuffix(msg, "called recursively"):
		d.Message = msg + ": functions must not call themselves, so that a script always ends"
	case strings.HasSuffix(msg, " field or method"):
		d.Message = noSuchField.ReplaceAllString(msg, "a $1 has no attribute $2")
	case calledModule(msg) != "":
		name := calledModule(msg)
		d.Message, d.Example = name+" is a module, not a function", memberExample(name)
	case strings.HasPrefix(msg, "invalid call of non-function"):
		d.Message = strings.Replace(msg, "invalid call of non-function", "this is not a function, it cannot be called:", 1)
	case strings.HasPrefix(msg, "load: name "):
		d.Message = msg
	}
}

// calledModule is the module that a script called as if it were a function; "" if it did not.
func calledModule(msg string) string {
	for _, m := range moduleDocs {
		if strings.HasPrefix(msg, "invalid call of non-function ("+m.name+")") {
			return m.name
		}
	}
	return ""
}

// memberExample is the example of a module's first function that takes arguments.
func memberExample(module string) string {
	for _, t := range builtins {
		if strings.HasPrefix(t.Name, module+".") && len(t.Params) > 0 {
			return t.Example
		}
	}
	return ""
}
