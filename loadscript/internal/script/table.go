package script

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Builtin is the one table of a built-in function: unpacking, error messages and documentation are made from it.
type Builtin struct {
	Name    string // "produce", "gen.bytes"
	Doc     string // what it is for: one sentence, then more if needed
	Params  []Param
	Rest    *Param // takes any number of further positional arguments: *flows
	Max     int    // how many of Params may be given by position; at most 2
	Returns string // what it is good for: "a flow, for scenario()"
	Example string // a whole call that is right
	Since   string // version of loadscript that brought it
	Effect  bool   // returns None and is called for what it does

	// build makes the result from unpacked arguments. Mistakes go to call.bad; an error stops the script.
	build func(c *call) (any, error)
}

// Param is one parameter of a built-in.
type Param struct {
	Name    string
	Type    *argType
	Default starlark.Value // nil = must be given
	Unit    string         // "records per second, all producers together"
	Doc     string
	Since   string // empty = as old as its built-in
	Apart   bool   // a list whose wrong items leave the others as they are, so that what else is wrong is found as well
	Example string // a value that is right, as code; empty = the type's
}

func (p Param) example() string {
	if p.Example != "" {
		return p.Example
	}
	return p.Type.example
}

// argType is how values of a parameter are read.
type argType struct {
	name    string   // "duration"
	want    string   // "a duration such as \"30s\""
	example string   // `"30s"`
	choices []string // for an enumeration
	// unpack turns v into what build wants. Mistakes go to c; the result is then not used.
	unpack func(c *conv, v starlark.Value) any
}

// conv collects what is wrong with one argument.
type conv struct {
	problems []problem
	broken   bool // the value is the result of a call that was wrong: reported there
	elem     int  // item of a list being read; -1 outside lists
}

// problem is one thing wrong with one argument of a call.
type problem struct {
	param   string // parameter; empty = the call as a whole
	index   int    // its place among the positional arguments; -1 when only the keyword can carry it
	keyword bool   // point at the name, not at the value
	elem    int    // item of a list; -1 = all of it
	off     int    // byte offset in a string value; -1 = all of it
	width   int
	text    string // the string value that off counts in; also what a command-line flag may have brought
	msg     string
	suggest string
	example string
	note    string // "parameters: …"
	hard    bool   // not about text: never blamed on a flag
}

func (c *conv) bad(p problem) {
	p.elem = c.elem
	if p.text == "" && p.off == 0 && p.width == 0 {
		p.off = -1
	}
	c.problems = append(c.problems, p)
}

// err files what an Unpack method returned.
func (c *conv) err(err error, want string) {
	switch e := err.(type) {
	case *unitError:
		p := problem{off: e.off, width: e.width, text: e.text, msg: e.headline() + ": want " + e.want}
		if e.bare {
			p.off, p.text = -1, ""
		}
		if e.suggest != "" {
			p.suggest = fmt.Sprintf("%q", e.suggest)
		}
		c.bad(p)
	case *typeError:
		c.bad(problem{off: -1, msg: e.Error()})
	default:
		c.bad(problem{off: -1, msg: fmt.Sprintf("%v: want %s", err, want)})
	}
}

// built is what a built-in returns: an immutable value that knows the call that made it. It prints as code, and its arguments
// can be read as attributes: orders.name, stage.duration.
type built struct {
	table *Builtin
	pos   plan.Pos
	args  []starlark.Value // as given, in the order of table.Params; nil = not given
	value any              // plan.Topic, flow, stage, …
}

var _ starlark.HasAttrs = (*built)(nil)

// String prints code that makes the value again.
func (b *built) String() string {
	var words []string
	for i, p := range b.table.Params {
		if i >= len(b.args) || b.args[i] == nil {
			continue
		}
		if i < b.table.Max && len(words) == i {
			words = append(words, argText(b.args[i]))
		} else {
			words = append(words, p.Name+" = "+argText(b.args[i]))
		}
	}
	return b.table.Name + "(" + strings.Join(words, ", ") + ")"
}

func argText(v starlark.Value) string {
	if d, ok := v.(Dur); ok {
		return fmt.Sprintf("%q", d.String())
	}
	return v.String()
}

// Type is the name that type() gives.
func (b *built) Type() string { return b.table.Name }

// Freeze does nothing: a built value never changes.
func (b *built) Freeze() {}

// Truth is always true.
func (b *built) Truth() starlark.Bool { return true }

// Hash refuses: two equal calls make two different values.
func (b *built) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", b.Type()) }

// Attr reads an argument, or its default.
func (b *built) Attr(name string) (starlark.Value, error) {
	for i, p := range b.table.Params {
		if p.Name != name {
			continue
		}
		if b.args[i] != nil {
			return b.args[i], nil
		}
		if p.Default != nil {
			return p.Default, nil
		}
		return starlark.None, nil
	}
	return nil, nil
}

// AttrNames lists the parameters.
func (b *built) AttrNames() []string {
	names := make([]string, 0, len(b.table.Params))
	for _, p := range b.table.Params {
		names = append(names, p.Name)
	}
	return sorted(names)
}

// broken stands for the result of a call that was wrong, so that the script can go on and show its other mistakes. Whatever is
// done with it is silent and gives broken again.
type broken struct{}

var (
	_ starlark.HasAttrs  = broken{}
	_ starlark.HasBinary = broken{}
	_ starlark.HasUnary  = broken{}
	_ starlark.Callable  = broken{}
	_ starlark.Mapping   = broken{}
	_ starlark.Iterable  = broken{}
)
