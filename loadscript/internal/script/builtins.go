package script

import (
	"fmt"
	"math"

	"go.starlark.net/lib/json"
	starlarkmath "go.starlark.net/lib/math"
	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// since is the first version of the language.
const since = "0.1"

// smokeExample is the shortest script there is.
const smokeExample = `scenario("smoke", produce("orders"), rate = "1k/s", duration = "30s")`

// builtins is the language: every function that a script can call, in the order in which it is documented.
var builtins = []*Builtin{
	{
		Name: "scenario", Since: since, Max: 1, Effect: true, Example: smokeExample, build: buildScenario,
		Doc: "Declares a load: flows of records, and how much of them over time. Scenarios run one after another, in the order in which " +
			"they are declared. Say the load either with stages, or with rate and duration.",
		Rest:  &Param{Name: "flows", Type: typeFlow, Doc: "produce(…) and consume(…); the produce flows share the rate evenly"},
		Later: []string{"faults", "cluster", "executor", "start"},
		Params: []Param{
			{Name: "name", Type: typeName, Doc: "name of the scenario in the report; each its own", Example: `"spike"`},
			{Name: "stages", Type: optional(typeStages), Default: starlark.None, Doc: "the load over time: hold(…) and ramp(…)"},
			{Name: "rate", Type: optional(typeRate), Default: starlark.None, Unit: "records per second, all producers together", Doc: "with duration: one steady stage"},
			{Name: "duration", Type: optional(typeDuration), Default: starlark.None, Doc: "with rate: how long"},
			{Name: "arrivals", Type: typeArrivals, Default: starlark.String("uniform"), Doc: `spacing of the send times: "uniform" like a clock, "poisson" like many independent users`},
			{Name: "warmup", Type: optional(typeDuration), Default: starlark.None, Doc: "this much at the start is verified but not measured", Example: `"10s"`},
			{Name: "verify", Type: typeVerify, Default: starlark.String("auto"), Doc: `what must hold of the records; "auto": no_loss() when acks = "all", no_duplicates() and in_order() when idempotent, no_corruption() always; [] for nothing`},
			{Name: "thresholds", Type: typeLimits, Default: starlark.NewList(nil), Doc: "what the measurements must satisfy; see `loadscript doc thresholds`"},
			{Name: "seed", Type: typeCount, Default: starlark.MakeInt(1), Doc: "of keys, values and poisson arrivals: the same seed gives the same records; --seed overrides it"},
			{Name: "max_in_flight", Type: typeFlight, Default: starlark.String("auto"), Unit: "records", Doc: "unacknowledged records of the whole scenario; what cannot be sent because of it is late, then dropped"},
			{Name: "drain", Type: typeDuration, Default: starlark.String("60s"), Doc: "after the last stage, how long the consumers may take to catch up"},
		},
	},
	{
		Name: "topic", Since: since, Max: 1, Returns: "a topic, for produce() and consume()", build: buildTopic,
		Doc:     "Describes a topic. It is created if it is missing; without topic(…), a name alone takes the broker's defaults.",
		Example: `topic("orders", partitions = 12, replication = 3)`,
		Params: []Param{
			{Name: "name", Type: &argType{name: "string", want: "a topic name", example: `"orders"`, unpack: unpackTopicName}, Doc: "name of the topic"},
			{Name: "partitions", Type: optional(whole(1, plan.MaxPartitions)), Default: starlark.None, Doc: "number of partitions; None: the broker's default", Example: "12"},
			{Name: "replication", Type: optional(whole(1, 100)), Default: starlark.None, Doc: "copies of each partition; None: 3, or as many as there are brokers", Example: "3"},
			{Name: "min_insync", Type: optional(whole(1, 100)), Default: starlark.None, Doc: "copies that must have a record before acks = \"all\" is answered; None: the broker's default", Example: "2"},
			{Name: "config", Type: typeConfig, Default: starlark.NewDict(0), Doc: "further topic settings, by their Kafka names"},
			{Name: "keep", Type: typeBool, Default: starlark.False, Doc: "leave the topic after the run; only topics that the run created are ever deleted"},
		},
	},
	{
		Name: "produce", Since: since, Max: 1, Returns: "a flow, for scenario()", build: buildProduce,
		Doc:     "A flow of records into a topic, by one or more producers.",
		Example: `produce("orders", producers = 4, value = gen.bytes("1KiB"), key = keys.zipf(100000))`,
		Later:   []string{"headers", "transaction"},
		Params: []Param{
			{Name: "topic", Type: typeTopic, Doc: "where to: a name or a topic(…)"},
			{Name: "producers", Type: whole(1, plan.MaxClients), Default: starlark.MakeInt(1), Doc: "clients that share the flow's rate"},
			{Name: "value", Type: optional(typeValue), Default: starlark.None, Doc: `how values are made; None: gen.bytes("1KiB")`},
			{Name: "key", Type: typeKey, Default: starlark.None, Doc: "how keys are chosen; None: keys.none()"},
			{Name: "acks", Type: typeAcks, Default: starlark.String("all"), Doc: "who must have a record before it counts as sent: all in-sync replicas, the leader, nobody"},
			{Name: "idempotent", Type: optional(typeBool), Default: starlark.None, Doc: `no duplicates from retries, order kept; needs acks = "all"; None: True with acks = "all"`},
			{Name: "compression", Type: typeCompression, Default: starlark.String("none"), Doc: "of batches, done by the producer", Example: `"zstd"`},
			{Name: "linger", Type: typeDuration, Default: starlark.String("0s"), Doc: "how long a producer waits for more records to fill a batch", Example: `"5ms"`},
			{Name: "batch", Type: typeSize, Default: starlark.String("1MiB"), Doc: "largest batch", Example: `"4MiB"`},
		},
	},
	{
		Name: "consume", Since: since, Max: 1, Returns: "a flow, for scenario()", build: buildConsume,
		Doc:     "A flow of records out of a topic. The members of a group share it; without a group, a single reader takes all partitions.",
		Example: `consume("orders", group = "billing", members = 4)`,
		Later:   []string{"rate", "commit", "protocol"},
		Params: []Param{
			{Name: "topic", Type: typeTopic, Doc: "where from: a name or a topic(…)"},
			{Name: "group", Type: optional(typeName), Default: starlark.None, Doc: "consumer group; None: one direct reader", Example: `"billing"`},
			{Name: "members", Type: whole(1, plan.MaxClients), Default: starlark.MakeInt(1), Doc: "consumers in the group"},
			{Name: "think_time", Type: typeDuration, Default: starlark.String("0s"), Doc: "pause after each record, to play a slow application", Example: `"200us"`},
			{Name: "isolation", Type: typeIsolation, Default: starlark.String("read_uncommitted"), Doc: "whether records of open and aborted transactions are seen"},
			{Name: "start", Type: typeStart, Default: starlark.String("earliest"), Doc: "where a group without committed offsets begins"},
		},
	},
	{
		Name: "hold", Since: since, Max: 2, Returns: "a stage, for scenario(stages = …)", build: buildHold,
		Doc: "A stage of steady load.", Example: `hold("30s", "2k/s")`,
		Params: []Param{
			{Name: "duration", Type: typeDuration, Doc: "how long"},
			{Name: "rate", Type: typeRate, Unit: "records per second, all producers together", Doc: "how much", Example: `"2k/s"`},
			{Name: "name", Type: optional(typeName), Default: starlark.None, Doc: `for threshold(during = …) and the report; None: "hold-1", by its place`},
		},
	},
	{
		Name: "ramp", Since: since, Max: 2, Returns: "a stage, for scenario(stages = …)", build: buildRamp,
		Doc:     "A stage of rising or falling load. The rate goes in a straight line from that of the stage before (0 at the start) to another.",
		Example: `ramp("2s", "20k/s")`,
		Params: []Param{
			{Name: "duration", Type: typeDuration, Doc: "how long", Example: `"2s"`},
			{Name: "to", Type: typeRate, Unit: "records per second, all producers together", Doc: "the rate at the end"},
			{Name: "name", Type: optional(typeName), Default: starlark.None, Doc: `for threshold(during = …) and the report; None: "ramp-2", by its place`},
		},
	},
	{
		Name: "gen.bytes", Since: since, Max: 1, Returns: "a generator, for produce(value = …)", build: buildBytes,
		Doc: "Values of one size.", Example: `gen.bytes("1KiB", compressible = 0.5)`,
		Params: []Param{
			{Name: "size", Type: typeSize, Doc: "size of each value"},
			{Name: "compressible", Type: typePercent, Default: starlark.Float(0), Doc: "part of the value that compresses away: 0.0 random, 1.0 all the same", Example: "0.5"},
		},
	},
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
	invariantTable(plan.NoLoss, "Every acknowledged record is delivered."),
	invariantTable(plan.NoDuplicates, "No record is in the log twice."),
	invariantTable(plan.InOrder, "Records of one producer and partition are delivered in the order in which they were sent."),
	invariantTable(plan.NoCorruption, "Every record is delivered as it was sent, by its checksum."),
	{
		Name: "threshold", Since: since, Max: 1, Returns: "a threshold, for scenario(thresholds = …)", build: buildThreshold,
		Doc:     "A threshold with settings. Without any, the string alone does.",
		Example: `threshold("produce.latency.p99 < 50ms", during = "peak")`,
		Later:   []string{"window", "of_windows", "outside_faults", "abort"},
		Params: []Param{
			{Name: "expr", Type: typeExpr, Doc: "metric.stat op value; see `loadscript doc thresholds`"},
			{Name: "during", Type: optional(typeName), Default: starlark.None, Doc: "judge one stage only; None: the whole run after the warm-up", Example: `"peak"`},
		},
	},
	{
		Name: "param", Since: since, Max: 2, Returns: "the value, of the default's type", build: buildParam,
		Doc: "Declares a setting that the command line can change: --name value, or -p name=value. The value has the type of the default " +
			"(string, int, float, bool or dur); spike_rate and --spike-rate are the same. A param named brokers is the run's --brokers.",
		Example: `rate = param("rate", "2k/s", help = "records per second")`,
		Params: []Param{
			{Name: "name", Type: typeString, Doc: "name: letters, digits and _", Example: `"rate"`},
			{Name: "default", Type: typeAny, Doc: "value when the command line gives none", Example: `"2k/s"`},
			{Name: "help", Type: typeString, Default: starlark.String(""), Doc: "what `loadscript run script.star --help` says", Example: `"records per second"`},
		},
	},
	{
		Name: "dur", Since: since, Max: 1, Returns: "a length of time that + - * / // % and < compare and compute with", build: buildDur,
		Doc: "Reads a duration, so that a script can compute with it. Where a duration is wanted, the string alone does. It prints as " +
			`it is written ("4m56s") and has the attribute seconds.`,
		Example: `rest = dur("5m") - 2 * dur("2s")`,
		Params:  []Param{{Name: "text", Type: typeDuration, Doc: "the duration"}},
	},
	{
		Name: "fail", Since: since, Max: 1, Effect: true, build: buildFail,
		Doc:     "Stops the script: these settings make no sense together.",
		Example: `fail("the spike of %s does not fit into %s" % (spike, total))`,
		Params:  []Param{{Name: "msg", Type: typeString, Doc: "what is wrong, and what to do about it"}},
	},
}

var (
	typeKeyCount = whole(1, math.MaxInt32)
	keyCount     = Param{Name: "n", Type: typeKeyCount, Doc: "number of keys", Example: "100000"}
)

func keysTable(name, doc, example string, positional int, params ...Param) *Builtin {
	return &Builtin{Name: name, Doc: doc, Example: example, Max: positional, Params: params, Since: since,
		Returns: "a way to choose keys, for produce(key = …)", build: buildKeys}
}

func invariantTable(inv plan.Invariant, doc string) *Builtin {
	return &Builtin{Name: string(inv), Doc: doc, Since: since, Returns: "an invariant, for scenario(verify = …)",
		Example: fmt.Sprintf("verify = [%s()]", inv),
		build:   func(*call) (any, error) { return inv, nil }}
}

// laterNames are the names of the language that later versions bring, so that a script that uses one is told so, and not that
// it has a typing error.
var laterNames = []string{
	"fault", "target", "sizes", "shape", "steps", "wave", "clients", "full_speed", "records", "find_max_rate", "steady", "trend", "txn",
	"local", "env", "read_committed", "committed_offsets",
}

// laterMembers are the same for members of the modules.
var laterMembers = map[string][]string{
	"gen":  {"json", "text", "template", "file", "seq", "uuid", "now", "pick", "int", "filler"},
	"keys": {"file"},
}

// moduleDocs describes the modules.
var moduleDocs = []struct{ name, doc string }{
	{"gen", "How record values are made."},
	{"keys", "How record keys are chosen."},
}

// predeclared makes the names that every file sees.
func (s *session) predeclared() starlark.StringDict {
	env := starlark.StringDict{"math": starlarkmath.Module, "json": json.Module}
	for _, m := range moduleDocs {
		env[m.name] = &namespace{name: m.name}
	}
	for _, t := range builtins {
		f := s.builtin(t)
		if module, member, ok := cutMember(t.Name); ok {
			ns := env[module].(*namespace)
			ns.names, ns.members = append(ns.names, member), append(ns.members, f)
		} else {
			env[t.Name] = f
		}
	}
	env.Freeze()
	return env
}
