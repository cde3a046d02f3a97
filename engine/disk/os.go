package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OS is the file system of the machine, by plain system calls.
type OS struct{}

var _ FS = OS{}

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (OS) Open(name string) (File, error) { return openOS(name, os.O_RDWR) }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f, fd: int(f.Fd())}, nil
}

// Rename implements FS.
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// MkdirAll implements FS.
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o750) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]Entry, error) {
	list, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(list))
	for i, e := range list {
		out[i] = Entry{Name: e.Name(), Dir: e.IsDir()}
	}
	return out, nil
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// Free implements FS.
func (OS) Free(name string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// lockPatience is how long Lock waits for a holder that is just dying: the kernel may give up the lock of a process killed a
// moment ago only when its last thread is gone.
const lockPatience = 2 * time.Second

// Lock implements FS by flock. The file holds the process id of the holder, for the message of whoever comes second.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			defer func() { _ = f.Close() }()
			return nil, lockError(f, err)
		}
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		if err != nil && !errors.Is(err, syscall.ENOSPC) { // a full disk must still be openable; the id is a courtesy
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func lockError(f *os.File, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	var pid [32]byte
	n, _ := f.ReadAt(pid[:], 0)
	if who := strings.TrimSpace(string(pid[:n])); who != "" {
		return fmt.Errorf("%s: %w by process %s", f.Name(), ErrLocked, who)
	}
	return fmt.Errorf("%s: %w by another process", f.Name(), ErrLocked)
}

type osFile struct {
	f  *os.File
	fd int // of f, which is never swapped; valid until Close

	cacheOnly atomic.Bool // the file system cannot write uncached
}

// ReadCached implements Cached.
func (o *osFile) ReadCached(p []byte, off int64) (n int, err error) {
	if off < 0 { // to preadv2 it would mean the file's position
		return o.f.ReadAt(p, off)
	}
	for n < len(p) {
		v := unix.Iovec{Base: &p[n]}
		v.SetLen(len(p) - n)
		got, _, errno := unix.Syscall6(unix.SYS_PREADV2, uintptr(o.fd), uintptr(unsafe.Pointer(&v)), 1, uintptr(off+int64(n)), 0, unix.RWF_NOWAIT)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.EOPNOTSUPP:
			return n, ErrCold
		case errno != 0:
			return n, &fs.PathError{Op: "preadv2", Path: o.f.Name(), Err: errno}
		case got == 0:
			return n, io.EOF
		default:
			n += int(got)
		}
	}
	return n, nil
}

// noCachestat says that the kernel has no cachestat(2), which came with Linux 6.5, or that a filter forbids it.
var noCachestat atomic.Bool

// InCache implements Cached. There is no other exact way: mincore(2) wants a mapping, and preadv2(RWF_NOWAIT) for each page costs as much
// as reading them.
func (o *osFile) InCache(off, n int64) bool {
	if off < 0 || n <= 0 || noCachestat.Load() {
		return false
	}
	r, stat := unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, unix.Cachestat_t{}
	switch err := unix.Cachestat(uint(o.fd), &r, &stat, 0); err {
	case nil:
		return int64(stat.Cache) == (off+n-1)/osPage-off/osPage+1
	case unix.ENOSYS, unix.EPERM:
		noCachestat.Store(true)
	}
	return false
}

// osPage is the unit in which cachestat counts.
var osPage = int64(os.Getpagesize())

// rwfDontCache is RWF_DONTCACHE, since Linux 6.14.
const rwfDontCache = 0x80

// WriteVecUncached implements Uncached.
func (o *osFile) WriteVecUncached(bufs [][]byte, off int64) error {
	if o.cacheOnly.Load() {
		return o.WriteVec(bufs, off)
	}
	err := writeVec(o.fd, bufs, off, rwfDontCache)
	switch err {
	case nil:
		return nil
	case unix.EOPNOTSUPP, unix.EINVAL, unix.ENOSYS: // refused before a byte was written
		o.cacheOnly.Store(true)
		return o.WriteVec(bufs, off)
	}
	return &fs.PathError{Op: "pwritev2", Path: o.f.Name(), Err: err}
}

// WriteBack implements WriteBacker.
func (o *osFile) WriteBack(off, n int64) error {
	for {
		err := unix.SyncFileRange(o.fd, off, n, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
		switch err {
		case nil, unix.ENOSYS, unix.EOPNOTSUPP, unix.ESPIPE:
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: "sync_file_range", Path: o.f.Name(), Err: err}
		}
	}
}

func (o *osFile) ReadAt(p []byte, off int64) (int, error) { return o.f.ReadAt(p, off) }

func (o *osFile) WriteVec(bufs [][]byte, off int64) error {
	if err := writeVec(o.fd, bufs, off, 0); err != nil {
		return &fs.PathError{Op: "pwritev", Path: o.f.Name(), Err: err}
	}
	return nil
}

func (o *osFile) Sync() error {
	for {
		err := unix.Fdatasync(o.fd)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: "fdatasync", Path: o.f.Name(), Err: err}
		}
	}
}

func (o *osFile) Allocate(size int64) error {
	for {
		err := unix.Fallocate(o.fd, unix.FALLOC_FL_KEEP_SIZE, 0, size)
		switch err {
		case nil, unix.EOPNOTSUPP, unix.ENOSYS:
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: "fallocate", Path: o.f.Name(), Err: err}
		}
	}
}

func (o *osFile) Truncate(size int64) error { return o.f.Truncate(size) }

func (o *osFile) Size() (int64, error) {
	st, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (o *osFile) Descriptor() (uintptr, bool) { return uintptr(o.fd), true }

func (o *osFile) Close() error { return o.f.Close() }

// maxVec is the kernel's limit of buffers in one pwritev (IOV_MAX).
const maxVec = 1024

var vecs = sync.Pool{New: func() any { v := make([]unix.Iovec, 0, maxVec); return &v }}

// writeVec is pwritev2 until everything is written: it cuts at maxVec, goes on after short writes, and allocates nothing.
func writeVec(fd int, bufs [][]byte, off int64, flags uintptr) error {
	if off < 0 { // to pwritev2 it would mean the file's position
		return unix.EINVAL
	}
	pool := vecs.Get().(*[]unix.Iovec)
	defer vecs.Put(pool)
	skip := 0 // bytes of bufs[0] already written
	for {
		vec := (*pool)[:0]
		for i, b := range bufs {
			if i == 0 {
				b = b[skip:]
			}
			if len(b) == 0 {
				continue
			}
			if len(vec) == maxVec {
				break
			}
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			vec = append(vec, v)
		}
		if len(vec) == 0 {
			return nil
		}
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV2, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(len(vec)), uintptr(off), 0, flags)
		clear(vec)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		off += int64(n)
		bufs, skip = advance(bufs, skip, int(n))
	}
}

// advance drops n written bytes from the front of bufs, of whose first skip bytes were gone already.
func advance(bufs [][]byte, skip, n int) ([][]byte, int) {
	for len(bufs) > 0 {
		left := len(bufs[0]) - skip
		if n < left {
			return bufs, skip + n
		}
		n -= left
		bufs, skip = bufs[1:], 0
	}
	return nil, 0
}
