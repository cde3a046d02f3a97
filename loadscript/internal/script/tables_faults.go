package script

import (
	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// faultTables are who can be struck, and by what.
var faultTables = []*Builtin{
	targetTable("target.leader", "The broker that leads a partition when the fault begins.", "target.leader(\"orders\", partition = 0)", 2, targetTopic, targetPartition),
	targetTable("target.follower", "A broker that follows a partition when the fault begins.", "target.follower(\"orders\", partition = 0)", 2, targetTopic, targetPartition),
	targetTable("target.controller", "The broker that leads the cluster's metadata when the fault begins.", "target.controller()", 0),
	targetTable("target.coordinator", "The broker that coordinates a consumer group when the fault begins.", `target.coordinator("billing")`, 1,
		Param{Name: "group", Type: typeName, Doc: "a consumer group of the scenario", Example: `"billing"`}),
	targetTable("target.broker", "The broker with this id.", "target.broker(1)", 1, Param{Name: "id", Type: whole(0, 1<<30), Doc: "node.id of the broker", Example: "1"}),
	targetTable("target.brokers", "All brokers.", "target.brokers()", 0),
	targetTable("target.random", "Any broker, another one each time; drawn by the scenario's seed.", "target.random()", 0),
	targetTable("target.rolling", "One broker after the other, the next one each time.", "target.rolling()", 0),
	targetTable("target.client", "The clients of a flow: their links to all brokers.", `target.client("consume:orders:billing")`, 1,
		Param{Name: "flow", Type: typeFlowName, Doc: `a produce(…) or consume(…) of the scenario, or its name: "produce:orders", "consume:orders", "consume:orders:billing"`, Example: `"produce:orders"`}),

	faultTable("fault.kill", "Kills a broker's process, as a crash does: nothing is flushed, nobody is told.", `fault.kill(target.leader("orders", partition = 0), at = "30s", restart_after = "20s")`,
		Param{Name: "restart_after", Type: optional(typeDuration), Default: starlark.None, Doc: "when it is started again; None: when the stages have ended", Example: `"20s"`}),
	faultTable("fault.pause", "Freezes a broker's process, as a long pause of its machine does.", `fault.pause(target.controller(), at = "90s", duration = "15s")`, lasting),
	faultTable("fault.restart", "Stops a broker in order and starts it again, as an upgrade does.", `fault.restart(target.rolling(), every = "6h")`),
	faultTable("fault.partition", "Cuts brokers off from everything else: other brokers and clients. Nothing comes back, as when packets are lost.",
		`fault.partition([target.controller()], at = "140s", duration = "20s")`, lasting,
		Param{Name: "symmetric", Type: typeBool, Default: starlark.True, Doc: "both directions; False: only what the target sends is lost", Example: "False"}),
	faultTable("fault.latency", "Delays what goes over a link, in each direction.", `fault.latency(target.brokers(), delay = "80ms", jitter = "20ms", at = "190s", duration = "30s")`,
		Param{Name: "delay", Type: typeDuration, Doc: "added in each direction", Example: `"80ms"`},
		Param{Name: "jitter", Type: typeDuration, Default: starlark.String("0s"), Doc: "the delay varies by so much, up and down, evenly", Example: `"20ms"`}, lasting),
	faultTable("fault.packet_loss", "Loses packets on a link. TCP sends them again, so what is seen are stalls.", `fault.packet_loss(target.brokers(), loss = "1%", at = "60s", duration = "30s")`,
		Param{Name: "loss", Type: typePercent, Doc: "part of the packets", Example: `"1%"`}, lasting),
	faultTable("fault.bandwidth", "Narrows a link, in each direction.", `fault.bandwidth(target.client("produce:orders"), limit = "1MiB/s", at = "60s", duration = "30s")`,
		Param{Name: "limit", Type: typeBytesRate, Doc: "bytes per second", Example: `"1MiB/s"`}, lasting),
	faultTable("fault.slow_disk", "Delays every write and flush of a broker's disk. It must be a StreamBus that the run starts itself.", `fault.slow_disk(target.leader("orders", partition = 0), delay = "20ms", at = "60s", duration = "30s")`,
		Param{Name: "delay", Type: typeDuration, Doc: "added to each write and each flush; an acknowledgement waits for several", Example: `"200ms"`}, lasting),
	faultTable("fault.disk_full", "Fills a broker's disk to the last byte. What needs new room is refused; records go on for a while into room that was reserved before, as on a real one. It must be a StreamBus that the run starts itself.", `fault.disk_full(target.broker(1), at = "60s", duration = "30s")`, lasting),
	faultTable("fault.clock_skew", "Moves a broker's clock. What it stamps, refuses and expires records by follows; what it waits for goes on by the monotonic clock, as on a machine whose clock is set. It must be a StreamBus that the run starts itself.", `fault.clock_skew(target.broker(1), skew = "-5s", at = "60s", duration = "30s")`,
		Param{Name: "skew", Type: typeSkew, Doc: "by how much, up to ten years; behind with a minus", Example: `"-5s"`}, lasting),
	{
		Name: "fault.rebalance", Since: since, Max: 1, Returns: "a fault, for scenario(faults = …)", build: buildRebalance,
		Doc:     "Lets members join or leave a consumer group, so that its partitions are dealt out anew.",
		Example: `fault.rebalance("billing", leave = 1, rejoin_after = "30s", every = "1h")`,
		Params: []Param{
			{Name: "group", Type: typeName, Doc: "a consumer group of the scenario", Example: `"billing"`},
			{Name: "join", Type: whole(0, plan.MaxClients), Default: starlark.MakeInt(0), Doc: "so many members come", Example: "1"},
			{Name: "leave", Type: whole(0, plan.MaxClients), Default: starlark.MakeInt(0), Doc: "so many members go", Example: "1"},
			{Name: "rejoin_after", Type: optional(typeDuration), Default: starlark.None, Doc: "when it is undone: those who left come back, those who joined go; None: never", Example: `"30s"`},
			faultAt, faultEvery,
		},
	},
	{
		Name: "fault.random", Since: since, Max: 1, Returns: "a fault, for scenario(faults = …)", build: buildRandomFault,
		Doc:     "One of a list of faults again and again, drawn by a seed. Those in the list have no at and no every.",
		Example: `fault.random([fault.kill(target.random(), restart_after = "10s"), fault.pause(target.random(), duration = "5s")], every = "1m")`,
		Params: []Param{
			{Name: "choices", Type: typeFaults, Doc: "what may happen", Example: `[fault.pause(target.random(), duration = "5s")]`},
			{Name: "every", Type: typeDuration, Doc: "how often", Example: `"1m"`},
			{Name: "seed", Type: typeCount, Default: starlark.MakeInt(1), Doc: "the same seed gives the same faults", Example: "7"},
			faultAt,
		},
	},
}

var (
	targetTopic     = Param{Name: "topic", Type: typeTopic, Doc: "a topic of the scenario"}
	targetPartition = Param{Name: "partition", Type: whole(0, plan.MaxPartitions), Default: starlark.MakeInt(0), Doc: "number of the partition", Example: "0"}
	lasting         = Param{Name: "duration", Type: typeDuration, Doc: "how long"}
	faultAt         = Param{Name: "at", Type: optional(typeAt), Default: starlark.None, Example: `"peak+5s"`,
		Doc: `when it begins: from the first record, or from a stage's beginning, as "peak" or "peak+5s"; None: at the first every`}
	faultEvery = Param{Name: "every", Type: optional(typeDuration), Default: starlark.None, Doc: "again and again, until the stages have ended; None: once", Example: `"1h"`}
)

func targetTable(name, doc, example string, positional int, params ...Param) *Builtin {
	return &Builtin{Name: name, Doc: doc, Example: example, Max: positional, Params: params, Since: since, Returns: "a target, for fault.…", build: buildTarget}
}

// faultTable puts what all faults have around what this one needs.
func faultTable(name, doc, example string, params ...Param) *Builtin {
	all := []Param{{Name: "target", Type: typeTargets, Doc: "who is struck: target.…, or a list of them", Example: "target.random()"}}
	all = append(append(all, params...), faultAt, faultEvery)
	return &Builtin{Name: name, Doc: doc, Example: example, Max: 1, Params: all, Since: since, Returns: "a fault, for scenario(faults = …)", build: buildFault}
}
