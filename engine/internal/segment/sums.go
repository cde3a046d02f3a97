package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/seal"
)

// prefixes is what is remembered of the batches of an active segment that their own CRCs do not cover (batch.PrefixSum), by 64 KiB of the
// file: 12 bytes each, so 192 KiB for a GiB. Guarded by the log's lock; groups is only appended to, so a copy of the struct is a snapshot
// that needs no lock.
type prefixes struct {
	groups []group // the i-th is of the batches that begin in the i-th block
	sum    uint32  // the chain over all batches
}

// group is the batches that begin in one block. One without batches has the pos, before and base of the group that follows.
type group struct {
	pos    uint32 // where its first batch begins
	before uint32 // the chain over all batches before that one
	base   uint32 // that one's base offset, counted from the segment's
}

const groupSize = 12

// add takes the batch at pos into account; begins says that it is the first of its group.
func (p *prefixes) add(h batch.Batch, pos int64, base batch.Offset) (begins bool) {
	for int64(len(p.groups)) <= pos/seal.BlockSize {
		begins = true
		p.groups = append(p.groups, group{pos: uint32(pos), before: p.sum, base: uint32(h.BaseOffset() - base)})
	}
	p.sum = h.PrefixSum(p.sum)
	return begins
}

// append encodes the sums as they stand in a recap (internal/recap), behind the index, little-endian:
//
//	0  4  sum     the chain over the prefixes of all batches
//	4  4  groups  how many: one for each 64 KiB of the segment up to the one in which the last batch begins
//	8  …  a group, 12 bytes:  0 4 position of its first batch · 4 4 the chain before it · 8 4 its base offset, from the segment's
func (p *prefixes) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, p.sum)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.groups)))
	for _, g := range p.groups {
		for _, v := range [...]uint32{g.pos, g.before, g.base} {
			dst = binary.LittleEndian.AppendUint32(dst, v)
		}
	}
	return dst
}

// parsePrefixes decodes what append wrote, for a segment of size bytes with records in [base, next), and gives what follows. The memory
// taken is bounded by the bytes given. Error: index.ErrCorrupt.
func parsePrefixes(b []byte, base batch.Offset, size int64, next batch.Offset) (p prefixes, rest []byte, err error) {
	if len(b) < 8 {
		return p, nil, fmt.Errorf("%w: prefix sums of %d bytes", index.ErrCorrupt, len(b))
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(b[4:]))
	p.sum = le.Uint32(b)
	b = b[8:]
	if n > int64(len(b)/groupSize) || (n == 0) != (size == 0) || n == 0 && p.sum != 0 {
		return prefixes{}, nil, fmt.Errorf("%w: %d groups of prefix sums in %d bytes, for a segment of %d", index.ErrCorrupt, n, len(b), size)
	}
	p.groups = make([]group, n)
	last := group{}
	for i := range p.groups {
		g := group{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])}
		b = b[groupSize:]
		first, same := int64(i)*seal.BlockSize, g == last
		switch rises := g.pos > last.pos && g.base > last.base; {
		case i == 0 && g.pos == 0 && g.before == 0, i > 0 && (same || rises):
		default:
			return prefixes{}, nil, fmt.Errorf("%w: group %d of prefix sums is %+v after %+v", index.ErrCorrupt, i, g, last)
		}
		ends := i == len(p.groups)-1 && int64(g.pos) >= first+seal.BlockSize // a batch begins in the last one's own block
		if int64(g.pos) < first || ends || int64(g.pos) >= size || base+batch.Offset(g.base) >= next {
			return prefixes{}, nil, fmt.Errorf("%w: group %d of prefix sums is %+v, in a segment of %d bytes with offsets [%d, %d)", index.ErrCorrupt, i, g, size, base, next)
		}
		p.groups[i], last = g, g
	}
	return p, b, nil
}

// Sums is what is known, at one moment, of the bytes of a segment: enough to tell whether they are still what was written (S7). It needs
// no lock, and holds as long as the segment is held. Take a fresh one for each read: those that are old know of less.
//
// The bytes are looked at by units: of a segment that is appended to, the batches that begin in one block of 64 KiB; of a sealed one, the
// block. All units that a range touches are checked as a whole.
type Sums struct {
	seg    *Segment
	size   int64
	next   batch.Offset
	trust  *trust
	sealed bool

	known // of a sealed segment: none yet
}

// known is what bytes are compared with: a table, or prefixes beside the batches' own CRCs.
type known struct {
	table seal.Table // nil: none
	prefixes
}

// Sums gives what is known now. Under the log's lock, or when Sealed.
func (s *Segment) Sums() Sums {
	x := Sums{seg: s, sealed: s.Sealed(), size: s.size, next: s.next, trust: s.trust}
	if !x.sealed {
		x.prefixes = s.prefixes
	}
	return x
}

// PrefixSum is the chain over the prefixes of all readable batches (batch.PrefixSum), 0 when there are none. Under the log's lock, or when
// Sealed.
func (s *Segment) PrefixSum() uint32 {
	if s.Sealed() {
		return s.head.Prefix
	}
	return s.prefixes.sum
}

// bring brings in what is known of a sealed segment: the seal's table, once. If it cannot be had (the seal is removed when the segment is
// about to be cut or replaced, and readers go on; it may be damaged, or there is no descriptor to open it), the sums of the prefixes
// take its place; they are made from the headers, and must add up to what the seal said. Errors: *Damage, I/O errors of the .log.
func (x *Sums) bring() error {
	if !x.sealed {
		return nil
	}
	s := x.seg
	if k := s.known.Load(); k != nil {
		x.known = *k
		return nil
	}
	if table, err := seal.ReadTable(s.fs, path.Dir(s.Path), s.head); err == nil {
		x.known = known{table: table}
	} else if err := x.rebuild(); err != nil {
		return err
	}
	k := x.known
	s.known.CompareAndSwap(nil, &k) // another may have been faster
	x.known = *s.known.Load()
	return nil
}

// rebuild makes the sums of a sealed segment anew from its headers.
func (x *Sums) rebuild() error {
	var p prefixes
	err := x.seg.Walk(0, x.size, func(pos int64, h batch.Batch, _ int64) bool {
		p.add(h, pos, x.seg.Base)
		return true
	})
	if err == nil && p.sum != x.seg.head.Prefix {
		err = fmt.Errorf("the headers of the batches add up to %08x, it was sealed with %08x", p.sum, x.seg.head.Prefix)
	} else if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err != nil {
		return &Damage{Path: x.seg.Path, Hi: x.size, First: x.seg.Base, Next: x.next, Err: err}
	}
	x.known = known{prefixes: p}
	return nil
}

// units gives those that [lo, hi) touches, as [u, end).
func (x *Sums) units(lo, hi int64) (u, end int) {
	if x.table != nil {
		return int(lo / seal.BlockSize), int((hi + seal.BlockSize - 1) / seal.BlockSize)
	}
	u, end = min(int(lo/seal.BlockSize), len(x.groups)-1), min(int((hi+seal.BlockSize-1)/seal.BlockSize), len(x.groups))
	for x.at(u) > lo { // in the middle of a large batch
		u--
	}
	for end-1 > u && x.at(end-1) >= hi {
		end--
	}
	return u, end
}

// at is where unit u begins, and the one before it ends.
func (x *Sums) at(u int) int64 {
	switch {
	case x.table != nil:
		return min(int64(u)*seal.BlockSize, x.size)
	case u < len(x.groups):
		return int64(x.groups[u].pos)
	}
	return x.size
}

// before is the chain over what lies before unit u, and offset that at which it begins. Not of a table.
func (x *Sums) before(u int) (sum uint32, offset batch.Offset) {
	if u < len(x.groups) {
		return x.groups[u].before, x.seg.Base + batch.Offset(x.groups[u].base)
	}
	return x.sum, x.next
}
