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
	Warmup      time.Duration `json:"warmup_ns"`     // excluded from metrics, still verified
	Drain       time.Duration `json:"drain_ns"`      // limit of the drain-and-converge phase after the last stage
	MaxInFlight int           `json:"max_in_flight"` // unacknowledged records of the whole scenario; 0 = engine's choice
	Verify      []Invariant   `json:"verify"`        // resolved: "auto" is gone by now
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
}

// Consume is a flow of records out of a topic, by a group or (Group empty) by one direct reader of all partitions.
type Consume struct {
	Topic     Topic         `json:"topic"`
	Pos       Pos           `json:"pos"`
	Group     string        `json:"group,omitempty"`
	Members   int           `json:"members"`
	ThinkTime time.Duration `json:"think_time_ns,omitempty"`
	Isolation string        `json:"isolation"` // "read_uncommitted", "read_committed"
	Start     string        `json:"start"`     // "earliest", "latest"
}

// Value says how record values are made.
type Value struct {
	Kind         string  `json:"kind"` // "bytes"
	Size         int     `json:"size"` // bytes, all of the value
	Compressible float64 `json:"compressible"`
}

// Key says how record keys are chosen.
type Key struct {
	Kind  string  `json:"kind"` // "none", "sequential", "round_robin", "uniform", "zipf", "hot"
	N     int     `json:"n,omitempty"`
	S     float64 `json:"s,omitempty"`     // zipf exponent, > 0
	Hot   float64 `json:"hot,omitempty"`   // hot: fraction of the keys that is hot, (0, 1)
	Share float64 `json:"share,omitempty"` // hot: fraction of the records that go to hot keys, (0, 1)
}

// Stage is a stretch of the schedule: the rate goes in a straight line from From to To (hold: From == To).
type Stage struct {
	Kind     string        `json:"kind"` // "hold", "ramp"
	Name     string        `json:"name"` // given, or "hold-1", "ramp-2", …
	Pos      Pos           `json:"pos"`
	Duration time.Duration `json:"duration_ns"`
	From     float64       `json:"from"` // records per second
	To       float64       `json:"to"`
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
	NoLoss       Invariant = "no_loss"
	NoDuplicates Invariant = "no_duplicates"
	InOrder      Invariant = "in_order"
	NoCorruption Invariant = "no_corruption"
)

// Threshold is `metric.stat op value`, judged over the whole run or one stage.
type Threshold struct {
	Expr   string  `json:"expr"` // as written
	Pos    Pos     `json:"pos"`
	Metric string  `json:"metric"`           // "produce.latency"
	Stat   string  `json:"stat,omitempty"`   // "p99", "max", …; empty for plain numbers such as errors.rate
	Op     string  `json:"op"`               // "<", "<=", ">", ">="
	Value  float64 `json:"value"`            // in the metric's base unit: nanoseconds, records/s, fraction, count
	During string  `json:"during,omitempty"` // stage name; empty = whole run after warm-up
}
