package script

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// A Setting is what the command line says about one parameter.
type Setting struct {
	Name  string // as written: "spike-rate"
	Value string
	Flag  string // how it was written, for messages: "--spike-rate", "-p rate"
	Bare  bool   // --name without a value: True for a bool, an error for others
}

// ReservedFlags are the flags of `loadscript run` itself; a script cannot declare parameters with these names. Only brokers
// may be declared: then the parameter and the flag are one and the same.
var ReservedFlags = []string{"out", "only", "seed", "quiet", "format", "streambus", "help", "param", "p", "json", "width", "bootstrap_server", "version", "max_steps",
	"import_omb", "repeat", "ab", "prometheus", "remote_write", "cluster", "kafka_home", "sasl_mechanism", "sasl_user", "sasl_password_file",
	"tls", "tls_ca", "tls_cert", "tls_key", "tls_server_name"}

var paramName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)

// canonical makes dashes and underscores equal.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Dashed is how a parameter's name is written on the command line.
func Dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

// maxParams bounds the parameters of one script.
const maxParams = 200

func buildParam(c *call) (any, error) {
	if err := c.refuseInModule(); err != nil {
		return nil, err
	}
	name, def := canonical(arg[string](c, "name")), arg[starlark.Value](c, "default")
	if !c.goodParamName(name) {
		return nil, nil
	}
	text, kind, ok := paramText(def)
	if !ok {
		c.bad("default", "must be a string, a number, a bool or a dur, not "+describe(def), "", c.table.Example)
		return nil, nil
	}
	d := declared{Param: plan.Param{Name: name, Default: text, Value: text, Help: arg[string](c, "help")}, pos: c.pos}
	value := def
	i := c.s.setting(name)
	if i >= 0 {
		set := c.s.settings[i]
		d.Set, d.Value, d.flag, d.raw = true, set.Value, set.Flag, set.Value
		if value, d.Value = c.s.parseParam(c, set, def, kind, text); value == nil {
			d.flag = "" // reported already: do not blame it again where it is used
			value = def
		}
	}
	c.s.params = append(c.s.params, d)
	return value, nil
}

func (c *call) goodParamName(name string) bool {
	example := fmt.Sprintf(`param(%q, …)`, "spike_rate")
	if !paramName.MatchString(name) {
		c.bad("name", fmt.Sprintf("%q cannot be a flag: use letters, digits and _, at most 64, starting with a letter", clip(name, 40)), "", example)
		return false
	}
	if slices.Contains(ReservedFlags, name) {
		c.bad("name", fmt.Sprintf("--%s is a flag of loadscript itself: choose another name", Dashed(name)), "", example)
		return false
	}
	for _, p := range c.s.params {
		if p.Name != name {
			continue
		}
		if p.pos != c.pos {
			c.bad("name", fmt.Sprintf("the parameter %q is declared already, at %s", name, posText(p.pos)), "", "")
		} else {
			c.bad("name", fmt.Sprintf("the parameter %q is declared twice: declare it once, outside the loop or function", name), "", "")
		}
		return false
	}
	if len(c.s.params) >= maxParams {
		c.bad("name", fmt.Sprintf("more than %d parameters", maxParams), "", "")
		return false
	}
	return true
}

// setting finds what the command line says about a parameter; the last word wins, and all are used up.
func (s *session) setting(name string) int {
	found := -1
	for i, set := range s.settings {
		if canonical(set.Name) == name {
			s.used[i] = true
			found = i
		}
	}
	return found
}

// paramText is a default as the command line would write it, and what it is called in messages.
func paramText(v starlark.Value) (text, kind string, ok bool) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), "a string", true
	case starlark.Int:
		return v.String(), "a whole number", true
	case starlark.Float:
		return strconv.FormatFloat(float64(v), 'g', -1, 64), "a number", true
	case starlark.Bool:
		return strings.ToLower(v.String()), "true or false", true
	case Dur:
		return v.String(), wantDuration, true
	}
	return "", "", false
}

// parseParam reads what the command line says in the type of the default; nil after a mistake, which is reported.
func (s *session) parseParam(c *call, set Setting, def starlark.Value, kind, text string) (starlark.Value, string) {
	bad := func(why, suggest string) (starlark.Value, string) {
		d := Diagnostic{Message: fmt.Sprintf("%s %q: %s (the default is %s)", set.Flag, set.Value, why, shownDefault(text)), Suggest: suggest, Flag: true}
		if set.Bare {
			d.Message = fmt.Sprintf("%s needs a value: %s (the default is %s)", set.Flag, kind, shownDefault(text))
		}
		s.place(&d, c.spanOf(problem{param: "name", index: c.positionOf("name"), elem: -1, off: -1}))
		s.report(d)
		s.incomplete = true
		return nil, text
	}
	if _, isBool := def.(starlark.Bool); set.Bare && !isBool {
		return bad("", "")
	}
	switch def.(type) {
	case starlark.Int:
		if n, err := strconv.ParseInt(set.Value, 10, 64); err == nil {
			return starlark.MakeInt64(n), set.Value
		}
		if n, err := parseCount(set.Value); err == nil {
			return starlark.MakeInt64(int64(n)), strconv.FormatInt(int64(n), 10)
		}
		return bad("must be "+kind, "")
	case starlark.Float:
		if f, err := strconv.ParseFloat(set.Value, 64); err == nil && f-f == 0 {
			return starlark.Float(f), set.Value
		}
		return bad("must be "+kind, "")
	case starlark.Bool:
		switch strings.ToLower(set.Value) {
		case "true", "yes", "on", "1":
			return starlark.True, "true"
		case "false", "no", "off", "0":
			return starlark.False, "false"
		}
		return bad("must be "+kind, "")
	case Dur:
		d, err := parseDuration(set.Value)
		if err == nil {
			return Dur(d), plan.FormatDuration(time.Duration(d))
		}
		suggest := ""
		if err.suggest != "" {
			suggest = set.Flag + " " + err.suggest
		}
		return bad(err.reason+": want "+err.want, suggest)
	}
	return starlark.String(set.Value), set.Value
}

func shownDefault(text string) string {
	if text == "" || strings.ContainsAny(text, " \t\n") {
		return strconv.Quote(text)
	}
	return text
}
