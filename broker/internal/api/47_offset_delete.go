package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/wire"
)

// offsetDelete takes offsets out of a group, but for topics that its members read (KIP-496). An error of the group is told instead of
// the topics.
func offsetDelete(r *request) (listen.Pending, error) {
	var req wire.OffsetDeleteRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if err := errGroup(req.GroupID); err != nil {
		return r.answer(&wire.OffsetDeleteResponse{ErrorCode: r.s.codeOf(err)}), nil
	}
	resp, all, places := r.offsetDeleteShape(&req)
	done := partition.NewFuture()
	errs, err := r.s.Groups.OffsetDelete(r.ctx, req.GroupID, all, done)
	if err != nil {
		return r.answer(&wire.OffsetDeleteResponse{ErrorCode: r.s.groupCode(err)}), nil
	}
	for i, err := range errs {
		places[i].ErrorCode = r.s.codeOf(err)
	}
	return r.later(done.Ready, func(ctx context.Context) (wire.Message, error) {
		err := done.Wait(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return &wire.OffsetDeleteResponse{ErrorCode: r.s.groupCode(err)}, nil
		}
		return resp, nil
	}), nil
}

// offsetDeleteShape makes the response, with the errors of topics that there are not, and lists the rest, with the places for what becomes of each.
func (r *request) offsetDeleteShape(req *wire.OffsetDeleteRequest) (resp *wire.OffsetDeleteResponse, all []group.TopicPartition, places []*wire.OffsetDeleteResponsePartition) {
	resp = &wire.OffsetDeleteResponse{Topics: make([]wire.OffsetDeleteResponseTopic, len(req.Topics))}
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name, out.Partitions = t.Name, make([]wire.OffsetDeleteResponsePartition, len(t.Partitions))
		exists := r.s.Topics.Topic(t.Name) != nil
		for j, p := range t.Partitions {
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			if !exists {
				out.Partitions[j].ErrorCode = wire.CodeUnknownTopicOrPartition
				continue
			}
			all = append(all, group.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex})
			places = append(places, &out.Partitions[j])
		}
	}
	return resp, all, places
}
