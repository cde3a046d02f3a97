package listen

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Frame is one request as it came, without its size prefix, in pooled memory. It is born with one owner, the connection;
// Retain adds one.
type Frame struct {
	Body []byte

	buf    *[]byte // pooled, whole
	class  int     // of the pool; -1: too large for it
	charge int64
	budget *budget
	owners atomic.Int32
}

// Retain adds an owner, who must call Release.
func (f *Frame) Retain() { f.owners.Add(1) }

// Release takes an owner away; the last one gives the memory back (L5).
func (f *Frame) Release() {
	switch n := f.owners.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("listen: frame released more often than retained")
	}
	f.Body = nil
	if f.buf != nil {
		putBuffer(f.buf, f.class)
	}
	f.budget.release(f.charge)
}

// Buffers are pooled by powers of two from 4 KiB to 16 MiB; larger ones are left to the garbage collector. A producer that is never told
// to wait gathers requests of several MiB: to allocate, clear and collect those was a fifth of the broker's CPU time.
const (
	minClass   = 12
	maxClass   = 24
	firstBytes = 64 << 10 // taken for a large frame before its first bytes are here (L2)
	mostFirst  = 4 << 20  // the same, on a connection that has sent as large a one before
)

var pools [maxClass - minClass + 1]sync.Pool

func getBuffer(n int) (b *[]byte, class int) {
	for c := minClass; c <= maxClass; c++ {
		if n > 1<<c {
			continue
		}
		if b, ok := pools[c-minClass].Get().(*[]byte); ok {
			return b, c - minClass
		}
		buf := make([]byte, 1<<c)
		return &buf, c - minClass
	}
	buf := make([]byte, n)
	return &buf, -1
}

func putBuffer(b *[]byte, class int) {
	if class >= 0 {
		pools[class].Put(b)
	}
}

// errFrame is the class of size prefixes that cannot be meant.
var errFrame = errors.New("bad frame")

// frameReader reads the frames of one connection. (wire.ReadFrame does as much for clients; it knows no budget to wait for
// and no deadline to move on.)
type frameReader struct {
	r      io.Reader
	limit  int
	budget *budget
	arm    func(left int) // sets the deadline for so many bytes
	usual  int            // size of the largest frame that came whole so far: as much is taken at once next time
}

// next reads one frame. Where it is large, memory is taken in steps as the bytes arrive; a copy at each step is the price,
// paid by the first large frame of a connection only. Errors: io.EOF at a clean end, errFrame, ctx's, or the reader's.
func (fr *frameReader) next(ctx context.Context) (*Frame, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(fr.r, prefix[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(prefix[:])))
	if n < 0 || n > fr.limit {
		if err := stranger(prefix); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d are taken", errFrame, n, fr.limit)
	}
	f := &Frame{class: -1, budget: fr.budget}
	f.owners.Store(1)
	if err := fr.fill(ctx, f, n); err != nil {
		f.Release()
		return nil, err
	}
	fr.usual = max(fr.usual, min(n, mostFirst))
	return f, nil
}

func (fr *frameReader) fill(ctx context.Context, f *Frame, n int) error {
	for have, step := 0, max(firstBytes, fr.usual); ; step *= 8 {
		want := min(n, step)
		if err := f.grow(ctx, have, want); err != nil {
			return err
		}
		fr.arm(n - have)
		if _, err := io.ReadFull(fr.r, (*f.buf)[have:want]); err != nil {
			return noEOF(err)
		}
		if have = want; have == n {
			f.Body = (*f.buf)[:n:n]
			return nil
		}
	}
}

// budgetWait is how long a frame that holds a part of the budget already may wait for more of it: many such frames could
// otherwise wait for each other for ever.
const budgetWait = 30 * time.Second

// grow makes room for want bytes, of which have are there.
func (f *Frame) grow(ctx context.Context, have, want int) error {
	if have > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, budgetWait)
		defer cancel()
	}
	b, class := getBuffer(want)
	more := int64(len(*b)) - f.charge
	if err := f.budget.acquire(ctx, more); err != nil {
		putBuffer(b, class)
		return err
	}
	if f.buf != nil {
		copy(*b, (*f.buf)[:have])
		putBuffer(f.buf, f.class)
	}
	f.buf, f.class, f.charge = b, class, f.charge+more
	return nil
}

// noEOF keeps the middle of a frame from looking like a clean end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// NewFrame is a Frame of bytes that did not come from a connection: nothing is pooled or counted.
func NewFrame(body []byte) *Frame {
	f := &Frame{Body: body, class: -1, budget: newBudget(0)}
	f.owners.Store(1)
	return f
}
