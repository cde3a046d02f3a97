package group

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// Records of __consumer_offsets, in Kafka's own schemas, so that kafka-dump-log --offsets-decoder reads them. Written are
// OffsetCommitKey 1 and OffsetCommitValue 3:
//
//	key    version i16 (1) | group s | topic s | partition i32
//	value  version i16 (3) | offset i64 | leaderEpoch i32 | metadata s | commitTimestamp i64
//
// s is an i16 length and as many bytes. A null value is a tombstone. Read are key versions 0 and 1 (the same) and value
// versions 0 to 3; other keys (group metadata of a real Kafka is version 2) are passed over.
//
//	value 0  offset i64 | metadata s | commitTimestamp i64
//	value 1  offset i64 | metadata s | commitTimestamp i64 | expireTimestamp i64
//	value 2  as 0

// TopicPartition is what an offset is committed for.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Committed is one committed offset.
type Committed struct {
	TopicPartition
	Offset   batch.Offset
	Epoch    batch.Epoch
	Metadata string
}

// errRecord is the class of stored records that are none.
var errRecord = errors.New("bad record in __consumer_offsets")

func appendKey(dst []byte, group string, tp TopicPartition) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 1)
	dst = appendString(dst, group)
	dst = appendString(dst, tp.Topic)
	return binary.BigEndian.AppendUint32(dst, uint32(tp.Partition))
}

func appendValue(dst []byte, c Committed, ms int64) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 3)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Epoch))
	dst = appendString(dst, c.Metadata)
	return binary.BigEndian.AppendUint64(dst, uint64(ms))
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// decodeKey reads a key; ok is false for a kind that is passed over.
func decodeKey(b []byte) (group string, tp TopicPartition, ok bool, err error) {
	d := decoder{b: b}
	if v := d.i16(); v != 0 && v != 1 {
		return "", tp, false, nil
	}
	group, tp.Topic, tp.Partition = d.string(), d.string(), d.i32()
	return group, tp, true, d.end("key")
}

func decodeValue(b []byte) (c Committed, err error) {
	d := decoder{b: b}
	v := d.i16()
	if v < 0 || v > 3 {
		return c, fmt.Errorf("%w: value version %d", errRecord, v)
	}
	c.Offset, c.Epoch = batch.Offset(d.i64()), batch.NoEpoch
	if v == 3 {
		c.Epoch = batch.Epoch(d.i32())
	}
	c.Metadata = d.string()
	d.i64()
	if v == 1 {
		d.i64()
	}
	return c, d.end("value")
}

// decoder takes fields off b; once it is too short, all fields are zero.
type decoder struct {
	b     []byte
	short bool
}

func (d *decoder) take(n int) []byte {
	if d.short || n < 0 || n > len(d.b) {
		d.short = true
		return make([]byte, 8)
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) i16() int16     { return int16(binary.BigEndian.Uint16(d.take(2))) }
func (d *decoder) i32() int32     { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *decoder) i64() int64     { return int64(binary.BigEndian.Uint64(d.take(8))) }
func (d *decoder) string() string { return string(d.take(int(d.i16()))) }

func (d *decoder) end(what string) error {
	if d.short || len(d.b) > 0 {
		return fmt.Errorf("%w: %s: %d bytes are left, too short: %t", errRecord, what, len(d.b), d.short)
	}
	return nil
}
