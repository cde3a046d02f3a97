package drive

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/fault"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
)

// openLinks puts a front of proxies between each flow and the cluster if a fault of the scenario strikes links. The run's own
// questions to the cluster go past them: who is asked for a leader must answer although its clients are cut off.
func (s *scenario) openLinks() error {
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

// through gives the options of the clients of a flow, which go through its front if it has one.
func (s *scenario) through(flow string) Options {
	front := s.fronts[flow]
	if front == nil {
		return s.opts
	}
	opts := s.opts
	opts.Brokers, opts.Dial, opts.Security.TLS = front.Seeds(), nil, nil
	return opts
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
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { engine.Run(ctx, s.plan.Faults, end) })
	return func() {
		cancel()
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
