package txn

import (
	"cmp"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
)

// State is where a transactional id is in its life. The numbers are those of Kafka's records: frozen.
type State int8

// The states, named as Kafka names them. Dead and PrepareEpochFence are never written: the first is what is left after a tombstone, the
// second is Kafka's name for a fence whose record is on its way, which here is part of going to PrepareAbort.
const (
	Empty             State = 0
	Ongoing           State = 1
	PrepareCommit     State = 2
	PrepareAbort      State = 3
	CompleteCommit    State = 4
	CompleteAbort     State = 5
	Dead              State = 6
	PrepareEpochFence State = 7
)

var stateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

func (s State) String() string { return stateNames[s] }

// StateNamed finds a state by the name that ListTransactions uses.
func StateNamed(name string) (s State, ok bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

// ends says that the outcome is decided and the markers are being written.
func (s State) ends() bool { return s == PrepareCommit || s == PrepareAbort }

// The epochs. A client is never told MaxEpoch, so that there is always one left to fence it with.
const (
	NoEpoch   batch.ProducerEpoch = -1
	MaxEpoch  batch.ProducerEpoch = 1<<15 - 1
	lastEpoch                     = MaxEpoch - 1 // the last one that a client may be told
)

// exhausted says that a producer id has no epoch left to give.
func exhausted(e batch.ProducerEpoch) bool { return e >= lastEpoch }

// TopicPartition is a partition that is part of a transaction.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func compare(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Producer is a producer id with an epoch.
type Producer struct {
	ID    batch.ProducerID
	Epoch batch.ProducerEpoch
}

// None is what takes the place of a Producer in an answer that has none, and in a request of a client that has none yet.
var None = Producer{batch.NoProducerID, NoEpoch}

// NoTime is a time in milliseconds that is not set.
const NoTime int64 = -1

// Meta is what is known of one transactional id: the content of its last record. It is not changed; a new one takes its place.
type Meta struct {
	Producer
	LastEpoch batch.ProducerEpoch // the epoch before, as far as a repeated request may still come with it; not in the record, as in Kafka
	Previous  batch.ProducerID    // the producer id before the last change
	Next      batch.ProducerID    // while the transaction ends: the id that its client goes on with, where the epochs are used up
	TimeoutMs int32
	State     State
	Version   int16            // of the protocol that the client spoke last: 2 is KIP-890's second part
	Parts     []TopicPartition // sorted, without repetitions; shared, so not to be changed
	UpdatedMs int64            // since 1970
	StartedMs int64            // since 1970; NoTime before the first transaction
}

// told is what the client goes on with, once it has been answered.
func (m *Meta) told() Producer {
	if m.Next != batch.NoProducerID {
		return Producer{m.Next, 0}
	}
	return m.Producer
}

func (m *Meta) has(p TopicPartition) bool {
	_, ok := slices.BinarySearchFunc(m.Parts, p, compare)
	return ok
}

func (m *Meta) hasAll(ps []TopicPartition) bool {
	return !slices.ContainsFunc(ps, func(p TopicPartition) bool { return !m.has(p) })
}

// with gives the partitions with those of ps added.
func (m *Meta) with(ps []TopicPartition) []TopicPartition {
	all := slices.Concat(m.Parts, ps)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}
