package drive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/fault"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// ErrUnreachable wraps what kept the cluster from being used: nothing was measured, or not to the end.
var ErrUnreachable = errors.New("the cluster cannot be reached")

// Options of Run. The zero value means the defaults; Brokers must be given.
type Options struct {
	Brokers []string
	Cluster report.Cluster // facts for the report; Brokers and Nodes are filled in
	// BrokerPIDs lists the brokers' processes on this machine by broker id: it is asked every second, as a broker that is
	// restarted is another process; nil = none is known.
	BrokerPIDs func() map[int32]int
	BrokerHTTP map[int32]string      // host:port of the /metrics of StreamBus brokers, by broker id
	Sink       report.Sink           // takes every second and event while the run goes; nil = nobody does
	Dead       <-chan struct{}       // closed when the embedded broker died; nil = nobody watches
	Progress   func(report.Snapshot) // called about once a second, from one goroutine at a time
	Note       func(format string, a ...any)
	RunID      uint64        // identifies the run's records; 0 = random
	Prepare    time.Duration // limit of the preparation of a scenario; default 30 s
	Brief      time.Duration // limit of drain and verification once interrupted; default 5 s
	LateLimit  time.Duration // default pace.DefaultLateLimit
	Virtual    bool          // time is that of a testing/synctest bubble, which a timer of the kernel does not know
	LagFloor   time.Duration // generator lag below this never makes a run invalid; default DefaultLagFloor
	CPUShare   float64       // share of all cores above which the generator is too busy; default DefaultCPUShare
	Security   Security      // how clients come in
	Dial       Dial          // how clients reach brokers; nil: TCP, and TLS if Security says so
	Control    fault.Control // of the brokers' processes; nil: they are not ours
	Peers      *proxy.Net    // of the links between the brokers; nil: they are not ours
}

// Dial connects to a broker.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Defaults of Options.
const (
	DefaultPrepare     = 30 * time.Second
	DefaultBrief       = 5 * time.Second
	DefaultMaxInFlight = 50_000
)

func (o *Options) defaults() {
	if o.Prepare == 0 {
		o.Prepare = DefaultPrepare
	}
	if o.Brief == 0 {
		o.Brief = DefaultBrief
	}
	if o.RunID == 0 {
		o.RunID = rand.Uint64() | 1
	}
	if o.LagFloor == 0 {
		o.LagFloor = DefaultLagFloor
	}
	if o.CPUShare == 0 {
		o.CPUShare = DefaultCPUShare
	}
	if o.Progress == nil {
		o.Progress = func(report.Snapshot) {}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
}

// Run drives the scenarios of the plan in order and judges them. The results are never nil; what went wrong is in them. The
// first end of ctx is a graceful one (D4).
func Run(ctx context.Context, p *plan.Plan, opts Options) *report.Results {
	opts.defaults()
	begun := time.Now()
	res := &report.Results{
		Schema: report.SchemaVersion, RunID: fmt.Sprintf("%016x", opts.RunID),
		Script: p.Script, Title: p.Title, Params: p.Params, Started: begun,
		Host: hostFacts(), Cluster: opts.Cluster,
	}
	res.Cluster.Brokers = opts.Brokers
	code := plan.ExitPass
	err := runAll(ctx, p, opts, res)
	if err != nil {
		code = plan.ExitUnreachable
		res.Verdict.Reasons = append(res.Verdict.Reasons, err.Error())
	}
	res.Interrupted = ctx.Err() != nil
	res.ElapsedNs = int64(time.Since(begun))
	finish(res, code)
	return res
}

func runAll(ctx context.Context, p *plan.Plan, opts Options, res *report.Results) error {
	client, err := kgo.NewClient(append(clientOpts(opts, "admin"), kgo.RequestRetries(4),
		kgo.RequestTimeoutOverhead(min(10*time.Second, opts.Prepare)))...) // 10 s is its default, also where it greets a broker
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(opts.Prepare.Milliseconds()))
	hello, cancel := context.WithTimeout(ctx, opts.Prepare)
	defer cancel()
	meta, err := admin.BrokerMetadata(hello)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return refusal(opts, opts.Prepare, err)
	}
	res.Cluster.Nodes = len(meta.Brokers)
	res.Cluster.Config = brokerConfig(hello, admin, meta.Brokers.NodeIDs())
	house := newHouse(admin, opts, res.Cluster.Nodes)
	defer house.cleanUp(context.WithoutCancel(ctx))
	for i := range p.Scenarios {
		if ctx.Err() != nil {
			return nil
		}
		s := newScenario(p, i, admin, house, opts)
		result, err := s.run(ctx)
		res.Scenarios = append(res.Scenarios, result)
		house.leave(context.WithoutCancel(ctx), p, i)
		if err != nil {
			return fmt.Errorf("scenario %q: %w", s.plan.Name, err)
		}
		if died(opts.Dead) {
			return fmt.Errorf("%w: the embedded broker died", ErrUnreachable)
		}
	}
	return nil
}

func died(dead <-chan struct{}) bool {
	select {
	case <-dead:
		return true
	default:
		return false // also when dead is nil
	}
}

// clientOpts is what all clients share.
func clientOpts(opts Options, name string) []kgo.Opt {
	list := []kgo.Opt{
		kgo.SeedBrokers(opts.Brokers...),
		kgo.ClientID("loadscript-" + name),
		kgo.SoftwareNameAndVersion("loadscript", "1"),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DisableClientMetrics(),
		// Kafka's Java client waits 50 ms to 1 s before it reconnects; franz-go's default goes up to 2.5 s, which would be
		// measured as the broker's recovery.
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(50*time.Millisecond<<min(tries, 5), time.Second)
		}),
	}
	list = append(list, opts.Security.opts()...)
	if opts.Dial != nil {
		return append(list, kgo.Dialer(opts.Dial)) // in place of DialTimeout
	}
	return append(list, kgo.DialTimeout(5*time.Second))
}
