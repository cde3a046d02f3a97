package seal

import (
	"io"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/index"
)

// locator names the records that lie in damaged blocks of a .log. It believes no header that a good checksum does not cover.
type locator struct {
	f    io.ReaderAt
	h    Header
	x    *index.Files           // may be nil: then what is named is wider
	good func(block int64) bool // holds what was sealed
}

// Locate names the records [first, next) of the batches that overlap [lo, hi), a run of damaged blocks with good ones, or the ends of the
// .log, around it. It is wider than need be, by an index interval at most, where the headers that would tell are damaged too.
func Locate(log io.ReaderAt, h Header, t Table, x *index.Files, lo, hi int64) (first, next batch.Offset) {
	pool := buffers.Get().(*[]byte)
	defer buffers.Put(pool)
	last, was := int64(-1), false // headers lie close together
	l := locator{f: log, h: h, x: x, good: func(block int64) bool {
		if block == last {
			return was
		}
		b := (*pool)[:min(BlockSize, h.Size-block*BlockSize)]
		n, _ := log.ReadAt(b, block*BlockSize) // a block that cannot be read is not good
		last, was = block, n == len(b) && t.Holds(block, b)
		return was
	}}
	return l.touched(lo, hi)
}

// touched names the offsets of the batches that overlap [lo, hi), a run of bad blocks with good ones around it.
func (l *locator) touched(lo, hi int64) (first, next batch.Offset) {
	first, next = l.h.Base, l.h.Next
	pos, found := l.floor(lo), false
	for pos < hi {
		h, ok := l.header(pos)
		if !ok {
			break
		}
		size, _ := batch.SizeOf(h) // header has looked
		switch {
		case pos+size <= lo:
			first = h.NextOffset()
		case !found:
			first, found = h.BaseOffset(), true
		}
		if pos += size; pos >= hi {
			return first, h.NextOffset()
		}
	}
	for l.x != nil { // the end cannot be walked to: the next batch that is indexed and whose header is good is harmless
		at, ok, err := l.x.NextPosition(hi)
		if !ok || err != nil {
			break
		}
		if h, ok := l.header(at); ok {
			return first, h.BaseOffset()
		}
		hi = at + 1
	}
	return first, next
}

// floor is the last indexed batch at or before pos whose header is good.
func (l *locator) floor(pos int64) int64 {
	for l.x != nil && pos > 0 {
		at, err := l.x.FloorPosition(pos)
		if err != nil {
			return 0
		}
		if l.sound(at) {
			return at
		}
		pos = at - 1
	}
	return 0
}

// sound says that the bytes of a header at pos are covered by good checksums.
func (l *locator) sound(pos int64) bool {
	end := pos + batch.HeaderSize
	return end <= l.h.Size && l.good(pos/BlockSize) && l.good((end-1)/BlockSize)
}

// header reads the header at pos, if it is good.
func (l *locator) header(pos int64) (batch.Batch, bool) {
	if !l.sound(pos) {
		return nil, false
	}
	h := make(batch.Batch, batch.HeaderSize)
	if n, _ := l.f.ReadAt(h, pos); n < len(h) { // what cannot be read is not good
		return nil, false
	}
	size, err := batch.SizeOf(h)
	return h, err == nil && size <= l.h.Size-pos
}
