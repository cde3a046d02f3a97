package bare

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// PerRecord lets each of so many goroutines write a record of size bytes and sync it, again and again. All write to one file,
// each to its own pages: no page is shared, so that no writer waits for another's.
func PerRecord(f *File, writers, size int, d time.Duration) (Run, error) {
	step := int64(pageUp(size))
	region := f.size / int64(writers) / step * step
	return Round(d, writers, func(i int, t *Tally, stop *atomic.Bool) error {
		p, off := Payload(size), int64(0)
		for first := true; first || !stop.Load(); first = false { // at least one, however slow the disk
			Stamp(p, 0)
			begin := time.Now()
			if err := errors.Join(f.write(p, int64(i)*region+off), f.sync()); err != nil {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.done(size)
			t.Syncs++
			if off += step; off+step > region {
				off = 0
			}
		}
		return nil
	})
}

func (t *Tally) done(size int) {
	t.Ops++
	t.Bytes += int64(size)
}

func pageUp(n int) int { return (n + pageSize - 1) / pageSize * pageSize }

// Device writes 1 MiB at a time over the whole file, each synced: what the disk gives to one writer that never waits.
func Device(f *File, d time.Duration) (Run, error) { return overwrite(f, 1<<20, false, d) }

// SyncLatency overwrites 4 KiB at a time; Latency is that of the sync alone.
func SyncLatency(f *File, d time.Duration) (Run, error) { return overwrite(f, pageSize, true, d) }

func overwrite(f *File, size int, syncOnly bool, d time.Duration) (Run, error) {
	return Round(d, 1, func(_ int, t *Tally, stop *atomic.Bool) error {
		p, off := Payload(size), int64(0)
		for first := true; first || !stop.Load(); first = false { // at least one, however slow the disk
			Stamp(p, 0)
			begin := time.Now()
			if err := f.write(p, off); err != nil {
				return err
			}
			if syncOnly {
				begin = time.Now()
			}
			if err := f.sync(); err != nil {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.done(size)
			t.Syncs++
			if off += int64(size); off+int64(size) > f.size {
				off = 0
			}
		}
		return nil
	})
}

// appendStep is how much room Append reserves at once: as the engine does for a busy segment.
const appendStep = 16 << 20

// Append lets each of so many goroutines append records of size bytes to a new file of its own in dir, with room reserved and
// without a sync: what the page cache gives to whoever writes new pages. The files are removed.
func Append(dir string, writers, size int, d time.Duration) (Run, error) {
	names := make([]string, writers)
	defer func() {
		for _, name := range names {
			_ = os.Remove(name) // the folder is a temporary one
		}
	}()
	return Round(d, writers, func(i int, t *Tally, stop *atomic.Bool) error {
		f, err := os.CreateTemp(dir, "append-")
		if err != nil {
			return err
		}
		names[i] = f.Name()
		defer func() { _ = f.Close() }() // nothing is to be durable
		p, room := Payload(size), int64(0)
		for first := true; first || !stop.Load(); first = false { // at least one, however slow the disk
			Stamp(p, 0)
			begin := time.Now()
			if t.Bytes+int64(size) > room {
				room += max(appendStep, int64(size))
				if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, room); err != nil && err != unix.EOPNOTSUPP {
					return &os.PathError{Op: "fallocate", Path: names[i], Err: err}
				}
			}
			if _, err := f.WriteAt(p, t.Bytes); err != nil {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.done(size)
		}
		return nil
	})
}

// groupBytes is the most that one group holds: as in the engine.
const groupBytes = 4 << 20

// group is a bare group commit: a queue and one goroutine that makes it durable.
type group struct {
	f      *File
	mu     sync.Mutex
	work   sync.Cond
	queue  []*record
	closed bool
	err    error
	syncs  int64
	groups sync.WaitGroup
}

type record struct {
	p     []byte
	begin time.Time
	err   error
	done  chan *record // of its writer; has room for all its records
}

// GroupCommit lets so many goroutines each keep inFlight records of size bytes on the way through a group commit: one queue,
// one write of the whole group to the next free page (so that no durable page is written again before the file is full), one
// sync, wake all, two rounds of the scheduler, the next group.
func GroupCommit(f *File, writers, inFlight, size int, d time.Duration) (Run, error) {
	g := &group{f: f}
	g.work.L = &g.mu
	g.groups.Go(g.run)
	r, err := Round(d, writers, func(_ int, t *Tally, stop *atomic.Bool) error { return g.write(inFlight, size, t, stop) })
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.work.Signal()
	g.groups.Wait()
	r.Syncs = g.syncs
	return r, err
}

// write is one writer.
func (g *group) write(inFlight, size int, t *Tally, stop *atomic.Bool) error {
	done := make(chan *record, inFlight)
	for range inFlight {
		r := &record{p: Payload(size), done: done}
		g.put(r)
	}
	for left := inFlight; left > 0; {
		r := <-done
		if r.err != nil {
			return r.err
		}
		t.Latency.Add(time.Since(r.begin))
		t.done(size)
		if stop.Load() {
			left--
			continue
		}
		g.put(r)
	}
	return nil
}

func (g *group) put(r *record) {
	Stamp(r.p, 0)
	r.begin = time.Now()
	g.mu.Lock()
	if r.err = g.err; r.err != nil {
		r.done <- r
		g.mu.Unlock()
		return
	}
	g.queue = append(g.queue, r)
	first := len(g.queue) == 1
	g.mu.Unlock()
	if first {
		g.work.Signal()
	}
}

// run is the committing goroutine.
func (g *group) run() {
	var taken []*record
	buf, off := make([]byte, 0, groupBytes), int64(0)
	for {
		if taken = g.take(taken[:0]); len(taken) == 0 {
			return
		}
		buf = buf[:0]
		for _, r := range taken {
			buf = append(buf, r.p...)
		}
		if off+int64(len(buf)) > g.f.size {
			off = 0
		}
		err := g.f.write(buf, off)
		if err == nil {
			err = g.f.sync()
		}
		off += int64(pageUp(len(buf)))
		g.syncs++
		if err != nil {
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
		}
		for _, r := range taken {
			r.err = err
			r.done <- r
		}
		runtime.Gosched()
		runtime.Gosched()
	}
}

// take waits for records and takes as many as fit into a group; none when the group commit is closed.
func (g *group) take(into []*record) []*record {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.queue) == 0 && !g.closed {
		g.work.Wait()
	}
	n, bytes := 0, 0
	for n < len(g.queue) && (n == 0 || bytes+len(g.queue[n].p) <= groupBytes) {
		bytes += len(g.queue[n].p)
		n++
	}
	into = append(into, g.queue[:n]...)
	rest := copy(g.queue, g.queue[n:])
	clear(g.queue[rest:])
	g.queue = g.queue[:rest]
	return into
}
