package admin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is what a Target is measured from.
type Kind uint8

// The kinds of targets.
const (
	AtOffset Kind = iota
	AtStart
	AtEnd
	AtTime

	atStable // the end of what belongs to no open transaction
)

// Target is a place in a partition: an offset, an end, the first record at or after a time, or so many records from where one is.
type Target struct {
	Kind   Kind
	Offset int64 // of AtOffset; with Shift, how far to go from the present offset, forward or back
	Shift  bool
	Time   time.Time // of AtTime
}

// ParseTarget reads
//
//	start, earliest      the first offset kept
//	end, latest          the end
//	4711                 that offset
//	+100, -100           so many further, or back, from the present place (the end, where there is none)
//	@2026-11-24T10:00:00Z, @1700000000000   the first record at or after a time (RFC 3339, or milliseconds since 1970)
//	@-2h                 the same, so long ago
func ParseTarget(s string, now time.Time) (t Target, err error) {
	bad := func(why string) (Target, error) {
		return t, fmt.Errorf("%q is no place in a partition: %s; give start, end, an offset, +N, -N, @TIME (RFC 3339 or milliseconds) or @-DURATION", s, why)
	}
	switch {
	case s == "start" || s == "earliest":
		return Target{Kind: AtStart}, nil
	case s == "end" || s == "latest":
		return Target{Kind: AtEnd}, nil
	case strings.HasPrefix(s, "@-"):
		d, err := time.ParseDuration(s[2:])
		if err != nil || d < 0 {
			return bad("a duration is like 90m or 2h30m")
		}
		return Target{Kind: AtTime, Time: now.Add(-d)}, nil
	case strings.HasPrefix(s, "@"):
		if ms, err := strconv.ParseInt(s[1:], 10, 64); err == nil {
			return Target{Kind: AtTime, Time: time.UnixMilli(ms)}, nil
		}
		at, err := time.Parse(time.RFC3339Nano, s[1:])
		if err != nil {
			return bad("a time is like 2026-11-24T10:00:00Z")
		}
		return Target{Kind: AtTime, Time: at}, nil
	}
	n, perr := strconv.ParseInt(s, 10, 64)
	if perr != nil {
		return bad("it is no number")
	}
	return Target{Kind: AtOffset, Offset: n, Shift: s[0] == '+' || s[0] == '-'}, nil
}

// ParseTopicPartitions reads TOPIC or TOPIC:0,1,5. None given means all.
func ParseTopicPartitions(s string) (topic string, partitions []int32, err error) {
	topic, list, some := strings.Cut(s, ":")
	if topic == "" || some && list == "" {
		return "", nil, fmt.Errorf("%q must be TOPIC or TOPIC:PARTITION,…", s)
	}
	if !some {
		return topic, nil, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		p, err := strconv.ParseInt(item, 10, 32)
		if err != nil || p < 0 {
			return "", nil, fmt.Errorf("%q is no partition: %q must be TOPIC or TOPIC:PARTITION,…", item, s)
		}
		partitions = append(partitions, int32(p))
	}
	return topic, partitions, nil
}
