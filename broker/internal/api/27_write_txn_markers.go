package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// writeTxnMarkers ends transactions in single partitions, past their coordinator: what kafka-transactions abort does to one that hangs.
func writeTxnMarkers(r *request) (listen.Pending, error) {
	var req wire.WriteTxnMarkersRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	type written struct {
		done *partition.Future
		code *wire.ErrorCode
	}
	var all []written
	resp := &wire.WriteTxnMarkersResponse{Markers: make([]wire.WriteTxnMarkersResponseMarker, len(req.Markers))}
	for i, m := range req.Markers {
		out := &resp.Markers[i]
		out.ProducerID = m.ProducerID
		out.Topics = make([]wire.WriteTxnMarkersResponseTopic, len(m.Topics))
		for j, t := range m.Topics {
			parts := make([]wire.WriteTxnMarkersResponsePartition, len(t.PartitionIndexes))
			out.Topics[j] = wire.WriteTxnMarkersResponseTopic{Name: t.Name, Partitions: parts}
			topic := r.s.Topics.Topic(t.Name)
			for k, p := range t.PartitionIndexes {
				parts[k].PartitionIndex = p
				if topic == nil || p < 0 || int(p) >= topic.Partitions {
					parts[k].ErrorCode = wire.CodeUnknownTopicOrPartition
					continue
				}
				done := partition.NewFuture()
				all = append(all, written{done, &parts[k].ErrorCode})
				r.s.Markers.WriteMarker(txn.Marker{
					TopicPartition: txn.TopicPartition{Topic: t.Name, Partition: p},
					Producer:       txn.Producer{ID: batch.ProducerID(m.ProducerID), Epoch: batch.ProducerEpoch(m.ProducerEpoch)},
					Commit:         m.TransactionResult, CoordinatorEpoch: batch.Epoch(m.CoordinatorEpoch),
				}, done.Done)
			}
		}
	}
	ready := func() bool {
		for _, w := range all {
			if !w.done.Ready() {
				return false
			}
		}
		return true
	}
	return r.later(ready, func(ctx context.Context) (wire.Message, error) {
		for _, w := range all {
			err := w.done.Wait(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			*w.code = r.s.codeOf(err)
		}
		return resp, nil
	}), nil
}
