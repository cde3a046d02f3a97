// Package disk is the small interface between the storage engine and whatever keeps its bytes, and its back ends:
//
//	OS          system calls on a real file system (os.go)
//	Mem         memory that forgets, at a Crash, what was not synced, in sectors and out of order (mem.go)
//	Inject      a wrapper that fails or cuts off chosen operations of another FS (inject.go)
//	Failpoints  one that makes another FS slow or full for a while (failpoints.go)
//
// Beside files there is memory that is not Go's: a Mapping shows a sealed file (map.go), an Arena is aligned and stays put (arena.go).
//
// It is a leaf. It knows no log, batch or offset, buffers nothing, retries nothing but an interrupted call, and gives no
// promise beyond POSIX: written bytes are durable after File.Sync, directory entries after FS.SyncDir.
//
// Signatures carry no descriptors, rings or iovecs, so that a back end with depth (io_uring) fits behind the same interface:
// it implements FS and File, and BatchReader besides. Buffers belong to the caller and may be reused when the call returns.
//
// # What is assumed of a disk
//
//	D1  A synced byte stays, and a later write to another 4 KiB page does not harm it.
//	D2  Of unsynced writes any 512-byte sectors may survive a power cut, in any order, each old or new but not mixed.
//	D3  After one failed sync nothing more may be believed (fsync reports an error once): the caller stops for good.
package disk

import (
	"errors"
	"fmt"
	"io"
)

// PageSize is the unit in which the engine aligns what must not share a page with durable bytes (D1), in bytes.
const PageSize = 4096

// SectorSize is the unit that a disk writes whole or not at all (D2), in bytes.
const SectorSize = 512

// ErrLocked says that another process (or another opener in this one) holds a lock.
var ErrLocked = errors.New("locked")

// FS is a file system. Names are slash-separated paths. Implementations are safe for concurrent use. A missing file is
// fs.ErrNotExist, an existing one fs.ErrExist, a full disk syscall.ENOSPC, all wrapped with operation and path.
type FS interface {
	// Create makes a new file, readable and writable; it must not exist. The name is durable after SyncDir of its folder.
	Create(name string) (File, error)
	// Open opens an existing file, readable and writable.
	Open(name string) (File, error)
	// Rename replaces newName if it is a file; a folder stays, and is fs.ErrExist. Durable after SyncDir of the folder; both names lie in
	// the same folder.
	Rename(oldName, newName string) error
	// Remove deletes a file or an empty folder.
	Remove(name string) error
	// MkdirAll makes a folder and its missing parents.
	MkdirAll(name string) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]Entry, error)
	// SyncDir makes the creations, renames and removals in a folder durable.
	SyncDir(name string) error
	// Free tells how many bytes can still be written to the file system that holds name.
	Free(name string) (int64, error)
	// Lock takes the named lock file, creating it; closing gives it up, as does the end of the process. Error: ErrLocked.
	Lock(name string) (io.Closer, error)
}

// Entry is one name in a folder.
type Entry struct {
	Name string
	Dir  bool
}

// File is an open file. Reads and writes at different places may run at the same time.
type File interface {
	io.ReaderAt
	// WriteVec writes the buffers one after another from off on, all of them or an error.
	WriteVec(bufs [][]byte, off int64) error
	// Sync makes the data written so far durable, and the size (fdatasync).
	Sync() error
	// Allocate reserves room for the file up to size without changing its length, so that later writes below size do not
	// find the disk full. Where the file system cannot, it does nothing.
	Allocate(size int64) error
	// Truncate sets the length.
	Truncate(size int64) error
	// Size is the length in bytes.
	Size() (int64, error)
	// Descriptor is the file descriptor, for sendfile; ok is false when there is none.
	Descriptor() (fd uintptr, ok bool)
	// Close lets the file go. It does not sync.
	Close() error
}

// ReadOp is one read of a batch: len(P) bytes of File at Off. Err is set when the batch returns.
type ReadOp struct {
	File File
	Off  int64
	P    []byte
	N    int
	Err  error
}

// BatchReader is what an FS also implements when it can do many reads better together than one after another.
type BatchReader interface {
	// ReadBatch does all ops and returns when each has its N and Err.
	ReadBatch(ops []ReadOp)
}

// ReadFull fills p from off on; io.ErrUnexpectedEOF when the file ends first.
func ReadFull(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// BatchSyncer is what an FS also implements when it can make many files durable better together than one after another.
type BatchSyncer interface {
	// SyncBatch is File.Sync of every file. After an error nothing is known about any of them (D3).
	SyncBatch(files []File) error
}

// SyncAll is Sync of every file, together where fs can. Error: the first one.
func SyncAll(fs FS, files []File) error {
	if b, ok := fs.(BatchSyncer); ok && len(files) > 1 {
		return b.SyncBatch(files)
	}
	for _, f := range files {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// ErrCold says that the page cache does not hold what was asked for.
var ErrCold = errors.New("not in the page cache")

// Cached is what a File also implements when there is a page cache before the disk.
type Cached interface {
	// ReadCached is ReadAt, but for ErrCold after as many bytes as the page cache holds.
	ReadCached(p []byte, off int64) (int, error)
	// InCache says whether a read of the bytes [off, off+n), n above 0, would find all of them in the page cache, and none on the disk.
	// It says nothing of how they came there: by a write, by somebody's read, or because the kernel read ahead. It is false where that
	// cannot be told, and it may have changed when it returns.
	InCache(off, n int64) bool
}

// ReadCached is Cached.ReadCached where f has it, and ErrCold otherwise.
func ReadCached(f File, p []byte, off int64) (int, error) {
	if c, ok := f.(Cached); ok {
		return c.ReadCached(p, off)
	}
	return 0, ErrCold
}

// InCache is Cached.InCache where f has it, and false otherwise.
func InCache(f File, off, n int64) bool {
	c, ok := f.(Cached)
	return ok && c.InCache(off, n)
}

// Uncached is what a File also implements when it can write without keeping the pages in memory.
type Uncached interface {
	// WriteVecUncached is WriteVec, but the pages begin to be written back at once and leave the page cache then, so that they
	// neither push out others nor pile up for the next sync. Where the kernel or file system cannot, it is WriteVec.
	WriteVecUncached(bufs [][]byte, off int64) error
}

// WriteVecUncached is Uncached.WriteVecUncached where f has it, and WriteVec otherwise.
func WriteVecUncached(f File, bufs [][]byte, off int64) error {
	if u, ok := f.(Uncached); ok {
		return u.WriteVecUncached(bufs, off)
	}
	return f.WriteVec(bufs, off)
}

// WriteBacker is what a File also implements when it can bring a part of what it was given to the disk.
type WriteBacker interface {
	// WriteBack has bytes [off, off+n) written to the disk and waits until they are. It promises nothing, only Sync does: it is for
	// who would otherwise sync much at once and hold up everybody else. An error is one of the disk, and final (D3).
	WriteBack(off, n int64) error
}

// WriteBack is WriteBacker.WriteBack where f has it, and does nothing otherwise.
func WriteBack(f File, off, n int64) error {
	if w, ok := f.(WriteBacker); ok {
		return w.WriteBack(off, n)
	}
	return nil
}

// ErrOversized says that a file is larger than it can be.
var ErrOversized = errors.New("file is larger than it can be")

// ReadFile reads a whole file of at most limit bytes. Errors: fs.ErrNotExist, ErrOversized, io.ErrUnexpectedEOF when it becomes shorter
// meanwhile, I/O errors.
func ReadFile(d FS, name string, limit int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d can be", ErrOversized, name, size, limit)
	}
	b := make([]byte, size)
	if err := ReadFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}
