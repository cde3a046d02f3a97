package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// initProducerID gives an idempotent producer a new id. One that brings its old id (KIP-360) gets a new one too, as in Kafka:
// without a transactional id nothing ties the two together.
func initProducerID(r *request) (listen.Pending, error) {
	var req wire.InitProducerIDRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.InitProducerIDResponse{ProducerID: -1, ProducerEpoch: -1}
	if req.TransactionalID != nil {
		resp.ErrorCode = wire.CodeTransactionalIDAuthorizationFailed
		return r.answer(resp), nil
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
