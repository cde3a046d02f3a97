package txn

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

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
