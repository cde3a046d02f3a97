// Package index is the sparse index of a segment: it answers at which byte to begin looking for an offset, a position or a time. It has
// two forms with the same answers:
//
//	Heap    grows with the segment that is appended to; 8.2 bytes an entry in Go's heap
//	Files   the .index and .timeindex beside a sealed segment, mapped; no heap an entry, nothing to parse when opened
//
// It is not durable while it grows, not the truth, and not needed for it: both forms can be rebuilt from the batch headers of the .log,
// and whoever is told ErrCorrupt or disk.ErrFault does so, or begins at byte 0 meanwhile. It reads no .log and knows no lock.
//
// # The files
//
// The layout is Kafka's, so that kafka-dump-log and a Kafka broker read them. All integers are big-endian; %020d is the base offset.
//
//	%020d.index, 8 bytes an entry, rising in both fields:
//	 0  4  offset    int32  last offset of a batch, counted from the base
//	 4  4  position  int32  where that batch begins in the .log
//
//	%020d.timeindex, 12 bytes an entry, rising in both fields:
//	 0  8  timestamp int64  ms: the largest of all batches up to some entry of .index
//	 8  4  offset    int32  last offset of the first batch that has it, counted from the base
//
// An entry is due for a batch that begins more than an interval of bytes after the last one indexed (index.interval.bytes); the .index
// gets it, and the .timeindex too if the largest timestamp has grown. A segment's first batch has no entry: what lies before all
// entries begins at byte 0. When the segment is rolled, the .timeindex gets a last entry for the segment's largest timestamp. Sources:
// Kafka's LogSegment.append and onBecomeInactiveSegment, and what DumpLogSegments holds against an entry.
//
// Kafka preallocates these files and cuts them when they are closed. Here they are written once, at their final length.
//
// # Invariants
//
//	I1  A floor is the position of a whole batch, or 0, and lies below the segment's end; nothing that was asked for lies before it.
//	I2  For one segment and interval, Heap and Files give the same floors, but for times, where Heap's may lie up to 126 entries lower.
//	I3  A file under its final name is whole: written beside, synced, renamed. It is never written again (disk.Mapper, M1).
//	I4  A lookup allocates nothing, and every load of mapped memory is under disk.Guard.
package index
