package api

import (
	"context"
	"errors"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// maxOffsetMetadata is Kafka's offset.metadata.max.bytes.
const maxOffsetMetadata = 4096

// offsetCommit writes all offsets that can be taken as one batch, and answers when it is flushed.
func offsetCommit(r *request) (listen.Pending, error) {
	var req wire.OffsetCommitRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp, all := r.commitShape(&req)
	done := partition.NewFuture()
	err := errGroup(req.GroupID, true)
	if err == nil {
		who := group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)}
		err = r.s.Groups.Commit(r.ctx, req.GroupID, who, group.Generation(req.GenerationID), all, done)
	}
	if err != nil {
		r.s.commitFailed(resp, err)
		return r.answer(resp), nil
	}
	return r.later(done.Ready, func(ctx context.Context) (wire.Message, error) {
		if err := done.Wait(ctx); ctx.Err() != nil {
			return nil, err
		} else if err != nil {
			r.s.commitFailed(resp, err)
		}
		return resp, nil
	}), nil
}

// commitShape makes the response, with the errors of single partitions, and lists the commits that can be taken.
func (r *request) commitShape(req *wire.OffsetCommitRequest) (*wire.OffsetCommitResponse, []group.Committed) {
	resp := &wire.OffsetCommitResponse{Topics: make([]wire.OffsetCommitResponseTopic, len(req.Topics))}
	var all []group.Committed
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]wire.OffsetCommitResponsePartition, len(t.Partitions))
		topic := r.s.Topics.Topic(t.Name)
		for j, p := range t.Partitions {
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			switch {
			case topic == nil || p.PartitionIndex < 0 || int(p.PartitionIndex) >= topic.Partitions:
				out.Partitions[j].ErrorCode = wire.CodeUnknownTopicOrPartition
			case len(deref(p.CommittedMetadata)) > maxOffsetMetadata:
				out.Partitions[j].ErrorCode = wire.CodeOffsetMetadataTooLarge
			default:
				all = append(all, group.Committed{
					TopicPartition: group.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex},
					Offset:         batch.Offset(p.CommittedOffset), Epoch: batch.Epoch(p.CommittedLeaderEpoch), Metadata: deref(p.CommittedMetadata),
				})
			}
		}
	}
	return resp, all
}

// commitFailed puts err in every partition that had no error of its own. The codes are those that Kafka's coordinator turns
// its log's errors into, since clients know no others here.
func (s *Server) commitFailed(resp *wire.OffsetCommitResponse, err error) {
	code := s.codeOf(err)
	switch {
	case errors.Is(err, engine.ErrTooLarge):
		code = wire.CodeInvalidCommitOffsetSize
	case code == wire.CodeKafkaStorageError || code == wire.CodeNotLeaderOrFollower:
		code = wire.CodeCoordinatorNotAvailable
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == wire.CodeNone {
				p.ErrorCode = code
			}
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// errGroup holds a group id to Kafka's rule: a name, but that simple consumers may commit under "".
func errGroup(id string, emptyTaken bool) error {
	if id == "" && !emptyTaken {
		return group.ErrInvalidGroup
	}
	return nil
}
