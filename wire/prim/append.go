package prim

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// AppendInt16 appends two bytes, big endian.
func AppendInt16(dst []byte, x int16) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(x))
}

// AppendInt32 appends four bytes, big endian.
func AppendInt32(dst []byte, x int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(x))
}

// AppendInt64 appends eight bytes, big endian.
func AppendInt64(dst []byte, x int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(x))
}

// AppendBool appends 1 or 0.
func AppendBool(dst []byte, x bool) []byte {
	if x {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// MaxUvarintBytes is the longest form of a uvarint.
const MaxUvarintBytes = 5

// AppendUvarint appends 1 to 5 bytes, 7 bits each, least significant first.
func AppendUvarint(dst []byte, x uint32) []byte {
	if x < 0x80 {
		return append(dst, byte(x))
	}
	return appendLongUvarint(dst, x)
}

func appendLongUvarint(dst []byte, x uint32) []byte {
	for x >= 0x80 {
		dst = append(dst, byte(x)|0x80)
		x >>= 7
	}
	return append(dst, byte(x))
}

// PutUvarint stores a uvarint at the start of b, which has room for it, and
// returns its size.
func PutUvarint(b []byte, x uint32) int {
	i := 0
	for ; x >= 0x80; i++ {
		b[i] = byte(x) | 0x80
		x >>= 7
	}
	b[i] = byte(x)
	return i + 1
}

// UvarintSize returns how many bytes AppendUvarint appends.
func UvarintSize(x uint32) int { return (bits.Len32(x|1) + 6) / 7 }

// AppendStringLen appends the length of a string; -1 is null. A longer string
// than MaxStringBytes cannot be said in this protocol: it panics.
func AppendStringLen(dst []byte, n int, compact bool) []byte {
	if n > MaxStringBytes {
		panic(longString(n))
	}
	if compact {
		return AppendUvarint(dst, uint32(n+1))
	}
	return AppendInt16(dst, int16(n))
}

// longString is what AppendStringLen panics with: a call would keep it from
// being inlined.
type longString int

func (n longString) Error() string {
	return fmt.Sprintf("prim: string of %d bytes, at most %d can be sent", int(n), MaxStringBytes)
}

// AppendLen appends the length of a byte string or the count of an array; -1
// is null.
func AppendLen(dst []byte, n int, compact bool) []byte {
	if compact {
		return AppendUvarint(dst, uint32(n+1))
	}
	return AppendInt32(dst, int32(n))
}

// AppendString appends a string or a view of one. It does not know null.
func AppendString[S string | []byte](dst []byte, s S, compact bool) []byte {
	dst = AppendStringLen(dst, len(s), compact)
	return append(dst, s...)
}

// AppendNullableString appends a string; nil is null.
func AppendNullableString(dst []byte, s *string, compact bool) []byte {
	if s == nil {
		return AppendStringLen(dst, -1, compact)
	}
	return AppendString(dst, *s, compact)
}

// AppendNullableStringView appends a view of a string; nil is null.
func AppendNullableStringView(dst, s []byte, compact bool) []byte {
	if s == nil {
		return AppendStringLen(dst, -1, compact)
	}
	return AppendString(dst, s, compact)
}

// AppendBytes appends a byte string; nil is an empty one. One whose length does
// not fit an int32 panics.
func AppendBytes(dst, b []byte, compact bool) []byte {
	if len(b) > math.MaxInt32-1 {
		panic(fmt.Sprintf("prim: %d bytes do not fit the protocol", len(b)))
	}
	dst = AppendLen(dst, len(b), compact)
	return append(dst, b...)
}

// AppendNullableBytes appends a byte string; nil is null.
func AppendNullableBytes(dst, b []byte, compact bool) []byte {
	if b == nil {
		return AppendLen(dst, -1, compact)
	}
	return AppendBytes(dst, b, compact)
}
