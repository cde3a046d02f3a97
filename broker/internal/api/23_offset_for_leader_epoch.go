package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// offsetForLeaderEpoch says where the records of a leader epoch end, so that who has read some of them knows whether they are there still
// (KIP-101, KIP-320).
func offsetForLeaderEpoch(r *request) (listen.Pending, error) {
	var req wire.OffsetForLeaderEpochRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.OffsetForLeaderEpochResponse{Topics: make([]wire.OffsetForLeaderEpochResponseTopic, len(req.Topics))}
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]wire.OffsetForLeaderEpochResponsePartition, len(t.Partitions))
		for j, p := range t.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			out.Partitions[j].ErrorCode = r.s.codeOf(r.epochEnd(t.Name, p, &out.Partitions[j]))
		}
	}
	return r.answer(resp), nil
}

func (r *request) epochEnd(topic string, in wire.OffsetForLeaderEpochRequestPartition, out *wire.OffsetForLeaderEpochResponsePartition) error {
	p, err := r.s.led(topic, in.PartitionIndex, batch.Epoch(in.CurrentLeaderEpoch))
	if err != nil {
		return err
	}
	if asked := batch.Epoch(in.LeaderEpoch); asked == p.Epoch() { // it goes on
		out.LeaderEpoch, out.EndOffset = int32(asked), int64(p.HighWatermark())
	} else if epoch, end, ok := p.Log().EpochEnd(asked); ok && asked < p.Epoch() {
		out.LeaderEpoch, out.EndOffset = int32(epoch), int64(end)
	}
	return nil
}
