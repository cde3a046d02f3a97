package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// listPartitionReassignments: with one broker nothing is ever on its way. What does not exist is left out, as in Kafka.
func listPartitionReassignments(r *request) (listen.Pending, error) {
	var req wire.ListPartitionReassignmentsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	return r.answer(new(wire.ListPartitionReassignmentsResponse)), nil
}
