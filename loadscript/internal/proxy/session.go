package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
)

// The other limits of X2.
const (
	maxPending = 10_000
	maxRewrite = 128 << 20 // bytes of an answer that is rewritten: more than any client's fetch.max.bytes
)

var (
	errBadFrame  = errors.New("proxy: a frame of negative size")
	errTooLarge  = errors.New("proxy: an answer with brokers' addresses that is too large to rewrite")
	errUnmatched = errors.New("proxy: too many requests without an answer")
)

// session is one connection through a link: a socket on each side.
type session struct {
	ctx    context.Context
	cancel context.CancelFunc
	link   *Link
	client net.Conn
	server net.Conn

	mu      sync.Mutex
	pending []call // guarded by mu: requests passed on and not answered yet, the oldest first
}

// call is a request on its way.
type call struct {
	correlation  int32
	key, version int16
}

func newSession(ctx context.Context, cancel context.CancelFunc, l *Link, client, server net.Conn) *session {
	return &session{ctx: ctx, cancel: cancel, link: l, client: client, server: server}
}

// run returns when both directions have ended, or the net was closed.
func (s *session) run() {
	defer context.AfterFunc(s.ctx, func() { // wakes whoever reads or writes
		reset(s.client)
		reset(s.server)
	})()
	var wg sync.WaitGroup
	up := &pipe{session: s, src: s.client, dst: s.server, lane: &s.link.up, frame: s.request}
	down := &pipe{session: s, src: s.server, dst: s.client, lane: &s.link.down, frame: s.answer}
	for _, p := range []*pipe{up, down} {
		p.queue = make(chan parcel, queueLen)
		p.in = bufio.NewReaderSize(p.src, parcelSize)
		wg.Go(p.read)
		wg.Go(p.write)
	}
	wg.Wait()
	_ = s.client.Close()
	_ = s.server.Close()
}

// pipe is one direction of a session.
type pipe struct {
	session  *session
	src, dst net.Conn
	lane     *lane
	in       *bufio.Reader
	queue    chan parcel
	frame    func(*pipe) error // passes one frame
}

// parcel is a piece of a frame.
type parcel struct {
	bytes  []byte
	due    time.Time
	buffer *[]byte // that bytes lie in, if it is one of buffers
}

// buffers are those of parcels that are worth to be used again.
var buffers = sync.Pool{New: func() any { b := make([]byte, parcelSize); return &b }}

const worthPooling = 4 << 10

// read takes frames in until the source ends; its end is queued behind them.
func (p *pipe) read() {
	defer close(p.queue)
	for {
		if err := p.frame(p); err != nil {
			if errors.Is(err, errBadFrame) || errors.Is(err, errTooLarge) || errors.Is(err, errUnmatched) {
				p.session.cancel() // no peer that speaks Kafka: nothing behind this would make sense
			}
			return
		}
		p.lane.frames.Add(1)
	}
}

// write delivers parcels when they are due.
func (p *pipe) write() {
	var last time.Time // order is kept although delays differ (X1)
	for q := range p.queue {
		if q.due.After(last) {
			last = q.due
		}
		if p.await(last) != nil {
			break
		}
		_, err := p.dst.Write(q.bytes)
		if q.buffer != nil {
			buffers.Put(q.buffer)
		}
		if err != nil {
			p.session.cancel()
			break
		}
	}
	for range p.queue { // only after a failure: lets the reader see it
	}
	if p.await(last) != nil {
		return
	}
	if p.dst == p.session.client {
		p.session.cancel() // a broker that hangs up is done with both directions
		return
	}
	if half, ok := p.dst.(interface{ CloseWrite() error }); ok { // TCP and TLS can
		_ = half.CloseWrite() // answers to what was sent may still come
	} else {
		p.session.cancel()
	}
}

func (p *pipe) await(due time.Time) error {
	if !due.IsZero() {
		if d := time.Until(due); d > 0 {
			if err := pace.Sleep(p.session.ctx, d); err != nil {
				return err
			}
		}
	}
	return p.lane.open(p.session.ctx)
}

// send queues bytes, which belong to the pipe from now on.
func (p *pipe) send(b []byte) error { return p.queueUp(parcel{bytes: b}) }

func (p *pipe) queueUp(q parcel) error {
	q.due = p.lane.due(len(q.bytes))
	select {
	case p.queue <- q:
		return nil
	case <-p.session.ctx.Done():
		return p.session.ctx.Err()
	}
}

// pass sends the next n bytes on as they come.
func (p *pipe) pass(n int) error {
	for n > 0 {
		if _, err := p.in.Peek(1); err != nil {
			return err
		}
		var q parcel
		if size := min(n, p.lane.parcel(), p.in.Buffered()); size < worthPooling {
			q.bytes = make([]byte, size)
		} else {
			q.buffer = buffers.Get().(*[]byte)
			q.bytes = (*q.buffer)[:size]
		}
		_, _ = p.in.Read(q.bytes) // they are buffered
		n -= len(q.bytes)
		if err := p.queueUp(q); err != nil {
			return err
		}
	}
	return nil
}

// request passes a request on and remembers it:
//
//	| int32 size | int16 key | int16 version | int32 correlation | … |
func (s *session) request(p *pipe) error {
	head, err := p.in.Peek(4)
	if err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < 0 {
		return errBadFrame
	}
	if size < 8 || s.link.front == nil {
		return p.pass(4 + size)
	}
	if head, err = p.in.Peek(12); err != nil {
		return err
	}
	c := call{
		key: int16(binary.BigEndian.Uint16(head[4:])), version: int16(binary.BigEndian.Uint16(head[6:])),
		correlation: int32(binary.BigEndian.Uint32(head[8:])),
	}
	b := make([]byte, 12)
	copy(b, head)
	if c.key == keyApiVersions && c.version > codecMax(c.key) {
		// We could not read the answer. A version that nobody has makes the broker answer in version 0 that it does not know
		// it and which it knows (KIP-511), and that answer is capped, so the client comes back with one that we know.
		binary.BigEndian.PutUint16(b[6:], 0x7fff)
		c.version = 0
	}
	if err := s.remember(c); err != nil {
		return err
	}
	_, _ = p.in.Discard(12) // it was peeked
	// The rest comes in one parcel with the head if it is there: most requests are one write of the client's.
	if rest := min(size-8, p.in.Buffered(), p.lane.parcel()); rest > 0 {
		b = append(b, make([]byte, rest)...)
		_, _ = p.in.Read(b[12:]) // it is buffered
		size -= rest
	}
	if err := p.send(b); err != nil {
		return err
	}
	return p.pass(size - 8)
}

func (s *session) remember(c call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= maxPending {
		return errUnmatched
	}
	s.pending = append(s.pending, c)
	return nil
}

// recall finds the request of an answer. Brokers answer a connection's requests in order, but give no answer to some
// (acks=0): what came before this one has none.
func (s *session) recall(correlation int32) (c call, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.pending {
		if c.correlation == correlation {
			s.pending = s.pending[i+1:]
			if len(s.pending) == 0 {
				s.pending = nil // so that the array does not creep along
			}
			return c, true
		}
	}
	return c, false
}

// answer passes an answer on, with the brokers' addresses replaced:
//
//	| int32 size | int32 correlation | … |
func (s *session) answer(p *pipe) error {
	head, err := p.in.Peek(4)
	if err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < 0 {
		return errBadFrame
	}
	if size < 4 || s.link.front == nil {
		return p.pass(4 + size)
	}
	if head, err = p.in.Peek(8); err != nil {
		return err
	}
	c, found := s.recall(int32(binary.BigEndian.Uint32(head[4:])))
	if !found || !holdsAddresses(c) {
		return p.pass(4 + size)
	}
	if size > maxRewrite {
		return fmt.Errorf("%w: %d bytes of API key %d", errTooLarge, size, c.key)
	}
	frame := make([]byte, 0, 4+min(size, parcelSize)) // grows as bytes come: a size is a claim
	for want := 4 + size; len(frame) < want; {
		n := len(frame)
		frame = append(frame, make([]byte, min(want-n, max(n, parcelSize)))...)
		if _, err := io.ReadFull(p.in, frame[n:]); err != nil {
			return err
		}
	}
	out, err := rewrite(c, frame, s.link.front.local)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadFrame, err)
	}
	for len(out) > 0 {
		n := min(len(out), p.lane.parcel())
		if err := p.send(out[:n:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}
