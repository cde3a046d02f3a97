package bare

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// File is a durable file of zeros to overwrite (R2).
type File struct {
	f    *os.File
	fd   int
	size int64
}

// NewFile writes size bytes of zeros to a new file and syncs it. The caller must Close it; it stays on the disk.
func NewFile(name string, size int64) (*File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close() // the first error counts
		return nil, fmt.Errorf("file of zeros: %w", err)
	}
	return &File{f: f, fd: int(f.Fd()), size: size}, nil
}

// Close lets the file go.
func (f *File) Close() error { return f.f.Close() }

func (f *File) sync() error {
	for {
		if err := unix.Fdatasync(f.fd); err != unix.EINTR {
			return err
		}
	}
}

// write puts p at off, all of it.
func (f *File) write(p []byte, off int64) error {
	_, err := f.f.WriteAt(p, off)
	return err
}

var stamps atomic.Uint64

// Unique is a number that no other call in this process gets: for those who stamp their own records (R1).
func Unique() uint64 { return stamps.Add(1) }

// Stamp makes p differ from everything stamped before, in each 512 bytes (R1), from byte from on.
func Stamp(p []byte, from int) {
	n := Unique()
	for at := from; at+8 <= len(p); at += 512 {
		binary.LittleEndian.PutUint64(p[at:], n)
	}
}

// Payload gives n random bytes, so that no layer below can make little of them.
func Payload(n int) []byte {
	p := make([]byte, n+8)
	r := rand.NewPCG(Unique(), uint64(n))
	for at := 0; at < n; at += 8 {
		binary.LittleEndian.PutUint64(p[at:], r.Uint64())
	}
	return p[:n:n]
}

// Flush waits until everything in the page cache of the file system that holds dir is on the disk.
func Flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return nil
}

// Drop makes the named file durable and takes it out of the page cache, and says how many of its pages are cached still.
func Drop(name string) (cached int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	fd := int(f.Fd())
	if err := unix.Fdatasync(fd); err != nil {
		return 0, fmt.Errorf("fdatasync %s: %w", name, err)
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, fmt.Errorf("fadvise %s: %w", name, err)
	}
	var st unix.Cachestat_t
	if err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &st, 0); err != nil {
		return 0, nil // before Linux 6.5 nobody knows; the advice is all there is
	}
	return int64(st.Cache), nil
}

// holes are the files of FillCache: when one is closed, its pages are free again.
var holes []*os.File

// EmptyCache undoes FillCache. The next to write new files need not look for pages that it can have back, which costs CPU time and
// latency, but finds no memory prepared: for what writes little.
func EmptyCache() {
	for _, f := range holes {
		_ = f.Close() // only read
	}
	holes = nil
}

// LeaveFree is what FillCache should leave free for a benchmark of new files, in bytes.
const LeaveFree = 512 << 20

// FillCache makes free memory page cache, all but so many bytes, by reading a file of nothing but a hole in dir: as on a machine that has
// run for a day. On a virtual machine, memory that was free for a while is often not there until it is touched, and who writes new files
// then measures how fast the host finds memory (0.4 GB/s where the engine writes 1 GB/s with memory that is there). It gives how many bytes it
// has filled, 0 when so little was free. They stay available to whoever asks for memory. The file has no name and no blocks, and goes with
// EmptyCache or when the process ends. One goroutine at a time may call it.
func FillCache(dir string, leave int64) (filled int64, err error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("sysinfo: %w", err)
	}
	size := int64(info.Freeram)*int64(info.Unit) - leave
	if size <= 0 {
		return 0, nil
	}
	f, err := os.CreateTemp(dir, "hole")
	if err != nil {
		return 0, err
	}
	holes = append(holes, f)
	if err = os.Remove(f.Name()); err == nil {
		err = f.Truncate(size)
	}
	for p, off := make([]byte, 1<<20), int64(0); off < size && err == nil; off += int64(len(p)) {
		if _, err = f.ReadAt(p, off); err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		return 0, fmt.Errorf("fill the page cache: %w", err)
	}
	return size, nil
}
