package txn

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

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
