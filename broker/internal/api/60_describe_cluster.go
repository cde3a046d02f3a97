package api

import (
	"fmt"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func describeCluster(r *request) (listen.Pending, error) {
	var req wire.DescribeClusterRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DescribeClusterResponse)
	resp.Default()
	resp.ClusterID = r.s.Store.Image().ClusterID.String()
	switch req.EndpointType {
	case wire.EndpointBrokers:
	case wire.EndpointControllers:
		resp.ErrorCode, resp.ErrorMessage = wire.CodeMismatchedEndpointType, message(fmt.Errorf("this is a broker's endpoint, not a controller's"))
		return r.answer(resp), nil
	default:
		resp.ErrorCode, resp.ErrorMessage = wire.CodeUnsupportedEndpointType, message(fmt.Errorf("unknown endpoint type %d", req.EndpointType))
		return r.answer(resp), nil
	}
	resp.EndpointType, resp.ControllerID = req.EndpointType, r.s.NodeID
	resp.Brokers = []wire.DescribeClusterResponseBroker{{BrokerID: r.s.NodeID, Host: r.s.Host, Port: r.s.Port}}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	return r.answer(resp), nil
}
