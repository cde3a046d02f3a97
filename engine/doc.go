// Package engine stores logs of record batches on one disk so that what was acknowledged survives a crash of the process or
// a loss of power. It knows disks, files, offsets and batches; it knows no socket, topic, user, message or broker.
//
// It does not replicate, does not compress or decompress, does not decide who may write (the caller passes the leader epoch)
// and gives no promise for a disk that lies about a flush.
//
//	e, err := engine.Open(ctx, engine.Options{Dir: "/var/lib/streambus"})
//	l, err := e.OpenLog("orders-0", engine.LogOptions{Observer: partition})
//	at, err := l.Append(b, epoch, frame) // offsets are stamped; not yet durable
//	// … partition.Flushed(end): everything below end is durable and may be acknowledged and read
//	span, err := l.Read(0, highWatermark, 1<<20)
//
// # Life of an append
//
//	caller's goroutine            committing goroutine            segment goroutine
//	 Append: a small batch is
//	  copied to the cache;
//	  sequence, room, stamp
//	  offset, queue         ───▶   take a group, write one
//	                                frame, fdatasync
//	                               make readable in memory,
//	                                Observer.Flushed       ───▶   when there is much of a log, or much in all, or a second has
//	                                      …                        passed: write all of it to its segment (page cache)
//	checkpoint goroutine: write what is behind, fdatasync the segments written since the last time, write the checkpoint, recycle
//	 commit-log files
//	caretaker: seal segments that were rolled, compact logs that are due; retention; the scrubber
//
// Between the flush and the write to its segment a batch is behind (behind.go): the commit log has it, and memory. Who needs it in
// the file (a reader of much, a checkpoint, Trim, Cut) has it written first. Only logs with something behind cost anything.
//
// That is an Fsync log. One that is Interval or PageCache goes past the commit log: its batches are written to their segments by
// a goroutine of their own and reported then. Recovery takes of it what the page cache saved, up to the first batch that is not whole.
//
// The newest small batches are kept in memory (internal/tail), so that reading at the end of a log needs no system call. Cold
// reads and checkpoints use io_uring where it is granted (Options.IO); nothing depends on it.
//
// A data directory holds:
//
//	.lock                     the process that uses it
//	checkpoint                where replay begins, and how far each log is durable without it (internal/commit)
//	commit/%020d.commit       the commit log (internal/commit)
//	<log>/log.meta            the log's id
//	<log>/%020d.log           segments: bare record batches, as Kafka lays them out (internal/segment)
//	<log>/%020d.{seal,index,timeindex,txnindex}   of segments that were rolled (internal/seal, internal/index, internal/txn)
//	<log>/recap               what is kept in memory, so that a start need not read the log (internal/recap)
//	<id>.new, <id>.deleted    logs half created, or half removed; gone after the next Open
//
// # Invariants
//
//	E1  Observer.Flushed(end) is called only when every batch below end is flushed in the commit log; in a log that is not Fsync, when
//	    it is written to its segment. Nothing that is not flushed in the commit log is ever in a segment of an Fsync log.
//	E2  Offsets are given without gaps, in the order of the commit log.
//	E3  Nothing at or above the flushed end is ever read.
//	E4  The first failed write or sync is final: nothing is flushed, acknowledged or retried after it, until Open recovers.
//	    Reads of what was flushed go on.
//	E5  A full disk is not a failure: room is reserved before a batch is taken, so it is refused whole (ErrFull).
//	E6  After Open, each Fsync log holds at least every batch for which Flushed was called, and no log anything that was not appended
//	    or has a gap that compaction did not make. (After the end of the process alone, the others hold them too.)
//	E7  Damage below the checkpoint is found before it is served (segment.Sums says what escapes), reported (ErrCorrupt), and never cut
//	    off; above it the commit log is the truth.
//	E8  What Trim, Cut and compaction take away stays away, and what they leave is as it was, whenever the power goes.
//	E9  What Log.Stable and Log.Aborted say together shows a consumer of committed records all of them and no other (transactions.go),
//	    also after a start that knows nothing but the segments.
//
// Lock order: Engine.admin and Log.setting, then Log.bounding, then Log.sealing, then Log.growing, then Log.writing or Log.recapping, then
// Log.mu, then the commit queue's, behind's and Engine.errMu; Engine.mu before Log.mu. A checkpoint takes writing, recapping and mu of logs,
// so whoever waits for one may hold those before. No lock is held across I/O but Engine.admin and those of Log before mu, of which an Append
// that finds room takes none.
package engine
