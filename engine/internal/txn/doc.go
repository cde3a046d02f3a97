// Package txn is what one log knows of transactions (KIP-98), so that consumers who want only committed records can be told how far they
// may read and what to leave out: which transactions are open (Table), and which were aborted (Index). It is pure but for reading and
// writing the files of sealed segments: no clock, no goroutine, no lock; the log's lock guards it.
//
// It is not a transaction coordinator: it decides nothing, times nothing out, and refuses no batch. It does not check producers' epochs or
// sequences (internal/producer does), does not know which marker was allowed (whoever appends does), and filters no records: as in Kafka,
// the consumer does, by the list that Collect gives.
//
//	producer 1   ──[a1 a2]───────[a3]──────────X abort────────────────
//	producer 2   ────────────[b1]─────────────────────✓ commit────────
//	offset         0  1       2   3            4      5
//	last stable    0  0       0   0            2      6               for a high watermark of 6
//	aborted                                    {producer 1, first 0, last 4, last stable 2}
//
// A transaction begins with its producer's first transactional batch and ends with the marker, a control batch. The last stable offset is
// that below which everything is decided: a consumer of committed records reads no further, and drops what aborted ones wrote.
//
// # How the engine uses it
//
//	a batch is flushed     a, aborted := table.Update(b); if aborted, the last segment's index.Add(a)
//	high watermark moved   table.Settle(high), so that no more is kept than is asked for
//	read of committed      upper = min(upper, max(start, table.Stable(high))); then, for the segment that holds from and those after it:
//	                       dst, done = index.Collect(dst, from, upper), until done
//	roll                   when index.Full() too; the new segment gets an index of its own
//	seal                   sum, err := WriteFile(…, index.Entries()) before the .seal, which is to hold sum; SyncDir is the caller's
//	open, sealed           ReadFile, or nothing at all when the seal says that there are no entries
//	recap                  table.Append, Index.AppendBefore of the segments that are not sealed; Parse, ParseIndex, then Update with the batches that follow
//	open, no recap         Update with all batches of the log in order; their entries go to the segments that hold the markers
//	cut                    the same with what is left: a Table cannot go back
//	trim                   table.Settle(start). A transaction that began below start stays open, and Stable may lie below start
//	compaction             a new segment's entries are those of the segments that it replaces, one after another
//
// Rebuilding is Update once more. Of data batches it reads the header alone; control batches must be there as far as their first record
// goes, so a walk over headers reads those, 78 bytes, as well. There is no way to rebuild one segment's entries alone: the transactions that
// were open where it begins are in the segments before it.
//
// # Invariants
//
//	T1  A producer has at most one open transaction. It begins with the first batch that has records, and ends with the next marker of
//	    that producer, whatever the epoch. A marker without a transaction ends nothing, and what cannot be read as a marker is none.
//	T2  Stable(high) is the least of high, the first offsets of open transactions, and those of transactions whose marker lies at or above
//	    high: their end may yet be cut off. It is lower than that only while more than MaxDecided/2 markers lie at or above high,
//	    and never lower than when the transactions of these began.
//	T3  Open transactions are kept in the order of their first offsets, so the first one is found in no time.
//	T4  The entries of an Index rise in Last and do not fall in LastStable; First < Last, and LastStable is at most Last+1.
//	T5  When upper is at most a last stable offset, Collect over the segments gives every aborted transaction with a record in [from, upper),
//	    and done is true only where no later segment has one.
//	T6  A file under its final name is whole (disk.ReplaceFile). None is the same as one without entries.
//	T7  A Table or Index that was written down and read again answers as before.
//
// Nothing here is durable by itself, and nothing is the truth: all of it can be rebuilt from the log.
//
// Sources: KIP-98; Kafka's ProducerStateManager for what is stable, TransactionIndex for what is collected.
package txn
