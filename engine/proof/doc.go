// Package proof holds the tests that try to make the storage engine lose, change or invent data, through its public API and
// the disk interface only. It is not a second set of unit tests: it knows no format and no internal of the engine, and what it
// accepts is written down in one place, the ledger (ledger_test.go).
//
//	kill_test.go      a real process (package victim) killed at random moments and at named points
//	power_test.go     ext4 and XFS images that lose power by the shutdown ioctl while the victim writes
//	fault_test.go     every disk operation made to fail, with every errno, once and for ever
//	full_test.go      a file system of 64 MiB that is really full, again and again
//	flip_test.go      every file with flipped bits, cut off, zeroed, swapped, deleted
//	lies_test.go      disks that lie and buffers that are reused: the checks above must notice, or they are blind
//
// # What is claimed, and checked by the ledger after each restart
//
//	L1  Every acknowledged batch is there, at the offset that was acknowledged, byte for byte.
//	L2  Nothing is there that was not appended, and nothing twice.
//	L3  Offsets have no gaps, and the batches of one writer stand in the order in which it appended them, without holes.
//	L4  A dropped log is gone; one that is being dropped is there whole or gone.
//	L5  After a failed write or sync of the commit log nothing is acknowledged; after one of a segment nothing that is flushed once the
//	    engine knows of it.
//	L6  No panic, no hang, no descriptor left open.
//
// Each random test prints its seed and a line that repeats it. `make crash` runs the long versions.
package proof
