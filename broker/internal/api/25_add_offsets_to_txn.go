package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

func addOffsetsToTxn(r *request) (listen.Pending, error) {
	var req wire.AddOffsetsToTxnRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.AddOffsetsToTxnResponse)
	if err := errGroup(req.GroupID); err != nil {
		resp.ErrorCode = r.s.codeOf(err)
		return r.answer(resp), nil
	}
	who := txn.Producer{ID: batch.ProducerID(req.ProducerID), Epoch: batch.ProducerEpoch(req.ProducerEpoch)}
	reply := r.s.Txns.AddOffsets(r.ctx, req.TransactionalID, who, req.GroupID)
	return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
		a, err := reply.Wait(ctx)
		resp.ErrorCode = r.s.codeOf(txn.Answerable(txn.OpAddOffsets, r.version, a.Err))
		return resp, err
	}), nil
}
