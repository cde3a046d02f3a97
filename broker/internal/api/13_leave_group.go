package api

import (
	"context"
	"errors"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// leaveGroup takes members out: up to version 2 one, whose error is the response's.
func leaveGroup(r *request) (listen.Pending, error) {
	var req wire.LeaveGroupRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if err := errGroup(req.GroupID); err != nil {
		return r.answer(&wire.LeaveGroupResponse{ErrorCode: r.s.codeOf(err)}), nil
	}
	if r.version <= 2 {
		req.Members = []wire.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	who := make([]group.Identity, len(req.Members))
	for i, m := range req.Members {
		who[i] = group.Identity{Member: m.MemberID, Instance: deref(m.GroupInstanceID)}
	}
	reply := r.s.Groups.LeaveLater(req.GroupID, who)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		if err != nil {
			return nil, err
		}
		return r.left(req.Members, a.Errs), nil
	}), nil
}

func (r *request) left(members []wire.LeaveGroupRequestMember, errs []error) *wire.LeaveGroupResponse {
	resp := &wire.LeaveGroupResponse{Members: make([]wire.LeaveGroupResponseMember, len(members))}
	for i, err := range errs {
		m := members[i]
		if r.version <= 2 || errors.Is(err, group.ErrNotAvailable) { // that is of all or none
			resp.ErrorCode = r.s.codeOf(err)
		}
		resp.Members[i] = wire.LeaveGroupResponseMember{MemberID: m.MemberID, GroupInstanceID: m.GroupInstanceID, ErrorCode: r.s.codeOf(err)}
	}
	return resp
}
