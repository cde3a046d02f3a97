package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func heartbeat(r *request) (listen.Pending, error) {
	var req wire.HeartbeatRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	if err := errGroup(req.GroupID); err != nil {
		return r.answer(&wire.HeartbeatResponse{ErrorCode: r.s.codeOf(err)}), nil
	}
	who := group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)}
	reply := r.s.Groups.HeartbeatLater(req.GroupID, who, group.Generation(req.GenerationID))
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		return &wire.HeartbeatResponse{ErrorCode: r.s.codeOf(a.Err)}, err
	}), nil
}
