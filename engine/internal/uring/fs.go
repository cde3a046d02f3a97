package uring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/streambus/streambus/engine/disk"
)

// MaxEntries is the most entries that Open takes.
const MaxEntries = 4096

// drainPatience is how long a failed ring may take to answer what it holds (U7).
const drainPatience = 30 * time.Second

// errStopped: wait was ended by stop.
var errStopped = errors.New("stopped")

// errPlain marks an operation, until its batch returns, that a plain call must do or finish.
var errPlain = errors.New("not done by the ring")

// request is one operation for the queue; see task.request.
type request struct {
	fd  int
	buf []byte
	off int64
	tag uint64
}

// completion is the answer to the request with this tag: res is the result of the system call, or -errno.
type completion struct {
	tag uint64
	res int32
}

// queue is a ring as FS sees it: giouring's (ring.go), or in tests one of memory.
type queue interface {
	// push prepares a request; false when the submission queue is full. Under FS.mu.
	push(r request) bool
	// submit hands over what was pushed and says how many of it, in order, were taken. Under FS.mu.
	submit() (int, error)
	// wait parks the reaper until there is a completion, and may return early. Errors: errStopped; any other, for instance when
	// the time that deadline set is over, is a failure of the ring.
	wait() error
	// reap takes completions. Only the reaper calls it.
	reap(c []completion) int
	// deadline ends wait at a time. Any goroutine may call it.
	deadline(t time.Time)
	// stop ends wait for good. Any goroutine may call it, more than once.
	stop()
	// exit gives the ring up. It holds nothing any more, and nothing else is called after it.
	exit()
}

// FS is a disk.FS and disk.BatchReader on a ring. It is safe for concurrent use. Files that it created or opened go through
// the ring; a batch may hold others, which are read by their own ReadAt.
type FS struct {
	disk.FS // all that has no depth

	mu      sync.Mutex
	room    sync.Cond // a slot is free, or the ring is off
	q       queue
	slots   *table
	unsent  []uint64 // tags pushed and not yet taken by submit, in order
	off     bool     // nothing more is sent: closed, or failed
	err     error    // why the ring failed
	lone    bool     // a caller is at a lone read
	tell    func(error)
	reaper  sync.WaitGroup // and the call of tell
	patient time.Duration
}

var (
	_ disk.FS          = (*FS)(nil)
	_ disk.BatchReader = (*FS)(nil)
	_ disk.Mapper      = (*FS)(nil)
)

// Open makes a ring with room for entries operations in flight, 1 to MaxEntries, over inner. Close it after use. Error: the
// program was built without io_uring, or the kernel grants none (a sandbox, sysctl kernel.io_uring_disabled, no memory).
func Open(inner disk.FS, entries int) (*FS, error) {
	if entries < 1 || entries > MaxEntries {
		return nil, fmt.Errorf("io_uring: %d entries: must be 1 to %d", entries, MaxEntries)
	}
	q, err := openQueue(entries)
	if err != nil {
		return nil, err
	}
	return newFS(inner, q, entries), nil
}

// Probe is nil when Open would find a ring; otherwise it says why not.
func Probe() error {
	q, err := openQueue(2)
	if err != nil {
		return err
	}
	q.stop()
	q.exit()
	return nil
}

func newFS(inner disk.FS, q queue, entries int) *FS {
	s := &FS{FS: inner, q: q, slots: newTable(entries), unsent: make([]uint64, 0, entries), patient: drainPatience}
	s.room.L = &s.mu
	s.reaper.Go(s.reap)
	return s
}

// Map implements disk.Mapper as far as the FS below does.
func (s *FS) Map(name string) (*disk.Mapping, error) { return disk.Map(s.FS, name) }

// OnFailure sets what is told, once and in a goroutine of its own, that the ring was given up; at once if it was already. Batches
// go on by plain calls all the same. Call it before the first batch. Close waits for tell, so tell must not call Close.
func (s *FS) OnFailure(tell func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = tell
	if s.err != nil {
		s.reaper.Go(func() { tell(s.err) })
	}
}

// Err is why the ring was given up, or nil.
func (s *FS) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close waits for what is in flight and gives the ring up. Files stay open, and batches go on by plain calls. It returns why
// the ring failed, if it did. Closing twice is harmless.
func (s *FS) Close() error {
	s.mu.Lock()
	s.off = true
	s.settle()
	s.room.Broadcast()
	s.mu.Unlock()
	s.reaper.Wait()
	return s.Err()
}

var jobs = sync.Pool{New: func() any { return &job{done: make(chan struct{}, 1)} }}

// ReadBatch implements disk.BatchReader. Each op gets what File.ReadAt would give; ops, their buffers and files belong to the
// ring until it returns. Buffers may lie anywhere but must not be used by anyone else meanwhile; they may overlap in the files.
func (s *FS) ReadBatch(ops []disk.ReadOp) {
	if len(ops) == 1 && s.readAlone(&ops[0]) {
		return
	}
	j := jobs.Get().(*job)
	s.mu.Lock()
	j.left = 1 // this function's own, so that the job is not done before all is sent
	for i := range ops {
		op := &ops[i]
		op.N, op.Err = 0, errPlain
		if f := s.admit(op.File, len(op.P) > 0 && op.Off >= 0); f != nil {
			op.Err = nil
			j.left++
			s.push(s.slots.take(task{job: j, file: f, op: op, buf: op.P}))
		}
	}
	s.finishSending(j)
	for i := range ops {
		if op := &ops[i]; op.Err == errPlain {
			n, err := plain(op.File).ReadAt(op.P[op.N:], op.Off+int64(op.N))
			op.N, op.Err = op.N+n, err
		}
	}
	jobs.Put(j)
}

// readAlone does a read by a plain call when it would be alone in the ring: then a hand-over to the reaper and back is all that the
// ring adds, a quarter to the time of a cold read and more to its CPU. One at a time, so threads do not add up.
func (s *FS) readAlone(op *disk.ReadOp) bool {
	s.mu.Lock()
	alone := !s.lone && s.slots.live() == 0
	s.lone = s.lone || alone
	s.mu.Unlock()
	if !alone {
		return false
	}
	op.N, op.Err = plain(op.File).ReadAt(op.P, op.Off)
	s.mu.Lock()
	s.lone = false
	s.mu.Unlock()
	return true
}

// SyncBatch is File.Sync of every file, at once. It returns the first error by place; then nothing is known about any file, and
// no sync may be tried again (disk, D3).
func (s *FS) SyncBatch(files []disk.File) error {
	errs := make([]error, len(files))
	j := jobs.Get().(*job)
	s.mu.Lock()
	j.left = 1
	for i := range files {
		errs[i] = errPlain
		if f := s.admit(files[i], true); f != nil {
			errs[i] = nil
			j.left++
			s.push(s.slots.take(task{job: j, file: f, err: &errs[i]}))
		}
	}
	s.finishSending(j)
	jobs.Put(j)
	for i := range files {
		if errs[i] == errPlain {
			errs[i] = files[i].Sync()
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// admit holds a file for the ring and waits for a free slot; nil when the operation is one for a plain call. It may give up
// s.mu while it waits.
func (s *FS) admit(any disk.File, fit bool) *file {
	f, ok := any.(*file)
	if !ok || !fit {
		return nil
	}
	for !s.off && s.slots.full() {
		s.submit() // what is pushed must not wait for what waits for it
		if !s.off && s.slots.full() {
			s.room.Wait()
		}
	}
	if s.off || !f.hold() {
		return nil
	}
	return f
}

// finishSending submits, unlocks s.mu, and waits until the job is done.
func (s *FS) finishSending(j *job) {
	s.submit()
	j.left--
	idle := j.left == 0
	s.mu.Unlock()
	if !idle {
		<-j.done
	}
}

// push prepares the request of a slot. Under s.mu, as all below.
func (s *FS) push(tag uint64) {
	t, err := s.slots.find(tag)
	if err != nil {
		panic("uring: " + err.Error())
	}
	s.unsent = append(s.unsent, tag)
	if s.off { // only for what failed on the way: submit has given up and will not come back
		s.dropUnsent()
		return
	}
	if !s.q.push(t.request(tag)) {
		s.fail(fmt.Errorf("the submission queue is full with %d of %d slots in use", s.slots.live(), len(s.slots.slots)))
	}
}

// submit sends what was pushed. It does not wait for answers.
func (s *FS) submit() {
	for tries := 0; len(s.unsent) > 0 && s.err == nil; tries++ {
		n, err := s.q.submit()
		if n > 0 {
			s.unsent = s.unsent[:copy(s.unsent, s.unsent[min(n, len(s.unsent)):])]
			tries = 0
		}
		switch {
		case err == nil && n > 0, err == syscall.EINTR:
		case err != nil && err != syscall.EAGAIN && err != syscall.EBUSY, tries >= maxTries:
			s.fail(fmt.Errorf("submit: %d taken, %d left: %w", n, len(s.unsent), err))
		default:
			runtime.Gosched()
		}
	}
}

// fail gives the ring up (U7).
func (s *FS) fail(err error) {
	if s.err != nil {
		return
	}
	s.off, s.err = true, fmt.Errorf("io_uring: %w", err)
	s.dropUnsent()
	s.q.deadline(time.Now().Add(s.patient))
	if tell := s.tell; tell != nil {
		s.reaper.Go(func() { tell(s.err) })
	}
	s.settle()
	s.room.Broadcast()
}

// dropUnsent gives back what the kernel did not take, and never will.
func (s *FS) dropUnsent() {
	for _, tag := range s.unsent {
		s.finish(tag, stepPlain)
	}
	s.unsent = s.unsent[:0]
}

// settle ends the reaper when the ring is off and holds nothing.
func (s *FS) settle() {
	if s.off && s.slots.live() == 0 {
		s.q.stop()
	}
}

// finish gives back a slot.
func (s *FS) finish(tag uint64, how step) {
	t, err := s.slots.find(tag)
	if err != nil {
		panic("uring: " + err.Error())
	}
	if how == stepPlain && t.op != nil {
		t.op.Err = errPlain
	} else if how == stepPlain {
		*t.err = errPlain
	}
	t.file.release()
	j := t.job
	s.slots.drop(tag)
	if j.left--; j.left == 0 {
		j.done <- struct{}{}
	}
}

// reap is the goroutine that takes completions, until the ring is off and empty.
func (s *FS) reap() {
	defer s.q.exit()
	var buf [64]completion
	for {
		switch err := s.q.wait(); {
		case err == nil:
			s.complete(buf[:s.q.reap(buf[:])])
		case errors.Is(err, errStopped):
			return
		default:
			s.cannotWait(err)
		}
	}
}

// cannotWait gives the ring up, or when it was given up already and still holds buffers, ends the process (U7).
func (s *FS) cannotWait(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && s.slots.live() == 0 { // all were answered as the patience ended
		s.settle()
		return
	}
	if s.err != nil {
		panic(fmt.Sprintf("U7: %d requests unanswered (%v, patience %v) after: %v", s.slots.live(), err, s.patient, s.err))
	}
	s.fail(fmt.Errorf("wait: %w", err))
}

func (s *FS) complete(list []completion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.slots.full()
	for _, c := range list {
		t, err := s.slots.find(c.tag)
		if err != nil {
			s.fail(err)
			continue
		}
		how := t.answer(c.res)
		if how == stepAgain {
			s.push(s.slots.renew(c.tag))
		} else {
			s.finish(c.tag, how)
		}
	}
	s.submit()
	if full {
		s.room.Broadcast()
	}
	s.settle()
}

// Create implements disk.FS.
func (s *FS) Create(name string) (disk.File, error) { return s.wrap(name)(s.FS.Create(name)) }

// Open implements disk.FS.
func (s *FS) Open(name string) (disk.File, error) { return s.wrap(name)(s.FS.Open(name)) }
