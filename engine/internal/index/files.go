package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"syscall"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// Bounds are what a sealed segment says of itself; an index that does not fit them is corrupt.
type Bounds struct {
	Size int64        // bytes of the .log, below 2^31
	Next batch.Offset // offset after the last record
	Sums *Sums        // what the files hold; nil: unknown, so that only their shape is checked
}

// Files is the index of a sealed segment. It is safe for concurrent use until Close.
type Files struct {
	base           batch.Offset
	size           int64
	offsets, times content
}

// content is the bytes of one file: mapped, or copied to the heap where that cannot be (b, with m nil).
type content struct {
	m    *disk.Mapping
	b    []byte
	n    int // entries
	name string
}

func (c *content) bytes() []byte {
	if c.m != nil {
		return c.m.Bytes()
	}
	return c.b
}

// Open maps the index files of a segment and checks that they are the ones that belong to it: length, order and bounds of the first
// and last entry and, with b.Sums, every byte. The pages are brought in by mapping, so the checks cost no reads of the disk.
//
// Where the FS cannot map, or the kernel has no room for another mapping, the files are read into the heap instead.
// Errors: ErrCorrupt (rebuild the index), fs.ErrNotExist, I/O errors.
func Open(d disk.FS, dir string, base batch.Offset, b Bounds) (*Files, error) {
	x := &Files{base: base, size: b.Size}
	err := x.offsets.load(d, offsetName(dir, base), offsetEntry, maxEntries(b.Size))
	if err == nil {
		err = x.times.load(d, timeName(dir, base), timeEntry, maxEntries(b.Size)+1)
	}
	if err == nil {
		err = x.check(b)
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// maxEntries bounds what the index of a .log of size bytes can hold: an entry for each batch, and they have headers.
func maxEntries(size int64) int64 { return size / batch.HeaderSize }

func (c *content) load(d disk.FS, name string, entry, limit int64) error {
	c.name = name
	m, err := disk.Map(d, name)
	switch {
	case err == nil:
		c.m = m
	case errors.Is(err, disk.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOMEM):
		if c.b, err = readAll(d, name, entry*limit); err != nil {
			return err
		}
	default:
		return err
	}
	size := int64(len(c.bytes()))
	if size%entry != 0 || size/entry > limit {
		return fmt.Errorf("%w: %s has %d bytes: want a multiple of %d, at most %d", ErrCorrupt, name, size, entry, entry*limit)
	}
	c.n = int(size / entry)
	return nil
}

// readAll reads a whole file of at most limit bytes.
func readAll(d disk.FS, name string, limit int64) ([]byte, error) {
	b, err := disk.ReadFile(d, name, limit)
	if errors.Is(err, disk.ErrOversized) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, err
}

// check holds the files against the segment.
func (x *Files) check(b Bounds) (err error) {
	var bad error
	err = disk.Guard(func() { // the closure only computes: what it finds is trusted only when nothing faulted
		if bad = x.checkShape(b); bad == nil && b.Sums != nil {
			bad = x.checkSums(*b.Sums)
		}
	})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, x.offsets.name, err)
	}
	return bad
}

func (x *Files) checkShape(b Bounds) error {
	if n := x.offsets.n; n > 0 {
		first, last := x.last(0), x.last(n-1)
		if first < x.base || first >= last && n > 1 || last >= b.Next {
			return fmt.Errorf("%w: %s goes from offset %d to %d, the segment holds [%d, %d)",
				ErrCorrupt, x.offsets.name, first, last, x.base, b.Next)
		}
		if from, to := x.pos(0), x.pos(n-1); from <= 0 || from >= to && n > 1 || to > b.Size-batch.HeaderSize {
			return fmt.Errorf("%w: %s goes from byte %d to %d, the segment has %d", ErrCorrupt, x.offsets.name, from, to, b.Size)
		}
	}
	if n := x.times.n; n > 0 {
		first, last := x.newestLast(0), x.newestLast(n-1)
		if first < x.base || first >= last && n > 1 || last >= b.Next {
			return fmt.Errorf("%w: %s goes from offset %d to %d, the segment holds [%d, %d)", ErrCorrupt, x.times.name, first, last, x.base, b.Next)
		}
		if from, to := x.newest(0), x.newest(n-1); from <= NoTime || from >= to && n > 1 {
			return fmt.Errorf("%w: %s goes from time %d to %d", ErrCorrupt, x.times.name, from, to)
		}
	}
	return nil
}

func (x *Files) checkSums(want Sums) error {
	got := Sums{
		Offsets: uint32(x.offsets.n), OffsetsCRC: crc32.Checksum(x.offsets.bytes(), castagnoli),
		Times: uint32(x.times.n), TimesCRC: crc32.Checksum(x.times.bytes(), castagnoli),
	}
	if got != want {
		return fmt.Errorf("%w: %s and %s do not hold what the segment was sealed with: %+v, want %+v",
			ErrCorrupt, x.offsets.name, x.times.name, got, want)
	}
	return nil
}

// Len is the number of entries of the .index and the .timeindex.
func (x *Files) Len() (offsets, times int) { return x.offsets.n, x.times.n }

// Mapped says whether the files are mapped, and not copied to the heap.
func (x *Files) Mapped() bool { return x.offsets.m != nil && x.times.m != nil }

// Close unmaps. Nobody may look anything up any more.
func (x *Files) Close() (err error) {
	for _, c := range []*content{&x.offsets, &x.times} {
		if c.m != nil {
			err = errors.Join(err, c.m.Close())
		}
	}
	return err
}

// last, pos, newest and newestLast read the fields of the i-th entry. Under Guard only.

func (x *Files) last(i int) batch.Offset {
	return x.base + batch.Offset(int32(binary.BigEndian.Uint32(x.offsets.bytes()[i*offsetEntry:])))
}

func (x *Files) pos(i int) int64 {
	return int64(int32(binary.BigEndian.Uint32(x.offsets.bytes()[i*offsetEntry+4:])))
}

func (x *Files) newest(i int) int64 {
	return int64(binary.BigEndian.Uint64(x.times.bytes()[i*timeEntry:]))
}

func (x *Files) newestLast(i int) batch.Offset {
	return x.base + batch.Offset(int32(binary.BigEndian.Uint32(x.times.bytes()[i*timeEntry+8:])))
}

// FloorOffset implements Index. Errors: disk.ErrFault, ErrCorrupt.
func (x *Files) FloorOffset(offset batch.Offset) (pos int64, err error) {
	err = disk.Guard(func() { pos = x.floorOffset(offset) })
	return x.checked(pos, err)
}

// FloorPosition implements Index. Errors: disk.ErrFault, ErrCorrupt.
func (x *Files) FloorPosition(pos int64) (floor int64, err error) {
	err = disk.Guard(func() { floor = x.floor(sort.Search(x.offsets.n, func(i int) bool { return x.pos(i) > pos })) })
	return x.checked(floor, err)
}

// FloorTime implements Index. Errors: disk.ErrFault, ErrCorrupt.
func (x *Files) FloorTime(ms int64) (pos int64, err error) {
	err = disk.Guard(func() { pos = x.floorTime(ms) })
	return x.checked(pos, err)
}

// NextPosition is the position of the first indexed batch that begins at or after pos; ok is false when there is none.
// Errors: disk.ErrFault, ErrCorrupt.
func (x *Files) NextPosition(pos int64) (next int64, ok bool, err error) {
	err = disk.Guard(func() {
		i := sort.Search(x.offsets.n, func(i int) bool { return x.pos(i) >= pos })
		if ok = i < x.offsets.n; ok {
			next = x.pos(i)
		}
	})
	next, err = x.checked(next, err)
	return next, ok && err == nil, err
}

func (x *Files) floorOffset(offset batch.Offset) int64 {
	return x.floor(sort.Search(x.offsets.n, func(i int) bool { return x.last(i) > offset }))
}

// floorTime: the first entry as new as ms was written together with the first index entry behind the batch that it names, or with that
// batch's own. So the index entry before that batch's last offset is the last one with nothing as new behind it.
func (x *Files) floorTime(ms int64) int64 {
	if ms <= NoTime {
		return 0
	}
	i := sort.Search(x.times.n, func(i int) bool { return x.newest(i) >= ms })
	if i == x.times.n { // nothing is as new
		return x.floor(x.offsets.n)
	}
	return x.floorOffset(x.newestLast(i) - 1)
}

// floor is the position of the entry before the i-th.
func (x *Files) floor(i int) int64 {
	if i == 0 {
		return 0
	}
	return x.pos(i - 1)
}

// checked keeps a bad entry between the first and the last, which Open without Sums does not look at, from leading out of the segment.
func (x *Files) checked(pos int64, err error) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("%s: %w", x.offsets.name, err)
	}
	if pos < 0 || pos >= x.size && pos > 0 {
		return 0, fmt.Errorf("%w: %s leads to byte %d of %d", ErrCorrupt, x.offsets.name, pos, x.size)
	}
	return pos, nil
}
