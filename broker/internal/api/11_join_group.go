package api

import (
	"bytes"
	"context"
	"time"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func joinGroup(r *request) (listen.Pending, error) {
	var req wire.JoinGroupRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if err := errGroup(req.GroupID); err != nil {
		return r.answer(r.joined(group.JoinAnswer{Err: err, Generation: group.NoGeneration, Member: req.MemberID})), nil
	}
	rebalance := req.RebalanceTimeoutMs
	if r.version < 1 || rebalance < 0 {
		rebalance = req.SessionTimeoutMs
	}
	j := group.Join{
		Who:          group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)},
		ProtocolType: req.ProtocolType, Protocols: make([]group.Protocol, len(req.Protocols)),
		SessionTimeout: ms(req.SessionTimeoutMs), RebalanceTimeout: ms(rebalance),
		ClientHost: r.clientHost(), RequireKnownID: r.version >= 4, CanSkip: r.version >= 9,
	}
	for i, p := range req.Protocols {
		j.Protocols[i] = group.Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)} // it outlives the frame
	}
	reply := r.s.Groups.Join(req.GroupID, r.clientID(), j)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		return r.joined(a), err
	}), nil
}

func ms(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

func (r *request) joined(a group.JoinAnswer) *wire.JoinGroupResponse {
	resp := &wire.JoinGroupResponse{
		ErrorCode: r.s.codeOf(a.Err), GenerationID: int32(a.Generation), Leader: a.Leader, MemberID: a.Member, SkipAssignment: a.Skip,
		ProtocolType: orNil(a.ProtocolType), ProtocolName: orNil(a.Protocol), Members: []wire.JoinGroupResponseMember{},
	}
	for _, m := range a.Members {
		resp.Members = append(resp.Members, wire.JoinGroupResponseMember{MemberID: m.Member, GroupInstanceID: orNil(m.Instance), Metadata: m.Metadata})
	}
	return resp
}

// orNil is null for what is not there.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
