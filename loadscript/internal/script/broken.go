package script

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func (broken) String() string                                   { return "<broken>" }
func (broken) Type() string                                     { return "broken" }
func (broken) Freeze()                                          {}
func (broken) Truth() starlark.Bool                             { return true }
func (broken) Hash() (uint32, error)                            { return 0, nil }
func (broken) Name() string                                     { return "broken" }
func (broken) AttrNames() []string                              { return nil }
func (broken) Attr(string) (starlark.Value, error)              { return broken{}, nil }
func (broken) Get(starlark.Value) (starlark.Value, bool, error) { return broken{}, true, nil }
func (broken) Unary(syntax.Token) (starlark.Value, error)       { return broken{}, nil }
func (broken) Iterate() starlark.Iterator                       { return starlark.Tuple(nil).Iterate() }

func (broken) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	return broken{}, nil
}

func (broken) CallInternal(*starlark.Thread, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
	return broken{}, nil
}

func isBroken(v starlark.Value) bool { _, ok := v.(broken); return ok }
