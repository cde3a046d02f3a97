package topics

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streambus/streambus/engine"
)

// setting is a topic setting that may be given at creation.
type setting struct {
	name   string
	byName string // what it is when not set, as text
	check  func(v string) string
}

// settings are those that are taken. Some are stored and have no effect (preallocate, segment.jitter.ms, …);
// what would change what clients are promised, and is not done, is refused instead.
func (d Defaults) settings() []setting {
	big := strconv.FormatInt(math.MaxInt64, 10)
	return []setting{
		{"cleanup.policy", "delete", policy},
		{"compression.type", "producer", only("producer", "batches are kept as the producer compressed them")},
		{"delete.retention.ms", "86400000", number(0, math.MaxInt64)},
		{"file.delete.delay.ms", "60000", number(0, math.MaxInt64)},
		{"flush.messages", strconv.FormatInt(d.FlushMessages, 10), number(1, math.MaxInt64)},
		{"flush.ms", strconv.FormatInt(d.FlushMs, 10), number(0, math.MaxInt64)},
		{"index.interval.bytes", strconv.Itoa(d.IndexIntervalBytes), number(64, math.MaxInt32)},
		{"max.compaction.lag.ms", big, number(1, math.MaxInt64)},
		{"max.message.bytes", strconv.Itoa(d.MaxBatchBytes), number(61, math.MaxInt32)},
		{"message.timestamp.after.max.ms", "3600000", number(0, math.MaxInt64)},
		{"message.timestamp.before.max.ms", big, number(0, math.MaxInt64)},
		{"message.timestamp.type", "CreateTime", only("CreateTime", "the broker does not change timestamps")},
		{"min.cleanable.dirty.ratio", "0.5", ratio},
		{"min.compaction.lag.ms", "0", number(0, math.MaxInt64)},
		{"min.insync.replicas", "1", only("1", "there is one replica")},
		{"preallocate", "false", boolean},
		{"retention.bytes", strconv.FormatInt(d.RetentionBytes, 10), number(-1, math.MaxInt64)},
		{"retention.ms", strconv.FormatInt(d.RetentionMs, 10), number(-1, math.MaxInt64)},
		{"segment.bytes", strconv.FormatInt(d.SegmentBytes, 10), number(64<<10, math.MaxInt32)},
		{"segment.index.bytes", "10485760", number(4, math.MaxInt32)},
		{"segment.jitter.ms", "0", number(0, math.MaxInt64)},
		{"segment.ms", "604800000", number(1, math.MaxInt64)},
		{"unclean.leader.election.enable", "false", boolean},
	}
}

// checkSettings holds what a client gives against the table. Errors: ErrSetting.
func (d Defaults) checkSettings(given map[string]string) error {
	table := d.settings()
	for name, v := range given {
		i := slices.IndexFunc(table, func(s setting) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("%w: unknown topic config name: %s", ErrSetting, name)
		}
		if right := table[i].check(v); right != "" {
			return fmt.Errorf("%w: %s = %q: it must be %s", ErrSetting, name, v, right)
		}
	}
	return nil
}

// Setting is one setting of a topic as it counts.
type Setting struct {
	Name    string
	Value   string
	Default bool // not set for this topic
}

// Effective lists all settings of a topic with those given.
func (d Defaults) Effective(given map[string]string) []Setting {
	table := d.settings()
	out := make([]Setting, 0, len(table))
	for _, s := range table {
		v, set := given[s.name]
		if !set {
			v = s.byName
		}
		out = append(out, Setting{s.name, v, !set})
	}
	return out
}

// intSetting is a checked number among those given, or byDefault.
func intSetting(given map[string]string, name string, byDefault int64) int64 {
	if v, err := strconv.ParseInt(given[name], 10, 64); err == nil {
		return v
	}
	return byDefault
}

// logOptions is what the settings mean to the engine. The broker's own topics keep everything, durably.
func (d Defaults) logOptions(given map[string]string, internal bool) engine.LogOptions {
	o := engine.LogOptions{
		SegmentBytes:       intSetting(given, "segment.bytes", d.SegmentBytes),
		SegmentAge:         duration(intSetting(given, "segment.ms", 604800000)),
		IndexIntervalBytes: int(intSetting(given, "index.interval.bytes", int64(d.IndexIntervalBytes))),
		MaxBatchBytes:      int(intSetting(given, "max.message.bytes", int64(d.MaxBatchBytes))),
		Reserve:            internal,
	}
	if o.Compact = strings.Contains(given["cleanup.policy"], "compact"); o.Compact {
		o.MinDirtyRatio = fraction(given["min.cleanable.dirty.ratio"], 0.5)
		o.MinCompactionLag = duration(intSetting(given, "min.compaction.lag.ms", 0))
		o.MaxCompactionLag = duration(intSetting(given, "max.compaction.lag.ms", math.MaxInt64))
		const most = int64(math.MaxInt64 / time.Millisecond)
		o.DeleteRetention = time.Duration(max(min(intSetting(given, "delete.retention.ms", 86400000), most), 1)) * time.Millisecond
	}
	if internal {
		return o
	}
	o.Durability, o.FlushInterval = durability(intSetting(given, "flush.messages", d.FlushMessages), intSetting(given, "flush.ms", d.FlushMs))
	if deletes(given["cleanup.policy"]) {
		o.RetentionBytes = max(intSetting(given, "retention.bytes", d.RetentionBytes), 0)
		ms := intSetting(given, "retention.ms", d.RetentionMs)
		if o.RetentionTime = duration(ms); ms == 0 {
			o.RetentionTime = time.Millisecond // 0 is the engine's word for no limit
		}
	}
	return o
}

// durability maps Kafka's flush settings: one record at a time is before the acknowledgement; more is left to the time, and
// without a time to the kernel.
func durability(messages, ms int64) (engine.Durability, time.Duration) {
	switch {
	case messages <= 1 || ms == 0:
		return engine.Fsync, 0
	case duration(ms) > 0:
		return engine.Interval, duration(ms)
	}
	return engine.PageCache, 0
}

// fraction is a checked number, or byDefault. The engine's word for its own default is 0, so 0 is as good as nothing.
func fraction(v string, byDefault float64) float64 {
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		return max(f, 1e-9)
	}
	return byDefault
}

// duration is so many milliseconds; 0, no limit, for negative ones and those beyond what a Duration holds.
func duration(ms int64) time.Duration {
	if ms < 0 || ms > int64(math.MaxInt64/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// deletes says whether a cleanup.policy deletes by age and size; not set, it does.
func deletes(policy string) bool { return policy == "" || strings.Contains(policy, "delete") }

func number(lo, hi int64) func(string) string {
	return func(v string) string {
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < lo || n > hi {
			return fmt.Sprintf("a whole number from %d to %d", lo, hi)
		}
		return ""
	}
}

func only(value, why string) func(string) string {
	return func(v string) string {
		if v != value {
			return fmt.Sprintf("%s: %s", value, why)
		}
		return ""
	}
}

func policy(v string) string {
	for p := range strings.SplitSeq(v, ",") {
		if p = strings.TrimSpace(p); p != "delete" && p != "compact" {
			return "delete, compact, or both"
		}
	}
	return ""
}

func boolean(v string) string {
	if v != "true" && v != "false" {
		return "true or false"
	}
	return ""
}

func ratio(v string) string {
	if f, err := strconv.ParseFloat(v, 64); err != nil || f < 0 || f > 1 {
		return "a number from 0 to 1"
	}
	return ""
}
