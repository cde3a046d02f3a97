package txn

import (
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// Ticket names a request that waits for its answer. 0 is nobody.
type Ticket uint64

// Event is what happens to a transactional id.
type Event interface{ isEvent() }

// What clients ask for.
type (
	// Init asks for a producer id and epoch. It is answered by an InitAnswer. The timeout has been checked.
	Init struct {
		Ticket    Ticket
		TimeoutMs int32
		Expected  *Producer // what the client has (KIP-360), nil if nothing
	}
	// Add adds partitions, beginning a transaction where there is none. It is answered by an ErrAnswer.
	Add struct {
		Ticket  Ticket
		Who     Producer
		Parts   []TopicPartition
		Version int16 // of the protocol: 2 where a broker adds them for a client
	}
	// Admit asks whether records may be appended to partitions. It is answered by an AdmitAnswer; each partition that is admitted must be
	// released once the records are in the log.
	Admit struct {
		Ticket   Ticket
		Who      Producer
		Parts    []TopicPartition
		Implicit bool      // add those that are missing, and wait for what stands in the way, as far as the limits say (protocol 2)
		until    time.Time // when it has waited long enough, once it is parked
	}
	// Release says that records of an Admit are in the log, or will not be.
	Release struct{ Parts []TopicPartition }
	// End commits or aborts. It is answered by an EndAnswer.
	End struct {
		Ticket  Ticket
		Who     Producer
		Commit  bool
		Version int16 // of the protocol: at 2 the epoch goes up
	}
)

// What comes back from the shell, once for each effect, and what the clock says.
type (
	// Written answers a Write.
	Written struct {
		Err  error // nil: it is durable
		Lost bool  // it is not known whether it is, or will be after a restart; nothing more can be written
	}
	// Marked answers a Mark: with nil, or ErrMarkerFenced, it is done.
	Marked struct {
		Part TopicPartition
		Err  error
	}
	// Allocated answers an Allocate.
	Allocated struct {
		ID  batch.ProducerID
		Err error
	}
	// Resume is the first event of an id that was loaded.
	Resume struct{}
	// Tick says that Deadline is over.
	Tick struct{}
)

func (Init) isEvent()      {}
func (Add) isEvent()       {}
func (Admit) isEvent()     {}
func (Release) isEvent()   {}
func (End) isEvent()       {}
func (Written) isEvent()   {}
func (Marked) isEvent()    {}
func (Allocated) isEvent() {}
func (Resume) isEvent()    {}
func (Tick) isEvent()      {}

// Effect is what is to be done, in order.
type Effect interface{ isEffect() }

type (
	// Write makes Meta the last record of the id; a tombstone if that is set. At most one is under way.
	Write struct {
		Meta      Meta
		Tombstone bool
	}
	// Mark writes a marker to a partition.
	Mark struct {
		Part   TopicPartition
		Who    Producer
		Commit bool
	}
	// Allocate asks for a producer id that nobody has.
	Allocate struct{}
	// Answer answers a ticket by an InitAnswer, ErrAnswer, AdmitAnswer or EndAnswer.
	Answer struct {
		Ticket Ticket
		Answer any
	}
)

func (Write) isEffect()    {}
func (Mark) isEffect()     {}
func (Allocate) isEffect() {}
func (Answer) isEffect()   {}

// The answers.
type (
	// InitAnswer has None on an error.
	InitAnswer struct {
		Producer
		Err error
	}
	// ErrAnswer is an error or nil.
	ErrAnswer struct{ Err error }
	// AdmitAnswer has an error or nil for each partition asked for.
	AdmitAnswer struct{ Errs []error }
	// EndAnswer says what the client goes on with; None on an error.
	EndAnswer struct {
		Producer
		Err error
	}
)
