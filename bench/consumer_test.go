package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

const fetchVersion = 12

// fill puts so many bytes or more into a topic's partitions, evenly, in batches of so many records of 1,000 bytes.
func fill(b *testing.B, addr, topic string, partitions, records, bytes int) {
	b.Helper()
	p := &pump{frames: requests(topic, 0, partitions, records, 1000), records: records, inFlight: 64, check: refused}
	var t bare.Tally
	for t.Bytes < int64(bytes) {
		p.run(b, addr, &t)
	}
	if b.Failed() {
		b.FailNow()
	}
}

// reader fetches partitions over one connection, one request at a time, from the beginning on, and again when it is at the end.
type reader struct {
	req  wire.FetchRequest
	next map[int32]int64
	body []byte
}

// newReader reads the topic's partitions in [from, to), at most so many bytes of each at a time.
func newReader(from, to, bytes int) *reader {
	r := &reader{next: map[int32]int64{}}
	r.req.Default()
	r.req.ReplicaID, r.req.MaxWaitMs, r.req.MinBytes, r.req.MaxBytes = -1, 100, 1, 50<<20
	t := wire.FetchRequestTopic{Name: []byte(topic)}
	for p := from; p < to; p++ {
		t.Partitions = append(t.Partitions, wire.FetchRequestPartition{PartitionIndex: int32(p), CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: int32(bytes)})
	}
	r.req.Topics = []wire.FetchRequestTopic{t}
	return r
}

func (r *reader) run(b *testing.B, addr string, t *bare.Tally) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReaderSize(c, 64<<10)
	var frame []byte
	var resp wire.FetchResponse
	for end := time.Now().Add(*round); time.Now().Before(end); {
		for i := range r.req.Topics[0].Partitions {
			p := &r.req.Topics[0].Partitions[i]
			p.FetchOffset = r.next[p.PartitionIndex]
		}
		begin := time.Now()
		frame = wire.AppendRequestFrame(frame[:0], wire.RequestHeader{Key: wire.KeyFetch, Version: fetchVersion, ClientID: "bench", HasClientID: true}, &r.req)
		if _, err = c.Write(frame); err == nil {
			r.body, err = readAnswer(in, r.body)
		}
		t.Latency.Add(time.Since(begin))
		var rest []byte
		if err == nil {
			_, rest, err = wire.DecodeResponseHeader(r.body, wire.KeyFetch, fetchVersion)
		}
		if err == nil {
			err = resp.Decode(fetchVersion, rest)
		}
		if err == nil {
			err = r.take(&resp, t)
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
}

// take counts what came and moves on; a partition that is at its end begins anew.
func (r *reader) take(resp *wire.FetchResponse, t *bare.Tally) error {
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != wire.CodeNone {
			return fmt.Errorf("fetch: %v", p.ErrorCode)
		}
		t.Bytes += int64(len(p.Records))
		next := r.next[p.PartitionIndex]
		for rest := p.Records; ; {
			one, err := batch.First(rest)
			if err != nil {
				break // the last one is cut
			}
			t.Ops += int64(one.Count())
			next, rest = int64(one.NextOffset()), rest[len(one):]
		}
		if next >= p.HighWatermark {
			next = 0
		}
		r.next[p.PartitionIndex] = next
	}
	return nil
}

// asker asks a sink for bytes, one request at a time.
type asker struct{ bytes int }

func (a asker) run(b *testing.B, addr string, t *bare.Tally) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	in, body, frame := bufio.NewReaderSize(c, 64<<10), []byte{}, ask(a.bytes)
	for end := time.Now().Add(*round); time.Now().Before(end); {
		begin := time.Now()
		if _, err = c.Write(frame); err == nil {
			body, err = readAnswer(in, body)
		}
		if err != nil {
			b.Error(err)
			return
		}
		t.Latency.Add(time.Since(begin))
		t.Ops++
		t.Bytes += int64(len(body))
	}
}

// client is one that works for a round.
type client interface {
	run(b *testing.B, addr string, t *bare.Tally)
}

// together runs clients at a time and gives what they did.
func together[C client](b *testing.B, addr string, clients []C) func() bare.Tally {
	return func() (t bare.Tally) {
		tallies := make([]bare.Tally, len(clients))
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() { c.run(b, addr, &tallies[i]) })
		}
		wg.Wait()
		if b.Failed() {
			b.FailNow()
		}
		for i := range tallies {
			t.Merge(&tallies[i])
		}
		return t
	}
}

// versusSendfile measures readers of a topic that is in the page cache, beside a sink that is asked for answers of so many bytes.
func versusSendfile(b *testing.B, s setup, partitions, records, total int, readers []*reader, bytes int) {
	server, sink := withTopic(b, s, partitions), startSink(b)
	fill(b, server.addr, topic, partitions, records, total)
	askers := make([]asker, len(readers))
	for i := range askers {
		askers[i] = asker{bytes}
	}
	measure(b, side{server, together(b, server.addr, readers)}, "sendfile", side{sink, together(b, sink.addr, askers)}, nil)
}

// BenchmarkConsumer_Throughput reads a topic of 256 MB from the page cache, again and again: by bare requests (a latency is that of one), and,
// as client=franz-go, by a whole client that checks and unpacks what it gets.
func BenchmarkConsumer_Throughput(b *testing.B) {
	const total = 256_000_000
	for _, c := range []struct {
		setup
		partitions int
	}{{setup{}, 1}, {setup{}, 10}, {setup{}, 100}, {setup{io: "sync"}, 10}} {
		b.Run(c.name(fmt.Sprintf("batch=16KiB/partitions=%d", c.partitions)), func(b *testing.B) {
			versusSendfile(b, c.setup, c.partitions, 16, total, []*reader{newReader(0, c.partitions, 1<<20)}, min(c.partitions, 10)<<20)
		})
	}
	for _, c := range []struct {
		record int
		codec  string
	}{{100, "none"}, {1 << 10, "none"}, {10 << 10, "none"}, {1 << 10, "lz4"}, {1 << 10, "zstd"}} {
		b.Run("client=franz-go/"+setup{}.name(fmt.Sprintf("record=%s/codec=%s/partitions=10", size(c.record), c.codec)), func(b *testing.B) {
			consumeAll(b, c.record, c.codec, total)
		})
	}
}

// consumeAll measures whole clients, a new one in each round. MB are of values; overhead-% is what went over the connections beyond them.
func consumeAll(b *testing.B, record int, codec string, total int) {
	const partitions = 10
	server, sink := withTopic(b, setup{}, partitions), startSink(b)
	producer := newClient(b, server.addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(max(1000, 32<<20/record)))
	values := values(record)
	for i := range total / record {
		producer.Produce(context.Background(), &kgo.Record{Value: values[i%len(values)]}, nil)
	}
	if err := producer.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	var last struct{ wire, bytes int64 }
	consume := func() (t bare.Tally) {
		var wires wireBytes
		for first, end := true, time.Now().Add(*round); first || time.Now().Before(end); first = false {
			readOnce(b, server.addr, &wires, total/record, &t)
		}
		last.wire, last.bytes = wires.n.Load(), t.Bytes
		return t
	}
	measure(b, side{server, consume}, "sendfile", side{sink, together(b, sink.addr, []asker{{10 << 20}})}, func(s bare.Samples) {
		s.Add("overhead-%", 100*(float64(last.wire)/float64(last.bytes)-1))
	})
}

// readOnce reads the topic of so many records by a new client, to its end.
func readOnce(b *testing.B, addr string, wires *wireBytes, records int, t *bare.Tally) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.Dialer(wires.dial), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for got := 0; got < records; {
		fetched := client.PollFetches(context.Background())
		if err := fetched.Err(); err != nil {
			b.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			got++
			t.Ops++
			t.Bytes += int64(len(r.Value))
		})
	}
}

// BenchmarkConsumer_Receive reads one record after the other, a request for each, as a consumer does that keeps up with a slow producer: a
// latency is that of one request. The sink sends as many bytes.
func BenchmarkConsumer_Receive(b *testing.B) {
	for _, c := range []setup{{}, {io: "sync"}} {
		b.Run(c.name("record=1000B"), func(b *testing.B) {
			versusSendfile(b, c, 1, 1, 16_000_000, []*reader{newReader(0, 1, 1)}, 1000)
		})
	}
}

// BenchmarkConcurrent_Consumers is many connections, each of which reads its own share of the partitions.
func BenchmarkConcurrent_Consumers(b *testing.B) {
	const partitions = 64
	for _, n := range []int{1, 8, 64} {
		b.Run(setup{}.name(fmt.Sprintf("consumers=%d/batch=16KiB/partitions=%d", n, partitions)), func(b *testing.B) {
			var readers []*reader
			for i := range n {
				readers = append(readers, newReader(i*partitions/n, (i+1)*partitions/n, 128<<10))
			}
			versusSendfile(b, setup{}, partitions, 16, 256_000_000, readers, partitions/n*(128<<10))
		})
	}
}
