// Package ledger decides whether records were lost, repeated, reordered, changed or invented. It is told what was sent, what
// became of it and what was read, and it keeps interval sets instead of records: memory grows with gaps, not with the length
// of the run. It opens no connection and knows no time.
//
//	producer --Sent, Acked, Failed--> Lane (producer, partition)  \
//	                                                               Topic --Judge--> Verdict
//	reader   --Seen, Damaged, Foreign--> Reader (flow, partition) /
//
// A record's outcome is ok (acked), failed (the broker refused it: it must never appear), aborted (its transaction was: it must
// not appear to a reader of committed records, and may to others) or unknown (a timeout, a broken connection: it may appear once
// or not at all, and is never "lost"). Everything sent that is none of the others is unknown. The rules follow jepsen's Kafka
// workload.
//
// Invariants:
//
//	L1  lost        an acked sequence that a reader passed over, or that is missing when the log was read to its end
//	L2  duplicate   one sequence at two offsets. The same offset again is a redelivery: normal after a rebalance
//	L3  reordered   offsets against sequences of one producer in one partition
//	L4  corrupt     key, value or stamp differ from what was sent
//	L5  phantom     a record of this run that was never sent there, or that the broker had refused
//	L6  inconsistent  two records at one offset: read twice with different contents, or acked with another record's offset
//	L7  Whatever the order in which calls arrive from several goroutines, the verdict is the same, but for L6's window and for
//	    L10, which is about what came first.
//	L8  aborted-read  a reader of committed records got one of an aborted transaction
//	L9  torn        of a transaction whose end nobody knows, a reader of committed records got some records and not the others
//	L10 committed-offsets  a group committed beyond what was delivered to it, or went back behind a commit
//
// L6 needs to know what was at an offset, which no interval set can tell. It keeps a fingerprint of four bytes for the newest
// offsets of each partition (Options.Window); older ones go unchecked and are counted as such.
package ledger
