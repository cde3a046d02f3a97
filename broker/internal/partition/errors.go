package partition

import "errors"

var (
	// ErrClosed: the topic was deleted, or the broker is going down.
	ErrClosed = errors.New("partition is closed")
	// ErrFencedEpoch: the client knows an older leader epoch and must refresh its metadata.
	ErrFencedEpoch = errors.New("leader epoch is fenced")
	// ErrUnknownEpoch: the client knows a newer leader epoch than this broker.
	ErrUnknownEpoch = errors.New("leader epoch is not known yet")
)
