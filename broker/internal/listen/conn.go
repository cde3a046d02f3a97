package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// conn is one connection: a reader goroutine (run) and a writer goroutine, which run waits for.
type conn struct {
	s       *Server
	nc      net.Conn
	ip      string
	session Session
	send    *sender
	ctx     context.Context // from register on
	cancel  context.CancelCauseFunc
	queue   chan Pending // begun and not answered, in order; closed by the reader
	waiting atomic.Int32 // requests begun and not answered
	stopped atomic.Bool  // read no more, answer what is begun
	parting bool         // a last word was said: close gently. The reader's
}

// readBuffer holds small requests, so that prefix and body come in one system call; large bodies pass it by.
const readBuffer = 4 << 10

func (s *Server) newConn(nc net.Conn) (*conn, error) {
	send, err := newSender(nc, &s.Sent, s.o.WriteTimeout)
	if err != nil {
		return nil, err
	}
	c := &conn{s: s, nc: nc, send: send, queue: make(chan Pending, s.o.InFlight), session: s.o.NewSession(nc.RemoteAddr())}
	if c.ip, _, err = net.SplitHostPort(nc.RemoteAddr().String()); err != nil {
		c.ip = nc.RemoteAddr().String()
	}
	return c, nil
}

// errGone is why waits end when the client has closed the connection.
var errGone = errors.New("the client has closed the connection")

func (c *conn) run() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err := c.guard(c.read)
	if !c.stopped.Load() || err != nil {
		c.report("connection closed", err)
		c.cancel(errGone)
	}
	close(c.queue)
	<-written
	if c.stopped.Load() || c.parting {
		c.linger()
	}
	c.close()
}

// lingerTime is how long a drained connection waits for the client to hang up.
const lingerTime = 500 * time.Millisecond

// linger says that no more is coming, and reads away what the client has sent meanwhile. To close with unread bytes would
// reset the connection, and the client could lose the last responses.
func (c *conn) linger() {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil || c.s.ctx.Err() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.nc) // ends by EOF, the deadline, or close
}

// close ends the connection now. Any goroutine may call it, often.
func (c *conn) close() {
	c.cancel(errGone)
	_ = c.nc.Close() // a second close, or one after an error, has nothing to say
}

// drain makes the reader stop after the request that it is at.
func (c *conn) drain() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes a blocked read; read sees stopped
}

// guard contains a panic (L4).
func (c *conn) guard(f func() error) error { return c.s.guard(c.nc.RemoteAddr(), f) }

func (s *Server) guard(remote net.Addr, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Panics.Add(1)
			s.o.Logger.Error("BUG: panic in a connection; it is closed, the broker goes on", "remote", remote, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// report logs why a connection ended, but not the ways in which clients go every day.
func (c *conn) report(what string, err error) {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errGone) || errors.Is(err, errShutdown) ||
		isReset(err) || c.ctx.Err() != nil {
		return
	}
	c.s.lines.warn(what, "remote", c.nc.RemoteAddr(), "err", err)
}

// read begins requests until the client goes, breaks a rule, or the connection drains.
func (c *conn) read() error {
	br := bufio.NewReaderSize(c.nc, readBuffer)
	fr := frameReader{r: br, limit: c.s.o.MaxRequestBytes, budget: c.s.budget, arm: c.armBody}
	for begun := false; ; begun = true {
		if err := c.first(br); err != nil {
			return err
		}
		if err := c.mute(); err != nil {
			return err
		}
		if c.stopped.Load() {
			return nil
		}
		c.deadline(c.s.o.HeaderTimeout)
		f, err := fr.next(c.ctx)
		if err != nil {
			if c.stopped.Load() {
				return nil // half a request is no request
			}
			if errors.Is(err, errHTTP) && !begun {
				c.refuseHTTP()
			}
			return fmt.Errorf("read a request: %w", err)
		}
		if err := c.begin(f); err != nil {
			return err
		}
	}
}

// first waits for the first byte of a request. Idle time does not count while an answer is being waited for.
func (c *conn) first(br *bufio.Reader) error {
	for {
		c.deadline(c.s.o.IdleTimeout)
		_, err := br.Peek(1)
		switch {
		case err == nil || c.stopped.Load():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && c.waiting.Load() > 0:
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return io.EOF // an idle client is let go without a word, as in Kafka
		}
		return err
	}
}

// mute waits for as long as the session has the client held up. Its next request has begun to come meanwhile, and stays in the socket. A
// client that hangs up is not noticed before, so the wait has an end, whatever the session says (L3).
func (c *conn) mute() error {
	m, ok := c.session.(Muter)
	if !ok {
		return nil
	}
	d := min(m.Muted(), c.s.o.IdleTimeout)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.s.accepting.Done():
		c.drain() // which may have come by here already
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	return nil
}

// deadline sets the read deadline, unless drain has set its own.
func (c *conn) deadline(d time.Duration) {
	_ = c.nc.SetReadDeadline(time.Now().Add(d)) // an error shows at the next read
	if c.stopped.Load() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) armBody(left int) {
	c.deadline(c.s.o.BodyTimeout + time.Duration(left>>17)*time.Second)
}

// begin hands one request to the session and queues what comes of it. The queue's size is the in-flight limit.
func (c *conn) begin(f *Frame) error {
	defer f.Release()
	c.s.Received.Add(int64(len(f.Body) + 4))
	p, err := c.session.Serve(c.ctx, f)
	if err != nil || p == nil {
		return err
	}
	c.waiting.Add(1)
	select {
	case c.queue <- p:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// write answers in order until the queue is closed and empty, or the socket fails.
func (c *conn) write() {
	if err := c.guard(c.writeAll); err != nil {
		c.report("connection closed: cannot answer", err)
		c.close()
	}
	for p := range c.queue { // the reader may be about to queue; nobody gets these any more
		_ = c.guard(func() error { return c.discard(p) })
		c.waiting.Add(-1)
	}
}

// discard finishes a response that nobody gets, so that it lets go of what it holds. The connection's context has ended.
func (c *conn) discard(p Pending) error {
	var o Out
	defer o.reset()
	return p.Finish(c.ctx, &o)
}

// coalesce is how many bytes of responses are collected before they are sent.
const coalesce = 64 << 10

func (c *conn) writeAll() error {
	var o Out
	defer o.reset()
	for p := range c.queue {
		if o.pending() > 0 && !p.Ready() {
			if err := c.send.send(&o); err != nil {
				return err
			}
		}
		err := p.Finish(c.ctx, &o)
		c.waiting.Add(-1)
		if err != nil {
			return err
		}
		if len(c.queue) > 0 && o.pending() < coalesce {
			continue
		}
		if err := c.send.send(&o); err != nil {
			return err
		}
	}
	return nil
}
