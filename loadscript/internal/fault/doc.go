// Package fault strikes a cluster as a plan says: it unfolds the faults into beats, finds out who is to be struck when a beat
// comes, strikes, makes sure that it had an effect, and heals. What it strikes with lives elsewhere: processes in the cluster
// room, and so do disks and clocks, links in the proxy room, group members in drive. It measures nothing; what happened goes out as events.
//
//	plan.Fault --Rows--> beats --at their time--> View.Resolve --> strike --> confirm --> … --> heal
//	  (pure)             one goroutine a row        (pure)          Control, proxy.Net
//
// Invariants:
//
//	F1  The beats are a pure function of the faults and the length of the run; random ones of their seed.
//	F2  Targets are resolved when the beat comes: the leader of then.
//	F3  A beat that strikes nobody, or that shows no effect, is an event with an error. Nothing is skipped.
//	F4  Run returns when everything is healed, whatever ended it; what could not be healed is an event with an error.
//	F5  The beats of one row never overlap; rows may.
package fault
