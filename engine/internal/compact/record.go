package compact

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/streambus/streambus/engine/batch"
)

// Byte positions of header fields that are rewritten here, and attribute bits: see engine/batch/doc.go. Frozen.
const (
	atLength        = 8
	atCRC           = 17
	atAttributes    = 21
	atBaseTimestamp = 27
	atMaxTimestamp  = 35
	atCount         = 57

	codecMask        = 0x07
	logAppendTimeBit = 0x08
	deleteHorizonBit = 0x40
)

const maxOffset = batch.Offset(math.MaxInt64)

// record is one record as it lies in a batch. Slices are views. Headers are not looked at: the record's length says where it
// ends, and nothing here depends on them.
type record struct {
	raw         []byte // all of it, with its length
	afterStamp  []byte // what follows the timestamp delta
	attributes  byte
	stampDelta  int64
	offsetDelta int32
	key         []byte // nil: null
	tombstone   bool   // the value is null
}

// cut takes one record off p.
func cut(p []byte) (r record, rest []byte, ok bool) {
	n, body, ok := varint(p)
	if !ok || n < 1 || n > int64(len(body)) {
		return r, nil, false
	}
	rest = body[n:]
	r.raw = p[:len(p)-len(rest)]
	r.attributes, body = body[0], body[1:n]
	if r.stampDelta, body, ok = varint(body); !ok {
		return r, nil, false
	}
	r.afterStamp = body
	d, body, ok := varint(body)
	if !ok || d < 0 || d > math.MaxInt32 {
		return r, nil, false
	}
	r.offsetDelta = int32(d)
	k, body, ok := varint(body)
	if !ok || k < -1 || k > int64(len(body)) {
		return r, nil, false
	}
	if k >= 0 {
		r.key, body = body[:k:k], body[k:]
	}
	v, body, ok := varint(body)
	if !ok || v < -1 || v > int64(len(body)) {
		return r, nil, false
	}
	r.tombstone = v < 0
	return r, rest, true
}

// varint takes a zigzag varint off p.
func varint(p []byte) (int64, []byte, bool) {
	if len(p) > 0 && p[0] < 0x80 {
		u := uint64(p[0])
		return int64(u>>1) ^ -int64(u&1), p[1:], true
	}
	v, n := binary.Varint(p)
	if n <= 0 {
		return 0, nil, false
	}
	return v, p[n:], true
}

// each calls f for every record of a batch whose plain records are given, checking that they add up to what the header says.
func each(b batch.Batch, plain []byte, f func(record)) error {
	last := int32(-1)
	for i := range b.Count() {
		r, rest, ok := cut(plain)
		if !ok {
			return fmt.Errorf("record %d of %d does not parse", i, b.Count())
		}
		if r.offsetDelta <= last || r.offsetDelta > b.LastOffsetDelta() {
			return fmt.Errorf("record %d has offset delta %d after %d, the batch ends at %d", i, r.offsetDelta, last, b.LastOffsetDelta())
		}
		last, plain = r.offsetDelta, rest
		f(r)
	}
	if len(plain) != 0 {
		return fmt.Errorf("%d bytes after the last of %d records", len(plain), b.Count())
	}
	return nil
}

// appendRebased appends plain records with every timestamp delta counted from a base that is by ms later. Sums wrap, here as
// in the reader, so the timestamps stay what they were.
func appendRebased(dst, plain []byte, by int64) []byte {
	var head [binary.MaxVarintLen64]byte
	for len(plain) > 0 {
		r, rest, ok := cut(plain)
		if !ok {
			panic(fmt.Sprintf("compact: a record that was kept does not parse, %d bytes before the end", len(plain)))
		}
		stamp := head[:binary.PutVarint(head[:], r.stampDelta-by)]
		dst = binary.AppendVarint(dst, int64(1+len(stamp)+len(r.afterStamp)))
		dst = append(dst, r.attributes)
		dst = append(dst, stamp...)
		dst = append(dst, r.afterStamp...)
		plain = rest
	}
	return dst
}
