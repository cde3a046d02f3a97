package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// sizeOf puts a size or a distribution of sizes into a value.
func (c *call) sizeOf(v *plan.Value, param string) {
	s := arg[plan.Sizes](c, param)
	if s.Kind == "" {
		return // None
	}
	if s.Kind == "fixed" {
		v.Size = int(s.A)
	} else {
		v.Size, v.Sizes = int(s.Mean()+0.5), &s
	}
	if v.Size < 1 || v.LargestSize() > plan.MaxValueBytes {
		c.bad(param, fmt.Sprintf("must be from 1B to %s, not %s", plan.FormatSize(plan.MaxValueBytes), plan.FormatSize(float64(max(v.Size, v.LargestSize())))), "", c.table.Example)
	}
}

func buildBytes(c *call) (any, error) {
	v := plan.Value{Kind: "bytes", Compressible: float64(arg[Percent](c, "compressible"))}
	c.sizeOf(&v, "size")
	return v, nil
}

func buildText(c *call) (any, error) {
	v := plan.Value{Kind: "text"}
	c.sizeOf(&v, "size")
	return v, nil
}

func buildJSON(c *call) (any, error) {
	v := arg[plan.Value](c, "members")
	if !c.has("size") {
		return v, nil
	}
	if !v.HasFiller() {
		if v.List != nil {
			c.bad("size", "an array with a size needs a gen.filler() in it", "", `gen.json([gen.seq(), gen.filler()], size = "1KiB")`)
			return v, nil
		}
		if slices.ContainsFunc(v.Fields, func(f plan.Field) bool { return f.Name == "filler" }) {
			c.bad("size", `the member "filler" is taken: say which member is to grow`, "", `gen.json({"id": gen.seq(), "rest": gen.filler()}, size = "1KiB")`)
			return v, nil
		}
		v.Fields = append(v.Fields, plan.Field{Name: "filler", Value: plan.Value{Kind: "filler"}})
	}
	least := v.MeanSize()
	c.sizeOf(&v, "size")
	if len(c.bads) == 0 && v.MeanSize() < least {
		c.bad("size", fmt.Sprintf("%s is too small: the members alone take about %s", plan.FormatSize(v.MeanSize()), plan.FormatSize(least)), "", "")
	}
	return v, nil
}

// selfMade are the names in templates that need no value.
var selfMade = []string{"seq", "uuid", "now", "filler"}

// maxPlaces bounds the {{…}} of a template.
const maxPlaces = 1000

func buildTemplate(c *call) (any, error) {
	text, values := arg[string](c, "text"), arg[[]plan.Field](c, "values")
	v := plan.Value{Kind: "template"}
	var out strings.Builder
	used := map[string]int{}
	for rest := text; ; {
		before, after, ok := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !ok {
			break
		}
		name, behind, ok := strings.Cut(after, "}}")
		if !ok || len(used) > maxPlaces {
			c.bad("text", "a {{ has no }} behind it", "", c.table.Example)
			break
		}
		name, rest = strings.TrimSpace(name), behind
		i, seen := used[name]
		if !seen {
			leaf, ok := templateValue(name, values)
			if !ok {
				c.unknownPlace(name, values)
				continue
			}
			i = len(v.List)
			used[name] = i
			v.List = append(v.List, leaf)
		}
		out.WriteString(plan.Placeholder(i))
	}
	v.Text = out.String()
	for _, f := range values {
		if _, ok := used[f.Name]; !ok && len(c.bads) == 0 {
			c.bad("values", fmt.Sprintf("%q is not used: there is no {{%s}} in the text", f.Name, f.Name), "", c.table.Example)
		}
	}
	if text == "" {
		c.bad("text", "must not be empty", "", c.table.Example)
	}
	if c.has("size") && !v.HasFiller() && len(c.bads) == 0 {
		c.bad("size", "a template with a size needs a {{filler}} in it", "", `gen.template("{{seq}} {{filler}}", size = "1KiB")`)
	}
	c.sizeOf(&v, "size")
	return v, nil
}

func templateValue(name string, values []plan.Field) (plan.Value, bool) {
	for _, f := range values {
		if f.Name == name {
			return f.Value, true
		}
	}
	return plan.Value{Kind: name}, slices.Contains(selfMade, name)
}

func (c *call) unknownPlace(name string, values []plan.Field) {
	names := slices.Clone(selfMade)
	for _, f := range values {
		names = append(names, f.Name)
	}
	suggest := ""
	if n := Nearest(name, names); n != "" {
		suggest = "{{" + n + "}}"
	}
	c.bad("text", fmt.Sprintf("there is no value for {{%s}}", clip(name, 40)), suggest, fmt.Sprintf(`gen.template("{{%s}}", {%[1]q: gen.int(1, 9)})`, clip(name, 40)))
}

// Limits of pools.
const (
	maxPool      = 1_000_000
	maxPoolBytes = 64 << 20
)

func buildFile(c *call) (any, error) {
	pool := c.lines(arg[string](c, "path"))
	return plan.Value{Kind: "pool", Path: arg[string](c, "path"), Pool: pool, Size: meanLength(pool)}, nil
}

func meanLength(pool [][]byte) int {
	sum := 0
	for _, p := range pool {
		sum += len(p)
	}
	return int(float64(sum)/float64(max(len(pool), 1)) + 0.5)
}

// lines reads a file below the script's folder.
func (c *call) lines(name string) [][]byte {
	bad := func(msg string) [][]byte {
		c.bad("path", fmt.Sprintf("%q: %s", clip(name, 60), msg), "", c.table.Example)
		return nil
	}
	rel := path.Clean(strings.TrimPrefix(name, "//"))
	switch {
	case c.s.root == nil:
		return bad("a script without a folder cannot read files")
	case strings.Contains(name, "://"):
		return bad("files lie in the script's folder, never in the network")
	case strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "//") || slices.Contains(strings.Split(name, "/"), ".."):
		return bad("files must lie in the script's folder or below it")
	case name == "" || strings.ContainsAny(name, "\x00\\"):
		return bad("this is no file name")
	}
	f, err := c.s.root.Open(filepath.FromSlash(rel))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return bad("there is no file " + c.s.display(rel))
		}
		return bad("cannot read it: " + reason(err))
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
		return bad("is not a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPoolBytes+1))
	if err != nil {
		return bad("cannot read it: " + reason(err))
	}
	if len(text) > maxPoolBytes {
		return bad("is larger than 64MiB")
	}
	var pool [][]byte
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			pool = append(pool, line)
		}
	}
	switch {
	case len(pool) == 0:
		return bad("is empty")
	case len(pool) > maxPool:
		return bad(fmt.Sprintf("has more than %s lines", plan.FormatCount(maxPool)))
	}
	return pool
}

func buildCustom(c *call) (any, error) {
	fn, n := arg[starlark.Callable](c, "fn"), arg[int](c, "pool")
	encode := json.Module.Members["encode"]
	takes := true
	if f, ok := fn.(*starlark.Function); ok {
		takes = f.NumParams() > 0
	}
	v := plan.Value{Kind: "pool", Path: "custom " + fn.Name()}
	sum := 0
	for i := range n {
		var args starlark.Tuple
		if takes {
			args = starlark.Tuple{starlark.MakeInt(i)}
		}
		made, err := starlark.Call(c.thread, fn, args, nil)
		if err != nil {
			return nil, err
		}
		if isBroken(made) {
			c.broken = true
			return nil, nil
		}
		text, ok := starlark.AsString(made)
		if b, isBytes := made.(starlark.Bytes); isBytes {
			text, ok = string(b), true
		}
		if !ok {
			encoded, err := starlark.Call(c.thread, encode, starlark.Tuple{made}, nil)
			if err != nil {
				c.bad("fn", fmt.Sprintf("returned a %s, which is neither text nor JSON", made.Type()), "", c.table.Example)
				return nil, nil
			}
			text = string(encoded.(starlark.String))
		}
		if sum += len(text); text == "" || sum > maxPoolBytes {
			msg := "returned an empty string"
			if text != "" {
				msg = "makes more than 64MiB in all"
			}
			c.bad("fn", msg, "", c.table.Example)
			return nil, nil
		}
		v.Pool = append(v.Pool, []byte(text))
	}
	v.Size = meanLength(v.Pool)
	return v, nil
}

func buildPick(c *call) (any, error) {
	return plan.Value{Kind: "pick", List: arg[[]plan.Value](c, "items")}, nil
}

func buildInt(c *call) (any, error) {
	v := plan.Value{Kind: "int", Lo: arg[int64](c, "lo"), Hi: arg[int64](c, "hi")}
	if v.Lo > v.Hi {
		c.bad("hi", fmt.Sprintf("%d is less than %d", v.Hi, v.Lo), "", c.table.Example)
	}
	return v, nil
}

func buildSizes(c *call) (any, error) {
	_, kind, _ := cutMember(c.table.Name)
	s := plan.Sizes{Kind: kind}
	switch kind {
	case "fixed":
		s.A = float64(arg[Size](c, "size"))
	case "uniform":
		s.A, s.B = float64(arg[Size](c, "smallest")), float64(arg[Size](c, "largest"))
		if s.B <= s.A {
			c.bad("largest", fmt.Sprintf("%s is not more than %s", plan.FormatSize(s.B), plan.FormatSize(s.A)), "", c.table.Example)
		}
	case "normal":
		s.A, s.B = float64(arg[Size](c, "mean")), float64(arg[Size](c, "sd"))
	case "lognormal":
		s.A, s.B = float64(arg[Size](c, "p50")), float64(arg[Size](c, "p99"))
		if s.B <= s.A {
			c.bad("p99", fmt.Sprintf("%s is not more than the p50 of %s", plan.FormatSize(s.B), plan.FormatSize(s.A)), "", c.table.Example)
		}
	case "mix":
		m := arg[plan.Sizes](c, "weights")
		s.Values, s.Weights = m.Values, m.Weights
		return s, nil
	}
	if s.A < 1 {
		c.bad(c.table.Params[0].Name, "must be at least 1B", "", c.table.Example)
	}
	if c.table.param("max") != nil && c.has("max") {
		s.Max = int(arg[Size](c, "max"))
		if float64(s.Max) < s.A {
			c.bad("max", fmt.Sprintf("%s would cut most values: it is below %s", plan.FormatSize(float64(s.Max)), plan.FormatSize(s.A)), "", c.table.Example)
		}
	}
	return s, nil
}

func buildKeys(c *call) (any, error) {
	_, kind, _ := cutMember(c.table.Name)
	k := plan.Key{Kind: kind}
	switch kind {
	case "none":
	case "file":
		k.Path = arg[string](c, "path")
		k.Pool = c.lines(k.Path)
		k.N = len(k.Pool)
	case "zipf":
		k.N, k.S = arg[int](c, "n"), arg[float64](c, "s")
	case "hot":
		k.N, k.Hot, k.Share = arg[int](c, "keys"), float64(arg[Percent](c, "hot")), float64(arg[Percent](c, "share"))
		for _, p := range []struct {
			name string
			v    float64
		}{{"hot", k.Hot}, {"share", k.Share}} {
			if p.v <= 0 || p.v >= 1 {
				c.bad(p.name, fmt.Sprintf("must be more than 0%% and less than 100%%, not %s", plan.FormatPercent(p.v)), "", c.table.Example)
			}
		}
	default:
		k.N = arg[int](c, "n")
	}
	return k, nil
}
