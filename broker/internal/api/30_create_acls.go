package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func createACLs(r *request) (listen.Pending, error) {
	var req wire.CreateACLsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.CreateACLsResponse)
	for range req.Creations {
		resp.Results = append(resp.Results, wire.CreateACLsResponseResult{ErrorCode: r.s.codeOf(errNoAuthorizer), ErrorMessage: message(errNoAuthorizer)})
	}
	return r.answer(resp), nil
}
