package txn

import (
	"errors"
	"fmt"
)

// Operation is a request that Answerable knows.
type Operation uint8

// The requests whose errors depend on their version.
const (
	OpInitProducerID Operation = iota
	OpAddPartitions
	OpAddOffsets
	OpEndTxn
	OpProduce
	OpTxnOffsetCommit
)

// Answerable gives the error that a client of that version of the request knows, and does the right thing on, in place of err.
//
//	                   PRODUCER_FENCED           TRANSACTION_ABORTABLE   CONCURRENT_TRANSACTIONS, no coordinator
//	InitProducerId     4, else ErrInvalidEpoch
//	AddPartitions      2, else ErrInvalidEpoch   5, else ErrInvalidState
//	AddOffsets         2, else ErrInvalidEpoch
//	EndTxn             2, else ErrInvalidEpoch
//	Produce            ErrInvalidEpoch           11, else ErrInvalidState  12, else ErrTryAgain; no coordinator always ErrTryAgain
//	TxnOffsetCommit    ErrInvalidEpoch           4, else ErrInvalidState   5, else ErrNotAvailable
//
// ErrTooManyInOne becomes ErrAbortable where that is known. Sources: KIP-588 (fenced), KIP-890 (the rest).
func Answerable(op Operation, version int16, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrFenced) && version < knowsFenced(op) {
		return instead(ErrInvalidEpoch, err)
	}
	if errors.Is(err, ErrAbortable) && version < knowsAbortable(op) {
		return instead(ErrInvalidState, err)
	}
	if errors.Is(err, ErrTooManyInOne) && version >= knowsAbortable(op) {
		return instead(ErrAbortable, err)
	}
	switch op {
	case OpProduce:
		if errors.Is(err, ErrConcurrent) && version < 12 || errors.Is(err, ErrNotAvailable) {
			return instead(ErrTryAgain, err)
		}
	case OpTxnOffsetCommit:
		if errors.Is(err, ErrConcurrent) && version < 5 {
			return instead(ErrNotAvailable, err)
		}
	}
	return err
}

// instead keeps the text of err and the class of known.
func instead(known, err error) error { return fmt.Errorf("%w (%v)", known, err) }

const never = 1<<15 - 1

// knowsFenced is the first version whose clients take PRODUCER_FENCED for an answer.
func knowsFenced(op Operation) int16 {
	switch op {
	case OpInitProducerID:
		return 4
	case OpAddPartitions, OpAddOffsets, OpEndTxn:
		return 2
	case OpProduce, OpTxnOffsetCommit:
		return never
	}
	panic(fmt.Sprintf("txn: operation %d", op))
}

// knowsAbortable is the first version whose clients take TRANSACTION_ABORTABLE for an answer.
func knowsAbortable(op Operation) int16 {
	switch op {
	case OpProduce:
		return 11
	case OpTxnOffsetCommit:
		return 4
	case OpAddPartitions:
		return 5
	}
	return never // they are never given it
}
