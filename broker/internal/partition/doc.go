// Package partition is one partition as its leader sees it: which records count as committed, who waits for that, and who
// waits for more to read.
//
// It is not the log (engine stores, checks producer sequences and gives offsets) and not the protocol (api translates). It
// knows no topic name and no socket.
//
//	core.go       Core: a pure state machine, Step(event) -> effects. It has no clock, lock or goroutine. (Nothing in it
//	              depends on time as long as the leader is the only replica; the follower's lag will.)
//	partition.go  Partition: the shell. It owns the log, calls Step under its lock, hands completions on.
//	journal.go    Journal: a partition that the broker itself writes records to, and waits.
//
// # Invariants
//
//	P1  The high watermark never goes back, and never passes what the in-sync replicas have flushed. With one replica it is
//	    the leader's flushed end.
//	P2  A waiter for offset o is completed with success only when the high watermark is at or above o, with an error only when
//	    the partition has failed or is closed; once, in order of offsets.
//	P3  After Failed nothing is completed with success.
//	P4  Readers see only records below the high watermark.
//
// # Locks
//
// Partition.mu guards the core and the lists of waiters. Under it: no I/O, no call into the engine, no channel operation
// that can block. Waiters are told after it is released, on the goroutine that brought the news (an engine goroutine, which
// must not be held up), so a Waiter must not block either.
package partition
