package script

import (
	"math"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

const ratesUnit = "records per second, all producers together"

// stageTables are the stages of scenario(stages = …) and the shapes made of them.
var stageTables = []*Builtin{
	{
		Name: "hold", Since: since, Max: 2, Returns: "a stage, for scenario(stages = …)", build: buildHold,
		Doc: "A stage of steady load.", Example: `hold("30s", "2k/s")`,
		Params: []Param{
			{Name: "duration", Type: typeDuration, Doc: "how long"},
			{Name: "rate", Type: typeRate, Unit: ratesUnit, Doc: "how much", Example: `"2k/s"`},
			stageName(`"hold-1", by its place`),
		},
	},
	{
		Name: "ramp", Since: since, Max: 2, Returns: "a stage, for scenario(stages = …)", build: buildRamp,
		Doc:     "A stage of rising or falling load. The rate goes in a straight line from that of the stage before (0 at the start) to another.",
		Example: `ramp("2s", "20k/s")`,
		Params: []Param{
			{Name: "duration", Type: typeDuration, Doc: "how long", Example: `"2s"`},
			{Name: "to", Type: typeRate, Unit: ratesUnit, Doc: "the rate at the end"},
			stageName(`"ramp-2", by its place`),
		},
	},
	{
		Name: "wave", Since: since, Max: 2, Returns: "a stage, for scenario(stages = …)", build: buildWave,
		Doc:     "A stage of load that swings around a mean, as by day and night: a sine that begins at the mean and rises first.",
		Example: `wave("2k/s", "1k/s", period = "10m", duration = "1h")`,
		Params: []Param{
			{Name: "mean", Type: typeRate, Unit: ratesUnit, Doc: "the rate in the middle", Example: `"2k/s"`},
			{Name: "amplitude", Type: typeRate, Doc: "how far above and below the mean it goes; at most the mean", Example: `"1k/s"`},
			{Name: "period", Type: typeDuration, Doc: "length of one swing up, down and back", Example: `"10m"`},
			{Name: "duration", Type: typeDuration, Doc: "how long in all", Example: `"1h"`},
			stageName(`"wave-1", by its place`),
		},
	},
	{
		Name: "steps", Since: since, Max: 2, Returns: "a list of hold(…) stages, for scenario(stages = …)", build: buildSteps,
		Doc:     "Load that goes up or down in steps, each held for the same time; the last one is at to. The stages are named step-1, step-2 and so on.",
		Example: `steps("5k/s", "50k/s", step = "5k/s", each = "30s")`,
		Params:  stepParams,
	},
	{
		Name: "shape.spike", Since: since, Max: 2, Returns: "a list of stages named before, up, peak, down, after", build: buildSpike,
		Doc:     "The usual load, then a sudden crowd, then the usual load again.",
		Example: `shape.spike("1k/s", "10k/s", hold = "30s")`,
		Params: []Param{
			{Name: "base", Type: typeRate, Unit: ratesUnit, Doc: "the usual load", Example: `"1k/s"`},
			{Name: "peak", Type: typeRate, Unit: ratesUnit, Doc: "the load of the crowd", Example: `"10k/s"`},
			{Name: "before", Type: typeDuration, Default: starlark.String("30s"), Doc: "how long the usual load lasts before"},
			{Name: "ramp", Type: typeDuration, Default: starlark.String("2s"), Doc: "how long it takes to rise, and to fall", Example: `"2s"`},
			{Name: "hold", Type: typeDuration, Default: starlark.String("30s"), Doc: "how long the peak lasts"},
			{Name: "after", Type: typeDuration, Default: starlark.String("1m"), Doc: "how long the usual load lasts after"},
		},
	},
	{
		Name: "shape.soak", Since: since, Max: 2, Returns: "a list of one stage named steady, or of two with a ramp before it named up", build: buildSoak,
		Doc: "The same load for a long time: for leaks, drift and slow decay.", Example: `shape.soak("5k/s", "24h")`,
		Params: []Param{
			{Name: "rate", Type: typeRate, Unit: ratesUnit, Doc: "how much", Example: `"5k/s"`},
			{Name: "duration", Type: typeDuration, Doc: "how long", Example: `"24h"`},
			{Name: "ramp", Type: typeDuration, Default: starlark.String("0s"), Doc: "how long it takes to get there, before the duration", Example: `"1m"`},
		},
	},
	{
		Name: "shape.stress", Since: since, Max: 2, Returns: "a list of hold(…) stages named step-1, step-2, …, after", build: buildStress,
		Doc:     "Load that goes up in steps until something gives, and then back to the first step for as long again: does it recover?",
		Example: `shape.stress("10k/s", "100k/s", step = "10k/s", each = "30s")`,
		Params:  stepParams[:len(stepParams)-1],
	},
}

var stepParams = []Param{
	{Name: "from_", Type: typeRate, Unit: ratesUnit, Doc: "the first step", Example: `"5k/s"`},
	{Name: "to", Type: typeRate, Unit: ratesUnit, Doc: "the last step", Example: `"50k/s"`},
	{Name: "step", Type: typeRate, Doc: "how much is added, or taken away when to is below from_", Example: `"5k/s"`},
	{Name: "each", Type: typeDuration, Doc: "how long each step lasts"},
	{Name: "name", Type: optional(typeName), Default: starlark.None, Doc: `what the stages are named before their number; None: "step"`, Example: `"up"`},
}

func stageName(none string) Param {
	return Param{Name: "name", Type: optional(typeName), Default: starlark.None, Example: `"peak"`,
		Doc: "for threshold(during = …), for a fault's at, and for the report; None: " + none}
}

// executorTables are load that follows no schedule of rates, and the warm-up by steadiness.
var executorTables = []*Builtin{
	{
		Name: "clients", Since: since, Max: 2, Returns: "an executor, for scenario(executor = …)", build: buildClients,
		Doc: "A closed model: so many clients, each with one record in flight, which sends the next when it has its answer. A slow broker " +
			"is then asked for less: latency counts from the real send and says nothing about users who do not wait.",
		Example: `clients(50, "1m", think_time = "10ms")`,
		Params: []Param{
			{Name: "n", Type: whole(1, plan.MaxClients), Doc: "number of clients", Example: "50"},
			{Name: "duration", Type: typeDuration, Doc: "how long", Example: `"1m"`},
			{Name: "think_time", Type: typeDuration, Default: starlark.String("0s"), Doc: "pause of a client after each answer", Example: `"10ms"`},
		},
	},
	{
		Name: "full_speed", Since: since, Max: 1, Returns: "an executor, for scenario(executor = …)", build: buildFullSpeed,
		Doc:     "As fast as it goes, to measure throughput. Latency is then that of a full queue.",
		Example: `full_speed("1m", in_flight = 10000)`,
		Params: []Param{
			{Name: "duration", Type: typeDuration, Doc: "how long", Example: `"1m"`},
			{Name: "in_flight", Type: optional(whole(1, math.MaxInt32)), Default: starlark.None, Doc: "unacknowledged records at any time; None: the engine's choice", Example: "10000"},
		},
	},
	{
		Name: "records", Since: since, Max: 1, Returns: "an executor, for scenario(executor = …)", build: buildRecords,
		Doc: "A fixed number of records, as fast as they go.", Example: `records("1M")`,
		Params: []Param{{Name: "n", Type: typeCount, Doc: "number of records, all producers together", Example: `"1M"`}},
	},
	{
		Name: "find_max_rate", Since: since, Max: 1, Returns: "an executor, for scenario(executor = …)", build: buildFindMaxRate,
		Doc: "Looks for the highest rate at which the thresholds hold: doubles from start until one fails, then halves the distance " +
			"until it is within the tolerance. Between tries the consumers catch up.",
		Example: `find_max_rate("produce.latency.p99 < 20ms", start = "10k/s", hold = "30s")`,
		Params: []Param{
			{Name: "slo", Type: typeSLO, Doc: "a threshold, or a list of them, that must hold at a rate"},
			{Name: "start", Type: typeRate, Default: starlark.String("1k/s"), Unit: ratesUnit, Doc: "the first rate tried", Example: `"10k/s"`},
			{Name: "hold", Type: typeDuration, Default: starlark.String("30s"), Doc: "how long each rate is tried"},
			{Name: "tolerance", Type: typePercent, Default: starlark.String("5%"), Doc: "stop when the best and the worst rate known are so close", Example: `"5%"`},
		},
	},
	{
		Name: "steady", Since: since, Max: 1, Returns: "a warm-up, for scenario(warmup = …)", build: buildSteady,
		Doc: "A warm-up at the first stage's rate that ends when a metric is steady: over a rolling window, both its slope and its " +
			"spread are within a part of its mean. The stages begin then. If it is not steady in time, the measurement is invalid.",
		Example: `warmup = steady("produce.rate", within = "2%", over = "60s", timeout = "10m")`,
		Params: []Param{
			{Name: "metric", Type: typeFollowed, Doc: "what must be steady; see `loadscript doc thresholds`", Example: `"produce.rate"`},
			{Name: "within", Type: typePercent, Default: starlark.String("5%"), Doc: "of the mean"},
			{Name: "over", Type: typeDuration, Default: starlark.String("30s"), Doc: "length of the window"},
			{Name: "timeout", Type: typeDuration, Default: starlark.String("5m"), Doc: "how long to wait for it", Example: `"10m"`},
		},
	},
	{
		Name: "local", Since: since, Max: 1, Returns: "a cluster, for scenario(cluster = …)", build: buildLocal,
		Doc: "A cluster that the run starts on this machine and stops afterwards. Without it, the run takes --brokers, or starts one " +
			"broker of its own. StreamBus does not replicate yet: more than one broker needs `loadscript run --cluster kafka:3`.",
		Example: `cluster = local(brokers = 1)`,
		Params:  []Param{{Name: "brokers", Type: whole(1, plan.MaxLocalBrokers), Default: starlark.MakeInt(1), Doc: "how many brokers", Example: "3"}},
	},
}
