package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func deleteACLs(r *request) (listen.Pending, error) {
	var req wire.DeleteACLsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DeleteACLsResponse)
	for range req.Filters {
		resp.Results = append(resp.Results, wire.DeleteACLsResponseResult{ErrorCode: r.s.codeOf(errNoAuthorizer), ErrorMessage: message(errNoAuthorizer)})
	}
	return r.answer(resp), nil
}
