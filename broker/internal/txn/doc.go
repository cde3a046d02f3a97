// Package txn coordinates transactions (KIP-98, KIP-360, KIP-890): which producer owns a transactional id, which partitions its transaction
// has, and whether it is committed or aborted.
//
// It is not what a data log knows of transactions (engine/internal/txn: last stable offset, aborted ranges), it writes no marker itself (a
// Sink does), keeps no committed offsets (group does), and knows no wire message (api translates). Two-phase commit (KIP-939) is not here.
//
// # The core and the shell
//
//	core.go init.go add.go end.go   Txn: the pure state machine of one id, Step(now, event) -> effects. It owns no clock, no goroutine,
//	                                no lock: time is a parameter, Deadline says when it wants Tick.
//	coordinator.go loop.go          Coordinator: the ids, a lock for each, one goroutine for what comes back and for the clock.
//	requests.go view.go             what the api calls, an answer or a Reply for each request.
//	record.go load.go               __transaction_state, in Kafka's own record format.
//	versions.go                     which errors a client of some version knows.
//
// The states, and what moves between them:
//
//	Empty ──add──▶ Ongoing ──commit──▶ PrepareCommit ──all markers──▶ CompleteCommit ──add──▶ Ongoing
//	                  │                                                     ▲ init: Empty, from all that are complete
//	                  └──abort, time is up, init by another──▶ PrepareAbort ──all markers──▶ CompleteAbort
//
// Each arrow is one record. A change is written first and counts when it is durable; meanwhile nothing else may change, and who asks is
// told ErrConcurrent, as in Kafka. The client is answered when the decision is durable, before its markers are written.
//
//	commit asked   Write(PrepareCommit)   Written   answer, Mark for each partition   Marked…   Write(CompleteCommit)   Written
//
// A start finds the last record of each id: of Prepare… it sends all markers again, the others it takes as they are. So a crash at any
// point repeats markers and loses nothing that was answered.
//
// # The two protocols
//
// Of a client of protocol 1 the epoch stays the same from one transaction to the next, and it names each partition by AddPartitionsToTxn
// before it writes there. With protocol 2 (transaction.version 2) each EndTxn raises the epoch, markers carry the raised one, so a late
// record of the last transaction is fenced by the log, and Produce and TxnOffsetCommit add their partition themselves. Both may be used on
// one broker, even on one id one after the other; which one is told by the request's version.
//
// # Admission
//
// A late record of protocol 1 is not fenced by the log: it has the same epoch as the marker. If it came behind the marker it would open a
// transaction that nobody ends, and consumers of committed records would stand still. So who appends asks Admit first, and the marker of a
// partition is not sent while an append to it is admitted and not released. This holds while coordinator and log are in one process; with
// partitions on other brokers their side of the verification will have to guard the log, as Kafka's does.
//
// # Invariants
//
//	X1  A transaction has one outcome, in all its partitions, and after every crash.
//	X2  Whatever an answer says is durable before it is given.
//	X3  Every ticket that comes in with an event is answered exactly once. (Close answers those that are left.)
//	X4  Once an InitProducerID is answered, no marker of an older epoch of that id is sent.
//	X5  No record is in a log behind the marker that ends its transaction.
//	X6  A producer id with an epoch is given to one client, but for the same client asking again, and the epoch MaxEpoch to none.
//	X7  When it is not known whether a record is in the log (the disk failed), the id does nothing more until the next start.
//	X8  At start the last record of a key wins, a tombstone removes it.
//
// # Locks
//
// Coordinator.mu (the table) stands alone, and so do inbox.mu, markers.mu and Admission.mu. entry.mu (one id) comes before clock.mu. No lock
// is held across a channel operation that can block, or across a call into the engine, a Sink or IDs. What comes back from those comes
// on goroutines that must not be held up, so it is posted to the inbox.
package txn
