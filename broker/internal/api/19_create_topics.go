package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// What a request to create topics can get wrong, beside what topics finds.
var (
	errRepeated    = errors.New("the topic is named twice in the request")
	errReplication = errors.New("invalid replication factor")
	errAssignment  = errors.New("invalid replica assignment")
	errMixed       = errors.New("partitions and replication factor must be -1 when replicas are assigned")
	errNullSetting = errors.New("a topic setting must have a value")
)

func createTopics(r *request) (listen.Pending, error) {
	var req wire.CreateTopicsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	times := map[string]int{}
	for _, t := range req.Topics {
		times[t.Name]++
	}
	resp := new(wire.CreateTopicsResponse)
	for _, t := range req.Topics {
		var out wire.CreateTopicsResponseTopic
		out.Default()
		out.Name = t.Name
		err := errRepeated
		if times[t.Name] == 1 {
			err = r.createOne(t, req.ValidateOnly, &out)
		}
		if err != nil {
			out.ErrorCode, out.ErrorMessage = r.createCode(err), message(err)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp), nil
}

func (r *request) createCode(err error) wire.ErrorCode {
	switch {
	case errors.Is(err, errRepeated), errors.Is(err, errMixed):
		return wire.CodeInvalidRequest
	case errors.Is(err, errReplication):
		return wire.CodeInvalidReplicationFactor
	case errors.Is(err, errAssignment):
		return wire.CodeInvalidReplicaAssignment
	case errors.Is(err, errNullSetting):
		return wire.CodeInvalidConfig
	}
	return r.s.codeOf(err)
}

func (r *request) createOne(in wire.CreateTopicsRequestTopic, validateOnly bool, out *wire.CreateTopicsResponseTopic) error {
	spec, err := r.specOf(in)
	if err != nil {
		return err
	}
	if err := r.s.Topics.Check(&spec); err != nil {
		return err
	}
	if !validateOnly { // what is only checked costs nothing
		if err := r.mutate(spec.Partitions, 6); err != nil {
			return err
		}
		t, err := r.s.Topics.Create(r.ctx, spec)
		if err != nil {
			return err
		}
		out.TopicID = wire.UUID(t.ID)
		r.s.Logger.Info("topic created", "topic", t.Name, "partitions", t.Partitions, "client", r.clientID())
	}
	out.NumPartitions, out.ReplicationFactor = int32(spec.Partitions), 1
	out.Configs = []wire.CreateTopicsResponseConfig{}
	for _, e := range r.s.Topics.Effective(spec.Settings) {
		out.Configs = append(out.Configs, wire.CreateTopicsResponseConfig{Name: e.Name, Value: e.Value, ReadOnly: e.ReadOnly, ConfigSource: int8(e.Origin), IsSensitive: e.Sensitive})
	}
	return nil
}

// specOf turns the request's two ways to say how many partitions into one.
func (r *request) specOf(in wire.CreateTopicsRequestTopic) (topics.Spec, error) {
	spec := topics.Spec{Name: in.Name, Partitions: int(in.NumPartitions), Settings: map[string]string{}}
	for _, c := range in.Configs {
		if c.Value == nil {
			return spec, fmt.Errorf("%w: %s", errNullSetting, c.Name)
		}
		spec.Settings[c.Name] = *c.Value
	}
	if len(in.Assignments) > 0 {
		spec.Partitions = len(in.Assignments)
		return spec, r.checkAssignments(in)
	}
	switch {
	case in.NumPartitions == -1:
		spec.Partitions = 0 // the default
	case in.NumPartitions < 1:
		return spec, fmt.Errorf("%w: %d", topics.ErrPartitions, in.NumPartitions)
	}
	if in.ReplicationFactor != -1 && in.ReplicationFactor != 1 {
		return spec, fmt.Errorf("%w: %d; there is one broker, so it must be 1, or -1 for the default", errReplication, in.ReplicationFactor)
	}
	return spec, nil
}

func (r *request) checkAssignments(in wire.CreateTopicsRequestTopic) error {
	if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
		return errMixed
	}
	seen := make([]bool, len(in.Assignments))
	for _, a := range in.Assignments {
		if a.PartitionIndex < 0 || int(a.PartitionIndex) >= len(seen) || seen[a.PartitionIndex] {
			return fmt.Errorf("%w: partitions must be numbered from 0 without a gap; %d is not", errAssignment, a.PartitionIndex)
		}
		seen[a.PartitionIndex] = true
		if !slices.Equal(a.BrokerIDs, []int32{r.s.NodeID}) {
			return fmt.Errorf("%w: partition %d on brokers %v; there is only broker %d", errAssignment, a.PartitionIndex, a.BrokerIDs, r.s.NodeID)
		}
	}
	return nil
}
