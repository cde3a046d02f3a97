package api

import (
	"context"
	"errors"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/group/assign"
	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

var errNoGroupID = errors.New("the group id is empty")

// consumerGroupHeartbeat is all that a member of a consumer group says (KIP-848).
func consumerGroupHeartbeat(r *request) (listen.Pending, error) {
	var req wire.ConsumerGroupHeartbeatRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if req.GroupID == "" { // an invalid request, as Kafka has it for this key alone
		return r.answer(&wire.ConsumerGroupHeartbeatResponse{ErrorCode: wire.CodeInvalidRequest, ErrorMessage: message(errNoGroupID)}), nil
	}
	h := consumer.Heartbeat{
		Member: req.MemberID, Instance: deref(req.InstanceID), Epoch: req.MemberEpoch, Rack: req.RackID, RebalanceMs: req.RebalanceTimeoutMs,
		Topics: req.SubscribedTopicNames, TopicsTold: req.SubscribedTopicNames != nil, Regex: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
		OwnedTold: req.Topics != nil, ClientID: r.clientID(), ClientHost: r.clientHost(), MustNameSelf: r.version >= 1,
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			h.Owned = append(h.Owned, assign.TopicPartition{Topic: t.TopicID, Partition: p})
		}
	}
	reply := r.s.Groups.ConsumerHeartbeat(req.GroupID, h)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		return r.beaten(a), err
	}), nil
}

func (r *request) beaten(a group.HeartbeatAnswer) *wire.ConsumerGroupHeartbeatResponse {
	if a.Err != nil {
		return &wire.ConsumerGroupHeartbeatResponse{ErrorCode: r.s.codeOf(a.Err), ErrorMessage: message(a.Err)}
	}
	resp := &wire.ConsumerGroupHeartbeatResponse{MemberID: orNil(a.Member), MemberEpoch: a.Epoch, HeartbeatIntervalMs: int32(a.Interval.Milliseconds())}
	if !a.Told {
		return resp
	}
	resp.Assignment = &wire.ConsumerGroupHeartbeatResponseAssignment{}
	for _, t := range byTopic(a.Assigned) {
		resp.Assignment.Topics = append(resp.Assignment.Topics, wire.ConsumerGroupHeartbeatResponseTopic{TopicID: t.id, Partitions: t.partitions})
	}
	return resp
}

// partitionsOfTopic is how the protocol groups partitions.
type partitionsOfTopic struct {
	id         wire.UUID
	partitions []int32
}

// byTopic groups partitions, which come in the order of their topics.
func byTopic(all []assign.TopicPartition) (out []partitionsOfTopic) {
	for _, tp := range all {
		if n := len(out); n == 0 || out[n-1].id != wire.UUID(tp.Topic) {
			out = append(out, partitionsOfTopic{id: tp.Topic})
		}
		last := &out[len(out)-1]
		last.partitions = append(last.partitions, tp.Partition)
	}
	return out
}
