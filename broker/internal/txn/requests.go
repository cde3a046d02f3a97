package txn

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Reply is an answer that may be yet to come.
type Reply[T any] struct {
	c chan T
}

// Ready says that Wait would not wait.
func (r *Reply[T]) Ready() bool { return len(r.c) > 0 }

// Wait waits for the answer, once, or until ctx ends.
func (r *Reply[T]) Wait(ctx context.Context) (t T, err error) {
	select {
	case t = <-r.c:
		return t, nil
	case <-ctx.Done():
		return t, fmt.Errorf("wait for the transaction coordinator: %w", context.Cause(ctx))
	}
}

func now[T any](t T) *Reply[T] {
	r := &Reply[T]{make(chan T, 1)}
	r.c <- t
	return r
}

// ask puts one event to an id. failed is the answer for an error that comes from here.
func ask[T any](c *Coordinator, id string, log Log, failed func(error) T, event func(Ticket) Event) *Reply[T] {
	r := &Reply[T]{make(chan T, 1)}
	c.tell(id, log, event, func(err error) { r.c <- failed(err) }, func(a any) { r.c <- a.(T) })
	return r
}

// tell puts one event to an id and has either failed or answer called, once, perhaps later.
func (c *Coordinator) tell(id string, log Log, event func(Ticket) Event, failed func(error), answer func(any)) (e *entry) {
	ticket := Ticket(c.tickets.Add(1))
	for {
		e, open := c.find(id, log)
		switch {
		case !open:
			failed(ErrNotAvailable)
			return nil
		case id == "":
			failed(fmt.Errorf("%w: the transactional id is empty", ErrInvalidRequest))
			return nil
		case e == nil && log != nil:
			failed(fmt.Errorf("%w: there are %d transactional ids already; those that are not used expire", ErrNotAvailable, c.opts.MaxIDs))
			return nil
		case e == nil:
			failed(fmt.Errorf("%w: there is no transactional id %q", ErrInvalidMapping, id))
			return nil
		}
		if c.step(e, event(ticket), ticket, func(a any) {
			if a == nil {
				failed(ErrNotAvailable)
				return
			}
			answer(a)
		}) {
			return e
		} // else it died after it was looked up: look again
		c.forget(e)
	}
}

// InitProducerID gives a producer with a transactional id its producer id and epoch (key 22), and fences those that had it before. current
// is what the client has (KIP-360), None if nothing. Who has no transactional id gets its producer id from IDs directly.
// Errors: ErrInvalidRequest, ErrInvalidTimeout, ErrConcurrent, ErrFenced, ErrNotAvailable.
func (c *Coordinator) InitProducerID(ctx context.Context, id string, timeoutMs int32, current Producer) *Reply[InitAnswer] {
	failed := func(err error) InitAnswer { return InitAnswer{None, err} }
	switch {
	case id == "" || len(id) > math.MaxInt16:
		return now(failed(fmt.Errorf("%w: a transactional id has 1 to %d bytes", ErrInvalidRequest, math.MaxInt16)))
	case (current.ID == None.ID) != (current.Epoch == None.Epoch) || current.ID < None.ID || current.Epoch < None.Epoch:
		return now(failed(fmt.Errorf("%w: producer id %d with epoch %d", ErrInvalidRequest, current.ID, current.Epoch)))
	case timeoutMs <= 0 || time.Duration(timeoutMs)*time.Millisecond > c.opts.MaxTimeout:
		return now(failed(fmt.Errorf("%w, or is none: %d ms, at most %d", ErrInvalidTimeout, timeoutMs, c.opts.MaxTimeout.Milliseconds())))
	}
	log, err := c.logOf(ctx, id)
	if err != nil {
		return now(failed(err))
	}
	var expected *Producer
	if current != None {
		expected = &current
	}
	return ask(c, id, log, failed, func(t Ticket) Event { return Init{t, timeoutMs, expected} })
}

// AddPartitions adds partitions to the transaction (key 24), and begins it where there is none. protocol is 0 for versions 0 to 3, which
// clients send, and 2 for versions 4 and 5, by which a broker adds them for a client; one call for each transaction of such a request, and
// Verify for those that are to be verified only. That the partitions exist is the caller's to check.
// Errors: ErrInvalidRequest, ErrInvalidMapping, ErrFenced, ErrConcurrent, ErrTooManyInOne, ErrNotAvailable.
func (c *Coordinator) AddPartitions(id string, who Producer, parts []TopicPartition, protocol int16) *Reply[ErrAnswer] {
	failed := func(err error) ErrAnswer { return ErrAnswer{err} }
	return ask(c, id, nil, failed, func(t Ticket) Event { return Add{t, who, parts, protocol} })
}

// AddOffsets adds the partition of __consumer_offsets that the group's offsets lie in (key 25). Errors: as AddPartitions.
func (c *Coordinator) AddOffsets(ctx context.Context, id string, who Producer, group string) *Reply[ErrAnswer] {
	part, err := c.opts.OffsetsOf(ctx, group)
	if err != nil {
		return now(ErrAnswer{fmt.Errorf("%w: __consumer_offsets: %v", ErrNotAvailable, err)})
	}
	return c.AddPartitions(id, who, []TopicPartition{part}, 0)
}

// EndTxn commits or aborts (key 26). protocol is 2 for version 5, whose answer carries the producer id and epoch to go on with, and 0 for
// older ones. Errors: ErrInvalidRequest, ErrInvalidMapping, ErrFenced, ErrConcurrent, ErrInvalidState, ErrNotAvailable, and ErrUnsupported
// for protocol 2 while transaction.version is lower.
func (c *Coordinator) EndTxn(id string, who Producer, commit bool, protocol int16) *Reply[EndAnswer] {
	failed := func(err error) EndAnswer { return EndAnswer{None, err} }
	if protocol > c.opts.Version && protocol >= 2 { // the records of that version have no room for what it needs
		return now(failed(ErrUnsupported))
	}
	return ask(c, id, nil, failed, func(t Ticket) Event { return End{t, who, commit, protocol} })
}

// Admission is the leave to append records of a transaction. Release must be called once they are in the log, whatever became of them: the
// markers of those partitions wait for it.
type Admission struct {
	c     *Coordinator
	reply Reply[[]error]

	mu       sync.Mutex
	entry    *entry
	parts    []TopicPartition // those that were asked for; once it is answered, those admitted
	answered bool
	released bool
}

// Admit asks before records of a transaction are appended to partitions, by Produce (key 0) or TxnOffsetCommit (key 28). parts is not
// changed.
//
// Of a client of protocol 1 (Produce to 11, TxnOffsetCommit to 4) the partitions must have been added; it is answered at once. For protocol 2
// (implicit) they are added now, and the answer comes when that is durable; while the markers of the last transaction are being written it
// waits for them, up to Limits.AdmitWait.
//
// Errors, one for each partition: ErrAbortable, or for all of them ErrInvalidRequest, ErrInvalidMapping, ErrFenced, ErrConcurrent,
// ErrTooManyInOne, ErrNotAvailable, ErrUnsupported. Answerable turns them into what that version of the request knows.
func (c *Coordinator) Admit(id string, who Producer, parts []TopicPartition, implicit bool) *Admission {
	a := &Admission{c: c, reply: Reply[[]error]{make(chan []error, 1)}, parts: parts}
	failed := func(err error) {
		a.answer(slices.Repeat([]error{err}, len(parts)))
	}
	if implicit && c.opts.Version < 2 {
		failed(ErrUnsupported)
		return a
	}
	e := c.tell(id, nil, func(t Ticket) Event { return Admit{Ticket: t, Who: who, Parts: parts, Implicit: implicit} }, failed,
		func(answer any) { a.answer(answer.(AdmitAnswer).Errs) })
	a.mu.Lock()
	a.entry = e
	a.mu.Unlock()
	a.releaseIfDue()
	return a
}

// Ready says that Wait would not wait.
func (a *Admission) Ready() bool { return a.reply.Ready() }

// Wait waits for the answer, once, or until ctx ends: an error or nil for each partition. Release must be called in either case.
func (a *Admission) Wait(ctx context.Context) ([]error, error) { return a.reply.Wait(ctx) }

// Release says that nothing more will be appended. It may be called at any time; only the first call counts.
func (a *Admission) Release() {
	a.mu.Lock()
	a.released = true
	a.mu.Unlock()
	a.releaseIfDue()
}

func (a *Admission) answer(errs []error) {
	var in []TopicPartition
	for i, p := range a.parts {
		if errs[i] == nil {
			in = append(in, p)
		}
	}
	a.mu.Lock()
	a.parts, a.answered = in, true
	a.mu.Unlock()
	a.reply.c <- errs
	a.releaseIfDue()
}

// releaseIfDue releases once all of it is there: the answer, the entry, and the call of Release.
func (a *Admission) releaseIfDue() {
	a.mu.Lock()
	var in []TopicPartition
	e := a.entry
	if a.answered && a.released && e != nil {
		in, a.parts = a.parts, nil
	}
	a.mu.Unlock()
	if len(in) > 0 {
		a.c.step(e, Release{in}, 0, nil)
	}
}

// Verify says for each partition whether it is in the ongoing transaction (key 24, versions 4 and 5, verifyOnly). Errors: as Admit. It lets
// nobody in: it is for a broker that asks for itself.
func (c *Coordinator) Verify(id string, who Producer, parts []TopicPartition) []error {
	a := c.Admit(id, who, parts, false)
	defer a.Release()
	return <-a.reply.c // never parked
}
