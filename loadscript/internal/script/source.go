package script

import (
	"strings"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// source is one file of the script: its text, and its syntax tree indexed by the positions that the interpreter reports, so
// that a message can point at the argument, not just at the call.
type source struct {
	name  string // as shown: "scripts/lib/payloads.star"
	lines []string
	file  *syntax.File

	calls   map[place]*syntax.CallExpr // by the '(' of the call: what a frame's position says
	starts  map[place]*syntax.CallExpr // by the first letter of the call: what plan.Pos says
	dots    map[place]*syntax.DotExpr  // by the '.'
	binary  map[place]*syntax.BinaryExpr
	literal map[place]*syntax.Literal
	loads   map[place]*syntax.LoadStmt
}

// place is a position inside one file, counted from 1 in lines and characters.
type place struct{ line, col int32 }

func at(p syntax.Position) place { return place{p.Line, p.Col} }

// span is a stretch of one line of one file: what the caret underlines.
type span struct {
	pos   plan.Pos
	width int // characters; at least 1
}

func newSource(name string, text []byte) *source {
	return &source{name: name, lines: strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")}
}

// index walks the tree once.
func (s *source) index(f *syntax.File) {
	s.file = f
	s.calls, s.starts = map[place]*syntax.CallExpr{}, map[place]*syntax.CallExpr{}
	s.dots, s.binary = map[place]*syntax.DotExpr{}, map[place]*syntax.BinaryExpr{}
	s.literal, s.loads = map[place]*syntax.Literal{}, map[place]*syntax.LoadStmt{}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			s.calls[at(n.Lparen)] = n
			s.starts[at(syntax.Start(n))] = n // nested calls with one start, f(x)(y): the inner one is visited last and wins
		case *syntax.DotExpr:
			s.dots[at(n.Dot)] = n
		case *syntax.BinaryExpr:
			s.binary[at(n.OpPos)] = n
		case *syntax.Literal:
			s.literal[at(n.TokenPos)] = n
		case *syntax.LoadStmt:
			s.loads[at(n.Load)] = n
		}
		return true
	})
}

// comparedTargets finds target.… == "…" and the same with a name that was given a target at the top of the file: Starlark says
// False to it without an error, for a target is known only when its fault begins.
func (s *source) comparedTargets() []*syntax.BinaryExpr {
	targets := map[string]bool{}
	isTarget := func(e syntax.Expr) bool {
		switch e := e.(type) {
		case *syntax.Ident:
			return targets[e.Name]
		case *syntax.CallExpr:
			if d, ok := e.Fn.(*syntax.DotExpr); ok {
				x, ok := d.X.(*syntax.Ident)
				return ok && x.Name == "target"
			}
		}
		return false
	}
	for _, st := range s.file.Stmts {
		if a, ok := st.(*syntax.AssignStmt); ok && a.Op == syntax.EQ && isTarget(a.RHS) {
			if id, ok := a.LHS.(*syntax.Ident); ok {
				targets[id.Name] = true
			}
		}
	}
	var found []*syntax.BinaryExpr
	syntax.Walk(s.file, func(n syntax.Node) bool {
		if b, ok := n.(*syntax.BinaryExpr); ok && (b.Op == syntax.EQL || b.Op == syntax.NEQ) && (isTarget(b.X) || isTarget(b.Y)) {
			found = append(found, b)
		}
		return true
	})
	return found
}

// members finds what is asked of names that the file does not bind itself, in order; the file must be resolved.
func (s *source) members() (found []*syntax.DotExpr) {
	syntax.Walk(s.file, func(n syntax.Node) bool {
		if dot, ok := n.(*syntax.DotExpr); ok {
			if x, ok := dot.X.(*syntax.Ident); ok {
				if b, ok := x.Binding.(*resolve.Binding); ok && b.Scope == resolve.Predeclared {
					found = append(found, dot)
				}
			}
		}
		return true
	})
	return found
}

// line returns the text of line n (from 1), "" when there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// node is the span of a node's first line.
func (s *source) node(n syntax.Node) span {
	start, end := n.Span()
	sp := span{pos: plan.Pos{File: s.name, Line: int(start.Line), Column: int(start.Col)}, width: 1}
	if end.Line == start.Line {
		sp.width = max(int(end.Col-start.Col), 1)
	} else {
		sp.width = max(utf8.RuneCountInString(strings.TrimRight(s.line(sp.pos.Line), " \t"))-sp.pos.Column+1, 1)
	}
	return sp
}

// name is the span of a call's function name: what is underlined when no single argument is wrong.
func (s *source) callee(c *syntax.CallExpr) span { return s.node(c.Fn) }

// argument finds the expression that a call passes for a parameter: by keyword, or by place in its positional arguments.
// index < 0 asks for the keyword only. It returns nil when the argument comes from *args or **kwargs.
func argument(c *syntax.CallExpr, keyword string, index int) syntax.Expr {
	n := 0
	for _, a := range c.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			if b.X.(*syntax.Ident).Name == keyword {
				return b.Y
			}
			continue
		}
		if u, ok := a.(*syntax.UnaryExpr); ok && (u.Op == syntax.STAR || u.Op == syntax.STARSTAR) {
			if u.Op == syntax.STAR {
				n = -1 << 20 // positions after *args are unknown
			}
			continue
		}
		if n == index {
			return a
		}
		n++
	}
	return nil
}

// keywordOf finds the name part of `name = value` in a call.
func keywordOf(c *syntax.CallExpr, keyword string) syntax.Node {
	for _, a := range c.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ && b.X.(*syntax.Ident).Name == keyword {
			return b.X
		}
	}
	return nil
}

// element is item i of a list written in place, the expression itself otherwise.
func element(e syntax.Expr, i int) (item syntax.Expr, exact bool) {
	if p, ok := e.(*syntax.ParenExpr); ok {
		return element(p.X, i)
	}
	switch e := e.(type) {
	case *syntax.ListExpr:
		if i < len(e.List) {
			return e.List[i], true
		}
	case *syntax.TupleExpr:
		if i < len(e.List) {
			return e.List[i], true
		}
	}
	return e, false
}

// within narrows the span of a string literal to bytes [off, off+width) of its value. It stays on the whole literal when the
// literal has escapes (positions would be off) or spans lines.
func (s *source) within(e syntax.Expr, value string, off, width int) span {
	sp := s.node(e)
	lit, ok := e.(*syntax.Literal)
	if !ok || lit.Token != syntax.STRING {
		return sp
	}
	quote := 1
	raw := lit.Raw
	if strings.HasPrefix(raw, "r") {
		quote, raw = 2, raw[1:]
	}
	if strings.HasPrefix(raw, `"""`) || strings.HasPrefix(raw, "'''") {
		quote += 2
	}
	if len(lit.Raw) < 2*quote || off > len(value) || strings.Contains(value, "\n") || !strings.Contains(lit.Raw, value) {
		return sp
	}
	sp.pos.Column += quote + utf8.RuneCountInString(value[:off])
	end := min(off+width, len(value))
	sp.width = max(utf8.RuneCountInString(value[off:end]), 1)
	return sp
}

// docstring is the string that opens the file.
func (s *source) docstring() string {
	if s.file == nil || len(s.file.Stmts) == 0 {
		return ""
	}
	st, ok := s.file.Stmts[0].(*syntax.ExprStmt)
	if !ok {
		return ""
	}
	lit, ok := st.X.(*syntax.Literal)
	if !ok || lit.Token != syntax.STRING {
		return ""
	}
	return strings.TrimSpace(lit.Value.(string))
}

// firstLine is the title of a docstring.
func firstLine(doc string) string {
	line, _, _ := strings.Cut(doc, "\n")
	return strings.TrimSpace(line)
}

// positional is the place of a parameter among the positional arguments of a built-in's call; -1 when it has none.
func (s *session) positional(fn syntax.Expr, param string) int {
	name := ""
	switch fn := fn.(type) {
	case *syntax.Ident:
		name = fn.Name
	case *syntax.DotExpr:
		if x, ok := fn.X.(*syntax.Ident); ok {
			name = x.Name + "." + fn.Name.Name
		}
	}
	for _, t := range s.tables {
		if t.Name != name {
			continue
		}
		for i, p := range t.Params {
			if p.Name == param && i < t.Max {
				return i
			}
		}
	}
	return -1
}
