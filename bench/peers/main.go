package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/bench/bare"
)

//go:embed peer.star
var peerStar []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == serveNATS {
		err = runNATS(os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "peers:", err)
		}
		stop()
		os.Exit(1)
	}
}

// pairs are which sides are held against each other: each peer against what a user of StreamBus gets, and against what promises as much.
var pairs = []struct{ streambus, peer string }{
	{"streambus-fsync", "kafka"}, {"streambus-page-cache", "kafka"}, {"streambus-fsync", "kafka-flush"},
	{"streambus-fsync", "nats"}, {"streambus-page-cache", "nats"}, {"streambus-fsync", "nats-sync"},
}

// measures in the order of the output; more says which direction is better.
var measures = []struct {
	name, driver, unit string
	more               bool
}{
	{"produce", "client", "MB_s", true}, {"produce-CPU", "client", "s_Mrecord", false},
	{"consume", "client", "MB_s", true}, {"consume-CPU", "client", "s_Mrecord", false},
	{"ack-p50", "client", "us", false}, {"ack-p99", "client", "us", false}, {"e2e-p50", "client", "us", false}, {"e2e-p99", "client", "us", false},
	{"rate-CPU", "client", "s_Mrecord", false},
	{"produce", "kafka-producer-perf-test", "MiB_s", true}, {"consume", "kafka-consumer-perf-test", "MiB_s", true},
	{"ack-p50", "loadscript", "us", false}, {"ack-p99", "loadscript", "us", false}, {"e2e-p50", "loadscript", "us", false}, {"e2e-p99", "loadscript", "us", false},
	{"RSS", "all", "MiB", false}, {"start", "all", "s", false}, {"idle-CPU", "all", "pct", false},
}

// figures are what one side showed in one round, by "name/driver".
type figures map[string]float64

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(errs)
	round := f.Duration("round", 2*time.Second, "how long each part of a round takes")
	count := f.Int("count", 3, "rounds")
	bin := f.String("bin", "bin", "folder with streambus, loadscript and clients/kafka-4")
	if err := f.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := &paths{filepath.Join(*bin, "streambus"), filepath.Join(*bin, "loadscript"), filepath.Join(*bin, "clients", "kafka-4"), self}
	asked := f.Args()
	if err := p.kafkaMissing(); err != nil && len(asked) == 0 {
		fmt.Fprintf(errs, "Kafka is left out: %v\n", err)
		asked = []string{"nats"}
	}
	for _, name := range asked {
		if name != "kafka" && name != "nats" {
			return fmt.Errorf("%s: no such peer; there are kafka and nats", name)
		}
	}
	sides := p.chosen(asked)
	if err := p.check(sides); err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "streambus-peers-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(root) }()
	p.describe(out, sides)
	all := map[string][]figures{}
	for r := range *count {
		for i := range sides {
			s := &sides[(i+r)%len(sides)]
			// What the side before removed is free again: without this, each would find what its predecessor left.
			filled, err := bare.FillCache(root, bare.LeaveFree)
			if err != nil {
				return err
			}
			fmt.Fprintf(errs, "round %d of %d: %s (%.1f GiB of free memory made page cache before)\n", r+1, *count, s.name, float64(filled)/(1<<30))
			got, err := p.measure(ctx, s, root, *round)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			all[s.name] = append(all[s.name], got)
		}
	}
	return report(out, all)
}

// chosen leaves out the sides of peers that were not asked for; none asked for: all.
func (p *paths) chosen(names []string) []side {
	return slices.DeleteFunc(p.sides(), func(s side) bool {
		family, _, _ := strings.Cut(s.name, "-")
		return len(names) > 0 && family != "streambus" && !slices.Contains(names, family)
	})
}

// check says what is missing, before anything is measured.
func (p *paths) check(sides []side) error {
	for _, name := range []string{p.streambus, p.loadscript} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("%w (make build)", err)
		}
	}
	if slices.ContainsFunc(sides, func(s side) bool { return s.name == "kafka" }) {
		if err := p.kafkaMissing(); err != nil {
			return err
		}
	}
	return nil
}

// kafkaMissing says what Kafka needs and is not there.
func (p *paths) kafkaMissing() error {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w (install a JDK, or leave Kafka out: PEERS=nats)", err)
	}
	if _, err := os.Stat(p.jars); err != nil {
		return fmt.Errorf("%w (sh bench/peers/install.sh, or leave Kafka out: PEERS=nats)", err)
	}
	return nil
}

// describe prints settings and versions as configuration of the results.
func (p *paths) describe(out io.Writer, sides []side) {
	fmt.Fprintf(out, "pkg: github.com/streambus/streambus/bench/peers\nsettings: %s\nmemory-before: all but %d MiB of what is free is made page cache before each side starts\n", settings, bare.LeaveFree>>20)
	for _, s := range sides {
		fmt.Fprintf(out, "settings-%s: %s\n", s.name, s.settings)
	}
	if jars, _ := filepath.Glob(filepath.Join(p.jars, "kafka_2.13-*.jar")); len(jars) > 0 { // the pattern is good
		fmt.Fprintf(out, "version-kafka: %s\n", strings.TrimSuffix(filepath.Base(jars[0]), ".jar"))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/nats-io/nats-server/v2" {
				fmt.Fprintf(out, "version-nats: %s\n", d.Version)
			}
		}
	}
}

// measure is one side in one round.
func (p *paths) measure(ctx context.Context, s *side, root string, round time.Duration) (got figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute+20*round)
	defer cancel()
	got = figures{}
	proc, err := s.start(root)
	if err != nil {
		return nil, err
	}
	begin := time.Now() // the tool that formats Kafka's folder has run before
	defer func() { err = errors.Join(err, proc.stop()) }()
	d, err := s.open(proc.addr)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := proc.await(ctx, func() error { return d.create(ctx, "first") }); err != nil {
		return nil, err
	}
	if _, _, err := d.offer(ctx, "first", 1); err != nil {
		return nil, err
	}
	got["start/all"] = time.Since(begin).Seconds()
	m := meter{proc, d, got, round}
	for _, step := range []func(context.Context) error{m.warm, m.full, m.atRate} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if got["RSS/all"], err = proc.memoryMiB(); err != nil {
		return nil, err
	}
	if err := m.idle(ctx); err != nil {
		return nil, err
	}
	if !s.kafka {
		return got, nil
	}
	const records = 100_000
	if got["produce/kafka-producer-perf-test"], got["consume/kafka-consumer-perf-test"], err = p.perfTools(ctx, proc.addr, "perf", records); err != nil {
		return nil, err
	}
	line, err := p.script(ctx, proc.addr, proc.dir, max(round, 2*time.Second)) // for a p99 that means something
	if err != nil {
		return nil, err
	}
	for name, unit := range map[string]string{"ack-p50": "p50-ns", "ack-p99": "p99-ns", "e2e-p50": "e2e-p50-ns", "e2e-p99": "e2e-p99-ns"} {
		v, ok := line[unit]
		if !ok {
			return nil, fmt.Errorf("loadscript has not measured %s: give it more time with BENCHTIME", unit)
		}
		got[name+"/loadscript"] = v / 1e3
	}
	return got, nil
}

// meter takes the figures of a driver's work.
type meter struct {
	proc  *process
	d     driver
	got   figures
	round time.Duration
}

// warm fills what is filled once: the JVM's compiled code, StreamBus's commit log, pools. It takes two rounds' time.
func (m *meter) warm(ctx context.Context) error {
	if err := m.d.create(ctx, "warm"); err != nil {
		return err
	}
	until, cancel := context.WithTimeout(ctx, 2*m.round)
	defer cancel()
	n, err := m.d.produce(until, "warm", payloads())
	if err != nil {
		return err
	}
	return m.d.consume(ctx, "warm", n)
}

// took runs work and gives its time and the CPU time of the broker.
func (m *meter) took(work func() error) (elapsed, cpu time.Duration, err error) {
	before, err := m.proc.cpu()
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := work(); err != nil {
		return 0, 0, err
	}
	elapsed = time.Since(begin)
	after, err := m.proc.cpu()
	return elapsed, after - before, err
}

// full is produce and consume at full speed.
func (m *meter) full(ctx context.Context) error {
	if err := m.d.create(ctx, "full"); err != nil {
		return err
	}
	values, n := payloads(), 0
	elapsed, cpu, err := m.took(func() (err error) {
		until, cancel := context.WithTimeout(ctx, m.round)
		defer cancel()
		n, err = m.d.produce(until, "full", values)
		return err
	})
	if err != nil {
		return err
	}
	m.note("produce", n, elapsed, cpu)
	elapsed, cpu, err = m.took(func() error { return m.d.consume(ctx, "full", n) })
	m.note("consume", n, elapsed, cpu)
	return err
}

func (m *meter) note(what string, n int, elapsed, cpu time.Duration) {
	m.got[what+"/client"] = float64(n) * recordBytes / 1e6 / elapsed.Seconds()
	m.got[what+"-CPU/client"] = cpu.Seconds() / (float64(n) / 1e6)
}

// atRate is latency at the same offered rate.
func (m *meter) atRate(ctx context.Context) error {
	if err := m.d.create(ctx, "rate"); err != nil {
		return err
	}
	want := int(rate * m.round.Seconds())
	var acks, received []time.Duration
	_, cpu, err := m.took(func() (err error) {
		acks, received, err = m.d.offer(ctx, "rate", want)
		return err
	})
	if err != nil {
		return err
	}
	m.got["rate-CPU/client"] = cpu.Seconds() / (float64(want) / 1e6)
	for name, all := range map[string][]time.Duration{"ack": acks, "e2e": received} {
		slices.Sort(all)
		m.got[name+"-p50/client"] = float64(all[len(all)/2].Nanoseconds()) / 1e3
		m.got[name+"-p99/client"] = float64(all[len(all)*99/100].Nanoseconds()) / 1e3
	}
	return nil
}

// idle is what the broker needs when nobody asks for anything.
func (m *meter) idle(ctx context.Context) error {
	elapsed, cpu, err := m.took(func() error {
		select {
		case <-time.After(m.round):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	m.got["idle-CPU/all"] = 100 * cpu.Seconds() / elapsed.Seconds()
	return err
}

// report prints a line for each measure of each pair: StreamBus, the peer, and StreamBus over the peer within a round.
func report(out io.Writer, all map[string][]figures) error {
	for _, pair := range pairs {
		ours, theirs := all[pair.streambus], all[pair.peer]
		if len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		for _, m := range measures {
			better := "less"
			if m.more {
				better = "more"
			}
			var a, b, x []float64
			for i := range ours {
				v, ok := ours[i][m.name+"/"+m.driver]
				w, has := theirs[i][m.name+"/"+m.driver]
				if ok && has {
					a, b, x = append(a, v), append(b, w), append(x, v/math.Max(w, 1e-9))
				}
			}
			if len(x) == 0 {
				continue // NATS has no Kafka tools
			}
			_, durability, _ := strings.Cut(pair.streambus, "-")
			name := fmt.Sprintf("BenchmarkPeer/measure=%s-%s/driver=%s/better=%s/peer=%s/streambus=%s", m.name, m.unit, m.driver, better, pair.peer, durability)
			slices.Sort(x)
			if _, err := fmt.Fprintf(out, "%s\t%d\t%.5g streambus\t%.5g peer\t%.4g x-peer\t%.4g x-peer:min\t%.4g x-peer:max\n",
				name, len(x), median(a), median(b), median(x), x[0], x[len(x)-1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
