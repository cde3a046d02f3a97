package txn

import (
	"encoding/binary"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// A Table written down, little-endian:
//
//	0  4  open     how many follow, in the order of first offsets
//	4  4  decided  how many follow, in the order of first offsets and of markers
//	8  …  an open transaction, 18 bytes:  0 8 producer id · 8 8 first offset · 16 2 producer epoch
//	…  …  one that has ended, 16 bytes:   0 8 first offset · 8 8 offset of the marker
const (
	tableHeader = 8
	openSize    = 18
	decidedSize = 16
)

// Append encodes the Table.
func (t *Table) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(len(t.of)))
	dst = le.AppendUint32(dst, uint32(len(t.decided)))
	t.Each(func(o Open) bool {
		dst = le.AppendUint64(dst, uint64(o.ProducerID))
		dst = le.AppendUint64(dst, uint64(o.First))
		dst = le.AppendUint16(dst, uint16(o.Epoch))
		return true
	})
	for _, d := range t.decided {
		dst = le.AppendUint64(dst, uint64(d.first))
		dst = le.AppendUint64(dst, uint64(d.marker))
	}
	return dst
}

// Parse decodes what Append wrote of a log that ended at next, and gives what follows it. The memory taken is bounded by the bytes given.
// Error: ErrCorrupt.
func Parse(b []byte, next batch.Offset) (t Table, rest []byte, err error) {
	if len(b) < tableHeader {
		return t, nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	open, ended := int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))
	b = b[tableHeader:]
	if ended > MaxDecided || open*openSize+ended*decidedSize > int64(len(b)) {
		return t, nil, fmt.Errorf("%w: %d open transactions and %d that have ended in %d bytes", ErrCorrupt, open, ended, len(b))
	}
	if open > 0 {
		t.of = make(map[batch.ProducerID]*node, open)
	}
	for range open {
		o := parseOpen(b)
		if before, ok := t.last(); o.ProducerID < 0 || o.Epoch < 0 || o.First < 0 || o.First >= next || ok && o.First <= before || t.of[o.ProducerID] != nil {
			return Table{}, nil, fmt.Errorf("%w: open transaction %+v in a log that ends at %d", ErrCorrupt, o, next)
		}
		t.open(o)
		b = b[openSize:]
	}
	before := decided{-1, -1}
	for range ended {
		d := decided{batch.Offset(binary.LittleEndian.Uint64(b)), batch.Offset(binary.LittleEndian.Uint64(b[8:]))}
		if d.first <= before.first || d.marker <= before.marker || d.first >= d.marker || d.marker >= next {
			return Table{}, nil, fmt.Errorf("%w: a transaction over offsets %d to %d after %+v in a log that ends at %d", ErrCorrupt, d.first, d.marker, before, next)
		}
		t.decided, before = append(t.decided, d), d
		b = b[decidedSize:]
	}
	return t, b, nil
}

func parseOpen(b []byte) Open {
	return Open{
		ProducerID: batch.ProducerID(binary.LittleEndian.Uint64(b)), First: batch.Offset(binary.LittleEndian.Uint64(b[8:])),
		Epoch: batch.ProducerEpoch(binary.LittleEndian.Uint16(b[16:])),
	}
}

// last is the first offset of the transaction that began last.
func (t *Table) last() (first batch.Offset, ok bool) {
	if t.newest == nil {
		return 0, false
	}
	return t.newest.First, true
}
