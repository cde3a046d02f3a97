package listen

import (
	"fmt"
	"io"
	"slices"
)

// Span is a stretch of a file to be sent as it is. engine.Span is one.
type Span interface {
	Size() int
	File() (fd uintptr, pos int64, ok bool)
	AppendTo(dst []byte) ([]byte, error)
	Release()
}

// Out collects responses, whole frames with their size prefixes: bytes, with spans of files spliced in. Only the
// connection's writer touches it.
type Out struct {
	buf    []byte
	spans  []splice
	inSpan int // bytes of all spans
}

type splice struct {
	at   int // position in buf before which the span goes
	span Span
}

// copyBelow is the size under which a span is read and copied rather than sent from its file: a system call of its own
// costs more than the copy.
const copyBelow = 32 << 10

// Bytes is the buffer to append a frame to; give the result to SetBytes. What is in it already must stay.
func (o *Out) Bytes() []byte { return o.buf }

// SetBytes takes the buffer back.
func (o *Out) SetBytes(buf []byte) { o.buf = buf }

// Splice puts a span before the byte at position at of the buffer. Positions must not go down. The Out owns the span from
// now on.
func (o *Out) Splice(at int, s Span) {
	o.spans = append(o.spans, splice{at, s})
	o.inSpan += s.Size()
}

// pending says how many bytes wait to be sent.
func (o *Out) pending() int { return len(o.buf) + o.inSpan }

// flattenSmall reads spans that are small, or have no file, into the buffer.
func (o *Out) flattenSmall() error {
	if len(o.spans) == 0 {
		return nil
	}
	flat := make([]byte, 0, len(o.buf)+min(o.inSpan, len(o.spans)*copyBelow))
	kept := o.spans[:0]
	from := 0
	for i, s := range o.spans {
		flat = append(flat, o.buf[from:s.at]...)
		from = s.at
		if _, _, ok := s.span.File(); ok && s.span.Size() >= copyBelow {
			kept = append(kept, splice{len(flat), s.span})
			continue
		}
		before := len(flat)
		var err error
		flat, err = s.span.AppendTo(flat)
		if err == nil && len(flat)-before != s.span.Size() {
			err = fmt.Errorf("span of %d bytes gave %d: %w", s.span.Size(), len(flat)-before, io.ErrUnexpectedEOF)
		}
		if err != nil {
			o.spans = slices.Concat(kept, o.spans[i:])
			return err
		}
		o.inSpan -= s.span.Size()
		s.span.Release()
	}
	o.buf, o.spans = append(flat, o.buf[from:]...), kept
	return nil
}

// reset forgets all, releasing the spans not sent, and keeps a buffer of modest size.
func (o *Out) reset() {
	for _, s := range o.spans {
		s.span.Release()
	}
	if cap(o.buf) > 1<<20 {
		o.buf = nil
	}
	*o = Out{buf: o.buf[:0], spans: o.spans[:0]}
}
