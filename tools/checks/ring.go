package checks

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringParamsSize is struct io_uring_params of the kernel's io_uring.h: ten words and two tables of offsets of ten words each. All zero is
// a plain ring.
const ringParamsSize = 120

// newRing makes the smallest ring and returns its descriptor. It is asked for by a bare system call because the broker's room for rings is
// the engine's own and is not there in every build.
func newRing() (int, error) {
	var params [ringParamsSize]byte
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
