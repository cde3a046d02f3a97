package index

import (
	"errors"
	"fmt"
	"math"
	"path"
	"sort"

	"github.com/streambus/streambus/engine/batch"
)

// The suffixes of the files' names, after the base offset.
const (
	OffsetSuffix = ".index"
	TimeSuffix   = ".timeindex"
)

// DefaultInterval is Kafka's index.interval.bytes.
const DefaultInterval = 4096

// ErrCorrupt: an index file is not one that belongs to its segment. Rebuild it from the .log.
var ErrCorrupt = errors.New("index is corrupt")

// NoTime is the time of a batch without timestamps, and the newest time of no batch at all.
const NoTime = -1

// Index is what both forms answer. On an error the position is 0, which is right if slow (I1).
type Index interface {
	// FloorOffset is the position of an indexed batch at or before the one that holds offset.
	FloorOffset(offset batch.Offset) (pos int64, err error)
	// FloorPosition is the position of the last indexed batch that begins at or before pos.
	FloorPosition(pos int64) (int64, error)
	// FloorTime is the position of an indexed batch at or before the first one that is as new as ms.
	FloorTime(ms int64) (int64, error)
}

var (
	_ Index = (*Heap)(nil)
	_ Index = (*Files)(nil)
)

// Stamp is the largest time of a segment and the first batch that has it.
type Stamp struct {
	Time int64 // ms; NoTime: there is none
	Base batch.Offset
	Pos  int64
}

// Point is one entry before it takes either form: the batch that ends with Last begins at Pos, and of all batches up to it the one
// that ends with NewestLast was the first with the largest time, Newest (ms).
type Point struct {
	Last       batch.Offset
	Pos        int64
	Newest     int64
	NewestLast batch.Offset
}

// Tracker decides which batches are due an entry, as Kafka does. It must see every batch of a segment from byte 0 on.
type Tracker struct {
	interval   int64
	indexed    int64 // position of the last batch with an entry
	newest     Stamp
	newestLast batch.Offset
}

// NewTracker begins a segment. interval is in bytes; below 1 it is DefaultInterval.
func NewTracker(interval int64) Tracker {
	if interval < 1 {
		interval = DefaultInterval
	}
	return Tracker{interval: interval, newest: Stamp{Time: NoTime}}
}

// Note takes the batch at pos into account; only its header is read. due says that p is to be indexed.
func (t *Tracker) Note(h batch.Batch, pos int64) (p Point, due bool) {
	if ms := h.MaxTimestamp(); ms > t.newest.Time {
		t.newest, t.newestLast = Stamp{Time: ms, Base: h.BaseOffset(), Pos: pos}, h.LastOffset()
	}
	if pos-t.indexed <= t.interval {
		return Point{}, false
	}
	t.indexed = pos
	return Point{Last: h.LastOffset(), Pos: pos, Newest: t.newest.Time, NewestLast: t.newestLast}, true
}

// Newest is the largest time so far, and where it lies.
func (t *Tracker) Newest() Stamp { return t.newest }

// NewestLast is the last offset of the batch that Newest names.
func (t *Tracker) NewestLast() batch.Offset { return t.newestLast }

// Heap is the index of a segment that is appended to. It is guarded by its owner's lock. Its entries lie in chunks that never move, so
// that it grows without copying and without slack: 8.2 bytes an entry, at most 2.1 MiB for a GiB of log at Kafka's interval.
type Heap struct {
	Tracker
	base   batch.Offset
	chunks []*chunk
	n      int // entries
}

// chunk is a run of entries, 1 KiB in all (a size class of Go's allocator).
type chunk struct {
	newest  int64 // ms: of all batches up to that of the first entry
	entries [chunkEntries]entry
}

const chunkEntries = 127

// entry says that the batch which ends with base+last begins at pos.
type entry struct {
	last, pos uint32
}

// NewHeap begins an index. interval is in bytes; below 1 it is DefaultInterval.
func NewHeap(base batch.Offset, interval int64) Heap {
	return Heap{Tracker: NewTracker(interval), base: base}
}

// Add takes the next batch, which begins at pos; only its header is read.
func (x *Heap) Add(h batch.Batch, pos int64) {
	p, due := x.Note(h, pos)
	if !due {
		return
	}
	if x.n%chunkEntries == 0 {
		x.chunks = append(x.chunks, &chunk{newest: p.Newest})
	}
	*x.at(x.n) = entry{last: relative(x.base, p.Last), pos: uint32(p.Pos)}
	x.n++
}

func (x *Heap) at(i int) *entry { return &x.chunks[i/chunkEntries].entries[i%chunkEntries] }

// Len is the number of entries.
func (x *Heap) Len() int { return x.n }

// FloorOffset implements Index.
func (x *Heap) FloorOffset(offset batch.Offset) (int64, error) {
	return x.floor(sort.Search(x.n, func(i int) bool { return x.base+batch.Offset(x.at(i).last) > offset })), nil
}

// FloorPosition implements Index.
func (x *Heap) FloorPosition(pos int64) (int64, error) {
	return x.floor(sort.Search(x.n, func(i int) bool { return int64(x.at(i).pos) > pos })), nil
}

// FloorTime implements Index. It is exact to a chunk: lookups by time in the segment that is appended to are rare, and a time for each
// entry would double the index.
func (x *Heap) FloorTime(ms int64) (int64, error) {
	i := sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].newest >= ms })
	if i == 0 {
		return 0, nil
	}
	return int64(x.chunks[i-1].entries[0].pos), nil
}

// floor is the position of the entry before the i-th.
func (x *Heap) floor(i int) int64 {
	if i == 0 {
		return 0
	}
	return int64(x.at(i - 1).pos)
}

func offsetName(dir string, base batch.Offset) string { return fileName(dir, base, OffsetSuffix) }
func timeName(dir string, base batch.Offset) string   { return fileName(dir, base, TimeSuffix) }

func fileName(dir string, base batch.Offset, suffix string) string {
	return path.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
}

// relative counts an offset from the base, as the files hold it. A segment never holds one that does not fit.
func relative(base, offset batch.Offset) uint32 {
	if offset < base || offset-base > math.MaxInt32 {
		panic(fmt.Sprintf("index of segment %d: offset %d does not fit", base, offset))
	}
	return uint32(offset - base)
}
