// Package segment is one file of a log: Kafka record batches back to back and nothing else, named by its first offset
// (%020d.log), so that Kafka's own kafka-dump-log reads it. Beside the file it keeps a sparse index in memory.
//
// It is not durable by itself: the commit log is the truth until Sync, and it decides nothing about rolling or retention.
// There is no index file: the index is rebuilt from the batch headers when the log is opened.
//
// # Invariants
//
//	S1  Bytes [0, Size) are whole batches with rising offsets, the first at or above Base; nothing else is ever read.
//	S2  The index names the batch that lies at a position; entries rise in offset, position, and time.
//	S3  The file stays open while anyone has Acquired it, also when its name is gone.
package segment

import (
	"errors"
	"fmt"
	"path"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// ErrCorrupt: the file does not hold what it should.
var ErrCorrupt = errors.New("segment is corrupt")

// Suffix is the ending of a segment's file name.
const Suffix = ".log"

// MaxBytes is the largest size that positions in the index can name.
const MaxBytes = 1<<31 - 1

// MaxRelative is the largest offset in a segment, counted from its base: Kafka's limit, and what the index can name.
const MaxRelative = 1<<31 - 1

// Name is the file name of the segment that begins at base.
func Name(base batch.Offset) string { return fmt.Sprintf("%020d%s", base, Suffix) }

// Segment is one open file. Its fields but for refs are guarded by the log's lock; reads of bytes below Size need none.
type Segment struct {
	Base      batch.Offset
	Path      string
	file      disk.File
	size      int64 // S1
	allocated int64 // room reserved on the disk
	interval  int64
	index     []entry
	indexed   int64 // position of the last index entry
	newest    Stamp // the record time that is largest so far
	refs      atomic.Int32
}

// entry says that the batch with base offset Base+rel lies at pos, and that no batch before it is newer than before (ms).
type entry struct {
	rel, pos uint32
	before   int64
}

// Stamp is the largest time of a batch and where that batch lies.
type Stamp struct {
	Time int64 // ms
	Base batch.Offset
	Pos  int64
}

// Create makes a new file in dir, durable by name before it returns.
func Create(fs disk.FS, dir string, base batch.Offset, interval int) (*Segment, error) {
	name := path.Join(dir, Name(base))
	f, err := fs.Create(name)
	if err != nil {
		return nil, err
	}
	s := open(f, name, base, interval)
	if err = f.Sync(); err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.Release())
	}
	return s, nil
}

// Open opens an existing file of which nothing is known yet: Size is 0 until Scan.
func Open(fs disk.FS, dir string, base batch.Offset, interval int) (*Segment, error) {
	name := path.Join(dir, Name(base))
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	return open(f, name, base, interval), nil
}

func open(f disk.File, name string, base batch.Offset, interval int) *Segment {
	s := &Segment{Base: base, Path: name, file: f, interval: int64(interval), newest: Stamp{Time: -1}}
	s.refs.Store(1)
	return s
}

// Size is how many bytes are readable.
func (s *Segment) Size() int64 { return s.size }

// FileSize is the length of the file on the disk, which may hold more than is readable.
func (s *Segment) FileSize() (int64, error) { return s.file.Size() }

// Allocated is how far room is reserved.
func (s *Segment) Allocated() int64 { return s.allocated }

// Allocate reserves room up to size bytes. Not under the log's lock: it does I/O; the caller sets the result by SetAllocated.
func (s *Segment) Allocate(size int64) error { return s.file.Allocate(size) }

// SetAllocated notes what Allocate reserved.
func (s *Segment) SetAllocated(size int64) { s.allocated = size }

// Write writes batches at pos, unsynced and not yet readable.
func (s *Segment) Write(bufs [][]byte, pos int64) error { return s.file.WriteVec(bufs, pos) }

// Sync makes everything written durable.
func (s *Segment) Sync() error { return s.file.Sync() }

// Truncate cuts the file to size bytes.
func (s *Segment) Truncate(size int64) error { return s.file.Truncate(size) }

// Descriptor is for sendfile; see disk.File.
func (s *Segment) Descriptor() (uintptr, bool) { return s.file.Descriptor() }

// ReadAt reads readable bytes.
func (s *Segment) ReadAt(p []byte, pos int64) error { return disk.ReadFull(s.file, p, pos) }

// Acquire keeps the file open until Release.
func (s *Segment) Acquire() { s.refs.Add(1) }

// Release gives up one hold; the last one closes the file.
func (s *Segment) Release() error {
	if n := s.refs.Add(-1); n > 0 {
		return nil
	} else if n < 0 {
		panic(fmt.Sprintf("segment %s released %d times too often", s.Path, -n))
	}
	return s.file.Close()
}

// Append makes the batch at position Size readable; h needs to hold its header only, size is the whole batch's.
func (s *Segment) Append(h batch.Batch, size int64) {
	if len(s.index) == 0 || s.size-s.indexed >= s.interval {
		s.index = append(s.index, entry{rel: uint32(h.BaseOffset() - s.Base), pos: uint32(s.size), before: s.newest.Time})
		s.indexed = s.size
	}
	if t := h.MaxTimestamp(); t > s.newest.Time {
		s.newest = Stamp{Time: t, Base: h.BaseOffset(), Pos: s.size}
	}
	s.size += size
}

// Newest is the batch with the largest time; Time is -1 when there is none.
func (s *Segment) Newest() Stamp { return s.newest }

// FloorOffset is the position of an indexed batch at or before the one that holds offset.
func (s *Segment) FloorOffset(offset batch.Offset) int64 {
	i := sort.Search(len(s.index), func(i int) bool { return s.Base+batch.Offset(s.index[i].rel) > offset })
	return s.floor(i)
}

// FloorPosition is the position of the last indexed batch that begins at or before pos.
func (s *Segment) FloorPosition(pos int64) int64 {
	i := sort.Search(len(s.index), func(i int) bool { return int64(s.index[i].pos) > pos })
	return s.floor(i)
}

// FloorTime is the position of an indexed batch at or before the first one that is as new as ms.
func (s *Segment) FloorTime(ms int64) int64 {
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].before >= ms })
	return s.floor(i)
}

func (s *Segment) floor(i int) int64 {
	if i == 0 {
		return 0
	}
	return int64(s.index[i-1].pos)
}

// walkBuffer is how much Walk reads at once: the headers of small batches come many to a read.
const walkBuffer = 64 << 10

var walkBuffers = sync.Pool{New: func() any { b := make([]byte, walkBuffer); return &b }}

// Walk calls f with the position, header and whole size of each batch that begins in [pos, end), until f returns false. The
// header is valid during the call. pos must be the beginning of a batch. Errors: ErrCorrupt when what lies there is not a
// batch, or goes past end; I/O errors.
func (s *Segment) Walk(pos, end int64, f func(pos int64, h batch.Batch, size int64) bool) error {
	pool := walkBuffers.Get().(*[]byte)
	defer walkBuffers.Put(pool)
	have, from := []byte(nil), pos // have holds the file's bytes from from on
	for pos < end {
		if pos-from+batch.HeaderSize > int64(len(have)) {
			if end-pos < batch.HeaderSize {
				return s.corrupt(pos, "%d bytes are left, a batch header has %d", end-pos, batch.HeaderSize)
			}
			have, from = (*pool)[:min(walkBuffer, end-pos)], pos
			if err := s.ReadAt(have, pos); err != nil {
				return fmt.Errorf("%s: read at byte %d: %w", s.Path, pos, err)
			}
		}
		h := batch.Batch(have[pos-from:][:batch.HeaderSize])
		size, err := batch.SizeOf(h)
		if err != nil {
			return s.corrupt(pos, "%v", err)
		}
		if size > end-pos || !s.covers(h) {
			return s.corrupt(pos, "batch of %d bytes, offset %d and %d after it; %d bytes are left", size, h.BaseOffset(), h.LastOffsetDelta(), end-pos)
		}
		if !f(pos, h, size) {
			return nil
		}
		pos += size
	}
	return nil
}

// covers says that the offsets of a header can be those of this segment.
func (s *Segment) covers(h batch.Batch) bool {
	return h.LastOffsetDelta() >= 0 && h.BaseOffset() >= s.Base && int64(h.BaseOffset()-s.Base) <= MaxRelative-int64(h.LastOffsetDelta())
}

func (s *Segment) corrupt(pos int64, format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %d: %s", ErrCorrupt, s.Path, pos, fmt.Sprintf(format, args...))
}

// Scan reads the headers of [0, end) and makes them readable, checking S1. next is the offset after the last record (Base
// when there is none). each is called for every header in order; it may be nil. Errors as Walk.
func (s *Segment) Scan(end int64, each func(h batch.Batch)) (next batch.Offset, err error) {
	next = s.Base
	var bad error
	err = s.Walk(0, end, func(pos int64, h batch.Batch, size int64) bool {
		if h.BaseOffset() < next {
			bad = s.corrupt(pos, "offset %d after a batch that ends at %d", h.BaseOffset(), next)
			return false
		}
		next = h.NextOffset()
		s.Append(h, size)
		if each != nil {
			each(h)
		}
		return true
	})
	return next, errors.Join(err, bad)
}

// Find gives the position of the batch that holds offset or, when the log skips it, of the next one; ok is false at the end.
func (s *Segment) Find(offset batch.Offset, from, end int64) (pos int64, ok bool, err error) {
	err = s.Walk(from, end, func(p int64, h batch.Batch, _ int64) bool {
		if h.NextOffset() <= offset {
			return true
		}
		pos, ok = p, true
		return false
	})
	return pos, ok, err
}
