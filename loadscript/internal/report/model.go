package report

import (
	"time"

	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/plan"
	preflight "github.com/streambus/streambus/tools/checks"
)

// SchemaVersion is the version of results.json. Fields are added without changing it; it changes when one goes or turns.
const SchemaVersion = 1

// Results is results.json. Times ending in _ns are nanoseconds, rates records per second, sizes bytes.
type Results struct {
	Schema      int                `json:"schema"`
	RunID       string             `json:"run_id"`
	Script      string             `json:"script"`
	Sources     []Source           `json:"sources,omitempty"` // the script and the modules it loads, as they were
	Version     string             `json:"version,omitempty"` // of loadscript, with its commit
	Title       string             `json:"title,omitempty"`
	Params      []plan.Param       `json:"params,omitempty"`
	Started     time.Time          `json:"started"`
	ElapsedNs   int64              `json:"elapsed_ns"`
	Host        Host               `json:"host"`
	Preflight   []preflight.Result `json:"preflight,omitempty"` // whether that machine was fit, just before the load
	Cluster     Cluster            `json:"cluster"`
	Interrupted bool               `json:"interrupted"`
	Scenarios   []Scenario         `json:"scenarios"`
	Verdict     Verdict            `json:"verdict"`
}

// Source is a file that the plan was made from.
type Source struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Host is the machine that the generator ran on.
type Host struct {
	Name   string `json:"name"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel,omitempty"`
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes,omitempty"`
	Go     string `json:"go"`
}

// Cluster is what was under load.
type Cluster struct {
	Brokers  []string        `json:"brokers"`
	Nodes    int             `json:"nodes"`
	Embedded bool            `json:"embedded"`         // started by loadscript itself
	Shared   bool            `json:"shared"`           // on this machine: broker and generator share its cores
	Config   []BrokerSetting `json:"config,omitempty"` // what is not a default, secrets left out
	Exit     string          `json:"exit,omitempty"`   // how the embedded broker died, if it did, with the end of its log
}

// BrokerSetting is a setting of the brokers that somebody chose.
type BrokerSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Broker int32  `json:"broker"` // -1: of all of them
}

// Verdict is the outcome of the whole run.
type Verdict struct {
	Pass     bool     `json:"pass"`
	ExitCode int      `json:"exit_code"`
	Meaning  string   `json:"meaning"`
	Reasons  []string `json:"reasons,omitempty"` // why it is not a pass, worst first
}

// Scenario is one scenario's outcome.
type Scenario struct {
	Name       string             `json:"name"`
	Seed       uint64             `json:"seed"`
	Started    time.Time          `json:"started"`
	Flows      []string           `json:"flows"` // "produce orders: 2 producers, 1KiB values, acks=all, …"
	Stages     []Stage            `json:"stages"`
	WarmupNs   int64              `json:"warmup_ns"`
	Ran        bool               `json:"ran"` // false: it never got to the first record; Error says why
	Error      string             `json:"error,omitempty"`
	Totals     Totals             `json:"totals"`
	Metrics    []Metric           `json:"metrics"`
	Drain      Drain              `json:"drain"`
	Ledger     []ledger.Verdict   `json:"ledger"`
	Invariants []Invariant        `json:"invariants"`
	Thresholds []Threshold        `json:"thresholds"`
	Validity   Validity           `json:"validity"`
	Series     []Second           `json:"series"`
	ExitCode   int                `json:"exit_code"`
	Reasons    []string           `json:"reasons,omitempty"`
	Notes      []string           `json:"notes,omitempty"`
	Curves     []Curve            `json:"curves"`
	Config     plan.Scenario      `json:"plan"`
	Peaks      map[string]float64 `json:"peaks,omitempty"`      // "in_flight", "lag", "unavailable_ns"
	Events     []Event            `json:"events,omitempty"`     // in order of time: faults, rebalances, leader changes
	Recoveries []Recovery         `json:"recoveries,omitempty"` // one for each fault that was applied
	Silences   []Silence          `json:"silences,omitempty"`   // stretches without an answer, by partition
	Heat       *Heat              `json:"heat,omitempty"`       // produce.latency over time
	Trends     []Trend            `json:"trends,omitempty"`
	Probes     []Probe            `json:"probes,omitempty"`   // find_max_rate: the rates that were tried
	MaxRate    float64            `json:"max_rate,omitempty"` // find_max_rate: the highest that held
}

// Stage is a stretch of the schedule with what happened in it. The warm-up, if any, is left out of every number.
type Stage struct {
	Name        string  `json:"name"`
	StartNs     int64   `json:"start_ns"`
	EndNs       int64   `json:"end_ns"`
	From        float64 `json:"from"`
	To          float64 `json:"to"`
	OfferedRate float64 `json:"offered_rate"` // mean
	AckedRate   float64 `json:"acked_rate"`   // mean, by time of acknowledgement
	ConsumeRate float64 `json:"consume_rate"`
	Records     int64   `json:"records"` // acknowledged, of those intended in the stage
	Errors      int64   `json:"errors"`  // failed and unknown
}

// Totals counts records, warm-up included.
type Totals struct {
	Offered     int64   `json:"offered"` // what the schedule asked for until the end, or the interrupt
	Handed      int64   `json:"handed"`  // given to the client
	Acked       int64   `json:"acked"`   // for acks=0: written
	Failed      int64   `json:"failed"`
	Unknown     int64   `json:"unknown"`           // timed out, or the connection broke: may be there or not
	Aborted     int64   `json:"aborted,omitempty"` // their transaction was
	Dropped     int64   `json:"dropped"`           // never given to the client
	Late        int64   `json:"late"`
	Pressed     int64   `json:"pressed"` // held back by the in-flight limit
	Delivered   int64   `json:"delivered"`
	Bytes       int64   `json:"bytes"`        // values acknowledged
	OfferedRate float64 `json:"offered_rate"` // mean over the stages after the warm-up, as all rates here
	HandedRate  float64 `json:"handed_rate"`
	AckedRate   float64 `json:"acked_rate"`
	ConsumeRate float64 `json:"consume_rate"`
	ErrorsRate  float64 `json:"errors_rate"` // fraction of the handed
}

// Metric is a latency over the whole run after the warm-up, and per stage.
type Metric struct {
	Name   string    `json:"name"`
	Whole  Latency   `json:"whole"`
	Stages []Latency `json:"stages"`
}

// Latency is the distribution of one latency.
type Latency struct {
	Count   int64 `json:"count"`
	Clamped int64 `json:"clamped,omitempty"` // above a minute, counted as a minute
	MinNs   int64 `json:"min_ns"`
	MeanNs  int64 `json:"mean_ns"`
	P50Ns   int64 `json:"p50_ns"`
	P90Ns   int64 `json:"p90_ns"`
	P95Ns   int64 `json:"p95_ns"`
	P99Ns   int64 `json:"p99_ns"`
	P999Ns  int64 `json:"p99_9_ns"`
	P9999Ns int64 `json:"p99_99_ns"`
	MaxNs   int64 `json:"max_ns"`
}

// NewLatency summarises a histogram.
func NewLatency(h *hist.Histogram) Latency {
	q := func(f float64) int64 { return int64(h.Quantile(f)) }
	return Latency{
		Count: h.Count(), Clamped: h.Clamped(), MinNs: int64(h.Least()), MeanNs: int64(h.Mean()),
		P50Ns: q(.5), P90Ns: q(.9), P95Ns: q(.95), P99Ns: q(.99), P999Ns: q(.999), P9999Ns: q(.9999), MaxNs: int64(h.Highest()),
	}
}

// Curve is a percentile curve: one line of the plot.
type Curve struct {
	Metric string       `json:"metric"`
	Stage  string       `json:"stage"`
	Points []CurvePoint `json:"points"`
}

// CurvePoint is (1/(1-quantile), latency); the last point stands for the maximum.
type CurvePoint struct {
	Inverse float64 `json:"x"`
	ValueNs int64   `json:"ns"`
}

// Drain is the phase after the last stage.
type Drain struct {
	TookNs    int64  `json:"took_ns"`
	Converged bool   `json:"converged"` // every acknowledged record was seen and no reader was behind
	Detail    string `json:"detail,omitempty"`
}

// Invariant is the judgement of one promise.
type Invariant struct {
	Name     string   `json:"name"`
	Judged   bool     `json:"judged"` // false: the script does not ask for it; the count is for information
	Pass     bool     `json:"pass"`
	Count    int64    `json:"count"`
	Detail   string   `json:"detail,omitempty"`
	Examples []string `json:"examples,omitempty"`
}

// Threshold is the judgement of one threshold.
type Threshold struct {
	Expr    string  `json:"expr"`
	During  string  `json:"during,omitempty"`
	Value   float64 `json:"value"`   // measured, in the metric's base unit
	Shown   string  `json:"shown"`   // the same for people
	Pass    bool    `json:"pass"`    //
	Samples int64   `json:"samples"` // latencies: how many there were
	Weak    bool    `json:"weak"`    // too few samples for that percentile
	Detail  string  `json:"detail,omitempty"`
}

// Event is something that happened while a scenario ran. It is also a line of events.jsonl.
type Event struct {
	TNs    int64  `json:"t_ns"`             // since the first record was due
	EndNs  int64  `json:"end_ns,omitempty"` // 0: a moment, or not over
	Kind   string `json:"kind"`             // "stage", "fault", "rebalance", "leader", "phase", "abort"
	Name   string `json:"name"`             // "kill leader(payments/0)", a stage, a group
	Target string `json:"target,omitempty"` // who was struck: "broker 2 (127.0.0.1:9092)"
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"` // a fault that could not be applied
}

// Recovery is how the cluster took a fault.
type Recovery struct {
	Fault         string `json:"fault"`
	Target        string `json:"target"`
	BeginNs       int64  `json:"begin_ns"`
	EndNs         int64  `json:"end_ns"`         // when the fault was healed
	UnavailableNs int64  `json:"unavailable_ns"` // longest silence of a partition from BeginNs on, until the next fault began
	RecoveryNs    int64  `json:"recovery_ns"`    // from EndNs until rate and p99 were back inside the band of before; -1: never, or see Next
	Next          string `json:"next,omitempty"` // the fault that began before this one was recovered: how long it would have taken is not known
	NextNs        int64  `json:"next_ns,omitempty"`
	Detail        string `json:"detail,omitempty"` // the band: "rate 2.9k to 3.1k/s, p99 below 24ms"
}

// Took is how long the recovery took; known is false where that is no more than a lower bound, for the next fault began before it
// was over. It is -1 if there was none to the end.
func (r *Recovery) Took() (ns int64, known bool) {
	if r.Next != "" {
		return r.NextNs - r.EndNs, false
	}
	return r.RecoveryNs, true
}

// Silence is a stretch in which records of a partition waited and none was acknowledged.
type Silence struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	BeginNs   int64  `json:"begin_ns"`
	EndNs     int64  `json:"end_ns"`
}

// Heat is a latency heat map: how many records had a latency between two edges in each stretch of time. At most 600 columns.
type Heat struct {
	EdgesNs []int64   `json:"edges_ns"` // ascending; row i is [EdgesNs[i], EdgesNs[i+1])
	WidthNs int64     `json:"width_ns"` // of a column
	Columns [][]int64 `json:"columns"`  // counts by row
}

// Trend is the judgement of a slope.
type Trend struct {
	Expr  string  `json:"expr"`
	Slope float64 `json:"slope"` // in the trend's unit
	Shown string  `json:"shown"`
	Pass  bool    `json:"pass"`
	Weak  bool    `json:"weak"` // too short a run to say
}

// Probe is one rate that find_max_rate tried.
type Probe struct {
	Rate   float64 `json:"rate"`
	Pass   bool    `json:"pass"`
	Detail string  `json:"detail"` // what held or did not: "produce.latency.p99 = 12ms < 20ms"
}

// Broker is one second of one broker's process. Fields that cannot be known are -1.
type Broker struct {
	ID         int32   `json:"id"`
	CPU        float64 `json:"cpu"` // cores in use
	RSS        int64   `json:"rss_bytes"`
	DiskRead   float64 `json:"disk_read"` // bytes per second, as all rates here
	DiskWrite  float64 `json:"disk_write"`
	NetIn      float64 `json:"net_in"`
	NetOut     float64 `json:"net_out"`
	FDs        int64   `json:"fds"`
	Goroutines int64   `json:"goroutines"`
}

// Sink takes what a run measures while it goes, so that memory does not grow with the length of the run and what was measured
// survives a run that ends badly. It is called from one goroutine at a time. The histograms belong to the caller and are valid
// during the call only; errors are kept and returned by whoever closes the sink.
type Sink interface {
	Begin(scenario string, started time.Time)
	Second(row Second, latencies map[string]*hist.Histogram) // by metric: "produce.latency", …
	Event(e Event)
}

// Validity says whether the numbers are about the broker.
type Validity struct {
	Valid    bool      `json:"valid"`
	Findings []Finding `json:"findings"`
}

// Finding is one condition of validity.
type Finding struct {
	Name     string `json:"name"`
	Required string `json:"required"`
	Measured string `json:"measured"`
	Pass     bool   `json:"pass"`
	Warn     bool   `json:"warn,omitempty"` // passes, but something is worth knowing: Detail
	Detail   string `json:"detail,omitempty"`
}

// Second is one row of the time series. TNs is its end; it is WidthNs long, a second as a rule. Latencies are those of records
// acknowledged or delivered in it.
type Second struct {
	TNs       int64            `json:"t_ns"`
	WidthNs   int64            `json:"width_ns"`
	Offered   float64          `json:"offered"` // records, as all counts here
	Handed    int64            `json:"handed"`
	Acked     int64            `json:"acked"`
	Errors    int64            `json:"errors"`
	Dropped   int64            `json:"dropped"`
	Delivered int64            `json:"delivered"`
	InFlight  int64            `json:"in_flight"`
	Lag       int64            `json:"lag"`
	Produce   Quantiles        `json:"produce"`
	Service   Quantiles        `json:"service"`
	Delay     Quantiles        `json:"delay"`
	E2E       Quantiles        `json:"e2e"`
	GenCPU    float64          `json:"generator_cpu"` // cores in use
	BrokerCPU float64          `json:"broker_cpu"`    // cores in use, all brokers; -1: not known
	Brokers   []Broker         `json:"brokers,omitempty"`
	Lags      map[string]int64 `json:"lags,omitempty"` // by group, or topic for a direct reader
	GenRSS    int64            `json:"generator_rss_bytes,omitempty"`
	GCPauseNs int64            `json:"gc_pause_ns,omitempty"` // of the generator in this second, all together
}

// Quantiles is a closed second of one latency.
type Quantiles struct {
	N      int64 `json:"n"`
	P50Ns  int64 `json:"p50_ns"`
	P90Ns  int64 `json:"p90_ns"`
	P99Ns  int64 `json:"p99_ns"`
	P999Ns int64 `json:"p99_9_ns"`
	MaxNs  int64 `json:"max_ns"`
}

// NewQuantiles converts a summary.
func NewQuantiles(s hist.Summary) Quantiles {
	return Quantiles{s.Count, int64(s.P50), int64(s.P90), int64(s.P99), int64(s.P999), int64(s.Hi)}
}

// Snapshot is the state of a scenario while it runs.
type Snapshot struct {
	Scenario string
	Index    int // of Count scenarios
	Count    int
	Phase    string // "preparing", "running", "draining", "verifying"
	Stage    string
	Elapsed  time.Duration // since the first record was due
	Total    time.Duration // of all stages
	Offered  float64       // records per second now
	Achieved float64       // acknowledged per second
	Consumed float64
	P50, P99 time.Duration
	Errors   int64
	Dropped  int64
	InFlight int64
	Lag      int64
	Reads    bool   // there is a consumer
	Fault    string // in force now
}
