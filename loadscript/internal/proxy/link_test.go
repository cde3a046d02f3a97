package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func everything(*Link) bool { return true }

// echo answers each frame with itself, after telling got of it.
func echo(t testing.TB, got func([]byte)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for {
					frame, err := readFrame(c)
					if err != nil {
						return
					}
					got(frame)
					if _, err := c.Write(frame); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	frame := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

func frameOf(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// between is a link to upstream, and a connection through it.
func between(t testing.TB, upstream string) (*Net, *Link, net.Conn) {
	t.Helper()
	n := NewNet(nil)
	t.Cleanup(n.Close)
	l, err := n.Between(1, 2, "127.0.0.1:0", upstream)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return n, l, c
}

// X1: whatever happens on the way, every frame arrives once, in order and unchanged.
func TestNothingIsChanged(t *testing.T) {
	rng := random(t)
	for name, e := range map[string]Effect{
		"nothing": {}, "latency": {Delay: 2 * time.Millisecond, Jitter: 2 * time.Millisecond}, "narrow": {Bandwidth: 20e6}, "loss": {Loss: 0.002},
	} {
		t.Run(name, func(t *testing.T) {
			n, l, c := between(t, echo(t, func([]byte) {}))
			n.Apply(Rule{Match: everything, Up: e, Down: e})
			var frames [][]byte
			for i := range 60 {
				body := make([]byte, []int{0, 3, 4, 12, 100, 5000, 200_000}[rng.IntN(7)])
				for j := range body {
					body[j] = byte(rng.Uint32())
				}
				if len(body) >= 4 {
					binary.BigEndian.PutUint32(body, uint32(i))
				}
				frames = append(frames, frameOf(body))
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := c.Write(bytes.Join(frames, nil)); err != nil {
					t.Error(err)
				}
			})
			for i, want := range frames {
				got, err := readFrame(c)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("frame %d of %d bytes came back as %d bytes, %v", i, len(want), len(got), err)
				}
			}
			wg.Wait()
			if p := l.Passed(); p.Frames < int64(2*len(frames)-1) {
				t.Errorf("%d frames counted, want %d", p.Frames, 2*len(frames))
			}
		})
	}
}

// Delays and bandwidth are at least what was asked for; how much more a busy machine makes of them is not judged.
func TestSlowness(t *testing.T) {
	n, _, c := between(t, echo(t, func([]byte) {}))
	trip := func(size int) time.Duration {
		begun := time.Now()
		if _, err := c.Write(frameOf(make([]byte, size))); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(c); err != nil {
			t.Fatal(err)
		}
		return time.Since(begun)
	}
	trip(10)
	undo := n.Apply(Rule{Match: everything, Up: Effect{Delay: 30 * time.Millisecond}, Down: Effect{Delay: 10 * time.Millisecond}})
	if d := trip(10); d < 40*time.Millisecond {
		t.Errorf("30ms there and 10ms back: a round trip of %s", d)
	}
	undo()
	undo()
	undo = n.Apply(Rule{Match: everything, Up: Effect{Bandwidth: 1e6}})
	if d := trip(100_000); d < 95*time.Millisecond {
		t.Errorf("100 kB at 1 MB/s: %s", d)
	}
	undo()
	if s := n.Links()[0].up.state.Load().Effect; s != (Effect{}) {
		t.Errorf("after undo: %+v", s)
	}
}

// A direction that is held keeps what was sent, and only that direction (one-way partition).
func TestHold(t *testing.T) {
	got := make(chan []byte, 10)
	n, _, c := between(t, echo(t, func(b []byte) { got <- b }))
	ask := frameOf([]byte("0000 hello"))
	answers := make(chan error, 10)
	send := func() {
		if _, err := c.Write(ask); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := readFrame(c)
			answers <- err
		}()
	}
	send()
	<-got
	<-answers

	undo := n.Apply(Rule{Match: everything, Down: Effect{Hold: true}})
	send()
	<-got // it went up
	quiet(t, answers)
	undo()
	if err := <-answers; err != nil {
		t.Fatal(err)
	}

	undo = n.Apply(Rule{Match: everything, Up: Effect{Hold: true}})
	send()
	quiet(t, got)
	undo()
	<-got
	if err := <-answers; err != nil {
		t.Fatal(err)
	}
}

// quiet fails if anything comes within a moment. A slow machine makes it miss a fault, and never invent one.
func quiet[T any](t *testing.T, ch <-chan T) {
	t.Helper()
	select {
	case <-ch:
		t.Fatal("something came through a link that is held")
	case <-time.After(50 * time.Millisecond):
	}
}

// While the link is held, a new connection reaches nobody, and the end of an old one is held as well.
func TestHoldKeepsBeginningsAndEnds(t *testing.T) {
	accepted := make(chan net.Conn, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	n, l, first := between(t, ln.Addr().String())
	server := <-accepted
	defer server.Close()
	ended := make(chan error, 1)
	undo := n.Apply(Rule{Match: everything, Up: Effect{Hold: true}, Down: Effect{Hold: true}})
	first.Close()
	go func() {
		_, err := server.Read(make([]byte, 1))
		ended <- err
	}()
	second, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	quiet(t, ended)
	quiet(t, accepted)
	undo()
	if err := <-ended; err != io.EOF {
		t.Errorf("the first connection ended with %v", err)
	}
	(<-accepted).Close()
}

func TestNobodyListensUpstream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	n := NewNet(nil)
	defer n.Close()
	l, err := n.Between(1, 2, "127.0.0.1:0", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr()) // may be reset already
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a connection to nobody says something")
	}
}

func TestNoKafka(t *testing.T) { // X2: a frame of negative size ends the connection
	got := make(chan []byte, 1)
	_, _, c := between(t, echo(t, func(b []byte) { got <- b }))
	if _, err := c.Write([]byte{0xff, 0, 0, 0, 1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a frame of negative size got an answer")
	}
}

func TestCloseEndsEverything(t *testing.T) { // X5; goleak sees what is left
	n, l, c := between(t, echo(t, func([]byte) {}))
	n.Apply(Rule{Match: everything, Up: Effect{Hold: true, Delay: time.Hour}})
	if _, err := c.Write(frameOf([]byte("anything"))); err != nil {
		t.Fatal(err)
	}
	n.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if _, err := net.Dial("tcp", l.Addr()); err == nil {
		t.Error("the link still listens")
	}
	if _, err := n.Between(1, 2, "127.0.0.1:0", l.Addr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed net takes links: %v", err)
	}
}

// kafka is a cluster in this process, and a client of it behind a Front that notes whom it dials.
func kafka(t *testing.T, opts ...kgo.Opt) (*Net, *Front, *kgo.Client, func() []string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	n := NewNet(nil)
	t.Cleanup(n.Close)
	front, err := n.Front("produce:orders", cluster.ListenAddrs()[:1])
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var dialled []string
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(front.Seeds()...),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			dialled = append(dialled, addr)
			mu.Unlock()
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return n, front, client, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(dialled)
	}
}

// X3: a client that produces to all partitions and reads in a group connects to links only.
func TestClientStaysBehindTheFront(t *testing.T) {
	n, _, client, dialled := kafka(t, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 30 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: int32(i % 3), Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for read := 0; read < 30; {
		f := client.PollFetches(t.Context())
		if err := f.Err0(); err != nil {
			t.Fatal(err)
		}
		read += f.NumRecords()
	}
	ours := map[string]bool{}
	for _, l := range n.Links() {
		ours[l.Addr()] = true
	}
	if len(ours) < 3 {
		t.Errorf("%d links, want one for each broker", len(ours))
	}
	for _, a := range dialled() {
		if !ours[a] {
			t.Errorf("the client dialled %s, which is no link", a)
		}
	}
}

// X4: a rule holds on links that come later.
func TestRuleHoldsForLaterLinks(t *testing.T) {
	n, front, client, _ := kafka(t)
	n.Apply(Rule{Match: func(l *Link) bool { return l.Addr() != front.Seeds()[0] }, Up: Effect{Hold: true}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	if _, err := req.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, l := range n.Links() {
		if l.up.state.Load().Hold {
			held++
		}
	}
	if held == 0 || held == len(n.Links()) {
		t.Errorf("%d of %d links are held, want all but the seed", held, len(n.Links()))
	}
}

// Answers to acks=0 never come; those that come are matched all the same.
func TestRecallPassesOverUnanswered(t *testing.T) {
	var s session
	for i := range int32(5) {
		if err := s.remember(call{correlation: i, key: int16(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.recall(9); ok || len(s.pending) != 5 {
		t.Error("an answer that nobody asked for was matched")
	}
	if c, ok := s.recall(3); !ok || c.key != 3 || len(s.pending) != 1 {
		t.Errorf("recalled %+v, %t, %d left", c, ok, len(s.pending))
	}
	for i := range maxPending {
		if err := s.remember(call{}); err != nil {
			if i != maxPending-1 || !errors.Is(err, errUnmatched) {
				t.Errorf("after %d: %v", i, err)
			}
			return
		}
	}
	t.Error("requests without an answer are kept without end (X2)")
}

// A client that is newer than our codec is told, by the broker, to ask in an older version, and then goes on as ever.
func TestNewerApiVersions(t *testing.T) {
	_, front, _, _ := kafka(t)
	c, err := net.Dial("tcp", front.Seeds()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// key 18, version above ours, correlation 7, no client id, no tags
	body := binary.BigEndian.AppendUint16([]byte{0, 18}, uint16(codecMax(keyApiVersions)+1))
	body = append(body, 0, 0, 0, 7, 0xff, 0xff, 0)
	req := kmsg.NewPtrApiVersionsRequest()
	req.SetVersion(codecMax(keyApiVersions))
	body = req.AppendTo(body)
	if _, err := c.Write(frameOf(body)); err != nil {
		t.Fatal(err)
	}
	frame, err := readFrame(c)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(frame[8:]); err != nil || resp.ErrorCode != unsupportedVersion || len(resp.ApiKeys) == 0 {
		t.Fatalf("error %d, %d keys, %v; want UNSUPPORTED_VERSION and what the broker knows", resp.ErrorCode, len(resp.ApiKeys), err)
	}
}

// FuzzFrames sends what may be frames to both sides of a front's session; what is checked is that it ends, and in order.
func FuzzFrames(f *testing.F) {
	f.Add(frameOf([]byte{0, 3, 0, 12, 0, 0, 0, 7, 0xff, 0xff}), framed(named(keyMetadata, 12)))
	f.Add([]byte{0xff}, []byte{0x16, 3, 1, 0, 5, 1, 2, 3})
	f.Fuzz(func(t *testing.T, ask, answer []byte) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skip(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c)
			_, _ = c.Write(answer)
			c.Close()
		}()
		n := NewNet(nil)
		front, err := n.Front("f", []string{ln.Addr().String()})
		if err != nil {
			t.Skip(err)
		}
		c, err := net.Dial("tcp", front.Seeds()[0])
		if err != nil {
			t.Skip(err)
		}
		_, _ = c.Write(ask)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		n.Close()
		ln.Close()
		<-done
	})
}

// BenchmarkRoundTrip is the cost of an idle link: compare through with direct.
func BenchmarkRoundTrip(b *testing.B) {
	upstream := echo(b, func([]byte) {})
	_, _, through := between(b, upstream)
	direct, err := net.Dial("tcp", upstream)
	if err != nil {
		b.Fatal(err)
	}
	defer direct.Close()
	frame := frameOf(make([]byte, 200))
	for name, c := range map[string]net.Conn{"direct": direct, "through": through} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(frame); err != nil {
					b.Fatal(err)
				}
				if _, err := readFrame(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkThroughput is what one connection carries through an idle link: 1 MB frames to a server that answers each with a
// short one, two in flight.
func BenchmarkThroughput(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for {
			if _, err := io.CopyN(io.Discard, c, 1e6+4); err != nil {
				return
			}
			if _, err := c.Write(frameOf([]byte("done"))); err != nil {
				return
			}
		}
	}()
	_, _, c := between(b, ln.Addr().String())
	frame := frameOf(make([]byte, 1e6))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	sent := 0
	for b.Loop() {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		if sent++; sent > 1 {
			if _, err := readFrame(c); err != nil {
				b.Fatal(err)
			}
		}
	}
	c.Close()
	ln.Close()
	<-done
}

// BenchmarkDelay is a round trip over a link with 1 ms in each direction: 2 ms and little more.
func BenchmarkDelay(b *testing.B) {
	n, _, c := between(b, echo(b, func([]byte) {}))
	n.Apply(Rule{Match: everything, Up: Effect{Delay: time.Millisecond}, Down: Effect{Delay: time.Millisecond}})
	frame := frameOf(make([]byte, 200))
	for b.Loop() {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := readFrame(c); err != nil {
			b.Fatal(err)
		}
	}
}
