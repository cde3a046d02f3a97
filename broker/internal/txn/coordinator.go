package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// Log is a partition of __transaction_state. partition.Partition is one.
type Log interface {
	Append(b batch.Batch, own engine.Owner, w partition.Waiter) (engine.Appended, error)
	Replay(f func(batch.Batch) error) error
	Epoch() batch.Epoch
}

// Logs gives the partitions of __transaction_state. When the topic does not exist it makes it if create says so, else it gives none.
type Logs func(ctx context.Context, create bool) ([]Log, error)

// Marker is what ends a transaction in one partition.
type Marker struct {
	TopicPartition
	Producer
	Commit           bool
	CoordinatorEpoch batch.Epoch // the leader epoch of the partition of __transaction_state
}

// Sink writes markers to data partitions and to those of __consumer_offsets, whose committed offsets they decide, too.
type Sink interface {
	// WriteMarker writes a marker and calls done once, on any goroutine and perhaps before it returns: with nil when the marker is durable
	// or the partition is of a topic that does not exist any more; with ErrMarkerFenced when there is a newer one; with any other error
	// when it will not be written, and is to be tried again. It must not block.
	WriteMarker(m Marker, done func(error))
}

// IDs gives producer ids that were never given before. meta.Store is one.
type IDs interface {
	NewProducerID(ctx context.Context) (batch.ProducerID, error)
}

// Options are what a Coordinator works with. Logs, Sink, IDs and OffsetsOf must be set.
type Options struct {
	Limits
	Logs       Logs
	Sink       Sink
	IDs        IDs
	OffsetsOf  func(ctx context.Context, group string) (TopicPartition, error) // where a group's offsets lie, which it makes if need be
	MaxMarkers int                                                             // so many are under way at a time: 1000
	MaxIDs     int                                                             // so many ids are known at a time, until some expire: 1,000,000
	Logger     *slog.Logger                                                    // discard
}

// Coordinator is the transactional ids that this broker coordinates: all of them. Its methods may be called by any goroutine.
type Coordinator struct {
	opts    Options
	tickets atomic.Uint64
	clock   clock
	inbox   inbox
	markers markers
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex
	txns   map[string]*entry
	closed bool
}

// entry is one transactional id with its lock and those who wait for it.
type entry struct {
	id    string
	log   Log
	alarm alarm // the clock's

	mu      sync.Mutex
	t       *Txn
	waiting map[Ticket]func(answer any) // called outside mu; must not block. nil asks for the answer of a broker going down
	closed  bool                        // no more steps
}

// Open loads what was going on, and goes on with it: it writes the markers of what was decided, and aborts what is out of time. The caller
// must call Close. Errors: those of the logs, and of records that are none.
func Open(ctx context.Context, o Options) (*Coordinator, error) {
	if o.Version < 0 || o.Version > 2 {
		return nil, fmt.Errorf("transaction.version %d is not 0, 1 or 2", o.Version)
	}
	o.defaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxMarkers == 0 {
		o.MaxMarkers = 1000
	}
	if o.MaxIDs == 0 {
		o.MaxIDs = 1_000_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{opts: o, txns: map[string]*entry{}}
	c.inbox.wake, c.clock.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	c.markers.max = o.MaxMarkers
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	all := slices.Collect(maps.Values(c.txns))
	for _, e := range all {
		c.step(e, Resume{}, 0, nil)
	}
	c.wg.Go(c.run)
	return c, nil
}

// Close answers all who wait with ErrNotAvailable, and all who come. Records and markers under way may still become durable: the next
// start goes on from there.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.txns
	c.txns = map[string]*entry{}
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	for _, e := range all {
		e.mu.Lock()
		waiting := e.waiting
		e.waiting, e.closed = nil, true
		e.mu.Unlock()
		for _, f := range waiting {
			f(nil)
		}
	}
}

// find gives the entry of an id, nil when there is none. With a log it makes one, unless there are as many as may be.
func (c *Coordinator) find(id string, log Log) (e *entry, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.txns[id]
	if e == nil && log != nil && !c.closed && len(c.txns) < c.opts.MaxIDs {
		e = &entry{id: id, log: log, t: New(c.opts.Limits), waiting: map[Ticket]func(any){}}
		c.txns[id] = e
	}
	return e, !c.closed
}

// forget lets a dead id go.
func (c *Coordinator) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.txns[e.id] == e {
		delete(c.txns, e.id)
	}
}

// logOf is where the records of an id that is not known yet go.
func (c *Coordinator) logOf(ctx context.Context, id string) (Log, error) {
	all, err := c.opts.Logs(ctx, true)
	if err == nil && len(all) == 0 {
		err = errors.New("the topic has no partition")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: __transaction_state: %v", ErrNotAvailable, err)
	}
	return all[partition.ForKey(id, len(all))], nil
}

// step runs the core on one event and does what it says. It is false when the id is dead, and then answer is not called.
func (c *Coordinator) step(e *entry, ev Event, ticket Ticket, answer func(any)) bool {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		if ticket != 0 {
			answer(nil)
		}
		return true
	}
	if e.t.Dead() {
		e.mu.Unlock()
		return false
	}
	if ticket != 0 {
		e.waiting[ticket] = answer
	}
	fx := e.t.Step(time.Now(), ev)
	give := make([]func(any), len(fx))
	for i, f := range fx {
		if a, ok := f.(Answer); ok {
			give[i] = e.waiting[a.Ticket]
			delete(e.waiting, a.Ticket)
		}
	}
	at, ok := e.t.Deadline()
	c.clock.set(e, at, ok)
	dead := e.t.Dead()
	e.mu.Unlock()
	if dead {
		c.forget(e)
	}
	for i, f := range fx {
		switch f := f.(type) {
		case Answer:
			give[i](f.Answer)
		case Write:
			c.write(e, f)
		case Mark:
			c.markers.add(e, Marker{f.Part, f.Who, f.Commit, e.log.Epoch()})
		case Allocate:
			c.allocate(e)
		}
	}
	c.pump()
	return true
}

// allocate asks for a producer id on a goroutine of its own, for it may wait for a flush. There is at most one for each id.
func (c *Coordinator) allocate(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed { // else Close waits already, and answers whoever waits
		c.wg.Go(func() {
			id, err := c.opts.IDs.NewProducerID(c.ctx)
			c.inbox.post(e, Allocated{id, err})
		})
	}
}

// write appends the record of an id. The flush is shared with whatever else the disk is asked to flush.
func (c *Coordinator) write(e *entry, w Write) {
	var value []byte
	if !w.Tombstone {
		value = appendValue(nil, &w.Meta, c.opts.Version)
	}
	var b batch.Builder
	b.Add(c.opts.Now(), appendKey(nil, e.id), value)
	if _, err := e.log.Append(b.Batch(), nil, written{c, e}); err != nil {
		c.inbox.post(e, Written{Err: err})
	}
}

// written is a record on its way to the disk.
type written struct {
	c *Coordinator
	e *entry
}

// Done passes the news on: it comes on a goroutine that must not be held up.
func (w written) Done(err error) { w.c.inbox.post(w.e, Written{Err: err, Lost: err != nil}) }
