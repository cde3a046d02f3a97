package txn

import (
	"fmt"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// Limits bound what producers may ask for, and say when things are done. Zero values mean the defaults given.
type Limits struct {
	MaxTimeout     time.Duration // transaction.max.timeout.ms: 15 min
	Expiration     time.Duration // transactional.id.expiration.ms: 7 days
	AbortInterval  time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms: 10 s
	ExpireInterval time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms: 1 h
	AdmitWait      time.Duration // add.partitions.to.txn.retry.backoff.max.ms: 100 ms; how long an Admit may be parked
	MaxParked      int           // so many Admits of one id are parked: 1000
	MaxRecordBytes int           // the largest record that is written: 900 KiB, so that its batch fits a log's default limit
	Retry          time.Duration // the first pause before a marker or record is tried again, doubled up to 50 times that: 100 ms
	Version        int16         // the finalized transaction.version, 0 to 2. The zero value is 0: set it

	// Now is the wall clock, for what is written down and shown; nil: the time of the step. Nothing times out by it, but that of the life of
	// the program before this one.
	Now func() time.Time
}

func (l *Limits) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.MaxTimeout, 15*time.Minute)
	set(&l.Expiration, 7*24*time.Hour)
	set(&l.AbortInterval, 10*time.Second)
	set(&l.ExpireInterval, time.Hour)
	set(&l.AdmitWait, 100*time.Millisecond)
	set(&l.Retry, 100*time.Millisecond)
	if l.MaxParked == 0 {
		l.MaxParked = 1000
	}
	if l.MaxRecordBytes == 0 {
		l.MaxRecordBytes = 900 << 10
	}
}

// maxDoublings bounds the pause between tries to about 50 times the first.
const maxDoublings = 6

// Txn is the state machine of one transactional id. Use New or Load. It is not safe for concurrent use.
type Txn struct {
	limits  Limits
	meta    Meta             // what is durable
	fresh   bool             // nothing is
	pending *pending         // a change on its way; nothing else may change meanwhile
	spare   batch.ProducerID // allocated and not used yet
	lost    error            // why it is not known what the log holds: nothing works until the next start

	started time.Time // of meta.StartedMs and meta.UpdatedMs, by the clock of Step, so that the wall clock may jump
	updated time.Time

	left    map[TopicPartition]markState // while it ends: partitions whose marker is not written
	retryAt time.Time                    // when what failed is tried again; zero when nothing did
	tries   int                          // how often it failed
	inside  map[TopicPartition]int       // admitted and not released
	parked  []Admit

	now     time.Time // of this step
	effects []Effect  // of this step
}

type markState uint8

const (
	markHeld   markState = iota // to be sent as soon as nobody is inside
	markSent                    // not answered yet
	markFailed                  // to be sent again
)

// pending is a change on its way: a record, or the producer id that has to be had first.
type pending struct {
	next      Meta
	at        time.Time
	tombstone bool
	then      func(err error)
	again     Event // what is to be run again when the id is there; then nothing is being written
}

// New gives the machine of an id that nothing is known of. Its first event must be an Init.
func New(l Limits) *Txn {
	l.defaults()
	m := Meta{Producer: None, LastEpoch: NoEpoch, Previous: batch.NoProducerID, Next: batch.NoProducerID, UpdatedMs: NoTime, StartedMs: NoTime}
	return &Txn{limits: l, meta: m, fresh: true, spare: batch.NoProducerID}
}

// Load gives the machine of an id whose last record, at the time now, is m. Its first event must be Resume. What m says of times to come was
// written while the clock was ahead, and counts as now.
func Load(l Limits, now time.Time, m Meta) *Txn {
	t := New(l)
	t.meta, t.fresh, t.now = m, false, now
	ago := func(ms int64) time.Time { return now.Add(-max(t.wall().Sub(time.UnixMilli(ms)), 0)) }
	t.started, t.updated = ago(m.StartedMs), ago(m.UpdatedMs)
	return t
}

// Meta is what is durable of the id. ok is false when nothing is.
func (t *Txn) Meta() (m Meta, ok bool) { return t.meta, !t.fresh && t.meta.State != Dead }

// Dead says that the id is gone and takes no more events.
func (t *Txn) Dead() bool { return t.meta.State == Dead }

// Step takes one event at the time now and gives what is to be done. The effects are the caller's. now should have a monotonic reading, for
// deadlines do not follow the wall clock then. Time may go back: what is due is due later then.
func (t *Txn) Step(now time.Time, e Event) []Effect {
	t.now, t.effects = now, nil
	switch e := e.(type) {
	case Init:
		t.onInit(e)
	case Add:
		t.onAdd(e)
	case Admit:
		t.onAdmit(e)
	case Release:
		t.onRelease(e)
	case End:
		t.onEnd(e)
	case Written:
		t.onWritten(e)
	case Marked:
		t.onMarked(e)
	case Allocated:
		t.onAllocated(e)
	case Resume:
		if t.meta.State.ends() {
			t.mark()
		}
	case Tick:
		t.onTick()
	default:
		panic(fmt.Sprintf("txn: unknown event %T", e))
	}
	return t.effects
}

func (t *Txn) emit(f Effect) { t.effects = append(t.effects, f) }

func (t *Txn) answer(ticket Ticket, a any) {
	if ticket != 0 {
		t.emit(Answer{ticket, a})
	}
}

func (t *Txn) wall() time.Time {
	if t.limits.Now == nil {
		return t.now
	}
	return t.limits.Now()
}

func (t *Txn) nowMs() int64 { return t.wall().UnixMilli() }

// write begins a change. then is called when it has happened, or, with an error, when it has not.
func (t *Txn) write(next Meta, then func(err error)) {
	next.Previous = t.meta.ID
	next.UpdatedMs = t.nowMs()
	t.pending = &pending{next: next, at: t.now, then: then}
	t.emit(Write{Meta: next})
}

func (t *Txn) onWritten(e Written) {
	p := t.pending
	if p == nil || p.again != nil {
		panic("txn: Written, and nothing was being written")
	}
	t.pending = nil
	switch {
	case e.Lost:
		t.lost = fmt.Errorf("%w: the last record of the id may or may not be in the log: %v", ErrNotAvailable, e.Err)
		p.then(t.lost)
	case e.Err != nil:
		// Nothing was taken: all is as it was.
		if t.fresh {
			t.meta.State = Dead
		}
		p.then(fmt.Errorf("%w: %v", ErrNotAvailable, e.Err))
	case p.tombstone:
		t.meta = Meta{Producer: None, State: Dead, Next: batch.NoProducerID}
	default:
		if t.updated = p.at; t.meta.State != Ongoing {
			t.started = p.at
		}
		t.meta, t.fresh = p.next, false
		t.retryAt, t.tries = time.Time{}, 0
		p.then(nil)
	}
	t.unpark()
}

// need gives a producer id that nobody has. Where there is none at hand it asks for one, and e is run again when it is there.
func (t *Txn) need(e Event, then func(err error)) (id batch.ProducerID, ok bool) {
	if id = t.spare; id != batch.NoProducerID {
		t.spare = batch.NoProducerID
		return id, true
	}
	t.pending = &pending{again: e, then: then}
	t.emit(Allocate{})
	return batch.NoProducerID, false
}

func (t *Txn) onAllocated(e Allocated) {
	p := t.pending
	if p == nil || p.again == nil {
		panic("txn: Allocated, and nobody asked")
	}
	t.pending = nil
	if e.Err != nil {
		if t.fresh {
			t.meta.State = Dead
		}
		p.then(fmt.Errorf("%w: no producer id: %v", ErrNotAvailable, e.Err))
		t.unpark()
		return
	}
	t.spare = e.ID
	switch again := p.again.(type) {
	case Init:
		t.onInit(again)
	case End:
		t.onEnd(again)
	}
	t.unpark()
}

// Deadline is when the id next wants a Tick; ok is false when only another event can change it.
func (t *Txn) Deadline() (at time.Time, ok bool) {
	if t.lost != nil || t.Dead() {
		return at, false
	}
	if t.pending == nil {
		at, ok = t.due()
	}
	if len(t.parked) > 0 { // in the order they came
		if until := t.parked[0].until; !ok || until.Before(at) {
			at, ok = until, true
		}
	}
	return at, ok
}

// due is when the state that is durable is to be left by itself.
func (t *Txn) due() (at time.Time, ok bool) {
	switch {
	case t.fresh:
		return at, false
	case t.meta.State.ends():
		return t.retryAt, !t.retryAt.IsZero()
	case t.meta.State == Ongoing:
		at = after(t.started.Add(time.Duration(t.meta.TimeoutMs)*time.Millisecond), t.limits.AbortInterval)
	default:
		at = after(t.updated.Add(t.limits.Expiration), t.limits.ExpireInterval)
	}
	if t.retryAt.After(at) {
		at = t.retryAt
	}
	return at, true
}

// after is the first round of that interval after t: what times out is looked for in rounds, as in Kafka.
func after(t time.Time, interval time.Duration) time.Time {
	n := max(interval.Milliseconds(), 1)
	round := time.UnixMilli((t.UnixMilli()/n + 1) * n)
	return t.Add(round.Sub(t)) // and not round: t has a monotonic reading
}

func (t *Txn) onTick() {
	t.unparkOverdue()
	if t.pending != nil || t.lost != nil {
		return
	}
	if at, ok := t.due(); !ok || t.now.Before(at) {
		return
	}
	switch {
	case t.meta.State.ends():
		t.retryAt = time.Time{}
		t.remark()
	case t.meta.State == Ongoing:
		t.fence(func(err error) {
			if err != nil {
				t.retryAt = t.now.Add(t.limits.AbortInterval)
			}
		})
	default:
		t.pending = &pending{tombstone: true, then: func(err error) {
			if err != nil {
				t.retryAt = t.now.Add(t.limits.ExpireInterval)
			}
		}}
		t.emit(Write{Tombstone: true})
	}
}

// fail notes that something has to be tried again, after a pause that grows.
func (t *Txn) fail() {
	if t.retryAt.IsZero() {
		t.retryAt = t.now.Add(t.limits.Retry << min(t.tries, maxDoublings))
		t.tries++
	}
}
