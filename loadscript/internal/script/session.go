package script

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// session is one evaluation of one script. One goroutine uses it.
type session struct {
	opts    Options
	dir     string   // folder of the script as the user wrote it: shown in messages
	root    *os.Root // the same folder, opened: modules cannot leave it; nil for scripts without a file
	sources map[string]*source
	order   []string // names of sources, as they were first met
	modules map[string]*module
	env     starlark.StringDict
	tables  []*Builtin // of the language: builtins, which their own build functions cannot name

	diags      Errors
	incomplete bool // a call was wrong: the plan lacks something
	settings   []Setting
	used       []bool // by setting
	params     []declared
	topics     []plan.Topic // described by topic(…), in order
	scenarios  []plan.Scenario
	printed    int
	testing    bool // a file of tests
}

// declared is a parameter that the script has declared.
type declared struct {
	plan.Param
	pos  plan.Pos
	flag string // how the command line set it: "--rate"; empty = default
	raw  string // what the command line said
}

// report files a mistake.
func (s *session) report(d Diagnostic) { s.diags = append(s.diags, d) }

// place fills in position, source line and caret.
func (s *session) place(d *Diagnostic, sp span) {
	d.Pos, d.Width = sp.pos, max(sp.width, 1)
	if src := s.sources[sp.pos.File]; src != nil {
		d.Source = src.line(sp.pos.Line)
	}
}

// blame points a mistake at the command-line flag that brought the value, if one did.
func (s *session) blame(d *Diagnostic, p problem, label string) {
	if p.hard || p.text == "" {
		return
	}
	for _, prm := range s.params {
		if prm.flag == "" || prm.raw == "" {
			continue
		}
		at := strings.Index(p.text, prm.raw)
		if at < 0 || p.text != prm.raw && (len(prm.raw) < 2 || p.off < at || p.off >= at+len(prm.raw)) {
			continue
		}
		msg := strings.TrimPrefix(strings.TrimPrefix(p.msg, strconv.Quote(p.text)+" "), strconv.Quote(prm.raw)+" ")
		d.Message = fmt.Sprintf("%s %q: %s", prm.flag, prm.raw, msg)
		d.Flag = true
		d.Example = "" // examples are in the script's terms
		if d.Suggest != "" && p.text == prm.raw {
			d.Suggest = fmt.Sprintf("%s %s", prm.flag, unquoteWord(d.Suggest))
		}
		d.Notes = append([]string{fmt.Sprintf("used here as %s; declared by param(%q) at %s", label, prm.Name, posText(prm.pos))}, d.Notes...)
		return
	}
}

// unquoteWord strips the quotes of a word that a shell takes as it is.
func unquoteWord(s string) string {
	if u, err := strconv.Unquote(s); err == nil && u != "" && !strings.ContainsAny(u, " \t'\"$\\*?[]{}()<>|&;#!~`") {
		return u
	}
	return s
}

// fileOrder ranks files as they were first met: the script, then its modules.
func (s *session) fileOrder(name string) int { return slices.Index(s.order, name) }

func (s *session) addSource(src *source) {
	s.sources[src.name] = src
	s.order = append(s.order, src.name)
}
