package api

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// errNoAuthorizer is what Kafka says to all requests about ACLs when it has no authorizer; tools take it for "off", not for a fault.
var errNoAuthorizer = errors.New("no authorizer is configured on the broker: everybody who can connect may do everything")

func describeACLs(r *request) (listen.Pending, error) {
	var req wire.DescribeACLsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	return r.answer(&wire.DescribeACLsResponse{ErrorCode: r.s.codeOf(errNoAuthorizer), ErrorMessage: message(errNoAuthorizer)}), nil
}
