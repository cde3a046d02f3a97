package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// Quorum is the state of the metadata's log.
type Quorum struct{ Epoch, End, High int64 }

// describeQuorum shows the quorum of the metadata, whose only voter, and leader, is this broker.
func describeQuorum(r *request) (listen.Pending, error) {
	var req wire.DescribeQuorumRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DescribeQuorumResponse)
	for _, in := range req.Topics {
		out := wire.DescribeQuorumResponseTopic{Name: in.Name}
		for _, p := range in.Partitions {
			out.Partitions = append(out.Partitions, r.s.quorumOf(in.Name, p.PartitionIndex))
		}
		resp.Topics = append(resp.Topics, out)
	}
	resp.Nodes = []wire.DescribeQuorumResponseNode{{NodeID: r.s.NodeID, Listeners: []wire.DescribeQuorumResponseListener{
		{Name: "PLAINTEXT", Host: r.s.Host, Port: uint16(r.s.Port)}}}}
	return r.answer(resp), nil
}

func (s *Server) quorumOf(topic string, partition int32) wire.DescribeQuorumResponsePartition {
	if topic != topics.MetadataTopic || partition != 0 {
		err := noTopic(topic)
		return wire.DescribeQuorumResponsePartition{PartitionIndex: partition, ErrorCode: s.codeOf(err), ErrorMessage: message(err), LeaderID: -1, HighWatermark: -1}
	}
	q, now := s.Quorum(), s.Now().UnixMilli()
	return wire.DescribeQuorumResponsePartition{
		PartitionIndex: partition, LeaderID: s.NodeID, LeaderEpoch: int32(q.Epoch), HighWatermark: q.High,
		CurrentVoters: []wire.DescribeQuorumResponseReplica{{ReplicaID: s.NodeID, LogEndOffset: q.End, LastFetchTimestamp: now, LastCaughtUpTimestamp: now}},
	}
}
