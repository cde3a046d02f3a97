//go:build iouring

package uring

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
)

// Built says whether the program was built with io_uring.
const Built = true

// ring is a queue by giouring, of which it uses: set-up and exit, SQE fetch, submit, CQ peek and advance, and the preparation of
// reads and fsyncs. The rest is full of traps: flags of a slot's last use that stay for its next one, descriptors handed over as 8 bytes where
// the kernel reads 4, errors that are dropped, addresses of memory on a stack that has moved on.
type ring struct {
	g    *giouring.Ring
	cqes [64]*giouring.CompletionQueueEvent // reap's

	// poll is a second descriptor of the ring in the runtime's poller: the reaper parks there like on a socket, without a thread.
	poll    *os.File
	raw     syscall.RawConn
	ready   func(uintptr) bool // there are completions; made once, so that a wait allocates nothing
	stopped atomic.Bool
}

func openQueue(entries int) (queue, error) {
	g := giouring.NewRing()
	err := g.QueueInit(uint32(entries), giouring.SetupCoopTaskrun)
	if errors.Is(err, syscall.EINVAL) { // before Linux 5.19
		err = g.QueueInit(uint32(entries), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("io_uring_setup: %w", err)
	}
	r := &ring{g: g, ready: func(uintptr) bool { return g.CQReady() > 0 }}
	if err := r.openPoll(); err != nil {
		g.QueueExit()
		return nil, fmt.Errorf("io_uring in the poller: %w", err)
	}
	return r, nil
}

func (r *ring) openPoll() error {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(r.g.RingFd()), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return errno
	}
	if err := syscall.SetNonblock(int(fd), true); err != nil { // what makes os.NewFile try the poller
		return errors.Join(err, syscall.Close(int(fd)))
	}
	r.poll = os.NewFile(fd, "io_uring")
	if err := r.poll.SetReadDeadline(time.Time{}); err != nil { // fails where the poller has not taken it
		return errors.Join(err, r.poll.Close())
	}
	raw, err := r.poll.SyscallConn()
	if err != nil {
		return errors.Join(err, r.poll.Close())
	}
	r.raw = raw
	return nil
}

func (r *ring) push(q request) bool {
	sqe := r.g.GetSQE()
	if sqe == nil {
		return false
	}
	prepare(sqe, q)
	return true
}

// prepare fills an SQE. The caller keeps q.buf referenced (U1): the address in an SQE is a number to the collector.
func prepare(sqe *giouring.SubmissionQueueEntry, q request) {
	*sqe = giouring.SubmissionQueueEntry{} // U5
	if q.buf == nil {
		sqe.PrepareFsync(q.fd, giouring.FsyncDatasync)
	} else {
		sqe.PrepareRead(q.fd, uintptr(unsafe.Pointer(unsafe.SliceData(q.buf))), uint32(len(q.buf)), uint64(q.off))
	}
	sqe.UserData = q.tag
}

func (r *ring) submit() (int, error) {
	n, err := r.g.Submit()
	return int(n), err
}

func (r *ring) wait() error {
	err := r.raw.Read(r.ready)
	if err != nil && r.stopped.Load() {
		return errStopped
	}
	return err
}

func (r *ring) reap(c []completion) int {
	n := r.g.PeekBatchCQE(r.cqes[:min(len(c), len(r.cqes))])
	for i := range n {
		c[i] = completion{tag: r.cqes[i].UserData, res: r.cqes[i].Res}
	}
	r.g.CQAdvance(n) // only now may the kernel write there again
	return int(n)
}

func (r *ring) deadline(t time.Time) { _ = r.poll.SetReadDeadline(t) } // fails only when stopped, and then nobody waits

func (r *ring) stop() {
	if !r.stopped.Swap(true) {
		_ = r.poll.Close() // wakes the reaper
	}
}

func (r *ring) exit() { r.g.QueueExit() }
