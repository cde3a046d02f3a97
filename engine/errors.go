package engine

import "errors"

// The errors that callers tell apart. All others are wrapped I/O errors of the operation that failed.
var (
	// ErrFailed: a write or flush failed, so the disk is failed for good (E4). Only a restart, through recovery, heals it.
	ErrFailed = errors.New("disk has failed")
	// ErrFull: the disk has no room for the batch beyond the reserve. Nothing was taken; trying again later may work.
	ErrFull = errors.New("disk is full")
	// ErrClosed: the engine or the log is closed or dropped.
	ErrClosed = errors.New("log is closed")
	// ErrLocked: another process uses the data directory.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrCorrupt: stored bytes are not what was written. It names file and position and is never repaired silently.
	ErrCorrupt = errors.New("corrupt data")
	// ErrOffsetOutOfRange: the offset is below the log's start or above its flushed end.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrTooLarge: the batch is larger than the log takes.
	ErrTooLarge = errors.New("record batch is too large")
	// ErrOutOfOrderSequence: an idempotent producer skipped or repeated sequences (Kafka: OUT_OF_ORDER_SEQUENCE_NUMBER).
	ErrOutOfOrderSequence = errors.New("producer sequence is out of order")
	// ErrFencedProducer: a newer epoch of this producer id has written here (Kafka: INVALID_PRODUCER_EPOCH).
	ErrFencedProducer = errors.New("producer epoch is fenced")
	// ErrInvalidTxnState: a producer with an open transaction sent a batch that is not part of it (Kafka: INVALID_TXN_STATE).
	ErrInvalidTxnState = errors.New("producer is in a transaction")
	// ErrTooManyTransactions: the batch would begin one more than may be open in a log. Nothing was taken; when others have ended, trying
	// again works.
	ErrTooManyTransactions = errors.New("too many open transactions")
)
