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
// are small enough to inline; their slices say both ends, which spares a check.
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
	return r.notAtEnd()
}

// notAtEnd is the part of End that is seldom needed, apart so that End is inlined.
func (r *Reader) notAtEnd() error {
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
	return int16(binary.BigEndian.Uint16(r.buf[off : off+2 : off+2]))
}

// Int32 reads four bytes, big endian.
func (r *Reader) Int32() int32 {
	off := r.off
	r.off += 4
	if r.off > len(r.buf) {
		return 0
	}
	return int32(binary.BigEndian.Uint32(r.buf[off : off+4 : off+4]))
}

// Int64 reads eight bytes, big endian.
func (r *Reader) Int64() int64 {
	off := r.off
	r.off += 8
	if r.off > len(r.buf) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(r.buf[off : off+8 : off+8]))
}

// UUID reads 16 bytes.
func (r *Reader) UUID() (id [16]byte) {
	off := r.off
	r.off += 16
	if r.off > len(r.buf) {
		return id
	}
	return [16]byte(r.buf[off : off+16 : off+16])
}

// Uvarint reads 1 to 5 bytes, 7 bits each, least significant first.
//
// It refuses a value past 32 bits and an overlong form (a last byte of 0, as in
// 80 00 for 0): one value has one encoding. No writer we know of pads.
func (r *Reader) Uvarint() uint32 {
	buf, off := r.buf, r.off
	var x uint32
	for shift := uint(0); shift < 7*MaxUvarintBytes; shift += 7 {
		if uint(off) >= uint(len(buf)) {
			r.off = len(buf) + 1
			return 0
		}
		b := buf[off]
		off++
		x |= uint32(b&0x7f) << (shift & 31)
		if b >= 0x80 {
			continue
		}
		if b == 0 && shift > 0 || b > 0x0f && shift == 7*(MaxUvarintBytes-1) {
			break
		}
		r.off = off
		return x
	}
	r.off = off
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

// length reads the length of a byte string or the count of an array in either
// form, unchecked; -1 is null. What it counts begins at byte at, where the Reader
// is now. If that read fails, n is some value for which has is false.
func (r *Reader) length(compact bool) (n int64, at int) {
	if compact {
		n = int64(r.Uvarint()) - 1
	} else {
		n = int64(r.Int32())
	}
	return n, r.off
}

// short is length without a call, for one that is compact and has one byte: all
// but those of records, as a rule. For any other at is 0. The caller moves the
// Reader to at.
func (r *Reader) short(compact bool) (n int64, at int) {
	if compact && uint(r.off) < uint(len(r.buf)) {
		if b := r.buf[r.off]; b < 0x80 {
			return int64(b) - 1, r.off + 1
		}
	}
	return 0, 0
}

// has reports whether n is a length and the body has n times minSize bytes from
// byte at on. A failed Reader has none, not even of no bytes.
func (r *Reader) has(n int64, at, minSize int) bool {
	return n >= 0 && n*int64(minSize) <= int64(len(r.buf)-at)
}

// refuse fails for a length that is not allowed: null, or more than the rest of
// the body can hold. It returns 0, which is read instead.
func (r *Reader) refuse(n int64, minSize int) int {
	switch {
	case r.Failed():
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
	n, at := r.short(compact)
	if at == 0 {
		n, at = r.length(compact)
	}
	r.off = at
	switch {
	case r.has(n, at, minSize):
		r.steps += int(n)
		return int(n)
	case n == -1 && nullable && !r.Failed():
		return -1
	}
	return r.refuse(n, minSize)
}

// stringLen is length for a string.
func (r *Reader) stringLen(compact bool) (n int64, at int) {
	if !compact {
		n = int64(r.Int16())
		return n, r.off
	}
	if n, _ = r.length(compact); n > MaxStringBytes {
		r.malformed("string of %d bytes, at most %d are allowed", n, MaxStringBytes)
	}
	return n, r.off
}

// StringView reads a string as a view, nil for null. It allocates nothing.
func (r *Reader) StringView(compact, nullable bool) []byte {
	n, at := r.short(compact)
	if at == 0 {
		n, at = r.stringLen(compact)
	}
	if !r.has(n, at, 1) {
		return r.noView(n, at, nullable)
	}
	return r.take(at, int(n))
}

// BytesView reads a byte string as a view, nil for null.
func (r *Reader) BytesView(compact, nullable bool) []byte {
	n, at := r.short(compact)
	if at == 0 {
		n, at = r.length(compact)
	}
	if !r.has(n, at, 1) {
		return r.noView(n, at, nullable)
	}
	return r.take(at, int(n))
}

// take returns a view of the n bytes from byte at on, which are there.
func (r *Reader) take(at, n int) []byte {
	r.off = at + n
	return r.buf[at:r.off:r.off]
}

// noView moves to at after a length without bytes: null where that is allowed,
// else an error.
func (r *Reader) noView(n int64, at int, nullable bool) []byte {
	r.off = at
	if n != -1 || !nullable {
		r.refuse(n, 1)
	}
	return nil
}

// String reads a string into memory of its own.
func (r *Reader) String(compact bool) string {
	v := r.StringView(compact, false)
	if len(v) == 0 || !r.Charge(len(v)) {
		return ""
	}
	return string(v)
}

// NullableString reads a string into memory of its own, nil for null.
func (r *Reader) NullableString(compact bool) *string {
	v := r.StringView(compact, true)
	if v == nil || !r.Charge(stringHeaderBytes) || !r.Charge(len(v)) {
		return nil
	}
	s := string(v)
	return &s
}
