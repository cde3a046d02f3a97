package inspect

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"syscall"

	"github.com/streambus/streambus/engine/disk"
)

// step is how much of a file is read at once, in bytes.
const step = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// window is a file read in steps, mostly forward (V2).
type window struct {
	f    disk.File
	name string
	size int64 // when it was opened
	buf  []byte
	lo   int64 // of buf in the file
	tell func(file string, done, total int64)
}

func (r *run) open(name string) (*window, error) {
	f, err := r.d.Open(name)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return &window{f: f, name: name, size: size, tell: r.o.Progress}, nil
}

func (w *window) close() { _ = w.f.Close() } // only read

// bytes gives n bytes at pos, valid until the next call. n is bounded by the caller. io.ErrUnexpectedEOF when the file ends first.
func (w *window) bytes(pos int64, n int) ([]byte, error) {
	if pos < 0 || n < 0 || pos > w.size || int64(n) > w.size-pos {
		return nil, io.ErrUnexpectedEOF
	}
	if pos < w.lo || pos+int64(n) > w.lo+int64(len(w.buf)) {
		want := int(min(max(int64(n), step), w.size-pos))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.lo = w.buf[:want], pos
		if err := disk.ReadFull(w.f, w.buf, pos); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
		if w.tell != nil {
			w.tell(w.name, pos+int64(want), w.size)
		}
	}
	return w.buf[pos-w.lo:][:n], nil
}

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// crc sums [lo, hi) in steps.
func (w *window) crc(lo, hi int64) (sum uint32, err error) {
	for lo < hi {
		b, err := w.bytes(lo, int(min(step, hi-lo)))
		if err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		lo += int64(len(b))
	}
	return sum, nil
}

// unreadable turns an error of reading into a finding where it says something of the file; others are returned.
func (r *run) unreadable(w *window, pos int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		if size, serr := w.f.Size(); serr == nil && size < w.size {
			return r.note(at(w.name, size, w.size), "the file became shorter while it was read: does a broker run? Look again")
		}
		return r.damage(at(w.name, w.size, w.size), "the file ends in the middle of what begins at byte %d", pos)
	case errors.Is(err, syscall.EIO):
		return r.damage(at(w.name, pos, w.size), "the disk cannot read it: %v; copy what can be read to another disk", err)
	}
	return err
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
