package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a server on a disk in memory, without a socket.
type fixture struct {
	*Server
	session listen.Session
	logs    strings.Builder
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	e, err := engine.Open(context.Background(), engine.Options{Dir: "/d", FS: disk.NewMem(), CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{}
	log := slog.New(slog.NewTextHandler(&f.logs, &slog.HandlerOptions{Level: slog.LevelError}))
	journal, err := partition.Open(e, topics.MetadataTopic+"-0", 0, engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := meta.Open(context.Background(), journal)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Set: []string{"num.partitions=1", "log.segment.bytes=1048576", "message.max.bytes=65536"}})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := topics.Open(context.Background(), e, store, config.NewLive(cfg), log)
	if err != nil {
		t.Fatal(err)
	}
	offsets, err := group.OpenOffsets(context.Background(), offsetLogs(catalog), nil)
	if err != nil {
		t.Fatal(err)
	}
	groups := group.Start(group.Limits{MinSession: time.Millisecond}, offsets)
	offsetsOf := func(context.Context, string) (txn.TopicPartition, error) {
		return txn.TopicPartition{Topic: topics.OffsetsTopic}, nil
	}
	txns, err := txn.Open(context.Background(), txn.Options{Limits: txn.Limits{Version: 2}, Logs: transactionLogs(catalog), Sink: nowhere{}, IDs: store, OffsetsOf: offsetsOf})
	if err != nil {
		t.Fatal(err)
	}
	draining := make(chan struct{})
	close(draining) // nothing waits here
	f.Server = New(Options{
		NodeID: 1, Host: "h", Port: 9, AutoCreate: false, FetchMaxBytes: 1 << 20, Store: store, Topics: catalog, Groups: groups,
		Txns: txns, Markers: nowhere{}, Disk: Disk{Dir: "/d", Usage: func() (int64, int64) { return -1, -1 }, Err: e.Err},
		Quorum: func() Quorum { return Quorum{} }, OffsetsOf: offsetsOf, Logger: log, Draining: draining,
	})
	f.session = f.Session(&net.TCPAddr{})
	t.Cleanup(func() {
		groups.Close()
		txns.Close()
		catalog.Close()
		_ = e.Close()
		if f.logs.Len() > 0 {
			t.Errorf("logged as errors:\n%s", f.logs.String())
		}
	})
	return f
}

func offsetLogs(c *topics.Catalog) group.Logs {
	return func(ctx context.Context, create bool) ([]group.Log, error) {
		if c.Topic(topics.OffsetsTopic) == nil && create {
			if _, err := c.Create(ctx, topics.Spec{Name: topics.OffsetsTopic, Internal: true, Partitions: 1}); err != nil {
				return nil, err
			}
		}
		t := c.Topic(topics.OffsetsTopic)
		if t == nil {
			return nil, nil
		}
		p, err := t.Partition(0)
		return []group.Log{p}, err
	}
}

func transactionLogs(c *topics.Catalog) txn.Logs {
	return func(ctx context.Context, create bool) ([]txn.Log, error) {
		if c.Topic(topics.TransactionsTopic) == nil && create {
			if _, err := c.EnsureInternal(ctx, topics.TransactionsTopic); err != nil {
				return nil, err
			}
		}
		t := c.Topic(topics.TransactionsTopic)
		if t == nil {
			return nil, nil
		}
		p, err := t.Partition(0)
		return []txn.Log{p}, err
	}
}

// nowhere is a txn.Sink that is always done.
type nowhere struct{}

func (nowhere) WriteMarker(_ txn.Marker, done func(error)) { done(nil) }

// do serves one request; ok is false when the connection would be closed.
func (f *fixture) do(ctx context.Context, frame []byte) (out []byte, ok bool) {
	fr := listen.NewFrame(frame)
	defer fr.Release()
	p, err := f.session.Serve(ctx, fr)
	if err != nil || p == nil {
		return nil, err == nil
	}
	var o listen.Out
	if err := p.Finish(ctx, &o); err != nil {
		return nil, false
	}
	return o.Bytes(), true
}

func frameOf(version int16, m wire.Message) []byte {
	h := wire.RequestHeader{Key: m.Key(), Version: version, CorrelationID: 7, ClientID: "test", HasClientID: true}
	return wire.AppendRequestFrame(nil, h, m)[wire.SizePrefixBytes:]
}

// An empty request of every key and version gets an answer that decodes in the same version.
func TestEveryVersionIsAnsweredInItself(t *testing.T) {
	f := newFixture(t)
	for _, r := range Served() {
		for v := r.Min; v <= r.Max; v++ {
			if wire.Supported(r.Key, v) != nil {
				continue
			}
			req, resp := wire.NewRequest(r.Key), wire.NewResponse(r.Key)
			if p, ok := req.(*wire.ProduceRequest); ok {
				p.Acks = 1
			}
			out, ok := f.do(t.Context(), frameOf(v, req))
			if !ok || len(out) == 0 {
				t.Errorf("%v %d: closed", r.Key, v)
				continue
			}
			corr, body, err := wire.DecodeResponseHeader(out[wire.SizePrefixBytes:], r.Key, v)
			if err == nil {
				err = wire.Decode(resp, v, body)
			}
			if err != nil || corr != 7 {
				t.Errorf("%v %d: correlation id %d, %v", r.Key, v, corr, err)
			}
		}
	}
}

func TestCodesKnowEverySentinel(t *testing.T) {
	f := newFixture(t)
	for _, c := range codes {
		if got := f.codeOf(fmt.Errorf("wrapped: %w", c.err)); got != c.code {
			t.Errorf("%v: %v, want %v", c.err, got, c.code)
		}
	}
	if f.codeOf(nil) != wire.CodeNone {
		t.Error("nil is an error")
	}
	f.Logger = slog.New(slog.DiscardHandler)
	if f.codeOf(io.EOF) != wire.CodeUnknownServerError {
		t.Error("an unforeseen error has a code")
	}
	if m := message(fmt.Errorf("%s", strings.Repeat("x", 40_000))); len(*m) > maxMessage {
		t.Errorf("a message of %d bytes: wire cannot say more than 32,767", len(*m))
	}
}

// What a produce costs must not depend on how many records its batch has: none is looked at twice, copied or wrapped.
func TestProduceAllocatesByRequest(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.Topics.Create(ctx, topics.Spec{Name: "t"}); err != nil {
		t.Fatal(err)
	}
	cost := func(records int) float64 {
		var b batch.Builder
		for range records {
			b.Add(time.UnixMilli(1), nil, make([]byte, 100))
		}
		frame := frameOf(9, &wire.ProduceRequest{Acks: -1, Topics: []wire.ProduceRequestTopic{
			{Name: []byte("t"), Partitions: []wire.ProduceRequestPartition{{Records: b.Batch()}}}}})
		return testing.AllocsPerRun(50, func() {
			if _, ok := f.do(ctx, frame); !ok { // the engine stamps the same bytes anew; the CRC does not cover the stamp
				t.Fatal("closed")
			}
		})
	}
	one, hundred := cost(1), cost(100)
	const disk = 8 // that of the tests keeps its unsynced writes piece by piece
	if hundred > one+disk || one > 16+disk {
		t.Errorf("%.0f allocations for 1 record, %.0f for 100: want as many, and at most 16, the disk's %d aside", one, hundred, disk)
	}
}

// A client that goes away in the moment in which its answer is ready gets none, and that is an error, not nothing.
func TestClientIsGoneWhenTheAnswerIsReady(t *testing.T) {
	f := newFixture(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	later := []wire.Key{wire.KeyOffsetCommit, wire.KeyWriteTxnMarkers, wire.KeyTxnOffsetCommit, wire.KeyDeleteGroups, wire.KeyOffsetDelete}
	for _, r := range Served() {
		for i := 0; slices.Contains(later, r.Key) && i < 50; i++ { // a select picks at random
			fr := listen.NewFrame(frameOf(r.Max, wire.NewRequest(r.Key)))
			p, err := f.session.Serve(t.Context(), fr)
			if err != nil {
				t.Fatal(r.Key, err)
			}
			for !p.Ready() {
				runtime.Gosched()
			}
			var o listen.Out
			_ = p.Finish(gone, &o) // an answer that nothing is waited for is given all the same
			fr.Release()
		}
	}
}

// FuzzServe gives the broker whatever bytes: it must not panic, must not take long, and what it answers must be a frame.
func FuzzServe(f *testing.F) {
	for _, r := range Served() {
		for v := r.Min; v <= r.Max; v++ {
			if wire.Supported(r.Key, v) == nil {
				f.Add(frameOf(v, wire.NewRequest(r.Key)))
			}
		}
	}
	f.Add(frameOf(5, &wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestTopic{{Name: "t", NumPartitions: 1, ReplicationFactor: 1}}}))
	f.Add(frameOf(9, &wire.ProduceRequest{Acks: 1, Topics: []wire.ProduceRequestTopic{{Name: []byte("t"), Partitions: []wire.ProduceRequestPartition{{Records: make([]byte, 61)}}}}}))
	f.Add(frameOf(4, &wire.JoinGroupRequest{GroupID: "g", ProtocolType: "x", SessionTimeoutMs: 100, Protocols: []wire.JoinGroupRequestProtocol{{Name: "p"}}}))
	fx := newFixture(f)
	fx.Logger = slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, frame []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // joins may be parked
		defer cancel()
		if len(frame) > 2 && wire.Key(int16(frame[0])<<8|int16(frame[1])) == wire.KeyCreateTopics {
			return // would fill the memory of the fuzzer with topics
		}
		out, ok := fx.do(ctx, frame)
		if ok && len(out) > 0 && len(out) < 8 {
			t.Errorf("an answer of %d bytes", len(out))
		}
	})
}
