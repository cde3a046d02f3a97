package producer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
)

// A snapshot of a Table, little-endian. (Kafka's .snapshot files keep one batch of each producer; here all of the Window are kept,
// since after a crash a client may repeat any of its five batches in flight.)
//
//	0  4  producers
//	   then for each:
//	    0  8  id
//	    8  2  epoch
//	   10  2  batches  0 to 5, of which the last is the newest; 0: a marker began the epoch
//	   12  …  a batch, 16 bytes:  0 4 first sequence · 4 4 last sequence · 8 8 base offset; if there are none, 8 bytes:  the marker's offset
const (
	producerSize = 12
	sentSize     = 16
	markerSize   = 8
)

// ErrSnapshot: the bytes are not a snapshot.
var ErrSnapshot = errors.New("bad snapshot of producers")

// Append encodes the table.
func (t *Table) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.of)))
	for id, s := range t.of {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
		dst = binary.LittleEndian.AppendUint16(dst, uint16(s.epoch))
		dst = binary.LittleEndian.AppendUint16(dst, uint16(s.n))
		for i := range s.n {
			e := s.ring[(s.next-s.n+i+Window)%Window]
			dst = binary.LittleEndian.AppendUint32(dst, uint32(e.first))
			dst = binary.LittleEndian.AppendUint32(dst, uint32(e.last))
			dst = binary.LittleEndian.AppendUint64(dst, uint64(e.base))
		}
		if s.n == 0 {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(s.at))
		}
	}
	return dst
}

// Parse decodes what Append wrote and gives what follows it. The memory taken is bounded by the bytes given. Error: ErrSnapshot.
func Parse(b []byte) (t Table, rest []byte, err error) {
	if len(b) < 4 {
		return t, nil, fmt.Errorf("%w: %d bytes", ErrSnapshot, len(b))
	}
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > MaxProducers || n > len(b)/(producerSize+markerSize) {
		return t, nil, fmt.Errorf("%w: %d producers in %d bytes", ErrSnapshot, n, len(b))
	}
	t.of = make(map[batch.ProducerID]*state, n)
	for range n {
		if b, err = t.parseProducer(b); err != nil {
			return Table{}, nil, err
		}
	}
	return t, b, nil
}

func (t *Table) parseProducer(b []byte) (rest []byte, err error) {
	if len(b) < producerSize {
		return nil, fmt.Errorf("%w: it ends in the middle of a producer", ErrSnapshot)
	}
	id := batch.ProducerID(binary.LittleEndian.Uint64(b))
	s := &state{epoch: batch.ProducerEpoch(binary.LittleEndian.Uint16(b[8:])), n: int(binary.LittleEndian.Uint16(b[10:]))}
	b = b[producerSize:]
	if s.n > Window || len(b) < max(s.n*sentSize, markerSize) || t.of[id] != nil || id == batch.NoProducerID {
		return nil, fmt.Errorf("%w: producer %d with %d batches in %d bytes", ErrSnapshot, id, s.n, len(b))
	}
	if s.n == 0 {
		s.last, s.at = batch.NoSequence, batch.Offset(binary.LittleEndian.Uint64(b))
		b = b[markerSize:]
	}
	for i := range s.n {
		s.ring[i] = sent{
			first: batch.Sequence(binary.LittleEndian.Uint32(b)), last: batch.Sequence(binary.LittleEndian.Uint32(b[4:])),
			base: batch.Offset(binary.LittleEndian.Uint64(b[8:])),
		}
		s.last, s.at = s.ring[i].last, s.ring[i].base
		b = b[sentSize:]
	}
	s.next = s.n % Window
	t.of[id] = s
	return b, nil
}
