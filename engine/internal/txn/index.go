package txn

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/streambus/streambus/engine/batch"
)

// MaxAborted is how many entries an Index may have before its segment should be rolled, which bounds it to 32 MiB of heap.
const MaxAborted = 1 << 20

// Aborted is a transaction that was aborted: its producer's transactional records of [First, Last) are to be left out.
type Aborted struct {
	ProducerID batch.ProducerID
	First      batch.Offset // of its first record, maybe in a segment before
	Last       batch.Offset // of the marker
	LastStable batch.Offset // with this marker written, and no regard for the high watermark
}

// Index is the aborted transactions whose markers one segment holds. The zero value is empty. One that gets no more entries, as that of a
// sealed segment, needs no lock.
type Index struct {
	entries []Aborted // T4
}

// Add appends an entry. Last must rise and LastStable not fall; anything else is a bug in the caller and panics.
func (x *Index) Add(a Aborted) {
	if !a.follows(x.last()) {
		panic(fmt.Sprintf("T4: %+v after %+v", a, x.last()))
	}
	x.entries = append(x.entries, a)
}

// Carry appends an entry of another Index, that of a segment which this one replaces; Last must rise. Of Indexes that were not made in one
// go, one may have been rebuilt when segments before it were gone, and so know of more that is stable than the next: what was stable stays so.
func (x *Index) Carry(a Aborted) {
	a.LastStable = max(a.LastStable, x.last().LastStable)
	x.Add(a)
}

func (x *Index) last() Aborted {
	if len(x.entries) == 0 {
		return Aborted{Last: -1}
	}
	return x.entries[len(x.entries)-1]
}

// follows says that a can be the entry after before (T4).
func (a Aborted) follows(before Aborted) bool {
	return a.ProducerID >= 0 && 0 <= a.First && a.First < a.Last && before.Last < a.Last && before.LastStable <= a.LastStable && a.LastStable <= a.Last+1
}

// Len is the number of entries.
func (x *Index) Len() int { return len(x.entries) }

// Full says that the segment should be rolled before it gets another marker.
func (x *Index) Full() bool { return len(x.entries) >= MaxAborted }

// Entries are all entries. The slice is read only, and stays as it is whatever follows, so it may be written to a file without the lock.
func (x *Index) Entries() []Aborted { return x.entries[:len(x.entries):len(x.entries)] }

// Collect appends to dst the transactions that a consumer of committed records must know to read [from, upper): those that end at or
// after from and begin before upper. done says that all of them are found; else go on with the next segment, if there is one. Begin with the
// segment that holds from. Beyond what is appended it allocates nothing.
func (x *Index) Collect(dst []Aborted, from, upper batch.Offset) (out []Aborted, done bool) {
	all := x.entries
	i := sort.Search(len(all), func(i int) bool { return all[i].Last >= from })
	if i > 0 && all[i-1].LastStable >= upper {
		return dst, true
	}
	for _, a := range all[i:] {
		if a.First < upper {
			dst = append(dst, a)
		}
		if a.LastStable >= upper { // what ends later began at or after it
			return dst, true
		}
	}
	return dst, false
}

// An entry, as Kafka has it in .txnindex files, 34 bytes, big-endian. Frozen.
//
//	 0  2  version           int16  0
//	 2  8  producerId        int64
//	10  8  firstOffset       int64
//	18  8  lastOffset        int64  of the marker
//	26  8  lastStableOffset  int64
//
// An Index in a recap:
//
//	0  4  entries  little-endian, how many follow
//	4  …  the entries
const (
	entrySize    = 34
	entryVersion = 0
)

// AppendBefore encodes for a recap what the Index was when its segment ended at next.
func (x *Index) AppendBefore(dst []byte, next batch.Offset) []byte {
	n := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].Last >= next })
	return appendEntries(binary.LittleEndian.AppendUint32(dst, uint32(n)), x.entries[:n])
}

// ParseIndex decodes what AppendBefore wrote of a segment that begins at base and ended at next, and gives what follows it. The memory taken is
// bounded by the bytes given. Error: ErrCorrupt.
func ParseIndex(b []byte, base, next batch.Offset) (x Index, rest []byte, err error) {
	if len(b) < 4 {
		return x, nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > int64(len(b)/entrySize) {
		return x, nil, fmt.Errorf("%w: %d aborted transactions in %d bytes", ErrCorrupt, n, len(b))
	}
	x, err = parseEntries(b[:n*entrySize], base, next)
	return x, b[n*entrySize:], err
}

func appendEntries(dst []byte, entries []Aborted) []byte {
	be := binary.BigEndian
	for _, a := range entries {
		dst = be.AppendUint16(dst, entryVersion)
		for _, v := range [...]int64{int64(a.ProducerID), int64(a.First), int64(a.Last), int64(a.LastStable)} {
			dst = be.AppendUint64(dst, uint64(v))
		}
	}
	return dst
}

// parseEntries decodes whole entries of the segment that holds [base, next).
func parseEntries(b []byte, base, next batch.Offset) (x Index, err error) {
	be := binary.BigEndian
	if len(b)%entrySize != 0 {
		return x, fmt.Errorf("%w: %d bytes are not a multiple of %d", ErrCorrupt, len(b), entrySize)
	}
	if len(b) == 0 {
		return x, nil
	}
	x.entries = make([]Aborted, 0, len(b)/entrySize)
	for ; len(b) > 0; b = b[entrySize:] {
		if v := be.Uint16(b); v != entryVersion {
			return Index{}, fmt.Errorf("%w: entry %d has version %d, this program knows %d", ErrCorrupt, len(x.entries), v, entryVersion)
		}
		a := Aborted{
			ProducerID: batch.ProducerID(be.Uint64(b[2:])), First: batch.Offset(be.Uint64(b[10:])),
			Last: batch.Offset(be.Uint64(b[18:])), LastStable: batch.Offset(be.Uint64(b[26:])),
		}
		if !a.follows(x.last()) || a.Last < base || a.Last >= next {
			return Index{}, fmt.Errorf("%w: %+v after %+v in a segment that holds [%d, %d)", ErrCorrupt, a, x.last(), base, next)
		}
		x.entries = append(x.entries, a)
	}
	return x, nil
}
