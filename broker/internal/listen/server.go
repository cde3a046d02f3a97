package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Session answers the requests of one connection. Serve is called by the connection's reader, for one request after the
// other; Finish by its writer.
type Session interface {
	// Serve begins a request. The frame is valid during the call; Retain makes it last. A nil Pending is a request without a
	// response. An error closes the connection, with one log line.
	Serve(ctx context.Context, f *Frame) (Pending, error)
}

// Muter is a Session that may have its client held up: answered, but not listened to for a while (KIP-219).
type Muter interface {
	// Muted is for how much longer no request is to be begun; 0 or less: not at all. The connection's reader asks before each
	// request, and waits no longer than Options.IdleTimeout.
	Muted() time.Duration
}

// Pending is a response that may not be ready yet.
type Pending interface {
	// Ready says that Finish would not wait. Responses that are ready share a write.
	Ready() bool
	// Finish waits until the response is known, or ctx ends, and builds it in o. It is called once whatever happens, with ctx
	// ended when the connection is gone, and lets go of all that the Pending holds. An error closes the connection.
	Finish(ctx context.Context, o *Out) error
}

// Options configure a Server. Zero values mean the defaults given.
type Options struct {
	NewSession      func(remote net.Addr) Session // required
	MaxRequestBytes int                           // default 100 MiB
	MaxConns        int                           // default 10,000
	MaxConnsPerIP   int                           // default: MaxConns
	InFlight        int                           // requests of one connection; default 64
	BudgetBytes     int64                         // of requests in work, over all connections; default 512 MiB
	IdleTimeout     time.Duration                 // without a request or a pending answer; default 10 min
	HeaderTimeout   time.Duration                 // from a frame's first byte to its fourth; default 10 s
	BodyTimeout     time.Duration                 // for a frame of no size; larger ones have a second more per 128 KiB; default 30 s
	WriteTimeout    time.Duration                 // for a step of a response to be taken; default 30 s
	Logger          *slog.Logger                  // default: discard
}

func (o *Options) defaults() {
	setDefault(&o.MaxRequestBytes, 100<<20)
	setDefault(&o.MaxConns, 10_000)
	setDefault(&o.MaxConnsPerIP, o.MaxConns)
	setDefault(&o.InFlight, 64)
	setDefault(&o.BudgetBytes, 512<<20)
	setDefault(&o.IdleTimeout, 10*time.Minute)
	setDefault(&o.HeaderTimeout, 10*time.Second)
	setDefault(&o.BodyTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | int64 | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

// Server serves one listener.
type Server struct {
	o      Options
	ln     net.Listener
	budget *budget
	lines  limiter
	ctx    context.Context // of all connections
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	limits atomic.Pointer[Limits]

	accepting context.Context // ends when the server drains
	drained   context.CancelFunc

	// Sent counts what left, Received the bytes of frames; Panics the panics contained (L4); Accepted the connections that came, Refused
	// those of them that were closed for the limits.
	Sent     Counters
	Received atomic.Int64
	Panics   atomic.Int64
	Accepted atomic.Int64
	Refused  atomic.Int64

	mu       sync.Mutex
	conns    map[*conn]struct{}
	perIP    map[string]int
	draining bool
}

// errShutdown is why connections end when the server does.
var errShutdown = errors.New("the broker is shutting down")

// Serve begins to accept on ln, which it owns from now on. The caller must call Shutdown.
func Serve(ln net.Listener, o Options) *Server {
	o.defaults()
	s := &Server{o: o, ln: ln, budget: newBudget(o.BudgetBytes), conns: map[*conn]struct{}{}, perIP: map[string]int{}}
	s.lines.log = o.Logger
	s.SetLimits(Limits{Conns: o.MaxConns, ConnsPerIP: o.MaxConnsPerIP})
	s.accepting, s.drained = context.WithCancel(context.Background())
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.wg.Go(s.accept)
	return s
}

// accept takes connections until the listener is closed. An error that passes (no file descriptors left, as a rule) is
// waited out rather than spun on.
func (s *Server) accept() {
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		c, err := s.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.lines.warn("cannot accept a connection; waiting", "err", err, "wait", wait)
			if !sleep(s.ctx, wait) {
				return
			}
			wait = min(2*wait, most)
			continue
		}
		wait = least
		s.Accepted.Add(1)
		s.admit(c)
	}
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admit starts a connection, or closes it where a limit is reached.
func (s *Server) admit(nc net.Conn) {
	var c *conn
	err := s.guard(nc.RemoteAddr(), func() (err error) {
		c, err = s.newConn(nc)
		return err
	})
	if err == nil {
		err = s.register(c)
	}
	if err != nil {
		s.Refused.Add(1)
		s.lines.warn("connection refused", "remote", nc.RemoteAddr(), "err", err)
		_ = nc.Close() // nothing was sent or read
		return
	}
	s.wg.Go(func() {
		defer s.unregister(c)
		s.delay(c.ip)
		c.run()
	})
}

func (s *Server) register(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errShutdown
	}
	if err := s.within(c.ip); err != nil {
		return err
	}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx) // not before: s.ctx would keep that of a connection that is refused
	s.conns[c] = struct{}{}
	s.perIP[c.ip]++
	return nil
}

func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Conns is how many connections are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain stops accepting and reading; what was begun is still answered. It does not wait. The error is the listener's.
func (s *Server) Drain() error {
	s.mu.Lock()
	again := s.draining
	s.draining = true
	s.drained()
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	if again {
		return nil
	}
	return s.ln.Close()
}

// Shutdown drains, lets the responses under way go out until ctx ends, then closes all connections and waits for every
// goroutine (L6). What pendings wait for must end by itself, or they go on until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.Drain()
	done := make(chan struct{})
	go func() { // ends when the connections have; waited for below
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.cancel(errShutdown)
	s.mu.Lock()
	for c := range s.conns {
		c.close()
	}
	s.mu.Unlock()
	<-done
	return err
}
