package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"
)

var _ Mapper = OS{}

// Map implements Mapper by mmap(2). The descriptor is closed again: the mapping does not need it.
func (OS) Map(name string) (*Mapping, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := st.Size()
	if size > MaxMapBytes {
		return nil, &fs.PathError{Op: "mmap", Path: name, Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxMapBytes)}
	}
	if size == 0 { // mmap(2) refuses a length of 0
		return newMapping([]byte{}, func() error { return nil }), nil
	}
	m, err := mmap.MapRegion(f, int(size), mmap.RDONLY, 0, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	if err := populate(m); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "mmap", Path: name, Err: fmt.Errorf("populate: %w", err)}, m.Unmap())
	}
	return newMapping(m, m.Unmap), nil
}

// populate brings every page in. MADV_POPULATE_READ (Linux 5.14) reports a page that cannot be read as an error, where touching it
// would be a fault, and waits inside a system call, which the scheduler sees. Older kernels get read-ahead and a touch under Guard.
func populate(b []byte) error {
	for {
		switch err := unix.Madvise(b, unix.MADV_POPULATE_READ); err {
		case unix.EINTR, unix.EAGAIN:
		case unix.EINVAL:
			return touch(b)
		case unix.EFAULT: // where a load would be a SIGBUS
			return unix.EIO
		default:
			return err
		}
	}
}

func touch(b []byte) error {
	_ = unix.Madvise(b, unix.MADV_WILLNEED) // a hint
	var sum byte
	err := Guard(func() {
		for i := 0; i < len(b); i += PageSize {
			sum += b[i]
		}
	})
	runtime.KeepAlive(sum) // or the compiler would drop the loads
	return err
}
