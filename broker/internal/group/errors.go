package group

import (
	"errors"

	"github.com/streambus/streambus/broker/internal/group/consumer"
)

// What a member can be told. The api maps them one to one onto Kafka's error codes of the same names.
var (
	ErrUnknownMember        = consumer.ErrUnknownMember
	ErrIllegalGeneration    = consumer.ErrIllegalGeneration
	ErrRebalanceInProgress  = consumer.ErrRebalanceInProgress
	ErrInconsistentProtocol = consumer.ErrInconsistentProtocol
	ErrInvalidSession       = errors.New("session timeout out of bounds")
	ErrInvalidGroup         = errors.New("invalid group id")
	ErrMemberIDRequired     = errors.New("member id required")
	ErrFencedInstance       = consumer.ErrFencedInstance
	ErrMaxSize              = consumer.ErrMaxSize
	ErrNotAvailable         = errors.New("coordinator is not available")
	ErrUnstable             = errors.New("unstable offset commit")    // UNSTABLE_OFFSET_COMMIT
	ErrNotFound             = errors.New("group id not found")        // GROUP_ID_NOT_FOUND
	ErrNotEmpty             = errors.New("group is not empty")        // NON_EMPTY_GROUP
	ErrSubscribed           = errors.New("group subscribed to topic") // GROUP_SUBSCRIBED_TO_TOPIC
	ErrFencedEpoch          = consumer.ErrFencedEpoch                 // FENCED_MEMBER_EPOCH
	ErrStaleEpoch           = consumer.ErrStaleEpoch                  // STALE_MEMBER_EPOCH
	ErrUnreleasedInstance   = consumer.ErrUnreleasedInstance          // UNRELEASED_INSTANCE_ID
	ErrUnsupportedAssignor  = consumer.ErrUnsupportedAssignor         // UNSUPPORTED_ASSIGNOR
	ErrInvalidRegex         = consumer.ErrInvalidRegex                // INVALID_REGULAR_EXPRESSION
	ErrInvalidRequest       = consumer.ErrInvalidRequest              // INVALID_REQUEST
	ErrUnsupportedVersion   = errors.New("unsupported version")       // UNSUPPORTED_VERSION
)
