package plan

// Unit is the base unit of a metric: what Threshold.Value counts.
type Unit string

// The units of metrics.
const (
	UnitDuration  Unit = "duration" // nanoseconds; written "50ms"
	UnitRate      Unit = "rate"     // records per second; written "20k/s"
	UnitPercent   Unit = "percent"  // fraction of the records; written "0.1%"
	UnitCount     Unit = "count"    // records, or things; written "10" or "50k"
	UnitSize      Unit = "size"     // bytes; written "512MiB"
	UnitBytesRate Unit = "bytes/s"  // bytes per second; written "50MiB/s"
	UnitCores     Unit = "cores"    // processor cores in use; written "1.5" or "150%"
)

// Metric is a number that a run measures and a threshold can be set on.
type Metric struct {
	Name   string
	Unit   Unit
	Stats  []string // the statistics it has; a threshold names one of them unless Bare
	Bare   bool     // may be written without a statistic: "errors.rate < 0.1%"
	Reads  bool     // needs a consume flow in the scenario
	Groups bool     // may be asked of one group: "consume.lag.max{group=ledger}"
	Faults bool     // needs a fault in the scenario
	Slopes bool     // has a value every second, so that trend() and steady() can follow it
	Doc    string
}

var (
	latencyStats = []string{"min", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"}
	rateStats    = []string{"mean", "min"}
	gaugeStats   = []string{"mean", "max"}
	longestStats = []string{"max", "mean"}
)

// metrics is the fixed vocabulary. The engine measures exactly these; a script that names another one is wrong.
var metrics = []Metric{
	{Name: "produce.latency", Unit: UnitDuration, Stats: latencyStats, Slopes: true,
		Doc: "from the intended send time to the acknowledgement: what a user of the broker waits"},
	{Name: "produce.service_time", Unit: UnitDuration, Stats: latencyStats, Slopes: true,
		Doc: "from the real send to the acknowledgement: the broker alone, blind to queues before it"},
	{Name: "produce.delay", Unit: UnitDuration, Stats: latencyStats, Slopes: true,
		Doc: "from the intended to the real send: how far the generator was behind its schedule"},
	{Name: "e2e.latency", Unit: UnitDuration, Stats: latencyStats, Reads: true, Slopes: true,
		Doc: "from the intended send time to the delivery at a consumer"},
	{Name: "produce.rate", Unit: UnitRate, Stats: rateStats, Bare: true, Slopes: true,
		Doc: "acknowledged records per second; min is the slowest whole second"},
	{Name: "consume.rate", Unit: UnitRate, Stats: rateStats, Bare: true, Reads: true, Slopes: true,
		Doc: "delivered records per second; min is the slowest whole second"},
	{Name: "consume.lag", Unit: UnitCount, Stats: []string{"max"}, Reads: true, Groups: true, Slopes: true,
		Doc: "records that a consumer was behind the end of the log; of one group with {group=NAME}"},
	{Name: "errors.rate", Unit: UnitPercent, Bare: true,
		Doc: "share of the records sent that were refused or never answered"},
	{Name: "late", Unit: UnitCount, Bare: true,
		Doc: "records that were handed to the client noticeably later than intended"},
	{Name: "dropped", Unit: UnitCount, Bare: true,
		Doc: "records that were not sent at all, because the broker or max_in_flight held them up for too long; without a threshold on it, \"dropped <= 0\" is judged"},
	{Name: "produce.unavailable", Unit: UnitDuration, Stats: longestStats, Bare: true,
		Doc: "time without an acknowledgement on a partition while records for it waited; without a statistic, the longest"},
	{Name: "recovery.time", Unit: UnitDuration, Stats: longestStats, Bare: true, Faults: true,
		Doc: "from the end of a fault until rate and p99 are back inside the band they had before it; without a statistic, the longest"},
	{Name: "rebalance.duration", Unit: UnitDuration, Stats: longestStats, Bare: true, Reads: true,
		Doc: "from the first partition that a group gives up until all are assigned again; without a statistic, the longest"},
	{Name: "broker.cpu", Unit: UnitCores, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "cores that a broker keeps busy; the busiest broker counts, as in all broker metrics; without a statistic, the mean"},
	{Name: "broker.memory.rss", Unit: UnitSize, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "memory of a broker's process; without a statistic, the mean"},
	{Name: "broker.disk.read", Unit: UnitBytesRate, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "bytes per second that a broker reads from its disks; without a statistic, the mean"},
	{Name: "broker.disk.write", Unit: UnitBytesRate, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "bytes per second that a broker writes to its disks; without a statistic, the mean"},
	{Name: "broker.net.in", Unit: UnitBytesRate, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "bytes per second that a broker receives; without a statistic, the mean"},
	{Name: "broker.net.out", Unit: UnitBytesRate, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "bytes per second that a broker sends; without a statistic, the mean"},
	{Name: "broker.fds", Unit: UnitCount, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "open file descriptors of a broker; without a statistic, the mean"},
	{Name: "broker.goroutines", Unit: UnitCount, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "goroutines of a broker that says so (StreamBus does); without a statistic, the mean"},
	{Name: "generator.cpu", Unit: UnitCores, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "cores that loadscript itself keeps busy; without a statistic, the mean"},
	{Name: "generator.lag", Unit: UnitDuration, Stats: latencyStats, Slopes: true,
		Doc: "how far loadscript itself was behind the schedule, while nothing but itself held it up"},
	{Name: "generator.gc_pause", Unit: UnitDuration, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "pauses of loadscript's garbage collector in a second, all together; without a statistic, the mean"},
	{Name: "generator.memory.rss", Unit: UnitSize, Stats: gaugeStats, Bare: true, Slopes: true,
		Doc: "memory of loadscript itself; without a statistic, the mean"},
}

// Metrics is the vocabulary of thresholds, in the order in which it is documented. The caller must not change it.
func Metrics() []Metric { return metrics }

// LookupMetric finds a metric by name.
func LookupMetric(name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// HasStat reports whether the metric can be written with this statistic; "" asks for the bare name.
func (m Metric) HasStat(stat string) bool {
	if stat == "" {
		return m.Bare
	}
	for _, s := range m.Stats {
		if s == stat {
			return true
		}
	}
	return false
}
