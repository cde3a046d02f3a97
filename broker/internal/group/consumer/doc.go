// Package consumer is the pure core of a consumer group of KIP-848: who is a member, which partitions each is to have, and how they get
// there without two of them having one at the same time.
//
// It owns no clock, goroutine, lock or log: time and the topics are parameters, what it decided comes back as records, and the caller tells
// nobody of a step before its records are durable. How partitions are shared out is package assign's.
//
//	group.go      Group: Step(now, image, event) -> answer and records
//	join.go       how members come, come back and go
//	classic.go    members that speak the classic protocol in the group, and the way from and to a classic group
//	reconcile.go  from what a member has to what it is to have
//	target.go     subscriptions and the target assignment
//	restore.go    records -> Group
//	image.go      the topics as the core sees them
//
// # The three epochs
//
//	group epoch       grows when members, subscriptions or the topics they read change
//	assignment epoch  the group epoch that the target assignment was made for
//	member epoch      the assignment epoch that a member has come to
//
// A member on its way:
//
//	            revoked all                     all were free
//	UNREVOKED ───────────────▶ UNRELEASED ──────────────────▶ STABLE
//	    ▲        (nothing to wait for: straight on)              │
//	    └────────── a new target takes something away ───────────┘
//
// It keeps its epoch until it has given back what the target takes from it (UNREVOKED), then goes to the target's epoch with what is free of what
// the target gives it, and gets the rest as others give it back (UNRELEASED).
//
// # Invariants
//
//	C1  A partition has at most one owner: it is in assigned or revoking of one member. It changes hands only after the member has said, by a
//	    heartbeat without it, that it gave it back, or was taken out.
//	C2  The group epoch and the assignment epoch only grow; a member's does as long as it is in.
//	C3  A refused event changes nothing.
//	C4  The records of all steps, in order, restore the same group (but for deadlines, which begin anew).
//	C5  When nothing changes any more and members send heartbeats, all come to be STABLE with their target.
//
// Source: KIP-848 and its follow-ups KIP-1082 (client-made member ids) and KIP-1043; names and codes as in Kafka.
package consumer
