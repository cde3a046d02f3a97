package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// initProducerID gives a producer its id and epoch. An idempotent one that brings its old id (KIP-360) gets a new one too, as in Kafka:
// without a transactional id nothing ties the two together.
func initProducerID(r *request) (listen.Pending, error) {
	var req wire.InitProducerIDRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.InitProducerIDResponse{ProducerID: -1, ProducerEpoch: -1}
	if req.TransactionalID != nil {
		current := txn.Producer{ID: batch.ProducerID(req.ProducerID), Epoch: batch.ProducerEpoch(req.ProducerEpoch)}
		reply := r.s.Txns.InitProducerID(r.ctx, *req.TransactionalID, req.TransactionTimeoutMs, current)
		return r.later(reply.Ready, func(ctx context.Context) (wire.Message, error) {
			a, err := reply.Wait(ctx)
			if err != nil {
				return nil, err
			}
			if a.Err != nil {
				resp.ErrorCode = r.s.codeOf(txn.Answerable(txn.OpInitProducerID, r.version, a.Err))
				return resp, nil
			}
			resp.ProducerID, resp.ProducerEpoch = int64(a.Producer.ID), int16(a.Producer.Epoch)
			return resp, nil
		}), nil
	}
	id, err := r.s.Store.NewProducerID(r.ctx)
	switch code := r.s.codeOf(err); code {
	case wire.CodeNone:
		resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	case wire.CodeKafkaStorageError, wire.CodeNotLeaderOrFollower:
		resp.ErrorCode = wire.CodeCoordinatorNotAvailable // what clients retry here
	default:
		resp.ErrorCode = code
	}
	return r.answer(resp), nil
}
