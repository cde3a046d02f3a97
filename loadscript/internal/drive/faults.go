package drive

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/fault"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
)

// openLinks puts a front of proxies between each flow and the cluster if a fault of the scenario strikes links. The run's own
// questions to the cluster go past them: who is asked for a leader must answer although its clients are cut off.
func (s *scenario) openLinks() error {
	if len(s.plan.Faults) > 0 {
		s.notes = append(s.notes, "clients asked for the cluster's state every "+plan.FormatDuration(metadataAge)+", as this scenario has faults")
	}
	if s.opts.Control != nil && fault.NeedsFailpoints(s.plan.Faults) {
		s.notes = append(s.notes, "the broker ran with failpoints over its disk and clock from the start, as this scenario has faults that need them")
	}
	if !fault.NeedsLinks(s.plan.Faults) {
		return nil
	}
	s.links, s.fronts = proxy.NewNet(upstream(s.opts)), map[string]*proxy.Front{}
	for _, flow := range s.plan.FlowNames() {
		front, err := s.links.Front(flow, s.opts.Brokers)
		if err != nil {
			return err
		}
		s.fronts[flow] = front
	}
	s.notes = append(s.notes, "clients went through proxies on this machine, from the first record on, as this scenario has faults on links")
	return nil
}

// upstream is how proxies reach the brokers. A proxy could not see the frames inside of TLS, so that begins behind it.
func upstream(opts Options) proxy.Dial {
	if opts.Dial != nil || opts.Security.TLS == nil {
		return proxy.Dial(opts.Dial)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c := opts.Security.TLS.Clone()
		if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
			c.ServerName = host
		}
		return (&tls.Dialer{Config: c}).DialContext(ctx, network, address)
	}
}

// flowOpts are the options that all clients of a flow share. They go through the flow's front if it has one.
func (s *scenario) flowOpts(client string, flow ...string) []kgo.Opt {
	opts := s.opts
	if front := s.fronts[flowName(flow...)]; front != nil {
		opts.Brokers, opts.Dial, opts.Security.TLS = front.Seeds(), nil, nil
	}
	list := clientOpts(opts, client)
	if len(s.plan.Faults) > 0 {
		// A request that a frozen or cut off broker has swallowed is waited for, by default for 10 to 20 s (Kafka's Java client:
		// 30 s), long after another broker has taken over. Who asks often, and not for long, learns that the broker is gone,
		// gives its requests up and goes to the new leader: so what is measured is how long the cluster takes.
		list = append(list, kgo.MetadataMaxAge(metadataAge), kgo.RequestTimeoutOverhead(metadataLimit+4*slowest(s.plan.Faults)))
	}
	return list
}

// metadataAge is how old what a client knows of the cluster may grow in a scenario with faults, and metadataLimit how long it
// waits for the answer when nothing slows the links: a broker that does not answer is not asked again soon.
const (
	metadataAge   = time.Second
	metadataLimit = 2 * time.Second
)

// slowest is the most that one of the faults adds to one direction of a link; four times as much to an answer counts as slow, not as none.
func slowest(faults []plan.Fault) (d time.Duration) {
	for _, f := range faults {
		d = max(d, slowest(f.Choices))
		switch f.Kind {
		case "latency":
			d = max(d, f.Delay+f.Jitter)
		case "slow_disk": // an answer may wait for the group of records before, its mark, and its own group: five writes and flushes
			d = max(d, 5*f.Delay/4)
		}
	}
	return d
}

// strike applies the scenario's faults from now on, when the first stage begins, until heal is called: that returns when
// everything is healed.
func (s *scenario) strike(ctx context.Context) (heal func(), err error) {
	if len(s.plan.Faults) == 0 {
		return func() {}, nil
	}
	client, err := kgo.NewClient(clientOpts(s.opts, "fault")...)
	if err != nil {
		return nil, err
	}
	end, known := s.asked.Length()
	if !known {
		end = plan.MaxDuration // the load ends when it has sent its records, and the faults with it
	}
	engine := fault.Engine{
		Clock: s.clock.Restart(), Seed: s.plan.Seed, Event: s.event, Control: s.opts.Control, Members: s.changeMembers, Seeds: s.opts.Brokers,
		Look: func(ctx context.Context, f *plan.Fault) (*fault.View, error) { return fault.Look(ctx, client, f) },
	}
	for _, n := range []*proxy.Net{s.links, s.opts.Peers} {
		if n != nil {
			engine.Nets = append(engine.Nets, n)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { engine.Run(ctx, s.plan.Faults, end) })
	return func() {
		cancel(fault.ErrEnd)
		wg.Wait()
		client.Close()
	}, nil
}

// changeMembers lets members of a group come and go, for fault.rebalance.
func (s *scenario) changeMembers(_ context.Context, group string, join, leave int) error {
	for _, f := range s.readers {
		if f.plan.Group != group {
			continue
		}
		if err := f.RemoveMembers(leave); err != nil {
			return err
		}
		return f.AddMembers(join)
	}
	return fmt.Errorf("no consumers of this scenario are in group %s", group)
}

// flowName is how faults name a flow, as plan.Scenario.FlowNames does.
func flowName(words ...string) string {
	if words[len(words)-1] == "" {
		words = words[:len(words)-1]
	}
	return strings.Join(words, ":")
}
