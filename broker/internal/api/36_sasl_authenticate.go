package api

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

var errNoSASL = errors.New("this listener is in the clear (PLAINTEXT): there is nothing to log in to")

// saslAuthenticate is saslHandshake's twin.
func saslAuthenticate(r *request) (listen.Pending, error) {
	var req wire.SASLAuthenticateRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	return r.answer(&wire.SASLAuthenticateResponse{ErrorCode: r.s.codeOf(errNoSASL), ErrorMessage: message(errNoSASL), AuthBytes: []byte{}}), nil
}
