package api

import (
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func heartbeat(r *request) (listen.Pending, error) {
	var req wire.HeartbeatRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	err := errGroup(req.GroupID, false)
	if err == nil {
		who := group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)}
		err = r.s.Groups.Heartbeat(req.GroupID, who, group.Generation(req.GenerationID))
	}
	return r.answer(&wire.HeartbeatResponse{ErrorCode: r.s.codeOf(err)}), nil
}
