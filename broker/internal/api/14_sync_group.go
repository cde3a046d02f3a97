package api

import (
	"bytes"
	"context"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func syncGroup(r *request) (listen.Pending, error) {
	var req wire.SyncGroupRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if err := errGroup(req.GroupID); err != nil {
		return r.answer(r.synced(group.SyncAnswer{Err: err})), nil
	}
	s := group.Sync{
		Who:        group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)},
		Generation: group.Generation(req.GenerationID), ProtocolType: deref(req.ProtocolType), Protocol: deref(req.ProtocolName),
		Assignments: make(map[string][]byte, len(req.Assignments)),
	}
	for _, a := range req.Assignments {
		s.Assignments[a.MemberID] = bytes.Clone(a.Assignment) // it outlives the frame
	}
	reply := r.s.Groups.Sync(req.GroupID, s)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		return r.synced(a), err
	}), nil
}

func (r *request) synced(a group.SyncAnswer) *wire.SyncGroupResponse {
	return &wire.SyncGroupResponse{
		ErrorCode: r.s.codeOf(a.Err), ProtocolType: orNil(a.ProtocolType), ProtocolName: orNil(a.Protocol), Assignment: a.Assignment,
	}
}
