package engine_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine/disk"
)

// counts is how often the engine used its disk.
type counts struct {
	reads, readBytes   atomic.Int64
	coldReads          atomic.Int64 // of reads: not in the page cache, so they went to the disk
	writes, writeBytes atomic.Int64
	commitBytes        atomic.Int64 // of writeBytes: to the commit log
	syncs              atomic.Int64

	mu            sync.Mutex
	commitSyncs   bare.Histogram // how long each sync of the commit log took
	segmentWrites bare.Histogram // how long each write of a segment took
}

// counted is inner, counting. What inner can do in batches it still can.
func counted(inner disk.FS, c *counts) disk.FS {
	fs := countingFS{inner, c}
	if r, ok := inner.(disk.BatchReader); ok {
		return countingBatchFS{fs, r}
	}
	return fs
}

type countingFS struct {
	disk.FS
	c *counts
}

func (f countingFS) Create(name string) (disk.File, error) { return f.wrap(f.FS.Create(name))(name) }
func (f countingFS) Open(name string) (disk.File, error)   { return f.wrap(f.FS.Open(name))(name) }

func (f countingFS) wrap(inner disk.File, err error) func(name string) (disk.File, error) {
	return func(name string) (disk.File, error) {
		if err != nil {
			return nil, err
		}
		return countingFile{inner, f.c, strings.Contains(name, "/commit/")}, nil
	}
}

type countingBatchFS struct {
	countingFS
	inner disk.BatchReader
}

func (f countingBatchFS) ReadBatch(ops []disk.ReadOp) {
	files := make([]disk.File, len(ops))
	for i := range ops {
		if files[i] = ops[i].File; files[i] != nil {
			ops[i].File = files[i].(countingFile).File
		}
	}
	f.inner.ReadBatch(ops)
	f.c.reads.Add(int64(len(ops)))
	f.c.coldReads.Add(int64(len(ops))) // who reads in batches has looked in the page cache before
	for i := range ops {
		ops[i].File = files[i]
		f.c.readBytes.Add(int64(ops[i].N))
	}
}

// SyncBatch counts one sync for each file, as Sync does.
func (f countingBatchFS) SyncBatch(files []disk.File) error {
	inner := make([]disk.File, len(files))
	for i := range files {
		inner[i] = files[i].(countingFile).File
	}
	f.c.syncs.Add(int64(len(files)))
	return disk.SyncAll(f.FS, inner)
}

type countingFile struct {
	disk.File
	c      *counts
	commit bool
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > 0 && !disk.InCache(f.File, off, int64(len(p))) {
		f.c.coldReads.Add(1)
	}
	n, err := f.File.ReadAt(p, off)
	f.c.reads.Add(1)
	f.c.readBytes.Add(int64(n))
	return n, err
}

// ReadCached counts as a read when it gives something: else the disk is asked by another one.
func (f countingFile) ReadCached(p []byte, off int64) (int, error) {
	n, err := disk.ReadCached(f.File, p, off)
	if n > 0 {
		f.c.reads.Add(1)
		f.c.readBytes.Add(int64(n))
	}
	return n, err
}

func (f countingFile) InCache(off, n int64) bool { return disk.InCache(f.File, off, n) }

func (f countingFile) WriteVec(bufs [][]byte, off int64) error {
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	f.c.writes.Add(1)
	f.c.writeBytes.Add(n)
	if f.commit {
		f.c.commitBytes.Add(n)
	}
	if f.commit {
		return f.File.WriteVec(bufs, off)
	}
	begin := time.Now()
	err := f.File.WriteVec(bufs, off)
	f.c.note(&f.c.segmentWrites, begin)
	return err
}

func (f countingFile) WriteBack(off, n int64) error { return disk.WriteBack(f.File, off, n) }

func (f countingFile) Sync() error {
	f.c.syncs.Add(1)
	if !f.commit {
		return f.File.Sync()
	}
	begin := time.Now()
	err := f.File.Sync()
	f.c.note(&f.c.commitSyncs, begin)
	return err
}

func (c *counts) note(h *bare.Histogram, begin time.Time) {
	took := time.Since(begin)
	c.mu.Lock()
	h.Add(took)
	c.mu.Unlock()
}

// takeTimes gives how long syncs of the commit log and writes of segments took since the last call.
func (c *counts) takeTimes() (commitSyncs, segmentWrites bare.Histogram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	commitSyncs, segmentWrites = c.commitSyncs, c.segmentWrites
	c.commitSyncs, c.segmentWrites = bare.Histogram{}, bare.Histogram{}
	return commitSyncs, segmentWrites
}
