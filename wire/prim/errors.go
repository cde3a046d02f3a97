package prim

import "errors"

var (
	// ErrMalformed marks input that is not the encoding of any value: too
	// short, a length below -1 or past the end, null where null is not
	// allowed, an overlong varint, bytes left over. It is the one corruption
	// class of this room; every such error wraps it.
	ErrMalformed = errors.New("malformed")

	// ErrBudget marks input that may be well formed but would take more
	// memory to decode than its size entitles it to.
	ErrBudget = errors.New("allocation budget exhausted")
)
