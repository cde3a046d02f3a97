// Package group coordinates consumer groups, of the classic protocol and of KIP-848: who is a member, who leads, which generation counts,
// and which offsets the group has committed.
//
// It is not the assignor: how partitions are shared out is decided by the clients, and their metadata and assignments are
// opaque bytes here, in the classic protocol. It knows no wire message (api translates) and no socket.
//
// # The core and the shell
//
//	core.go join.go sync.go leave.go member.go   Group: a pure state machine, Step(now, event) -> effects. It owns no clock,
//	save.go                                      no goroutine, no lock: time is a parameter, Deadline says when it wants Tick.
//	coordinator.go clock.go queue.go             Coordinator: the groups, a lock for each, one goroutine that ticks them.
//	commit.go admin.go expire.go                 its methods for offsets, for those who administer, and what it does by itself.
//	offsets.go lane.go load.go                   committed offsets, and the way to and from __consumer_offsets.
//	embedded.go                                  what consumers put into their opaque bytes, where it must be known.
//	modern.go migrate.go                         consumer groups of KIP-848, and the way from and to the classic protocol.
//	consumer                                     their core, pure as well; assign is what shares partitions out.
//	record                                       the records of __consumer_offsets, in Kafka's schemas.
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
//	G2  The generation only grows, for as long as the group exists. (A generation whose leader never sent assignments is
//	    forgotten by a crash, as in Kafka: its members are told ILLEGAL_GENERATION and join again.)
//	G3  A member that is given an assignment in generation g was a member when g was formed, and the assignment is the one
//	    that g's leader sent.
//	G4  Every ticket that comes in with an event is answered exactly once, however the group goes on.
//	G5  A commit is answered, and seen by OffsetFetch, only after its record is durable.
//	G6  Records are applied in the order of the log, when written as when read at start: the last of a key wins, a tombstone
//	    removes it, and a transaction's offsets count from where its marker lies.
//	G7  Nothing is told that depends on a record which is not durable: answers of a group wait for what was saved before them.
//	    (Describe, ConsumerDescribe and List show what is, durable or not: nobody acts as a member by them.)
//	G8  At any moment a restart finds the newest generation that was told to anybody with its assignment, with its members:
//	    they go on with their next heartbeat.
//
// # Locks
//
// Coordinator.mu (the table of groups) before entry.mu (one group) before lane.mu (a partition of __consumer_offsets, held while
// something is appended to it). Offsets.mu, Offsets.opening, queue.mu and clock.mu stand alone. What the engine calls when records are
// durable takes Offsets.mu and queue.mu only, so an append may wait for the engine under the other locks. No lock is held across a channel
// operation that can block.
//
// # Offsets in transactions
//
// TxnOffsetCommit appends a batch in the producer's name; its offsets are pending (ledger.pending) until Offsets.Marker has appended the
// marker that ends the transaction in that partition. Until then OffsetFetch with require_stable answers ErrUnstable. A start reads the log
// with its markers and comes to the same.
//
// # Between the protocols
//
// An empty group is converted by whoever joins by the other protocol. A classic group of consumers that is stable becomes a consumer group
// by the first heartbeat of the new protocol: its members go on inside (consumer/classic.go), with their generation as member epoch and what they
// were assigned. In a rebalance that heartbeat is answered ErrNotAvailable, and comes again. When the last member of the new protocol leaves, the
// group is classic again, and rebalances. Limits.Migration forbids either way.
//
// # Expiry
//
// As KIP-211 has it: Expire's comment. A commit to an empty group draws its life out, where Kafka counts from when it became empty
// whatever is committed later.
package group
