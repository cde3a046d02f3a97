// Package codec compresses and decompresses the records section of a Kafka record batch: gzip, snappy, lz4, zstd.
//
// It knows no header, record, offset or file: bytes in, bytes out. It starts no goroutine, holds no dictionary, and has no
// levels to set: the broker recompresses only what it has to (compaction, and topics with a compression.type of their own), at each
// library's default level.
//
//	plain, err = codec.Decode(plain[:0], b.Codec(), b.Records(), 16<<20)
//	out, err = codec.Encode(out, b.Codec(), plain)
//
// # What is read, and what is written
//
//	gzip    RFC 1952, one member or several. Written as one member.
//	snappy  One raw block, as librdkafka and franz-go write, or the stream of snappy-java ("xerial"), as Java clients write.
//	        Written as the stream, in blocks of 32 KiB: it is what Java producers send, so every consumer has met it, and no
//	        reader needs more than a block at once.
//	lz4     The frame format, blocks independent, any block size, with or without checksums, several frames back to back.
//	        Written as Java clients do: blocks of 64 KiB, no content checksum (the batch has one), a right header checksum.
//	        The wrong header checksum of clients before 0.10 (KIP-57) is refused: no client writes it into a v2 batch.
//	zstd    RFC 8878 with a window of up to 128 MiB, zstd's own default; no dictionary. Written with a window of 1 MiB.
//
// # Invariants
//
//	C1  Decode appends at most limit bytes, and takes at most MemoryFactor times limit plus Overhead bytes of memory to do so,
//	    whatever the input says of itself.
//	C2  On an error the slice comes back as it was given, in length and content.
//	C3  What a pooled coder has seen of one input never shows in the output of the next.
//	C4  No goroutine outlives, or even begins during, a call.
package codec
