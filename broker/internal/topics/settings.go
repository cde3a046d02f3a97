package topics

import (
	"math"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/topics/admit"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// logOptions is what a topic's settings mean to the engine. The broker's own topics keep everything, durably, and take records of
// the usual size whatever producers may send.
func logOptions(v *config.View, set map[string]string, internal bool) engine.LogOptions {
	num := func(name string) int64 { return v.Topic(set, name).Num }
	policy := v.Topic(set, "cleanup.policy").Items
	o := engine.LogOptions{
		SegmentBytes:       min(num("segment.bytes"), indexed(num("segment.index.bytes"), num("index.interval.bytes"))),
		SegmentAge:         duration(num("segment.ms")),
		SegmentJitter:      duration(num("segment.jitter.ms")),
		IndexIntervalBytes: int(num("index.interval.bytes")),
		MaxBatchBytes:      int(num("max.message.bytes")),
		Preallocate:        v.Topic(set, "preallocate").On,
		Reserve:            internal,
	}
	if o.Compact = slices.Contains(policy, "compact"); o.Compact {
		o.MinDirtyRatio = max(v.Topic(set, "min.cleanable.dirty.ratio").Real, 1e-9) // 0 is the engine's word for its default
		o.MinCompactionLag = duration(num("min.compaction.lag.ms"))
		o.MaxCompactionLag = duration(num("max.compaction.lag.ms"))
		if lag := o.MaxCompactionLag; lag > 0 && (o.SegmentAge == 0 || lag < o.SegmentAge) {
			o.SegmentAge = lag // only what is in a segment that has ended can be compacted (as in Kafka: KIP-354)
		}
		const most = int64(math.MaxInt64 / time.Millisecond)
		o.DeleteRetention = time.Duration(max(min(num("delete.retention.ms"), most), 1)) * time.Millisecond
	}
	if internal {
		o.MaxBatchBytes = max(o.MaxBatchBytes, leastInternalBatch)
		return o
	}
	o.Durability, o.FlushInterval = durability(num("flush.messages"), num("flush.ms"))
	if slices.Contains(policy, "delete") {
		o.RetentionBytes = max(num("retention.bytes"), 0)
		ms := num("retention.ms")
		if o.RetentionTime = duration(ms); ms == 0 {
			o.RetentionTime = time.Millisecond // 0 is the engine's word for no limit
		}
	}
	return o
}

// leastInternalBatch is what the broker's own records may need: Kafka's default of message.max.bytes.
const leastInternalBatch = 1048588

// indexed is how large a segment is when its index is full: an entry of 8 bytes stands for at least an interval of it.
func indexed(indexBytes, interval int64) int64 { return indexBytes / 8 * interval }

// rulesOf is what a topic's settings ask of a batch.
func rulesOf(v *config.View, set map[string]string) admit.Rules {
	r := admit.Rules{
		RequiresKey: slices.Contains(v.Topic(set, "cleanup.policy").Items, "compact"),
		AppendTime:  v.Topic(set, "message.timestamp.type").Raw == "LogAppendTime",
		BeforeMs:    v.Topic(set, "message.timestamp.before.max.ms").Num,
		AfterMs:     v.Topic(set, "message.timestamp.after.max.ms").Num,
		MinInsync:   int(v.Topic(set, "min.insync.replicas").Num),
	}
	r.Codec, r.Recode = codecs[v.Topic(set, "compression.type").Raw]
	return r
}

// codecs are the values of compression.type, but for producer, which changes nothing.
var codecs = map[string]batch.Codec{"uncompressed": batch.None, "gzip": batch.Gzip, "snappy": batch.Snappy, "lz4": batch.LZ4, "zstd": batch.Zstd}

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

// duration is so many milliseconds; 0, no limit, for negative ones and those beyond what a Duration holds.
func duration(ms int64) time.Duration {
	if ms < 0 || ms > int64(math.MaxInt64/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
