// Package inspect reads the files of a data directory and says in rows what they hold and in findings what is wrong with them: the
// inside of tools/logdump, which cannot import engine/internal.
//
// It is read only. It never opens the engine, takes no lock, repairs nothing, and decides nothing: what recovery would do about a
// finding is the engine's. The formats are drawn beside the code that writes them (engine/FORMAT.md says where); the readers here are
// written after the drawings and not shared with the writers, so that a mistake in one shows in the other.
//
// While a broker runs, its files change under the reader: the newest batch may be half written, a file may be renamed or gone. Damage
// stays, and such a finding is gone at the next look: so a folder in which damage was found, and which changed meanwhile, is looked at
// again by itself (settle.go).
//
//	err := inspect.Path(inspect.ReadOnly(disk.OS{}), "/var/lib/streambus", inspect.Options{Verify: true}, sink)
//
// # What is damage, and what is a note
//
//	damage  bytes that the engine counts on do not hold what was written, or a side file contradicts what it speaks for
//	note    bytes that nobody was promised: a torn last frame, what lies above the checkpoint, leftovers of work cut off, and what a
//	        repair has moved aside
//
// A log above its checkpoint is the commit log's to restore, or, when it is unlogged, the page cache's to lose. So there only notes are
// made; below it everything must be whole. A recap is written without a sync: one that a power cut may have left so is a note.
//
// What no check can see: a last frame of the commit log that was flushed and then lost looks like a torn one, unless a mark lies behind
// it; the leader epochs of batches above the checkpoint, or in a segment that was rolled and has no seal yet, and bytes between a frame
// and the next page, are covered by nothing.
//
// # Invariants
//
//	V1  Nothing is written, created, renamed or removed: the FS given by ReadOnly refuses it.
//	V2  Memory is bounded whatever the files say: one window of 1 MiB for each open file, one batch of at most MaxBatch, its records
//	    of at most Options.DecodeLimit (codec.C1), and 100 bytes for each log that a checkpoint names, of at most MaxLogs.
//	V3  Hostile bytes make findings, never panics.
//	V4  A directory as the engine leaves it, at rest or after a crash at any moment, has no damage.
package inspect
