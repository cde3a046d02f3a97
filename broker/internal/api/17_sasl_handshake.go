package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

// saslHandshake is answered as Kafka does on a listener without SASL: the client has chosen the wrong security protocol, and hears so
// instead of being cut off.
func saslHandshake(r *request) (listen.Pending, error) {
	var req wire.SASLHandshakeRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	return r.answer(&wire.SASLHandshakeResponse{ErrorCode: wire.CodeIllegalSaslState, Mechanisms: []string{}}), nil
}
