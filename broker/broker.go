package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/streambus/streambus/broker/internal/api"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/console"
	"github.com/streambus/streambus/broker/internal/failpoint"
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
)

// DrainTimeout is how long responses under way may take to go out when the broker goes down.
const DrainTimeout = 10 * time.Second

// failTimeout is the same after the disk has failed: clients are better off looking for another broker.
const failTimeout = 2 * time.Second

var (
	// ErrPlaintext: clients without authentication would be let in from other machines.
	ErrPlaintext = errors.New("refused to listen without TLS or authentication")
	// ErrListen: the address cannot be had.
	ErrListen = errors.New("cannot listen")
)

// Options configure a Broker.
type Options struct {
	Config   *config.Config // required, with a data directory
	Insecure bool           // listen in the clear on addresses that other machines reach
	Logger   *slog.Logger   // required
	FS       disk.FS        // default: the real file system
	// Failpoints is the connection to a program that may make the disk slow and full and the clock wrong (internal/failpoint), the broker's
	// own from then on; nil: nobody may.
	Failpoints net.Conn
}

// Broker is a running broker.
type Broker struct {
	o        Options
	engine   *engine.Engine
	journal  *partition.Partition // of the metadata
	topics   *topics.Catalog
	groups   *group.Coordinator
	txns     *txn.Coordinator
	markers  *markers
	server   *listen.Server
	quotas   *quota.Manager
	health   *health
	stats    *stat.Gatherer
	console  *console.Server   // nil: off
	points   *failpoint.Points // nil: off
	now      func() time.Time  // the wall clock: what is stamped, shown, and compared with stamps. Durations are measured by time.Now
	draining chan struct{}
	closing  sync.Once
	closed   error
}

// New opens the data directory, recovers it, and starts to serve. The caller must call Close. Errors: ErrPlaintext, ErrListen,
// engine.ErrLocked, engine.ErrCorrupt, or I/O errors, each saying what to do.
func New(ctx context.Context, o Options) (*Broker, error) {
	addr := o.Config.Listener()
	if !addr.Loopback() && !o.Insecure {
		return nil, fmt.Errorf("%w on %q, which other machines can reach: anybody there could read and write everything; "+
			"listen on loopback (--set listeners=PLAINTEXT://127.0.0.1:%d), or say --insecure if the network is closed", ErrPlaintext, addr.Addr(), addr.Port)
	}
	if err := probe(addr); err != nil {
		return nil, err // before a recovery that may be long
	}
	b := &Broker{o: o, now: time.Now, draining: make(chan struct{}), health: newHealth("")}
	if o.FS == nil {
		b.health.dir = o.Config.DataDir()
	}
	version, goVersion := buildVersion()
	b.stats = stat.New(version, goVersion, b.health.state)
	if err := b.openConsole(); err != nil {
		return nil, err
	}
	if o.Failpoints != nil {
		var err error
		if b.points, err = failpoint.Serve(o.Failpoints, o.Logger); err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.now = b.points.Now
	}
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	ln, err := bind(addr)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.serve(ln)
	return b, nil
}

// probe says whether the address could be had.
func probe(addr config.Endpoint) error {
	ln, err := bind(addr)
	if err != nil {
		return err
	}
	return ln.Close()
}

func bind(addr config.Endpoint) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr.Addr())
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w on %s: port %d is in use by another program (another broker?); stop that, or choose another port: --set listeners=PLAINTEXT://%s:PORT",
			ErrListen, addr.Addr(), addr.Port, addr.Host)
	}
	return nil, fmt.Errorf("%w on %s: %w; choose another address: --set listeners=PLAINTEXT://HOST:PORT", ErrListen, addr.Addr(), err)
}

// open brings up everything behind the socket.
func (b *Broker) open(ctx context.Context) (err error) {
	c := b.o.Config
	reserve := c.Long("log.reserve.bytes")
	if reserve == 0 {
		reserve = -1 // the engine's word for none
	}
	b.health.enter(stat.Recovering)
	b.engine, err = engine.Open(ctx, engine.Options{
		Replayed: func(n int) { b.health.replayed.Store(int64(n)) },
		Dir:      c.DataDir(), FS: b.o.FS, IO: c.Value("disk.io").Raw, Logger: b.o.Logger, ReserveBytes: reserve,
		CommitFileBytes: c.Long("commit.log.file.bytes") &^ 4095, CommitFiles: c.Int("commit.log.files"),
		TidyInterval: millis(c, "log.retention.check.interval.ms"), Failpoints: b.points.Disk(), Now: b.now,
	})
	if err != nil {
		return err
	}
	b.health.engine.Store(b.engine)
	if b.points != nil {
		b.points.Refused(func() int64 { return b.engine.Stats().FullRefusals })
	}
	b.journal, err = partition.Open(b.engine, topics.MetadataTopic+"-0", 0, meta.LogOptions())
	if err != nil {
		return err
	}
	store, err := meta.Open(ctx, b.journal)
	if err != nil {
		return err
	}
	b.topics, err = topics.Open(ctx, b.engine, store, config.NewLive(c), b.o.Logger)
	if err != nil {
		return err
	}
	b.quotas = quota.New(quota.Windows{
		Num: c.Int("quota.window.num"), Size: time.Duration(c.Int("quota.window.size.seconds")) * time.Second,
		ControllerNum: c.Int("controller.quota.window.num"), ControllerSize: time.Duration(c.Int("controller.quota.window.size.seconds")) * time.Second,
	})
	if _, err := store.Watch(ctx, func(i *meta.Image) { b.quotas.Set(i.Quotas) }); err != nil {
		return err
	}
	if err := b.openGroups(ctx); err != nil {
		return err
	}
	return b.openTransactions(ctx)
}

func millis(c *config.Config, key string) time.Duration {
	return time.Duration(c.Long(key)) * time.Millisecond
}

// serve opens the door.
func (b *Broker) serve(ln net.Listener) {
	c := b.o.Config
	host, port := b.advertised(ln.Addr().(*net.TCPAddr))
	requests := &stat.Requests{}
	handlers := api.New(api.Options{
		NodeID: int32(c.Int("node.id")), Host: host, Port: int32(port), AutoCreate: c.Bool("auto.create.topics.enable"),
		FetchMaxBytes: c.Int("fetch.max.bytes"), FetchSessions: c.Int("max.incremental.fetch.session.cache.slots"), PagePartitions: c.Int("max.request.partition.size.limit"), Requests: requests, Store: b.topics.Store(), Topics: b.topics, Groups: b.groups,
		Txns: b.txns, Markers: b.markers, OffsetsOf: b.offsetsOf,
		Quotas: b.quotas, Now: b.now,
		Disk:   api.Disk{Dir: c.DataDir(), Usage: b.usage, Err: b.engine.Err},
		Quorum: b.quorum, Levels: map[string]int16{"transaction.version": b.topics.Store().Image().Level("transaction.version")},
		Logger: b.o.Logger, Draining: b.draining,
	})
	b.server = listen.Serve(ln, listen.Options{
		NewSession: handlers.Session, MaxRequestBytes: c.Int("socket.request.max.bytes"),
		MaxConns: c.Int("max.connections"), MaxConnsPerIP: c.Int("max.connections.per.ip"),
		InFlight: c.Int("queued.max.requests.per.connection"), BudgetBytes: c.Long("queued.max.request.bytes"),
		IdleTimeout: millis(c, "connections.max.idle.ms"), Logger: b.o.Logger,
	})
	b.topics.Live().Watch(b.limit)
	b.stats.Attach(&stat.Rooms{
		NodeID: int32(c.Int("node.id")), Address: net.JoinHostPort(host, strconv.Itoa(port)),
		Engine: b.engine, Topics: b.topics, Groups: b.groups, Listen: b.server, Requests: requests,
	})
	b.health.enter(stat.Ready)
	s := b.engine.Summary()
	recovery := "clean"
	if !s.Clean {
		recovery = fmt.Sprintf("after a crash: %d group commits replayed", s.Frames)
	}
	b.o.Logger.Info("broker is ready", "listen", ln.Addr(), "advertised", net.JoinHostPort(host, fmt.Sprint(port)), "data_dir", c.DataDir(),
		"durability", durability(c), "io", b.engine.IO(), "recovery", recovery, "logs", s.Logs, "opened_in", s.Duration.Round(time.Millisecond))
}

// quorum is the state of the metadata's log.
func (b *Broker) quorum() api.Quorum {
	return api.Quorum{Epoch: int64(b.journal.Epoch()), End: int64(b.journal.Log().EndOffset()), High: int64(b.journal.HighWatermark())}
}

// limit has the door follow the settings.
func (b *Broker) limit(v *config.View) {
	b.quotas.SetConnections(float64(v.Int("max.connection.creation.rate")))
	perIP, _ := config.PerIP(v.Value("max.connections.per.ip.overrides").Items) // checked before it was set
	b.server.SetLimits(listen.Limits{
		Conns: v.Int("max.connections"), ConnsPerIP: v.Int("max.connections.per.ip"), PerIP: perIP,
		Delay: func(ip string) time.Duration { return b.quotas.Connect(time.Now(), ip) },
	})
}

// durability says what an acknowledgement means, for topics that say nothing else.
func durability(c *config.Config) string {
	if c.Long("log.flush.interval.messages") > 1 {
		return "acknowledged records are in the page cache: a power cut may lose them (log.flush.interval.messages is not 1)"
	}
	return "every acknowledged record is flushed to the disk first"
}

// advertised is the address that clients are told: the one set, else the one listened on, else, when that is all addresses, this
// machine's name.
func (b *Broker) advertised(bound *net.TCPAddr) (host string, port int) {
	if e, ok := b.o.Config.Advertised(); ok {
		if e.Port == 0 {
			e.Port = bound.Port
		}
		return e.Host, e.Port
	}
	host = b.o.Config.Listener().Host
	if host == "" || bound.IP.IsUnspecified() {
		host = hostName()
	}
	return host, bound.Port
}

// Addr is where the broker listens.
func (b *Broker) Addr() net.Addr { return b.server.Addr() }

// Run waits until ctx ends, which is no error, or the disk fails. The requests under way are answered either way by Close.
func (b *Broker) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.engine.Failed():
		return b.engine.Err()
	}
}

// Close drains and stops everything, in the order of the package comment. It may be called again.
func (b *Broker) Close() error {
	b.closing.Do(func() { b.closed = b.close() })
	return b.closed
}

func (b *Broker) close() (err error) {
	b.health.enter(stat.Draining)
	if b.server != nil {
		err = b.server.Drain()
	}
	close(b.draining)
	if b.groups != nil {
		b.groups.Close()
	}
	if b.txns != nil {
		b.txns.Close()
		b.markers.under.Wait()
	}
	if b.server != nil {
		limit := DrainTimeout
		if b.engine.Err() != nil {
			limit = failTimeout
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err = errors.Join(err, b.server.Shutdown(ctx))
	}
	if b.topics != nil {
		b.topics.Close()
	}
	if b.engine != nil {
		err = errors.Join(err, b.engine.Close())
	}
	if b.points != nil {
		err = errors.Join(err, b.points.Close())
	}
	return errors.Join(err, b.closeConsole())
}
