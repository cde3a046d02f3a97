package compact

import (
	"math"

	"github.com/streambus/streambus/engine/batch"
)

// Segment is what must be known of one segment of a log to plan its cleaning.
type Segment struct {
	Base, Next batch.Offset // its records are in [Base, Next); Next is the Base of the next segment
	SizeBytes  int64
	OldestMs   int64 // largest timestamp of its first batch (KIP-354)
	NewestMs   int64 // largest timestamp in it
	Active     bool  // still appended to: never cleaned
}

// Policy is a topic's configuration.
type Policy struct {
	MinDirtyRatio float64 // min.cleanable.dirty.ratio: clean when more than this part of the log is dirty
	MinLagMs      int64   // min.compaction.lag.ms: records younger than this are not cleaned; 0: no bound
	MaxLagMs      int64   // max.compaction.lag.ms: dirty records older than this are cleaned whatever the ratio; 0: no bound
}

// Plan is what Choose says: the Start and End of a Round, and why.
type Plan struct {
	Start, End batch.Offset
	CleanBytes int64 // in segments wholly below Start
	DirtyBytes int64 // in segments that reach into [Start, End)
	Overdue    bool  // MaxLagMs is exceeded
}

// DirtyRatio is the dirty part of what a round would read; of several logs that are due, overdue ones go first, then the
// dirtiest, as in Kafka.
func (p Plan) DirtyRatio() float64 {
	if p.DirtyBytes == 0 {
		return 0
	}
	return float64(p.DirtyBytes) / float64(p.CleanBytes+p.DirtyBytes)
}

// Choose says what a round over a log would clean, and whether one is due. Segments are in order and without holes. cleaned is
// where the last round ended (0 if there was none; a value outside the log counts as none), stable the first offset that may
// still change or be undone: the least of the last stable offset, the high watermark and, with replicas, what all of them have.
//
// A log in which only tombstones wait for their horizon is not due: they go when something is dirty, as in Kafka.
func Choose(segments []Segment, cleaned, stable batch.Offset, p Policy, nowMs int64) (plan Plan, due bool) {
	if len(segments) == 0 {
		return Plan{}, false
	}
	first, last := segments[0], segments[len(segments)-1]
	plan.Start = cleaned
	if cleaned < first.Base || cleaned > last.Next {
		plan.Start = first.Base
	}
	plan.End = max(plan.Start, min(stable, firstUncleanable(segments, plan.Start, p, nowMs)))
	for _, s := range segments {
		switch {
		case s.Next <= plan.Start:
			plan.CleanBytes += s.SizeBytes
		case s.Base < plan.End:
			plan.DirtyBytes += s.SizeBytes
			plan.Overdue = plan.Overdue || p.MaxLagMs > 0 && s.OldestMs < nowMs-p.MaxLagMs
		}
	}
	return plan, plan.End > plan.Start && (plan.Overdue || plan.DirtyRatio() > p.MinDirtyRatio)
}

// firstUncleanable is where the active segment begins, or the first dirty one with a record that is too young.
func firstUncleanable(segments []Segment, start batch.Offset, p Policy, nowMs int64) batch.Offset {
	for _, s := range segments {
		if s.Active || s.Next > start && p.MinLagMs > 0 && s.NewestMs > nowMs-p.MinLagMs {
			return s.Base
		}
	}
	return segments[len(segments)-1].Next
}

// Group joins neighbours among the segments below end so that each group, as large as it was before cleaning, fits one segment
// of maxBytes: otherwise a log cleaned again and again would end in ever smaller files. A segment that is larger than maxBytes
// makes a group of its own. The groups are views of segments.
func Group(segments []Segment, end batch.Offset, maxBytes int64) (groups [][]Segment) {
	for len(segments) > 0 && segments[0].Base < end && !segments[0].Active {
		n, size := 1, segments[0].SizeBytes
		for n < len(segments) {
			s := segments[n]
			size += s.SizeBytes
			if s.Base >= end || s.Active || size > maxBytes || s.Next-1-segments[0].Base > math.MaxInt32 {
				break
			}
			n++
		}
		groups, segments = append(groups, segments[:n:n]), segments[n:]
	}
	return groups
}
