package partition

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// Waiter waits for records to be committed. Done is called once, must not block, and must not call the Partition.
type Waiter interface {
	// Done says that the records are committed (nil), or never will be as far as this broker can say.
	Done(err error)
}

// Partition is one open partition that this broker leads. Its methods may be called by any goroutine.
type Partition struct {
	log   *engine.Log
	epoch batch.Epoch
	high  atomic.Int64 // mirrors core.high for readers

	traffic traffic

	mu      sync.Mutex
	core    Core
	err     error                    // why no waiter can be completed any more; set once
	waiters []waiting                // by offset
	readers map[*Reader]batch.Offset // each waits for the high watermark to pass its offset
}

type waiting struct {
	until  batch.Offset // committed when the high watermark reaches it
	waiter Waiter
}

// Reader waits for more to read, in as many partitions as it likes. C gets a token when one of them has more.
type Reader struct {
	C chan struct{}
}

// NewReader makes a Reader.
func NewReader() *Reader { return &Reader{C: make(chan struct{}, 1)} }

func (r *Reader) wake() {
	select {
	case r.C <- struct{}{}:
	default:
	}
}

// Open opens the log of that name, created when missing, and leads it in the given epoch.
func Open(e *engine.Engine, name string, epoch batch.Epoch, o engine.LogOptions) (*Partition, error) {
	p := &Partition{epoch: epoch, readers: map[*Reader]batch.Offset{}}
	o.Observer = observer{p}
	log, err := e.OpenLog(name, o)
	if err != nil {
		return nil, fmt.Errorf("open partition %s: %w", name, err)
	}
	p.log = log
	p.step(BecomeLeader{Epoch: epoch, Flushed: log.FlushedEnd()}, nil)
	return p, nil
}

// observer keeps the engine's calls out of Partition's own methods.
type observer struct{ p *Partition }

func (o observer) Flushed(end batch.Offset) { o.p.step(Flushed{end}, nil) }

func (o observer) Failed(err error) { o.p.step(Failed{}, fmt.Errorf("%w: %w", engine.ErrFailed, err)) }

// step runs the core and tells whom it concerns, outside the lock. err is the reason where the event is Failed.
func (p *Partition) step(e Event, err error) {
	p.mu.Lock()
	fx := p.core.Step(e)
	var done []waiting
	var wake []*Reader
	if fx.Committed != batch.NoOffset {
		p.high.Store(int64(fx.Committed))
		done = p.takeWaiters(fx.Committed)
		wake = p.takeReaders(fx.Committed)
	}
	var failed []waiting
	if fx.Fail {
		failed, wake = p.fail(err), append(wake, p.takeReaders(1<<62)...)
	}
	p.mu.Unlock()
	tell(done, nil)
	tell(failed, err)
	for _, r := range wake {
		r.wake()
	}
}

func tell(ws []waiting, err error) {
	for _, w := range ws {
		w.waiter.Done(err)
	}
}

// takeWaiters cuts off the waiters at or below high. Callers hold mu.
func (p *Partition) takeWaiters(high batch.Offset) []waiting {
	n, _ := slices.BinarySearchFunc(p.waiters, high+1, func(w waiting, o batch.Offset) int { return int(w.until - o) })
	if n == 0 {
		return nil
	}
	done := slices.Clone(p.waiters[:n])
	p.waiters = slices.Delete(p.waiters, 0, n)
	return done
}

func (p *Partition) takeReaders(high batch.Offset) []*Reader {
	var out []*Reader
	for r, from := range p.readers {
		if from < high {
			out = append(out, r)
			delete(p.readers, r)
		}
	}
	return out
}

// fail makes err final and gives all waiters. Callers hold mu.
func (p *Partition) fail(err error) []waiting {
	if p.err == nil {
		p.err = err
	}
	all := p.waiters
	p.waiters = nil
	return all
}

// Append appends a batch that the caller has checked (engine.Log.Append says what about) and, when w is not nil, lets w wait
// until it is committed. A duplicate waits for the first copy. Ownership of b and the errors are as for engine.Log.Append;
// on an error w is not called.
func (p *Partition) Append(b batch.Batch, own engine.Owner, w Waiter) (engine.Appended, error) {
	size := len(b) // once it is appended, b may be somebody else's
	a, err := p.log.Append(b, p.epoch, own)
	if err != nil {
		return a, err
	}
	if !a.Duplicate {
		p.traffic.appended(a.Last+1-a.Base, size)
	}
	p.mu.Lock()
	if !a.Duplicate {
		p.core.Step(Appended{a.Last + 1}) // completes nobody: only a flush does
	}
	failed := p.err
	ready := a.Last+1 <= p.core.HighWatermark()
	if w != nil && !ready && failed == nil {
		p.wait(waiting{a.Last + 1, w})
	}
	p.mu.Unlock()
	if w != nil && (ready || failed != nil) {
		if ready {
			failed = nil
		}
		w.Done(failed)
	}
	return a, nil
}

// wait files a waiter by offset: nearly always at the end, but two connections may come in the other order. Callers hold mu.
func (p *Partition) wait(w waiting) {
	i := len(p.waiters)
	for i > 0 && p.waiters[i-1].until > w.until {
		i--
	}
	p.waiters = slices.Insert(p.waiters, i, w)
}

// Read gives committed batches from an offset on, up to a high watermark or last stable offset that Ends gave, as engine.Log.Read does.
func (p *Partition) Read(from, upper batch.Offset, maxBytes int) (engine.Span, error) {
	return p.log.Read(from, upper, maxBytes)
}

// Ends are the high watermark, and the last stable offset for it: below that every transaction has ended.
func (p *Partition) Ends() (high, stable batch.Offset) {
	high = p.HighWatermark()
	return high, p.log.Stable(high)
}

// Await lets r be woken once when there is more to read than up to from. It says false, and does nothing, when there is
// already, or when there never will be.
func (p *Partition) Await(r *Reader, from batch.Offset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || p.core.HighWatermark() > from {
		return false
	}
	p.readers[r] = from
	return true
}

// Err is nil, or why nothing more will be committed.
func (p *Partition) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Forget takes r back.
func (p *Partition) Forget(r *Reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.readers, r)
}

// HighWatermark is the end of what is committed.
func (p *Partition) HighWatermark() batch.Offset { return batch.Offset(p.high.Load()) }

// Start is the first offset kept.
func (p *Partition) Start() batch.Offset { return p.log.StartOffset() }

// Epoch is the leader epoch.
func (p *Partition) Epoch() batch.Epoch { return p.epoch }

// Log is the log, for the searches by time.
func (p *Partition) Log() *engine.Log { return p.log }

// CheckEpoch compares the leader epoch that a client knows with ours (KIP-320). NoEpoch is a client that does not say.
// Errors: ErrFencedEpoch, ErrUnknownEpoch.
func (p *Partition) CheckEpoch(client batch.Epoch) error {
	switch {
	case client == batch.NoEpoch || client == p.epoch:
		return nil
	case client < p.epoch:
		return fmt.Errorf("%w: the client is at %d, the leader at %d", ErrFencedEpoch, client, p.epoch)
	}
	return fmt.Errorf("%w: the client is at %d, the leader at %d", ErrUnknownEpoch, client, p.epoch)
}

// Close completes all waiters with ErrClosed and wakes all readers. The log itself is the engine's to close or drop.
func (p *Partition) Close() {
	p.mu.Lock()
	ws := p.fail(ErrClosed)
	err := p.err
	wake := p.takeReaders(1 << 62)
	p.mu.Unlock()
	tell(ws, err)
	for _, r := range wake {
		r.wake()
	}
}
