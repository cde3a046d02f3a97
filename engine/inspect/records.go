package inspect

import (
	"encoding/binary"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

// Attribute bits of a batch: drawn in engine/batch/doc.go.
const (
	appendTimeBit = 0x08
	horizonBit    = 0x40
)

func codecName(c batch.Codec) string {
	names := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown"
}

// flags names the attributes: append-time, transactional, control, horizon.
func flags(h batch.Batch) string {
	var out []string
	for _, f := range []struct {
		bit  int16
		name string
	}{{appendTimeBit, "append-time"}, {0x10, "transactional"}, {0x20, "control"}, {horizonBit, "horizon"}} {
		if h.Attributes()&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, ",")
}

// showBatch shows a batch and, if they are asked for, its records. b is nil when it is too large.
func (s *segmentReader) showBatch(h, b batch.Batch, pos, n int64, good bool) error {
	first, horizon := Millis(h.BaseTimestamp()), Millis(-1)
	if h.Attributes()&horizonBit != 0 { // it stands in the place of the base timestamp (KIP-534)
		first, horizon = -1, first
	}
	err := s.row(s.name, "batch", Field{"at", pos}, Field{"base", int64(h.BaseOffset())}, Field{"last", int64(h.LastOffset())}, Field{"size", n},
		Field{"crc", hex32(h.CRC())}, Field{"state", state(good)}, Field{"epoch", int64(h.LeaderEpoch())}, Field{"producer", int64(h.ProducerID())},
		Field{"producerEpoch", int64(h.ProducerEpoch())}, Field{"sequence", int64(h.BaseSequence())}, Field{"records", int64(h.Count())},
		Field{"codec", codecName(h.Codec())}, Field{"flags", flags(h)}, Field{"time", first}, Field{"maxTime", Millis(h.MaxTimestamp())},
		Field{"horizon", horizon})
	if err != nil || !s.o.Records || !good {
		return err
	}
	return s.showRecords(h, b, pos, n)
}

func (s *segmentReader) showRecords(h, b batch.Batch, pos, n int64) error {
	here := at(s.name, pos, pos+n).offsets(h.BaseOffset(), h.NextOffset())
	if b == nil {
		return s.note(here, "the batch has %d bytes: records of more than %d are not shown", n, MaxBatch)
	}
	plain, err := s.plain(b)
	if err != nil {
		return s.damage(here, "the records cannot be decompressed: %v", err)
	}
	var stop error
	err = plain.Each(func(rec batch.Record) bool {
		if rec.Offset >= s.o.From {
			stop = s.showRecord(h, rec, pos)
		}
		return stop == nil
	})
	if stop != nil {
		return stop
	}
	if err != nil {
		return s.damage(here, "%v", err)
	}
	return nil
}

// plain is the batch with its records decompressed.
func (s *segmentReader) plain(b batch.Batch) (batch.Batch, error) {
	if b.Codec() == batch.None {
		return b, nil
	}
	limit := s.o.DecodeLimit
	if limit <= 0 {
		limit = defaultDecodeLimit
	}
	s.body = append(s.body[:0], b[:batch.HeaderSize]...)
	out, err := codec.Decode(s.body, b.Codec(), b.Records(), min(limit, codec.MaxLimit-batch.HeaderSize))
	if err != nil {
		return nil, err
	}
	s.body = out
	binary.BigEndian.PutUint16(out[21:], binary.BigEndian.Uint16(out[21:])&^7) // not compressed any more
	return batch.Batch(out), nil
}

func (s *segmentReader) showRecord(h batch.Batch, rec batch.Record, pos int64) error {
	marker := ""
	if h.Control() {
		marker = markerOf(rec.Key)
	}
	headers := rec.Headers()
	fields := []Field{
		{"batch", pos}, {"offset", int64(rec.Offset)}, {"time", Millis(rec.Timestamp)}, {"keySize", sizeOf(rec.Key)}, {"valueSize", sizeOf(rec.Value)},
		{"headers", int64(len(headers))}, {"marker", marker},
	}
	if s.o.Values {
		fields = append(fields, Field{"key", Bytes(rec.Key)}, Field{"value", Bytes(rec.Value)})
		for _, header := range headers {
			fields = append(fields, Field{"headerKey", Bytes(header.Key)}, Field{"headerValue", Bytes(header.Value)})
		}
	}
	return s.row(s.name, "record", fields...)
}

// sizeOf is the length, -1 for null.
func sizeOf(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

// markerOf reads the key of a control record: version int16, type int16, 0 abort, 1 commit (KIP-98).
func markerOf(key []byte) string {
	if len(key) < 4 {
		return "unknown"
	}
	switch binary.BigEndian.Uint16(key[2:]) {
	case 0:
		return "abort"
	case 1:
		return "commit"
	}
	return "unknown"
}
