// Package plan is the immutable description of a load run: what a script says, resolved and checked, with nothing left to
// evaluate. The script room writes it once, before the clock starts; the engine only reads it. It is not a scheduler (pace
// is), it opens no connection, and it knows no Starlark: `loadscript plan --json` prints exactly this.
//
//	script (Starlark) --> Plan --> drive (engine) --> report
//
// Invariants:
//
//	P1  A Plan that Check accepts can be driven: every reference is resolved, every number is in range.
//	P2  The offered load (offered.go) is a pure function of the plan: the same script, parameters and seed give the same schedule.
//	P3  Durations are nanoseconds (time.Duration), rates records per second over all producers of a flow, sizes bytes.
package plan

import "time"

// Pos is a place in a script, for messages that point at it. Line and Column count from 1; zero means unknown.
type Pos struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// Plan is one run: its scenarios are driven one after another, in the order in which the script declared them.
type Plan struct {
	Script    string     `json:"script"`           // path as given
	Title     string     `json:"title,omitempty"`  // first line of the script's docstring
	Params    []Param    `json:"params,omitempty"` // every param() the script declared, with the value it got
	Scenarios []Scenario `json:"scenarios"`
}

// Param is one declared parameter: `param("rate", "2k/s", help = "…")`, settable as --rate.
type Param struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Value   string `json:"value"`
	Help    string `json:"help,omitempty"`
	Set     bool   `json:"set"` // true when the command line gave the value
}

// Scenario is one load shape over one or more flows.
type Scenario struct {
	Name        string        `json:"name"`
	Pos         Pos           `json:"pos"`
	Produce     []Produce     `json:"produce"`
	Consume     []Consume     `json:"consume,omitempty"`
	Stages      []Stage       `json:"stages"`
	Arrivals    Arrivals      `json:"arrivals"`
	Warmup      time.Duration `json:"warmup_ns"`          // excluded from metrics, still verified
	Drain       time.Duration `json:"drain_ns"`           // limit of the drain-and-converge phase after the last stage
	Start       time.Duration `json:"start_ns,omitempty"` // pause between the preparation and the first record
	Steady      *Steady       `json:"steady,omitempty"`   // warm-up that ends when a metric is steady; the stages begin after it
	Executor    *Executor     `json:"executor,omitempty"` // nil: the open model, by Stages
	Faults      []Fault       `json:"faults,omitempty"`   // in script order
	Trends      []Trend       `json:"trends,omitempty"`   // slopes that must hold
	Cluster     *Local        `json:"cluster,omitempty"`  // a cluster that the run starts itself; nil: --brokers, or one broker of its own
	Backlog     bool          `json:"backlog,omitempty"`  // what the topics hold before is part of the load: nobody waits until it is read
	MaxInFlight int           `json:"max_in_flight"`      // unacknowledged records of the whole scenario; 0 = engine's choice
	Verify      []Invariant   `json:"verify"`             // resolved: "auto" is gone by now
	Thresholds  []Threshold   `json:"thresholds,omitempty"`
	Seed        uint64        `json:"seed"`
}

// Topic is a topic that the run creates if it is missing. Two uses of the same name share one Topic value.
type Topic struct {
	Name        string   `json:"name"`
	Pos         Pos      `json:"pos"`
	Partitions  int      `json:"partitions"`           // 0 = the broker's default
	Replication int      `json:"replication"`          // 0 = as many as min(3, brokers)
	MinInsync   int      `json:"min_insync,omitempty"` // 0 = the broker's default
	Config      []Config `json:"config,omitempty"`     // in script order
	Keep        bool     `json:"keep,omitempty"`       // do not delete after the run (only topics the run created are deleted)
}

// Config is one topic configuration entry.
type Config struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Produce is a flow of records into a topic. The stages' rate is shared evenly by the scenario's produce flows.
type Produce struct {
	Topic       Topic         `json:"topic"`
	Pos         Pos           `json:"pos"`
	Producers   int           `json:"producers"`
	Value       Value         `json:"value"`
	Key         Key           `json:"key"`
	Acks        string        `json:"acks"` // "all", "1", "0"
	Idempotent  bool          `json:"idempotent"`
	Compression string        `json:"compression"` // "none", "gzip", "snappy", "lz4", "zstd"
	Linger      time.Duration `json:"linger_ns"`
	BatchBytes  int           `json:"batch_bytes"`
	Headers     []Header      `json:"headers,omitempty"`     // in script order; the stamp's header comes on top
	Transaction *Txn          `json:"transaction,omitempty"` // nil: no transactions
}

// Header is one record header.
type Header struct {
	Key   string `json:"key"`
	Value Value  `json:"value"`
}

// Txn is how a producer groups its records into transactions.
type Txn struct {
	Pos     Pos     `json:"pos"`
	Records int     `json:"records"`         // of one transaction, > 0
	Abort   float64 `json:"abort,omitempty"` // fraction of the transactions that are aborted on purpose, [0, 1]
}

// Consume is a flow of records out of a topic, by a group or (Group empty) by one direct reader of all partitions.
type Consume struct {
	Topic     Topic         `json:"topic"`
	Pos       Pos           `json:"pos"`
	Group     string        `json:"group,omitempty"`
	Members   int           `json:"members"`
	ThinkTime time.Duration `json:"think_time_ns,omitempty"`
	Isolation string        `json:"isolation"`          // "read_uncommitted", "read_committed"
	Start     string        `json:"start"`              // "earliest", "latest"
	Rate      float64       `json:"rate,omitempty"`     // at most so many records per second, all members together; 0 = no limit
	Commit    Commit        `json:"commit,omitzero"`    // how a group's offsets are committed
	Protocol  string        `json:"protocol,omitempty"` // "classic", or "consumer" for KIP-848
}

// Commit says when a group commits what it has read.
type Commit struct {
	Kind  string        `json:"kind"`               // "auto" or empty: by the client, every 5 s and at the end; "every"; "none"
	Every time.Duration `json:"every_ns,omitempty"` // Kind "every"
}

// Value says how record values are made, and parts of values: a tree, whose leaves draw from the flow's seeded generator.
type Value struct {
	Kind         string   `json:"kind"`             // "bytes", "text", "json", "template", "pool" (a file's lines, gen.custom), "seq", "uuid", "now", "pick", "int", "filler", "const"
	Size         int      `json:"size"`             // bytes of the whole value; with Sizes, their mean; json, template: 0 = as long as it comes, else a "filler" inside fills it up; pool: the mean
	Sizes        *Sizes   `json:"sizes,omitempty"`  // nil: every value has Size
	Compressible float64  `json:"compressible"`     // bytes: the part that compresses away
	Fields       []Field  `json:"fields,omitempty"` // json: an object's members in script order
	List         []Value  `json:"list,omitempty"`   // json: an array; pick: what to pick from, or Text of each as a constant
	Text         string   `json:"text,omitempty"`   // template: with {{0}}, {{1}} … where the List's values go; const: JSON of a constant, whose strings stand without quotes outside json
	Lo           int64    `json:"lo,omitempty"`     // int: smallest
	Hi           int64    `json:"hi,omitempty"`     // int: largest
	Path         string   `json:"path,omitempty"`   // pool: where it came from
	Pool         [][]byte `json:"-"`                // pool: the values, in turn
}

// Field is one member of a JSON object.
type Field struct {
	Name  string `json:"name"`
	Value Value  `json:"value"`
}

// Sizes is a distribution of sizes in bytes.
type Sizes struct {
	Kind    string    `json:"kind"`              // "fixed", "uniform", "normal", "lognormal", "mix"
	A       float64   `json:"a,omitempty"`       // uniform: smallest; normal: mean; lognormal: p50
	B       float64   `json:"b,omitempty"`       // uniform: largest; normal: standard deviation; lognormal: p99
	Values  []int     `json:"values,omitempty"`  // mix
	Weights []float64 `json:"weights,omitempty"` // mix: of the values, > 0
	Max     int       `json:"max,omitempty"`     // larger draws are cut to it
}

// Key says how record keys are chosen.
type Key struct {
	Kind  string   `json:"kind"` // "none", "sequential", "round_robin", "uniform", "zipf", "hot", "file"
	N     int      `json:"n,omitempty"`
	S     float64  `json:"s,omitempty"`     // zipf exponent, > 0
	Hot   float64  `json:"hot,omitempty"`   // hot: fraction of the keys that is hot, (0, 1)
	Share float64  `json:"share,omitempty"` // hot: fraction of the records that go to hot keys, (0, 1)
	Path  string   `json:"path,omitempty"`  // file: where the keys came from
	Pool  [][]byte `json:"-"`               // file: the keys, in turn
}

// Stage is a stretch of the schedule: the rate goes in a straight line from From to To (hold: From == To), or as a sine wave
// around From (wave: To is where it ends). Whoever needs the rate, the records or the times asks offered.go.
type Stage struct {
	Kind      string        `json:"kind"` // "hold", "ramp", "wave"
	Name      string        `json:"name"` // given, or "hold-1", "ramp-2", …
	Pos       Pos           `json:"pos"`
	Duration  time.Duration `json:"duration_ns"`
	From      float64       `json:"from"` // records per second
	To        float64       `json:"to"`
	Amplitude float64       `json:"amplitude,omitempty"` // wave: records per second above and below From, at most From
	Period    time.Duration `json:"period_ns,omitempty"` // wave: > 0
}

// Arrivals is the spacing of intended send times.
type Arrivals string

// The arrival processes.
const (
	Uniform Arrivals = "uniform"
	Poisson Arrivals = "poisson"
)

// Invariant is something that must hold of the records whatever the speed.
type Invariant string

// The invariants that this engine can judge.
const (
	NoLoss           Invariant = "no_loss"
	NoDuplicates     Invariant = "no_duplicates"
	InOrder          Invariant = "in_order"
	NoCorruption     Invariant = "no_corruption"
	ReadCommitted    Invariant = "read_committed"    // nothing of an aborted transaction is delivered to a read_committed reader, nothing of a committed one missing
	CommittedOffsets Invariant = "committed_offsets" // a group never commits beyond what was delivered, and never goes back behind a commit
)

// Invariants lists them all.
var Invariants = []Invariant{NoLoss, NoDuplicates, InOrder, NoCorruption, ReadCommitted, CommittedOffsets}

// Threshold is `metric.stat op value`, judged over the whole run or one stage.
type Threshold struct {
	Expr          string        `json:"expr"` // as written
	Pos           Pos           `json:"pos"`
	Metric        string        `json:"metric"`                   // "produce.latency"
	Stat          string        `json:"stat,omitempty"`           // "p99", "max", …; empty for plain numbers such as errors.rate
	Op            string        `json:"op"`                       // "<", "<=", ">", ">="
	Value         float64       `json:"value"`                    // in the metric's base unit: nanoseconds, records/s, fraction, count
	During        string        `json:"during,omitempty"`         // stage name; empty = whole run after warm-up
	Group         string        `json:"group,omitempty"`          // "consume.lag.max{group=ledger}": of one group
	Window        time.Duration `json:"window_ns,omitempty"`      // judge windows of this length, each on its own
	OfWindows     float64       `json:"of_windows,omitempty"`     // fraction of the windows that must hold, (0, 1]
	OutsideFaults bool          `json:"outside_faults,omitempty"` // leave out the time from a fault's begin to its recovery
	Abort         bool          `json:"abort,omitempty"`          // stop the run as soon as it cannot hold any more
}

// Trend is a limit on a metric's slope over the run after the warm-up, by least squares.
type Trend struct {
	Expr     string        `json:"expr"` // "broker.memory.rss < 1MiB/h"
	Pos      Pos           `json:"pos"`
	Metric   string        `json:"metric"`
	Stat     string        `json:"stat,omitempty"`
	Op       string        `json:"op"`                 // "<", "<=", ">", ">="
	Value    float64       `json:"value"`              // in the metric's base unit, or a fraction of its mean if Relative, per Per
	Relative bool          `json:"relative,omitempty"` // "2%/h"
	Per      time.Duration `json:"per_ns"`
}

// Steady ends the warm-up when the metric's slope and spread over a rolling window are within a fraction of its mean.
type Steady struct {
	Pos     Pos           `json:"pos"`
	Metric  string        `json:"metric"`
	Stat    string        `json:"stat,omitempty"`
	Within  float64       `json:"within"` // fraction of the mean
	Over    time.Duration `json:"over_ns"`
	Timeout time.Duration `json:"timeout_ns"` // not steady by then: the measurement is invalid
}

// Executor is load that does not follow a schedule of rates.
type Executor struct {
	Kind      string        `json:"kind"` // "clients", "full_speed", "records", "find_max_rate"
	Pos       Pos           `json:"pos"`
	Clients   int           `json:"clients,omitempty"`       // clients: each has one record in flight
	Think     time.Duration `json:"think_time_ns,omitempty"` // clients: pause after each answer
	Duration  time.Duration `json:"duration_ns,omitempty"`   // clients, full_speed
	InFlight  int           `json:"in_flight,omitempty"`     // full_speed: unacknowledged records; 0 = engine's choice
	Records   int64         `json:"records,omitempty"`       // records: so many, as fast as they go
	SLO       []Threshold   `json:"slo,omitempty"`           // find_max_rate: what must hold at a rate
	StartRate float64       `json:"start_rate,omitempty"`    // find_max_rate
	Hold      time.Duration `json:"hold_ns,omitempty"`       // find_max_rate: how long each rate is tried
	Tolerance float64       `json:"tolerance,omitempty"`     // find_max_rate: stop when the bounds are so close, a fraction
}

// Local is a cluster that the run starts on this machine.
type Local struct {
	Pos     Pos `json:"pos"`
	Brokers int `json:"brokers"`
}

// Fault is one disturbance, or with Every a row of them. At counts from the first record of the stages.
type Fault struct {
	Kind         string        `json:"kind"` // "kill", "pause", "restart", "partition", "latency", "packet_loss", "bandwidth", "slow_disk", "disk_full", "clock_skew", "rebalance", "random"
	Pos          Pos           `json:"pos"`
	Targets      []Target      `json:"targets,omitempty"`          // what is struck; partition: one side, cut off from everything else
	At           time.Duration `json:"at_ns"`                      // "peak+5s" is resolved by now
	Every        time.Duration `json:"every_ns,omitempty"`         // again and again from At (or Every, when At is not given) until the last stage ends
	Duration     time.Duration `json:"duration_ns,omitempty"`      // of pause, partition, latency, packet_loss, bandwidth, slow_disk, disk_full, clock_skew
	RestartAfter time.Duration `json:"restart_after_ns,omitempty"` // kill: 0 = when the stages have ended
	Symmetric    bool          `json:"symmetric,omitempty"`        // partition: both directions; else only what the target sends is lost
	Delay        time.Duration `json:"delay_ns,omitempty"`         // latency, slow_disk: added to each direction, each write and flush
	Jitter       time.Duration `json:"jitter_ns,omitempty"`        // latency: uniform, plus or minus
	Loss         float64       `json:"loss,omitempty"`             // packet_loss: fraction; played as stalls of a retransmission, since TCP loses nothing
	Bandwidth    float64       `json:"bandwidth,omitempty"`        // bandwidth: bytes per second and direction
	Skew         time.Duration `json:"skew_ns,omitempty"`          // clock_skew
	Group        string        `json:"group,omitempty"`            // rebalance
	Join         int           `json:"join,omitempty"`             // rebalance: members that come
	Leave        int           `json:"leave,omitempty"`            // rebalance: members that go
	RejoinAfter  time.Duration `json:"rejoin_after_ns,omitempty"`  // rebalance: 0 = they stay away
	Choices      []Fault       `json:"choices,omitempty"`          // random: one of them at each beat of Every
	Seed         uint64        `json:"seed,omitempty"`             // random
}

// Target is who is struck. It is resolved when the fault begins: a leader then may be another broker than now.
type Target struct {
	Kind      string `json:"kind"` // "leader", "follower", "controller", "coordinator", "broker", "brokers", "random", "rolling", "client"
	Pos       Pos    `json:"pos"`
	Topic     string `json:"topic,omitempty"`     // leader, follower
	Partition int    `json:"partition,omitempty"` // leader, follower
	Group     string `json:"group,omitempty"`     // coordinator
	ID        int    `json:"id,omitempty"`        // broker
	Flow      string `json:"flow,omitempty"`      // client: "produce:orders", "consume:orders", "consume:orders:billing"
}
