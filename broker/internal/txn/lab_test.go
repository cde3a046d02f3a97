package txn

import (
	"errors"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// lab runs one id with a log and partitions that do as they are told, and at once unless something is held.
type lab struct {
	t         *testing.T
	core      *Txn
	now       time.Time
	limits    Limits
	holdWrite bool
	holdMarks bool
	refuse    error // for the next record
	noID      error
	writes    []Write
	marks     []Mark
	nextID    batch.ProducerID
	answers   map[Ticket]any
	ticket    Ticket
}

func newLab(t *testing.T, version int16) *lab {
	l := Limits{Version: version, MaxParked: 2}
	return &lab{t: t, core: New(l), now: time.UnixMilli(1_000_000_000), limits: l, nextID: 100, answers: map[Ticket]any{}}
}

// labAt is one whose id is in some state.
func labAt(t *testing.T, m Meta) *lab {
	l := newLab(t, 2)
	m.UpdatedMs, m.TimeoutMs = l.now.UnixMilli(), 60_000
	if m.StartedMs == 0 {
		m.StartedMs = l.now.UnixMilli()
	}
	l.core = Load(l.limits, l.now, m)
	return l
}

func meta(s State, id batch.ProducerID, epoch batch.ProducerEpoch, version int16) Meta {
	m := Meta{Producer: Producer{id, epoch}, LastEpoch: NoEpoch, Previous: id, Next: batch.NoProducerID, State: s, Version: version}
	if s == Ongoing || s.ends() {
		m.Parts = []TopicPartition{{"t", 0}}
	}
	return m
}

func (l *lab) step(e Event) {
	l.t.Helper()
	for _, f := range l.core.Step(l.now, e) {
		switch f := f.(type) {
		case Answer:
			if l.answers[f.Ticket] != nil {
				l.t.Fatalf("ticket %d is answered twice", f.Ticket)
			}
			l.answers[f.Ticket] = f.Answer
		case Write:
			l.writes = append(l.writes, f)
			if !l.holdWrite {
				l.step(Written{Err: l.refuse})
			}
		case Mark:
			l.marks = append(l.marks, f)
			if !l.holdMarks {
				l.step(Marked{f.Part, nil})
			}
		case Allocate:
			l.nextID++
			l.step(Allocated{l.nextID, l.noID})
		}
	}
}

// ask gives the answer, nil while there is none.
func (l *lab) ask(event func(Ticket) Event) any {
	l.t.Helper()
	l.ticket++
	l.step(event(l.ticket))
	return l.answers[l.ticket]
}

func (l *lab) init(expected *Producer) InitAnswer {
	l.t.Helper()
	return l.ask(func(t Ticket) Event { return Init{t, 60_000, expected} }).(InitAnswer)
}

func (l *lab) add(who Producer, parts ...int32) error {
	l.t.Helper()
	return l.ask(func(t Ticket) Event { return Add{t, who, tps(parts...), 0} }).(ErrAnswer).Err
}

func (l *lab) end(who Producer, commit bool, version int16) EndAnswer {
	l.t.Helper()
	return l.ask(func(t Ticket) Event { return End{t, who, commit, version} }).(EndAnswer)
}

// admit gives the errors, nil while there is no answer.
func (l *lab) admit(who Producer, implicit bool, parts ...int32) []error {
	l.t.Helper()
	a, _ := l.ask(func(t Ticket) Event { return Admit{Ticket: t, Who: who, Parts: tps(parts...), Implicit: implicit} }).(AdmitAnswer)
	return a.Errs
}

func tps(ps ...int32) (all []TopicPartition) {
	for _, p := range ps {
		all = append(all, TopicPartition{"t", p})
	}
	return all
}

func (l *lab) in(want State, who Producer) {
	l.t.Helper()
	if m, ok := l.core.Meta(); !ok || m.State != want || m.Producer != who {
		l.t.Errorf("%v of %+v (%t), want %v of %+v", m.State, m.Producer, ok, want, who)
	}
}

func is(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
