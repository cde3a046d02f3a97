package index

import (
	"encoding/binary"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// A Heap as it is kept in a recap (internal/recap), little-endian:
//
//	 0  8  base
//	 8  8  interval
//	16  8  indexed     position of the last batch with an entry
//	24 24  newest      time, base offset, position
//	48  8  newestLast  last offset of that batch
//	56  4  entries
//	 then for each run of 127 entries or fewer:
//	    0  8  newest   time, of all batches up to that of its first entry
//	    8  …  entries  0 4 last offset, from base · 4 4 position
const heapHeader = 60

// Append encodes the index.
func (x *Heap) Append(dst []byte) []byte {
	for _, v := range []int64{int64(x.base), x.interval, x.indexed, x.newest.Time, int64(x.newest.Base), x.newest.Pos, int64(x.newestLast)} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(x.n))
	for i := range x.n {
		if i%chunkEntries == 0 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x.chunks[i/chunkEntries].newest))
		}
		e := x.at(i)
		dst = binary.LittleEndian.AppendUint32(dst, e.last)
		dst = binary.LittleEndian.AppendUint32(dst, e.pos)
	}
	return dst
}

// ParseHeap decodes what Append wrote, for a segment of size bytes with records in [base, next), and gives what follows. The memory
// taken is bounded by the bytes given. Error: ErrCorrupt.
func ParseHeap(b []byte, base batch.Offset, size int64, next batch.Offset) (x Heap, rest []byte, err error) {
	if len(b) < heapHeader {
		return x, nil, fmt.Errorf("%w: an index of %d bytes", ErrCorrupt, len(b))
	}
	var v [7]int64
	for i := range v {
		v[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	n := int(binary.LittleEndian.Uint32(b[56:]))
	x = NewHeap(base, v[1])
	x.indexed, x.newest, x.newestLast = v[2], Stamp{Time: v[3], Base: batch.Offset(v[4]), Pos: v[5]}, batch.Offset(v[6])
	b = b[heapHeader:]
	if batch.Offset(v[0]) != base || n > len(b)/8 || x.indexed < 0 || x.indexed > size || x.newest.Pos < 0 || x.newest.Pos > size {
		return Heap{}, nil, fmt.Errorf("%w: the index of segment %d has %d entries in %d bytes and ends at byte %d of %d", ErrCorrupt, base, n, len(b), x.indexed, size)
	}
	last := entry{}
	for i := range n {
		if i%chunkEntries == 0 {
			if len(b) < 8 {
				return Heap{}, nil, fmt.Errorf("%w: it ends in the middle of entry %d", ErrCorrupt, i)
			}
			x.chunks = append(x.chunks, &chunk{newest: int64(binary.LittleEndian.Uint64(b))})
			b = b[8:]
		}
		if len(b) < 8 {
			return Heap{}, nil, fmt.Errorf("%w: it ends in the middle of entry %d", ErrCorrupt, i)
		}
		e := entry{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
		b = b[8:]
		if i > 0 && (e.last <= last.last || e.pos <= last.pos) || int64(e.pos) >= size || base+batch.Offset(e.last) >= next {
			return Heap{}, nil, fmt.Errorf("%w: entry %d of segment %d, offset %d at byte %d", ErrCorrupt, i, base, e.last, e.pos)
		}
		x.n++
		*x.at(i) = e
		last = e
	}
	return x, b, nil
}
