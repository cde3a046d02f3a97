package api

import (
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// Disk is the broker's one data directory.
type Disk struct {
	Dir   string
	Usage func() (total, usable int64) // bytes of its file system; -1: it does not say
	Err   func() error                 // why it is not usable any more, nil while it is
}

func describeLogDirs(r *request) (listen.Pending, error) {
	var req wire.DescribeLogDirsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	out := wire.DescribeLogDirsResponseResult{LogDir: r.s.Disk.Dir}
	out.TotalBytes, out.UsableBytes = r.s.Disk.Usage()
	out.ErrorCode = r.s.codeOf(r.s.Disk.Err())
	if req.Topics == nil {
		for _, t := range r.s.Topics.All() {
			out.Topics = appendSizes(out.Topics, t, nil)
		}
	}
	for _, in := range req.Topics {
		if t := r.s.Topics.Topic(in.Name); t != nil && len(in.Partitions) > 0 {
			out.Topics = appendSizes(out.Topics, t, in.Partitions)
		}
	}
	return r.answer(&wire.DescribeLogDirsResponse{Results: []wire.DescribeLogDirsResponseResult{out}}), nil
}

// appendSizes adds the sizes of a topic's partitions, only of those named if any are. One that is offline has none to show, and one that
// is named twice is shown once.
func appendSizes(to []wire.DescribeLogDirsResponseTopic, t *topics.Topic, only []int32) []wire.DescribeLogDirsResponseTopic {
	out := wire.DescribeLogDirsResponseTopic{Name: t.Name}
	for i := range int32(t.Partitions) {
		if only != nil && !slices.Contains(only, i) {
			continue
		}
		if p, err := t.Partition(i); err == nil {
			out.Partitions = append(out.Partitions, wire.DescribeLogDirsResponsePartition{PartitionIndex: i, PartitionSize: p.Log().SizeBytes()})
		}
	}
	if len(out.Partitions) == 0 {
		return to
	}
	return append(to, out)
}
