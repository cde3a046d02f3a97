package uring

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/streambus/streambus/engine/disk"
)

// wrap makes a file that the ring can use, where there is a descriptor.
func (s *FS) wrap(name string) func(disk.File, error) (disk.File, error) {
	return func(inner disk.File, err error) (disk.File, error) {
		if err != nil {
			return nil, err
		}
		fd, ok := inner.Descriptor()
		if !ok {
			return inner, nil
		}
		f := &file{File: inner, fs: s, name: name, fd: int(fd)}
		f.idle.L = &f.mu
		return f, nil
	}
}

// file is a disk.File whose descriptor stays valid while the ring uses it (U8): closed and opened again, the same number would
// name another file.
type file struct {
	disk.File
	fs   *FS
	name string
	fd   int

	mu     sync.Mutex
	idle   sync.Cond // holds is 0
	holds  int
	closed bool
}

// plain is the file below, whose calls go past the ring.
func plain(f disk.File) disk.File {
	if w, ok := f.(*file); ok {
		return w.File
	}
	return f
}

var lone = sync.Pool{New: func() any { return new([1]disk.ReadOp) }}

// ReadAt reads what the page cache has by one plain call that cannot block, and the rest through the ring, so that many cold reads
// at once do not take a thread each.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.ReadCached(p, off)
	if !errors.Is(err, disk.ErrCold) {
		return n, err
	}
	op := lone.Get().(*[1]disk.ReadOp)
	op[0] = disk.ReadOp{File: f, Off: off + int64(n), P: p[n:]}
	f.fs.ReadBatch(op[:])
	n, err = n+op[0].N, op[0].Err
	op[0] = disk.ReadOp{}
	lone.Put(op)
	return n, err
}

// WriteBack implements disk.WriteBacker as far as the file below does.
func (f *file) WriteBack(off, n int64) error { return disk.WriteBack(f.File, off, n) }

// ReadCached implements disk.Cached as far as the file below does.
func (f *file) ReadCached(p []byte, off int64) (int, error) {
	if !f.hold() {
		return f.File.ReadAt(p, off) // says that it is closed
	}
	defer f.release()
	return disk.ReadCached(f.File, p, off)
}

// InCache implements disk.Cached as far as the file below does.
func (f *file) InCache(off, n int64) bool {
	if !f.hold() {
		return false
	}
	defer f.release()
	return disk.InCache(f.File, off, n)
}

// WriteVecUncached implements disk.Uncached as far as the file below does.
func (f *file) WriteVecUncached(bufs [][]byte, off int64) error {
	return disk.WriteVecUncached(f.File, bufs, off)
}

// hold keeps the descriptor valid until release; false when the file is closed.
func (f *file) hold() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.holds++
	return true
}

func (f *file) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holds--; f.holds == 0 {
		f.idle.Broadcast()
	} else if f.holds < 0 {
		panic(fmt.Sprintf("uring: %s released %d times too often", f.name, -f.holds))
	}
}

// Close waits for the batches that use the file.
func (f *file) Close() error {
	f.mu.Lock()
	f.closed = true
	for f.holds > 0 {
		f.idle.Wait()
	}
	f.mu.Unlock()
	return f.File.Close()
}

func (f *file) syncError(errno syscall.Errno) error {
	return &fs.PathError{Op: "fdatasync", Path: f.name, Err: errno}
}
