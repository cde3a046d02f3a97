// Package seal is the side file of a sealed segment: what the segment holds, so that it opens without being read, and a checksum of
// every 64 KiB block of it, so that no flipped bit goes unnoticed. (The CRC of a Kafka batch leaves its first 21 bytes out, and
// nothing covers what is not a batch.)
//
//	Build      reads a .log once, checks every batch of it, and writes the .index, .timeindex, .txnindex and .seal
//	Read       reads the header of a .seal
//	CheckPins  says whether a .log looks like the one that was sealed, by its first and last 4 KiB
//	ReadTable  reads the checksums of the blocks, so that a reader can hold what it reads against them
//	Verify     reads a .log against its .seal and reports every damaged range
//
// It never changes a .log, repairs nothing, and does not know who reads a segment: that is internal/segment's. A seal is not the
// truth: one that is missing, damaged or contradicted by its .log is made again by Build, which believes nothing but the batches.
//
// # The file %020d.seal, all integers little-endian
//
//	   0  8  magic      "SBSEALED"
//	   8  4  crc        CRC-32C of bytes [12, 4096)
//	  12  4  version    2
//	  16  8  base       first offset of the segment, as in its name
//	  24  8  next       offset after the last record; base when there is none
//	  32  8  size       bytes of the .log, below 2^31
//	  40  8  newest     ms, the largest timestamp; -1: none
//	  48  8  newestAt   base offset of the first batch that has it
//	  56  8  newestPos  where that batch begins
//	  64  8  batches    how many
//	  72  4  blockSize  65536
//	  76  4  blocks     size / blockSize, rounded up
//	  80  4  tableCRC   CRC-32C of the table
//	  84  4  offsets    entries of the .index
//	  88  4  offsetsCRC CRC-32C of the whole .index
//	  92  4  times      entries of the .timeindex
//	  96  4  timesCRC   CRC-32C of the whole .timeindex
//	 100  4  prefixes   batch.PrefixSum over all batches: what it was while they were appended, compared before they were sealed
//	 104  8  end        first offset of the segment that followed when this one was sealed: at or above next, and above it where
//	                    compaction left nothing. So a segment that is missing from a log is noticed
//	 112  8  log        id of the log, so that another log's files are noticed
//	 120  4  firstCRC   CRC-32C of the first 4096 bytes of the .log, or of all when there are fewer
//	 124  4  lastCRC    the same of the last 4096
//	 128  4  aborted    entries of the .txnindex; 0: there is none
//	 132  4  abortedCRC CRC-32C of the whole .txnindex; 0 when there is none
//	 136  …  zeros to the end of the page
//	4096  …  the table: 4 bytes for each block of the .log, its CRC-32C; the last block may be short
//
// The header is a page, so that opening costs one read, and its CRC pins everything else: the table, the indexes and, through the
// table, the .log. What the .txnindex holds cannot be made from the .log alone (internal/txn), so Build is given it and believes it. A file of another length than 4096 + 4 × blocks is not a seal.
//
// firstCRC and lastCRC are for opening: a .log that took the place of another (both are named by their base, and those of logs that are
// written alike have the same size) is told by two reads of a page, where the first and last block would be two of 64 KiB.
//
// # Invariants
//
//	L1  A seal under its final name is whole: written beside, synced, renamed, after the .log was synced and the indexes were in place.
//	L2  Build seals nothing but whole, good batches with rising offsets, from the first byte of the .log to the last.
//	L3  Every changed bit of the .log, the indexes or the seal is reported by Verify, and none by it that is not changed.
//	L4  Memory is bounded: 1 MiB of the .log at a time, and the largest batch.
package seal
