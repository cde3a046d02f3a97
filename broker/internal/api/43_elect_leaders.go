package api

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// What an election may come to, beside partitions that do not exist. Of one replica the leader is always the right one, or there is none.
var (
	errElected     = errors.New("the partition has the leader that it should have")
	errNoPreferred = errors.New("the partition is offline, and so is its one replica")
	errNoEligible  = errors.New("the partition is offline, and has no other replica")
)

func electLeaders(r *request) (listen.Pending, error) {
	var req wire.ElectLeadersRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.ElectLeadersResponse)
	if req.ElectionType != wire.ElectionPreferred && req.ElectionType != wire.ElectionUnclean {
		resp.ErrorCode = wire.CodeInvalidRequest
		return r.answer(resp), nil
	}
	asked, all := req.Topics, req.Topics == nil
	if all {
		for _, t := range r.s.Topics.All() {
			in := wire.ElectLeadersRequestTopic{Name: t.Name}
			for i := range int32(t.Partitions) {
				in.Partitions = append(in.Partitions, i)
			}
			asked = append(asked, in)
		}
	}
	for _, in := range asked {
		out := wire.ElectLeadersResponseTopic{Name: in.Name}
		for _, p := range in.Partitions {
			err := r.s.elect(in.Name, p, req.ElectionType)
			if all && errors.Is(err, errElected) {
				continue // who asks for all wants to hear of those alone that changed, or could not
			}
			out.Partitions = append(out.Partitions, wire.ElectLeadersResponsePartition{PartitionIndex: p, ErrorCode: r.s.codeOf(err), ErrorMessage: message(err)})
		}
		if !all || len(out.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	return r.answer(resp), nil
}

// elect says why there is nothing to elect; it is never nil.
func (s *Server) elect(topic string, partition int32, kind int8) error {
	if err := s.exists(topic, partition); err != nil {
		return err
	}
	t := s.Topics.Topic(topic)
	if t == nil {
		return noTopic(topic) // deleted a moment ago
	}
	_, err := t.Partition(partition)
	switch {
	case err == nil:
		return fmt.Errorf("%w: broker %d", errElected, s.NodeID)
	case kind == wire.ElectionPreferred:
		return fmt.Errorf("%w: %w", errNoPreferred, err)
	}
	return fmt.Errorf("%w: %w", errNoEligible, err)
}
