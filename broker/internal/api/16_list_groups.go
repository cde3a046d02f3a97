package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// listGroups lists the groups of both protocols; of those that want to see some states or types only, a word that is none matches nothing.
func listGroups(r *request) (listen.Pending, error) {
	var req wire.ListGroupsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	all, err := r.s.Groups.List(req.StatesFilter, req.TypesFilter)
	resp := &wire.ListGroupsResponse{ErrorCode: r.s.codeOf(err), Groups: make([]wire.ListGroupsResponseGroup, len(all))}
	for i, g := range all {
		resp.Groups[i] = wire.ListGroupsResponseGroup{GroupID: g.Group, ProtocolType: g.ProtocolType, GroupState: g.State, GroupType: g.Type}
	}
	return r.answer(resp), nil
}
