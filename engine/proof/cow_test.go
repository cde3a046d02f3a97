package proof

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/streambus/streambus/engine/disk"
)

// cow is a disk in memory that begins as an image and copies a file only when it is written to, so that a million starts on
// damaged copies of one image cost little. It knows no power cuts: disk.Mem does.
type cow struct {
	mu    sync.Mutex
	files map[string]*cowFile
	dirs  map[string]bool
}

type cowFile struct {
	c     *cow
	data  []byte
	owned bool // data is not the image's
}

// newCow begins with the image; its slices are not written to.
func newCow(image map[string][]byte) *cow {
	c := &cow{files: make(map[string]*cowFile, len(image)), dirs: map[string]bool{"/": true}}
	for name, b := range image {
		c.files[name] = &cowFile{c: c, data: b}
		for d := path.Dir(name); d != "/"; d = path.Dir(d) {
			c.dirs[d] = true
		}
	}
	return c
}

func notThere(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func (c *cow) Create(name string) (disk.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if !c.dirs[path.Dir(name)] {
		return nil, notThere("create", name)
	}
	f := &cowFile{c: c, owned: true}
	c.files[name] = f
	return f, nil
}

func (c *cow) Open(name string) (disk.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[name]
	if f == nil {
		return nil, notThere("open", name)
	}
	return f, nil
}

func (c *cow) Rename(oldName, newName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for _, name := range slices.Collect(maps.Keys(c.files)) {
		if name == oldName || strings.HasPrefix(name, oldName+"/") {
			f := c.files[name]
			delete(c.files, name)
			c.files[newName+name[len(oldName):]] = f
			found = true
		}
	}
	if c.dirs[oldName] {
		delete(c.dirs, oldName)
		c.dirs[newName] = true
		found = true
	}
	if !found {
		return notThere("rename", oldName)
	}
	return nil
}

func (c *cow) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] == nil && !c.dirs[name] {
		return notThere("remove", name)
	}
	delete(c.files, name)
	delete(c.dirs, name)
	return nil
}

func (c *cow) MkdirAll(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := name; d != "/"; d = path.Dir(d) {
		c.dirs[d] = true
	}
	return nil
}

func (c *cow) ReadDir(name string) ([]disk.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirs[name] {
		return nil, notThere("readdir", name)
	}
	var out []disk.Entry
	for d := range c.dirs {
		if d != name && path.Dir(d) == name {
			out = append(out, disk.Entry{Name: path.Base(d), Dir: true})
		}
	}
	for f := range c.files {
		if path.Dir(f) == name {
			out = append(out, disk.Entry{Name: path.Base(f)})
		}
	}
	slices.SortFunc(out, func(a, b disk.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (c *cow) SyncDir(string) error            { return nil }
func (c *cow) Free(string) (int64, error)      { return 1 << 40, nil }
func (c *cow) Lock(string) (io.Closer, error)  { return io.NopCloser(nil), nil }
func (f *cowFile) Sync() error                 { return nil }
func (f *cowFile) Allocate(int64) error        { return nil }
func (f *cowFile) Close() error                { return nil }
func (f *cowFile) Descriptor() (uintptr, bool) { return 0, false }
func (f *cowFile) String() string              { return fmt.Sprintf("%d bytes", len(f.data)) }
func (f *cowFile) resize(size int64) {
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
}

func (f *cowFile) Size() (int64, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *cowFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *cowFile) own() {
	if !f.owned {
		f.data, f.owned = slices.Clone(f.data), true
	}
}

func (f *cowFile) WriteVec(bufs [][]byte, off int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.own()
	for _, b := range bufs {
		if end := off + int64(len(b)); end > int64(len(f.data)) {
			f.resize(end)
		}
		off += int64(copy(f.data[off:], b))
	}
	return nil
}

func (f *cowFile) Truncate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.own()
	if size <= int64(len(f.data)) {
		f.data = f.data[:size]
	} else {
		f.resize(size)
	}
	return nil
}
