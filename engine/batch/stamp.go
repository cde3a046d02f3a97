package batch

import "encoding/binary"

// LogAppendTime says that the broker has stamped the batch: all its records have its max timestamp.
func (b Batch) LogAppendTime() bool { return b.Attributes()&logAppendTimeBit != 0 }

// StampTime gives all records of the batch the broker's time, in ms, in place: attribute bit, max timestamp and CRC. The CRC must
// have been checked before, since it is computed anew.
func (b Batch) StampTime(ms int64) {
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(b.Attributes()|logAppendTimeBit))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	binary.BigEndian.PutUint32(b[atCRC:], b.ComputeCRC())
}

// Recoded completes a batch whose records were compressed anew: out is room for a header (HeaderSize bytes) and the records as codec
// c made them. All that the header of b says stays but for codec, length and CRC. The caller owns out, which is the batch.
func (b Batch) Recoded(out []byte, c Codec) Batch {
	copy(out, b[:HeaderSize])
	n := Batch(out)
	binary.BigEndian.PutUint32(n[atLength:], uint32(len(out)-Overhead))
	binary.BigEndian.PutUint16(n[atAttributes:], uint16(b.Attributes()&^codecMask|int16(c)))
	binary.BigEndian.PutUint32(n[atCRC:], n.ComputeCRC())
	return n
}

// CheckRecords walks the records of an uncompressed batch as Check does, without the CRC: for batches that Plain made.
// Errors: ErrCorrupt.
func (b Batch) CheckRecords() error { return b.checkRecords() }
