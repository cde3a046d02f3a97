// Package pace hands records over at the times that a plan says. It is not a client (drive is) and it never asks how fast
// the broker is: a schedule is absolute, so a slow broker makes records late, never fewer.
//
//	plan.Stages --> Schedule (pure: record n is due at TimeOf(n)) --> Pacer (shell: clock, gate, hand-over)
//
// Closed is the other model: load that follows the answers, for executors without a schedule of rates.
//
// A 10 kHz Ticker silently delivers an eighth of its ticks, and time.Sleep overshoots by 0.6 to 1 ms. So the Pacer sleeps on a
// timer of the kernel (Fine), for at least half a millisecond, and then hands over everything that has come due, each record
// with its own intended time. The lag is measured (produce.delay), not hidden.
//
// Invariants:
//
//	A1  Every record that the stages offer is handed over once or dropped once: Handed + Dropped = offered.
//	A2  Intended times depend on the plan and the seed alone, never on the clock.
//	A3  A record is never handed over before its intended time.
//	A4  A record that is LateLimit late, or due when Deadline passes, is dropped and counted, never forgotten.
package pace
