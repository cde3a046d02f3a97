package consumer

import (
	"errors"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// What a member can be told.
var (
	ErrInvalidRequest      = errors.New("invalid request")
	ErrUnknownMember       = errors.New("unknown member id")
	ErrFencedEpoch         = errors.New("member epoch is fenced")
	ErrStaleEpoch          = errors.New("member epoch is stale")
	ErrFencedInstance      = errors.New("group instance id is fenced")
	ErrUnreleasedInstance  = errors.New("instance id is in use")
	ErrUnsupportedAssignor = errors.New("unsupported assignor")
	ErrInvalidRegex        = errors.New("invalid regular expression")
	ErrMaxSize             = errors.New("group is full")
)

// The epochs of heartbeats that do not keep a member in.
const (
	JoinEpoch        int32 = 0
	LeaveEpoch       int32 = -1
	LeaveStaticEpoch int32 = -2 // for a while: the place is kept until the session ends
)

// Heartbeat is a ConsumerGroupHeartbeat. Fields that are nil, or negative, say that nothing has changed.
type Heartbeat struct {
	Member       string
	Instance     string // "" is none, as for Rack and Assignor
	Epoch        int32
	Rack         *string
	RebalanceMs  int32 // -1: as before
	Topics       []string
	TopicsTold   bool // Topics is not null
	Regex        *string
	Assignor     *string
	Owned        []TopicPartition
	OwnedTold    bool // Owned is not null
	ClientID     string
	ClientHost   string
	Session      time.Duration // how long the member may be silent from now on
	MustNameSelf bool          // version 1: the client makes its member id up
	NewID        string        // the id to give where Member is "" (the core makes nothing up)
}

// Answer is the outcome of a Heartbeat.
type Answer struct {
	Member   string
	Epoch    int32
	Assigned []TopicPartition
	Told     bool // Assigned is to be told; else nothing has changed
}

// Record is a record to be written. Key.Group is left to the caller; a nil Value is a tombstone.
type Record struct {
	Key   record.Key
	Value record.Value
}
