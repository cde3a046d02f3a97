package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What drivers send: see also settings.
const (
	recordBytes = 1 << 10
	rate        = 2000 // records a second, for latencies
	window      = 4000 // records that NATS' client may have unanswered; its default, and what kgo is given too
)

// settings are printed above the results.
const settings = "records of 1 KiB, half random; one topic with one partition, or one stream; kgo: acks=all, no compression, at full speed linger 5 ms and 4,000 records unanswered, at a rate linger 0; " +
	"nats.go: PublishAsync with 4,000 unanswered; Kafka's tools: 10 partitions, acks=all, else their defaults; loadscript: bench/peers/peer.star"

// payloads are values to send in turn.
func payloads() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, 1024)
	for i := range out {
		out[i] = make([]byte, recordBytes)
		for j := range recordBytes / 2 {
			out[i][j] = byte(rng.Uint32())
		}
	}
	return out
}

// driver is a client of one side.
type driver interface {
	// create makes an empty topic. It fails as long as the broker is not ready.
	create(ctx context.Context, topic string) error
	// produce sends values as fast as they are acknowledged until the context ends, and gives how many were.
	produce(ctx context.Context, topic string, values [][]byte) (int, error)
	// consume reads want records from the beginning.
	consume(ctx context.Context, topic string, want int) error
	// offer sends want values, each when it is due, at the rate, and reads them. It gives how long after that each was acknowledged and received.
	offer(ctx context.Context, topic string, want int) (acks, received []time.Duration, err error)
	close()
}

// pace calls send for each value when it is due. The value begins with that time, in ns after begin.
func pace(begin time.Time, want int, send func(value []byte, due time.Duration) error) error {
	values := payloads()
	for i := range want {
		due := time.Duration(i) * time.Second / rate
		time.Sleep(due - time.Since(begin))
		v := slices.Clone(values[i%len(values)])
		binary.BigEndian.PutUint64(v, uint64(due))
		if err := send(v, due); err != nil {
			return err
		}
	}
	return nil
}

func age(begin time.Time, value []byte) time.Duration {
	return time.Since(begin) - time.Duration(binary.BigEndian.Uint64(value))
}

// kafkaDriver drives anything that speaks Kafka's protocol.
type kafkaDriver struct{ addr string }

func openKafka(addr string) (driver, error) { return &kafkaDriver{addr}, nil }

func (d *kafkaDriver) close() {}

func (d *kafkaDriver) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(d.addr), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)...)
}

func (d *kafkaDriver) create(ctx context.Context, topic string) error {
	client, err := d.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic)
	return errors.Join(err, resp.Err)
}

func (d *kafkaDriver) produce(ctx context.Context, topic string, values [][]byte) (int, error) {
	client, err := d.client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(window))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var failed firstError
	n := 0
	for ; ctx.Err() == nil; n++ {
		client.Produce(context.Background(), &kgo.Record{Value: values[n%len(values)]}, func(_ *kgo.Record, err error) { failed.set(err) })
	}
	err = client.Flush(context.Background())
	return n, errors.Join(err, failed.get())
}

func (d *kafkaDriver) consume(ctx context.Context, topic string, want int) error {
	client, err := d.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	return poll(ctx, client, want, func(*kgo.Record) {})
}

func poll(ctx context.Context, client *kgo.Client, want int, each func(*kgo.Record)) error {
	for got := 0; got < want; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return fmt.Errorf("%d of %d records received: %w", got, want, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			got++
			each(r)
		})
	}
	return nil
}

func (d *kafkaDriver) offer(ctx context.Context, topic string, want int) (acks, received []time.Duration, err error) {
	producer, err := d.client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		return nil, nil, err
	}
	defer producer.Close()
	consumer, err := d.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, nil, err
	}
	defer consumer.Close()
	begin, done := time.Now(), make(chan error, 1)
	go func() {
		done <- poll(ctx, consumer, want, func(r *kgo.Record) { received = append(received, age(begin, r.Value)) })
	}()
	var failed firstError
	err = pace(begin, want, func(v []byte, due time.Duration) error {
		producer.Produce(context.Background(), &kgo.Record{Value: v}, func(_ *kgo.Record, err error) { // one at a time
			failed.set(err)
			acks = append(acks, time.Since(begin)-due)
		})
		return nil
	})
	err = errors.Join(err, producer.Flush(context.Background()), failed.get(), <-done)
	return acks, received, err
}

// natsDriver drives JetStream.
type natsDriver struct {
	addr string
	conn *nats.Conn
	js   jetstream.JetStream
}

func openNATS(addr string) (driver, error) { return &natsDriver{addr: addr}, nil }

func (d *natsDriver) close() {
	if d.conn != nil {
		d.conn.Close()
	}
}

func (d *natsDriver) create(ctx context.Context, topic string) (err error) {
	if d.conn == nil {
		if d.conn, err = nats.Connect("nats://" + d.addr); err != nil {
			return err
		}
	}
	if d.js == nil {
		if d.js, err = jetstream.New(d.conn, jetstream.WithPublishAsyncMaxPending(window)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = d.js.CreateStream(ctx, jetstream.StreamConfig{Name: topic, Subjects: []string{topic}, Storage: jetstream.FileStorage})
	return err
}

func (d *natsDriver) produce(ctx context.Context, topic string, values [][]byte) (n int, err error) {
	futures, failed := make(chan jetstream.PubAckFuture, window), make(chan error, 1)
	go func() {
		var first error
		for f := range futures {
			if err := answer(f); err != nil && first == nil {
				first = err
			}
		}
		failed <- first
	}()
	for ; ctx.Err() == nil && err == nil; n++ {
		var f jetstream.PubAckFuture
		if f, err = d.js.PublishAsync(topic, values[n%len(values)], jetstream.WithStallWait(time.Minute)); err == nil { // waits while the window is full
			futures <- f
		}
	}
	close(futures)
	return n, errors.Join(err, <-failed)
}

func answer(f jetstream.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	}
}

func (d *natsDriver) consume(ctx context.Context, topic string, want int) error {
	return d.receive(ctx, topic, want, func([]byte) {})
}

func (d *natsDriver) receive(ctx context.Context, topic string, want int, each func([]byte)) error {
	c, err := d.js.OrderedConsumer(ctx, topic, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	done, got := make(chan struct{}), 0
	consuming, err := c.Consume(func(m jetstream.Msg) {
		if got++; got <= want {
			each(m.Data())
		}
		if got == want {
			close(done)
		}
	})
	if err != nil {
		return err
	}
	defer consuming.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("of %d records not all were received: %w", want, ctx.Err())
	}
}

func (d *natsDriver) offer(ctx context.Context, topic string, want int) (acks, received []time.Duration, err error) {
	type sent struct {
		f   jetstream.PubAckFuture
		due time.Duration
	}
	begin := time.Now()
	all, done, failed := make(chan sent, want), make(chan error, 1), make(chan error, 1)
	go func() {
		done <- d.receive(ctx, topic, want, func(v []byte) { received = append(received, age(begin, v)) })
	}()
	go func() {
		var first error
		for s := range all { // a stream answers in order
			if err := answer(s.f); err != nil && first == nil {
				first = err
			}
			acks = append(acks, time.Since(begin)-s.due)
		}
		failed <- first
	}()
	err = pace(begin, want, func(v []byte, due time.Duration) error {
		f, err := d.js.PublishAsync(topic, v, jetstream.WithStallWait(time.Minute))
		if err == nil {
			all <- sent{f, due}
		}
		return err
	})
	close(all)
	err = errors.Join(err, <-failed)
	if err != nil {
		return nil, nil, err
	}
	return acks, received, <-done
}

// firstError keeps the first of many.
type firstError struct{ err atomic.Pointer[error] }

func (f *firstError) set(err error) {
	if err != nil {
		f.err.CompareAndSwap(nil, &err)
	}
}

func (f *firstError) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}
