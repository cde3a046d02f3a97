package fault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
)

// strike is a beat that has found its victims. begin and end are called once each, in this order.
type strike struct {
	engine  *Engine
	fault   *plan.Fault
	victims Victims

	down    []string // addresses of brokers that are to be launched, or resumed
	ailing  []heal   // of brokers' disks and clocks
	undo    []func() // takes the rules off the nets
	struck  []*proxy.Link
	before  proxy.Passed // through the struck links, when it began
	members bool         // have changed
	shown   string       // how its effect was seen
}

// heal makes a disk or clock as it was, and says how many operations felt the fault.
type heal func(context.Context) (felt int64, err error)

// errNoEffect says that a fault was in force, and nobody can have felt it.
var errNoEffect = errors.New("nobody felt it")

// begin strikes, and makes sure that it had an effect (F3). After an error, end heals what was done by then.
func (s *strike) begin(ctx context.Context) error {
	switch s.fault.Kind {
	case "kill", "pause", "restart":
		return s.processes(ctx)
	case "partition", "latency", "packet_loss", "bandwidth":
		return s.links(ctx)
	case "slow_disk", "disk_full", "clock_skew":
		return s.strikeBrokers(ctx)
	case "rebalance":
		if s.engine.Members == nil {
			return errors.New("the members of the group are not ours")
		}
		s.members = true
		return s.engine.Members(ctx, s.fault.Group, s.fault.Join, s.fault.Leave)
	}
	return fmt.Errorf("there is no way to apply %s", s.fault.Kind)
}

// end heals. detail says what there was to see of the fault.
func (s *strike) end(ctx context.Context) (detail string, err error) {
	for _, undo := range s.undo {
		undo()
	}
	err = each(s.down, func(addr string) error {
		if s.fault.Kind == "pause" {
			return s.engine.Control.Resume(ctx, addr)
		}
		return s.engine.Control.Launch(ctx, addr)
	})
	if s.members && s.fault.RejoinAfter > 0 {
		err = errors.Join(err, s.engine.Members(ctx, s.fault.Group, s.fault.Leave, s.fault.Join))
	}
	if len(s.ailing) > 0 {
		return s.healBrokers(ctx)
	}
	if len(s.struck) == 0 {
		return s.shown, err
	}
	now := passed(s.struck)
	frames, bytes := now.Frames-s.before.Frames, now.Bytes-s.before.Bytes
	if s.fault.Kind == "packet_loss" || s.fault.Kind == "bandwidth" {
		if bytes == 0 && err == nil {
			err = fmt.Errorf("%w: nothing passed the links while it held", errNoEffect)
		}
	}
	seen := fmt.Sprintf("%s frames, %s over %d links", plan.FormatCount(frames), plan.FormatSize(float64(bytes)), len(s.struck))
	if s.fault.Kind == "packet_loss" {
		seen += fmt.Sprintf(", %d stalls", now.Stalls-s.before.Stalls)
	}
	if s.shown != "" {
		seen = s.shown + "; " + seen
	}
	return seen, err
}

// each calls do for all at once and joins the errors.
func each(list []string, do func(string) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, item := range list {
		wg.Go(func() { errs[i] = do(item) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *strike) processes(ctx context.Context) error {
	c := s.engine.Control
	if c == nil {
		return errors.New("the brokers' processes are not ours to stop")
	}
	do := map[string]func(string) error{
		"kill": c.Kill, "restart": c.Shutdown, "pause": func(addr string) error { return c.Pause(ctx, addr) },
	}[s.fault.Kind]
	var mu sync.Mutex
	addrs := s.victims.addrs()
	err := each(addrs, func(addr string) error {
		if err := do(addr); err != nil {
			return err
		}
		mu.Lock()
		s.down = append(s.down, addr)
		mu.Unlock()
		return nil
	})
	if err != nil {
		return err
	}
	if s.fault.Kind == "pause" {
		s.shown = "its process was seen stopped"
		return nil
	}
	for _, addr := range addrs { // its process is gone; nobody else may have taken its place
		if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr); err == nil {
			_ = conn.Close()
			return fmt.Errorf("%s still takes connections", addr)
		}
	}
	s.shown = "its process was seen gone"
	return nil
}

// strikeBrokers makes the victims' disks slow or full, or their clocks wrong. That they are, each broker has said when it returns; whether
// anybody noticed, it says when it is healed.
func (s *strike) strikeBrokers(ctx context.Context) error {
	c := s.engine.Control
	if c == nil {
		return errors.New("the brokers' disks and clocks are not ours to strike")
	}
	do := func(addr string) (func(context.Context) (int64, error), error) {
		if s.fault.Kind == "clock_skew" {
			return c.Clock(ctx, addr, s.fault.Skew)
		}
		return c.Disk(ctx, addr, s.fault.Delay, s.fault.Kind == "disk_full")
	}
	var mu sync.Mutex
	return each(s.victims.addrs(), func(addr string) error {
		undo, err := do(addr)
		if err != nil {
			return err
		}
		mu.Lock()
		s.ailing = append(s.ailing, undo)
		mu.Unlock()
		return nil
	})
}

func (s *strike) healBrokers(ctx context.Context) (detail string, err error) {
	felt := make([]int64, len(s.ailing))
	errs := make([]error, len(s.ailing))
	var wg sync.WaitGroup
	for i, undo := range s.ailing {
		wg.Go(func() { felt[i], errs[i] = undo(ctx) })
	}
	wg.Wait()
	sum, all := int64(0), true
	for _, n := range felt {
		sum, all = sum+max(n, 0), all && n >= 0
	}
	if err = errors.Join(errs...); err != nil {
		return "", err
	}
	if sum == 0 && !all {
		return "whether it was felt, a broker that has ended cannot say", nil
	}
	if sum > 0 {
		seen := map[string]string{
			"disk_full": "%s requests for room were refused", "slow_disk": "%s writes and flushes were slow", "clock_skew": "it looked at the clock %s times",
		}[s.fault.Kind]
		return fmt.Sprintf(seen, plan.FormatCount(sum)), nil
	}
	unseen := map[string]string{
		"disk_full": "nothing asked for room while it held, for records go on into room that was reserved before; let it last longer, write more, or give the topic " +
			`smaller segments: config = {"segment.bytes": "1048576"}`,
		"slow_disk": "nothing was written while it held", "clock_skew": "nothing looked at the clock while it held",
	}[s.fault.Kind]
	return "", fmt.Errorf("%w: %s", errNoEffect, unseen)
}

// links puts the rules of the fault on the nets.
func (s *strike) links(ctx context.Context) error {
	side := s.side(ctx)
	rules := side.rules(s.fault)
	for _, n := range s.engine.Nets {
		s.undo = append(s.undo, n.Apply(rules...))
		for _, l := range n.Links() {
			if slices.ContainsFunc(rules, func(r proxy.Rule) bool { return r.Match(l) }) {
				s.struck = append(s.struck, l)
			}
		}
	}
	if len(s.struck) == 0 {
		return fmt.Errorf("no link that goes through a proxy of ours leads to or from %s", s.victims)
	}
	s.before = passed(s.struck)
	return s.confirm(ctx)
}

func passed(links []*proxy.Link) (sum proxy.Passed) {
	for _, l := range links {
		p := l.Passed()
		sum.Frames, sum.Bytes, sum.Stalls = sum.Frames+p.Frames, sum.Bytes+p.Bytes, sum.Stalls+p.Stalls
	}
	return sum
}

// side is one side of a cut: the victims, as links name them.
type side struct {
	ids   []int32
	addrs []string // all by which clients may know the brokers
	flows []string
}

func (s *strike) side(ctx context.Context) side {
	out := side{flows: s.victims.Flows}
	for _, b := range s.victims.Brokers {
		out.ids = append(out.ids, b.ID)
		out.addrs = append(out.addrs, b.Addr)
		for _, seed := range s.engine.Seeds {
			if seed != b.Addr && samePlace(ctx, seed, b.Addr) {
				out.addrs = append(out.addrs, seed)
			}
		}
	}
	return out
}

// samePlace says whether two host:port lead to the same listener: localhost:9092 and 127.0.0.1:9092.
func samePlace(ctx context.Context, a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ipsA, errA := net.DefaultResolver.LookupHost(ctx, hostA)
	ipsB, errB := net.DefaultResolver.LookupHost(ctx, hostB)
	return errA == nil && errB == nil && slices.ContainsFunc(ipsA, func(ip string) bool { return slices.Contains(ipsB, ip) })
}

// dials says whether the link's dialler is on this side; answers, whether who it dials is.
func (s side) dials(l *proxy.Link) bool {
	return slices.Contains(s.flows, l.Flow) && l.Flow != "" || slices.Contains(s.ids, l.From)
}

func (s side) answers(l *proxy.Link) bool {
	if l.Flow != "" {
		return slices.Contains(s.addrs, l.Upstream)
	}
	return slices.Contains(s.ids, l.To)
}

// rules are what the fault does to the links of one side. A partition strikes those that cross it; anything else strikes all
// that touch it.
func (s side) rules(f *plan.Fault) []proxy.Rule {
	out := func(l *proxy.Link) bool { return s.dials(l) && !s.answers(l) }
	in := func(l *proxy.Link) bool { return s.answers(l) && !s.dials(l) }
	if f.Kind == "partition" {
		hold, pass := proxy.Effect{Hold: true}, proxy.Effect{}
		if f.Symmetric {
			pass = hold
		}
		return []proxy.Rule{{Match: out, Up: hold, Down: pass}, {Match: in, Up: pass, Down: hold}}
	}
	e := proxy.Effect{Delay: f.Delay, Jitter: f.Jitter, Loss: f.Loss, Bandwidth: f.Bandwidth}
	return []proxy.Rule{{Match: func(l *proxy.Link) bool { return s.dials(l) || s.answers(l) }, Up: e, Down: e}}
}

// How long a ping may take before it counts as unanswered: with a partition that is what should happen.
const (
	silentFor = 300 * time.Millisecond
	pingLimit = 5 * time.Second
)

// confirm sends a ping through every struck link, as a client would, and compares with what the fault should make of it. A
// ping that another fault swallows says nothing either way.
func (s *strike) confirm(ctx context.Context) error {
	limit := pingLimit + 3*(s.fault.Delay+s.fault.Jitter)
	if s.fault.Kind == "partition" {
		limit = silentFor
	}
	if s.fault.Kind == "packet_loss" || s.fault.Kind == "bandwidth" {
		return nil // nothing can be told from one ping: end looks at what passed
	}
	pings := make([]time.Duration, len(s.struck)) // 0: no answer
	var wg sync.WaitGroup
	for i, l := range s.struck {
		wg.Go(func() { pings[i], _ = ping(ctx, l.Addr(), limit) })
	}
	wg.Wait()
	quickest := time.Duration(0)
	for _, d := range pings {
		if d > 0 && (quickest == 0 || d < quickest) {
			quickest = d
		}
	}
	switch {
	case s.fault.Kind == "partition" && quickest > 0:
		return fmt.Errorf("a ping came through the cut in %s", plan.FormatDuration(quickest.Round(time.Microsecond)))
	case s.fault.Kind == "partition":
		s.shown = "no ping came through"
	case quickest == 0:
		s.shown = "no ping came back within " + plan.FormatDuration(limit)
	case quickest < 2*max(s.fault.Delay-s.fault.Jitter, 0):
		return fmt.Errorf("a ping took %s only", plan.FormatDuration(quickest.Round(time.Microsecond)))
	default:
		s.shown = "pings took from " + plan.FormatDuration(quickest.Round(time.Millisecond))
	}
	return nil
}

// ping is ApiVersions in version 0, which everything that speaks Kafka answers, without having said who asks.
const pingFrame = "\x00\x00\x00\x19\x00\x12\x00\x00\x00\x00\x00\x01\x00\x0floadscript-ping"

// ping is the time of one round trip to whoever listens at addr. The first answer is not counted: it waits for the connection.
func ping(ctx context.Context, addr string, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a read that nobody answers ends with ctx
	var took time.Duration
	for range 2 {
		begun := time.Now()
		if _, err := conn.Write([]byte(pingFrame)); err != nil {
			return 0, err
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return 0, err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
			return 0, err
		}
		took = max(time.Since(begun), 1)
	}
	return took, nil
}
