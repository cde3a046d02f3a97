package api

import (
	"maps"
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/wire"
)

func describeClientQuotas(r *request) (listen.Pending, error) {
	var req wire.DescribeClientQuotasRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	filter := quota.Filter{Strict: req.Strict}
	for _, c := range req.Components {
		filter.Components = append(filter.Components, quota.Component{Type: c.EntityType, Match: quota.Match(c.MatchType), Name: c.Match})
	}
	found, err := quota.Describe(r.s.Store.Image().Quotas, filter)
	resp := &wire.DescribeClientQuotasResponse{ErrorCode: r.s.codeOf(err), ErrorMessage: message(err)}
	if err == nil {
		resp.Entries = []wire.DescribeClientQuotasResponseEntry{} // null is for errors
	}
	for _, e := range found {
		var out wire.DescribeClientQuotasResponseEntry
		for _, part := range e.Entity.Parts() {
			out.Entity = append(out.Entity, wire.DescribeClientQuotasResponseEntity{EntityType: part.Type, EntityName: part.Name})
		}
		for _, key := range slices.Sorted(maps.Keys(e.Quotas)) {
			out.Values = append(out.Values, wire.DescribeClientQuotasResponseValue{Key: key, Value: e.Quotas[key]})
		}
		resp.Entries = append(resp.Entries, out)
	}
	return r.answer(resp), nil
}
