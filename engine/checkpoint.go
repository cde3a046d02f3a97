package engine

import (
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/recap"
	"github.com/streambus/streambus/engine/internal/segment"
)

// checkpointRetry is how long a checkpoint for which there was no room waits before it is tried again.
const checkpointRetry = time.Second

// checkpoints writes a checkpoint whenever one is asked for, and now and then.
func (e *Engine) checkpoints() {
	tick := time.NewTicker(checkpointInterval)
	defer tick.Stop()
	again := time.NewTimer(0)
	again.Stop()
	for {
		var done chan error
		select {
		case <-e.stop:
			return
		case <-e.failed:
			return
		case <-tick.C:
			if !e.written.Load() {
				continue
			}
		case <-e.wake:
		case <-again.C:
		case done = <-e.asks:
		}
		err := e.checkpoint(false)
		if err != nil {
			err = e.growthError(err)
		}
		if done != nil {
			done <- err
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrFull):
			e.o.Logger.Warn("no room for a checkpoint; it is tried again soon", "dir", e.o.Dir, "err", err)
			again.Reset(checkpointRetry) // the commit log may wait for it
		default:
			return
		}
	}
}

// checkpointNow waits for a checkpoint of the present state. The caller must not hold a log's lock.
func (e *Engine) checkpointNow() error {
	done := make(chan error, 1)
	select {
	case e.asks <- done:
		return <-done
	case <-e.failed:
		return e.Err()
	case <-e.stop:
		return ErrClosed
	}
}

// due is what a checkpoint must do about one log before and after it is written.
type due struct {
	log       *Log
	dirty     []dirty            // to sync before; acquired
	newNames  bool               // sync the folder before
	condemned []*segment.Segment // files to remove after
	recap     []byte             // to write after, if there is any
}

// dirty is a segment and the stretch of it that was written to.
type dirty struct {
	seg    *segment.Segment
	lo, hi int64
}

// checkpoint makes all segments durable as far as they are readable now, says so durably, and lets commit-log files be
// recycled. The order matters: the LSN is taken first, then each log's state, which covers at least that LSN. One goroutine
// at a time may call it: what one call finds dirty, another must not believe clean before it is synced.
func (e *Engine) checkpoint(clean bool) error {
	e.written.Store(false)
	c := commit.Checkpoint{LSN: e.committer.Durable(), File: e.committer.File(), Clean: clean}
	for _, l := range e.open() { // what is flushed below the LSN must be in the segments; logs opened later have nothing there
		if err := l.writeOut(); err != nil {
			return err
		}
	}
	e.mu.Lock()
	c.NextLog = e.nextLog
	for _, at := range e.drops {
		c.LSN = min(c.LSN, at)
	}
	var work []due
	for id, s := range e.known {
		if l := e.logs[s.Name]; l != nil && l.id == id {
			var d due
			s, d = l.state(clean)
			work = append(work, d)
		}
		c.Logs = append(c.Logs, s)
	}
	e.mu.Unlock()
	if err := e.settle(work); err != nil {
		return e.fail(err)
	}
	if err := commit.WriteCheckpoint(e.o.FS, e.checkpointPath(), &c); err != nil {
		for _, d := range work {
			d.log.condemn(d.condemned)
		}
		e.written.Store(true)
		return err
	}
	e.count.checkpoints.Add(1)
	e.count.lastCheckpoint.Store(time.Now().UnixNano())
	e.committer.Recycle(&c)
	for _, d := range work {
		if err := d.log.writeRecap(d.recap); err != nil {
			return err
		}
		d.log.bury(d.condemned)
	}
	return nil
}

// writeRecap writes a recap beside what a checkpoint made durable. There may be no room for it, or no folder any more: then there
// is none.
func (l *Log) writeRecap(b []byte) error {
	if b == nil {
		return nil
	}
	l.recapping.Lock() // not growing, which whoever waits for this checkpoint may hold
	defer l.recapping.Unlock()
	l.mu.Lock()
	dropped := l.dropped
	l.mu.Unlock()
	if dropped {
		return nil
	}
	err := recap.Write(l.e.o.FS, path.Join(l.dir, recapFile), b)
	if err == nil {
		return nil
	}
	if err := l.e.growthError(err); !errors.Is(err, ErrFull) {
		return err
	}
	return nil
}

// state is how far the log is readable, for a checkpoint, and what must be done for that to hold after it.
func (l *Log) state(clean bool) (s commit.LogState, d due) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s = commit.LogState{
		ID: l.id, Name: l.name, Start: l.start, End: l.written, LSN: l.lsn, Cuts: l.cuts, Unlogged: l.opts().Durability != Fsync || l.unlogging, Cutting: l.cutting,
		Compacted: l.compacted, Cleaned: l.cleaned,
	}
	least := int64(recapBytes)
	if clean {
		least = 0
	}
	d = due{log: l, newNames: l.newNames, condemned: l.condemned, recap: l.recap(least)}
	l.newNames, l.condemned = false, nil
	var last *part
	for i, p := range l.parts {
		if i == 0 || p.seg.Size() > 0 {
			if last != nil && !last.seg.Sealed() {
				s.Rolled = append(s.Rolled, commit.Chain{Base: s.Segment, Prefix: s.Prefix})
			}
			last = p
			s.Segment, s.Position, s.Prefix = p.seg.Base, p.seg.Size(), p.seg.PrefixSum()
		}
		if p.dirty {
			p.seg.Acquire()
			d.dirty = append(d.dirty, dirty{p.seg, p.clean, p.seg.Size()})
			p.dirty, p.clean = false, p.seg.Size()
		}
	}
	return s, d
}

// settle makes everything durable that a checkpoint will say is.
func (e *Engine) settle(work []due) error {
	var all []*segment.Segment
	var err error
	for _, d := range work {
		for _, x := range d.dirty {
			all = append(all, x.seg)
			if err == nil {
				err = x.writeBack()
			}
		}
	}
	if err == nil {
		err = syncAll(e.o.FS, all)
	} else {
		releaseAll(all)
	}
	for _, d := range work {
		if err != nil || !d.newNames {
			continue
		}
		if err = e.o.FS.SyncDir(d.log.dir); errors.Is(err, fs.ErrNotExist) {
			err = nil // dropped meanwhile
		}
	}
	return err
}

// writeBackPiece is how much a checkpoint has the disk write at once, in bytes. A sync of all of it would be a burst of hundreds of MiB, in
// which a flush of the commit log waits 60 to 110 ms (bench/results, large batches once); behind a piece it waits a quarter of one.
const writeBackPiece = 256 << 10

// writeBack brings what was written to the disk in pieces, one at a time, so that little is left for the sync.
func (x dirty) writeBack() error {
	for lo := x.lo &^ (disk.PageSize - 1); lo < x.hi; lo += writeBackPiece {
		if err := disk.WriteBack(x.seg.File(), lo, min(writeBackPiece, x.hi-lo)); err != nil {
			return err
		}
	}
	return nil
}

func releaseAll(segs []*segment.Segment) {
	for _, s := range segs {
		_ = s.Release() // closes what is only read, or an error came before
	}
}

// syncAll makes the segments durable and releases them.
func syncAll(fs disk.FS, segs []*segment.Segment) error {
	files := make([]disk.File, len(segs))
	for i, s := range segs {
		files[i] = s.File()
	}
	err := disk.SyncAll(fs, files)
	for _, s := range segs {
		if rerr := s.Release(); err == nil {
			err = rerr
		}
	}
	return err
}

// bury removes the files of segments that a durable checkpoint has made useless. It is a chore, since unlinking a large file
// can take long; without room for it, the next checkpoint tries again.
func (l *Log) bury(segs []*segment.Segment) {
	if len(segs) == 0 {
		return
	}
	if !l.e.chore(func() { l.remove(segs) }) {
		l.condemn(segs)
	}
}

// condemn has the files of segments removed after the next checkpoint.
func (l *Log) condemn(segs []*segment.Segment) {
	l.mu.Lock()
	closed := l.closed && len(l.parts) == 0
	if !closed {
		l.condemned = append(l.condemned, segs...)
	}
	l.mu.Unlock()
	if closed { // dropped meanwhile; the files go with the folder
		releaseAll(segs)
	}
}

// remove removes files of the log, unless it was dropped: a new log of the same name may own them now. The last one who reads from
// a segment hands its files over.
func (l *Log) remove(segs []*segment.Segment) {
	for _, seg := range segs {
		base := seg.Base
		err := seg.Retire(func() {
			if !l.e.chore(func() { l.removeFiles(base) }) {
				l.e.o.Logger.Warn("a deleted segment's file stays until the log is opened again", "log", l.name, "segment", int64(base))
			}
		})
		if err != nil {
			l.e.o.Logger.Warn("cannot close a deleted segment", "path", seg.Path, "err", err)
		}
	}
}

func (l *Log) removeFiles(base batch.Offset) {
	l.growing.Lock()
	defer l.growing.Unlock()
	l.mu.Lock()
	dropped := l.dropped
	l.mu.Unlock()
	if dropped {
		return
	}
	if err := segment.RemoveFiles(l.e.o.FS, l.dir, base); err != nil { // it holds nothing that is wanted, and the next Open tries again
		l.e.o.Logger.Warn("cannot remove the files of a deleted segment", "log", l.name, "segment", int64(base), "err", err)
	}
}

// maxChores bounds what waits for the chores' goroutine; beyond it the work is done by who needs it, or later.
const maxChores = 4096

// chore has f done soon, beside what the caller does; false when there is no room. Nobody waits for it.
func (e *Engine) chore(f func()) bool {
	select {
	case e.chores <- f:
		return true
	default:
		return false
	}
}

func (e *Engine) doChores() {
	for {
		select {
		case f := <-e.chores:
			f()
		case <-e.stop:
			e.lastChores()
			return
		}
	}
}

// lastChores does what is left when nobody asks for more.
func (e *Engine) lastChores() {
	for {
		select {
		case f := <-e.chores:
			f()
		default:
			return
		}
	}
}
