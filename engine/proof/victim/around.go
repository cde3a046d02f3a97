package victim

import (
	"io"
	"strings"
	"sync"

	"github.com/streambus/streambus/engine/disk"
)

// Call is one operation on a disk, as Around shows it.
type Call struct {
	Op   disk.Op
	Name string // the path now: a file that was renamed after it was opened goes by its new name
	To   string // of a rename

	File disk.File // of an operation on a file: the one below
	Bufs [][]byte  // of a write: the caller's own buffers
	P    []byte    // of a read
	N    int       // of a read: how much there was, for the caller
	Off  int64     // of a read, write, truncate or allocate: where, or the size
}

// Around wraps a disk: each operation becomes a call of around, which may look, do it, do it twice, leave it out, or return an
// error of its own. Beside the operations of disk.Inject there is "close". Around is called from many goroutines.
func Around(inner disk.FS, around func(c *Call, do func() error) error) disk.FS {
	return &aroundFS{inner: inner, around: around, names: map[*nameCell]bool{}}
}

type aroundFS struct {
	inner  disk.FS
	around func(*Call, func() error) error

	mu    sync.Mutex
	names map[*nameCell]bool // of the open files
}

// nameCell is the path of an open file; guarded by aroundFS.mu.
type nameCell struct{ path string }

func (a *aroundFS) file(op disk.Op, name string, open func(string) (disk.File, error)) (disk.File, error) {
	var f disk.File
	err := a.around(&Call{Op: op, Name: name}, func() (err error) { f, err = open(name); return err })
	if err != nil {
		if f != nil {
			_ = f.Close() // opened, and then made to fail
		}
		return nil, err
	}
	cell := &nameCell{name}
	a.mu.Lock()
	a.names[cell] = true
	a.mu.Unlock()
	return &aroundFile{File: f, fs: a, cell: cell}, nil
}

func (a *aroundFS) Create(name string) (disk.File, error) {
	return a.file("create", name, a.inner.Create)
}
func (a *aroundFS) Open(name string) (disk.File, error) { return a.file("open", name, a.inner.Open) }

func (a *aroundFS) Rename(oldName, newName string) error {
	return a.around(&Call{Op: "rename", Name: oldName, To: newName}, func() error {
		if err := a.inner.Rename(oldName, newName); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for cell := range a.names {
			if cell.path == oldName || strings.HasPrefix(cell.path, oldName+"/") {
				cell.path = newName + cell.path[len(oldName):]
			}
		}
		return nil
	})
}

func (a *aroundFS) Remove(name string) error {
	return a.around(&Call{Op: "remove", Name: name}, func() error { return a.inner.Remove(name) })
}

func (a *aroundFS) MkdirAll(name string) error {
	return a.around(&Call{Op: "mkdir", Name: name}, func() error { return a.inner.MkdirAll(name) })
}

func (a *aroundFS) SyncDir(name string) error {
	return a.around(&Call{Op: "syncdir", Name: name}, func() error { return a.inner.SyncDir(name) })
}

func (a *aroundFS) ReadDir(name string) (out []disk.Entry, err error) {
	err = a.around(&Call{Op: "readdir", Name: name}, func() (err error) { out, err = a.inner.ReadDir(name); return err })
	return out, err
}

func (a *aroundFS) Free(name string) (n int64, err error) {
	err = a.around(&Call{Op: "free", Name: name}, func() (err error) { n, err = a.inner.Free(name); return err })
	return n, err
}

func (a *aroundFS) Lock(name string) (c io.Closer, err error) {
	err = a.around(&Call{Op: "lock", Name: name}, func() (err error) { c, err = a.inner.Lock(name); return err })
	if err != nil && c != nil {
		_ = c.Close() // taken, and then made to fail
		c = nil
	}
	return c, err
}

type aroundFile struct {
	disk.File
	fs   *aroundFS
	cell *nameCell
}

func (f *aroundFile) ask(c *Call, do func() error) error {
	f.fs.mu.Lock()
	c.Name, c.File = f.cell.path, f.File
	f.fs.mu.Unlock()
	return f.fs.around(c, do)
}

func (f *aroundFile) ReadAt(p []byte, off int64) (int, error) {
	c := &Call{Op: "read", P: p, Off: off}
	err := f.ask(c, func() (err error) { c.N, err = f.File.ReadAt(p, off); return err })
	return c.N, err
}

func (f *aroundFile) WriteVec(bufs [][]byte, off int64) error {
	return f.ask(&Call{Op: "write", Bufs: bufs, Off: off}, func() error { return f.File.WriteVec(bufs, off) })
}

func (f *aroundFile) Sync() error { return f.ask(&Call{Op: "sync"}, f.File.Sync) }

func (f *aroundFile) Allocate(size int64) error {
	return f.ask(&Call{Op: "allocate", Off: size}, func() error { return f.File.Allocate(size) })
}

func (f *aroundFile) Truncate(size int64) error {
	return f.ask(&Call{Op: "truncate", Off: size}, func() error { return f.File.Truncate(size) })
}

func (f *aroundFile) Size() (n int64, err error) {
	err = f.ask(&Call{Op: "size"}, func() (err error) { n, err = f.File.Size(); return err })
	return n, err
}

func (f *aroundFile) Close() error {
	err := f.ask(&Call{Op: "close"}, f.File.Close)
	f.fs.mu.Lock()
	delete(f.fs.names, f.cell)
	f.fs.mu.Unlock()
	return err
}
