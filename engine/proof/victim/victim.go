package victim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// cacheBytes is small, so that some reads are served from memory and some from files.
const cacheBytes = 128 << 10

// Options are what makes files small and everything frequent: rolls, checkpoints, recycling. The parent opens with the same.
func Options(fs disk.FS, dir string) engine.Options {
	return engine.Options{FS: fs, Dir: dir, CommitFileBytes: 64 << 10, CommitFiles: 3, GroupBytes: 16 << 10, ReserveBytes: -1, CacheBytes: cacheBytes}
}

// LogOptions go with Options.
func LogOptions(o engine.Observer) engine.LogOptions {
	return engine.LogOptions{Observer: o, SegmentBytes: 6000, IndexIntervalBytes: 500}
}

const (
	logs    = 6
	writers = 4
	maxSize = 1500 // of a batch, but for its headers, in bytes
	window  = 4    // batches that a writer has in flight
)

// Main is the program. It returns the exit status: 0 after a clean Close, 2 for wrong arguments, 3 when something was seen that
// must not be, 4 when the disk failed.
func Main(args []string) int {
	f := flag.NewFlagSet("victim", flag.ContinueOnError)
	dir := f.String("dir", "", "data directory")
	life := f.Uint("life", 0, "number of this life")
	seed := f.Uint64("seed", 1, "seed")
	batches := f.Int64("batches", 3000, "stop after this many")
	die := f.String("die", "", "WHEN:OP:PATTERN:N: end by SIGKILL before or after the N-th operation OP on a name that matches")
	if err := f.Parse(args); err != nil || *dir == "" {
		return 2
	}
	fs, err := deadly(disk.OS{}, *die)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	v := &program{life: uint32(*life), seed: *seed}
	v.left.Store(*batches)
	return v.run(fs, *dir)
}

// deadly is a disk that kills the process at the operation that the text names.
func deadly(fs disk.FS, text string) (disk.FS, error) {
	if text == "" {
		return fs, nil
	}
	part := strings.SplitN(text, ":", 4)
	if len(part) != 4 {
		return nil, fmt.Errorf("-die %q: want WHEN:OP:PATTERN:N", text)
	}
	n, err := strconv.ParseInt(part[3], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("-die %q: %w", text, err)
	}
	if _, err := path.Match(part[2], ""); err != nil {
		return nil, fmt.Errorf("-die %q: %w", text, err)
	}
	var left atomic.Int64
	left.Store(n)
	return Around(fs, func(c *Call, do func() error) error {
		matches, _ := path.Match(part[2], path.Base(c.Name)) // the pattern is good
		now := matches && (part[1] == "*" || part[1] == string(c.Op)) && left.Add(-1) == 0
		if now && part[0] == "before" {
			perish()
		}
		err := do()
		if now {
			perish()
		}
		return err
	}), nil
}

// perish ends the process as kill -9 does.
func perish() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it arrives
}

// program is the state of one life.
type program struct {
	life uint32
	seed uint64
	left atomic.Int64 // batches to go
	e    *engine.Engine
	slot [logs]slot
	ends atomic.Int32 // exit status, once not 0

	stop chan struct{}
	once sync.Once
}

// slot is one log by name. Appends share its lock, drops take it alone.
type slot struct {
	sync.RWMutex
	name string
	inc  uint32
	log  *engine.Log
	w    *Watcher
	seq  [writers]uint32 // of each writer's next batch
}

func say(format string, a ...any) {
	_, _ = os.Stdout.WriteString(fmt.Sprintf(format, a...) + "\n") // without a parent there is nobody to tell
}

func (p *program) end(status int32, format string, a ...any) {
	if p.ends.CompareAndSwap(0, status) {
		say(format, a...)
	}
	p.once.Do(func() { close(p.stop) })
}

func (p *program) run(fs disk.FS, dir string) int {
	p.stop = make(chan struct{})
	e, err := engine.Open(context.Background(), Options(fs, dir))
	if err != nil {
		say("x Open: %v", err)
		return 3
	}
	p.e = e
	for i := range p.slot {
		p.slot[i].name = fmt.Sprintf("t-%d", i)
	}
	say("ready")
	var wg, rest sync.WaitGroup
	for w := range writers {
		wg.Go(func() { p.write(uint32(w), rand.New(rand.NewPCG(p.seed, uint64(w)))) })
	}
	rest.Go(func() { p.read(rand.New(rand.NewPCG(p.seed, 100))) })
	wg.Wait()
	p.once.Do(func() { close(p.stop) })
	rest.Wait()
	if err := e.Close(); err != nil {
		p.fault("Close", err)
	} else if p.ends.Load() == 0 {
		say("closed")
	}
	return int(p.ends.Load())
}

// fault sorts an error: the end of the disk, or something that must not be.
func (p *program) fault(what string, err error) {
	if errors.Is(err, engine.ErrFailed) || errors.Is(err, syscall.EIO) || p.e.Err() != nil {
		p.end(4, "f %s: %v", what, err)
		return
	}
	p.end(3, "x %s: %v", what, err)
}

func (p *program) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// sent is a batch that waits for its acknowledgement.
type sent struct {
	id   ID
	base batch.Offset
	next batch.Offset
	w    *Watcher
}

func (p *program) write(writer uint32, rng *rand.Rand) {
	var inFlight []sent
	for !p.stopped() && p.left.Add(-1) >= 0 {
		s := &p.slot[rng.IntN(logs)]
		if rng.IntN(150) == 0 && !p.drop(s) {
			return
		}
		one, ok := p.appendTo(s, writer, rng)
		if !ok {
			return
		}
		inFlight = append(inFlight, one)
		if len(inFlight) == window || rng.IntN(2) == 0 {
			if !p.confirm(inFlight) {
				return
			}
			inFlight = inFlight[:0]
		}
	}
	p.confirm(inFlight)
}

func (p *program) appendTo(s *slot, writer uint32, rng *rand.Rand) (out sent, ok bool) {
	for {
		if !p.open(s) {
			return out, false
		}
		s.RLock()
		if s.log != nil {
			break
		}
		s.RUnlock() // dropped by another writer just now
	}
	defer s.RUnlock()
	id := ID{Log: s.name, Life: p.life, Inc: s.inc, Writer: writer, Seq: s.seq[writer]}
	b := Make(id, rng.IntN(maxSize))
	at, err := s.log.Append(b, Epoch, Scribbler(b))
	if err != nil {
		p.fault("Append", err)
		return out, false
	}
	s.seq[writer]++
	return sent{id: id, base: at.Base, next: at.Last + 1, w: s.w}, true
}

// open makes sure that the slot has its log.
func (p *program) open(s *slot) bool {
	s.RLock()
	have := s.log != nil
	s.RUnlock()
	if have {
		return true
	}
	s.Lock()
	defer s.Unlock()
	if s.log != nil {
		return true
	}
	say("c %s %d", s.name, s.inc)
	s.w = NewWatcher()
	l, err := p.e.OpenLog(s.name, LogOptions(s.w))
	if err != nil {
		p.fault("OpenLog "+s.name, err)
		return false
	}
	s.log = l
	return true
}

func (p *program) drop(s *slot) bool {
	s.Lock()
	defer s.Unlock()
	if s.log == nil {
		return true
	}
	say("d %s %d", s.name, s.inc)
	if err := p.e.Drop(s.name); err != nil {
		p.fault("Drop "+s.name, err)
		return false
	}
	say("D %s %d", s.name, s.inc)
	s.log, s.w, s.seq = nil, nil, [writers]uint32{}
	s.inc++
	return true
}

// confirm waits for acknowledgements and passes them on.
func (p *program) confirm(list []sent) bool {
	for _, s := range list {
		if err := s.w.Wait(s.next); err != nil {
			p.fault("flush", err)
			return false
		}
		say("a %s %d %d %d %d %d", s.id.Log, s.id.Life, s.id.Inc, s.id.Writer, s.id.Seq, s.base)
	}
	return true
}

// read reads what is flushed, at random places, until the writers are done.
func (p *program) read(rng *rand.Rand) {
	for !p.stopped() {
		s := &p.slot[rng.IntN(logs)]
		s.RLock()
		l := s.log
		s.RUnlock()
		if l == nil {
			continue
		}
		end := l.FlushedEnd()
		if end == 0 {
			continue
		}
		if err := Read(l, batch.Offset(rng.Int64N(int64(end))), end, 4096, nil); err != nil && !errors.Is(err, engine.ErrClosed) {
			p.fault("Read "+s.name, err)
			return
		}
	}
}

// Read reads one span and checks every batch in it: contiguous, and byte for byte what was appended. each may be nil.
func Read(l *engine.Log, from, end batch.Offset, maxBytes int, each func(ID, batch.Batch)) error {
	span, err := l.Read(from, end, maxBytes)
	if err != nil {
		return err
	}
	defer span.Release()
	b, err := span.AppendTo(nil)
	if err != nil {
		return err
	}
	at := batch.NoOffset
	for len(b) > 0 {
		one, err := batch.First(b)
		if err != nil {
			return fmt.Errorf("log %s at offset %d: %w", l.Name(), max(at, from), err)
		}
		id, err := Check(l.Name(), one)
		if err != nil {
			return fmt.Errorf("log %s: %w", l.Name(), err)
		}
		if at == batch.NoOffset && one.BaseOffset() > from || at != batch.NoOffset && one.BaseOffset() != at {
			return fmt.Errorf("log %s: a batch at offset %d where %d should be", l.Name(), one.BaseOffset(), max(at, from))
		}
		if each != nil {
			each(id, one)
		}
		at = one.NextOffset()
		b = b[len(one):]
	}
	if at != batch.NoOffset && at != span.Next() {
		return fmt.Errorf("log %s: the span says it ends at offset %d, its last batch at %d", l.Name(), span.Next(), at)
	}
	if at == batch.NoOffset && from < end {
		return fmt.Errorf("log %s: nothing at offset %d, flushed up to %d", l.Name(), from, end)
	}
	return nil
}

// Scribbler overwrites a batch as soon as it is released: whoever still uses it then stores garbage.
type Scribbler batch.Batch

// Release implements engine.Owner.
func (s Scribbler) Release() {
	for i := range s {
		s[i] = 0xDB
	}
}

// Watcher is an Observer that lets a goroutine wait for a flush.
type Watcher struct {
	mu   sync.Mutex
	cond sync.Cond
	end  batch.Offset
	err  error
}

// NewWatcher makes one for a new log; for one that has records the first Flushed sets the end.
func NewWatcher() *Watcher {
	w := &Watcher{}
	w.cond.L = &w.mu
	return w
}

// Flushed implements engine.Observer.
func (w *Watcher) Flushed(end batch.Offset) {
	w.mu.Lock()
	if end < w.end {
		panic(fmt.Sprintf("flushed end went back from %d to %d", w.end, end))
	}
	w.end = end
	w.mu.Unlock()
	w.cond.Broadcast()
}

// Failed implements engine.Observer.
func (w *Watcher) Failed(err error) {
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.cond.Broadcast()
}

// Wait returns when everything below end is flushed, or with the error after which it never will be.
func (w *Watcher) Wait(end batch.Offset) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.end < end && w.err == nil {
		w.cond.Wait()
	}
	if w.end >= end {
		return nil
	}
	return w.err
}

// End is how far the log is flushed.
func (w *Watcher) End() batch.Offset {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}
