package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/wire"
)

func alterClientQuotas(r *request) (listen.Pending, error) {
	var req wire.AlterClientQuotasRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	changes := make([]meta.QuotaChange, len(req.Entries))
	resp := &wire.AlterClientQuotasResponse{Entries: make([]wire.AlterClientQuotasResponseEntry, len(req.Entries))}
	for i, e := range req.Entries {
		for _, part := range e.Entity {
			changes[i].Entity = append(changes[i].Entity, quota.NamedPart{Type: part.EntityType, Name: part.EntityName})
			resp.Entries[i].Entity = append(resp.Entries[i].Entity, wire.AlterClientQuotasResponseEntity(part))
		}
		for _, op := range e.Ops {
			changes[i].Ops = append(changes[i].Ops, quota.Change{Key: op.Key, Value: op.Value, Remove: op.Remove})
		}
	}
	for i, err := range r.s.Store.AlterQuotas(r.ctx, changes, req.ValidateOnly) {
		resp.Entries[i].ErrorCode, resp.Entries[i].ErrorMessage = r.s.codeOf(err), message(err)
		if err == nil && !req.ValidateOnly {
			r.s.Logger.Info("quotas altered", "client", r.clientID())
		}
	}
	return r.answer(resp), nil
}
