package disk

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Fault is what is wrong with a disk under Failpoints. The zero value: nothing.
type Fault struct {
	// Delay is how much longer each write and each flush takes: WriteVec, WriteVecUncached, WriteBack, Sync, SyncBatch (once), SyncDir.
	Delay time.Duration
	// Full refuses with ENOSPC what needs new room, as a disk does on which somebody else has taken the last byte: a new file or
	// folder, Allocate beyond what the file has, a write beyond it. Free is 0. Writes into room that the file has (below its size, or
	// below what Allocate reserved), renames, removals and reads go on. What is removed meanwhile makes no room.
	Full bool
}

// Failpoints makes a disk slow or full while it is used, to see how what lies above takes it:
//
//	var p disk.Failpoints
//	fsys := p.Over(disk.OS{})                            // before anything is opened
//	p.Set(disk.Fault{Delay: 200 * time.Millisecond})     // from here on
//	p.Set(disk.Fault{})                                  // and until here
//
// Unlike Inject, which asks a rule, it knows what room each file has, and hides nothing that the disk below can do better than others:
// batches, the page cache, mappings. While nothing is wrong it costs one atomic load for each write. It is safe for concurrent use; the
// zero value is ready.
type Failpoints struct {
	mu      sync.Mutex // of Set
	now     atomic.Pointer[condition]
	slowed  atomic.Int64
	refused atomic.Int64
}

// condition is a Fault in force.
type condition struct {
	Fault
	over chan struct{} // closed when another one is
}

// Set puts a fault in force, in the place of the one before, and says whether that is a change. Who waits for a delay that is over, or
// shorter now, waits no longer than it would have under the new one.
func (p *Failpoints) Set(f Fault) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.now.Swap(&condition{f, make(chan struct{})})
	if was == nil {
		return f != Fault{}
	}
	close(was.over)
	return f != was.Fault
}

// Struck is how many operations were slowed and how many were refused so far, of all disks of p. A call of Free is not counted.
func (p *Failpoints) Struck() (slowed, refused int64) { return p.slowed.Load(), p.refused.Load() }

// slow waits as long as a write or flush is to take longer.
func (p *Failpoints) slow() {
	c := p.now.Load()
	if c == nil || c.Delay <= 0 {
		return
	}
	p.slowed.Add(1)
	begun := time.Now()
	for left := c.Delay; left > 0; left = c.Delay - time.Since(begun) {
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-c.over:
			t.Stop()
		}
		c = p.now.Load()
	}
}

func (p *Failpoints) full() bool {
	c := p.now.Load()
	return c != nil && c.Full
}

func (p *Failpoints) refuse(op, name string) error {
	p.refused.Add(1)
	return pathError(op, name, syscall.ENOSPC)
}

// Over gives inner with the failpoints in it. It implements what inner does of BatchReader, BatchSyncer and Mapper, and so do its
// files of Cached, Uncached and WriteBacker.
func (p *Failpoints) Over(inner FS) FS {
	f := &failing{FS: inner, p: p}
	if r, ok := inner.(BatchReader); ok {
		return &failingBatches{f, r}
	}
	return f
}

type failing struct {
	FS
	p *Failpoints
}

var (
	_ BatchSyncer = (*failing)(nil)
	_ Mapper      = (*failing)(nil)
	_ BatchReader = (*failingBatches)(nil)
)

// wrap gives a file that has room for as much as it holds. No file here has holes.
func (d *failing) wrap(name string, f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close() // the first error is the one that counts
		return nil, err
	}
	w := &failingFile{File: f, p: d.p, name: name}
	w.room.Store(size)
	return w, nil
}

// bare is the file that the disk below knows.
func bare(f File) File {
	if w, ok := f.(*failingFile); ok {
		return w.File
	}
	return f
}

func (d *failing) Create(name string) (File, error) {
	if d.p.full() {
		return nil, d.p.refuse("create", name)
	}
	f, err := d.FS.Create(name)
	return d.wrap(name, f, err)
}

func (d *failing) Open(name string) (File, error) {
	f, err := d.FS.Open(name)
	return d.wrap(name, f, err)
}

func (d *failing) MkdirAll(name string) error {
	if d.p.full() {
		if _, err := d.ReadDir(name); err != nil {
			return d.p.refuse("mkdir", name)
		}
	}
	return d.FS.MkdirAll(name)
}

func (d *failing) SyncDir(name string) error {
	d.p.slow()
	return d.FS.SyncDir(name)
}

func (d *failing) Free(name string) (int64, error) {
	if d.p.full() {
		return 0, nil
	}
	return d.FS.Free(name)
}

func (d *failing) Map(name string) (*Mapping, error) { return Map(d.FS, name) }

// SyncBatch implements BatchSyncer: one delay where the disk below syncs files together, one for each where it does not.
func (d *failing) SyncBatch(files []File) error {
	inner, together := d.FS.(BatchSyncer)
	if !together {
		for _, f := range files {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		return nil
	}
	d.p.slow()
	all := make([]File, len(files))
	for i, f := range files {
		all[i] = bare(f)
	}
	return inner.SyncBatch(all)
}

// failingBatches is failing over a disk that reads in batches.
type failingBatches struct {
	*failing
	inner BatchReader
}

// ReadBatch implements BatchReader.
func (d *failingBatches) ReadBatch(ops []ReadOp) {
	own := make([]File, len(ops))
	for i := range ops {
		own[i], ops[i].File = ops[i].File, bare(ops[i].File)
	}
	d.inner.ReadBatch(ops)
	for i := range ops {
		ops[i].File = own[i]
	}
}

type failingFile struct {
	File
	p    *Failpoints
	name string
	room atomic.Int64 // bytes from the start for which the file has room
}

func (f *failingFile) grown(to int64) {
	for had := f.room.Load(); had < to && !f.room.CompareAndSwap(had, to); had = f.room.Load() {
	}
}

// write does a write that ends where the buffers do.
func (f *failingFile) write(bufs [][]byte, off int64, do func(File, [][]byte, int64) error) error {
	end := off
	for _, b := range bufs {
		end += int64(len(b))
	}
	f.p.slow()
	if f.p.full() && end > off && end > f.room.Load() {
		return f.p.refuse("pwritev", f.name)
	}
	if err := do(f.File, bufs, off); err != nil {
		return err
	}
	f.grown(end)
	return nil
}

func (f *failingFile) WriteVec(bufs [][]byte, off int64) error {
	return f.write(bufs, off, File.WriteVec)
}

// WriteVecUncached implements Uncached as far as the file below does.
func (f *failingFile) WriteVecUncached(bufs [][]byte, off int64) error {
	return f.write(bufs, off, WriteVecUncached)
}

// WriteBack implements WriteBacker as far as the file below does.
func (f *failingFile) WriteBack(off, n int64) error {
	f.p.slow()
	return WriteBack(f.File, off, n)
}

func (f *failingFile) Sync() error {
	f.p.slow()
	return f.File.Sync()
}

func (f *failingFile) Allocate(size int64) error {
	if f.p.full() && size > f.room.Load() {
		return f.p.refuse("fallocate", f.name)
	}
	if err := f.File.Allocate(size); err != nil {
		return err
	}
	f.grown(size)
	return nil
}

// Truncate gives room back. Making a file longer by it needs none, and gives none.
func (f *failingFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	f.room.Store(min(f.room.Load(), size))
	return nil
}

// ReadCached implements Cached as far as the file below does.
func (f *failingFile) ReadCached(p []byte, off int64) (int, error) {
	return ReadCached(f.File, p, off)
}

// InCache implements Cached as far as the file below does.
func (f *failingFile) InCache(off, n int64) bool { return InCache(f.File, off, n) }
