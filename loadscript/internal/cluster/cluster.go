package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/proxy"
)

// What can be wrong with what was asked for, as opposed to a broker that does not come up.
var (
	ErrNoBinary      = errors.New("no streambus binary found")
	ErrNoKafka       = errors.New("no Apache Kafka found")
	ErrNoReplication = errors.New("StreamBus does not replicate yet, so it cannot run as a cluster of several brokers")
)

// The kinds of clusters.
const (
	StreamBus = "streambus"
	Kafka     = "kafka"
)

// maxNodes is the largest cluster: each link between two nodes has an address of its own, 127.77.FROM.TO.
const maxNodes = 100

// Options of Start. The zero value means the defaults; Log is required.
type Options struct {
	Kind      string        // StreamBus, the default, or Kafka
	Nodes     int           // default 1
	Binary    string        // StreamBus: path of streambus; empty = look for it
	KafkaHome string        // Kafka: a folder with its jars, or with libs/ that holds them
	Config    []string      // settings "key=value" of every broker, over those made here
	Links     bool          // links between the brokers go through a net of proxies: see Peers
	Log       string        // file that gets the output; further nodes get one beside it: "broker-2.log"
	Ready     time.Duration // limit until a node answers; default 30 s, for Kafka 2 minutes
	Stop      time.Duration // limit between TERM and KILL; default 10 s, for Kafka 1 minute
	Dir       string        // where the data folder is made; empty = the system's folder for temporary files

	Failpoints bool // StreamBus: its disk can be made slow and full (Disk), and its clock wrong (Clock), which costs it a little all the time
}

// Cluster is a set of running brokers. Its methods may be called from several goroutines, for one node from one at a time.
type Cluster struct {
	opts  Options
	dir   string
	nodes []*node
	peers *proxy.Net // nil: the brokers talk to each other directly, or there is one
	dead  chan struct{}
	once  sync.Once // Stop

	mu     sync.Mutex
	fallen *process // guarded by mu: the first that ended without being asked to
}

// Node is one broker.
type Node struct {
	ID   int32
	Addr string // host:port for clients
	PID  int    // of the process that runs now, or ran last
	HTTP string // host:port of its /metrics; empty: it has none
}

// node is one broker and the command that runs it, again and again if need be.
type node struct {
	id      int32
	addr    string
	http    string // host:port; empty: it serves none
	log     string
	name    string // for messages: "streambus", "Kafka node 2"
	command func() *exec.Cmd

	mu   sync.Mutex
	proc *process // guarded by mu

	ailing sync.Mutex        // held across a word to the failpoints and its answer; before mu
	faults map[*ailment]bool // guarded by ailing; of StreamBus
}

func (n *node) set(p *process) {
	n.mu.Lock()
	n.proc = p
	n.mu.Unlock()
}

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// defaults fills in what is zero, and refuses what cannot be.
func (o *Options) defaults() error {
	if o.Kind == "" {
		o.Kind = StreamBus
	}
	o.Nodes = max(o.Nodes, 1)
	ready, stop := 30*time.Second, 10*time.Second
	switch {
	case o.Kind == Kafka:
		ready, stop = 2*time.Minute, time.Minute // a JVM on a busy machine
	case o.Kind != StreamBus:
		return fmt.Errorf("cluster: there is no cluster of kind %q: want %s or %s", o.Kind, StreamBus, Kafka)
	case o.Nodes > 1:
		return ErrNoReplication
	}
	if o.Kind == Kafka && o.Failpoints {
		return errors.New("cluster: Apache Kafka has no failpoints: nothing can be done to its disks and clocks")
	}
	if o.Nodes > maxNodes {
		return fmt.Errorf("cluster: %d brokers on one machine: at most %d", o.Nodes, maxNodes)
	}
	if o.Ready == 0 {
		o.Ready = ready
	}
	if o.Stop == 0 {
		o.Stop = stop
	}
	return nil
}

// Start starts the brokers and waits until they answer. The end of ctx ends the waiting, not the brokers: call Stop.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, dead: make(chan struct{})}
	prepare := c.prepareStreamBus
	if opts.Kind == Kafka {
		prepare = c.prepareKafka
	}
	dir, err := os.MkdirTemp(opts.Dir, "loadscript-broker-")
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.dir = dir
	err = prepare(ctx)
	if err == nil {
		err = c.launchAll(ctx)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// launchAll starts every node before it waits for any: none of several is ready without others.
func (c *Cluster) launchAll(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := os.Truncate(n.log, 0); err != nil && !errors.Is(err, os.ErrNotExist) { // an earlier run's
			return fmt.Errorf("cluster: the broker's log: %w", err)
		}
		if err := c.spawn(n); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Ready)
	defer cancel()
	for _, n := range c.nodes {
		if err := c.await(ctx, n, len(c.nodes)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) spawn(n *node) error {
	if c.opts.Failpoints {
		return n.spawnAiling(c.mourn)
	}
	p := &process{died: c.mourn}
	err := p.spawn(n.command(), n.log)
	if err == nil {
		n.set(p)
	}
	return err
}

// mourn notes a death that nobody asked for.
func (c *Cluster) mourn(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fallen == nil {
		c.fallen = p
		close(c.dead)
	}
}

// await waits until the node answers and knows of so many brokers.
func (c *Cluster) await(ctx context.Context, n *node, brokers int) error {
	if err := n.process().await(ctx, n.name+" on "+n.addr, func(ctx context.Context) error { return ping(ctx, n.addr, brokers) }); err != nil {
		return err
	}
	return n.awaitPoints(ctx)
}

// ping asks one broker for ApiVersions, and for the brokers that it knows of.
func ping(ctx context.Context, addr string, brokers int) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err // cheap way out while nobody listens
	}
	_ = conn.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "loadscript", "1"
	if _, err = req.RequestWith(ctx, client); err != nil || brokers < 2 {
		return err
	}
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err == nil && len(meta.Brokers) < brokers {
		err = fmt.Errorf("%d of %d brokers have registered", len(meta.Brokers), brokers)
	}
	return err
}

// freePort finds a port of 127.0.0.1 that nobody has at the moment, below those that the kernel hands out by itself: a broker
// that is down for a while shall find its port free when it comes back.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		l, e := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if e == nil {
			return port, l.Close()
		}
		err = e
	}
	return 0, fmt.Errorf("cluster: finding a free port: %w", err)
}

// logFile is the log of a node.
func (c *Cluster) logFile(id int32) string {
	if id == 1 {
		return c.opts.Log
	}
	ext := filepath.Ext(c.opts.Log)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(c.opts.Log, ext), id, ext)
}

// Nodes lists the brokers in order of their ids.
func (c *Cluster) Nodes() []Node {
	var list []Node
	for _, n := range c.nodes {
		list = append(list, Node{n.id, n.addr, n.process().cmd.Process.Pid, n.http})
	}
	return list
}

// Addrs lists host:port of all brokers.
func (c *Cluster) Addrs() []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.addr)
	}
	return list
}

// Peers is the net of the links between the brokers; nil without Options.Links, or with one broker.
func (c *Cluster) Peers() *proxy.Net { return c.peers }

// Describe says what runs, for people: "streambus (/usr/bin/streambus)".
func (c *Cluster) Describe() string {
	var list []string
	for _, n := range c.Nodes() {
		list = append(list, fmt.Sprintf("%s, pid %d", n.Addr, n.PID))
	}
	if c.opts.Kind == Kafka {
		return fmt.Sprintf("Apache Kafka (%s) on %s", c.opts.KafkaHome, strings.Join(list, "; "))
	}
	return c.opts.Binary + " on " + strings.Join(list, "; ")
}

// Dead is closed when a broker ended by itself.
func (c *Cluster) Dead() <-chan struct{} { return c.dead }

// Exit says how a broker that ended by itself did so, with the last lines of its log; "" if none did.
func (c *Cluster) Exit() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fallen == nil {
		return ""
	}
	return c.fallen.exit()
}

// Stop ends the brokers and removes their data. It may be called more than once. forced is true when one had to be killed that
// should have ended on its own.
func (c *Cluster) Stop() (forced bool) {
	c.once.Do(func() {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, n := range c.nodes {
			p := n.process()
			if p == nil || p.gone() {
				continue
			}
			wg.Go(func() {
				// Kafka's nodes would hand over their leaders to each other in turn, for half a minute and for nothing: the
				// data goes.
				if c.opts.Kind == Kafka {
					p.kill()
				} else if !p.terminate(c.opts.Stop) {
					mu.Lock()
					forced = true
					mu.Unlock()
					p.kill()
				}
			})
		}
		wg.Wait()
		if c.peers != nil {
			c.peers.Close()
		}
		_ = os.RemoveAll(c.dir) // nothing is left that could use it
	})
	return forced
}
