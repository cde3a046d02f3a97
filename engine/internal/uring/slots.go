package uring

import (
	"fmt"
	"io"
	"syscall"

	"github.com/streambus/streambus/engine/disk"
)

// task is one operation while the ring has it.
type task struct {
	job   *job
	file  *file        // held (U8)
	op    *disk.ReadOp // the read; nil for a sync
	err   *error       // where the result of a sync goes; nil for a read
	buf   []byte       // what of op.P is still to be filled: the reference of U1
	tries int          // answers that said "again" without progress
}

// job is one batch: it is done when left is 0.
type job struct {
	left int           // guarded by FS.mu
	done chan struct{} // capacity 1
}

// maxTries is how often an answer may say "again" without progress before the operation is done by a plain call.
const maxTries = 64

// maxRead is the most that one request asks for: the kernel's limit of a read is a page below 2 GiB.
const maxRead = 1 << 30

// step is what to do with a task after an answer.
type step int

const (
	stepDone  step = iota // the result stands
	stepAgain             // submit what is left
	stepPlain             // do what is left by a plain call: its answer counts (U6)
)

// answer notes the result of a request, which is that of a system call with -errno, and says how to go on.
func (t *task) answer(res int32) step {
	if t.op == nil {
		return t.synced(res)
	}
	switch {
	case int(res) > len(t.buf):
		panic(fmt.Sprintf("uring: a read of %d bytes gave %d", len(t.buf), res))
	case res > 0:
		t.op.N += int(res)
		t.buf, t.tries = t.buf[res:], 0
		if len(t.buf) == 0 {
			return stepDone
		}
		return stepAgain
	case res == 0:
		t.op.Err = io.EOF
		return stepDone
	default:
		return t.retry(syscall.Errno(-res), stepPlain)
	}
}

// synced is answer for a sync. Only one that never began, or was interrupted, is asked again: an error is reported once, and a
// second sync would deny it (D3).
func (t *task) synced(res int32) step {
	if res >= 0 {
		return stepDone
	}
	errno := syscall.Errno(-res)
	if errno == syscall.ECANCELED {
		return stepPlain
	}
	*t.err = t.file.syncError(errno)
	s := t.retry(errno, stepDone)
	if s == stepAgain {
		*t.err = nil
	}
	return s
}

func (t *task) retry(errno syscall.Errno, otherwise step) step {
	if errno != syscall.EINTR && errno != syscall.EAGAIN {
		return otherwise
	}
	if t.tries++; t.tries > maxTries {
		return otherwise
	}
	return stepAgain
}

// request is what the ring is asked to do: fill buf from off on, or with buf nil fdatasync.
func (t *task) request(tag uint64) request {
	r := request{fd: t.file.fd, tag: tag}
	if t.op != nil {
		r.buf, r.off = t.buf[:min(len(t.buf), maxRead)], t.op.Off+int64(t.op.N)
	}
	return r
}

// table gives each task in flight a slot. A tag names a slot and its generation:
//
//	 63          32 31           0
//	+--------------+--------------+
//	|  generation  |  slot index  |
//	+--------------+--------------+
type table struct {
	slots []slot
	free  []uint32 // indexes
}

type slot struct {
	task
	generation uint32
	live       bool
}

func newTable(n int) *table {
	t := &table{slots: make([]slot, n), free: make([]uint32, n)}
	for i := range t.free {
		t.free[i] = uint32(n - 1 - i)
	}
	return t
}

// live is how many slots are taken.
func (t *table) live() int { return len(t.slots) - len(t.free) }

func (t *table) full() bool { return len(t.free) == 0 }

// take gives a task a slot. The table must not be full.
func (t *table) take(k task) (tag uint64) {
	i := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	s := &t.slots[i]
	s.task, s.live = k, true
	return t.tag(i)
}

func (t *table) tag(i uint32) uint64 { return uint64(t.slots[i].generation)<<32 | uint64(i) }

// find is the task that a tag names. Error: nobody waits for this answer (U2).
func (t *table) find(tag uint64) (*task, error) {
	i := uint32(tag)
	if uint64(i) >= uint64(len(t.slots)) {
		return nil, fmt.Errorf("a completion for slot %d of %d", i, len(t.slots))
	}
	s := &t.slots[i]
	if !s.live || s.generation != uint32(tag>>32) {
		return nil, fmt.Errorf("a completion for generation %d of slot %d, which is at %d (in use: %t)", tag>>32, i, s.generation, s.live)
	}
	return &s.task, nil
}

// renew makes the tag of a slot in use invalid and gives its next one.
func (t *table) renew(tag uint64) uint64 {
	i := t.mustLive(tag)
	t.slots[i].generation++
	return t.tag(i)
}

// drop gives a slot back, and with it every reference it held.
func (t *table) drop(tag uint64) {
	i := t.mustLive(tag)
	s := &t.slots[i]
	s.task, s.live = task{}, false
	s.generation++
	t.free = append(t.free, i)
}

func (t *table) mustLive(tag uint64) uint32 {
	if _, err := t.find(tag); err != nil {
		panic("uring: " + err.Error())
	}
	return uint32(tag)
}
