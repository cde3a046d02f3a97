package script

import (
	"fmt"
	"slices"

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
var builtins = slices.Concat(scenarioTables, stageTables, executorTables, valueTables, faultTables, judgeTables, settingTables)

// scenarioTables are scenarios and their flows.
var scenarioTables = []*Builtin{
	{
		Name: "scenario", Since: since, Max: 1, Effect: true, Example: smokeExample, build: buildScenario,
		Doc: "Declares a load: flows of records, and how much of them over time. Scenarios run one after another, in the order in which " +
			"they are declared. Say the load with stages, or with rate and duration, or with an executor.",
		Rest: &Param{Name: "flows", Type: typeFlow, Doc: "produce(…) and consume(…); the produce flows share the rate evenly"},
		Params: []Param{
			{Name: "name", Type: typeName, Doc: "name of the scenario in the report; each its own", Example: `"spike"`},
			{Name: "stages", Type: optional(typeStages), Default: starlark.None, Doc: "the load over time: hold(…), ramp(…), wave(…), steps(…), shape.…"},
			{Name: "rate", Type: optional(typeRate), Default: starlark.None, Unit: "records per second, all producers together", Doc: "with duration: one steady stage"},
			{Name: "duration", Type: optional(typeDuration), Default: starlark.None, Doc: "with rate: how long"},
			{Name: "executor", Type: optional(typeExecutor), Default: starlark.None, Doc: "load without a schedule: clients(…), full_speed(…), records(…), find_max_rate(…)"},
			{Name: "arrivals", Type: typeArrivals, Default: starlark.String("uniform"), Doc: `spacing of the send times: "uniform" like a clock, "poisson" like many independent users`},
			{Name: "start", Type: typeDuration, Default: starlark.String("0s"), Doc: "pause between the preparation and the first record", Example: `"5s"`},
			{Name: "warmup", Type: optional(typeWarmup), Default: starlark.None, Doc: "this much at the start is verified but not measured; or steady(…), before the stages", Example: `"10s"`},
			{Name: "faults", Type: typeFaults, Apart: true, Default: starlark.NewList(nil), Doc: "what goes wrong, and when: fault.…"},
			{Name: "cluster", Type: optional(typeCluster), Default: starlark.None, Doc: "a cluster that the run starts: local(…); None: --brokers, or one broker of its own"},
			{Name: "verify", Type: typeVerify, Default: starlark.String("auto"), Doc: `what must hold of the records; "auto": no_loss() when acks = "all", no_duplicates() and in_order() when idempotent, read_committed() when transactions are read so, no_corruption() always; [] for nothing`},
			{Name: "thresholds", Type: typeLimits, Apart: true, Default: starlark.NewList(nil), Doc: "what the measurements must satisfy: strings, threshold(…), trend(…); see `loadscript doc thresholds`"},
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
		Params: []Param{
			{Name: "topic", Type: typeTopic, Doc: "where to: a name or a topic(…)"},
			{Name: "producers", Type: whole(1, plan.MaxClients), Default: starlark.MakeInt(1), Doc: "clients that share the flow's rate"},
			{Name: "value", Type: optional(typeValue), Default: starlark.None, Doc: `how values are made; None: gen.bytes("1KiB")`},
			{Name: "key", Type: typeKey, Default: starlark.None, Doc: "how keys are chosen; None: keys.none()"},
			{Name: "headers", Type: typeHeaders, Default: starlark.NewDict(0), Doc: "record headers: strings or gen.…, by name; loadscript's own stamp comes on top", Example: `{"source": "load", "trace": gen.uuid()}`},
			{Name: "acks", Type: typeAcks, Default: starlark.String("all"), Doc: "who must have a record before it counts as sent: all in-sync replicas, the leader, nobody"},
			{Name: "idempotent", Type: optional(typeBool), Default: starlark.None, Doc: `no duplicates from retries, order kept; needs acks = "all"; None: True with acks = "all"`},
			{Name: "compression", Type: typeCompression, Default: starlark.String("none"), Doc: "of batches, done by the producer", Example: `"zstd"`},
			{Name: "linger", Type: typeDuration, Default: starlark.String("0s"), Doc: "how long a producer waits for more records to fill a batch", Example: `"5ms"`},
			{Name: "batch", Type: typeSize, Default: starlark.String("1MiB"), Doc: "largest batch", Example: `"4MiB"`},
			{Name: "transaction", Type: optional(typeTxn), Default: starlark.None, Doc: "send in transactions: txn(…)"},
		},
	},
	{
		Name: "consume", Since: since, Max: 1, Returns: "a flow, for scenario()", build: buildConsume,
		Doc:     "A flow of records out of a topic. The members of a group share it; without a group, a single reader takes all partitions.",
		Example: `consume("orders", group = "billing", members = 4)`,
		Params: []Param{
			{Name: "topic", Type: typeTopic, Doc: "where from: a name or a topic(…)"},
			{Name: "group", Type: optional(typeName), Default: starlark.None, Doc: "consumer group; None: one direct reader", Example: `"billing"`},
			{Name: "members", Type: whole(1, plan.MaxClients), Default: starlark.MakeInt(1), Doc: "consumers in the group"},
			{Name: "think_time", Type: typeDuration, Default: starlark.String("0s"), Doc: "pause after each record, to play a slow application", Example: `"200us"`},
			{Name: "rate", Type: optional(typeRecordRate), Default: starlark.None, Unit: "records per second, all members together", Doc: "at most so many; None: as fast as they come", Example: `"1k/s"`},
			{Name: "commit", Type: typeCommit, Default: starlark.String("auto"), Doc: `when a group commits what it has read: "auto" by the client, every 5s; "none"; or a time such as "1s"`, Example: `"1s"`},
			{Name: "isolation", Type: typeIsolation, Default: starlark.String("read_uncommitted"), Doc: "whether records of open and aborted transactions are seen"},
			{Name: "start", Type: typeStart, Default: starlark.String("earliest"), Doc: "where a group without committed offsets begins"},
			{Name: "protocol", Type: typeProtocol, Default: starlark.String("classic"), Doc: `how the group deals out partitions: "classic", or "consumer" as Kafka 4 does (KIP-848)`, Example: `"consumer"`},
		},
	},
	{
		Name: "txn", Since: since, Max: 1, Returns: "transactions, for produce(transaction = …)", build: buildTxn,
		Doc:     "Groups the records of each producer into transactions.",
		Example: `produce("payments", transaction = txn(records = 50, abort = 0.05))`,
		Params: []Param{
			{Name: "records", Type: whole(1, 1_000_000), Doc: "records of one transaction", Example: "50"},
			{Name: "abort", Type: typePercent, Default: starlark.Float(0), Doc: "part of the transactions that is aborted on purpose", Example: "0.05"},
		},
	},
}

// judgeTables are what must hold.
var judgeTables = []*Builtin{
	invariantTable(plan.NoLoss, "Every acknowledged record is delivered."),
	invariantTable(plan.NoDuplicates, "No record is in the log twice."),
	invariantTable(plan.InOrder, "Records of one producer and partition are delivered in the order in which they were sent."),
	invariantTable(plan.NoCorruption, "Every record is delivered as it was sent, by its checksum."),
	invariantTable(plan.ReadCommitted, "A read_committed reader gets every record of a committed transaction and none of an aborted one."),
	invariantTable(plan.CommittedOffsets, "A group never commits beyond what was delivered to it, and never goes back behind a commit."),
	{
		Name: "threshold", Since: since, Max: 1, Returns: "a threshold, for scenario(thresholds = …)", build: buildThreshold,
		Doc:     "A threshold with settings. Without any, the string alone does.",
		Example: `threshold("produce.latency.p99 < 50ms", window = "1m", of_windows = 0.999)`,
		Params: []Param{
			{Name: "expr", Type: typeExpr, Doc: "metric.stat op value; see `loadscript doc thresholds`"},
			{Name: "during", Type: optional(typeName), Default: starlark.None, Doc: "judge one stage only; None: the whole run after the warm-up", Example: `"peak"`},
			{Name: "window", Type: optional(typeDuration), Default: starlark.None, Doc: "judge windows of this length, each on its own; None: all of it as one", Example: `"1m"`},
			{Name: "of_windows", Type: optional(typePercent), Default: starlark.None, Doc: "part of the windows that must hold; None: all", Example: "0.999"},
			{Name: "outside_faults", Type: typeBool, Default: starlark.False, Doc: "leave out the time from a fault's beginning to its recovery"},
			{Name: "abort", Type: typeBool, Default: starlark.False, Doc: "end the run as soon as it cannot hold any more"},
		},
	},
	{
		Name: "trend", Since: since, Max: 1, Returns: "a threshold on a slope, for scenario(thresholds = …)", build: buildTrend,
		Doc:     "A limit on how fast a metric grows or falls over the run after the warm-up, by least squares: for leaks and slow decay.",
		Example: `trend("broker.memory.rss", slope = "< 1MiB/h")`,
		Params: []Param{
			{Name: "metric", Type: typeFollowed, Doc: "what to follow; see `loadscript doc thresholds`", Example: `"broker.memory.rss"`},
			{Name: "slope", Type: typeString, Doc: "a comparison, a value in the metric's unit or in percent of its mean, and per what time", Example: `"< 2%/h"`},
		},
	},
}

// settingTables are parameters and plain values.
var settingTables = []*Builtin{
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

func invariantTable(inv plan.Invariant, doc string) *Builtin {
	return &Builtin{Name: string(inv), Doc: doc, Since: since, Returns: "an invariant, for scenario(verify = …)",
		Example: fmt.Sprintf("verify = [%s()]", inv),
		build:   func(*call) (any, error) { return inv, nil }}
}

// moduleDocs describes the modules.
var moduleDocs = []struct{ name, doc string }{
	{"shape", "Usual load shapes: lists of stages."},
	{"gen", "How record values are made."},
	{"sizes", "How sizes of values vary."},
	{"keys", "How record keys are chosen."},
	{"target", "Who is struck by a fault. It is found when the fault begins, so a leader may be another broker than now."},
	{"fault", "What goes wrong, and when."},
}

// predeclared makes the names that every file sees.
func (s *session) predeclared() starlark.StringDict {
	env := starlark.StringDict{"math": starlarkmath.Module, "json": json.Module}
	for _, m := range moduleDocs {
		env[m.name] = &namespace{name: m.name}
	}
	if s.testing {
		env["assert"], env["plan"] = &namespace{name: "assert"}, s.planFunction()
	}
	for _, t := range s.tables {
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
