package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
)

// SizePrefixBytes is the int32 before every frame; it does not count itself.
//
//	     4            size
//	+--------+------------------+
//	|  size  |  header | body   |
//	+--------+------------------+
const SizePrefixBytes = 4

// firstReadBytes is how much a size prefix can make ReadFrame allocate before a
// byte of the frame has come.
const firstReadBytes = 32 << 10

// prefixes keeps ReadFrame from allocating the prefix, which escapes through
// the io.Reader.
var prefixes = sync.Pool{New: func() any { return new([SizePrefixBytes]byte) }}

// ReadFrame reads one frame and returns it without its size prefix.
//
// A negative size is ErrFrame, one above limit ErrFrameTooLarge; nothing more
// is read then, and the connection has lost its place. The end of r before a
// prefix is io.EOF, as it is; after that it is io.ErrUnexpectedEOF, wrapped.
//
// get(n) supplies a buffer with a capacity of at least n, nil means make. The
// claimed size is never allocated at once: the first buffer is at most 32 KiB
// and it doubles as bytes arrive, so memory stays below four times what the
// peer has really sent, plus 32 KiB. The frame returned is get's last buffer
// and belongs to the caller; those it outgrew are dropped.
func ReadFrame(r io.Reader, limit int, get func(n int) []byte) ([]byte, error) {
	size, err := readSize(r, limit)
	if err != nil {
		return nil, err
	}
	var frame []byte
	for have := 0; ; have = len(frame) {
		frame = grow(frame, min(size, max(2*have, firstReadBytes)), get)
		n, err := io.ReadFull(r, frame[have:])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("wire: frame of %d bytes, read %d: %w", size, have+n, err)
		}
		if len(frame) == size {
			return frame, nil
		}
	}
}

// readSize reads and judges the size prefix.
func readSize(r io.Reader, limit int) (int, error) {
	p := prefixes.Get().(*[SizePrefixBytes]byte)
	n, err := io.ReadFull(r, p[:])
	size := int32(binary.BigEndian.Uint32(p[:]))
	prefixes.Put(p)
	switch {
	case err == io.EOF:
		return 0, io.EOF
	case err != nil:
		return 0, fmt.Errorf("wire: frame size, read %d bytes: %w", n, err)
	case size < 0:
		return 0, fmt.Errorf("wire: %w: %d, limit %d", ErrFrame, size, limit)
	case int(size) > limit:
		return 0, fmt.Errorf("wire: %w: %d bytes, limit %d", ErrFrameTooLarge, size, limit)
	}
	return int(size), nil
}

// grow returns a buffer of n bytes that starts with those of frame.
func grow(frame []byte, n int, get func(n int) []byte) []byte {
	if n <= cap(frame) {
		return frame[:n]
	}
	var bigger []byte
	if get == nil {
		bigger = make([]byte, n)
	} else {
		bigger = get(n)[:n]
	}
	copy(bigger, frame)
	return bigger
}

// AppendRequestFrame appends a whole request: size prefix, header, body. h.Key
// is taken from m.
func AppendRequestFrame(dst []byte, h RequestHeader, m Message) []byte {
	h.Key = m.Key()
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = AppendRequestHeader(dst, h)
	dst = Append(dst, m, h.Version)
	putSize(dst[start:], 0)
	return dst
}

// AppendResponseFrame appends a whole response: size prefix, header, body. For
// a Fetch response whose records are spliced in, see AppendFetchFrame.
func AppendResponseFrame(dst []byte, correlationID int32, m Message, version int16) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = AppendResponseHeader(dst, m.Key(), version, correlationID)
	if r, ok := m.(*ProduceResponse); ok { // without the pool that the others need
		dst = r.Append(dst, version)
	} else {
		dst = Append(dst, m, version)
	}
	putSize(dst[start:], 0)
	return dst
}

// putSize writes the prefix of frame, which has room for it, counting besides
// it spliced bytes that are not in memory.
func putSize(frame []byte, spliced int) {
	size := len(frame) - SizePrefixBytes + spliced
	if size > math.MaxInt32 {
		panic(hugeFrame(size))
	}
	binary.BigEndian.PutUint32(frame, uint32(size))
}

// hugeFrame is what putSize panics with: a call would keep it from being inlined.
type hugeFrame int

func (n hugeFrame) Error() string {
	return fmt.Sprintf("wire: frame of %d bytes does not fit the protocol", int(n))
}
