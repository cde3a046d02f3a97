// Package bare holds programs that do only the I/O of a storage engine, so that a benchmark can say how near the engine comes
// to what the machine allows: the same records, the same number of writers, the same file system, minus the engine.
//
// It is NOT a storage engine: nothing here can be recovered, no frame carries a checksum, no order is kept. It knows no log,
// batch or offset, and imports nothing of this module.
//
//	PerRecord     each writer writes its record and syncs: what a program without group commit gets
//	GroupCommit   a queue, one write, one sync, wake all: what a program with nothing but group commit gets
//	Device        1 MiB writes, each synced: what the disk gives
//	Append        each writer appends to a new file, unsynced: what the page cache gives
//	SyncLatency   a 4 KiB overwrite, and how long its sync takes
//	Sequential    each reader reads its own file to the end
//	Random        each reader reads pages at random places
//
// A figure from another minute of a shared machine says nothing, so a benchmark alternates rounds of its subject and of these
// (A B A B), each made by Round, and compares the medians.
//
// # Invariants
//
//	R1  Every 512 bytes that are written differ from all that were written before: Stamp sees to it.
//	R2  All writes but Append's overwrite a file of zeros that is durable: no round pays for metadata. The engine recycles its files likewise.
//	R3  A record counts when it is durable, and its latency ends when its writer knows.
//
// Lock order: group.mu is the only lock.
package bare
