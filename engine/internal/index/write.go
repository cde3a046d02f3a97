package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"sync"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sums pin the content of both files: how many entries each has, and the CRC-32C of the whole file.
type Sums struct {
	Offsets, Times       uint32
	OffsetsCRC, TimesCRC uint32
}

const (
	offsetEntry = 8
	timeEntry   = 12
)

// TmpSuffix ends the names of files being written.
const TmpSuffix = disk.TmpSuffix

// writeBuffer is how much of each file a Writer holds back, in bytes: a multiple of both entries' sizes.
const writeBuffer = 24 << 10

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBuffer); return &b }}

// Writer writes the two files of a segment, in memory bounded by 48 KiB. It is used by one goroutine, and ends with Commit or Abort.
type Writer struct {
	base           batch.Offset
	offsets, times stream
	last           Point // the one added last
	newest         int64 // the last timestamp written
}

// Create begins the files of the segment with this base, beside those that may exist. A leftover of an earlier attempt is replaced.
func Create(d disk.FS, dir string, base batch.Offset) (*Writer, error) {
	w := &Writer{base: base, newest: NoTime, last: Point{Pos: 0, Last: base - 1}}
	if err := w.offsets.create(d, offsetName(dir, base)); err != nil {
		return nil, err
	}
	if err := w.times.create(d, timeName(dir, base)); err != nil {
		w.offsets.abort()
		return nil, err
	}
	return w, nil
}

// Add writes one entry. Offsets and positions must rise; anything else is a bug in the caller and panics.
func (w *Writer) Add(p Point) error {
	if p.Last <= w.last.Last || p.Pos <= w.last.Pos || p.Pos > math.MaxInt32 {
		panic(fmt.Sprintf("index of segment %d: %+v after %+v", w.base, p, w.last))
	}
	w.last = p
	var e [offsetEntry]byte
	binary.BigEndian.PutUint32(e[0:], relative(w.base, p.Last))
	binary.BigEndian.PutUint32(e[4:], uint32(p.Pos))
	if err := w.offsets.add(e[:]); err != nil {
		return err
	}
	return w.addTime(p.Newest, p.NewestLast)
}

func (w *Writer) addTime(newest int64, last batch.Offset) error {
	if newest <= w.newest {
		return nil
	}
	w.newest = newest
	var e [timeEntry]byte
	binary.BigEndian.PutUint64(e[0:], uint64(newest))
	binary.BigEndian.PutUint32(e[8:], relative(w.base, last))
	return w.times.add(e[:])
}

// Commit adds the last entry of the time index for the segment's largest time (t has seen all batches), and puts both files in place,
// whole and synced (I3). The names are durable after SyncDir of the folder, which is the caller's. Errors are I/O errors; nothing is
// left of the files then, but for what even removing failed to reach.
func (w *Writer) Commit(t *Tracker) (Sums, error) {
	err := w.addTime(t.Newest().Time, t.NewestLast())
	for _, s := range []*stream{&w.offsets, &w.times} {
		if err == nil {
			err = s.finish()
		}
	}
	for _, s := range []*stream{&w.offsets, &w.times} {
		if err == nil {
			err = s.d.Rename(s.name+TmpSuffix, s.name)
		}
	}
	if err != nil {
		w.Abort()
		return Sums{}, err
	}
	return Sums{
		Offsets: uint32(w.offsets.written / offsetEntry), OffsetsCRC: w.offsets.crc,
		Times: uint32(w.times.written / timeEntry), TimesCRC: w.times.crc,
	}, nil
}

// Abort gives up, removing what was written.
func (w *Writer) Abort() {
	w.offsets.abort()
	w.times.abort()
}

// stream is one file being written.
type stream struct {
	d       disk.FS
	name    string
	f       disk.File // nil: closed
	buf     *[]byte
	written int64
	crc     uint32
}

func (s *stream) create(d disk.FS, name string) error {
	if err := d.Remove(name + TmpSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(name + TmpSuffix)
	if err != nil {
		return err
	}
	*s = stream{d: d, name: name, f: f, buf: writeBuffers.Get().(*[]byte)}
	return nil
}

func (s *stream) add(entry []byte) error {
	*s.buf = append(*s.buf, entry...)
	if len(*s.buf) < writeBuffer {
		return nil
	}
	return s.flush()
}

func (s *stream) flush() error {
	b := *s.buf
	if err := s.f.WriteVec([][]byte{b}, s.written); err != nil {
		return err
	}
	s.written += int64(len(b))
	s.crc = crc32.Update(s.crc, castagnoli, b)
	*s.buf = b[:0]
	return nil
}

func (s *stream) finish() error {
	err := s.flush()
	if err == nil {
		err = s.f.Sync()
	}
	return errors.Join(err, s.close())
}

func (s *stream) close() error {
	if s.f == nil {
		return os.ErrClosed
	}
	*s.buf = (*s.buf)[:0]
	writeBuffers.Put(s.buf)
	f := s.f
	s.f, s.buf = nil, nil
	return f.Close()
}

// abort removes the unfinished file. An error of it changes nothing: the next Create, or removing the leftovers, comes by again.
func (s *stream) abort() {
	if s.f != nil {
		_ = s.close()
	}
	_ = s.d.Remove(s.name + TmpSuffix)
}
