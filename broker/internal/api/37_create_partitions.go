package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func createPartitions(r *request) (listen.Pending, error) {
	var req wire.CreatePartitionsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	times := map[string]int{}
	for _, t := range req.Topics {
		times[t.Name]++
	}
	resp := new(wire.CreatePartitionsResponse)
	for _, t := range req.Topics {
		err := errTopicTwice
		if times[t.Name] == 1 {
			err = r.growOne(t, req.ValidateOnly)
		}
		resp.Results = append(resp.Results, wire.CreatePartitionsResponseResult{Name: t.Name, ErrorCode: r.s.codeOf(err), ErrorMessage: message(err)})
	}
	return r.answer(resp), nil
}

func (r *request) growOne(in wire.CreatePartitionsRequestTopic, validateOnly bool) error {
	var assignments [][]int32 // nil: the broker chooses; none at all is another thing, and refused
	if in.Assignments != nil {
		assignments = make([][]int32, len(in.Assignments))
		for i, a := range in.Assignments {
			assignments[i] = a.BrokerIDs
		}
	}
	if err := r.s.Topics.CheckPartitions(in.Name, int(in.Count), assignments); err != nil || validateOnly {
		return err
	}
	if old := r.s.Topics.Topic(in.Name); old != nil { // else it was deleted a moment ago
		if err := r.mutate(max(int(in.Count)-old.Partitions, 0), 3); err != nil {
			return err
		}
	}
	t, err := r.s.Topics.AddPartitions(r.ctx, in.Name, int(in.Count), assignments)
	if err == nil {
		r.s.Logger.Info("topic has more partitions", "topic", t.Name, "partitions", t.Partitions, "client", r.clientID())
	}
	return err
}
