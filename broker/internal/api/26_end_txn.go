package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// endTxn answers when the decision is durable, before the markers are.
func endTxn(r *request) (listen.Pending, error) {
	var req wire.EndTxnRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	protocol := int16(0)
	if r.version >= 5 {
		protocol = 2
	}
	who := txn.Producer{ID: batch.ProducerID(req.ProducerID), Epoch: batch.ProducerEpoch(req.ProducerEpoch)}
	reply := r.s.Txns.EndTxn(req.TransactionalID, who, req.Committed, protocol)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		if err != nil {
			return nil, err
		}
		resp := &wire.EndTxnResponse{ProducerID: -1, ProducerEpoch: -1}
		if resp.ErrorCode = r.s.codeOf(txn.Answerable(txn.OpEndTxn, r.version, a.Err)); a.Err == nil {
			resp.ProducerID, resp.ProducerEpoch = int64(a.Producer.ID), int16(a.Producer.Epoch)
		}
		return resp, nil
	}), nil
}
