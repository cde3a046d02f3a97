package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"

	"github.com/streambus/streambus/engine/batch"
)

// step is how much of a .log is read at once: a whole number of blocks.
const step = 1 << 20

// maxBatch is the largest batch that Build takes into memory to check it. The commit log takes none above its file's size, of which
// this is the default.
const maxBatch = 256 << 20

// Limiter is asked before n bytes of a .log are read, and may wait; its error ends the reading. nil: no limit.
type Limiter func(n int) error

func (l Limiter) ask(n int) error {
	if l == nil {
		return nil
	}
	return l(n)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 2*step); return &b }}

// stream reads a .log from front to back in steps, keeps what is still needed, and sums the blocks as they come by.
type stream struct {
	r      io.ReaderAt
	size   int64 // of the .log
	limit  Limiter
	pool   *[]byte
	buf    []byte // the pool's, or a larger one for a large batch
	lo, hi int    // buf[lo:hi] is read and still needed
	at     int64  // the position of buf[lo]
	sums   summer
}

func newStream(r io.ReaderAt, size int64, limit Limiter) *stream {
	pool := buffers.Get().(*[]byte)
	return &stream{r: r, size: size, limit: limit, pool: pool, buf: *pool}
}

func (s *stream) close() { buffers.Put(s.pool) }

// need gives the next n bytes without going past them; they are valid until the next call. There must be as many.
func (s *stream) need(n int) ([]byte, error) {
	for s.hi-s.lo < n {
		if err := s.read(n); err != nil {
			return nil, err
		}
	}
	return s.buf[s.lo : s.lo+n], nil
}

// read brings in the next step, making room for n bytes in all.
func (s *stream) read(n int) error {
	have := s.hi - s.lo
	from := s.at + int64(have)
	want := int(min(step, s.size-from))
	if s.lo > 0 || len(s.buf) < have+want {
		to := s.buf
		if need := max(n, have) + step; len(to) < need {
			to = make([]byte, need)
		}
		copy(to, s.buf[s.lo:s.hi])
		s.buf, s.lo, s.hi = to, 0, have
	}
	if err := s.limit.ask(want); err != nil {
		return err
	}
	fresh := s.buf[s.hi : s.hi+want]
	got, err := s.r.ReadAt(fresh, from)
	if got < want {
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: it ends at byte %d, not %d", ErrCorrupt, from+int64(got), s.size)
		}
		return fmt.Errorf("read at byte %d: %w", from, err)
	}
	s.sums.add(fresh)
	s.hi += want
	return nil
}

// skip goes past n bytes that need gave.
func (s *stream) skip(n int) {
	s.lo += n
	s.at += int64(n)
}

// summer sums the blocks of what it is given in order, and its first and last bytes.
type summer struct {
	table []byte
	crc   uint32
	have  int // bytes of the block that crc covers

	first, last []byte // at most pinSize each
}

func (s *summer) add(p []byte) {
	s.first = append(s.first, p[:min(len(p), pinSize-len(s.first))]...)
	tail := p[max(0, len(p)-pinSize):]
	keep := min(len(s.last), pinSize-len(tail))
	s.last = append(append(s.last[:0], s.last[len(s.last)-keep:]...), tail...)
	for len(p) > 0 {
		n := min(len(p), BlockSize-s.have)
		s.crc = crc32.Update(s.crc, castagnoli, p[:n])
		s.have += n
		p = p[n:]
		if s.have == BlockSize {
			s.end()
		}
	}
}

// end closes a block, if one is begun.
func (s *summer) end() {
	if s.have > 0 {
		s.table = binary.LittleEndian.AppendUint32(s.table, s.crc)
	}
	s.crc, s.have = 0, 0
}

// pins are the checksums of the first and last bytes.
func (s *summer) pins() (first, last uint32) {
	return crc32.Checksum(s.first, castagnoli), crc32.Checksum(s.last, castagnoli)
}

// next takes the next batch off the stream, checked in full (L2). after is the offset that it may not lie below.
func (s *stream) next(base, after batch.Offset) (batch.Batch, error) {
	left := s.size - s.at
	if left < batch.HeaderSize {
		return nil, fmt.Errorf("%w: at byte %d %d bytes are left, a batch header has %d", ErrCorrupt, s.at, left, batch.HeaderSize)
	}
	head, err := s.need(batch.HeaderSize)
	if err != nil {
		return nil, err
	}
	n, err := batch.SizeOf(head)
	if err != nil {
		return nil, fmt.Errorf("%w: at byte %d: %w", ErrCorrupt, s.at, err)
	}
	if n > left {
		return nil, fmt.Errorf("%w: at byte %d a batch of %d bytes, and %d are left", ErrCorrupt, s.at, n, left)
	}
	h := batch.Batch(head)
	if o, delta := h.BaseOffset(), int64(h.LastOffsetDelta()); o < after || delta < 0 || int64(o-base) > math.MaxInt32-delta {
		return nil, fmt.Errorf("%w: at byte %d a batch with offset %d and %d after it, in segment %d from offset %d on", ErrCorrupt, s.at, o, delta, base, after)
	}
	if n > maxBatch {
		return nil, fmt.Errorf("at byte %d a batch of %d bytes: at most %d can be checked and sealed", s.at, n, maxBatch)
	}
	b, err := s.need(int(n))
	if err != nil {
		return nil, err
	}
	if err := batch.Batch(b).Check(); err != nil {
		return nil, fmt.Errorf("%w: at byte %d: %w", ErrCorrupt, s.at, err)
	}
	return b, nil
}
