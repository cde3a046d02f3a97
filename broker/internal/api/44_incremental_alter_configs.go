package api

import (
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// incrementalAlterConfigs changes some of each resource's own settings. Resources are changed one after the other, each wholly or not at all.
func incrementalAlterConfigs(r *request) (listen.Pending, error) {
	var req wire.IncrementalAlterConfigsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	times := map[topics.Resource]int{}
	for _, in := range req.Resources {
		times[resourceOf(in.ResourceType, in.ResourceName)]++
	}
	resp := new(wire.IncrementalAlterConfigsResponse)
	for _, in := range req.Resources {
		to := resourceOf(in.ResourceType, in.ResourceName)
		err := errResourceTwice
		if times[to] == 1 {
			changes := make([]config.Change, len(in.Configs))
			for i, c := range in.Configs {
				changes[i] = config.Change{Name: c.Name, Op: config.Op(c.ConfigOperation), Value: c.Value}
			}
			err = r.s.Topics.IncrementalAlterConfigs(r.ctx, to, changes, req.ValidateOnly)
			r.altered(to, req.ValidateOnly, err)
		}
		resp.Responses = append(resp.Responses, wire.IncrementalAlterConfigsResponseResource{
			ErrorCode: r.s.codeOf(err), ErrorMessage: message(err), ResourceType: in.ResourceType, ResourceName: in.ResourceName,
		})
	}
	return r.answer(resp), nil
}
