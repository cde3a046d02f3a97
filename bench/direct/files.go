package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

const (
	page        = 4096
	segments    = 8
	commitFiles = 4
	poolBytes   = 256 << 20
)

// pool gives batches of which no two are alike: windows of random bytes, at any address.
type pool struct {
	random []byte
	next   uint64
}

func newPool(size int) *pool {
	p := &pool{random: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p.random)
	return p
}

// batch is a window of n bytes, borrowed.
func (p *pool) batch(n int) []byte {
	p.next++
	at := p.next * 10_000_019 % uint64(len(p.random)-n)
	return p.random[at:][:n]
}

// files is the folder that all ways work in: a commit log that is made once, and segments that are made for each run.
type files struct {
	dir         string
	commit      []*os.File
	commitBytes int64
	segs        []*os.File
}

// openFiles writes the commit log with zeros, durably.
func openFiles(dir string, commitBytes int64) (*files, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	w := &files{dir: dir, commitBytes: commitBytes}
	zeros := make([]byte, 1<<20)
	for i := range commitFiles {
		f, err := os.OpenFile(path.Join(dir, fmt.Sprint(i, ".commit")), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return nil, err
		}
		w.commit = append(w.commit, f)
		for off := int64(0); off < commitBytes; off += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), commitBytes-off)], off); err != nil {
				return nil, err
			}
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// openSegments makes empty segments with room reserved, as the engine does; or with again true takes those of the run before,
// which are full of old bytes, as recycled ones would be.
func (w *files) openSegments(bytes int64, flags int, again bool) error {
	if err := w.closeSegments(); err != nil {
		return err
	}
	for i := range segments {
		name := path.Join(w.dir, fmt.Sprint(i, ".log"))
		if !again {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			flags |= os.O_CREATE
		}
		f, err := os.OpenFile(name, os.O_RDWR|flags, 0o640)
		if err != nil {
			return err
		}
		w.segs = append(w.segs, f)
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes); err != nil {
			return err
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if again && st.Size() < bytes {
			return fmt.Errorf("%s: a recycled segment of %d bytes, %d are needed", name, st.Size(), bytes)
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (w *files) closeSegments() error {
	var errs []error
	for _, f := range w.segs {
		errs = append(errs, f.Close())
	}
	w.segs = nil
	return errors.Join(errs...)
}

// remove deletes everything.
func (w *files) remove() error {
	errs := []error{w.closeSegments()}
	for _, f := range w.commit {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// writeVec is pwritev2, whole.
func writeVec(f *os.File, bufs [][]byte, off int64, flags int) error {
	want := 0
	for _, b := range bufs {
		want += len(b)
	}
	for {
		n, err := unix.Pwritev2(int(f.Fd()), bufs, off, flags)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("pwritev %s: %w", f.Name(), err)
		}
		if n != want {
			return fmt.Errorf("pwritev %s: %d of %d bytes", f.Name(), n, want)
		}
		return nil
	}
}

func fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
