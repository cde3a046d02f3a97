package proxy

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
)

// Front stands before a whole cluster for one client: the client is told the addresses of links, one for each broker that
// the answers name.
type Front struct {
	flow string
	net  *Net

	mu    sync.Mutex
	links map[string]*Link // guarded by mu: by upstream
	seeds []string
}

// Front opens links to the seeds (host:port) for a client that is called flow.
func (n *Net) Front(flow string, seeds []string) (*Front, error) {
	f := &Front{flow: flow, net: n, links: map[string]*Link{}}
	for _, s := range seeds {
		l, err := f.link(s)
		if err != nil {
			return nil, fmt.Errorf("proxy: a link to %s for %s: %w", s, flow, err)
		}
		f.seeds = append(f.seeds, l.Addr())
	}
	return f, nil
}

// Seeds are the addresses that the client starts with.
func (f *Front) Seeds() []string { return slices.Clone(f.seeds) }

// link finds the link to an address, or makes it.
func (f *Front) link(upstream string) (*Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.links[upstream]; l != nil {
		return l, nil
	}
	l, err := f.net.add(&Link{Flow: f.flow, From: -1, To: -1, Upstream: upstream, front: f}, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.links[upstream] = l
	return l, nil
}

// local is the address that a client is told in place of a broker's.
func (f *Front) local(host string, port int32) (string, int32, error) {
	l, err := f.link(net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return "", 0, err
	}
	a := l.ln.Addr().(*net.TCPAddr)
	return a.IP.String(), int32(a.Port), nil
}
