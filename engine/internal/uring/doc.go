// Package uring is the disk.FS whose reads have depth: many reads of one batch, and of many goroutines, wait in one io_uring
// instead of in as many threads. It is also the only room that imports giouring, behind the build tag iouring (with
// -ldflags=-checklinkname=0, which giouring needs since Go 1.23). Without the tag everything compiles and Open says why not.
//
//	f, err := uring.Open(disk.OS{}, 256)
//	f.OnFailure(func(err error) { log.Warn("io_uring is given up, reads go on by system calls", "err", err) })
//	f.ReadBatch(ops)             // disk.BatchReader
//	err = f.SyncBatch(files)     // fdatasync of many files at once
//
// It passes every other operation through to the FS below, writes too: a buffered write is dearer through a ring, and the
// commit log has one write in flight. It holds no cache, no buffers and no policy about what is worth a batch.
//
// # Shape
//
//	caller: ReadBatch          one ring, COOP_TASKRUN             reaper (one goroutine)
//	 slot for each read,   ──▶  requests in flight,        ──▶     parked in the runtime's poller on the ring's descriptor;
//	 prepare, submit once       at most one a slot                 gives each completion to its slot, sends short reads again,
//	 wait                  ◀────────────────────────────────────   wakes the caller of the batch when its last read is done
//
//	fs.go     FS, ReadBatch, SyncBatch, Close, failure                 no kernel, no tag: tested on a ring made of memory
//	file.go   its files
//	slots.go  the slot table and what an answer means                  pure
//	ring.go   the ring behind the interface queue                      the only file with giouring; meant to be replaceable
//
// # Where the buffers are
//
// A ring may read into Go memory if it neither moves nor is freed. Stacks move; the heap does not. ReadBatch stores the buffer's
// slice in the slot table, which lives on the heap: so the compiler must move a local array given to it to the heap, and the
// collector sees a reference until the completion is taken. No copy is made. Buffers outside the heap (disk.Arena) do as well.
// A Go pointer is never in user_data, and the address in the SQE is never the only reference.
//
// # Invariants
//
//	U1  A buffer and a file are referenced by their slot from before the SQE is prepared until its completion is taken.
//	U2  user_data is slot and generation. The generation changes with every submission, so an answer is believed once.
//	U3  At most as many requests are unanswered as there are slots, and never more than SQ entries: neither queue overflows.
//	U4  Only completions count. What a system call returns says how many SQEs were taken, nothing else.
//	U5  Every byte of an SQE is cleared before it is prepared (giouring leaves rw_flags of the last use).
//	U6  An error of a read is asked again by File.ReadAt, whose answer counts. An error of a sync is final (disk, D3).
//	U7  After a failure of the ring nothing is sent to it. What it holds is awaited, everything else is read by File.ReadAt.
//	    If what it holds never comes, the process ends: the kernel could write into memory that serves something else by then.
//	U8  A descriptor is used only while its file is held; Close of a file waits for that.
//
// Lock order: FS.mu, then file.mu. No lock is held across I/O, except FS.mu across the submission, which does not wait for it.
//
// # For engine/disk
//
// SyncBatch belongs beside BatchReader, with this interface:
//
//	// BatchSyncer is what an FS also implements when it can make many files durable better together than one after another.
//	type BatchSyncer interface {
//		// SyncBatch is Sync of every file. After an error nothing is known about any of them (D3).
//		SyncBatch(files []File) error
//	}
package uring
