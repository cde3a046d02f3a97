package api

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// maxOffsetMetadata is how many bytes of text a client may store with an offset.
func (s *Server) maxOffsetMetadata() int {
	return s.Topics.Live().View().Int("offset.metadata.max.bytes")
}

// offsetCommit writes all offsets that can be taken as one batch, and answers when it is flushed.
func offsetCommit(r *request) (listen.Pending, error) {
	var req wire.OffsetCommitRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp, all := r.commitShape(&req)
	done := partition.NewFuture()
	// Simple consumers may commit under the group "", as in Kafka.
	err := r.s.Groups.CommitOffsets(r.ctx, group.CommitRequest{
		Group: req.GroupID, Who: group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)},
		Generation: group.Generation(req.GenerationID), Epochs: r.version >= 9, Retention: retention(req.RetentionTimeMs), Offsets: all,
	}, done)
	if err != nil {
		r.s.commitFailed(resp, err)
		return r.answer(resp), nil
	}
	return r.later(done.Ready, func(ctx context.Context) (wire.Message, error) {
		if err := done.Wait(ctx); ctx.Err() != nil {
			return nil, context.Cause(ctx)
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
	maxMetadata := r.s.maxOffsetMetadata()
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name, out.TopicID = t.Name, t.TopicID
		out.Partitions = make([]wire.OffsetCommitResponsePartition, len(t.Partitions))
		topic, err := r.s.topic([]byte(t.Name), t.TopicID, r.version >= 10)
		for j, p := range t.Partitions {
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			if err != nil {
				out.Partitions[j].ErrorCode = r.s.codeOf(err)
				continue
			}
			c := group.Committed{
				TopicPartition: group.TopicPartition{Topic: topic.Name, Partition: p.PartitionIndex},
				Offset:         batch.Offset(p.CommittedOffset), Epoch: batch.Epoch(p.CommittedLeaderEpoch), Metadata: deref(p.CommittedMetadata),
			}
			if out.Partitions[j].ErrorCode = uncommittable(topic, c, maxMetadata); out.Partitions[j].ErrorCode == wire.CodeNone {
				all = append(all, c)
			}
		}
	}
	return resp, all
}

// uncommittable says why an offset cannot be committed, for itself or in a transaction; none when it can.
func uncommittable(topic *topics.Topic, c group.Committed, maxMetadata int) wire.ErrorCode {
	switch {
	case topic == nil || c.Partition < 0 || int(c.Partition) >= topic.Partitions:
		return wire.CodeUnknownTopicOrPartition
	case len(c.Metadata) > maxMetadata:
		return wire.CodeOffsetMetadataTooLarge
	}
	return wire.CodeNone
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

// retention is how long offsets are to last; 0 is by the broker's settings, which is what all clients ask for that are not very old.
func retention(ms int64) time.Duration {
	const longest = int64(math.MaxInt64 / time.Millisecond)
	return time.Duration(max(min(ms, longest), 0)) * time.Millisecond
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// errGroup holds a group id to Kafka's rule: whoever has members has a name.
func errGroup(id string) error {
	if id == "" {
		return group.ErrInvalidGroup
	}
	return nil
}
