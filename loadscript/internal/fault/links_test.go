package fault

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// bench is a cluster in this process, a client of it behind a front, and an engine that has its links.
type bench struct {
	engine Engine
	client *kgo.Client // behind the front
	net    *proxy.Net

	mu     sync.Mutex
	events []report.Event // guarded by mu: those that are over
	began  chan string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &bench{net: proxy.NewNet(nil), began: make(chan string, 10)}
	t.Cleanup(b.net.Close)
	front, err := b.net.Front("produce:orders", cluster.ListenAddrs())
	if err != nil {
		t.Fatal(err)
	}
	direct := newClient(t, cluster.ListenAddrs())
	b.client = newClient(t, front.Seeds())
	b.engine = Engine{
		Clock: pace.NewWall(), Seeds: cluster.ListenAddrs(), Nets: []*proxy.Net{b.net},
		Look: func(ctx context.Context, f *plan.Fault) (*View, error) { return Look(ctx, direct, f) },
		Event: func(e report.Event) func(string) {
			b.began <- e.Name
			return func(detail string) {
				e.Detail = detail
				b.mu.Lock()
				b.events = append(b.events, e)
				b.mu.Unlock()
			}
		},
	}
	return b
}

func newClient(t *testing.T, seeds []string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produce sends one record to each partition through the front.
func (b *bench) produce(t *testing.T) {
	t.Helper()
	for p := range int32(3) {
		if err := b.client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: p, Value: make([]byte, 5000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// run applies one fault while the client produces, and gives the events. One without a duration lasts until the records are through.
func (b *bench) run(t *testing.T, f plan.Fault, want int) []report.Event {
	t.Helper()
	b.produce(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	through := f.Duration == 0
	if through {
		f.Duration = time.Hour
	}
	done := make(chan struct{})
	go func() { defer close(done); b.engine.Run(ctx, []plan.Fault{f}, time.Hour) }()
	<-b.began
	b.produce(t)
	if through {
		cancel()
	}
	<-done
	if len(b.events) != want {
		t.Fatalf("%d events, want %d: %+v", len(b.events), want, b.events)
	}
	return b.events
}

func TestLinkFaultsAreSeen(t *testing.T) {
	for _, c := range []struct {
		fault  plan.Fault
		target string
		detail []string
	}{
		{plan.Fault{Kind: "latency", Targets: []plan.Target{{Kind: "brokers"}}, Delay: 20 * time.Millisecond, Duration: 2 * time.Second}, "broker 2", []string{"pings took from ", "over 3 links"}},
		{plan.Fault{Kind: "partition", Targets: leader, Symmetric: true, Duration: 500 * time.Millisecond}, "broker", []string{"no ping came through"}},
		{plan.Fault{Kind: "partition", Targets: []plan.Target{{Kind: "client", Flow: "produce:orders"}}, Duration: 500 * time.Millisecond}, "client produce:orders", []string{"no ping came through", "3 links"}},
		{plan.Fault{Kind: "bandwidth", Targets: []plan.Target{{Kind: "brokers"}}, Bandwidth: 1e5}, "broker 0", []string{"frames, "}},
		{plan.Fault{Kind: "packet_loss", Targets: []plan.Target{{Kind: "brokers"}}, Loss: 0.5}, "broker 1", []string{" stalls"}},
	} {
		t.Run(c.fault.Kind+" "+c.fault.Targets[0].Kind, func(t *testing.T) {
			t.Parallel()
			e := newBench(t).run(t, c.fault, 1)[0]
			if e.Error != "" || !strings.Contains(e.Target, c.target) {
				t.Errorf("%+v", e)
			}
			for _, d := range c.detail {
				if !strings.Contains(e.Detail, d) {
					t.Errorf("detail %q, want %q in it", e.Detail, d)
				}
			}
		})
	}
}

// A partition that is one-sided holds back what the victim sends and nothing else.
func TestRulesOfAPartition(t *testing.T) {
	cut := side{ids: []int32{2}, addrs: []string{"b:1"}, flows: []string{"consume:orders"}}
	for _, symmetric := range []bool{true, false} {
		rules := cut.rules(&plan.Fault{Kind: "partition", Symmetric: symmetric})
		for name, c := range map[string]struct {
			link     *proxy.Link
			up, down bool // held
		}{
			"client to victim":        {&proxy.Link{Flow: "produce:orders", From: -1, To: -1, Upstream: "b:1"}, symmetric, true},
			"client to another":       {&proxy.Link{Flow: "produce:orders", From: -1, To: -1, Upstream: "a:1"}, false, false},
			"struck client to other":  {&proxy.Link{Flow: "consume:orders", From: -1, To: -1, Upstream: "a:1"}, true, symmetric},
			"struck client to victim": {&proxy.Link{Flow: "consume:orders", From: -1, To: -1, Upstream: "b:1"}, false, false}, // on the same side
			"victim to peer":          {&proxy.Link{From: 2, To: 1}, true, symmetric},
			"peer to victim":          {&proxy.Link{From: 1, To: 2}, symmetric, true},
			"peer to peer":            {&proxy.Link{From: 1, To: 3}, false, false},
		} {
			var up, down bool
			for _, r := range rules {
				if r.Match(c.link) {
					up, down = up || r.Up.Hold, down || r.Down.Hold
				}
			}
			if up != c.up || down != c.down {
				t.Errorf("symmetric=%t, %s: up held %t, down held %t; want %t, %t", symmetric, name, up, down, c.up, c.down)
			}
		}
	}
}

// F3: a fault on links through which nothing passes shows no effect, and says so.
func TestNothingPassed(t *testing.T) {
	b := newBench(t)
	b.engine.Run(t.Context(), []plan.Fault{{Kind: "bandwidth", Targets: []plan.Target{{Kind: "brokers"}}, Bandwidth: 1e6, Duration: 10 * time.Millisecond}}, time.Hour)
	if len(b.events) != 2 || !strings.Contains(b.events[1].Error, "nothing passed") {
		t.Errorf("%+v", b.events)
	}
}

func TestSamePlace(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{{"localhost:9092", "127.0.0.1:9092", true}, {"localhost:9092", "127.0.0.1:9093", false}, {"127.0.0.2:1", "127.0.0.1:1", false}, {"nonsense", "127.0.0.1:1", false}} {
		if got := samePlace(t.Context(), c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
