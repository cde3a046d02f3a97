package plan

// Unit is the base unit of a metric: what Threshold.Value counts.
type Unit string

// The units of metrics.
const (
	UnitDuration Unit = "duration" // nanoseconds; written "50ms"
	UnitRate     Unit = "rate"     // records per second; written "20k/s"
	UnitPercent  Unit = "percent"  // fraction of the records; written "0.1%"
	UnitCount    Unit = "count"    // records; written "10" or "50k"
)

// Metric is a number that a run measures and a threshold can be set on.
type Metric struct {
	Name  string
	Unit  Unit
	Stats []string // the statistics it has; a threshold names one of them unless Bare
	Bare  bool     // may be written without a statistic: "errors.rate < 0.1%"
	Reads bool     // needs a consume flow in the scenario
	Doc   string
}

var (
	latencyStats = []string{"min", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"}
	rateStats    = []string{"mean", "min"}
)

// metrics is the fixed vocabulary. The engine measures exactly these; a script that names another one is wrong.
var metrics = []Metric{
	{Name: "produce.latency", Unit: UnitDuration, Stats: latencyStats,
		Doc: "from the intended send time to the acknowledgement: what a user of the broker waits"},
	{Name: "produce.service_time", Unit: UnitDuration, Stats: latencyStats,
		Doc: "from the real send to the acknowledgement: the broker alone, blind to queues before it"},
	{Name: "produce.delay", Unit: UnitDuration, Stats: latencyStats,
		Doc: "from the intended to the real send: how far the generator was behind its schedule"},
	{Name: "e2e.latency", Unit: UnitDuration, Stats: latencyStats, Reads: true,
		Doc: "from the intended send time to the delivery at a consumer"},
	{Name: "produce.rate", Unit: UnitRate, Stats: rateStats, Bare: true,
		Doc: "acknowledged records per second; min is the slowest whole second"},
	{Name: "consume.rate", Unit: UnitRate, Stats: rateStats, Bare: true, Reads: true,
		Doc: "delivered records per second; min is the slowest whole second"},
	{Name: "consume.lag", Unit: UnitCount, Stats: []string{"max"}, Reads: true,
		Doc: "records that a consumer was behind the end of the log"},
	{Name: "errors.rate", Unit: UnitPercent, Bare: true,
		Doc: "share of the records sent that were refused or never answered"},
	{Name: "late", Unit: UnitCount, Bare: true,
		Doc: "records that were handed to the client noticeably later than intended"},
	{Name: "dropped", Unit: UnitCount, Bare: true,
		Doc: "records that were not sent at all, because the broker or max_in_flight held them up for too long; without a threshold on it, \"dropped <= 0\" is judged"},
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
