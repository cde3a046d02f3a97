package txn

import (
	"errors"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

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
		old := Producer{7, 5}
		is(t, "add", l.add(old, 1), ErrFenced)
		is(t, "end", l.end(old, true, 0).Err, ErrFenced)
		is(t, "end by protocol 2", l.end(old, true, 2).Err, ErrFenced)
		is(t, "init", l.init(&old).Err, ErrFenced)
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
