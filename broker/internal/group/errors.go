package group

import "errors"

// What a member can be told. The api maps them one to one onto Kafka's error codes of the same names.
var (
	ErrUnknownMember        = errors.New("unknown member id")
	ErrIllegalGeneration    = errors.New("illegal generation")
	ErrRebalanceInProgress  = errors.New("rebalance in progress")
	ErrInconsistentProtocol = errors.New("inconsistent group protocol")
	ErrInvalidSession       = errors.New("session timeout out of bounds")
	ErrInvalidGroup         = errors.New("invalid group id")
	ErrMemberIDRequired     = errors.New("member id required")
	ErrFencedInstance       = errors.New("group instance id is fenced")
	ErrMaxSize              = errors.New("group is full")
	ErrNotAvailable         = errors.New("coordinator is not available")
)
