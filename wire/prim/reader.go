package prim

import (
	"encoding/binary"
	"fmt"
)

// MaxStringBytes is the longest string in either length form. Kafka reads a
// compact string with the same limit as a classic one, whose length is an
// int16, so that a string which came in can always be sent back out.
const MaxStringBytes = 1<<15 - 1

// Reader consumes one message body. The zero Reader is an empty body.
//
// A Reader is for one goroutine. Spans are views into the body: they live as
// long as the body's buffer does, and nothing may write to it meanwhile.
//
// A read past the end needs no branch of its own: off moves on as if the bytes
// were there, and from then on the Reader has failed. So the fixed-width reads
// are small enough to inline.
type Reader struct {
	buf     []byte
	off     int // next byte to read; past len(buf) once the Reader has failed
	budget  int // bytes that may still be allocated; >= 0
	charged int // see Charged
	steps   int // see Steps
	err     error
}

// NewReader returns a Reader over body with the full budget for its size.
func NewReader(body []byte) Reader {
	return Reader{buf: body, budget: Budget(len(body))}
}

// Failed reports whether there is an error.
func (r *Reader) Failed() bool { return r.off > len(r.buf) }

// Err returns the first error, or nil.
func (r *Reader) Err() error {
	if r.Failed() && r.err == nil {
		r.err = fmt.Errorf("%w: %d bytes, need %d or more", ErrMalformed, len(r.buf), r.off)
	}
	return r.err
}

// Steps returns the sum of the counts that were read: how many loop steps they
// allow, beyond which decoding takes constant time. Tests hold it to the size
// of the body, so that time is bounded by counting and not by a clock.
func (r *Reader) Steps() int { return r.steps }

// Len returns how many bytes are left; 0 after an error.
func (r *Reader) Len() int { return max(len(r.buf)-r.off, 0) }

// End returns the first error; bytes left over are one.
func (r *Reader) End() error {
	if r.off == len(r.buf) {
		return nil
	}
	if !r.Failed() {
		r.malformed("%d bytes left over", r.Len())
	}
	return r.Err()
}

// fail keeps the first error and takes all input away, so that no later read
// can succeed and no later count can pass for plausible.
func (r *Reader) fail(class error, format string, args ...any) {
	if r.Err() == nil {
		r.err = fmt.Errorf("%w at byte %d: %s", class, r.off, fmt.Sprintf(format, args...))
	}
	r.buf, r.off, r.budget = nil, 1, 0
}

func (r *Reader) malformed(format string, args ...any) { r.fail(ErrMalformed, format, args...) }

// Int8 reads one byte.
func (r *Reader) Int8() int8 {
	off := r.off
	r.off++
	if r.off > len(r.buf) {
		return 0
	}
	return int8(r.buf[off])
}

// Bool reads one byte; like Kafka it takes any value but 0 for true.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Int16 reads two bytes, big endian.
func (r *Reader) Int16() int16 {
	off := r.off
	r.off += 2
	if r.off > len(r.buf) {
		return 0
	}
	return int16(binary.BigEndian.Uint16(r.buf[off:]))
}

// Int32 reads four bytes, big endian.
func (r *Reader) Int32() int32 {
	off := r.off
	r.off += 4
	if r.off > len(r.buf) {
		return 0
	}
	return int32(binary.BigEndian.Uint32(r.buf[off:]))
}

// Int64 reads eight bytes, big endian.
func (r *Reader) Int64() int64 {
	off := r.off
	r.off += 8
	if r.off > len(r.buf) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(r.buf[off:]))
}

// UUID reads 16 bytes.
func (r *Reader) UUID() (id [16]byte) {
	copy(id[:], r.Span(16))
	return id
}

// Uvarint reads 1 to 5 bytes, 7 bits each, least significant first.
//
// It refuses a value past 32 bits and an overlong form (a last byte of 0, as in
// 80 00 for 0): one value has one encoding. No writer we know of pads.
func (r *Reader) Uvarint() uint32 {
	var x uint32
	for i := range MaxUvarintBytes {
		if r.off >= len(r.buf) {
			r.off = len(r.buf) + 1
			return 0
		}
		b := r.buf[r.off]
		r.off++
		x |= uint32(b&0x7f) << (7 * i)
		if b >= 0x80 && i < MaxUvarintBytes-1 {
			continue
		}
		if i > 0 && b == 0 || i == MaxUvarintBytes-1 && b > 0x0f {
			break
		}
		return x
	}
	r.malformed("varint overlong or past 32 bits")
	return 0
}

// Span returns a view of the next n bytes; its capacity ends with it. A
// negative n is refused like one past the end.
func (r *Reader) Span(n int) []byte {
	if n < 0 || n > len(r.buf)-r.off {
		r.malformed("need %d bytes, have %d", n, r.Len())
		return nil
	}
	r.off += n
	return r.buf[r.off-n : r.off : r.off]
}

// length reads a length or count in either form, -1 for null, of which the
// rest of the body can hold minSize bytes each.
func (r *Reader) length(compact, nullable bool, minSize int) int {
	var n int64
	if compact {
		n = int64(r.Uvarint()) - 1
	} else {
		n = int64(r.Int32())
	}
	return r.checkLen(n, minSize, nullable)
}

// checkLen turns a decoded length into one that the rest of the body can hold,
// or -1 for null where that is allowed.
func (r *Reader) checkLen(n int64, minSize int, nullable bool) int {
	switch {
	case r.Failed():
		return 0
	case n >= 0 && n*int64(minSize) <= int64(r.Len()):
		return int(n)
	case n == -1 && nullable:
		return -1
	case n == -1:
		r.malformed("null where null is not allowed")
	case n < 0:
		r.malformed("length %d", n)
	default:
		r.malformed("%d elements of %d bytes or more, have %d bytes", n, minSize, r.Len())
	}
	return 0
}

// ArrayLen reads the count of an array, -1 for null. A count is refused if the
// rest of the body cannot hold that many elements of minSize bytes each;
// minSize is at least 1.
func (r *Reader) ArrayLen(compact, nullable bool, minSize int) int {
	if compact && r.off < len(r.buf) { // the common case: a count of one byte
		n := int(r.buf[r.off]) - 1
		if 0 <= n && n < 0x7f && n*minSize < len(r.buf)-r.off {
			r.off++
			r.steps += n
			return n
		}
	}
	n := r.length(compact, nullable, minSize)
	r.steps += max(n, 0)
	return n
}

// stringLen reads the length of a string, -1 for null.
func (r *Reader) stringLen(compact, nullable bool) int {
	var n int64
	if compact {
		n = int64(r.Uvarint()) - 1
	} else {
		n = int64(r.Int16())
	}
	if n > MaxStringBytes {
		r.malformed("string of %d bytes, at most %d are allowed", n, MaxStringBytes)
	}
	return r.checkLen(n, 1, nullable)
}

// StringView reads a string as a view, nil for null. It allocates nothing.
func (r *Reader) StringView(compact, nullable bool) []byte {
	if s, ok := r.shortView(compact); ok {
		return s
	}
	n := r.stringLen(compact, nullable)
	if n < 0 {
		return nil
	}
	return r.Span(n)
}

// BytesView reads a byte string as a view, nil for null.
func (r *Reader) BytesView(compact, nullable bool) []byte {
	if s, ok := r.shortView(compact); ok {
		return s
	}
	n := r.length(compact, nullable, 1)
	if n < 0 {
		return nil
	}
	return r.Span(n)
}

// shortView is the common case of both: compact, with a length of one byte.
func (r *Reader) shortView(compact bool) ([]byte, bool) {
	if !compact || r.off >= len(r.buf) {
		return nil, false
	}
	start := r.off + 1
	n := int(r.buf[r.off]) - 1
	if n < 0 || n >= 0x7f || n > len(r.buf)-start {
		return nil, false
	}
	r.off = start + n
	return r.buf[start:r.off:r.off], true
}

// String reads a string into memory of its own.
func (r *Reader) String(compact bool) string {
	n := r.stringLen(compact, false)
	if n == 0 || !r.Charge(n) {
		return ""
	}
	return string(r.Span(n))
}

// NullableString reads a string into memory of its own, nil for null.
func (r *Reader) NullableString(compact bool) *string {
	n := r.stringLen(compact, true)
	if n < 0 || !r.Charge(stringHeaderBytes) || !r.Charge(n) {
		return nil
	}
	s := string(r.Span(n))
	return &s
}
