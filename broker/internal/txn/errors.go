package txn

import "errors"

// What a producer or an administrator can be told. The api maps them one to one onto the Kafka error codes that stand behind them;
// Answerable first puts those in their place that a request of its version does not know.
var (
	ErrConcurrent     = errors.New("another operation of the transactional id is under way; try again") // CONCURRENT_TRANSACTIONS 51
	ErrFenced         = errors.New("a newer producer has taken over the transactional id")              // PRODUCER_FENCED 90
	ErrInvalidEpoch   = errors.New("the producer epoch is not the current one")                         // INVALID_PRODUCER_EPOCH 47
	ErrInvalidState   = errors.New("the transaction is in a state that does not allow this")            // INVALID_TXN_STATE 48
	ErrInvalidMapping = errors.New("the transactional id does not have this producer id")               // INVALID_PRODUCER_ID_MAPPING 49
	ErrInvalidTimeout = errors.New("the transaction timeout exceeds transaction.max.timeout.ms")        // INVALID_TRANSACTION_TIMEOUT 50
	ErrInvalidRequest = errors.New("the request makes no sense")                                        // INVALID_REQUEST 42
	ErrAbortable      = errors.New("the partition is not in the transaction; abort it")                 // TRANSACTION_ABORTABLE 120
	ErrNotFound       = errors.New("there is no such transactional id")                                 // TRANSACTIONAL_ID_NOT_FOUND 105
	ErrPattern        = errors.New("the pattern is not a regular expression")                           // INVALID_REGULAR_EXPRESSION 128
	ErrNotAvailable   = errors.New("the transaction coordinator is not available")                      // COORDINATOR_NOT_AVAILABLE 15
	ErrTryAgain       = errors.New("the append cannot be admitted yet; try again")                      // NOT_ENOUGH_REPLICAS 19
	ErrTooManyInOne   = errors.New("the transaction has more partitions than a record can hold")        // UNKNOWN_SERVER_ERROR -1, as in Kafka
	ErrUnsupported    = errors.New("transaction.version is not 2")                                      // UNSUPPORTED_VERSION 35
)

// ErrMarkerFenced is what a Sink says of a marker when the log has one of a newer epoch: nothing is left to do.
var ErrMarkerFenced = errors.New("a marker of a newer epoch is in the log already")

// errRecord is the class of stored records that are none.
var errRecord = errors.New("bad record in __transaction_state")
