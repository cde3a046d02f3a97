package inspect

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/streambus/streambus/engine/disk"
)

// ReadOnly gives a view of d by which nothing can be changed: what would fails with EROFS. For disk.OS files are opened for reading
// only, so that read permission is enough.
func ReadOnly(d disk.FS) disk.FS { return readOnly{d} }

type readOnly struct{ inner disk.FS }

func refuse(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: syscall.EROFS} }

// Open implements disk.FS.
func (r readOnly) Open(name string) (disk.File, error) {
	if _, ok := r.inner.(disk.OS); !ok {
		f, err := r.inner.Open(name)
		if err != nil {
			return nil, err
		}
		return readOnlyFile{f, f.Size, f, name}, nil
	}
	// A folder of FIFOs and devices is no data directory; without O_NONBLOCK a FIFO would block for ever.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is a %v, not a file", name, st.Mode().Type())
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return readOnlyFile{f, func() (int64, error) {
		st, err := f.Stat()
		if err != nil {
			return 0, err
		}
		return st.Size(), nil
	}, f, name}, nil
}

// Map implements disk.Mapper where the inner FS does.
func (r readOnly) Map(name string) (*disk.Mapping, error) { return disk.Map(r.inner, name) }

func (r readOnly) ReadDir(name string) ([]disk.Entry, error) { return r.inner.ReadDir(name) }
func (r readOnly) Free(name string) (int64, error)           { return r.inner.Free(name) }
func (r readOnly) Create(name string) (disk.File, error)     { return nil, refuse("create", name) }
func (r readOnly) Rename(name, _ string) error               { return refuse("rename", name) }
func (r readOnly) Remove(name string) error                  { return refuse("remove", name) }
func (r readOnly) MkdirAll(name string) error                { return refuse("mkdir", name) }
func (r readOnly) SyncDir(name string) error                 { return refuse("sync", name) }
func (r readOnly) Lock(name string) (io.Closer, error)       { return nil, refuse("lock", name) }

type readOnlyFile struct {
	io.ReaderAt
	size func() (int64, error)
	io.Closer
	name string
}

func (f readOnlyFile) Size() (int64, error)           { return f.size() }
func (f readOnlyFile) Descriptor() (uintptr, bool)    { return 0, false }
func (f readOnlyFile) WriteVec([][]byte, int64) error { return refuse("write", f.name) }
func (f readOnlyFile) Sync() error                    { return refuse("sync", f.name) }
func (f readOnlyFile) Allocate(int64) error           { return refuse("allocate", f.name) }
func (f readOnlyFile) Truncate(int64) error           { return refuse("truncate", f.name) }
