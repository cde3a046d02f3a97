package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// write is one batch for one segment.
type write struct {
	segment int
	data    []byte
}

// way is one way to make batches durable.
type way interface {
	// round makes the batches durable.
	round(batches []write) error
	// finish makes the segments durable, as far as they are not, and lets go of everything.
	finish() error
}

// ways are all there are, in the order of the table.
var ways = []struct {
	name   string
	flags  int  // for opening segments
	again  bool // takes over full segments of the run before
	device bool // needs no segments; its batches are of 1 MiB whatever the setting
	open   func(w *files) (way, error)
}{
	{name: "c: device, 1 MiB pwrite + fdatasync, overwriting", device: true, open: newDevice},
	{name: "a: twice, commit log + buffered segments", open: newTwice(0, false)},
	{name: "a2: as a, segments RWF_DONTCACHE", open: newTwice(rwfDontCache, false)},
	{name: "a3: as a, sync_file_range(WRITE) after each", open: newTwice(0, true)},
	{name: "b1: once, goroutines, buffered RWF_DSYNC", open: newBuffered},
	{name: "b2: once, goroutines, O_DIRECT RWF_DSYNC", flags: unix.O_DIRECT, open: newDirect(false, false)},
	{name: "b3: once, io_uring, O_DIRECT RWF_DSYNC", flags: unix.O_DIRECT, open: newDirect(true, false)},
	{name: "b4: as b3, segments recycled", flags: unix.O_DIRECT, again: true, open: newDirect(true, false)},
	{name: "b5: as b4, one fdatasync for all (no contract)", flags: unix.O_DIRECT, again: true, open: newDirect(true, true)},
}

// commitLog goes round its files.
type commitLog struct {
	w    *files
	file int // of all that were ever begun
	at   int64
	turn func(file int) error // called when a file is begun
	head []byte
}

// append writes one frame: a header with a table of the batches and, unless only they are referred to, the batches.
func (l *commitLog) append(batches []write, refer bool) error {
	l.head = l.head[:0]
	for i := range 64 + 40*len(batches) {
		l.head = append(l.head, byte(l.at>>12)+byte(i)+byte(l.file))
	}
	vec, size := [][]byte{l.head}, int64(len(l.head))
	if refer {
		l.head = append(l.head, make([]byte, -len(l.head)&(page-1))...)
		vec, size = [][]byte{l.head}, int64(len(l.head))
		batches = nil
	}
	for _, b := range batches {
		vec, size = append(vec, b.data), size+int64(len(b.data))
	}
	size = (size + page - 1) &^ (page - 1)
	if l.at+size > l.w.commitBytes {
		l.file, l.at = l.file+1, 0
		if l.turn != nil {
			if err := l.turn(l.file); err != nil {
				return err
			}
		}
	}
	f := l.w.commit[l.file%commitFiles]
	if err := writeVec(f, vec, l.at, 0); err != nil {
		return err
	}
	l.at += size
	return fdatasync(f)
}

// bySegment gathers the batches of each segment, which follow one another.
func bySegment(batches []write, vec *[segments][][]byte) {
	for i := range vec {
		vec[i] = vec[i][:0]
	}
	for _, b := range batches {
		vec[b.segment] = append(vec[b.segment], b.data)
	}
}

// ends is where each segment is written next.
type ends [segments]int64

func (e *ends) take(segment int, vec [][]byte) (off int64) {
	off = e[segment]
	for _, b := range vec {
		e[segment] += int64(len(b))
	}
	return off
}

// device writes and syncs each batch by itself, in place of the commit log's frames.
type device struct {
	log commitLog
}

func newDevice(w *files) (way, error) { return &device{log: commitLog{w: w}}, nil }

func (d *device) round(batches []write) error {
	for _, b := range batches {
		if d.log.at+int64(len(b.data)) > d.log.w.commitBytes {
			d.log.file, d.log.at = d.log.file+1, 0
		}
		f := d.log.w.commit[d.log.file%commitFiles]
		if err := writeVec(f, [][]byte{b.data}, d.log.at, 0); err != nil {
			return err
		}
		d.log.at += int64(len(b.data))
		if err := fdatasync(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *device) finish() error { return nil }

// twice is the engine's way.
type twice struct {
	log   commitLog
	vec   [segments][][]byte
	ends  ends
	flags int  // of the segment writes
	push  bool // begin the writeback of each at once

	mu      sync.Mutex
	change  sync.Cond
	asked   int // a checkpoint is due that covers the commit files below
	covered int // the segments are durable for the commit files below
	closing bool
	err     error
	wg      sync.WaitGroup
}

// rwfDontCache writes through the page cache and leaves nothing there (Linux 6.14; only some file systems).
const rwfDontCache = 0x80

func newTwice(segmentFlags int, push bool) func(w *files) (way, error) {
	return func(w *files) (way, error) {
		t := &twice{log: commitLog{w: w}, flags: segmentFlags, push: push}
		t.change.L = &t.mu
		t.log.turn = t.turn
		t.wg.Go(t.checkpoints)
		return t, nil
	}
}

func (t *twice) round(batches []write) error {
	bySegment(batches, &t.vec)
	written := make(chan error, 1)
	go func() { written <- t.writeSegments() }() // beside the flush, as the engine's segment goroutine
	err := t.log.append(batches, false)
	if werr := <-written; err == nil {
		err = werr
	}
	return err
}

func (t *twice) writeSegments() error {
	for i, vec := range t.vec {
		if len(vec) == 0 {
			continue
		}
		f, off := t.log.w.segs[i], t.ends.take(i, vec)
		if err := writeVec(f, vec, off, t.flags); err != nil {
			return err
		}
		if !t.push {
			continue
		}
		if err := unix.SyncFileRange(int(f.Fd()), off, t.ends[i]-off, unix.SYNC_FILE_RANGE_WRITE); err != nil {
			return fmt.Errorf("sync_file_range %s: %w", f.Name(), err)
		}
	}
	return nil
}

// turn asks for a checkpoint, and waits where the file to be begun is still needed.
func (t *twice) turn(file int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = file
	t.change.Broadcast()
	for t.covered <= file-commitFiles && t.err == nil {
		t.change.Wait()
	}
	return t.err
}

func (t *twice) checkpoints() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.err == nil {
		for t.asked == t.covered && !t.closing {
			t.change.Wait()
		}
		if t.asked == t.covered {
			return
		}
		upTo := t.asked
		t.mu.Unlock()
		err := syncAll(t.log.w.segs)
		t.mu.Lock()
		t.covered, t.err = upTo, err
		t.change.Broadcast()
	}
}

func (t *twice) finish() error {
	t.mu.Lock()
	t.closing = true
	t.change.Broadcast()
	t.mu.Unlock()
	t.wg.Wait()
	if t.err != nil {
		return t.err
	}
	return syncAll(t.log.w.segs)
}

// syncAll syncs four files at a time, as a checkpoint does.
func syncAll(list []*os.File) error {
	errs := make(chan error, len(list))
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := k; i < len(list); i += 4 {
				errs <- fdatasync(list[i])
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// once writes each batch to its segment only.
type once struct {
	log  commitLog
	vec  [segments][][]byte
	ends ends
	put  func(o *once) (wait func() error, err error) // begins to write vec
	ring *ring
	mem  [segments][]byte // aligned, for O_DIRECT
	last bool             // the commit log's fdatasync comes after the data and is to cover it
	sync uint32           // flags of the segment writes
}

func (o *once) round(batches []write) error {
	bySegment(batches, &o.vec)
	wait, err := o.put(o)
	if err != nil {
		return err
	}
	if o.last {
		if err := wait(); err != nil {
			return err
		}
		return o.log.append(batches, true)
	}
	err = o.log.append(batches, true)
	if werr := wait(); err == nil {
		err = werr
	}
	return err
}

func (o *once) finish() error {
	if o.ring != nil {
		o.ring.close()
	}
	for _, m := range o.mem {
		if m != nil {
			if err := unix.Munmap(m); err != nil {
				return err
			}
		}
	}
	return syncAll(o.log.w.segs)
}

// goroutines writes each segment's batches by one call, durable when it returns.
func goroutines(o *once) (func() error, error) {
	errs := make(chan error, segments)
	n := 0
	for i, vec := range o.vec {
		if len(vec) == 0 {
			continue
		}
		n++
		off := o.ends.take(i, vec)
		go func() {
			if o.mem[i] != nil {
				vec = [][]byte{gather(o.mem[i], vec)}
			}
			errs <- writeVec(o.log.w.segs[i], vec, off, unix.RWF_DSYNC)
		}()
	}
	return func() error {
		var first error
		for range n {
			if err := <-errs; first == nil {
				first = err
			}
		}
		return first
	}, nil
}

// gather copies batches to aligned memory.
func gather(mem []byte, vec [][]byte) []byte {
	n := 0
	for _, b := range vec {
		n += copy(mem[n:], b)
	}
	return mem[:n]
}

func byRing(o *once) (func() error, error) {
	n := 0
	for i, vec := range o.vec {
		if len(vec) == 0 {
			continue
		}
		n++
		off := o.ends.take(i, vec)
		o.ring.write(int(o.log.w.segs[i].Fd()), gather(o.mem[i], vec), off, o.sync)
	}
	if err := o.ring.submit(); err != nil {
		return nil, err
	}
	return func() error { return o.ring.wait(n) }, nil
}

func newBuffered(w *files) (way, error) { return &once{log: commitLog{w: w}, put: goroutines}, nil }

// newDirect writes with O_DIRECT. With oneFlush it syncs nothing but the commit log, after the data: on one device, over blocks that
// were written before, this flushes all of it, but no file system promises so.
func newDirect(withRing, oneFlush bool) func(w *files) (way, error) {
	return func(w *files) (way, error) {
		o := &once{log: commitLog{w: w}, put: goroutines, sync: unix.RWF_DSYNC, last: oneFlush}
		if oneFlush {
			o.sync = 0
		}
		for i := range o.mem {
			m, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
			if err != nil {
				return nil, fmt.Errorf("mmap: %w", err)
			}
			o.mem[i] = m
		}
		if withRing {
			r, err := newRing(64)
			if err != nil {
				return nil, err
			}
			o.ring, o.put = r, byRing
		}
		return o, nil
	}
}
