package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

var errNoMove = errors.New("the partition is not being moved")

// alterPartitionReassignments takes, of one broker, the only move there is: to where the partition is.
func alterPartitionReassignments(r *request) (listen.Pending, error) {
	var req wire.AlterPartitionReassignmentsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := &wire.AlterPartitionReassignmentsResponse{AllowReplicationFactorChange: req.AllowReplicationFactorChange}
	for _, in := range req.Topics {
		out := wire.AlterPartitionReassignmentsResponseTopic{Name: in.Name}
		for _, p := range in.Partitions {
			err := r.s.move(in.Name, p.PartitionIndex, p.Replicas)
			out.Partitions = append(out.Partitions, wire.AlterPartitionReassignmentsResponsePartition{
				PartitionIndex: p.PartitionIndex, ErrorCode: r.s.codeOf(err), ErrorMessage: message(err),
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp), nil
}

// move says what is wrong with moving a partition to replicas; nil replicas cancel a move.
func (s *Server) move(topic string, partition int32, replicas []int32) error {
	switch {
	case s.exists(topic, partition) != nil:
		return s.exists(topic, partition)
	case replicas == nil:
		return fmt.Errorf("%w: there is nothing to cancel", errNoMove)
	case !slices.Equal(replicas, []int32{s.NodeID}):
		return fmt.Errorf("%w: to brokers %v; there is only broker %d", errAssignment, replicas, s.NodeID)
	}
	return nil
}

// exists says whether there is such a partition, online or not.
func (s *Server) exists(topic string, partition int32) error {
	t := s.Topics.Topic(topic)
	if t == nil || partition < 0 || int(partition) >= t.Partitions {
		return noTopic(fmt.Sprintf("%s-%d", topic, partition))
	}
	return nil
}
