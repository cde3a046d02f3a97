package codec

import (
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/engine/batch"
)

var (
	// ErrCorrupt: the bytes are not what the codec says they are. Nobody can read them, so do not try again.
	ErrCorrupt = errors.New("compressed records are corrupt")
	// ErrTooLarge: the records are larger than the limit given. A larger limit may read them.
	ErrTooLarge = errors.New("records are too large when decompressed")
)

// MaxLimit is the largest limit that Decode takes: a batch's length is an int32, and so is what Java clients can hold of it.
const MaxLimit = 1<<31 - 1

// The bound of C1. The factor is the old and the new buffer while the output grows; the overhead is the tables of a decoder
// and, for zstd, the block by which it notices that the room is used up.
const (
	MemoryFactor = 3
	Overhead     = 2 << 20
)

// firstRoom is the least that a decoder reserves when the input does not say how large the output is.
const firstRoom = 4 << 10

// Decode decompresses src and appends the result, at most limit bytes, to dst. src is not kept and must not overlap the room
// behind dst. It allocates nothing when dst has the room (zstd: and 128 KiB more), but for gzip's Huffman tables.
// Errors: ErrCorrupt (an unknown codec too), ErrTooLarge.
func Decode(dst []byte, c batch.Codec, src []byte, limit int) ([]byte, error) {
	if limit < 0 || limit > MaxLimit {
		panic(fmt.Sprintf("codec: limit %d is not in [0, %d]", limit, MaxLimit))
	}
	var out []byte
	var err error
	switch c {
	case batch.None:
		if len(src) > limit {
			return dst, tooLarge(limit)
		}
		return append(dst, src...), nil
	case batch.Gzip:
		out, err = decodeGzip(dst, src, limit)
	case batch.Snappy:
		out, err = decodeSnappy(dst, src, limit)
	case batch.LZ4:
		out, err = decodeLZ4(dst, src, limit)
	case batch.Zstd:
		out, err = decodeZstd(dst, src, limit)
	default:
		return dst, corrupt("codec %d is unknown", c)
	}
	if err != nil {
		return dst, err // not out: C2
	}
	return out, nil
}

// Encode compresses src and appends the result to dst. src is not kept and must not overlap the room behind dst.
// Errors: only for an unknown codec, and for more than MaxLimit bytes.
func Encode(dst []byte, c batch.Codec, src []byte) ([]byte, error) {
	if len(src) > MaxLimit {
		return dst, fmt.Errorf("%w: %d bytes to compress, at most %d fit a batch", ErrTooLarge, len(src), MaxLimit)
	}
	switch c {
	case batch.None:
		return append(dst, src...), nil
	case batch.Gzip:
		return encodeGzip(dst, src), nil
	case batch.Snappy:
		return encodeSnappy(dst, src), nil
	case batch.LZ4:
		return encodeLZ4(dst, src), nil
	case batch.Zstd:
		return encodeZstd(dst, src), nil
	}
	return dst, fmt.Errorf("codec %d is unknown: give one of 0 to %d", c, batch.Zstd)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func tooLarge(limit int) error { return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit) }

// appender is an io.Writer into memory. Its Write cannot fail.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// must says that writing to memory failed, which it cannot.
func must(err error) {
	if err != nil {
		panic("codec: compressing into memory failed: " + err.Error())
	}
}

// ensure gives dst, which holds used bytes of output, room for need more. When it has to grow it doubles, so that the copies
// of a growing output stay below its size, but never beyond left more bytes; need may.
func ensure(dst []byte, used, need, left int) []byte {
	if cap(dst)-len(dst) >= need {
		return dst
	}
	return slices.Grow(dst, max(need, min(max(used, firstRoom), left)))
}
