//go:build clients

package clients

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"testing"
)

// call is one API key in one version.
type call struct{ key, version int16 }

// proxy passes bytes between clients and the peer, and counts what is asked. It reads four bytes of each request, so that it
// counts also what no codec here knows:
//
//	| int32 size | int16 key | int16 version | … |
type proxy struct {
	ln      net.Listener
	backend string
	wg      sync.WaitGroup

	mu     sync.Mutex
	calls  map[call]int
	hungUp map[string]int // what the peer was asked last before it closed the connection, in words
	conns  map[net.Conn]bool
	closed bool
}

// newProxy listens; serve begins when the peer is there.
func newProxy(t *testing.T) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, calls: map[call]int{}, hungUp: map[string]int{}, conns: map[net.Conn]bool{}}
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) serve(backend string) {
	p.backend = backend
	p.wg.Go(func() {
		for {
			client, err := p.ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.backend)
			if err != nil {
				client.Close()
				continue
			}
			if !p.keep(client, server) {
				return
			}
			p.wg.Go(func() { p.pass(client, server) })
		}
	})
}

// pass returns when both directions have ended.
func (p *proxy) pass(client, server net.Conn) {
	var mu sync.Mutex
	var last string
	done := make(chan struct{})
	go func() { // ends when the client's side is closed, which the end of pass makes sure of
		defer close(done)
		defer server.Close()
		for {
			c, begin, err := forward(server, client)
			if err != nil {
				return
			}
			mu.Lock()
			last = fmt.Sprintf("%s that begins %x", c, begin)
			mu.Unlock()
			p.count(c)
		}
	}()
	_, err := io.Copy(client, server)
	select {
	case <-done: // the client left first
	default:
		if err == nil {
			mu.Lock()
			p.mu.Lock()
			p.hungUp[last]++
			p.mu.Unlock()
			mu.Unlock()
		}
	}
	client.Close()
	server.Close()
	<-done
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// forward passes one request on, and gives how it begins.
func forward(dst io.Writer, src io.Reader) (c call, begin []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return c, nil, err
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 {
		return c, nil, fmt.Errorf("a request of %d bytes", size)
	}
	c = call{int16(binary.BigEndian.Uint16(head[4:])), int16(binary.BigEndian.Uint16(head[6:]))}
	begin = make([]byte, min(size-4, 128))
	if _, err := io.ReadFull(src, begin); err != nil {
		return c, nil, err
	}
	if _, err := dst.Write(append(head[:], begin...)); err != nil {
		return c, nil, err
	}
	_, err = io.CopyN(dst, src, size-4-int64(len(begin)))
	return c, begin, err
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
		} else {
			p.conns[c] = true
		}
	}
	return !p.closed
}

func (p *proxy) count(c call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c]++
}

// take gives what was counted since the last take.
func (p *proxy) take() (calls map[call]int, hungUp map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls, hungUp = maps.Clone(p.calls), maps.Clone(p.hungUp)
	clear(p.calls)
	clear(p.hungUp)
	return calls, hungUp
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
