package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producing says what records are made of.
type Producing struct {
	Topic       string
	Partition   int32  // -1: by key, and without one as franz-go likes
	Layout      string // how records lie in the input: %k key, %v value, %h headers, … as franz-go's NewRecordReader describes
	Headers     map[string]string
	Compression string // none, gzip, snappy, lz4 or zstd
	Acks        string // all, leader or none
	Flush       int    // records under way at most; default 1000
}

// Produced is what became of the records of one partition.
type Produced struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
	First     int64  `json:"first"` // offset
	Last      int64  `json:"last"`  // offset
}

// Produce writes what in holds, to its end. The rows are of what was acknowledged, also when there is an error. The timeout is for
// each record, not for all.
func (c *Client) Produce(ctx context.Context, p Producing, in io.Reader) ([]Produced, error) {
	client, err := c.producer(p)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if strings.HasSuffix(p.Layout, "\n") {
		in = &lastLine{in: in}
	}
	reader, err := kgo.NewRecordReader(in, p.Layout)
	if err != nil {
		return nil, fmt.Errorf("%w: layout %q: %w", ErrOptions, p.Layout, err)
	}
	if _, err := c.known(ctx, []string{p.Topic}); err != nil {
		return nil, err
	}
	sum := &sums{by: map[int32]*Produced{}}
	var readErr error
	for sum.failed() == nil {
		rec, err := reader.ReadRecord()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				readErr = fmt.Errorf("record %d of the input does not fit the layout %q: %w", sum.read+1, p.Layout, err)
			}
			break
		}
		sum.read++
		rec.Topic, rec.Partition = p.Topic, p.Partition
		for k, v := range p.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		client.Produce(ctx, rec, sum.done)
	}
	if err := client.Flush(ctx); err != nil && sum.failed() == nil {
		return sum.rows(), c.explain("produce to "+p.Topic, err)
	}
	if err := sum.failed(); err != nil {
		return sum.rows(), errors.Join(c.explain("produce to "+p.Topic, err), readErr)
	}
	return sum.rows(), readErr
}

func (c *Client) producer(p Producing) (*kgo.Client, error) {
	opts := append(slices.Clone(c.opts), kgo.MaxBufferedRecords(max(p.Flush, 1000)))
	codec, ok := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[p.Compression]
	if !ok {
		return nil, fmt.Errorf("%w: compression must be none, gzip, snappy, lz4 or zstd, not %q", ErrOptions, p.Compression)
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec))
	switch p.Acks {
	case "", "all":
	case "leader":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "none":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, fmt.Errorf("%w: acks must be all, leader or none, not %q", ErrOptions, p.Acks)
	}
	if p.Partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return client, nil
}

// Consuming says what is read and how it is shown.
type Consuming struct {
	Topic      string
	Partitions []int32 // empty: all
	From       Target
	Max        int64 // records; 0: no end
	ToEnd      bool  // stop where each partition ended when it was begun
	Committed  bool  // leave out what belongs to transactions that are open or were aborted
}

// Record is a record that was read. Its bytes are the caller's.
type Record = kgo.Record

// Consume gives records to show, in order for each partition, until Max, the end, show's error, or ctx ends, which is no error. Nothing
// is committed.
func (c *Client) Consume(ctx context.Context, o Consuming, show func(*Record) error) (n int64, err error) {
	begin, end, err := c.span(ctx, o)
	if err != nil {
		return 0, err
	}
	left := map[int32]bool{}
	at := map[int32]kgo.Offset{}
	for p, from := range begin {
		if o.ToEnd && from >= end[p] {
			continue
		}
		left[p], at[p] = true, kgo.NewOffset().At(from)
	}
	if o.ToEnd && len(left) == 0 {
		return 0, nil
	}
	opts := append(slices.Clone(c.opts), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: at}), kgo.KeepControlRecords())
	if o.Committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	defer client.Close()
	for {
		fetches, err := c.poll(ctx, client, o)
		if ctx.Err() != nil {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for _, e := range fetches.Errors() {
			return n, c.explain(fmt.Sprintf("read %s-%d", e.Topic, e.Partition), e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			past := o.ToEnd && rec.Offset >= end[rec.Partition]
			if !past && !rec.Attrs.IsControl() {
				if err := show(rec); err != nil {
					return n, err
				}
				if n++; o.Max > 0 && n >= o.Max {
					return n, nil
				}
			}
			if o.ToEnd && rec.Offset+1 >= end[rec.Partition] {
				delete(left, rec.Partition)
			}
		}
		if o.ToEnd && len(left) == 0 {
			return n, nil
		}
	}
}

// poll waits for records: as long as it takes, or to the end for a timeout.
func (c *Client) poll(ctx context.Context, client *kgo.Client, o Consuming) (kgo.Fetches, error) {
	bounded, done := ctx, func() {}
	if o.ToEnd {
		bounded, done = c.within(ctx)
	}
	defer done()
	fetches := client.PollFetches(bounded)
	if o.ToEnd && bounded.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("read %s: %w for %v, and the end is not reached: is the broker still there? Wait longer with --timeout", o.Topic, ErrUnreachable, c.o.Timeout)
	}
	return fetches, nil
}

// span says where each partition is begun, and where it ends now.
func (c *Client) span(ctx context.Context, o Consuming) (begin, end map[int32]int64, err error) {
	ctx, done := c.within(ctx)
	defer done()
	starts, err := c.resolve(ctx, o.Topic, o.Partitions, Target{Kind: AtStart})
	if err != nil {
		return nil, nil, err
	}
	last := Target{Kind: AtEnd}
	if o.Committed {
		last.Kind = atStable
	}
	if end, err = c.resolve(ctx, o.Topic, o.Partitions, last); err != nil {
		return nil, nil, err
	}
	if begin, err = c.resolve(ctx, o.Topic, o.Partitions, o.From); err != nil {
		return nil, nil, err
	}
	for p := range begin {
		if o.From.Shift && o.From.Offset < 0 {
			begin[p] = end[p] + o.From.Offset
		} else if o.From.Shift {
			begin[p] = starts[p] + o.From.Offset
		}
		begin[p] = min(max(begin[p], starts[p]), end[p])
	}
	return begin, end, nil
}

// Layout makes a way to show records from franz-go's format: %t topic, %p partition, %o offset, %k key, %v value, %d{…} time, %h headers.
func Layout(layout string) (show func(dst []byte, r *Record) []byte, err error) {
	f, err := kgo.NewRecordFormatter(layout)
	if err != nil {
		return nil, fmt.Errorf("%w: layout %q: %w", ErrOptions, layout, err)
	}
	return f.AppendRecord, nil
}

// lastLine ends the last line of an input that does not: printf hello | … is a record as well as echo hello | ….
type lastLine struct {
	in   io.Reader
	last byte // 0 before the first one, and when there is no more to add
}

// Read implements io.Reader.
func (l *lastLine) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	if n > 0 {
		l.last = b[n-1]
		if l.last == '\n' {
			l.last = 0
		}
		return n, nil // whatever else there is comes again
	}
	if err == io.EOF && l.last != 0 && len(b) > 0 {
		b[0], l.last = '\n', 0
		return 1, nil
	}
	return 0, err
}
