package batch

import (
	"encoding/binary"
	"fmt"
)

// Record is one record of an uncompressed batch. Key, Value and header bytes are views into the batch; nil means null.
type Record struct {
	Offset    Offset
	Timestamp int64 // ms; the broker's where it stamped the batch
	Key       []byte
	Value     []byte
	headers   []byte
	nHeaders  int
}

// Header is one record header.
type Header struct {
	Key   []byte
	Value []byte
}

// Headers decodes the record's headers. It allocates the slice only.
func (r Record) Headers() []Header {
	out := make([]Header, 0, r.nHeaders)
	p := r.headers
	for range r.nHeaders {
		var h Header
		var ok bool
		if h.Key, p, ok = lengthPrefixed(p); !ok {
			break // cannot happen: parseRecord walked these bytes
		}
		if h.Value, p, ok = lengthPrefixed(p); !ok {
			break
		}
		out = append(out, h)
	}
	return out
}

// Each calls f for every record of an uncompressed batch, in order, until f returns false.
// Errors: ErrCorrupt; a compressed batch is an error too, since this package does not decompress.
func (b Batch) Each(f func(Record) bool) error {
	if b.Codec() != None {
		return fmt.Errorf("records are compressed with codec %d", b.Codec())
	}
	p := b.Records()
	for i := range b.Count() {
		r, delta, rest, ok := parseRecord(p)
		if !ok || delta > b.LastOffsetDelta() {
			return fmt.Errorf("%w: record %d of %d does not parse", ErrCorrupt, i, b.Count())
		}
		r.Offset = b.BaseOffset() + Offset(delta)
		if r.Timestamp += b.BaseTimestamp(); b.LogAppendTime() {
			r.Timestamp = b.MaxTimestamp()
		}
		if !f(r) {
			return nil
		}
		p = rest
	}
	return nil
}

// checkRecords walks the records of an uncompressed batch: lengths add up, offset deltas rise to lastOffsetDelta.
func (b Batch) checkRecords() error {
	p := b.Records()
	last := int32(-1)
	for i := range b.Count() {
		_, delta, rest, ok := parseRecord(p)
		if !ok {
			return fmt.Errorf("%w: record %d of %d does not parse", ErrCorrupt, i, b.Count())
		}
		if delta <= last || delta > b.LastOffsetDelta() {
			return fmt.Errorf("%w: record %d has offset delta %d after %d, the batch ends at %d", ErrCorrupt, i, delta, last, b.LastOffsetDelta())
		}
		last, p = delta, rest
	}
	if len(p) != 0 {
		return fmt.Errorf("%w: %d bytes after the last of %d records", ErrCorrupt, len(p), b.Count())
	}
	return nil
}

// parseRecord takes one record off p. Timestamp in r is still the delta.
func parseRecord(p []byte) (r Record, offsetDelta int32, rest []byte, ok bool) {
	n, p, ok := varint(p)
	if !ok || n < 1 || n > int64(len(p)) {
		return r, 0, nil, false
	}
	body, rest := p[:n], p[n:]
	body = body[1:] // attributes: unused by the format
	if r.Timestamp, body, ok = varint(body); !ok {
		return r, 0, nil, false
	}
	d, body, ok := varint(body)
	if !ok || d < 0 || d > 1<<31-1 {
		return r, 0, nil, false
	}
	if r.Key, body, ok = lengthPrefixed(body); !ok {
		return r, 0, nil, false
	}
	if r.Value, body, ok = lengthPrefixed(body); !ok {
		return r, 0, nil, false
	}
	h, body, ok := varint(body)
	if !ok || h < 0 || h > int64(len(body)) {
		return r, 0, nil, false
	}
	r.headers, r.nHeaders = body, int(h)
	for range h {
		var key []byte
		if key, body, ok = lengthPrefixed(body); !ok || key == nil {
			return r, 0, nil, false
		}
		if _, body, ok = lengthPrefixed(body); !ok {
			return r, 0, nil, false
		}
	}
	return r, int32(d), rest, len(body) == 0
}

// lengthPrefixed takes a varint length and that many bytes off p; -1 gives nil, 0 gives an empty slice.
func lengthPrefixed(p []byte) (v, rest []byte, ok bool) {
	n, p, ok := varint(p)
	if !ok || n < -1 || n > int64(len(p)) {
		return nil, nil, false
	}
	if n < 0 {
		return nil, p, true
	}
	return p[:n:n], p[n:], true
}

func varint(p []byte) (int64, []byte, bool) {
	if len(p) > 0 && p[0] < 0x80 { // one byte: the common case
		u := uint64(p[0])
		return int64(u>>1) ^ -int64(u&1), p[1:], true
	}
	v, n := binary.Varint(p)
	if n <= 0 {
		return 0, nil, false
	}
	return v, p[n:], true
}
