package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/segment"
	"github.com/streambus/streambus/engine/internal/tail"
)

// Engine is one data directory on one disk. It is safe for concurrent use.
type Engine struct {
	o         Options
	lock      io.Closer
	ring      io.Closer         // of io_uring; does nothing where there is none
	io        string            // IO
	committer *commit.Committer // of the logs that are Fsync, and of what happens to logs
	unlogged  *commit.Committer // of the others
	cache     *tail.Cache
	behind    *behind
	summary   Summary

	admin sync.Mutex // serialises OpenLog and Drop; held across their I/O

	mu      sync.Mutex
	logs    map[string]*Log            // open ones, by name
	known   map[uint64]commit.LogState // all logs that exist; of open ones only ID and Name count
	damaged map[uint64]error           // logs that recovery found damaged
	nextLog uint64
	drops   map[uint64]commit.LSN // being removed: replay must begin at or below the LSN until the folder is gone
	closed  bool

	errMu  sync.Mutex
	err    error // E4
	failed chan struct{}

	begun time.Time // Open, by the monotonic clock
	clock steadyClock

	wake    chan struct{}   // a checkpoint would be good
	asks    chan chan error // a checkpoint is waited for
	count   counters        // for Stats
	written atomic.Bool     // something was flushed since the last checkpoint
	cares   chan *Log       // segments may be ready to be sealed
	chores  chan func()     // short work beside appends: growing ahead, syncing at intervals
	stop    chan struct{}
	wg      sync.WaitGroup
}

// Summary says what Open found and did.
type Summary struct {
	Logs     int           // logs found
	Frames   int           // group commits replayed over the segments
	Clean    bool          // the last user of the directory closed it
	Torn     bool          // the commit log ended in a write that was never acknowledged
	Duration time.Duration // of Open
}

const (
	lockFile       = ".lock"
	checkpointFile = "checkpoint"
	commitDir      = "commit"
	newSuffix      = ".new"
	deletedSuffix  = ".deleted"
)

// maxCacheChunk is the most that the cache of newest batches forgets at once, in bytes.
const maxCacheChunk = 1 << 20

// checkpointInterval bounds what a restart must replay when little is written. time.Duration.
const checkpointInterval = time.Minute

// Open opens or creates the data directory and recovers it: on return every log that was acknowledged is there. ctx ends it
// early. Errors: ErrLocked, ErrCorrupt, or I/O errors, each naming the path.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o.defaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	begin := time.Now()
	ring, how, err := openIO(&o)
	if err != nil {
		return nil, err
	}
	if err := o.FS.MkdirAll(path.Clean(o.Dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), ring.Close())
	}
	lock, err := o.FS.Lock(path.Join(o.Dir, lockFile))
	if errors.Is(err, disk.ErrLocked) {
		err = fmt.Errorf("%w: %w", ErrLocked, err)
	} else if err != nil {
		err = fmt.Errorf("data directory: %w", err)
	}
	if err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	e := &Engine{
		o: o, begun: begin, lock: lock, ring: ring, io: how,
		logs: map[string]*Log{}, known: map[uint64]commit.LogState{}, damaged: map[uint64]error{}, drops: map[uint64]commit.LSN{},
		failed: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		asks: make(chan chan error), cares: make(chan *Log, maxChores), chores: make(chan func(), maxChores),
	}
	e.SteadyTime() // the first look, so that a jump right after the start is seen
	if err := e.begin(ctx); err != nil {
		return nil, errors.Join(err, lock.Close(), ring.Close())
	}
	e.summary.Duration = time.Since(begin)
	return e, nil
}

// syncParents makes the name of a folder durable, and those of its parents: a data directory whose own name is lost is lost as a
// whole. Parents may have been made by an earlier start that failed, or be closed to us; then they are somebody else's and there.
func syncParents(fsys disk.FS, dir string) error {
	if err := fsys.SyncDir(path.Dir(dir)); err != nil {
		return err
	}
	for dir = path.Dir(dir); path.Dir(dir) != dir; dir = path.Dir(dir) {
		if err := fsys.SyncDir(path.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// begin recovers, and starts the goroutines.
func (e *Engine) begin(ctx context.Context) error {
	r, err := recoverDir(ctx, e.o)
	if err != nil {
		if errors.Is(err, commit.ErrCorrupt) || errors.Is(err, segment.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return fmt.Errorf("recovery of %s: %w", e.o.Dir, err)
	}
	e.known, e.damaged, e.nextLog, e.summary = r.logs, r.damaged, r.nextLog, r.summary
	e.behind = newBehind(e.o.CacheBytes)
	if e.cache, err = newCache(e.o.CacheBytes); err != nil {
		return fmt.Errorf("%d MiB for the newest batches: %w", e.o.CacheBytes>>20, err)
	}
	e.committer, err = commit.Start(commit.Options{
		FS: e.o.FS, Dir: path.Join(e.o.Dir, commitDir), FileBytes: e.o.CommitFileBytes, Files: e.o.CommitFiles,
		GroupBytes: e.o.GroupBytes, QueueBytes: e.o.QueueBytes, Target: &sink{Engine: e},
	}, r.end)
	if err != nil {
		e.cache.Close()
		return fmt.Errorf("commit log of %s: %w", e.o.Dir, err)
	}
	e.unlogged = commit.StartUnlogged(commit.Options{GroupBytes: e.o.GroupBytes, QueueBytes: e.o.QueueBytes, Target: &sink{Engine: e}})
	if err := e.nameFile(); err != nil {
		err = errors.Join(err, e.committer.Close(), e.unlogged.Close())
		e.cache.Close()
		return err
	}
	e.wg.Go(e.writeBehind)
	e.wg.Go(e.checkpoints)
	e.wg.Go(e.doChores)
	e.wg.Go(e.tidyNowAndThen)
	e.wg.Go(e.takeCare)
	e.wg.Go(e.scrubs)
	e.wg.Go(e.tellFailure)
	return nil
}

// nameFile writes a checkpoint that names the commit-log file in use, before anything in it is acknowledged. Without room for one the
// checkpoint that recovery wrote stands, and the next one names it.
func (e *Engine) nameFile() error {
	err := e.checkpoint(false)
	if err == nil {
		return nil
	}
	if err = e.growthError(err); errors.Is(err, ErrFull) {
		e.wantCheckpoint()
		return nil
	}
	return err
}

// newCache makes the cache of newest batches, in memory that the collector need not look at.
func newCache(bytes int64) (*tail.Cache, error) {
	if bytes <= 0 {
		return nil, nil
	}
	arena, err := disk.NewArena(int(bytes))
	if err != nil {
		return nil, err
	}
	return tail.New(arena.Bytes(), int(min(bytes/16, maxCacheChunk)), func() { _ = arena.Free() }), nil
}

// Summary says what Open found and did.
func (e *Engine) Summary() Summary { return e.summary }

// Names lists the logs in the data directory, sorted.
func (e *Engine) Names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]string, 0, len(e.known))
	for _, s := range e.known {
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return out
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,255}$`)

func checkName(name string) error {
	switch {
	case !validName.MatchString(name), name == ".", name == "..", name == lockFile, name == commitDir,
		strings.HasPrefix(name, checkpointFile), strings.HasSuffix(name, newSuffix), strings.HasSuffix(name, deletedSuffix):
		return fmt.Errorf("%q is not the name of a log: 1 to 255 letters, digits, '.', '_' or '-', and none that the engine uses", name)
	}
	return nil
}

// OpenLog gives the log of that name (a folder name: letters, digits, '.', '_', '-'), created durably when missing. A log
// may be opened once, until it is dropped. Errors: ErrCorrupt when the log is damaged, ErrFull (the log may be there, and can be opened later),
// ErrFailed, ErrClosed.
func (e *Engine) OpenLog(name string, o LogOptions) (*Log, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	o.defaults(e.o.CommitFileBytes)
	e.admin.Lock()
	defer e.admin.Unlock()
	s, exists, err := e.lookUp(name)
	if err != nil {
		return nil, err
	}
	if !exists {
		if s, err = e.create(name, &o); err != nil {
			return nil, err
		}
	}
	l := newLog(e, s, o)
	if err := l.load(s); err != nil {
		return nil, errors.Join(e.loadError(err), l.close())
	}
	if o.Durability != Fsync && !s.Unlogged {
		if err := e.unlog(s); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	if err := e.publish(l, s); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// loadError sorts what can go wrong when a log is opened: what is wrong with one log does not end the others.
func (e *Engine) loadError(err error) error {
	if syncFailed(err) {
		return e.fail(err)
	}
	return cmp.Or(asLack(err), err)
}

// unlog has a checkpoint say that the batches of a log go past the commit log: recovery must know before the first one does. (Of one that
// does so no more it need not: reroute says why.)
func (e *Engine) unlog(s commit.LogState) error {
	s.Unlogged = true
	e.know(s)
	err := e.checkpointNow()
	if err != nil {
		s.Unlogged = false
		e.know(s)
	}
	return err
}

// know says that a log exists, and how it is while it is not open.
func (e *Engine) know(s commit.LogState) {
	e.mu.Lock()
	e.known[s.ID] = s
	e.mu.Unlock()
}

func (e *Engine) publish(l *Log, s commit.LogState) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.Err(); err != nil { // too late to be told by tellFailure
		return err
	}
	e.logs[l.name] = l
	e.known[s.ID] = s
	return nil
}

func (e *Engine) lookUp(name string) (s commit.LogState, exists bool, err error) {
	if err := e.Err(); err != nil {
		return s, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return s, false, ErrClosed
	}
	if e.logs[name] != nil {
		return s, false, fmt.Errorf("log %s is open already", name)
	}
	for id, s := range e.known {
		if s.Name == name {
			return s, true, e.damaged[id]
		}
	}
	return s, false, nil
}

// create makes the folder of a new log: built beside, then renamed, so that it is there whole or not at all.
func (e *Engine) create(name string, o *LogOptions) (s commit.LogState, err error) {
	if err := e.checkReserve(o, minStep); err != nil {
		return s, err
	}
	e.mu.Lock()
	s = commit.LogState{ID: e.nextLog, Name: name}
	e.nextLog++
	e.mu.Unlock()
	fs, tmp := e.o.FS, path.Join(e.o.Dir, fmt.Sprintf("%d%s", s.ID, newSuffix))
	if err = fs.MkdirAll(tmp); err == nil {
		err = writeMeta(fs, tmp, s.ID)
	}
	if err == nil {
		var seg *segment.Segment
		if seg, err = segment.Create(fs, tmp, 0, o.IndexIntervalBytes); err == nil {
			err = seg.Release()
		}
	}
	if err == nil {
		err = fs.SyncDir(tmp)
	}
	if err == nil {
		err = fs.Rename(tmp, path.Join(e.o.Dir, name))
	}
	if err == nil {
		if err = fs.SyncDir(e.o.Dir); err != nil { // nobody knows the log, and the name must be free for another attempt
			if back := fs.Rename(path.Join(e.o.Dir, name), tmp); back != nil {
				return s, e.fail(errors.Join(err, back))
			}
		}
	}
	if err != nil {
		_ = removeAll(fs, tmp) // what is left, the next Open removes
		return s, e.growthError(fmt.Errorf("create log %s: %w", name, err))
	}
	e.know(s) // though it may not be opened now
	return s, nil
}

// Drop removes a log and its data, durably. Spans already given stay readable until released; batches still queued are
// reported to the Observer as ever. Errors: those of OpenLog, or that there is no such log.
func (e *Engine) Drop(name string) error {
	e.admin.Lock()
	defer e.admin.Unlock()
	s, l, err := e.beginDrop(name)
	if err != nil {
		return err
	}
	done := make(dropped)
	if err := e.committer.Enqueue(commit.Entry{Kind: commit.Drop, Log: s.ID, Ref: done}); err != nil {
		return e.refusal(err)
	}
	select {
	case <-done:
	case <-e.failed:
		return e.Err()
	}
	gone := path.Join(e.o.Dir, fmt.Sprintf("%d%s", s.ID, deletedSuffix))
	if err := e.moveAway(l, path.Join(e.o.Dir, name), gone); err != nil {
		return e.fail(fmt.Errorf("drop log %s: %w", name, err))
	}
	e.mu.Lock()
	delete(e.known, s.ID)
	delete(e.damaged, s.ID)
	delete(e.logs, name)
	delete(e.drops, s.ID)
	e.mu.Unlock()
	e.wantCheckpoint() // one may have been held back
	if l != nil {
		err = l.close()
	}
	e.wg.Go(func() { _ = removeAll(e.o.FS, gone) }) // the next Open goes on where this ends
	return err
}

// moveAway renames the folder of a log, when nobody is at work in it. l is nil when the log is not open.
func (e *Engine) moveAway(l *Log, dir, gone string) error {
	if l != nil {
		l.sealing.Lock() // who seals or compacts works by names, which may soon be another log's
		defer l.sealing.Unlock()
		l.growing.Lock()
		defer l.growing.Unlock()
		l.recapping.Lock()
		defer l.recapping.Unlock()
		l.mu.Lock()
		l.dropped = true
		l.mu.Unlock()
	}
	if err := e.o.FS.Rename(dir, gone); err != nil {
		return err
	}
	return e.o.FS.SyncDir(e.o.Dir)
}

// dropped is closed when a Drop entry is flushed.
type dropped chan struct{}

func (e *Engine) beginDrop(name string) (s commit.LogState, l *Log, err error) {
	if err := e.Err(); err != nil {
		return s, nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return s, nil, ErrClosed
	}
	for _, k := range e.known {
		if k.Name != name {
			continue
		}
		if l = e.logs[name]; l != nil {
			l.stop()
		}
		e.drops[k.ID] = e.committer.Durable()
		return k, l, nil
	}
	return s, nil, fmt.Errorf("drop: there is no log %s", name)
}

// Err is nil, or the first disk error wrapped in ErrFailed.
func (e *Engine) Err() error {
	e.errMu.Lock()
	defer e.errMu.Unlock()
	return e.err
}

// Failed is closed when the disk fails (Err says why).
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// fail makes err final for the whole disk (E4) and returns it wrapped.
func (e *Engine) fail(err error) error {
	e.note(err)
	e.committer.Fail(err)
	e.unlogged.Fail(err)
	return e.Err()
}

// note keeps the first error; tellFailure spreads it.
func (e *Engine) note(err error) {
	e.errMu.Lock()
	defer e.errMu.Unlock()
	if e.err != nil {
		return
	}
	e.err = fmt.Errorf("%w: %w", ErrFailed, err)
	close(e.failed)
	e.o.Logger.Error("disk has failed; nothing more is acknowledged, restart to recover", "dir", e.o.Dir, "err", err)
}

// tellFailure tells the observers when the disk fails. It is a goroutine of its own, since the failure may be found by an
// Append whose caller holds the lock that its observer takes.
func (e *Engine) tellFailure() {
	select {
	case <-e.stop:
		return
	case <-e.failed:
	}
	err := e.Err()
	e.committer.Fail(err)
	e.unlogged.Fail(err)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.logs {
		l.mu.Lock()
		l.settled.Broadcast()
		l.mu.Unlock()
		if l.opts().Observer != nil {
			l.opts().Observer.Failed(err)
		}
	}
}

// refusal turns what the commit log says into this package's errors.
func (e *Engine) refusal(err error) error {
	if errors.Is(err, commit.ErrClosed) {
		return ErrClosed
	}
	e.note(err)
	return e.Err()
}

// Close flushes what was appended, writes a checkpoint so that the next Open replays nothing, and closes all files. It returns the
// disk's error if it has failed.
func (e *Engine) Close() error {
	e.admin.Lock()
	defer e.admin.Unlock()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	logs := e.logs
	e.mu.Unlock()
	for _, l := range logs {
		l.stop()
	}
	// Checkpoints go on meanwhile: what is queued may need a recycled file.
	err := errors.Join(e.committer.Close(), e.unlogged.Close())
	close(e.stop)
	e.wg.Wait()
	if err == nil {
		err = e.Err()
	}
	if err == nil {
		err = e.checkpoint(true)
		e.lastChores()
	}
	for _, l := range logs {
		if err == nil {
			err = l.giveBackRoom()
		}
		err = errors.Join(err, l.close())
	}
	e.cache.Close()
	return errors.Join(err, e.lock.Close(), e.ring.Close())
}
