package disk

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that can lose power. It keeps, beside what a program sees, what a disk would have: file
// bytes move there at File.Sync, names at SyncDir. Crash gives the disk as some power cut may leave it.
//
//	live      what reads see
//	durable   what is certain to survive
//	pending   unsynced writes and names: each sector, and a prefix of each folder's changes, may or may not survive
type Mem struct {
	mu       sync.Mutex
	live     map[string]*inode // by clean path; a nil data inode is a folder
	durable  map[string]*inode
	pending  []rename // unsynced changes of names, in order
	locked   map[string]bool
	Capacity int64 // bytes of allocated and written data before ENOSPC; 0 = no limit
}

type inode struct {
	dir       bool
	data      []byte // live
	durable   []byte
	writes    []write // since the last sync, in order
	allocated int64
	mapped    int // open Mappings of it
}

// write is an unsynced write, or with data nil a truncation to off.
type write struct {
	off  int64
	data []byte
}

// rename is an unsynced change of a name: from "" creates, to "" removes.
type rename struct {
	from, to string
	node     *inode
}

var _ FS = (*Mem)(nil)

// NewMem gives an empty file system with a root folder.
func NewMem() *Mem {
	root := &inode{dir: true}
	return &Mem{live: map[string]*inode{"/": root}, durable: map[string]*inode{"/": root}, locked: map[string]bool{}}
}

func clean(name string) string { return path.Clean("/" + name) }

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	if m.live[p] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	if d := m.live[path.Dir(p)]; d == nil || !d.dir {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	n := &inode{}
	m.live[p] = n
	m.pending = append(m.pending, rename{to: p, node: n})
	return &memFile{m: m, n: n, name: p}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.live[clean(name)]
	if n == nil || n.dir {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &memFile{m: m, n: n, name: clean(name)}, nil
}

// Rename implements FS. A folder takes what is below it along.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := clean(oldName), clean(newName)
	n := m.live[from]
	if n == nil {
		return pathError("rename", oldName, fs.ErrNotExist)
	}
	if there := m.live[to]; there != nil && there.dir && there != n {
		return pathError("rename", newName, fs.ErrExist)
	}
	if n.dir { // unsynced changes in the folder belong to it, whatever it is called
		for i := range m.pending {
			m.pending[i].from, m.pending[i].to = below(m.pending[i].from, from, to), below(m.pending[i].to, from, to)
		}
	}
	m.pending = append(m.pending, rename{from: from, to: to, node: n})
	move(m.live, from, to)
	return nil
}

// below gives the new path of a name that lies below a renamed folder.
func below(name, from, to string) string {
	if strings.HasPrefix(name, from+"/") {
		return to + name[len(from):]
	}
	return name
}

// move renames a name and all names below it.
func move(names map[string]*inode, from, to string) {
	moved := map[string]*inode{}
	for p, n := range names {
		if p == from || strings.HasPrefix(p, from+"/") {
			moved[to+p[len(from):]] = n
			delete(names, p)
		}
	}
	for p, n := range moved {
		names[p] = n
	}
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	n := m.live[p]
	if n == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	if n.dir {
		for q := range m.live {
			if strings.HasPrefix(q, p+"/") {
				return pathError("remove", name, syscall.ENOTEMPTY)
			}
		}
	}
	delete(m.live, p)
	m.pending = append(m.pending, rename{from: p, node: n})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	for i := 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		if d := m.live[p[:i]]; d == nil {
			n := &inode{dir: true}
			m.live[p[:i]] = n
			m.pending = append(m.pending, rename{to: p[:i], node: n})
		} else if !d.dir {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	if d := m.live[p]; d == nil || !d.dir {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	var out []Entry
	for q, n := range m.live {
		if q != p && path.Dir(q) == p {
			out = append(out, Entry{Name: path.Base(q), Dir: n.dir})
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	if d := m.live[p]; d == nil || !d.dir {
		return pathError("fsync", name, fs.ErrNotExist)
	}
	rest := m.pending[:0]
	for _, r := range m.pending {
		if r.folder() == p {
			r.apply(m.durable)
		} else {
			rest = append(rest, r)
		}
	}
	m.pending = rest
	return nil
}

func (r rename) folder() string {
	if r.to != "" {
		return path.Dir(r.to)
	}
	return path.Dir(r.from)
}

func (r rename) apply(names map[string]*inode) {
	switch {
	case r.from == "":
		names[r.to] = r.node
	case r.to == "":
		delete(names, r.from)
	default:
		if _, ok := names[r.from]; ok {
			move(names, r.from, r.to)
		} else {
			names[r.to] = r.node
		}
	}
}

// Free implements FS.
func (m *Mem) Free(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Capacity == 0 {
		return 1 << 50, nil
	}
	return m.Capacity - m.used(), nil
}

func (m *Mem) used() int64 {
	var sum int64
	for _, n := range m.live {
		sum += max(int64(len(n.data)), n.allocated)
	}
	return sum
}

// Lock implements FS. A crash gives all locks up.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := clean(name)
	if m.locked[p] {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	m.locked[p] = true
	return memLock{m, p}, nil
}

type memLock struct {
	m *Mem
	p string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.p)
	return nil
}

// Crash gives a new file system holding what a power cut now may leave: everything synced; of each folder's unsynced name
// changes a random prefix; of unsynced writes each sector with probability keep (0 to 1). The old one goes on unharmed.
func (m *Mem) Crash(rng *rand.Rand, keep float64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]*inode, len(m.durable))
	for p, n := range m.durable {
		names[p] = n
	}
	stopped := map[string]bool{}
	for _, r := range m.pending {
		if stopped[r.folder()] || rng.Float64() >= keep {
			stopped[r.folder()] = true
			continue
		}
		r.apply(names)
	}
	out := NewMem()
	out.Capacity = m.Capacity
	for _, p := range slices.Sorted(mapKeys(names)) { // sorted: one seed gives one outcome
		if p != "/" && out.live[path.Dir(p)] == nil {
			continue // its folder did not survive
		}
		survivor := names[p].crash(rng, keep)
		out.live[p], out.durable[p] = survivor, survivor
	}
	return out
}

func mapKeys(names map[string]*inode) func(func(string) bool) {
	return func(yield func(string) bool) {
		for p := range names {
			if !yield(p) {
				return
			}
		}
	}
}

func (n *inode) crash(rng *rand.Rand, keep float64) *inode {
	if n.dir {
		return &inode{dir: true}
	}
	data := slices.Clone(n.durable)
	for _, w := range n.writes {
		if w.data == nil {
			if rng.Float64() < keep {
				data = resize(data, w.off)
			}
			continue
		}
		for i := 0; i < len(w.data); {
			end := min(len(w.data), int((w.off+int64(i))/SectorSize+1)*SectorSize-int(w.off))
			if rng.Float64() < keep {
				data = splice(data, w.off+int64(i), w.data[i:end])
			}
			i = end
		}
	}
	return &inode{data: data, durable: slices.Clone(data)}
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func splice(b []byte, off int64, p []byte) []byte {
	if end := off + int64(len(p)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[off:], p)
	return b
}

type memFile struct {
	m    *Mem
	n    *inode
	name string
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteVec(bufs [][]byte, off int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	all := slices.Concat(bufs...)
	if len(all) == 0 {
		return nil
	}
	if grow := off + int64(len(all)) - max(int64(len(f.n.data)), f.n.allocated); grow > 0 && f.m.Capacity > 0 && f.m.used()+grow > f.m.Capacity {
		return pathError("pwritev", f.name, syscall.ENOSPC)
	}
	if f.n.mapped > 0 {
		f.n.data = slices.Clone(f.n.data)
	}
	f.n.data = splice(f.n.data, off, all)
	f.n.writes = append(f.n.writes, write{off: off, data: all})
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	for _, w := range f.n.writes {
		if w.data == nil {
			f.n.durable = resize(f.n.durable, w.off)
		} else {
			f.n.durable = splice(f.n.durable, w.off, w.data)
		}
	}
	f.n.writes = nil
	return nil
}

func (f *memFile) Allocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if grow := size - max(int64(len(f.n.data)), f.n.allocated); grow > 0 && f.m.Capacity > 0 && f.m.used()+grow > f.m.Capacity {
		return pathError("fallocate", f.name, syscall.ENOSPC)
	}
	f.n.allocated = max(f.n.allocated, size)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.n.mapped > 0 && size < int64(len(f.n.data)) {
		panic(fmt.Sprintf("M1: %s is cut from %d to %d bytes under %d mappings", f.name, len(f.n.data), size, f.n.mapped))
	}
	f.n.data = resize(f.n.data, size)
	f.n.allocated = min(f.n.allocated, size)
	f.n.writes = append(f.n.writes, write{off: size})
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Descriptor() (uintptr, bool) { return 0, false }

func (f *memFile) Close() error { return nil }
