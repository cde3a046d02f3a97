package api

import (
	"errors"
	"slices"
	"strings"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

var errCursor = errors.New("the cursor's partition is negative")

// describeTopicPartitions describes topics page by page (KIP-966). They are in order of name, and a cursor names the first partition that
// a page did not have room for, so that topics that come and go between two pages disturb no other.
func describeTopicPartitions(r *request) (listen.Pending, error) {
	var req wire.DescribeTopicPartitionsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DescribeTopicPartitionsResponse)
	from := wire.DescribeTopicPartitionsCursor{}
	if req.Cursor != nil {
		from = *req.Cursor
	}
	names := r.s.namesFrom(req.Topics, from.TopicName)
	left := max(min(int(req.ResponsePartitionLimit), r.s.PagePartitions), 1)
	for _, name := range names {
		first := 0
		if name == from.TopicName {
			first = int(from.PartitionIndex)
		}
		if from.PartitionIndex < 0 {
			resp.Topics = append(resp.Topics, wire.DescribeTopicPartitionsResponseTopic{Name: &name, ErrorCode: r.s.codeOf(errCursor), TopicAuthorizedOperations: wire.NoAuthorizedOperations})
			continue
		}
		if left == 0 {
			resp.NextCursor = &wire.DescribeTopicPartitionsCursor{TopicName: name}
			break
		}
		out, next := r.s.page(name, first, left)
		resp.Topics = append(resp.Topics, out)
		left -= len(out.Partitions)
		if next > 0 {
			resp.NextCursor = &wire.DescribeTopicPartitionsCursor{TopicName: name, PartitionIndex: int32(next)}
			break
		}
	}
	return r.answer(resp), nil
}

// namesFrom lists the topics asked for, all if none are, from a name on.
func (s *Server) namesFrom(asked []wire.DescribeTopicPartitionsRequestTopic, from string) (names []string) {
	for _, t := range asked {
		names = append(names, t.Name)
	}
	if len(asked) == 0 {
		for _, t := range s.Topics.All() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return strings.Compare(n, from) < 0 })
}

// page describes at most limit partitions of a topic, from the first on; next is the one after them, 0 when there is none.
func (s *Server) page(name string, first, limit int) (out wire.DescribeTopicPartitionsResponseTopic, next int) {
	out.Default()
	out.Name = &name
	t := s.Topics.Topic(name)
	if t == nil {
		_, err := s.Topics.DescribeConfigs(topics.Resource{Kind: topics.TopicResource, Name: name}, nil) // tells a bad name from one that is not there
		if err == nil {
			err = noTopic(name) // it was not a moment ago
		}
		out.ErrorCode = s.codeOf(err)
		return out, 0
	}
	whole := s.describe(t)
	out.TopicID, out.IsInternal, out.TopicAuthorizedOperations = whole.TopicID, whole.IsInternal, topicOperations
	first = min(first, len(whole.Partitions))
	end := min(first+limit, len(whole.Partitions))
	for _, p := range whole.Partitions[first:end] {
		out.Partitions = append(out.Partitions, wire.DescribeTopicPartitionsResponsePartition{
			ErrorCode: p.ErrorCode, PartitionIndex: p.PartitionIndex, LeaderID: p.LeaderID, LeaderEpoch: p.LeaderEpoch,
			ReplicaNodes: p.ReplicaNodes, IsrNodes: p.IsrNodes, OfflineReplicas: p.OfflineReplicas,
			EligibleLeaderReplicas: []int32{}, LastKnownElr: []int32{},
		})
	}
	if end < len(whole.Partitions) {
		return out, end
	}
	return out, 0
}
