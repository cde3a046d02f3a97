package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
)

// The limits of X2.
const (
	parcelSize  = 32 << 10
	queueLen    = 512
	maxConns    = 4096
	maxLinks    = 1000
	dialTimeout = 10 * time.Second
)

// Link is one listener whose connections go to one address.
type Link struct {
	Flow     string // the client that dials, for links of a Front: "produce:orders"
	From, To int32  // broker ids, for links between brokers; else -1
	Upstream string // host:port that it dials

	net      *Net
	front    *Front // nil: answers pass as they are
	ln       net.Listener
	up, down lane
	limit    chan struct{} // a token for each connection
}

// Addr is the host:port that it listens on.
func (l *Link) Addr() string { return l.ln.Addr().String() }

// Passed is what has gone through so far, in both directions.
func (l *Link) Passed() Passed {
	return Passed{
		Frames: l.up.frames.Load() + l.down.frames.Load(), Bytes: l.up.bytes.Load() + l.down.bytes.Load(),
		Stalls: l.up.stalls.Load() + l.down.stalls.Load(),
	}
}

// Passed counts what has gone through a link.
type Passed struct {
	Frames, Bytes int64
	Stalls        int64 // parcels that waited for a retransmission
}

// lane is one direction of a link, shared by all its connections.
type lane struct {
	state                 atomic.Pointer[state]
	frames, bytes, stalls atomic.Int64

	mu   sync.Mutex
	wire wire // guarded by mu
}

// state is the effect in force. It is replaced, never changed.
type state struct {
	Effect
	changed chan struct{} // closed when it was replaced
}

// set puts an effect in force.
func (a *lane) set(e Effect) {
	old := a.state.Swap(&state{Effect: e, changed: make(chan struct{})})
	if old != nil {
		close(old.changed)
	}
}

// due is when n bytes that are sent now may arrive; the zero time means at once.
func (a *lane) due(n int) time.Time {
	e := a.state.Load().Effect
	a.bytes.Add(int64(n))
	if e.Delay == 0 && e.Jitter == 0 && e.Loss == 0 && e.Bandwidth == 0 {
		return time.Time{}
	}
	a.mu.Lock()
	at, stalled := a.wire.due(time.Now(), n, e)
	a.mu.Unlock()
	if stalled {
		a.stalls.Add(1)
	}
	return at
}

// open waits until nothing is held back.
func (a *lane) open(ctx context.Context) error {
	for {
		s := a.state.Load()
		if !s.Hold {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// parcel limits how much goes at once, so that a narrow link passes a trickle and no gusts.
func (a *lane) parcel() int {
	if b := a.state.Load().Bandwidth; b > 0 {
		return min(parcelSize, max(segmentSize, int(b/20)))
	}
	return parcelSize
}

// serve accepts until the listener is closed.
func (l *Link) serve() {
	for {
		c, err := l.ln.Accept()
		if err != nil {
			if l.net.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			_ = pace.Sleep(l.net.ctx, 10*time.Millisecond) // out of descriptors, as a rule: the next may fare better
			continue
		}
		select {
		case l.limit <- struct{}{}:
			l.net.wg.Go(func() {
				defer func() { <-l.limit }()
				l.connect(c)
			})
		default:
			reset(c)
		}
	}
}

// connect dials on behalf of a new connection and passes bytes until both sides are done. The kernel has answered the client
// already, so a connection that could not come about is one that says nothing, or ends at once.
func (l *Link) connect(client net.Conn) {
	ctx, cancel := context.WithCancel(l.net.ctx)
	defer cancel()
	if errors.Join(l.up.open(ctx), l.down.open(ctx)) != nil { // no handshake across a broken link
		reset(client)
		return
	}
	handshake := l.up.state.Load().Delay + l.down.state.Load().Delay
	if handshake > 0 && pace.Sleep(ctx, handshake) != nil {
		reset(client)
		return
	}
	dialling, stop := context.WithTimeout(ctx, dialTimeout)
	c, err := l.net.dial(dialling, "tcp", l.Upstream)
	stop()
	if err != nil {
		reset(client)
		return
	}
	newSession(ctx, cancel, l, client, c).run()
}

// reset ends a connection the hard way, as a host does where nobody listens.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// Rule is an effect on some links of a net.
type Rule struct {
	Match    func(*Link) bool // must be pure and quick: it is called under the net's lock
	Up, Down Effect
}

// Net is a set of links and the rules that hold on them.
type Net struct {
	dial   Dial
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	links []*Link
	rules []*Rule
}

// Dial connects to an upstream: also to one that wants TLS, of which the frames would not be seen if it went through.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewNet makes an empty net, whose links dial by dial; nil is TCP. Close it.
func NewNet(dial Dial) *Net {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	n := &Net{dial: dial}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// ErrTooMany says that a net has maxLinks links already.
var ErrTooMany = errors.New("proxy: too many links: a cluster does not have so many brokers")

// Between adds a link for what broker from dials at broker to. It listens on listen (host:port).
func (n *Net) Between(from, to int32, listen, upstream string) (*Link, error) {
	return n.add(&Link{From: from, To: to, Upstream: upstream}, listen)
}

func (n *Net) add(l *Link, listen string) (*Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.links) >= maxLinks {
		return nil, ErrTooMany
	}
	if n.ctx.Err() != nil {
		return nil, net.ErrClosed
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	l.net, l.ln, l.limit = n, ln, make(chan struct{}, maxConns)
	for _, a := range []*lane{&l.up, &l.down} {
		a.wire.rng = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	n.links = append(n.links, l)
	n.refresh(l)
	n.wg.Go(l.serve)
	return l, nil
}

// Links lists the links that there are now.
func (n *Net) Links() []*Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.links)
}

// Apply puts rules in force until undo is called (X4). undo may be called more than once.
func (n *Net) Apply(rules ...Rule) (undo func()) {
	var mine []*Rule
	for _, r := range rules {
		mine = append(mine, &r)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append(n.rules, mine...)
	n.refreshAll()
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.rules = slices.DeleteFunc(n.rules, func(r *Rule) bool { return slices.Contains(mine, r) })
		n.refreshAll()
	}
}

func (n *Net) refreshAll() {
	for _, l := range n.links {
		n.refresh(l)
	}
}

// refresh computes what holds on a link. The lock is held.
func (n *Net) refresh(l *Link) {
	var up, down Effect
	for _, r := range n.rules {
		if r.Match(l) {
			up, down = up.and(r.Up), down.and(r.Down)
		}
	}
	for _, a := range []struct {
		lane *lane
		e    Effect
	}{{&l.up, up}, {&l.down, down}} {
		if s := a.lane.state.Load(); s == nil || s.Effect != a.e {
			a.lane.set(a.e)
		}
	}
}

// Close ends all links and connections, and waits for them (X5).
func (n *Net) Close() {
	n.mu.Lock()
	n.cancel()
	for _, l := range n.links {
		_ = l.ln.Close() // nothing is buffered in a listener that anybody would miss
	}
	n.mu.Unlock()
	n.wg.Wait()
}
