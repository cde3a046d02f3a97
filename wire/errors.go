package wire

import (
	"errors"

	"github.com/streambus/streambus/wire/prim"
)

var (
	// ErrMalformed is the one class of input that is not an encoding of
	// anything. A request that is malformed cannot be answered: close.
	ErrMalformed = prim.ErrMalformed

	// ErrBudget is input that asks for more memory than invariant W2 grants.
	// Treat it like ErrMalformed.
	ErrBudget = prim.ErrBudget

	// ErrUnknownKey is an API key that has no codec, or that is not served.
	ErrUnknownKey = errors.New("unknown API key")

	// ErrUnsupportedVersion is a version outside what is coded, or served, for
	// a known key. For ApiVersions it has an answer (UnsupportedAPIVersions); for any
	// other key Kafka closes the connection.
	ErrUnsupportedVersion = errors.New("unsupported version")

	// ErrFrame is a size prefix that is negative.
	ErrFrame = errors.New("bad frame size")

	// ErrFrameTooLarge is a size prefix above the reader's limit.
	ErrFrameTooLarge = errors.New("frame too large")
)
