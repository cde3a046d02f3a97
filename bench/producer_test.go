package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/wire"
)

const (
	produceVersion = 9
	topic          = "t"
)

// requests are produce requests of one batch, one for each partition of a topic in [from, to).
func requests(topic string, from, to, records, bytes int) (frames [][]byte) {
	for p := from; p < to; p++ {
		frames = append(frames, wire.AppendRequestFrame(nil, wire.RequestHeader{Key: wire.KeyProduce, Version: produceVersion, CorrelationID: int32(p), ClientID: "bench", HasClientID: true},
			&wire.ProduceRequest{Acks: -1, TimeoutMs: 30_000, Topics: []wire.ProduceRequestTopic{
				{Name: []byte(topic), Partitions: []wire.ProduceRequestPartition{{PartitionIndex: int32(p), Records: batchOf(records, bytes)}}}}}))
	}
	return frames
}

// refused says what is wrong with a produce response.
func refused(body []byte) error {
	var resp wire.ProduceResponse
	_, rest, err := wire.DecodeResponseHeader(body, wire.KeyProduce, produceVersion)
	if err == nil {
		err = wire.Decode(&resp, produceVersion, rest)
	}
	if err != nil {
		return err
	}
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != wire.CodeNone {
		return fmt.Errorf("produce: %v", p.ErrorCode)
	}
	return nil
}

// pump sends frames over one connection, so many of them unanswered at a time, and waits for all answers.
type pump struct {
	frames   [][]byte
	records  int // in a frame
	inFlight int
	check    func(answer []byte) error
	// rate is how many frames are due in a second, each then at its own time, from which its latency counts. 0: as many as go.
	rate float64
}

func (p *pump) run(b *testing.B, addr string, t *bare.Tally) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	sent, ended := make(chan time.Time, p.inFlight), make(chan error, 1)
	go func() { ended <- p.answers(c, sent, t) }()
	err = p.send(c, sent, ended, t)
	close(sent)
	if err == nil {
		err = <-ended
	}
	if err != nil {
		b.Error(err)
	}
}

func (p *pump) send(c net.Conn, sent chan<- time.Time, ended <-chan error, t *bare.Tally) error {
	begin := time.Now()
	for i := 0; ; i++ {
		at := time.Now()
		if p.rate > 0 {
			due := begin.Add(time.Duration(float64(i) / p.rate * float64(time.Second)))
			time.Sleep(due.Sub(at))
			at = due
		}
		if at.Sub(begin) >= *round {
			return nil
		}
		select {
		case sent <- at:
		case err := <-ended:
			return err
		}
		frame := p.frames[i%len(p.frames)]
		if _, err := c.Write(frame); err != nil {
			return err
		}
		t.Ops += int64(p.records)
		t.Bytes += int64(len(frame))
	}
}

func (p *pump) answers(c net.Conn, sent <-chan time.Time, t *bare.Tally) (err error) {
	r, body := bufio.NewReaderSize(c, 64<<10), []byte{}
	for at := range sent {
		if body, err = readAnswer(r, body); err != nil {
			return err
		}
		t.Latency.Add(time.Since(at))
		if p.check != nil {
			if err := p.check(body); err != nil {
				return err
			}
		}
	}
	return nil
}

// pumps gives pumps for the broker, each with its share of the partitions, and the same for the sink, which answers otherwise.
func pumps(n, partitions, records, bytes, inFlight int) (broker, sink []*pump) {
	for i := range n {
		p := pump{frames: requests(topic, i*partitions/n, (i+1)*partitions/n, records, bytes), records: records, inFlight: inFlight, check: refused}
		q := p
		q.check = nil
		broker, sink = append(broker, &p), append(sink, &q)
	}
	return broker, sink
}

// versusSink measures pumps.
func versusSink(b *testing.B, s setup, partitions int, broker, sink []*pump) {
	server, bare := withTopic(b, s, partitions), startSink(b)
	measure(b, side{server, together(b, server.addr, broker)}, "sink", side{bare, together(b, bare.addr, sink)}, nil)
}

// BenchmarkProducer_Throughput is one connection with 128 requests in flight, each of one batch that is one record; and, as client=franz-go,
// a whole client that makes batches of records. The sink rewrites one file, whose pages are in the cache; beside=keeper is held against one
// that keeps what it gets, as the broker does: on virtual machines, a page of the cache that is used for the first time costs more than the
// copy into it.
func BenchmarkProducer_Throughput(b *testing.B) {
	const around = 90 // bytes of a batch of one record that are not its value
	for _, c := range []struct {
		setup
		batch, partitions int
	}{
		{setup{}, 1 << 10, 10}, {setup{}, 16 << 10, 1}, {setup{}, 16 << 10, 10}, {setup{}, 16 << 10, 100}, {setup{}, 16 << 10, 1000}, {setup{}, 16 << 10, 5000}, {setup{}, 64 << 10, 10},
		{setup{durability: "page-cache"}, 16 << 10, 10}, {setup{io: "sync"}, 16 << 10, 10},
	} {
		b.Run(c.name(fmt.Sprintf("batch=%dKiB/partitions=%d", c.batch>>10, c.partitions)), func(b *testing.B) {
			broker, sink := pumps(1, c.partitions, 1, c.batch-around, 128)
			versusSink(b, c.setup, c.partitions, broker, sink)
		})
	}
	for _, kib := range []int{1, 16, 64} {
		b.Run(setup{}.name(fmt.Sprintf("batch=%dKiB/partitions=10/beside=keeper", kib)), func(b *testing.B) {
			broker, keeper := pumps(1, 10, 1, kib<<10-around, 128)
			server, bare := withTopic(b, setup{}, 10), startKeeper(b)
			measure(b, side{server, together(b, server.addr, broker)}, "keeper", side{bare, together(b, bare.addr, keeper)}, nil)
		})
	}
	for _, c := range []struct {
		setup
		record int
		codec  string
	}{
		{setup{}, 100, "none"}, {setup{}, 1 << 10, "none"}, {setup{}, 10 << 10, "none"},
		{setup{}, 1 << 10, "gzip"}, {setup{}, 1 << 10, "snappy"}, {setup{}, 1 << 10, "lz4"}, {setup{}, 1 << 10, "zstd"},
		{setup{durability: "page-cache"}, 1 << 10, "none"}, {setup{io: "sync"}, 1 << 10, "none"},
	} {
		b.Run("client=franz-go/"+c.name(fmt.Sprintf("record=%s/codec=%s/partitions=10", size(c.record), c.codec)), func(b *testing.B) {
			produceAll(b, c.setup, c.record, c.codec)
		})
	}
}

// name is that of a sub-benchmark: what was asked for, then what.
func (s setup) name(what string) string {
	durability := s.durability
	if durability == "" {
		durability = "fsync"
	}
	if s.io != "" {
		what += "/io=" + s.io
	}
	return "durability=" + durability + "/" + what
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// produceAll measures a client that produces as fast as it can, beside a sink that is sent batches of 64 KiB. MB are of values; overhead-% is
// what went over the connections, both ways, beyond them.
func produceAll(b *testing.B, s setup, record int, codec string) {
	const partitions = 10
	server, bareSink := withTopic(b, s, partitions), startSink(b)
	var wires wireBytes
	client := newClient(b, server.addr, kgo.Dialer(wires.dial), kgo.ProducerBatchCompression(codecs[codec]), kgo.DefaultProduceTopic(topic),
		kgo.MaxBufferedRecords(max(1000, 32<<20/record)), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(time.Millisecond))
	values := values(record)
	var last struct{ wire, bytes int64 }
	produce := func() (t bare.Tally) {
		before := wires.n.Load()
		var failed atomic.Pointer[error]
		ctx, cancel := context.WithTimeout(context.Background(), *round)
		defer cancel()
		for i := 0; ctx.Err() == nil; i++ { // Produce waits while the client holds as many records as it may
			t.Ops++
			client.Produce(context.Background(), &kgo.Record{Value: values[i%len(values)]}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
		}
		if err := client.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := failed.Load(); err != nil {
			b.Fatal(*err)
		}
		t.Bytes = t.Ops * int64(record)
		last.wire, last.bytes = wires.n.Load()-before, t.Bytes
		return t
	}
	_, sink := pumps(1, partitions, 1, 64<<10, 128)
	measure(b, side{server, produce}, "sink", side{bareSink, together(b, bareSink.addr, sink)}, func(s bare.Samples) {
		s.Add("overhead-%", 100*(float64(last.wire)/float64(last.bytes)-1))
	})
}

func newClient(b *testing.B, addr string, opts ...kgo.Opt) *kgo.Client {
	b.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	return client
}

// wireBytes counts what goes over connections, both ways.
type wireBytes struct{ n atomic.Int64 }

func (w *wireBytes) dial(ctx context.Context, network, host string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, host)
	return &countedConn{c, w}, err
}

type countedConn struct {
	net.Conn
	all *wireBytes
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.all.n.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.all.n.Add(int64(n))
	return n, err
}

// BenchmarkProducer_Send is one client that sends a record and waits for its answer, again and again: latencies are what a program sees that
// cannot go on before its record is safe. The sink gets a frame of the same bytes.
func BenchmarkProducer_Send(b *testing.B) {
	for _, c := range []struct {
		setup
		record int
	}{{setup{}, 100}, {setup{}, 1 << 10}, {setup{}, 10 << 10}, {setup{durability: "page-cache"}, 1 << 10}} {
		b.Run(c.name("record="+size(c.record)), func(b *testing.B) { sendSync(b, c.setup, 1, c.record) })
	}
}

// BenchmarkProducer_SendBatch sends 100 records at a time and waits for the answers of all.
func BenchmarkProducer_SendBatch(b *testing.B) {
	for _, c := range []struct {
		setup
		record int
	}{{setup{}, 100}, {setup{}, 1 << 10}, {setup{}, 10 << 10}, {setup{durability: "page-cache"}, 1 << 10}} {
		b.Run(c.name(fmt.Sprintf("records=100/record=%s", size(c.record))), func(b *testing.B) { sendSync(b, c.setup, 100, c.record) })
	}
}

func sendSync(b *testing.B, s setup, records, record int) {
	server, bareSink := withTopic(b, s, 1), startSink(b)
	client := newClient(b, server.addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(2<<20))
	values := values(record)
	send := func() (t bare.Tally) {
		rs := make([]*kgo.Record, records)
		for end := time.Now().Add(*round); time.Now().Before(end); {
			for i := range rs {
				rs[i] = &kgo.Record{Value: values[(t.Ops+int64(i))%int64(len(values))]}
			}
			begin := time.Now()
			if err := client.ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
				b.Fatal(err)
			}
			t.Latency.Add(time.Since(begin))
			t.Ops += int64(records)
			t.Bytes += int64(records * record)
		}
		return t
	}
	_, sink := pumps(1, 1, records, record, 1)
	measure(b, side{server, send}, "sink", side{bareSink, together(b, bareSink.addr, sink)}, nil)
}

// BenchmarkConcurrent_Producers is many connections, each with 5 requests in flight, as Kafka's producer has, of one batch of 16 KiB.
func BenchmarkConcurrent_Producers(b *testing.B) {
	const partitions = 64
	for _, n := range []int{1, 8, 64} {
		b.Run(setup{}.name(fmt.Sprintf("producers=%d/batch=16KiB/partitions=%d", n, partitions)), func(b *testing.B) {
			broker, sink := pumps(n, partitions, 16, 1000, 5)
			versusSink(b, setup{}, partitions, broker, sink)
		})
	}
}
