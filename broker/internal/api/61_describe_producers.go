package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// describeProducers tells who has written to partitions, and whose transactions are open there (KIP-664).
func describeProducers(r *request) (listen.Pending, error) {
	var req wire.DescribeProducersRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.DescribeProducersResponse{Topics: make([]wire.DescribeProducersResponseTopic, len(req.Topics))}
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]wire.DescribeProducersResponsePartition, len(t.PartitionIndexes))
		topic := r.s.Topics.Topic(t.Name)
		for j, index := range t.PartitionIndexes {
			part := &out.Partitions[j]
			part.PartitionIndex = index
			if topic == nil {
				part.ErrorCode = wire.CodeUnknownTopicOrPartition
				continue
			}
			p, err := topic.Partition(index)
			if err != nil {
				part.ErrorCode, part.ErrorMessage = r.s.codeOf(err), message(err)
				continue
			}
			part.ActiveProducers = producersOf(p)
		}
	}
	return r.answer(resp), nil
}

func producersOf(p *partition.Partition) (out []wire.DescribeProducersResponseProducer) {
	for _, s := range p.Log().Producers() {
		out = append(out, wire.DescribeProducersResponseProducer{
			ProducerID: int64(s.ID), ProducerEpoch: int32(s.Epoch), LastSequence: int32(s.LastSequence), LastTimestamp: lastTime(p, s),
			CoordinatorEpoch:      -1, // not kept: it is a transaction coordinator's leader epoch, which fences nothing here
			CurrentTxnStartOffset: int64(s.TxnStart),
		})
	}
	return out
}

// lastTime is when a producer last wrote, read from its batch; -1 where that is gone.
func lastTime(p *partition.Partition, s engine.ProducerState) int64 {
	span, err := p.Read(s.Last, p.HighWatermark(), 1)
	if err != nil {
		return -1
	}
	defer span.Release()
	b, err := span.AppendTo(nil)
	if err != nil {
		return -1
	}
	if one, err := batch.First(b); err == nil && one.ProducerID() == s.ID {
		return one.MaxTimestamp()
	}
	return -1
}
