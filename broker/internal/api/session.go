package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/broker/internal/stat"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/wire"
)

// Options configure a Server. All are required, but where it says otherwise.
type Options struct {
	NodeID         int32
	Host           string // that clients are told
	Port           int32
	AutoCreate     bool
	FetchMaxBytes  int
	FetchSessions  int // at a time; 0: none are made
	PagePartitions int // in one DescribeTopicPartitions response
	Store          *meta.Store
	Topics         *topics.Catalog
	Groups         *group.Coordinator
	Txns           *txn.Coordinator
	Markers        txn.Sink
	Quotas         *quota.Manager // of clients; nil: nobody is held up
	Disk           Disk
	Quorum         func() Quorum                                                       // of the metadata
	Levels         map[string]int16                                                    // of features that rooms have begun with and keep until the next start; others follow the metadata
	OffsetsOf      func(ctx context.Context, group string) (txn.TopicPartition, error) // where a group's offsets lie
	Requests       *stat.Requests                                                      // counts; nil: nobody looks at it
	Now            func() time.Time                                                    // the wall clock, by which records are stamped and refused; nil: time.Now
	Logger         *slog.Logger
	Draining       <-chan struct{} // closed when the broker goes down: long polls end
}

// Server answers requests. It has no state of its own.
type Server struct {
	Options
	ranges   []wire.Range // what is advertised; a field, because the table names its handlers, which name the table otherwise
	sessions *fetchSessions
	began    time.Time // what times are counted from that the wall clock must not move
}

// New makes a Server.
func New(o Options) *Server {
	if o.Requests == nil {
		o.Requests = &stat.Requests{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Quotas == nil {
		o.Quotas = quota.New(quota.Windows{})
	}
	return &Server{o, Served(), newFetchSessions(o.FetchSessions), time.Now()}
}

// Session gives the listen.Session of a new connection.
func (s *Server) Session(remote net.Addr) listen.Session { return &session{s: s, remote: remote} }

// session is one connection. Only its reader touches it, but for muted.
type session struct {
	s      *Server
	remote net.Addr
	header wire.RequestHeader // decoded into again, so that the client id is not allocated every time
	muted  atomic.Int64       // till when nothing is read, in nanoseconds since Server.began (throttle.go)
}

// request is one request under way.
type request struct {
	ctx     context.Context // of the connection
	s       *Server
	session *session
	key     wire.Key
	version int16
	corr    int32
	body    []byte
	frame   *listen.Frame
	held    time.Duration // for what the request itself asks for, beside the time that it takes
}

// Serve begins one request (A3, A4), and has it counted.
func (c *session) Serve(ctx context.Context, f *listen.Frame) (listen.Pending, error) {
	begin, panicked := time.Now(), true
	defer func() {
		if panicked { // the connection contains it
			c.s.Requests.End(c.header.Key, time.Since(begin))
		}
	}()
	p, err := c.serve(ctx, f, begin)
	panicked = false
	return c.s.measure(c.header.Key, begin, p, err)
}

func (c *session) serve(ctx context.Context, f *listen.Frame, begin time.Time) (listen.Pending, error) {
	body, err := c.header.Decode(f.Body)
	var row row
	if err == nil {
		row, err = find(c.header.Key, c.header.Version)
	}
	r := &request{
		ctx: ctx, s: c.s, session: c, body: body, frame: f,
		key: c.header.Key, version: c.header.Version, corr: c.header.CorrelationID,
	}
	if errors.Is(err, wire.ErrUnsupportedVersion) && r.key == wire.KeyAPIVersions {
		r.version = 0
		c.s.Requests.Begin(r.key, r.version)
		return r.answer(wire.UnsupportedAPIVersions(c.s.ranges)), nil
	}
	if err != nil {
		c.header.Key = -1 // nothing is counted as begun
		return nil, err   // Kafka closes too, on a key or version that it does not know
	}
	c.s.Requests.Begin(r.key, r.version)
	p, err := row.handle(r)
	if err != nil {
		return nil, fmt.Errorf("%v %d: %w", r.key, r.version, err)
	}
	r.hold(p, begin)
	return p, nil
}

// clientID names the client, "" when it does not.
func (r *request) clientID() string { return r.session.header.ClientID }

// clientHost is the address that the client comes from, as Kafka writes it for those who describe groups.
func (r *request) clientHost() string {
	host, _, err := net.SplitHostPort(r.session.remote.String())
	if err != nil {
		host = r.session.remote.String()
	}
	return "/" + host
}

// decode reads the body.
func (r *request) decode(m wire.Message) error {
	_, err := wire.DecodePrefix(m, r.version, r.body) // like Kafka it does not mind what follows
	return err
}
