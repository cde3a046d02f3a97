package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/wire"
)

// TestEveryRequestIsCounted: whatever becomes of a request, it is counted as begun and as ended.
func TestEveryRequestIsCounted(t *testing.T) {
	f := newFixture(t)
	ok := frameOf(4, &wire.HeartbeatRequest{GroupID: "none"})
	if _, answered := f.do(t.Context(), ok); !answered {
		t.Fatal("closed")
	}
	if got, want := f.Requests.Of(wire.KeyHeartbeat), (stat.Counts{Total: 1, Ended: 1, Errors: 1}); got != want {
		t.Errorf("answered with an error: %+v, want %+v", got, want)
	}
	if _, answered := f.do(t.Context(), ok[:len(ok)-3]); answered {
		t.Fatal("half a request was answered")
	}
	if got, want := f.Requests.Of(wire.KeyHeartbeat), (stat.Counts{Total: 2, Ended: 2, Errors: 1}); got != want || f.Requests.Malformed.Load() != 1 {
		t.Errorf("malformed: %+v, want %+v; %d malformed", got, want, f.Requests.Malformed.Load())
	}
	if _, answered := f.do(t.Context(), frameOf(9, &wire.ProduceRequest{Acks: 0})); !answered { // nothing to be told, and nothing wrong
		t.Fatal("closed")
	}
	if got, want := f.Requests.Of(wire.KeyProduce), (stat.Counts{Total: 1, Ended: 1}); got != want {
		t.Errorf("without an answer: %+v, want %+v", got, want)
	}
	if _, answered := f.do(t.Context(), []byte{0x7f, 0xff, 0, 0}); answered {
		t.Fatal("an unknown key was answered")
	}
	if n := f.Requests.Malformed.Load(); n != 2 {
		t.Errorf("%d are malformed, want 2", n)
	}
}

// broken is a Pending that ends as it is told.
type broken struct{ err error }

func (b broken) Ready() bool { return true }

func (b broken) Finish(context.Context, *listen.Out) error {
	if b.err == nil {
		panic("a bug")
	}
	return b.err
}

// TestAnswersThatFailAreCounted: a client that is gone, and a panic, end their requests too.
func TestAnswersThatFailAreCounted(t *testing.T) {
	f := newFixture(t)
	finish := func(p listen.Pending) (panicked bool) {
		defer func() { panicked = recover() != nil }()
		f.Requests.Begin(wire.KeyFetch, 12)
		m, err := f.measure(wire.KeyFetch, time.Now(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Finish(t.Context(), &listen.Out{}); err == nil {
			t.Error("the error is gone")
		}
		return false
	}
	if finish(broken{errors.New("the client is gone")}) || !finish(broken{}) {
		t.Error("it panicked where it should not, or did not where it should")
	}
	if got, want := f.Requests.Of(wire.KeyFetch), (stat.Counts{Total: 2, Ended: 2}); got != want || f.Requests.Unanswered.Load() != 1 {
		t.Errorf("%+v, want %+v; %d unanswered", got, want, f.Requests.Unanswered.Load())
	}
}

// TestHandlersThatPanicAreCounted: the connection contains the panic, and nothing stays in flight.
func TestHandlersThatPanicAreCounted(t *testing.T) {
	f := newFixture(t)
	f.Groups = nil // a bug
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		f.do(t.Context(), frameOf(4, &wire.HeartbeatRequest{GroupID: "g"}))
	}()
	if got, want := f.Requests.Of(wire.KeyHeartbeat), (stat.Counts{Total: 1, Ended: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestMeasuringAllocatesNothing: the wrapper is pooled.
func TestMeasuringAllocatesNothing(t *testing.T) {
	s := New(Options{})
	var p listen.Pending = broken{errors.New("the client is gone")}
	ctx, o := t.Context(), &listen.Out{}
	if n := testing.AllocsPerRun(200, func() {
		s.Requests.Begin(wire.KeyFetch, 12)
		m, _ := s.measure(wire.KeyFetch, time.Now(), p, nil)
		_ = m.Finish(ctx, o)
	}); n >= 1 { // the collector may empty the pool
		t.Errorf("%v allocations", n)
	}
}
