package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/bench/bare"
)

// BenchmarkE2E_Latency offers records at a rate, each due at its own time, whatever happened to those before, and measures from that time until
// a consumer has the record; ack-… until the producer has its answer, and late-… how late the generator itself was. Producer, consumer and
// broker share the machine. The sink gets a frame of as many bytes at each of the same times; its latency ends with its answer. cores and
// peak-RSS-MiB are what the broker needs at that rate.
func BenchmarkE2E_Latency(b *testing.B) {
	for _, c := range []struct {
		setup
		record, rate int
	}{
		{setup{}, 1 << 10, 1_000}, {setup{}, 100, 10_000}, {setup{}, 1 << 10, 10_000}, {setup{}, 10 << 10, 10_000},
		{setup{durability: "page-cache"}, 1 << 10, 10_000}, {setup{io: "sync"}, 1 << 10, 10_000},
	} {
		b.Run(c.name(fmt.Sprintf("record=%s/rate=%d/partitions=4", size(c.record), c.rate)), func(b *testing.B) {
			endToEnd(b, c.setup, c.record, c.rate)
		})
	}
}

func endToEnd(b *testing.B, s setup, record, rate int) {
	const partitions = 4
	server, bareSink := withTopic(b, s, partitions), startSink(b)
	producer := newClient(b, server.addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	consumer := newClient(b, server.addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var ack, late bare.Histogram
	work := func() (t bare.Tally) {
		want := int(float64(rate) * round.Seconds())
		received := make(chan error, 1)
		base := time.Now()
		go func() { received <- receive(consumer, base, want, &t) }()
		if err := offer(producer, base, rate, want, record, &ack, &late); err != nil {
			b.Fatal(err)
		}
		if err := <-received; err != nil {
			b.Fatal(err)
		}
		return t
	}
	_, sink := pumps(1, partitions, 1, record, 4096)
	sink[0].rate = float64(rate)
	measure(b, side{server, work}, "sink", side{bareSink, together(b, bareSink.addr, sink)}, nil)
	of := bare.Samples{}
	of.Quantiles("ack-", &ack)
	of.Quantiles("late-", &late)
	of.Report(b.ReportMetric)
}

// offer sends want records at their times, and waits for all answers. A record's value begins with its time, in ns after base.
func offer(client *kgo.Client, base time.Time, rate, want, record int, ack, late *bare.Histogram) error {
	var failed atomic.Pointer[error]
	values := value(want * record) // each record its own memory: the client may hold all of them
	for i := range want {
		due := time.Duration(float64(i) / float64(rate) * float64(time.Second))
		time.Sleep(due - time.Since(base))
		late.Add(time.Since(base) - due)
		v := values[i*record : (i+1)*record]
		binary.BigEndian.PutUint64(v, uint64(due))
		client.Produce(context.Background(), &kgo.Record{Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
			ack.Add(time.Since(base) - due) // the client calls one at a time
		})
	}
	err := client.Flush(context.Background())
	if f := failed.Load(); f != nil {
		err = *f
	}
	return err
}

// receive takes want records and notes how old they are.
func receive(client *kgo.Client, base time.Time, want int, t *bare.Tally) error {
	ctx, cancel := context.WithTimeout(context.Background(), *round+30*time.Second)
	defer cancel()
	for t.Ops < int64(want) {
		fetched := client.PollFetches(ctx)
		now := time.Since(base)
		if err := fetched.Err(); err != nil {
			return fmt.Errorf("%d of %d records received: %w", t.Ops, want, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			t.Latency.Add(now - time.Duration(binary.BigEndian.Uint64(r.Value)))
			t.Ops++
			t.Bytes += int64(len(r.Value))
		})
	}
	return nil
}
