package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

func listTransactions(r *request) (listen.Pending, error) {
	var req wire.ListTransactionsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	f := txn.Filter{States: req.StateFilters, LongerMs: -1, Pattern: deref(req.TransactionalIDPattern)}
	if r.version >= 1 {
		f.LongerMs = req.DurationFilterMs
	}
	for _, id := range req.ProducerIDFilters {
		f.ProducerIDs = append(f.ProducerIDs, batch.ProducerID(id))
	}
	all, unknown, err := r.s.Txns.List(f)
	resp := &wire.ListTransactionsResponse{ErrorCode: r.s.codeOf(err), UnknownStateFilters: unknown}
	for _, t := range all {
		resp.TransactionStates = append(resp.TransactionStates, wire.ListTransactionsResponseTransaction{
			TransactionalID: t.ID, ProducerID: int64(t.ProducerID), TransactionState: t.State.String(),
		})
	}
	return r.answer(resp), nil
}
