// Package batch is the record batch of Kafka's message format v2: the one noun that the storage engine, the broker and the
// load tester share, because the bytes that are stored are the bytes that are sent.
//
// It is a leaf: it reads and writes bytes in memory and knows no file, socket or topic. It does not decompress (records of
// a compressed batch are opaque here) and it does not convert older formats: magic 0 and 1 are refused.
//
// # The layout (all integers big-endian)
//
//	 0   8  baseOffset            int64   stamped by the log, outside the CRC
//	 8   4  batchLength           int32   bytes after this field, outside the CRC
//	12   4  partitionLeaderEpoch  int32   stamped by the log, outside the CRC
//	16   1  magic                 int8    2, outside the CRC
//	17   4  crc                   uint32  CRC-32C of bytes [21, end)
//	21   2  attributes            int16   bits 0-2 codec, 3 log-append time, 4 transactional, 5 control, 6 delete horizon
//	23   4  lastOffsetDelta       int32
//	27   8  baseTimestamp         int64   ms; record timestamps are deltas to it
//	35   8  maxTimestamp          int64   ms
//	43   8  producerId            int64   -1: none
//	51   2  producerEpoch         int16   -1: none
//	53   4  baseSequence          int32   -1: none
//	57   4  records               int32   how many follow
//	61   …  the records, or one compressed block of them
//
// A record, uncompressed (varints are zigzag):
//
//	length varint | attributes int8 | timestampDelta varlong | offsetDelta varint |
//	keyLength varint (-1 null) | key | valueLength varint (-1 null) | value |
//	headers varint { keyLength varint | key | valueLength varint (-1 null) | value }
//
// A control batch holds one record that ends a transaction (marker.go).
//
// # Invariants
//
//	B1  A Batch returned by First or Next lies wholly inside the bytes given: every accessor is in range.
//	B2  Check accepts exactly what a Kafka broker may store: CRC right, magic 2, counts and deltas consistent, and, where the
//	    records are not compressed, every record's length adds up to the batch's.
//	B3  Stamp changes bytes 0..7 and 12..15 only, so the CRC stays right and nothing is copied.
//
// Source: Kafka's documentation, "Message format"; KIP-98 for the producer fields and the markers.
package batch
