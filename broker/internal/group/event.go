package group

import (
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// Ticket names a request that waits for an answer. 0 is none.
type Ticket uint64

// Generation counts the rebalances of a group. NoGeneration is what a consumer outside group management sends.
type Generation int32

// NoGeneration is the generation of a simple consumer.
const NoGeneration Generation = -1

// Protocol is an assignor that a member can run, and its metadata for it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Identity is who speaks: the member id and, for a static member, the group.instance.id ("" is none).
type Identity struct {
	Member   string
	Instance string
}

// Event is one of Join, Sync, Heartbeat, Leave, Commit, Tick, Forget.
type Event interface{ event() }

// Join asks to be a member of the next generation. Answered by JoinAnswer, as a rule much later.
type Join struct {
	Ticket           Ticket
	Who              Identity
	NewID            string // the id to give when Who.Member is "" (the core makes nothing up)
	ClientID         string // for those who describe the group, as is the next
	ClientHost       string
	ProtocolType     string
	Protocols        []Protocol // most wanted first
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	RequireKnownID   bool // KIP-394: JoinGroup v4 and later
	CanSkip          bool // KIP-814: JoinGroup v9
}

// Sync asks for the assignment; the leader brings those of all. Answered by SyncAnswer.
type Sync struct {
	Ticket       Ticket
	Who          Identity
	Generation   Generation
	ProtocolType string // "" when the client does not say
	Protocol     string // "" when the client does not say
	Assignments  map[string][]byte
}

// Heartbeat keeps a member alive. Answered by ErrAnswer.
type Heartbeat struct {
	Ticket     Ticket
	Who        Identity
	Generation Generation
}

// Leave takes members out. Answered by LeaveAnswer.
type Leave struct {
	Ticket  Ticket
	Members []Identity
}

// Commit asks whether offsets may be committed. Answered by ErrAnswer.
type Commit struct {
	Ticket        Ticket
	Who           Identity
	Generation    Generation
	Transactional bool // TxnOffsetCommit: the producer's epoch fences, so a member need not be named
}

// Tick says that time has passed; due deadlines fire.
type Tick struct{}

// Forget asks the group to die if it is empty.
type Forget struct{}

func (Join) event()      {}
func (Sync) event()      {}
func (Heartbeat) event() {}
func (Leave) event()     {}
func (Commit) event()    {}
func (Tick) event()      {}
func (Forget) event()    {}

// Effect answers a ticket or, where Ticket is 0, has the group saved. It is the only thing that a group does to the world.
//
// What a step answers, and what any later step answers, may be told only when all that was to be saved until then is durable (G7).
type Effect struct {
	Ticket Ticket
	Answer any // JoinAnswer, SyncAnswer, LeaveAnswer or ErrAnswer; Save
}

// Save has the group's record written: the generation and its members.
type Save struct {
	Value *record.ClassicValue
}

// JoinAnswer is the outcome of a Join.
type JoinAnswer struct {
	Err          error
	Generation   Generation
	ProtocolType string
	Protocol     string
	Leader       string
	Member       string
	Skip         bool         // KIP-814: the leader must not assign
	Members      []MemberInfo // only for the leader
}

// MemberInfo is what the leader is told of a member.
type MemberInfo struct {
	Identity
	Metadata []byte
}

// SyncAnswer is the outcome of a Sync.
type SyncAnswer struct {
	Err          error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// LeaveAnswer is the outcome of a Leave, one error (or nil) per member asked for.
type LeaveAnswer struct {
	Errs []error
}

// ErrAnswer is the outcome of a Heartbeat or Commit: nil or what is wrong.
type ErrAnswer struct {
	Err error
}
