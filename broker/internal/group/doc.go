// Package group coordinates consumer groups of the classic protocol: who is a member, who leads, which generation counts,
// and which offsets the group has committed.
//
// It is not the assignor: how partitions are shared out is decided by the clients, and their metadata and assignments are
// opaque bytes here. It knows no wire message (api translates) and no socket. KIP-848 groups are not here.
//
// # The core and the shell
//
//	core.go join.go sync.go leave.go member.go   Group: a pure state machine, Step(now, event) -> effects. It owns no clock,
//	                                             no goroutine, no lock: time is a parameter, Deadline says when it wants Tick.
//	coordinator.go clock.go                      Coordinator: the groups, a lock for each, one goroutine that ticks them.
//	offsets.go record.go                         committed offsets in __consumer_offsets, in Kafka's own record format.
//
// The states and what moves between them (KIP-62, KIP-134, KIP-345, KIP-394):
//
//	Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance --leader syncs--> Stable
//	  ^                     |     ^                                          |                               |
//	  +----nobody left------+     +--------join, leave, session expired------+-------------------------------+
//
// # Invariants
//
//	G1  In one generation at most one member is told that it is the leader.
//	G2  The generation only grows. (It starts anew with the process: generations are not kept on disk. A member that
//	    outlives a restart is unknown afterwards and joins again, so no old generation can be mistaken for a new one.)
//	G3  A member that is given an assignment in generation g was a member when g was formed, and the assignment is the one
//	    that g's leader sent.
//	G4  Every ticket that comes in with an event is answered exactly once, however the group goes on.
//	G5  A commit is answered, and seen by OffsetFetch, only after its record is durable.
//	G6  At start the last record of a key wins, a tombstone removes it.
//
// # Locks
//
// Coordinator.mu (the table of groups) before entry.mu (one group). Offsets.mu stands alone. No lock is held across a
// channel operation that can block, or across a call into the engine.
//
// # Not here
//
// Kafka keeps a GroupMetadata record per generation so that a coordinator can move to another broker without a rebalance.
// With one broker it would only save one rebalance per restart, and it would put a flush into every rebalance, so it is
// left out until coordinators can move. Offsets do not expire.
package group
