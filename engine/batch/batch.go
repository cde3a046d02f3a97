package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Offset is a record's place in a partition, counted from 0. NoOffset means none.
type Offset int64

// Epoch is a leader epoch. NoEpoch means unknown.
type Epoch int32

// ProducerID names an idempotent producer; ProducerEpoch fences its older incarnations; Sequence counts its records in one
// partition, from 0 to 2^31-1 and round again.
type (
	ProducerID    int64
	ProducerEpoch int16
	Sequence      int32
)

// What the fields hold when they hold nothing.
const (
	NoOffset     Offset     = -1
	NoEpoch      Epoch      = -1
	NoProducerID ProducerID = -1
	NoSequence   Sequence   = -1
)

// HeaderSize is the size of a batch without records, in bytes. Overhead is the part before batchLength starts to count.
// PrefixSize is the part that the batch's own CRC leaves out.
const (
	HeaderSize = 61
	Overhead   = 12
	PrefixSize = atAttributes
)

// Byte positions of the header's fields. Frozen: they are on disks and on the wire.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

// Attribute bits.
const (
	codecMask        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
	horizonBit       = 0x40
)

// Codec is how the records of a batch are compressed.
type Codec uint8

// The codecs of the format.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// ErrCorrupt is the class of every defect found in a batch: wrong CRC, impossible lengths, wrong counts.
var ErrCorrupt = errors.New("corrupt record batch")

// ErrShort says that the bytes end before the batch does; more bytes may make it whole.
var ErrShort = errors.New("record batch is cut off")

// ErrMagic says that the batch has a format other than v2.
var ErrMagic = errors.New("record batch format is not v2")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is a view of one whole batch. It owns nothing: it is as long-lived as the bytes it was cut from.
type Batch []byte

// First cuts the first batch off b. It looks at lengths and magic only; Check looks at the rest.
// Errors: ErrShort when b ends too early, ErrCorrupt when the length is impossible, ErrMagic.
func First(b []byte) (Batch, error) {
	if len(b) < HeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrShort, len(b), HeaderSize)
	}
	if m := b[atMagic]; m != 2 {
		return nil, fmt.Errorf("%w: magic %d", ErrMagic, m)
	}
	n := int64(int32(binary.BigEndian.Uint32(b[atLength:]))) + Overhead
	if n < HeaderSize {
		return nil, fmt.Errorf("%w: batchLength %d is below %d", ErrCorrupt, n-Overhead, HeaderSize-Overhead)
	}
	if n > int64(len(b)) {
		return nil, fmt.Errorf("%w: needs %d bytes, has %d", ErrShort, n, len(b))
	}
	return Batch(b[:n:n]), nil
}

// SizeOf reads the whole size, in bytes, of the batch whose first Overhead+5 bytes are in b, without needing the rest.
// Errors as First, but for the missing rest.
func SizeOf(b []byte) (int64, error) {
	if len(b) < atMagic+1 {
		return 0, fmt.Errorf("%w: %d bytes do not hold a length and magic", ErrShort, len(b))
	}
	if m := b[atMagic]; m != 2 {
		return 0, fmt.Errorf("%w: magic %d", ErrMagic, m)
	}
	n := int64(int32(binary.BigEndian.Uint32(b[atLength:]))) + Overhead
	if n < HeaderSize {
		return 0, fmt.Errorf("%w: batchLength %d is below %d", ErrCorrupt, n-Overhead, HeaderSize-Overhead)
	}
	return n, nil
}

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() Offset { return Offset(binary.BigEndian.Uint64(b[atBaseOffset:])) }

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() Offset { return b.BaseOffset() + Offset(b.LastOffsetDelta()) }

// NextOffset is the offset after the last record: the batch covers [BaseOffset, NextOffset).
func (b Batch) NextOffset() Offset { return b.LastOffset() + 1 }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() Epoch { return Epoch(binary.BigEndian.Uint32(b[atLeaderEpoch:])) }

// CRC is the checksum that the header claims.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes are the raw attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[atAttributes:])) }

// Codec is the compression of the records.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & codecMask) }

// Control says that the batch holds a transaction marker, not user records.
func (b Batch) Control() bool { return b.Attributes()&controlBit != 0 }

// DeleteHorizon says that the base timestamp is the time from which tombstones may go (KIP-534).
func (b Batch) DeleteHorizon() bool { return b.Attributes()&horizonBit != 0 }

// Transactional says that the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b.Attributes()&transactionalBit != 0 }

// LastOffsetDelta is the distance from the first to the last record's offset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[atLastOffsetDelta:])) }

// BaseTimestamp is the first record's timestamp in milliseconds.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[atBaseTimestamp:])) }

// MaxTimestamp is the largest timestamp in milliseconds, as the producer claims it.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])) }

// ProducerID is the idempotent producer, or NoProducerID.
func (b Batch) ProducerID() ProducerID { return ProducerID(binary.BigEndian.Uint64(b[atProducerID:])) }

// ProducerEpoch is the producer's epoch.
func (b Batch) ProducerEpoch() ProducerEpoch {
	return ProducerEpoch(binary.BigEndian.Uint16(b[atProducerEpoch:]))
}

// BaseSequence is the sequence of the first record, or NoSequence.
func (b Batch) BaseSequence() Sequence { return Sequence(binary.BigEndian.Uint32(b[atBaseSequence:])) }

// LastSequence is the sequence of the last record; sequences wrap from 2^31-1 to 0.
func (b Batch) LastSequence() Sequence { return b.BaseSequence().Add(b.LastOffsetDelta()) }

// Count is the number of records.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[atCount:])) }

// Plain gives the batch as it would be without compression, when records are its records decompressed. It is for reading only: its
// CRC is not right. dst is appended to.
func (b Batch) Plain(dst, records []byte) Batch {
	at := len(dst)
	dst = append(append(dst, b[:HeaderSize]...), records...)
	out := Batch(dst[at:])
	binary.BigEndian.PutUint32(out[atLength:], uint32(len(out)-Overhead))
	binary.BigEndian.PutUint16(out[atAttributes:], uint16(b.Attributes()&^codecMask))
	return out
}

// Records are the bytes after the header.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// Add moves a sequence on by n records, wrapping as Kafka's clients do.
func (s Sequence) Add(n int32) Sequence {
	return Sequence((int64(s) + int64(n)) & 0x7fffffff)
}

// Stamp writes the base offset and leader epoch in place (B3).
func (b Batch) Stamp(base Offset, epoch Epoch) {
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// ComputeCRC is the CRC-32C that the header should hold.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[atAttributes:], castagnoli) }

// PrefixSum carries a chain of CRC-32C over the prefixes of batches on by that of b: sum is the chain before it, 0 at the first batch.
// The chain and the batches' own CRCs leave no bit of a run of batches out. Only the header need be there.
func (b Batch) PrefixSum(sum uint32) uint32 { return crc32.Update(sum, castagnoli, b[:PrefixSize]) }

// Check says whether the batch is one that may be stored (B2). It allocates nothing when the batch is good.
// Errors: ErrCorrupt wrapped with what is wrong.
func (b Batch) Check() error {
	if got, want := b.ComputeCRC(), b.CRC(); got != want {
		return fmt.Errorf("%w: CRC is %08x, header says %08x", ErrCorrupt, got, want)
	}
	if b.Codec() > Zstd {
		return fmt.Errorf("%w: unknown codec %d", ErrCorrupt, b.Codec())
	}
	if b.LastOffsetDelta() < 0 || b.Count() < 0 {
		return fmt.Errorf("%w: lastOffsetDelta %d, %d records", ErrCorrupt, b.LastOffsetDelta(), b.Count())
	}
	if id := b.ProducerID(); id < NoProducerID || (id != NoProducerID && (b.ProducerEpoch() < 0 || b.BaseSequence() < 0 && !b.unnumbered()) && !b.Control()) {
		return fmt.Errorf("%w: producer id %d with epoch %d and sequence %d", ErrCorrupt, id, b.ProducerEpoch(), b.BaseSequence())
	}
	if b.Codec() != None {
		return nil
	}
	return b.checkRecords()
}

// unnumbered says that a batch may have no sequence: the group coordinator writes the offsets of a transaction in its producer's name.
func (b Batch) unnumbered() bool { return b.Transactional() && b.BaseSequence() == NoSequence }

// CheckFresh is Check for a batch straight from a producer, which has no gaps: as many records as offsets, at least one; and sequences, if
// it has an id.
func (b Batch) CheckFresh() error {
	if b.ProducerID() != NoProducerID && b.unnumbered() && !b.Control() {
		return fmt.Errorf("%w: producer id %d without a sequence", ErrCorrupt, b.ProducerID())
	}
	if n := b.Count(); n < 1 || n != b.LastOffsetDelta()+1 {
		return fmt.Errorf("%w: %d records for offset deltas 0..%d", ErrCorrupt, n, b.LastOffsetDelta())
	}
	return b.Check()
}
