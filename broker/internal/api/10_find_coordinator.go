package api

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// findCoordinator names this broker, and makes __consumer_offsets or __transaction_state the first time that it is needed.
func findCoordinator(r *request) (listen.Pending, error) {
	var req wire.FindCoordinatorRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	keys := req.CoordinatorKeys
	if r.version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	resp := new(wire.FindCoordinatorResponse)
	for _, key := range keys {
		resp.Coordinators = append(resp.Coordinators, r.coordinator(key, req.KeyType))
	}
	if r.version < 4 {
		c := resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
	}
	return r.answer(resp), nil
}

func (r *request) coordinator(key string, keyType int8) wire.FindCoordinatorResponseCoordinator {
	none := func(code wire.ErrorCode, err error) wire.FindCoordinatorResponseCoordinator {
		return wire.FindCoordinatorResponseCoordinator{Key: key, NodeID: -1, Port: -1, ErrorCode: code, ErrorMessage: message(err)}
	}
	switch keyType {
	case wire.CoordinatorGroup:
	case wire.CoordinatorTransaction:
		if key == "" {
			return none(wire.CodeInvalidRequest, errNoTransactionalID)
		}
		if _, err := r.s.Topics.EnsureInternal(r.ctx, topics.TransactionsTopic); err != nil {
			r.s.Logger.Warn("cannot make __transaction_state", "err", err)
			return none(wire.CodeCoordinatorNotAvailable, err)
		}
		return r.here(key)
	default:
		return none(wire.CodeInvalidRequest, fmt.Errorf("coordinators of type %d are not served", keyType)) // as Kafka without share groups (6)
	}
	if key == "" {
		return none(wire.CodeInvalidGroupID, group.ErrInvalidGroup)
	}
	if err := r.s.Groups.Offsets.Prepare(r.ctx); err != nil {
		r.s.Logger.Warn("cannot make __consumer_offsets", "err", err)
		return none(wire.CodeCoordinatorNotAvailable, err)
	}
	return r.here(key)
}

// here names this broker.
func (r *request) here(key string) wire.FindCoordinatorResponseCoordinator {
	return wire.FindCoordinatorResponseCoordinator{Key: key, NodeID: r.s.NodeID, Host: r.s.Host, Port: r.s.Port}
}

var errNoTransactionalID = errors.New("the transactional id is empty")
