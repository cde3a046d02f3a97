package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// world is everything around one transactional id: its log, data partitions, producers, a clock, and what was promised to whom. It draws
// everything from a seed, so a history can be run again up to any point. It knows the core by its effects only, but for Meta, from which it
// tells one transaction from the next.
type world struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	core   *Txn
	now    time.Time
	limits Limits

	durable *Meta               // the last record in the log; nil when there is none or a tombstone
	writing *Write              // one that is not answered
	asked   bool                // for a producer id
	marking []Mark              // those that are not answered
	logs    map[int32][]entryOf // the data partitions
	nextID  batch.ProducerID

	tickets Ticket
	open    map[Ticket]Event // not answered yet
	inside  []*admitted
	clients []*client
	serial  int              // of the transaction that is ongoing or was last
	ends    map[int]bool     // what was answered to EndTxn: commit or abort, by serial
	given   Producer         // by the last InitAnswer
	told    map[Producer]int // X6: which client has it

	effects int // writes and marks so far
	crashAt int // when to crash, 0 for never
	crashed bool
}

// entryOf is one entry of a data partition: a record of a transaction or a marker.
type entryOf struct {
	who    Producer
	serial int // of a record
	marker bool
	commit bool
}

type client struct {
	n       int
	who     Producer
	old     Producer // what it had before
	version int16    // 0 or 2
	ticket  Ticket
}

type admitted struct {
	who    Producer
	serial int
	parts  []TopicPartition
}

func newWorld(t *testing.T, seed uint64, crashAt int) *world {
	w := &world{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), now: time.UnixMilli(1_000_000), crashAt: crashAt,
		limits: Limits{Version: 2, MaxTimeout: time.Minute, AbortInterval: time.Second, Expiration: time.Hour, MaxParked: 3},
		logs:   map[int32][]entryOf{}, open: map[Ticket]Event{}, ends: map[int]bool{}, told: map[Producer]int{}, nextID: 100,
	}
	for i := range 3 {
		w.clients = append(w.clients, &client{n: i, who: None, old: None, version: int16(w.r.IntN(2) * 2)})
	}
	w.core = New(w.limits)
	if w.r.IntN(2) == 0 { // epochs are nearly used up
		m := w.core.meta
		m.Producer, m.State, m.TimeoutMs, m.UpdatedMs = Producer{w.nextID, lastEpoch - batch.ProducerEpoch(w.r.IntN(8))}, Empty, 1000, w.now.UnixMilli()
		w.durable, w.given = &m, m.Producer
		w.core = Load(w.limits, w.now, m)
		w.step(Resume{})
	}
	return w
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nrepeat: go test ./broker/internal/txn -run %s -txn.seed=%d -txn.crash=%d", fmt.Sprintf(format, args...), w.t.Name(), w.seed, w.crashAt)
}

// step runs the core and takes in its effects. It crashes where the history is to crash.
func (w *world) step(e Event) {
	if w.crashed {
		return
	}
	if w.core.Dead() {
		w.core = New(w.limits)
	}
	if _, isInit := e.(Init); !isInit && w.core.fresh && w.core.pending == nil {
		w.refuseUnknown(e)
		return
	}
	for _, f := range w.core.Step(w.now, e) {
		switch f := f.(type) {
		case Write:
			if w.writing != nil {
				w.fatalf("two records are under way")
			}
			w.writing = &f
			w.count()
		case Mark:
			w.checkMark(f)
			w.marking = append(w.marking, f)
			w.count()
		case Allocate:
			w.asked = true
		case Answer:
			w.answered(f)
		}
	}
}

// refuseUnknown is what the shell does with a request for an id that is not there.
func (w *world) refuseUnknown(e Event) {
	switch e := e.(type) {
	case Add:
		delete(w.open, e.Ticket)
	case Admit:
		delete(w.open, e.Ticket)
	case End:
		delete(w.open, e.Ticket)
	}
}

// persist puts a record into the log.
func (w *world) persist(r Write) {
	if r.Tombstone {
		w.durable = nil
		return
	}
	if old := w.durable; old != nil && old.ID == r.Meta.ID && r.Meta.Epoch < old.Epoch {
		w.fatalf("the epoch goes back: %+v after %+v", r.Meta, *old)
	}
	if r.Meta.State == Ongoing && (w.durable == nil || w.durable.State != Ongoing) || r.Meta.State.ends() && len(r.Meta.Parts) == 0 {
		w.serial++
	}
	if r.Meta.State.ends() && w.durable.State.ends() {
		w.fatalf("X1: %v after %v", r.Meta.State, w.durable.State)
	}
	w.durable = &r.Meta
}

func (w *world) checkMark(m Mark) {
	switch d := w.durable; {
	case d == nil || !d.State.ends():
		w.fatalf("a marker, and no end is durable")
	case m.Commit != (d.State == PrepareCommit):
		w.fatalf("X1: marker %+v in state %v", m, d.State)
	case m.Who.ID == w.given.ID && m.Who.Epoch < w.given.Epoch:
		w.fatalf("X4: marker %+v after %+v was given", m, w.given)
	}
	for _, a := range w.inside {
		if slices.Contains(a.parts, m.Part) {
			w.fatalf("X5: marker for %+v while somebody is inside", m.Part)
		}
	}
}

func (w *world) marked(m Mark) {
	log := w.logs[m.Part.Partition]
	w.logs[m.Part.Partition] = append(log, entryOf{who: m.Who, marker: true, commit: m.Commit})
}

func (w *world) answered(a Answer) {
	e, ok := w.open[a.Ticket]
	if !ok {
		w.fatalf("X3: ticket %d is answered, and nobody waits for it", a.Ticket)
	}
	delete(w.open, a.Ticket)
	c := w.clients[0]
	for _, one := range w.clients {
		if one.ticket == a.Ticket {
			c = one
		}
	}
	c.ticket = 0
	switch got := a.Answer.(type) {
	case InitAnswer:
		w.initialized(c, got)
	case ErrAnswer:
		if add := e.(Add); got.Err == nil && (w.durable.State != Ongoing || !w.durable.hasAll(add.Parts)) {
			w.fatalf("X2: %+v was added, durable is %+v", add, w.durable)
		}
	case AdmitAnswer:
		w.admitted(e.(Admit), got)
	case EndAnswer:
		w.ended(c, e.(End), got)
	}
}

func (w *world) initialized(c *client, got InitAnswer) {
	switch {
	case errors.Is(got.Err, ErrFenced):
		c.who, c.old = None, None // it gives up, and another one with the same transactional id comes
		return
	case got.Err != nil:
		return
	case w.durable == nil || w.durable.Producer != got.Producer:
		w.fatalf("X2: %+v was given, durable is %+v", got, w.durable)
	case got.Epoch == MaxEpoch:
		w.fatalf("X6: epoch %d was given", got.Epoch)
	case got.ID == w.given.ID && got.Epoch < w.given.Epoch:
		w.fatalf("X6: %+v was given after %+v", got, w.given)
	}
	w.own(c, got.Producer)
	w.given = got.Producer
}

// own notes who was given what.
func (w *world) own(c *client, p Producer) {
	if other, ok := w.told[p]; ok && other != c.n {
		w.fatalf("X6: %+v was given to client %d and then to %d", p, other, c.n)
	}
	w.told[p] = c.n
	if p != c.who {
		c.old, c.who = c.who, p
	}
}

func (w *world) admitted(e Admit, got AdmitAnswer) {
	in := &admitted{who: e.Who, serial: w.serial}
	for i, p := range e.Parts {
		if got.Errs[i] != nil {
			continue
		}
		if w.durable == nil || w.durable.State != Ongoing || !w.durable.has(p) || w.durable.Producer != e.Who {
			w.fatalf("X2: %+v was admitted to %+v, durable is %+v", e.Who, p, w.durable)
		}
		in.parts = append(in.parts, p)
	}
	if len(in.parts) > 0 {
		w.inside = append(w.inside, in)
	}
}

func (w *world) ended(c *client, e End, got EndAnswer) {
	if got.Err != nil {
		return
	}
	decided := map[State]bool{PrepareCommit: true, CompleteCommit: true, PrepareAbort: false, CompleteAbort: false}
	commit, ok := decided[w.durable.State]
	if !ok || commit != e.Commit {
		w.fatalf("X2: commit %t was answered, durable is %+v", e.Commit, w.durable)
	}
	if old, ok := w.ends[w.serial]; ok && old != e.Commit {
		w.fatalf("X1: transaction %d was answered %t and %t", w.serial, old, e.Commit)
	}
	w.ends[w.serial] = e.Commit
	if e.Version >= 2 {
		if got.Producer != w.durable.told() {
			w.fatalf("X2: %+v was answered, durable is %+v", got, w.durable)
		}
		if got.Epoch == MaxEpoch {
			w.fatalf("X6: epoch %d was given", got.Epoch)
		}
		w.own(c, got.Producer)
	}
}

// checkEnd holds the data partitions to what was answered.
func (w *world) checkEnd() {
	if len(w.open) > 0 {
		w.fatalf("X3: not answered: %+v", w.open)
	}
	outcome := map[int]bool{}
	for p, log := range w.logs {
		var pending []entryOf
		for _, e := range log {
			if !e.marker {
				pending = append(pending, e)
				continue
			}
			for _, d := range pending {
				if d.who.ID != e.who.ID || d.who.Epoch > e.who.Epoch {
					w.fatalf("X5: record of %+v is ended by a marker of %+v", d.who, e.who)
				}
				if old, ok := outcome[d.serial]; ok && old != e.commit {
					w.fatalf("X1: transaction %d is committed and aborted", d.serial)
				}
				outcome[d.serial] = e.commit
			}
			pending = nil
		}
		if len(pending) > 0 {
			w.fatalf("X5: partition %d has records that nothing ends: %+v", p, pending)
		}
	}
	for serial, commit := range outcome {
		if said, ok := w.ends[serial]; ok && said != commit {
			w.fatalf("X1: transaction %d was answered commit %t, its markers say %t", serial, said, commit)
		}
	}
}
