package listen

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPanicOfANewSession: a bug before the first request costs one connection, not the listener.
func TestPanicOfANewSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, log := newFake(t), &safeLog{}
	var came atomic.Int32
	s := Serve(ln, Options{Logger: slog.New(slog.NewTextHandler(log, nil)), NewSession: func(net.Addr) Session {
		if came.Add(1) == 1 {
			panic("a bug")
		}
		return f
	}})
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = s.Shutdown(ctx)
	}()
	connect(t, s).wantClosed()
	if s.Panics.Load() != 1 || !strings.Contains(log.String(), "BUG") {
		t.Errorf("%d panics; log:\n%s", s.Panics.Load(), log)
	}
	c := connect(t, s)
	if c.send("fine"); c.recv() != "fine" {
		t.Error("others are not served after a panic")
	}
}

func TestStats(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{MaxConns: 1, BudgetBytes: 1 << 20})
	c := connect(t, s)
	c.send("kept")
	c.recv()
	st := s.Stats()
	if st.Conns != 1 || st.MaxConns != 1 || st.Accepted != 1 || st.Refused != 0 || st.Panics != 0 {
		t.Errorf("%+v", st)
	}
	if st.ReceivedBytes != 8 || st.CopiedBytes != 8 {
		t.Errorf("a frame of 4 bytes is 8 on the wire: %+v", st)
	}
	if st.BudgetBytes != 1<<20 || st.BudgetUsed == 0 || st.BudgetWaiting != 0 {
		t.Errorf("a frame is kept, and its memory not counted: %+v", st)
	}
	(<-f.kept).Release()
	connect(t, s).wantClosed()
	if st := s.Stats(); st.BudgetUsed != 0 || st.Accepted != 2 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
}
