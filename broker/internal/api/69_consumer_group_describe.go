package api

import (
	"github.com/streambus/streambus/broker/internal/group/assign"
	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// consumerGroupDescribe tells of consumer groups (KIP-848). One of the classic protocol is not found, upon which clients ask by DescribeGroups.
func consumerGroupDescribe(r *request) (listen.Pending, error) {
	var req wire.ConsumerGroupDescribeRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	ids := once(req.GroupIDs)
	resp := &wire.ConsumerGroupDescribeResponse{Groups: make([]wire.ConsumerGroupDescribeResponseGroup, len(ids))}
	for i, id := range ids {
		out := &resp.Groups[i]
		*out = r.describeConsumers(id)
		if req.IncludeAuthorizedOperations && out.ErrorCode == wire.CodeNone {
			out.AuthorizedOperations = groupOperations
		}
	}
	return r.answer(resp), nil
}

func (r *request) describeConsumers(id string) (out wire.ConsumerGroupDescribeResponseGroup) {
	out.Default()
	out.GroupID = id
	if err := errGroup(id); err != nil {
		out.ErrorCode, out.ErrorMessage = r.s.codeOf(err), message(err)
		return out
	}
	d, err := r.s.Groups.ConsumerDescribe(id)
	if err != nil {
		out.ErrorCode, out.ErrorMessage = r.s.codeOf(err), message(err)
		return out
	}
	out.GroupState, out.GroupEpoch, out.AssignmentEpoch, out.AssignorName = string(d.State), d.Epoch, d.AssignmentEpoch, d.Assignor
	out.Members = make([]wire.ConsumerGroupDescribeResponseMember, len(d.Members))
	for i, m := range d.Members {
		to := &out.Members[i]
		*to = wire.ConsumerGroupDescribeResponseMember{
			MemberID: m.ID, InstanceID: orNil(m.Instance), RackID: orNil(m.Rack), MemberEpoch: m.Epoch, ClientID: m.ClientID, ClientHost: m.ClientHost,
			SubscribedTopicNames: m.Topics, SubscribedTopicRegex: orNil(m.Regex), MemberType: wire.MemberTypeConsumer,
			Assignment: named(d.Image, m.Assigned), TargetAssignment: named(d.Image, m.Target),
		}
		if m.Classic {
			to.MemberType = wire.MemberTypeClassic
		}
	}
	return out
}

// named gives partitions with the names of their topics. A topic that was just deleted has none, and nobody reads it any more.
func named(image *consumer.Image, all []assign.TopicPartition) (out wire.ConsumerGroupDescribeResponseAssignment) {
	for _, t := range byTopic(all) {
		if name, ok := image.Name(t.id); ok {
			out.Topics = append(out.Topics, wire.ConsumerGroupDescribeResponseTopic{TopicID: t.id, Name: name, Partitions: t.partitions})
		}
	}
	return out
}
