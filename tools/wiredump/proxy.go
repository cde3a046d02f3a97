package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/streambus/streambus/tools/capture"
)

// proxy passes connections on to a broker, and tells what they carry. Bytes are told first and go on then, as they are, so that no answer is told
// before its request; a frame that cannot be read goes on like any other.
type proxy struct {
	to       string
	maxFrame int
	emit     func(event) error
	save     *capture.Writer // nil: nothing is kept
	note     func(format string, a ...any)

	mu   sync.Mutex // emit, save, and all conversations
	next int
	open map[net.Conn]bool
	err  error // the first of emit or save: nothing is told after it
}

// The bounds of the proxy.
const (
	mostConnections = 1000
	dialTimeout     = 10 * time.Second
)

// serve accepts until ctx ends, then closes all connections and waits for them.
func (p *proxy) serve(ctx context.Context, l net.Listener) error {
	p.open = map[net.Conn]bool{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		<-ctx.Done()
		_ = l.Close() // ends Accept
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.open {
			_ = c.Close() // ends the copying
		}
	})
	slots := make(chan struct{}, mostConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			cancel()
			all.Wait()
			return errors.Join(err, p.err)
		}
		select {
		case slots <- struct{}{}:
			all.Go(func() {
				p.pass(ctx, c)
				<-slots
			})
		default:
			p.note("%s is turned away: %d connections are open", c.RemoteAddr(), mostConnections)
			_ = c.Close()
		}
	}
}

// keep remembers a connection so that the end closes it; false if the end has come.
func (p *proxy) keep(ctx context.Context, c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	p.open[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// pass carries one connection to its end.
func (p *proxy) pass(ctx context.Context, client net.Conn) {
	defer p.drop(client)
	broker, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", p.to)
	if err != nil {
		p.note("%v: is the broker there? %s is turned away", err, client.RemoteAddr())
		return
	}
	defer p.drop(broker)
	if !p.keep(ctx, client) || !p.keep(ctx, broker) {
		return
	}
	from, to := addr(client.RemoteAddr()), addr(broker.RemoteAddr())
	p.mu.Lock()
	p.next++
	v := newConversation(p.next, from.String(), to.String(), p.maxFrame, p.emit)
	if p.save != nil {
		p.fail(p.save.Open(time.Now(), from, to))
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(v, client, broker, true, from, to) })
	both.Go(func() { p.copy(v, broker, client, false, to, from) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail(v.end(time.Now()))
	if p.save != nil {
		p.fail(p.save.Close(time.Now(), from, to))
	}
}

// copy carries one direction, and passes on its end.
func (p *proxy) copy(v *conversation, from, to net.Conn, fromClient bool, source, target netip.AddrPort) {
	buf := make([]byte, readSize)
	for {
		n, err := from.Read(buf)
		at := time.Now()
		if n > 0 {
			p.tell(v, at, fromClient, buf[:n], source, target)
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close() // the other direction ends, too
				return
			}
		}
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
			_ = to.Close()
		}
		return
	}
}

func (p *proxy) tell(v *conversation, at time.Time, fromClient bool, data []byte, source, target netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return // traffic goes on; what could not be written is said at the end
	}
	if p.save != nil {
		p.fail(p.save.Data(at, source, target, data))
	}
	p.fail(v.feed(at, fromClient, 0, data))
}

// fail keeps the first error. The caller holds mu.
func (p *proxy) fail(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("nothing more is told of the traffic, which goes on: %w", err)
		p.note("%v", p.err)
	}
}

func addr(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
	}
	return netip.AddrPort{}
}
