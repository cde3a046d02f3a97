package batch

import (
	"encoding/binary"
	"time"
)

// Builder makes an uncompressed batch. The zero value is ready: no producer, no records. It is for the records that the
// broker writes itself (committed offsets, metadata) and for tests; producers' batches arrive built.
type Builder struct {
	ProducerID    ProducerID // 0 with Sequenced false means none
	ProducerEpoch ProducerEpoch
	BaseSequence  Sequence
	Sequenced     bool // the three fields above count
	Transactional bool // the records count when the producer's transaction commits; only with Sequenced

	buf   []byte
	first int64
	max   int64
	count int32
}

// Add appends a record. A nil key or value is null. Headers may be empty.
func (b *Builder) Add(at time.Time, key, value []byte, headers ...Header) {
	ts := at.UnixMilli()
	if b.count == 0 {
		b.buf = append(b.buf[:0], make([]byte, HeaderSize)...)
		b.first, b.max = ts, ts
	}
	b.max = max(b.max, ts)
	body := make([]byte, 1, 32+len(key)+len(value))
	body = binary.AppendVarint(body, ts-b.first)
	body = binary.AppendVarint(body, int64(b.count))
	body = appendBytes(body, key)
	body = appendBytes(body, value)
	body = binary.AppendVarint(body, int64(len(headers)))
	for _, h := range headers {
		body = binary.AppendVarint(body, int64(len(h.Key)))
		body = append(body, h.Key...)
		body = appendBytes(body, h.Value)
	}
	b.buf = binary.AppendVarint(b.buf, int64(len(body)))
	b.buf = append(b.buf, body...)
	b.count++
}

// Batch seals what was added and starts anew; nil when nothing was. Offsets start at 0 and the epoch is NoEpoch until the
// log stamps them. The caller owns the bytes.
func (b *Builder) Batch() Batch {
	if b.count == 0 {
		return nil
	}
	out := b.buf
	b.buf = nil
	binary.BigEndian.PutUint32(out[atLength:], uint32(len(out)-Overhead))
	binary.BigEndian.PutUint32(out[atLastOffsetDelta:], uint32(b.count-1))
	binary.BigEndian.PutUint64(out[atBaseTimestamp:], uint64(b.first))
	binary.BigEndian.PutUint64(out[atMaxTimestamp:], uint64(b.max))
	id, epoch, seq := NoProducerID, ProducerEpoch(-1), NoSequence
	if b.Sequenced {
		id, epoch, seq = b.ProducerID, b.ProducerEpoch, b.BaseSequence
	}
	binary.BigEndian.PutUint64(out[atProducerID:], uint64(id))
	binary.BigEndian.PutUint16(out[atProducerEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(out[atBaseSequence:], uint32(seq))
	binary.BigEndian.PutUint32(out[atCount:], uint32(b.count))
	out[atMagic] = 2
	if b.Sequenced && b.Transactional {
		binary.BigEndian.PutUint16(out[atAttributes:], transactionalBit)
	}
	b.count = 0
	return seal(out)
}

// seal stamps offset 0 and no epoch, and computes the CRC.
func seal(out Batch) Batch {
	out.Stamp(0, NoEpoch)
	binary.BigEndian.PutUint32(out[atCRC:], out.ComputeCRC())
	return out
}

func appendBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(v)))
	return append(dst, v...)
}
