package api

import (
	"slices"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/wire"
)

// listable are the kinds that may be asked for. There are no loggers with levels and no client metrics here: there is nothing to list,
// which is no error.
var listable = []int8{wire.ConfigResourceTopic, wire.ConfigResourceBroker, wire.ConfigResourceBrokerLogger, wire.ConfigResourceClientMetrics, wire.ConfigResourceGroup}

// listConfigResources lists what has settings. Version 0 (KIP-714) knows only client metrics.
func listConfigResources(r *request) (listen.Pending, error) {
	var req wire.ListConfigResourcesRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.ListConfigResourcesResponse)
	if r.version == 0 {
		return r.answer(resp), nil
	}
	var kinds []topics.ResourceKind
	for _, k := range req.ResourceTypes {
		if !slices.Contains(listable, k) {
			resp.ErrorCode = wire.CodeUnsupportedVersion // Kafka's word for a type that it does not list
			return r.answer(resp), nil
		}
		kinds = append(kinds, topics.ResourceKind(k))
	}
	for _, found := range r.s.Topics.Resources(kinds) {
		resp.ConfigResources = append(resp.ConfigResources, wire.ListConfigResourcesResponseResource{ResourceName: found.Name, ResourceType: int8(found.Kind)})
	}
	return r.answer(resp), nil
}
