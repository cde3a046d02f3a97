package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a session whose requests say what is to become of them.
type fake struct {
	t       *testing.T
	gate    chan struct{} // requests that begin with 'w' wait for it
	begun   chan string
	ended   atomic.Int32 // Pendings finished
	kept    chan *Frame  // frames of requests that begin with 'k'
	file    string       // of spans
	waiting atomic.Int32
	until   atomic.Int64 // muted till then, in Unix nanoseconds
}

// Muted implements Muter.
func (f *fake) Muted() time.Duration { return time.Duration(f.until.Load() - time.Now().UnixNano()) }

func newFake(t *testing.T) *fake {
	return &fake{t: t, gate: make(chan struct{}), begun: make(chan string, 1000), kept: make(chan *Frame, 1000)}
}

func (f *fake) Serve(_ context.Context, fr *Frame) (Pending, error) {
	body := string(fr.Body)
	f.begun <- body
	switch {
	case strings.HasPrefix(body, "bad"):
		return nil, errors.New("bad request")
	case strings.HasPrefix(body, "panic"):
		panic("a bug")
	case strings.HasPrefix(body, "none"):
		return nil, nil
	case strings.HasPrefix(body, "hour"):
		f.until.Store(time.Now().Add(time.Hour).UnixNano())
	case strings.HasPrefix(body, "moment"):
		f.until.Store(time.Now().Add(10 * time.Millisecond).UnixNano())
	case strings.HasPrefix(body, "k"):
		fr.Retain()
		f.kept <- fr
	}
	return &fakePending{f, body}, nil
}

type fakePending struct {
	f    *fake
	body string
}

func (p *fakePending) Ready() bool { return !strings.HasPrefix(p.body, "w") }

func (p *fakePending) Finish(ctx context.Context, o *Out) error {
	defer p.f.ended.Add(1)
	switch {
	case strings.HasPrefix(p.body, "w"):
		p.f.waiting.Add(1)
		select {
		case <-p.f.gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	case strings.HasPrefix(p.body, "late panic"):
		panic("a late bug")
	case strings.HasPrefix(p.body, "span"):
		return p.spans(o)
	}
	o.SetBytes(append(binary.BigEndian.AppendUint32(o.Bytes(), uint32(len(p.body))), p.body...))
	return nil
}

// spans answers "span N M …" with "<", N bytes of the file, "|", M bytes of the file, "|", …, ">".
func (p *fakePending) spans(o *Out) error {
	sizes, total := []int{}, 2
	for _, s := range strings.Fields(p.body)[1:] {
		var n int
		fmt.Sscan(s, &n)
		sizes = append(sizes, n)
		total += n + 1
	}
	buf := append(binary.BigEndian.AppendUint32(o.Bytes(), uint32(total)), '<')
	for _, n := range sizes {
		o.Splice(len(buf), openSpan(p.f.t, p.f.file, n))
		buf = append(buf, '|')
	}
	o.SetBytes(append(buf, '>'))
	return nil
}

// fileSpan is the first n bytes of a file.
type fileSpan struct {
	f *os.File
	n int
}

var openSpans atomic.Int32

func openSpan(t *testing.T, path string, n int) *fileSpan {
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
	}
	openSpans.Add(1)
	return &fileSpan{f, n}
}

func (s *fileSpan) Size() int                    { return s.n }
func (s *fileSpan) File() (uintptr, int64, bool) { return s.f.Fd(), 0, true }
func (s *fileSpan) Release()                     { s.f.Close(); openSpans.Add(-1) }
func (s *fileSpan) AppendTo(dst []byte) ([]byte, error) {
	b := make([]byte, s.n)
	_, err := s.f.ReadAt(b, 0)
	return append(dst, b...), err
}

// serveFake runs a server of fakes and shuts it down with the test.
func serveFake(t *testing.T, f *fake, o Options) (*Server, *safeLog) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &safeLog{}
	o.NewSession = func(net.Addr) Session { return f }
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	s := Serve(ln, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = s.Shutdown(ctx)
		if n := openSpans.Load(); n != 0 {
			t.Errorf("%d spans were never released", n)
		}
		if b := s.budget; b.free != b.size {
			t.Errorf("%d of %d bytes of the budget never came back", b.size-b.free, b.size)
		}
	})
	return s, log
}

type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type client struct {
	net.Conn
	t *testing.T
}

func connect(t *testing.T, s *Server) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{c, t}
}

func (c *client) send(bodies ...string) {
	c.t.Helper()
	var b []byte
	for _, body := range bodies {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
	}
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) recv() string {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *client) wantClosed() {
	c.t.Helper()
	if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("read %q, %v; want the end of the connection", b, err)
	}
}

func TestResponsesLeaveInOrder(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("a", "w1", "b", "none", "w2", "c")
	if got := c.recv(); got != "a" {
		t.Fatalf("%q", got)
	}
	for range 6 { // all are begun though w1 waits
		<-f.begun
	}
	close(f.gate)
	for _, want := range []string{"w1", "b", "w2", "c"} {
		if got := c.recv(); got != want {
			t.Errorf("L1: %q, want %q", got, want)
		}
	}
}

func TestInFlightLimitStopsReading(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{InFlight: 2})
	c := connect(t, s)
	c.send("w", "2", "3", "4", "5", "6", "7")
	for range 4 { // one with the writer, two queued, one that the reader holds
		<-f.begun
	}
	select {
	case body := <-f.begun:
		t.Errorf("request %q was begun beyond the limit", body)
	case <-time.After(50 * time.Millisecond):
	}
	close(f.gate)
	for _, want := range []string{"w", "2", "3", "4", "5", "6", "7"} {
		if got := c.recv(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClosingEndsWaits(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("w", "k1", "k2")
	for range 3 {
		<-f.begun
	}
	c.Close()
	for deadline := time.Now().Add(10 * time.Second); f.ended.Load() != 3 || s.Conns() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of 3 requests were finished, %d connections are open", f.ended.Load(), s.Conns())
		}
	}
	for range 2 {
		(<-f.kept).Release()
	}
}

func TestPanicsAreContained(t *testing.T) {
	f := newFake(t)
	s, log := serveFake(t, f, Options{})
	for i, body := range []string{"panic", "late panic"} {
		c := connect(t, s)
		c.send(body)
		c.wantClosed()
		if n := s.Panics.Load(); n != int64(i+1) || !strings.Contains(log.String(), "BUG") || !strings.Contains(log.String(), "listen_test.go") {
			t.Errorf("L4: %q: %d panics counted; log:\n%s", body, n, log)
		}
	}
	c := connect(t, s)
	if c.send("fine"); c.recv() != "fine" {
		t.Error("others are not served after a panic")
	}
}

func TestErrorsCloseWithOneLine(t *testing.T) {
	f := newFake(t)
	s, log := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("fine", "bad")
	if got := c.recv(); got != "fine" {
		t.Errorf("%q", got)
	}
	c.wantClosed()
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "bad request") {
		t.Errorf("log:\n%s", log)
	}
}

func TestOtherProtocolsAreCalledByTheirNames(t *testing.T) {
	for sent, want := range map[string]string{
		"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n": "http.listeners",
		"DELETE / HTTP/1.1\r\n\r\n":                "http.listeners",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":         "http.listeners",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03": "security.protocol",
		"PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n":       "load balancer",
		"\r\n\r\n\x00\r\nQUIT\n":                   "load balancer",
		"SSH-2.0-OpenSSH_9.2\r\n":                  "SSH",
		"\xff\xff\xff\xff":                         "-1 bytes announced",
		"hello broker":                             "bytes announced",
	} {
		s, log := serveFake(t, newFake(t), Options{})
		c := connect(t, s)
		if _, err := c.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(c) // a reset, where there is nothing to say, is as good as an end
		if http := want == "http.listeners"; http != strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || http != strings.Contains(string(answer), want) {
			t.Errorf("%q is answered %q", sent, answer)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%q: log:\n%s", sent, log)
		}
	}
}

// A request that looks like HTTP after others is no HTTP: a response may be under way, and nothing is written into it.
func TestNoHTTPAfterTheFirstRequest(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("wait")
	<-f.begun
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	c.wantClosed()
}

func TestConnectionLimits(t *testing.T) {
	for name, o := range map[string]Options{"in all": {MaxConns: 2}, "per address": {MaxConnsPerIP: 2}} {
		t.Run(name, func(t *testing.T) {
			s, _ := serveFake(t, newFake(t), o)
			a, b := connect(t, s), connect(t, s)
			for _, c := range []*client{a, b} {
				if c.send("x"); c.recv() != "x" {
					t.Fatal("not served")
				}
			}
			connect(t, s).wantClosed()
			if s.Refused.Load() != 1 {
				t.Errorf("%d refused", s.Refused.Load())
			}
			a.Close()
			for deadline := time.Now().Add(10 * time.Second); s.Conns() > 1 && time.Now().Before(deadline); {
			}
			c := connect(t, s)
			if c.send("x"); c.recv() != "x" {
				t.Error("a place that became free is not given again")
			}
		})
	}
}

func TestLimitsChangeWhileTheServerRuns(t *testing.T) {
	s, _ := serveFake(t, newFake(t), Options{})
	served := func() bool {
		c := connect(t, s)
		c.send("x")
		return c.recv() == "x"
	}
	if !served() {
		t.Fatal("not served")
	}
	ip := s.Addr().(*net.TCPAddr).IP.String()
	for name, l := range map[string]Limits{
		"in all":           {Conns: 1, ConnsPerIP: 9},
		"per address":      {Conns: 9, ConnsPerIP: 1},
		"for this address": {Conns: 9, ConnsPerIP: 9, PerIP: map[string]int{ip: 1}},
	} {
		s.SetLimits(l)
		before := s.Refused.Load()
		connect(t, s).wantClosed()
		if s.Refused.Load() != before+1 {
			t.Errorf("%s: not refused", name)
		}
	}
	var asked atomic.Int64
	s.SetLimits(Limits{Conns: 9, ConnsPerIP: 1, PerIP: map[string]int{ip: 9}, Delay: func(got string) time.Duration {
		if got != ip {
			t.Errorf("asked for %q", got)
		}
		if asked.Add(1) == 1 {
			return time.Millisecond
		}
		return time.Hour
	}})
	if !served() || asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	connect(t, s) // waits for an hour, or until the server goes down, which the end of the test waits for
}

func TestSlowAndIdleClientsAreLetGo(t *testing.T) {
	const short = 50 * time.Millisecond
	cases := map[string]struct {
		o    Options
		send []byte
	}{
		"idle":             {Options{IdleTimeout: short}, nil},
		"half a prefix":    {Options{HeaderTimeout: short}, []byte{0, 0}},
		"half a body":      {Options{BodyTimeout: short}, []byte{0, 0, 0, 9, 'x'}},
		"a hundred claims": {Options{BodyTimeout: short}, []byte{6, 0, 0, 0, 'x'}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.o.MaxRequestBytes = 1 << 17 // the body's deadline grows with its size
			if name == "a hundred claims" {
				c.o.MaxRequestBytes = 100
			}
			s, _ := serveFake(t, newFake(t), c.o)
			slow := connect(t, s)
			if _, err := slow.Write(c.send); err != nil {
				t.Fatal(err)
			}
			slow.wantClosed()
		})
	}
}

func TestIdleTimeDoesNotCountWhileWaiting(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{IdleTimeout: 30 * time.Millisecond})
	c := connect(t, s)
	c.send("w")
	<-time.After(150 * time.Millisecond)
	close(f.gate)
	if got := c.recv(); got != "w" {
		t.Errorf("%q", got)
	}
	c.wantClosed()
}

func TestWhoDoesNotReadIsLetGo(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{WriteTimeout: 100 * time.Millisecond, MaxRequestBytes: 1 << 20})
	c := connect(t, s)
	const size = 1 << 20
	request := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, size)...)
	// The in-flight limit and the buffers of the sockets hold some; were nobody let go, the rest would wait for the deadline.
	for range 2*s.o.InFlight + 64 {
		if _, err := c.Write(request); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return // it has hung up
		}
	}
	t.Error("a client that reads no responses was not let go")
}

func TestDrainAnswersWhatIsBegun(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("w1", "2")
	<-f.begun
	<-f.begun
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	for deadline := time.Now().Add(10 * time.Second); ; { // until nobody is let in any more
		probe, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		probe.Close()
		if time.Now().After(deadline) {
			t.Fatal("still accepting")
		}
	}
	c.send("3") // too late; unread bytes must not cost the answers
	close(f.gate)
	if a, b := c.recv(), c.recv(); a != "w1" || b != "2" {
		t.Errorf("%q, %q", a, b)
	}
	c.wantClosed()
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestMutedClientsAreAnsweredAndNotListenedTo is KIP-219: the answer comes at once, the next request is not begun before its time, and
// neither going down nor a mute without end wait for it.
func TestMutedClientsAreAnsweredAndNotListenedTo(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	c.send("moment", "2")
	if a, b := c.recv(), c.recv(); a != "moment" || b != "2" {
		t.Errorf("%q, %q", a, b)
	}
	c.send("hour", "never", "never")
	if a := c.recv(); a != "hour" {
		t.Errorf("%q", a)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	c.wantClosed()
	if n := len(f.begun); n != 3 {
		t.Errorf("%d requests were begun, want 3", n)
	}
	f = newFake(t)
	s, _ = serveFake(t, f, Options{IdleTimeout: 20 * time.Millisecond})
	c = connect(t, s)
	c.send("hour", "after all")
	if a, b := c.recv(), c.recv(); a != "hour" || b != "after all" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestSpansGoBySendfile(t *testing.T) {
	f := newFake(t)
	f.file = filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	if err := os.WriteFile(f.file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := serveFake(t, f, Options{})
	c := connect(t, s)
	cases := []struct {
		spans           []int
		sendfile, calls int64
	}{
		{[]int{1000}, 0, 0},
		{[]int{copyBelow - 1}, 0, 0},
		{[]int{copyBelow}, copyBelow, 1},
		{[]int{1 << 20}, 1 << 20, 4},
		{[]int{100, 300_000, 0, 200, 40_000}, 340_000, 3},
	}
	for _, tc := range cases {
		before, calls := s.Sent.SendfileBytes.Load(), s.Sent.SendfileCalls.Load()
		c.send("span " + strings.Trim(fmt.Sprint(tc.spans), "[]"))
		got, want := c.recv(), "<"
		for _, n := range tc.spans {
			want += string(content[:n]) + "|"
		}
		if got != want+">" {
			t.Errorf("%v: %d bytes came back, other than the %d sent", tc.spans, len(got), len(want)+1)
		}
		calls = s.Sent.SendfileCalls.Load() - calls
		if n := s.Sent.SendfileBytes.Load() - before; n != tc.sendfile || calls < tc.calls || tc.calls == 0 && calls != 0 {
			t.Errorf("%v: %d bytes by %d calls of sendfile, want %d by %d or more", tc.spans, n, calls, tc.sendfile, tc.calls)
		}
	}
	var all []string // several in one write, spans between bytes
	for range 20 {
		all = append(all, "span 50000", "x", "span 10")
	}
	c.send(all...)
	for range 20 {
		if a, b, d := c.recv(), c.recv(), c.recv(); len(a) != 50003 || b != "x" || len(d) != 13 {
			t.Fatalf("%d, %q, %d bytes", len(a), b, len(d))
		}
	}
}

func TestFileThatEndsEarlyClosesTheConnection(t *testing.T) {
	f := newFake(t)
	f.file = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f.file, make([]byte, 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := serveFake(t, f, Options{})
	for _, n := range []int{1000_000, 50_001} {
		c := connect(t, s)
		c.send(fmt.Sprint("span ", n))
		b, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) || len(b) > 50_010 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}

func TestFramesOfAllSizes(t *testing.T) {
	f := newFake(t)
	s, _ := serveFake(t, f, Options{MaxRequestBytes: 20 << 20})
	c := connect(t, s)
	for _, n := range []int{0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, 1<<20 + 1, 9_000_000, 100} {
		body := strings.Repeat("x", n)
		c.send(body)
		if got := c.recv(); got != body {
			t.Errorf("%d bytes came back as %d", n, len(got))
		}
		<-f.begun
	}
}

func TestAcceptSurvivesErrors(t *testing.T) {
	ln := &flaky{errs: 3, conns: make(chan net.Conn), closed: make(chan struct{})}
	s := Serve(ln, Options{NewSession: func(net.Addr) Session { return newFake(t) }})
	ours, theirs := net.Pipe()
	ln.conns <- theirs
	c := &client{ours, t}
	if c.send("x"); c.recv() != "x" {
		t.Error("not served")
	}
	ours.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// flaky is a listener that fails a few times first.
type flaky struct {
	errs   int
	conns  chan net.Conn
	closed chan struct{}
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.errs > 0 {
		f.errs--
		return nil, errors.New("too many open files")
	}
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *flaky) Close() error   { close(f.closed); return nil }
func (f *flaky) Addr() net.Addr { return &net.TCPAddr{} }

// counted is a context that counts what hangs on it.
type counted struct {
	context.Context
	done chan struct{}
	hang atomic.Int64
}

func (c *counted) Done() <-chan struct{} { return c.done }

// AfterFunc is what package context asks of a parent that is not its own.
func (c *counted) AfterFunc(f func()) func() bool {
	c.hang.Add(1)
	return func() bool { c.hang.Add(-1); return true }
}

// TestARefusedConnectionLeavesNothing: whoever is refused, a thousand times a second for days, must not cost memory each time.
func TestARefusedConnectionLeavesNothing(t *testing.T) {
	c := &counted{Context: context.Background(), done: make(chan struct{})}
	s := &Server{o: Options{NewSession: func(net.Addr) Session { return newFake(t) }}, ctx: c, conns: map[*conn]struct{}{}, perIP: map[string]int{}}
	s.o.defaults()
	s.lines.log = s.o.Logger
	s.SetLimits(Limits{}) // none is taken
	for range 3 {
		ours, theirs := net.Pipe()
		s.admit(ours)
		if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%v, want the connection closed", err)
		}
	}
	if n := c.hang.Load(); n != 0 || s.Refused.Load() != 3 {
		t.Errorf("%d contexts are kept of %d refused connections", n, s.Refused.Load())
	}
}
