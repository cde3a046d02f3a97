package api

import (
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// leaveGroup takes members out. Up to version 2 the one member's error is the response's.
func leaveGroup(r *request) (listen.Pending, error) {
	var req wire.LeaveGroupRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.LeaveGroupResponse{Members: []wire.LeaveGroupResponseMember{}}
	if err := errGroup(req.GroupID, false); err != nil {
		resp.ErrorCode = r.s.codeOf(err)
		return r.answer(resp), nil
	}
	if r.version <= 2 {
		errs := r.s.Groups.Leave(req.GroupID, []group.Identity{{Member: req.MemberID}})
		resp.ErrorCode = r.s.codeOf(errs[0])
		return r.answer(resp), nil
	}
	who := make([]group.Identity, len(req.Members))
	for i, m := range req.Members {
		who[i] = group.Identity{Member: m.MemberID, Instance: deref(m.GroupInstanceID)}
	}
	for i, err := range r.s.Groups.Leave(req.GroupID, who) {
		m := req.Members[i]
		resp.Members = append(resp.Members, wire.LeaveGroupResponseMember{MemberID: m.MemberID, GroupInstanceID: m.GroupInstanceID, ErrorCode: r.s.codeOf(err)})
	}
	return r.answer(resp), nil
}
