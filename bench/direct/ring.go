package main

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is as much of io_uring as this program needs, by bare system calls: writes, and waiting for all of them. One goroutine
// at a time uses it, from any thread.
type ring struct {
	fd             int
	sq, cq, sqeMap []byte
	sqTail, cqHead *uint32
	cqTail         *uint32
	sqMask, cqMask uint32
	sqArray        []uint32
	sqes           []sqe
	cqes           []cqe
	queued         uint32
}

// sqe is struct io_uring_sqe, 64 bytes.
type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          uint64
	len           uint32
	rwFlags       uint32
	userData      uint64
	_             [3]uint64
}

// cqe is struct io_uring_cqe.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

// params is struct io_uring_params, 120 bytes.
type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sqOff, cqOff                                                           [10]uint32 // ten words each
}

const (
	sysSetup, sysEnter       = 425, 426
	setupCoopTaskrun         = 1 << 8
	enterGetEvents           = 1
	opWrite                  = 23
	offSQ, offCQ, offSQEs    = 0, 0x8000000, 0x10000000
	sqTailAt, sqMaskAt       = 1, 2 // words of sqOff: head, tail, mask, entries, flags, dropped, array
	sqArrayAt                = 6
	cqHeadAt, cqTailAt       = 0, 1 // words of cqOff: head, tail, mask, entries, overflow, cqes
	cqMaskAt, cqEntriesArray = 2, 5
)

func newRing(entries uint32) (*ring, error) {
	p := params{flags: setupCoopTaskrun}
	fd, _, errno := unix.Syscall(sysSetup, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	r := &ring{fd: int(fd)}
	var err error
	mapAt := func(off int64, size int) (b []byte) {
		if err == nil {
			b, err = unix.Mmap(r.fd, off, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		}
		return b
	}
	r.sq = mapAt(offSQ, int(p.sqOff[sqArrayAt]+p.sqEntries*4))
	r.cq = mapAt(offCQ, int(p.cqOff[cqEntriesArray])+int(p.cqEntries)*int(unsafe.Sizeof(cqe{})))
	r.sqeMap = mapAt(offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})))
	if err != nil {
		r.close()
		return nil, fmt.Errorf("io_uring mmap: %w", err)
	}
	word := func(b []byte, at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[at])) }
	r.sqTail, r.sqMask = word(r.sq, p.sqOff[sqTailAt]), *word(r.sq, p.sqOff[sqMaskAt])
	r.cqHead, r.cqTail, r.cqMask = word(r.cq, p.cqOff[cqHeadAt]), word(r.cq, p.cqOff[cqTailAt]), *word(r.cq, p.cqOff[cqMaskAt])
	r.sqArray = unsafe.Slice(word(r.sq, p.sqOff[sqArrayAt]), p.sqEntries)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.sqeMap[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&r.cq[p.cqOff[cqEntriesArray]])), p.cqEntries)
	return r, nil
}

// write queues a write of b, which must be memory outside the Go heap; at most as many as there are entries.
func (r *ring) write(fd int, b []byte, off int64, rwFlags uint32) {
	tail := *r.sqTail + r.queued
	i := tail & r.sqMask
	addr := uint64(uintptr(unsafe.Pointer(&b[0])))
	r.sqes[i] = sqe{
		opcode: opWrite, fd: int32(fd), off: uint64(off), addr: addr, len: uint32(len(b)), rwFlags: rwFlags, userData: uint64(len(b)),
	}
	r.sqArray[i] = i
	r.queued++
}

// submit hands over what was queued.
func (r *ring) submit() error {
	atomic.StoreUint32(r.sqTail, *r.sqTail+r.queued)
	for r.queued > 0 {
		n, _, errno := unix.Syscall6(sysEnter, uintptr(r.fd), uintptr(r.queued), 0, 0, 0, 0)
		if errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
			return fmt.Errorf("io_uring_enter: %w", errno)
		}
		if errno == 0 {
			r.queued -= uint32(n)
		}
	}
	return nil
}

// wait takes n completions, each of which must be a whole write.
func (r *ring) wait(n int) error {
	for n > 0 {
		head := *r.cqHead
		ready := atomic.LoadUint32(r.cqTail) - head
		if ready == 0 {
			if _, _, errno := unix.Syscall6(sysEnter, uintptr(r.fd), 0, uintptr(n), enterGetEvents, 0, 0); errno != 0 && errno != unix.EINTR {
				return fmt.Errorf("io_uring_enter: %w", errno)
			}
			continue
		}
		for i := range ready {
			c := r.cqes[(head+i)&r.cqMask]
			if c.res < 0 {
				return fmt.Errorf("write by io_uring: %w", unix.Errno(-c.res))
			}
			if uint64(c.res) != c.userData {
				return fmt.Errorf("write by io_uring: %d of %d bytes", c.res, c.userData)
			}
		}
		atomic.StoreUint32(r.cqHead, head+ready)
		n -= int(ready)
	}
	return nil
}

func (r *ring) close() {
	for _, m := range [][]byte{r.sq, r.cq, r.sqeMap} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	_ = unix.Close(r.fd)
}
