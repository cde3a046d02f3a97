package txn

import (
	"errors"
	"fmt"
	"slices"
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
	l.core = Load(l.limits, m)
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

func TestProtocol1(t *testing.T) {
	l := newLab(t, 1)
	a := l.init(nil)
	me := Producer{101, 0}
	if a.Err != nil || a.Producer != me {
		t.Fatalf("%+v", a)
	}
	for _, commit := range []bool{true, false} {
		is(t, "add", l.add(me, 0, 2), nil)
		is(t, "add what is there", l.add(me, 2), nil)
		if errs := l.admit(me, false, 0, 1); errs[0] != nil || !errors.Is(errs[1], ErrAbortable) {
			t.Errorf("admitted %v", errs)
		}
		l.step(Release{tps(0)})
		l.marks = nil
		if e := l.end(me, commit, 0); e.Err != nil || e.Producer != me {
			t.Errorf("%+v", e)
		}
		if len(l.marks) != 2 || l.marks[1] != (Mark{TopicPartition{"t", 2}, me, commit}) {
			t.Errorf("markers %+v", l.marks)
		}
		is(t, "again", l.end(me, commit, 0).Err, nil)
		is(t, "the other outcome", l.end(me, !commit, 0).Err, ErrInvalidState)
	}
	if n := len(l.writes); n != 7 {
		t.Errorf("%d records, want 7", n)
	}
}

func TestProtocol2(t *testing.T) {
	l := newLab(t, 2)
	me := l.init(nil).Producer
	for i, commit := range []bool{true, false, true} {
		if errs := l.admit(me, true, 0, 1); errs[0] != nil || errs[1] != nil {
			t.Fatal(errs)
		}
		l.step(Release{tps(0, 1)})
		l.marks = nil
		old := me
		e := l.end(me, commit, 2)
		if me = e.Producer; e.Err != nil || me != (Producer{101, batch.ProducerEpoch(i + 1)}) {
			t.Fatalf("%+v", e)
		}
		if len(l.marks) != 2 || l.marks[0].Who != me || l.marks[0].Commit != commit {
			t.Errorf("markers %+v", l.marks)
		}
		if again := l.end(old, commit, 2); again != e {
			t.Errorf("again %+v, want %+v", again, e)
		}
		is(t, "the other outcome", l.end(old, !commit, 2).Err, ErrInvalidState)
		is(t, "the old epoch", l.admit(old, true, 0)[0], ErrFenced)
	}
	if e := l.end(me, false, 2); e.Err != nil || e.Epoch != me.Epoch+1 {
		t.Errorf("abort of nothing: %+v", e)
	}
}

// TestEndTable is the table above onEnd.
func TestEndTable(t *testing.T) {
	const id, epoch = 7, 5
	type row struct{ commit1, abort1, commitAgain, abortAgain, commit, abort error }
	ok := error(nil)
	for state, want := range map[State]row{
		Empty:          {ErrInvalidState, ErrInvalidState, ErrFenced, ErrFenced, ErrInvalidState, ok},
		CompleteCommit: {ok, ErrInvalidState, ok, ErrInvalidState, ErrInvalidState, ok},
		CompleteAbort:  {ErrInvalidState, ok, ErrInvalidState, ok, ErrInvalidState, ok},
		PrepareCommit:  {ErrConcurrent, ErrInvalidState, ErrConcurrent, ErrInvalidState, ErrConcurrent, ErrConcurrent},
		PrepareAbort:   {ErrInvalidState, ErrConcurrent, ErrInvalidState, ErrConcurrent, ErrConcurrent, ErrConcurrent},
	} {
		ask := func(protocol int16, e batch.ProducerEpoch, commit bool) error {
			l := labAt(t, meta(state, id, epoch, protocol))
			l.holdMarks = true
			got := l.end(Producer{id, e}, commit, protocol)
			if raised := got.Err == nil && e == epoch && protocol == 2; raised != (len(l.writes) > 0) {
				t.Errorf("%v: %+v, %d records", state, got, len(l.writes))
			}
			is(t, fmt.Sprint(state, " another id"), l.end(Producer{id + 1, e}, commit, protocol).Err, ErrInvalidMapping)
			is(t, fmt.Sprint(state, " an epoch beyond"), l.end(Producer{id, epoch + 9}, commit, protocol).Err, ErrFenced)
			return got.Err
		}
		is(t, fmt.Sprint(state, " commit by 1"), ask(0, epoch, true), want.commit1)
		is(t, fmt.Sprint(state, " abort by 1"), ask(0, epoch, false), want.abort1)
		is(t, fmt.Sprint(state, " commit again"), ask(2, epoch-1, true), want.commitAgain)
		is(t, fmt.Sprint(state, " abort again"), ask(2, epoch-1, false), want.abortAgain)
		is(t, fmt.Sprint(state, " commit"), ask(2, epoch, true), want.commit)
		is(t, fmt.Sprint(state, " abort"), ask(2, epoch, false), want.abort)
	}
	l := labAt(t, meta(CompleteAbort, id, epoch, 0))
	is(t, "an epoch fenced by InitProducerId, after a transaction of protocol 1", l.end(Producer{id, epoch - 1}, false, 2).Err, ErrFenced)
}

// TestInit is what InitProducerId gives (KIP-98, KIP-360).
func TestInit(t *testing.T) {
	p := func(id batch.ProducerID, e batch.ProducerEpoch) *Producer { return &Producer{id, e} }
	last := func(m Meta, e batch.ProducerEpoch) Meta { m.LastEpoch = e; return m }
	rotated := meta(Empty, 8, 0, 0)
	rotated.Previous, rotated.LastEpoch = 7, lastEpoch
	renewing := meta(PrepareCommit, 7, MaxEpoch, 2)
	renewing.Next = 9
	for name, c := range map[string]struct {
		m        Meta
		expected *Producer
		err      error
		want     Producer
		last     batch.ProducerEpoch
	}{
		"another comes":                  {meta(CompleteCommit, 7, 5, 2), nil, nil, Producer{7, 6}, NoEpoch},
		"the current one":                {meta(Empty, 7, 5, 0), p(7, 5), nil, Producer{7, 6}, 5},
		"the answer was lost":            {last(meta(Empty, 7, 6, 0), 5), p(7, 5), nil, Producer{7, 6}, 5},
		"an old one":                     {last(meta(Empty, 7, 6, 0), 5), p(7, 4), ErrFenced, None, 0},
		"an old one, after another came": {meta(Empty, 7, 6, 0), p(7, 5), ErrFenced, None, 0},
		"another id":                     {meta(Empty, 7, 6, 0), p(6, 6), ErrFenced, None, 0},
		"epochs used up":                 {meta(CompleteAbort, 7, lastEpoch, 0), nil, nil, Producer{101, 0}, NoEpoch},
		"used up, the current one":       {meta(CompleteAbort, 7, lastEpoch, 0), p(7, lastEpoch), nil, Producer{101, 0}, lastEpoch},
		"fenced with the last epoch":     {meta(CompleteAbort, 7, MaxEpoch, 0), nil, nil, Producer{101, 0}, NoEpoch},
		"used up, the answer was lost":   {rotated, p(7, lastEpoch), nil, Producer{8, 0}, lastEpoch},
		"used up, an old one":            {rotated, p(7, 3), ErrFenced, None, 0},
		"ending":                         {meta(PrepareCommit, 7, 5, 2), nil, ErrConcurrent, None, 0},
		"ending, the current one":        {meta(PrepareAbort, 7, 5, 2), p(7, 5), ErrConcurrent, None, 0},
		"ending, the next id":            {renewing, p(9, 0), ErrConcurrent, None, 0},
		"ending, another id":             {meta(PrepareAbort, 7, 5, 2), p(6, 5), ErrFenced, None, 0},
		"ongoing, an old one":            {meta(Ongoing, 7, 5, 2), p(7, 4), ErrFenced, None, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := labAt(t, c.m)
			got := l.init(c.expected)
			if !errors.Is(got.Err, c.err) || got.Producer != c.want {
				t.Fatalf("%+v, want %+v, %v", got, c.want, c.err)
			}
			if c.err == nil {
				if m, _ := l.core.Meta(); m.State != Empty || m.LastEpoch != c.last || m.StartedMs != NoTime || m.TimeoutMs != 60_000 {
					t.Errorf("%+v", m)
				}
			} else if len(l.writes) > 0 {
				t.Errorf("refused, and records %+v", l.writes)
			}
		})
	}
}

// TestInitFences: whoever comes while a transaction is ongoing has it aborted and asks again.
func TestInitFences(t *testing.T) {
	for _, expected := range []*Producer{nil, {7, 5}} {
		l := labAt(t, meta(Ongoing, 7, 5, 0))
		l.holdMarks = true
		is(t, "first", l.init(expected).Err, ErrConcurrent)
		l.in(PrepareAbort, Producer{7, 6})
		if len(l.marks) != 1 || l.marks[0].Who.Epoch != 6 || l.marks[0].Commit {
			t.Errorf("markers %+v", l.marks)
		}
		is(t, "while it is aborted", l.init(nil).Err, ErrConcurrent)
		l.step(Marked{TopicPartition{"t", 0}, nil})
		if a := l.init(nil); a.Err != nil || a.Producer != (Producer{7, 7}) {
			t.Errorf("%+v", a)
		}
		for what, err := range map[string]error{"add": l.add(Producer{7, 5}, 1), "end": l.end(Producer{7, 5}, true, 0).Err, "end by 2": l.end(Producer{7, 5}, true, 2).Err, "init": l.init(&Producer{7, 5}).Err} {
			is(t, what, err, ErrFenced)
		}
	}
}

// TestEpochsRunOut: with protocol 2 the client goes on with a new id, and never sees the last epoch.
func TestEpochsRunOut(t *testing.T) {
	me := Producer{7, lastEpoch}
	l := labAt(t, meta(Ongoing, me.ID, me.Epoch, 2))
	l.holdMarks = true
	next := Producer{101, 0}
	if e := l.end(me, true, 2); e.Err != nil || e.Producer != next {
		t.Fatalf("%+v", e)
	}
	if l.marks[0].Who != (Producer{7, MaxEpoch}) {
		t.Errorf("marker %+v", l.marks[0])
	}
	is(t, "again", l.end(me, true, 2).Err, ErrConcurrent)
	is(t, "add by the next id, too early", l.add(next, 1), ErrConcurrent)
	if errs := l.admit(next, true, 1); errs != nil {
		t.Errorf("the next id is not parked: %v", errs)
	}
	l.step(Marked{TopicPartition{"t", 0}, nil})
	l.in(Ongoing, next)
	l.step(Release{tps(1)})

	l = labAt(t, meta(Ongoing, me.ID, me.Epoch, 2))
	e := l.end(me, true, 2)
	l.in(CompleteCommit, next)
	if again := l.end(me, true, 2); again != e || e.Err != nil {
		t.Errorf("again %+v, want %+v", again, e)
	}
	is(t, "the other outcome", l.end(me, false, 2).Err, ErrInvalidState)
	if a := l.init(&me); a.Err != nil || a.Producer != next {
		t.Errorf("KIP-360 after the change of ids: %+v", a)
	}
}

func TestAddRefuses(t *testing.T) {
	me := Producer{7, 5}
	for state, want := range map[State]error{Ongoing: nil, Empty: nil, CompleteCommit: nil, PrepareCommit: ErrConcurrent, PrepareAbort: ErrConcurrent} {
		l := labAt(t, meta(state, 7, 5, 0))
		is(t, state.String(), l.add(me, 1), want)
		is(t, "id", l.add(Producer{8, 5}, 1), ErrInvalidMapping)
		is(t, "old", l.add(Producer{7, 4}, 1), ErrFenced)
		is(t, "new", l.add(Producer{7, 6}, 1), ErrFenced)
		is(t, "verify, id", l.admit(Producer{8, 5}, false, 1)[0], ErrInvalidMapping)
		is(t, "verify, old", l.admit(Producer{7, 4}, false, 1)[0], ErrFenced)
	}
	l := labAt(t, meta(Empty, 7, 5, 0))
	is(t, "verify, nothing begun", l.admit(me, false, 0)[0], ErrAbortable)
	l = labAt(t, meta(PrepareCommit, 7, 5, 0))
	is(t, "verify, ending", l.admit(me, false, 0)[0], ErrConcurrent)
	l = labAt(t, meta(Empty, 7, 5, 0))
	l.holdWrite = true
	l.core.Step(l.now, Add{99, me, tps(0), 0})
	is(t, "while another is written", l.add(me, 1), ErrConcurrent)
	is(t, "end while another is written", l.end(me, true, 0).Err, ErrConcurrent)
	is(t, "init while another is written", l.init(nil).Err, ErrConcurrent)
	l = labAt(t, meta(Ongoing, 7, 5, 0))
	l.core.limits.MaxRecordBytes = 1000
	many := make([]int32, 300)
	for i := range many {
		many[i] = int32(i)
	}
	is(t, "too many", l.add(me, many...), ErrTooManyInOne)
	is(t, "fewer", l.add(me, many[:100]...), nil)
}

// TestFreshIDTakesNothingButInit: one who claims to have no id must not be taken for the one who has none yet.
func TestFreshIDTakesNothingButInit(t *testing.T) {
	for _, begun := range []bool{false, true} {
		l := newLab(t, 2)
		l.holdWrite = true
		if begun {
			l.step(Init{99, 1000, nil})
		}
		n := len(l.writes)
		is(t, "add", l.add(None, 0), ErrInvalidMapping)
		is(t, "admit", l.admit(None, true, 0)[0], ErrInvalidMapping)
		is(t, "end", l.end(None, false, 2).Err, ErrInvalidMapping)
		is(t, "end by 1", l.end(None, true, 0).Err, ErrInvalidMapping)
		if len(l.writes) != n {
			t.Errorf("records %+v", l.writes)
		}
	}
}

// TestAdmissionHoldsTheMarkerBack (X5).
func TestAdmissionHoldsTheMarkerBack(t *testing.T) {
	me := Producer{7, 5}
	l := labAt(t, meta(Ongoing, 7, 5, 0))
	is(t, "add", l.add(me, 1), nil)
	for range 2 {
		if errs := l.admit(me, false, 1); errs[0] != nil {
			t.Fatal(errs)
		}
	}
	is(t, "end", l.end(me, true, 0).Err, nil)
	if len(l.marks) != 1 || l.marks[0].Part.Partition != 0 {
		t.Fatalf("markers %+v; want that of partition 0 only", l.marks)
	}
	is(t, "one more", l.admit(me, false, 1)[0], ErrConcurrent)
	l.step(Release{tps(1)})
	if len(l.marks) != 1 {
		t.Fatal("one is still inside")
	}
	l.step(Release{tps(1)})
	l.in(CompleteCommit, me)
}

func TestImplicitWaitsAndGivesUp(t *testing.T) {
	l := labAt(t, meta(PrepareCommit, 7, 5, 2))
	l.holdMarks = true
	l.step(Resume{})
	me := Producer{7, 5}
	for range 2 {
		if errs := l.admit(me, true, 1); errs != nil {
			t.Fatalf("not parked: %v", errs)
		}
	}
	is(t, "one too many", l.admit(me, true, 1)[0], ErrConcurrent)
	at, ok := l.core.Deadline()
	if want := l.now.Add(100 * time.Millisecond); !ok || !at.Equal(want) {
		t.Fatalf("due at %v, want %v", at, want)
	}
	l.now = at.Add(-time.Millisecond)
	l.step(Tick{})
	if l.answers[1] != nil {
		t.Fatal("given up too early")
	}
	l.now = at
	l.step(Tick{})
	for ticket := Ticket(1); ticket <= 2; ticket++ {
		a, ok := l.answers[ticket].(AdmitAnswer)
		if !ok || !errors.Is(a.Errs[0], ErrConcurrent) {
			t.Errorf("%+v", l.answers[ticket])
		}
	}
	l.admit(me, true, 1)
	l.admit(me, true, 1, 2)
	l.step(Marked{TopicPartition{"t", 0}, nil})
	for ticket := Ticket(4); ticket <= 5; ticket++ {
		if a, ok := l.answers[ticket].(AdmitAnswer); !ok || slices.ContainsFunc(a.Errs, func(err error) bool { return err != nil }) {
			t.Errorf("%+v", l.answers[ticket])
		}
	}
	if m, _ := l.core.Meta(); m.State != Ongoing || len(m.Parts) != 2 || m.Version != 2 {
		t.Errorf("%+v", m)
	}
}

func TestTimeoutAborts(t *testing.T) {
	for _, version := range []int16{0, 1, 2} {
		l := newLab(t, version)
		me := l.init(nil).Producer
		is(t, "add", l.add(me, 0), nil)
		at, ok := l.core.Deadline()
		if over := at.Sub(l.now); !ok || over < time.Minute || over > time.Minute+10*time.Second {
			t.Fatalf("due after %v, want the minute of the timeout and at most one round", over)
		}
		l.now = at.Add(-time.Millisecond)
		l.step(Tick{})
		l.in(Ongoing, me)
		l.refuse = errors.New("disk is full")
		l.now = at
		l.step(Tick{})
		l.in(Ongoing, me)
		again, ok := l.core.Deadline()
		if !ok || !again.After(l.now) {
			t.Fatalf("tried again at %v", again)
		}
		l.refuse, l.now = nil, again
		l.step(Tick{})
		l.in(CompleteAbort, Producer{me.ID, me.Epoch + 1})
		is(t, "commit", l.end(me, true, 0).Err, ErrFenced)
		if version == 2 {
			is(t, "commit by protocol 2", l.end(me, true, 2).Err, ErrInvalidState)
			if e := l.end(me, false, 2); e.Err != nil || e.Epoch != me.Epoch+1 {
				t.Errorf("its abort, by which it goes on: %+v", e)
			}
		}
	}
}

func TestExpiry(t *testing.T) {
	for _, s := range []State{Empty, CompleteCommit, CompleteAbort} {
		l := labAt(t, meta(s, 7, 5, 0))
		at, ok := l.core.Deadline()
		if after := at.Sub(l.now); !ok || after < 7*24*time.Hour || after > 7*24*time.Hour+time.Hour {
			t.Fatalf("due after %v", after)
		}
		l.refuse, l.now = errors.New("disk is full"), at
		l.step(Tick{})
		l.in(s, Producer{7, 5})
		l.refuse = nil
		l.now, _ = l.core.Deadline()
		l.step(Tick{})
		if w := l.writes[len(l.writes)-1]; !l.core.Dead() || !w.Tombstone {
			t.Errorf("dead %t, %+v", l.core.Dead(), w)
		}
	}
	l := labAt(t, meta(Empty, 7, 5, 0))
	l.holdWrite = true
	l.now, _ = l.core.Deadline()
	l.step(Tick{})
	is(t, "add while it is forgotten", l.add(Producer{7, 5}, 0), ErrConcurrent)
	is(t, "init while it is forgotten", l.init(nil).Err, ErrConcurrent)
	l.admit(Producer{7, 5}, true, 0)
	l.step(Written{})
	if a, ok := l.answers[l.ticket].(AdmitAnswer); !ok || !errors.Is(a.Errs[0], ErrInvalidMapping) {
		t.Errorf("what was parked: %+v", l.answers[l.ticket])
	}
}

// TestRefusedRecordsChangeNothing, and those that may or may not be there end it all (X7).
func TestRefusedRecordsChangeNothing(t *testing.T) {
	l := newLab(t, 2)
	l.noID = errors.New("no ids")
	is(t, "no id", l.init(nil).Err, ErrNotAvailable)
	if !l.core.Dead() {
		t.Error("an id that nothing is known of is kept")
	}
	l = newLab(t, 2)
	l.refuse = errors.New("disk is full")
	is(t, "init", l.init(nil).Err, ErrNotAvailable)
	if !l.core.Dead() {
		t.Error("an id that nothing is known of is kept")
	}
	me := Producer{7, 5}
	for _, lost := range []bool{false, true} {
		for what, ask := range map[string]func(l *lab) error{
			"init": func(l *lab) error { return l.init(nil).Err }, "add": func(l *lab) error { return l.add(me, 1) },
			"end": func(l *lab) error { return l.end(me, true, 2).Err }, "admit": func(l *lab) error { return l.admit(me, true, 1)[0] },
		} {
			l := labAt(t, meta(Ongoing, 7, 5, 2))
			before, _ := l.core.Meta()
			l.holdWrite = true
			l.ticket++
			l.step(Add{l.ticket, me, tps(9), 0})
			l.step(Written{Err: errors.New("disk is broken"), Lost: lost})
			is(t, what, l.answers[l.ticket].(ErrAnswer).Err, ErrNotAvailable)
			if after, _ := l.core.Meta(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("%+v, was %+v", after, before)
			}
			if !lost {
				continue
			}
			is(t, what, ask(l), ErrNotAvailable)
			if _, due := l.core.Deadline(); due || len(l.writes) != 1 {
				t.Errorf("due %t, %d records", due, len(l.writes))
			}
		}
	}
}

// TestMarkersAreTriedAgain, with pauses that grow and end.
func TestMarkersAreTriedAgain(t *testing.T) {
	l := labAt(t, meta(PrepareCommit, 7, 5, 0))
	l.holdMarks = true
	l.step(Resume{})
	var pauses []time.Duration
	for range 9 {
		l.step(Marked{TopicPartition{"t", 0}, errors.New("offline")})
		at, ok := l.core.Deadline()
		if !ok {
			t.Fatal("not tried again")
		}
		pauses = append(pauses, at.Sub(l.now))
		l.now = at
		l.step(Tick{})
	}
	if len(l.marks) != 10 || pauses[0] != 100*time.Millisecond || pauses[1] != 200*time.Millisecond || pauses[8] != 6400*time.Millisecond {
		t.Errorf("%d markers, pauses %v", len(l.marks), pauses)
	}
	l.refuse = errors.New("disk is full")
	l.step(Marked{TopicPartition{"t", 0}, nil})
	l.in(PrepareCommit, Producer{7, 5})
	l.refuse = nil
	l.now, _ = l.core.Deadline()
	l.step(Tick{})
	l.in(CompleteCommit, Producer{7, 5})
	if len(l.marks) != 10 {
		t.Errorf("%d markers: one was sent again only because of the record", len(l.marks))
	}
}

func TestAnswerable(t *testing.T) {
	for _, c := range []struct {
		op      Operation
		version int16
		err     error
		want    error
	}{
		{OpInitProducerID, 3, ErrFenced, ErrInvalidEpoch}, {OpInitProducerID, 4, ErrFenced, ErrFenced},
		{OpAddPartitions, 1, ErrFenced, ErrInvalidEpoch}, {OpAddPartitions, 2, ErrFenced, ErrFenced},
		{OpAddPartitions, 4, ErrAbortable, ErrInvalidState}, {OpAddPartitions, 5, ErrAbortable, ErrAbortable},
		{OpAddOffsets, 1, ErrFenced, ErrInvalidEpoch}, {OpAddOffsets, 2, ErrFenced, ErrFenced},
		{OpEndTxn, 1, ErrFenced, ErrInvalidEpoch}, {OpEndTxn, 2, ErrFenced, ErrFenced}, {OpEndTxn, 1, ErrConcurrent, ErrConcurrent},
		{OpProduce, 13, ErrFenced, ErrInvalidEpoch},
		{OpProduce, 10, ErrAbortable, ErrInvalidState}, {OpProduce, 11, ErrAbortable, ErrAbortable},
		{OpProduce, 11, ErrConcurrent, ErrTryAgain}, {OpProduce, 12, ErrConcurrent, ErrConcurrent}, {OpProduce, 12, ErrNotAvailable, ErrTryAgain},
		{OpProduce, 7, ErrInvalidMapping, ErrInvalidMapping},
		{OpTxnOffsetCommit, 5, ErrFenced, ErrInvalidEpoch},
		{OpTxnOffsetCommit, 3, ErrAbortable, ErrInvalidState}, {OpTxnOffsetCommit, 4, ErrAbortable, ErrAbortable},
		{OpTxnOffsetCommit, 4, ErrConcurrent, ErrNotAvailable}, {OpTxnOffsetCommit, 5, ErrConcurrent, ErrConcurrent},
		{OpEndTxn, 0, nil, nil}, {OpProduce, 12, ErrTooManyInOne, ErrAbortable}, {OpTxnOffsetCommit, 5, ErrTooManyInOne, ErrAbortable},
		{OpAddPartitions, 3, ErrTooManyInOne, ErrTooManyInOne}, {OpAddOffsets, 4, ErrTooManyInOne, ErrTooManyInOne},
	} {
		got := Answerable(c.op, c.version, c.err)
		is(t, fmt.Sprintf("%d v%d", c.op, c.version), got, c.want)
		if c.want != c.err && errors.Is(got, c.err) {
			t.Errorf("%d v%d: %v is of both classes", c.op, c.version, got)
		}
	}
}
