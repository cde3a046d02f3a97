package script

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// namespace is a module of built-ins: gen, keys.
type namespace struct {
	name    string
	names   []string
	members []*starlark.Builtin
}

var _ starlark.HasAttrs = (*namespace)(nil)

// String names the module.
func (n *namespace) String() string { return n.name }

// Type names the module, so that Starlark's own messages do.
func (n *namespace) Type() string { return n.name }

// Freeze does nothing: modules never change.
func (n *namespace) Freeze() {}

// Truth is always true.
func (n *namespace) Truth() starlark.Bool { return true }

// Hash refuses.
func (n *namespace) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", n.name) }

// AttrNames lists the members.
func (n *namespace) AttrNames() []string { return sorted(n.names) }

// Attr finds a member.
func (n *namespace) Attr(name string) (starlark.Value, error) {
	if i := slices.Index(n.names, name); i >= 0 {
		return n.members[i], nil
	}
	var all []string
	for _, m := range n.names {
		all = append(all, n.name+"."+m)
	}
	d := Diagnostic{Message: fmt.Sprintf("there is no %s.%s", n.name, name), Notes: []string{"available: " + strings.Join(all, ", ")}}
	if near := Nearest(name, n.names); near != "" {
		d.Suggest = n.name + "." + near
	}
	for _, t := range builtins {
		if t.Name == d.Suggest || d.Suggest == "" && strings.HasPrefix(t.Name, n.name+".") && len(t.Params) > 0 {
			d.Example = t.Example
			break
		}
	}
	return nil, &stop{d}
}

func cutMember(name string) (module, member string, ok bool) { return strings.Cut(name, ".") }

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return out
}
