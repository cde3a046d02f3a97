package uring

import (
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/streambus/streambus/engine/disk"
)

// wrap makes a file that the ring can use, where there is a descriptor.
func wrap(name string) func(disk.File, error) (disk.File, error) {
	return func(inner disk.File, err error) (disk.File, error) {
		if err != nil {
			return nil, err
		}
		fd, ok := inner.Descriptor()
		if !ok {
			return inner, nil
		}
		f := &file{File: inner, name: name, fd: int(fd)}
		f.idle.L = &f.mu
		return f, nil
	}
}

// file is a disk.File whose descriptor stays valid while the ring uses it (U8): closed and opened again, the same number would
// name another file.
type file struct {
	disk.File
	name string
	fd   int

	mu     sync.Mutex
	idle   sync.Cond // holds is 0
	holds  int
	closed bool
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
