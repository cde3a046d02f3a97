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
	ErrUnstable             = errors.New("unstable offset commit")     // UNSTABLE_OFFSET_COMMIT
	ErrNotFound             = errors.New("group id not found")         // GROUP_ID_NOT_FOUND
	ErrNotEmpty             = errors.New("group is not empty")         // NON_EMPTY_GROUP
	ErrSubscribed           = errors.New("group subscribed to topic")  // GROUP_SUBSCRIBED_TO_TOPIC
	ErrFencedEpoch          = errors.New("member epoch is fenced")     // FENCED_MEMBER_EPOCH
	ErrStaleEpoch           = errors.New("member epoch is stale")      // STALE_MEMBER_EPOCH
	ErrUnreleasedInstance   = errors.New("instance id is in use")      // UNRELEASED_INSTANCE_ID
	ErrUnsupportedAssignor  = errors.New("unsupported assignor")       // UNSUPPORTED_ASSIGNOR
	ErrInvalidRegex         = errors.New("invalid regular expression") // INVALID_REGULAR_EXPRESSION
	ErrInvalidRequest       = errors.New("invalid request")            // INVALID_REQUEST
	ErrUnsupportedVersion   = errors.New("unsupported version")        // UNSUPPORTED_VERSION
)
