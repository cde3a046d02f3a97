package plan

import (
	"fmt"
	"math"
	"slices"
)

// ValueKinds are how values, and parts of them, are made.
var ValueKinds = []string{"bytes", "text", "json", "template", "pool", "seq", "uuid", "now", "pick", "int", "filler", "const"}

// maxDepth bounds the tree of a value.
const maxDepth = 32

// value checks what a flow sends.
func (c *checker) value(p *Produce) {
	v := p.Value
	before := len(c.problems)
	if v.Kind == "filler" {
		c.add(p.Pos, "value", "a filler alone fills nothing: it stands inside gen.json or gen.template", `value = gen.bytes("1KiB")`)
	}
	c.valueTree(v, p.Pos, "value", 0)
	largest := v.LargestSize()
	if largest < 1 || largest > MaxValueBytes {
		c.add(p.Pos, "value", fmt.Sprintf("a value of %s: must be between 1B and %s", FormatSize(float64(largest)), FormatSize(MaxValueBytes)), `value = gen.bytes("1KiB")`)
	}
	if len(c.problems) > before {
		return
	}
	for _, h := range p.Headers {
		c.valueTree(h.Value, p.Pos, "headers", 0)
		largest += len(h.Key) + h.Value.LargestSize()
	}
	if len(c.problems) == before && largest+BatchOverhead > p.BatchBytes {
		c.add(p.Pos, "value", fmt.Sprintf("a value of %s does not fit into a batch of %s", FormatSize(float64(largest)), FormatSize(float64(p.BatchBytes))),
			fmt.Sprintf("batch = %q (the topic's max.message.bytes must allow it too)", FormatSize(float64(nextPowerOfTwo(largest+BatchOverhead)))))
	}
}

func (c *checker) valueTree(v Value, pos Pos, arg string, depth int) {
	switch {
	case depth > maxDepth:
		c.add(pos, arg, "is nested too deeply", "")
		return
	case !slices.Contains(ValueKinds, v.Kind):
		c.add(pos, arg, fmt.Sprintf("%q is no way to make values", v.Kind), `gen.bytes("1KiB")`)
	case v.Compressible < 0 || v.Compressible > 1 || math.IsNaN(v.Compressible):
		c.add(pos, arg, fmt.Sprintf("compressible = %v: must be between 0 and 1", v.Compressible), `value = gen.bytes("1KiB", compressible = 0.5)`)
	case v.Kind == "pool" && len(v.Pool) == 0:
		c.add(pos, arg, fmt.Sprintf("there are no values in %s", v.Path), "")
	case v.Kind == "pick" && len(v.List) == 0:
		c.add(pos, arg, "there is nothing to pick", `gen.pick(["de", "fr"])`)
	case v.Kind == "int" && v.Lo > v.Hi:
		c.add(pos, arg, fmt.Sprintf("a number from %d to %d: there is none", v.Lo, v.Hi), "gen.int(1, 100)")
	case v.Kind == "text" && v.Size < 1 && depth > 0:
		c.add(pos, arg, "a text of 0B: at least 1B", `gen.text("300B")`)
	}
	if v.Sizes != nil {
		c.sizes(*v.Sizes, pos, arg)
	}
	for _, f := range v.Fields {
		c.valueTree(f.Value, pos, arg, depth+1)
	}
	for _, e := range v.List {
		c.valueTree(e, pos, arg, depth+1)
	}
}

func (c *checker) sizes(s Sizes, pos Pos, arg string) {
	ok := false
	switch s.Kind {
	case "fixed":
		ok = s.A >= 1
	case "uniform":
		ok = s.A >= 1 && s.B >= s.A
	case "normal":
		ok = s.A >= 1 && s.B >= 0 && s.Max >= 1
	case "lognormal":
		ok = s.A >= 1 && s.B > s.A && s.Max >= 1
	case "mix":
		ok = len(s.Values) > 0 && len(s.Values) == len(s.Weights) && slices.Min(s.Values) >= 1 && slices.Min(s.Weights) > 0
	}
	if !ok {
		c.add(pos, arg, fmt.Sprintf("sizes.%s with %v and %v make no sizes", s.Kind, s.A, s.B), `sizes.lognormal(p50 = "600B", p99 = "8KiB")`)
	}
}
