package uring

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// memQueue is a queue without a ring: it takes requests in parts, answers them in any order, cuts reads short, interrupts, and
// lies when told to. It reads real descriptors, so that what a batch gives can be compared with the file.
type memQueue struct {
	mu      sync.Mutex
	change  sync.Cond
	rng     *rand.Rand
	size    int
	pushed  []request
	held    []request
	overdue bool // the deadline is over
	stopped bool
	exited  bool
	most    int // held at once, ever

	odd        int                           // one answer of so many is not the plain one; 0 = none
	submitErr  error                         // what submit says from now on
	withhold   func(request) bool            // requests that are never answered
	stray      []completion                  // answers that nobody asked for
	syncResult func(r request) (res int32)   // nil: 0
	readResult func(r request) (int32, bool) // false: read
}

func newMemQueue(seed uint64, size int) *memQueue {
	q := &memQueue{rng: rand.New(rand.NewPCG(seed, 1)), size: size}
	q.change.L = &q.mu
	return q
}

func (q *memQueue) push(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pushed) == q.size {
		return false
	}
	q.pushed = append(q.pushed, r)
	return true
}

func (q *memQueue) submit() (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.submitErr != nil:
		return 0, q.submitErr
	case q.oddly():
		return 0, []error{nil, syscall.EINTR, syscall.EAGAIN, syscall.EBUSY}[q.rng.IntN(4)]
	}
	n := len(q.pushed)
	if q.odd > 0 {
		n = 1 + q.rng.IntN(n)
	}
	q.held = append(q.held, q.pushed[:n]...)
	q.pushed = slices.Delete(q.pushed, 0, n)
	q.most = max(q.most, len(q.held))
	q.change.Broadcast()
	return n, nil
}

func (q *memQueue) oddly() bool { return q.odd > 0 && q.rng.IntN(q.odd) == 0 }

// ready is the place of a request that may be answered, -1 when there is none.
func (q *memQueue) ready() int {
	var at []int
	for i, r := range q.held {
		if q.withhold == nil || !q.withhold(r) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return -1
	}
	return at[q.rng.IntN(len(at))]
}

func (q *memQueue) wait() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.stopped:
			return errStopped
		case q.overdue && q.ready() < 0 && len(q.stray) == 0:
			return os.ErrDeadlineExceeded
		case q.ready() >= 0, len(q.stray) > 0, q.oddly():
			return nil
		}
		q.change.Wait()
	}
}

func (q *memQueue) reap(c []completion) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; n < len(c) && len(q.stray) > 0; n++ {
		c[n], q.stray = q.stray[0], q.stray[1:]
	}
	for n < len(c) && !(n > 0 && q.oddly()) {
		i := q.ready()
		if i < 0 {
			break
		}
		r := q.held[i]
		q.held = slices.Delete(q.held, i, i+1)
		c[n] = completion{tag: r.tag, res: q.answer(r)}
		n++
	}
	return n
}

func (q *memQueue) answer(r request) int32 {
	if r.buf == nil {
		if q.syncResult != nil {
			return q.syncResult(r)
		}
		return 0
	}
	if q.readResult != nil {
		if res, ok := q.readResult(r); ok {
			return res
		}
	}
	if q.oddly() {
		return -int32([]syscall.Errno{syscall.EINTR, syscall.EAGAIN, syscall.ECANCELED, syscall.EIO}[q.rng.IntN(4)])
	}
	if q.oddly() {
		r.buf = r.buf[:1+q.rng.IntN(len(r.buf))]
	}
	n, err := syscall.Pread(r.fd, r.buf, r.off)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return -int32(errno)
	}
	return int32(n)
}

// say adds an answer that nobody asked for.
func (q *memQueue) say(c completion) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stray = append(q.stray, c)
	q.change.Broadcast()
}

// set changes what the queue does.
func (q *memQueue) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	q.change.Broadcast()
}

func (q *memQueue) deadline(time.Time) { q.set(func() { q.overdue = true }) }
func (q *memQueue) stop()              { q.set(func() { q.stopped = true }) }

func (q *memQueue) exit() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) > 0 || q.exited {
		panic("exit with requests in flight, or twice")
	}
	q.exited = true
}
