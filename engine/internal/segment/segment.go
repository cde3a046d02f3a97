// Package segment is one file of a log: Kafka record batches back to back and nothing else, named by its first offset
// (%020d.log), so that Kafka's own kafka-dump-log reads it; and, once it is full, the side files that seal it.
//
// It is not durable by itself: the commit log is the truth until Sync, and it decides nothing about rolling or retention.
//
//	active   Create, or Open and Scan: appended to; the index is in the heap and is rebuilt from the batch headers by Scan
//	sealed   Seal, or OpenSealed: never written again; the index is mapped (internal/index), every block has a checksum
//	         (internal/seal), and it opens by its first and last 4 KiB
//
// Neither reading nor sending looks at the bytes. Who does not trust the disk calls Sums and CheckCold before:
//
//	l.mu.Lock()
//	x := s.Sums()             // what is known now
//	l.mu.Unlock()
//	err := x.CheckCold(lo, hi) // *Damage names the bytes and offsets that are not what was written
//
// # Locks
//
// What changes while a segment is active (size, next offset, newest stamp, heap index) is guarded by the log's lock, which belongs to
// the caller. That is also the lock under which Seal puts the mapped index in the place of the heap's. The mapped index is published by
// an atomic pointer and never changes again: once Sealed is true the Floor methods need no lock, only a hold (Acquire), and better have
// none, since a page of the mapping may have been evicted. So does Sums; what it gives needs no lock. Reads of bytes below Size never need
// a lock. Release takes none.
//
// # Invariants
//
//	S1  Bytes [0, Size) are whole batches with rising offsets, the first at or above Base; nothing else is ever read.
//	S2  The index names the batch that lies at a position; entries rise in offset, position, and time.
//	S3  The file stays open, and the index mapped, while anyone has Acquired the segment, also when its name is gone.
//	S4  A sealed segment is not written, cut or appended to; what must change it calls Unseal first and opens it anew.
//	S5  Side files are believed only as a whole: by the header's CRC, and the CRCs in it (OpenSealed). The .log does not depend on them.
//	S6  A file is cut or removed only after the last Release (Retire), so never under a reader or a mapping.
//	S7  No bit of [0, Size) can change without Check noticing: the batches' own CRCs and the chain over what they leave out
//	    (batch.PrefixSum), kept since the append, pin an active segment; block checksums a sealed one. Seal compares the chain before it
//	    makes them; a recap and the checkpoint carry it over a restart.
//	S8  What Aborted holds when Seal begins is what OpenSealed gives, or it is ErrUnsealed.
package segment

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/seal"
	"github.com/streambus/streambus/engine/internal/txn"
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

// Segment is one open file. Its fields are guarded by the log's lock, but for those that say otherwise; see the package's comment.
type Segment struct {
	Base      batch.Offset // never changes
	Path      string       // never changes
	fs        disk.FS      // never changes
	file      disk.File    // never changes
	size      int64        // S1
	next      batch.Offset // offset after the last record
	allocated int64        // room reserved on the disk
	interval  int64        // never changes
	heap      index.Heap   // empty when sealed
	prefixes  prefixes     // empty when sealed
	trust     *trust       // another one when sealed
	aborted   txn.Index    // Seal writes it down
	head      seal.Header  // when sealed

	mapped atomic.Pointer[index.Files] // nil until sealed, then never changes
	known  atomic.Pointer[known]       // of a sealed one: nil until Sums.bring, then never changes
	faults atomic.Int64                // lookups that the mapped index could not answer
	refs   atomic.Int32
	gone   func() // set before the holder that sets it releases; called by the last one
}

// Stamp is the largest time of a batch and where that batch lies.
type Stamp = index.Stamp

// Create makes a new file in dir. Its name is durable when the caller has synced the folder, which it must have before a checkpoint
// speaks of the segment. A seal left over from an earlier file of that name goes first.
func Create(fs disk.FS, dir string, base batch.Offset, interval int) (*Segment, error) {
	name := path.Join(dir, Name(base))
	if err := removeSeal(fs, dir, base); err != nil {
		return nil, err
	}
	f, err := fs.Create(name)
	if err != nil {
		return nil, err
	}
	return open(fs, f, name, base, interval), nil
}

// Open opens an existing file of which nothing is known yet: Size is 0 until Scan.
func Open(fs disk.FS, dir string, base batch.Offset, interval int) (*Segment, error) {
	name := path.Join(dir, Name(base))
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	return open(fs, f, name, base, interval), nil
}

// OpenAs is Open for a file that has a suffix behind its name and is about to lose it.
func OpenAs(fs disk.FS, dir string, base batch.Offset, suffix string, interval int) (*Segment, error) {
	name := path.Join(dir, Name(base))
	f, err := fs.Open(name + suffix)
	if err != nil {
		return nil, err
	}
	return open(fs, f, name, base, interval), nil
}

func open(fs disk.FS, f disk.File, name string, base batch.Offset, interval int) *Segment {
	s := &Segment{
		Base: base, Path: name, fs: fs, file: f, next: base, interval: int64(interval),
		heap: index.NewHeap(base, int64(interval)), trust: new(trust),
	}
	s.refs.Store(1)
	return s
}

// Size is how many bytes are readable.
func (s *Segment) Size() int64 { return s.size }

// Next is the offset after the last readable record; Base when there is none.
func (s *Segment) Next() batch.Offset { return s.next }

// FileSize is the length of the file on the disk, which may hold more than is readable.
func (s *Segment) FileSize() (int64, error) { return s.file.Size() }

// Allocated is how far room is reserved.
func (s *Segment) Allocated() int64 { return s.allocated }

// Allocate reserves room up to size bytes. Not under the log's lock: it does I/O; the caller sets the result by SetAllocated.
func (s *Segment) Allocate(size int64) error { return s.file.Allocate(size) }

// SetAllocated notes what Allocate reserved.
func (s *Segment) SetAllocated(size int64) { s.allocated = size }

// Write writes batches at pos, unsynced and not yet readable.
func (s *Segment) Write(bufs [][]byte, pos int64) error {
	s.mustBeActive("write to")
	return s.file.WriteVec(bufs, pos)
}

// File is the file, to be synced with others. It is valid while the segment is held.
func (s *Segment) File() disk.File { return s.file }

// Sync makes everything written durable.
func (s *Segment) Sync() error { return s.file.Sync() }

// Truncate cuts the file to size bytes.
func (s *Segment) Truncate(size int64) error {
	s.mustBeActive("truncate")
	return s.file.Truncate(size)
}

// Descriptor is for sendfile; see disk.File.
func (s *Segment) Descriptor() (uintptr, bool) { return s.file.Descriptor() }

// ReadAt reads readable bytes.
func (s *Segment) ReadAt(p []byte, pos int64) error { return disk.ReadFull(s.file, p, pos) }

// Acquire keeps the file open, and the index mapped, until Release. Whoever calls it has a hold, or the log's lock and the log has one.
func (s *Segment) Acquire() {
	if n := s.refs.Add(1); n <= 1 {
		panic(fmt.Sprintf("segment %s acquired after its last release (%d)", s.Path, n))
	}
}

// Release gives up one hold; the last one unmaps the index and closes the file.
func (s *Segment) Release() error {
	if n := s.refs.Add(-1); n > 0 {
		return nil
	} else if n < 0 {
		panic(fmt.Sprintf("segment %s released %d times too often", s.Path, -n))
	}
	var err error
	if x := s.mapped.Load(); x != nil {
		err = x.Close()
	}
	err = errors.Join(err, s.file.Close())
	if s.gone != nil {
		s.gone()
	}
	return err
}

// Append makes the batch at position Size, which was just written, readable; h needs to hold its header only, size is the whole batch's.
func (s *Segment) Append(h batch.Batch, size int64) {
	s.mustBeActive("append to")
	if at := len(s.prefixes.groups); s.take(h, size) {
		s.trust.set(at, len(s.prefixes.groups)) // the whole group comes from memory
	}
}

// take makes the batch at position Size readable; begins says that it begins a group.
func (s *Segment) take(h batch.Batch, size int64) (begins bool) {
	begins = s.prefixes.add(h, s.size, s.Base)
	s.heap.Add(h, s.size)
	s.next = h.NextOffset()
	s.size += size
	return begins
}

func (s *Segment) mustBeActive(what string) {
	if s.Sealed() {
		panic(fmt.Sprintf("S4: %s sealed segment %s", what, s.Path))
	}
}

// Aborted is the transactions whose abort markers the segment holds, as far as the caller has added them. Under the log's lock; complete, and
// not to be changed any more, before Seal begins.
func (s *Segment) Aborted() *txn.Index { return &s.aborted }

// Newest is the batch with the largest time; Time is -1 when there is none.
func (s *Segment) Newest() Stamp {
	if s.Sealed() {
		return s.head.Newest
	}
	return s.heap.Newest()
}

// FloorOffset is the position of an indexed batch at or before the one that holds offset. It allocates nothing.
func (s *Segment) FloorOffset(offset batch.Offset) int64 {
	if x := s.mapped.Load(); x != nil {
		return s.floor(x.FloorOffset(offset))
	}
	return s.floor(s.heap.FloorOffset(offset))
}

// FloorPosition is the position of the last indexed batch that begins at or before pos. It allocates nothing.
func (s *Segment) FloorPosition(pos int64) int64 {
	if x := s.mapped.Load(); x != nil {
		return s.floor(x.FloorPosition(pos))
	}
	return s.floor(s.heap.FloorPosition(pos))
}

// FloorTime is the position of an indexed batch at or before the first one that is as new as ms. It allocates nothing.
func (s *Segment) FloorTime(ms int64) int64 {
	if x := s.mapped.Load(); x != nil {
		return s.floor(x.FloorTime(ms))
	}
	return s.floor(s.heap.FloorTime(ms))
}

// floor handles an index that cannot answer: byte 0 is a floor of everything, only a far one, and the fault is counted for Faults.
func (s *Segment) floor(pos int64, err error) int64 {
	if err != nil {
		s.faults.Add(1)
		return 0
	}
	return pos
}

// Faults is how many lookups the mapped index could not answer (its disk failed, or somebody cut the file): they began at byte 0, which
// is right but slow. When it is not 0, open the segment anew by Scan and Seal it.
func (s *Segment) Faults() int64 { return s.faults.Load() }

// Walk reads firstWalk bytes, then twice as many each time up to walkBuffer: who looks for one batch behind an index entry should not read
// far beyond it, and the headers of small batches come many to a read. Behind a batch of largeBatch bytes it takes the next header by
// itself, if the page cache has it: copying all between costs more than the call. What comes from the disk comes sooner all together.
const (
	firstWalk  = 8 << 10
	walkBuffer = 64 << 10
	largeBatch = 8 << 10
)

// MaxControl is the size up to which Walk gives control batches whole, in bytes. A marker has 78.
const MaxControl = 4 << 10

var walkBuffers = sync.Pool{New: func() any { b := make([]byte, walkBuffer); return &b }}

// Walk calls f with the position, header and whole size of each batch that begins in [pos, end), until f returns false; with a control
// batch of at most MaxControl in place of its header. It is valid during the call. pos must be the beginning of a batch. Errors:
// ErrCorrupt when what lies there is not a batch, or goes past end; I/O errors.
func (s *Segment) Walk(pos, end int64, f func(pos int64, h batch.Batch, size int64) bool) error {
	pool := walkBuffers.Get().(*[]byte)
	defer walkBuffers.Put(pool)
	have, from := []byte(nil), pos // have holds the file's bytes from from on
	step, last := int64(firstWalk), int64(0)
	bring := func(n int64) error { // the n bytes at pos
		if pos-from+n <= int64(len(have)) {
			return nil
		}
		from = pos
		if have = (*pool)[:batch.HeaderSize]; n == batch.HeaderSize && last >= largeBatch && s.readCached(have, pos) {
			return nil
		}
		have = (*pool)[:min(step, end-pos)]
		step = min(2*step, walkBuffer)
		if err := s.ReadAt(have, pos); err != nil {
			return fmt.Errorf("%s: read at byte %d: %w", s.Path, pos, err)
		}
		return nil
	}
	for pos < end {
		if end-pos < batch.HeaderSize {
			return s.corrupt(pos, "%d bytes are left, a batch header has %d", end-pos, batch.HeaderSize)
		}
		if err := bring(batch.HeaderSize); err != nil {
			return err
		}
		h := batch.Batch(have[pos-from:][:batch.HeaderSize])
		size, err := batch.SizeOf(h)
		if err != nil {
			return s.corrupt(pos, "%v", err)
		}
		if size > end-pos || !s.covers(h) {
			return s.corrupt(pos, "batch of %d bytes, offset %d and %d after it; %d bytes are left",
				size, h.BaseOffset(), h.LastOffsetDelta(), end-pos)
		}
		if h.Control() && size <= MaxControl {
			if err := bring(size); err != nil {
				return err
			}
			h = batch.Batch(have[pos-from:][:size])
		}
		if !f(pos, h, size) {
			return nil
		}
		pos += size
		last = size
	}
	return nil
}

// readCached fills p if the page cache can.
func (s *Segment) readCached(p []byte, pos int64) bool {
	n, err := disk.ReadCached(s.file, p, pos)
	return n == len(p) && err == nil
}

// covers says that the offsets of a header can be those of this segment.
func (s *Segment) covers(h batch.Batch) bool {
	return h.LastOffsetDelta() >= 0 && h.BaseOffset() >= s.Base && int64(h.BaseOffset()-s.Base) <= MaxRelative-int64(h.LastOffsetDelta())
}

func (s *Segment) corrupt(pos int64, format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %d: %s", ErrCorrupt, s.Path, pos, fmt.Sprintf(format, args...))
}

// AppendIndex encodes the index of an active segment and its prefix sums, for a recap. Under the log's lock.
func (s *Segment) AppendIndex(dst []byte) []byte { return s.prefixes.append(s.heap.Append(dst)) }

// Restore gives a segment just opened what AppendIndex encoded when it was size bytes long and ended at next, and gives what follows.
// The caller makes sure that the bytes are of this segment. Those below size are not looked at: if they have changed since, Check finds
// it, and so does Seal. Error: index.ErrCorrupt.
func (s *Segment) Restore(b []byte, size int64, next batch.Offset) (rest []byte, err error) {
	x, p, rest, err := parseIndex(b, s.Base, size, next)
	if err != nil {
		return nil, err
	}
	s.heap, s.prefixes, s.size, s.next = x, p, size, next
	return rest, nil
}

// SkipIndex checks what AppendIndex encoded of the segment that begins at base, as Restore does, and gives what follows.
func SkipIndex(b []byte, base batch.Offset, size int64, next batch.Offset) (rest []byte, err error) {
	_, _, rest, err = parseIndex(b, base, size, next)
	return rest, err
}

func parseIndex(b []byte, base batch.Offset, size int64, next batch.Offset) (x index.Heap, p prefixes, rest []byte, err error) {
	if x, rest, err = index.ParseHeap(b, base, size, next); err == nil {
		p, rest, err = parsePrefixes(rest, base, size, next)
	}
	return x, p, rest, err
}

// Scan reads the headers of [Size, end) of a segment just opened and makes them readable, checking S1. The prefix sums are made of what it
// finds: whether that is what was written, PrefixSum can tell, which the caller compares with the checkpoint's. next is the offset after the
// last record (Base when there is none). each is called for every batch in order, with what Walk gives of it; it may be nil. Errors as Walk.
func (s *Segment) Scan(end int64, each func(h batch.Batch)) (next batch.Offset, err error) {
	next = s.next
	var bad error
	err = s.Walk(s.size, end, func(pos int64, h batch.Batch, size int64) bool {
		if h.BaseOffset() < next {
			bad = s.corrupt(pos, "offset %d after a batch that ends at %d", h.BaseOffset(), next)
			return false
		}
		next = h.NextOffset()
		s.take(h, size)
		if each != nil {
			each(h)
		}
		return true
	})
	return next, errors.Join(err, bad)
}

// Place is where a batch lies.
type Place struct {
	Pos, Size int64
	Next      batch.Offset // the offset after its last record
}

// Find gives the place of the batch that holds offset or, when the log skips it, of the next one; ok is false at the end.
func (s *Segment) Find(offset batch.Offset, from, end int64) (at Place, ok bool, err error) {
	err = s.Walk(from, end, func(pos int64, h batch.Batch, size int64) bool {
		at = Place{pos, size, h.NextOffset()}
		ok = at.Next > offset
		return !ok
	})
	return at, ok, err
}
