package script

import (
	"math"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

const forValue = "a generator, for produce(value = …)"

// valueTables are how record values, their sizes and their keys are made.
var valueTables = []*Builtin{
	{
		Name: "gen.bytes", Since: since, Max: 1, Returns: forValue, build: buildBytes,
		Doc: "Values of one size, or of sizes that vary.", Example: `gen.bytes("1KiB", compressible = 0.5)`,
		Params: []Param{
			{Name: "size", Type: typeSizes, Doc: "size of each value, or sizes.…"},
			{Name: "compressible", Type: typePercent, Default: starlark.Float(0), Doc: "part of the value that compresses away: 0.0 random, 1.0 all the same", Example: "0.5"},
		},
	},
	{
		Name: "gen.text", Since: since, Max: 1, Returns: forValue, build: buildText,
		Doc: "English-looking words, which compress as text does.", Example: `gen.text("300B")`,
		Params: []Param{{Name: "size", Type: typeSizes, Doc: "size of each text, or sizes.…", Example: `"300B"`}},
	},
	{
		Name: "gen.json", Since: since, Max: 1, Returns: forValue, build: buildJSON,
		Doc: "JSON objects and arrays, with the members in order. Wherever a value may stand, a generator may stand too. With size, a gen.filler() inside " +
			"grows until the size is reached; without one, a member named filler is added.",
		Example: `gen.json({"id": gen.seq(), "at": gen.now(), "country": gen.pick(["de", "fr", "jp"]), "items": [gen.int(1, 9)]}, size = "1KiB")`,
		Params: []Param{
			{Name: "members", Type: typeJSONTree, Doc: "an object as a dict, or an array as a list", Example: `{"id": gen.seq()}`},
			{Name: "size", Type: optional(typeSizes), Default: starlark.None, Doc: "size of the whole; None: as long as it comes"},
		},
	},
	{
		Name: "gen.template", Since: since, Max: 2, Returns: forValue, build: buildTemplate,
		Doc:     "Text with values in it: {{name}} stands for the value of that name, {{seq}}, {{uuid}} and {{now}} need none.",
		Example: `gen.template("{{seq}},{{now}},{{country}}", {"country": gen.pick(["de", "fr", "jp"])})`,
		Params: []Param{
			{Name: "text", Type: typeString, Doc: "the text", Example: `"{{seq}},{{now}}"`},
			{Name: "values", Type: typeNamedValues, Default: starlark.NewDict(0), Doc: "generators or constants by name", Example: `{"country": gen.pick(["de", "fr"])}`},
			{Name: "size", Type: optional(typeSizes), Default: starlark.None, Doc: "size of the whole, which a gen.filler() among the values reaches; None: as long as it comes"},
		},
	},
	{
		Name: "gen.file", Since: since, Max: 1, Returns: forValue, build: buildFile,
		Doc:     "The lines of a file, in turn and then again. The file lies in the script's folder or below it and has at most 64MiB; empty lines are left out.",
		Example: `gen.file("lib/orders.ndjson")`,
		Params:  []Param{{Name: "path", Type: typeString, Doc: "from the script's folder", Example: `"lib/orders.ndjson"`}},
	},
	{
		Name: "gen.custom", Since: since, Max: 1, Returns: forValue, build: buildCustom,
		Doc: "Values that a function makes. It is called before the run, once for each value of a pool, with the value's number if it takes " +
			"an argument; the run sends the pool in turn. A string is sent as it is, anything else as JSON.",
		Example: `gen.custom(lambda i: {"id": i, "name": "user-%d" % i}, pool = 1000)`,
		Params: []Param{
			{Name: "fn", Type: typeFunction, Doc: "what makes one value", Example: `lambda i: "value %d" % i`},
			{Name: "pool", Type: whole(1, maxPool), Default: starlark.MakeInt(1000), Doc: "how many values are made", Example: "1000"},
		},
	},
	leafTable("gen.seq", "0, 1, 2, … over all producers of the flow.", "gen.seq()"),
	leafTable("gen.uuid", "A random UUID, version 4; the same ones with the same seed.", "gen.uuid()"),
	leafTable("gen.now", "The time at which the record is sent.", "gen.now()"),
	leafTable("gen.filler", "Whatever is missing to the size of the gen.json or gen.template around it.", `gen.json({"id": gen.seq(), "rest": gen.filler()}, size = "1KiB")`),
	{
		Name: "gen.pick", Since: since, Max: 1, Returns: forValue + ", or inside gen.json and gen.template", build: buildPick,
		Doc: "One of a list, each as likely as any other.", Example: `gen.pick(["de", "fr", "jp"])`,
		Params: []Param{{Name: "items", Type: typePickList, Doc: "constants or generators", Example: `["de", "fr", "jp"]`}},
	},
	{
		Name: "gen.int", Since: since, Max: 2, Returns: forValue + ", or inside gen.json and gen.template", build: buildInt,
		Doc: "A whole number, each as likely as any other.", Example: `gen.int(1, 100)`,
		Params: []Param{
			{Name: "lo", Type: typeInt64, Doc: "the smallest", Example: "1"},
			{Name: "hi", Type: typeInt64, Doc: "the largest", Example: "100"},
		},
	},

	sizesTable("sizes.fixed", "All of one size.", `sizes.fixed("1KiB")`, 1, Param{Name: "size", Type: typeSize, Doc: "the size"}),
	sizesTable("sizes.uniform", "Each size between two is as likely as any other.", `sizes.uniform("100B", "2KiB")`, 2,
		Param{Name: "smallest", Type: typeSize, Doc: "the smallest", Example: `"100B"`}, Param{Name: "largest", Type: typeSize, Doc: "the largest", Example: `"2KiB"`}),
	sizesTable("sizes.normal", "Sizes around a mean, as a bell curve; never below 1B.", `sizes.normal("1KiB", "200B")`, 2,
		Param{Name: "mean", Type: typeSize, Doc: "the mean"}, Param{Name: "sd", Type: typeSize, Doc: "the standard deviation", Example: `"200B"`}, sizesMax),
	sizesTable("sizes.lognormal", "Mostly small sizes and a long tail of large ones, as in life.", `sizes.lognormal(p50 = "600B", p99 = "8KiB")`, 0,
		Param{Name: "p50", Type: typeSize, Doc: "half of the values are smaller", Example: `"600B"`},
		Param{Name: "p99", Type: typeSize, Doc: "99% of the values are smaller", Example: `"8KiB"`}, sizesMax),
	sizesTable("sizes.mix", "A few sizes with their weights.", `sizes.mix({"1KiB": 0.9, "64KiB": 0.1})`, 1,
		Param{Name: "weights", Type: typeMix, Doc: "sizes and how often each comes, in any measure", Example: `{"1KiB": 0.9, "64KiB": 0.1}`}),

	keysTable("keys.none", "No keys: records spread evenly over the partitions.", `produce("orders", key = keys.none())`, 0),
	keysTable("keys.sequential", "The keys 0, 1, 2, … in turn, counted over all producers of the flow: every record has a key of its own until n is reached.", "keys.sequential()", 1,
		Param{Name: "n", Type: optional(typeKeyCount), Default: starlark.None, Doc: "start again after so many; None: never", Example: "1000000"}),
	keysTable("keys.round_robin", "The keys 0, 1, … n-1 in turn and then again, counted over all producers of the flow.", "keys.round_robin(100000)", 1, keyCount),
	keysTable("keys.uniform", "Each of n keys is as likely as any other.", "keys.uniform(100000)", 1, keyCount),
	keysTable("keys.zipf", "Few keys are popular and most are rare, as in life: the k-th most popular of n keys has weight 1/k^s.", "keys.zipf(100000, s = 0.99)", 1, keyCount,
		Param{Name: "s", Type: real(0, 10), Default: starlark.Float(0.99), Doc: "how uneven: 0.5 mild, 0.99 as YCSB, 2 extreme"}),
	keysTable("keys.hot", "A small part of the keys takes a large part of the records.", "keys.hot(keys = 1000000, hot = 0.01, share = 0.8)", 1,
		Param{Name: "keys", Type: typeKeyCount, Doc: "number of keys", Example: "1000000"},
		Param{Name: "hot", Type: typePercent, Default: starlark.Float(0.01), Doc: "part of the keys that is hot", Example: "0.01"},
		Param{Name: "share", Type: typePercent, Default: starlark.Float(0.8), Doc: "part of the records that goes to them", Example: "0.8"}),
	keysTable("keys.file", "The lines of a file as keys, in turn and then again. The file lies in the script's folder or below it and has at most 64MiB.", `keys.file("lib/customers.txt")`, 1,
		Param{Name: "path", Type: typeString, Doc: "from the script's folder", Example: `"lib/customers.txt"`}),
}

var (
	typeKeyCount = whole(1, math.MaxInt32)
	keyCount     = Param{Name: "n", Type: typeKeyCount, Doc: "number of keys", Example: "100000"}
	sizesMax     = Param{Name: "max", Type: optional(typeSize), Default: starlark.None, Doc: "larger draws are cut to it; None: as much as fits into a batch", Example: `"64KiB"`}
)

func leafTable(name, doc, example string) *Builtin {
	_, kind, _ := cutMember(name)
	return &Builtin{Name: name, Doc: doc, Example: example, Since: since, Returns: "a generator, for gen.json and gen.template",
		build: func(*call) (any, error) { return plan.Value{Kind: kind}, nil }}
}

func sizesTable(name, doc, example string, positional int, params ...Param) *Builtin {
	return &Builtin{Name: name, Doc: doc, Example: example, Max: positional, Params: params, Since: since,
		Returns: "sizes, wherever a size of values is wanted", build: buildSizes}
}

func keysTable(name, doc, example string, positional int, params ...Param) *Builtin {
	return &Builtin{Name: name, Doc: doc, Example: example, Max: positional, Params: params, Since: since,
		Returns: "a way to choose keys, for produce(key = …)", build: buildKeys}
}
