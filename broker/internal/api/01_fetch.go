package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// fetching is a fetch request that waits its turn, and then for enough to send. All of it runs in the connection's writer,
// which has nothing else to do: responses leave in order.
type fetching struct {
	s        *Server
	corr     int32
	version  int16
	frame    *listen.Frame // holds the names
	deadline time.Time
	req      wire.FetchRequest
	resp     wire.FetchResponse
	spans    []engine.Span          // one per partition, in order; empty where there is nothing
	from     []*partition.Partition // of each span; nil where there is nothing
	cuts     []wire.Cut
	parked   []*partition.Partition
	bytes    int  // in spans
	now      bool // answer without waiting: something is wrong, or nothing was asked
}

var fetchings = sync.Pool{New: func() any { return new(fetching) }}

// fetch takes the request in; Finish does the rest.
func fetch(r *request) (listen.Pending, error) {
	f := fetchings.Get().(*fetching)
	if err := f.req.Decode(r.version, r.body); err != nil {
		return nil, err
	}
	f.s, f.corr, f.version, f.frame = r.s, r.corr, r.version, r.frame
	f.deadline = time.Now().Add(time.Duration(f.req.MaxWaitMs) * time.Millisecond)
	r.frame.Retain()
	return f, nil
}

// Ready implements listen.Pending: it is not known without reading.
func (f *fetching) Ready() bool { return false }

// Finish implements listen.Pending.
func (f *fetching) Finish(ctx context.Context, o *listen.Out) error {
	defer f.recycle()
	if code := f.refusal(); code != wire.CodeNone {
		f.shape(code)
		f.resp.ErrorCode = code
	} else if err := f.poll(ctx); err != nil {
		return err
	}
	var buf []byte
	buf, f.cuts = wire.AppendFetchFrame(o.Bytes(), f.cuts[:0], f.corr, &f.resp, f.version)
	o.SetBytes(buf)
	f.s.Requests.Response(wire.KeyFetch, &f.resp)
	n := 0
	for i := range f.spans {
		if f.spans[i].Size() == 0 {
			continue
		}
		f.from[i].Sent(f.spans[i].Size())
		span := f.spans[i] // the Out's from here on
		o.Splice(f.cuts[n].At, &span)
		f.spans[i] = engine.Span{}
		n++
	}
	return nil
}

// recycle lets go of everything.
func (f *fetching) recycle() {
	f.dropSpans()
	f.frame.Release()
	f.req.Reset()
	f.resp.Reset()
	*f = fetching{req: f.req, resp: f.resp, spans: f.spans, from: f.from, cuts: f.cuts, parked: f.parked}
	fetchings.Put(f)
}

func (f *fetching) dropSpans() {
	for i := range f.spans {
		f.spans[i].Release()
	}
	clear(f.from)
	f.spans, f.from, f.bytes = f.spans[:0], f.from[:0], 0
}

// refusal is what is wrong with the whole request. A client that says it is a follower is refused: by its offsets it would
// move the high watermark (CVE-2018-1288). No session is ever made, so none can be known.
func (f *fetching) refusal() wire.ErrorCode {
	switch {
	case f.req.ReplicaID >= 0:
		return wire.CodeClusterAuthorizationFailed
	case f.req.SessionID != 0:
		return wire.CodeFetchSessionIDNotFound
	case f.req.SessionEpoch > 0:
		return wire.CodeInvalidFetchSessionEpoch
	}
	return wire.CodeNone
}

// shape makes the response's shape, with code in every partition.
func (f *fetching) shape(code wire.ErrorCode) {
	f.resp.Topics = sized(f.resp.Topics, len(f.req.Topics))
	for i, t := range f.req.Topics {
		out := &f.resp.Topics[i]
		out.Name = t.Name
		out.Partitions = sized(out.Partitions, len(t.Partitions))
		for j, p := range t.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].PartitionIndex, out.Partitions[j].ErrorCode = p.PartitionIndex, code
			out.Partitions[j].HighWatermark = -1
		}
	}
}

// poll reads until there is enough, something is wrong, or time is up.
func (f *fetching) poll(ctx context.Context) error {
	reader := partition.NewReader()
	for {
		f.read()
		left := time.Until(f.deadline)
		if f.now || f.bytes >= f.enough() || left <= 0 {
			return nil
		}
		more, err := f.wait(ctx, reader, left)
		if err != nil || !more {
			return err
		}
	}
}

func (f *fetching) limit() int { return max(min(int(f.req.MaxBytes), f.s.FetchMaxBytes), 0) }

func (f *fetching) enough() int { return min(int(f.req.MinBytes), f.limit()) }

// read fills the response from what is committed at this moment.
func (f *fetching) read() {
	f.dropSpans()
	f.shape(wire.CodeNone)
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		for j := range t.Partitions {
			out := &f.resp.Topics[i].Partitions[j]
			span, from, err := f.one(t.Name, &t.Partitions[j], out)
			if err != nil {
				f.fail(t.Name, out, err)
			}
			f.spans, f.from = append(f.spans, span), append(f.from, from)
			f.bytes += span.Size()
		}
	}
	f.now = f.now || len(f.spans) == 0
}

func (f *fetching) fail(topic []byte, out *wire.FetchResponsePartition, err error) {
	f.now = true
	out.ErrorCode = f.s.codeOf(err)
	if out.ErrorCode == wire.CodeKafkaStorageError {
		f.s.Logger.Error("cannot read a partition", "topic", string(topic), "partition", out.PartitionIndex, "err", err)
	}
}

// one reads one partition. The first batch of the whole response is sent however large it is, or a consumer could never get
// past it; others only as far as they fit (KIP-74).
func (f *fetching) one(topic []byte, in *wire.FetchRequestPartition, out *wire.FetchResponsePartition) (engine.Span, *partition.Partition, error) {
	p, err := f.partition(topic, in.PartitionIndex)
	if err != nil {
		return engine.Span{}, nil, err
	}
	if err := p.Err(); err != nil {
		return engine.Span{}, nil, err
	}
	if err := p.CheckEpoch(batch.Epoch(in.CurrentLeaderEpoch)); err != nil {
		return engine.Span{}, nil, err
	}
	high := p.HighWatermark()
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = int64(high), int64(high), int64(p.Start())
	fits := max(min(int(in.PartitionMaxBytes), f.limit()-f.bytes), 0)
	if fits == 0 && f.bytes > 0 {
		return engine.Span{}, nil, nil
	}
	span, err := p.Read(batch.Offset(in.FetchOffset), fits)
	if err != nil {
		return engine.Span{}, nil, err
	}
	if span.Size() > fits && f.bytes > 0 {
		span.Release()
		return engine.Span{}, nil, nil
	}
	out.RecordsSize = span.Size()
	return span, p, nil
}

func (f *fetching) partition(topic []byte, i int32) (*partition.Partition, error) {
	t := f.s.Topics.TopicBytes(topic)
	if t == nil {
		return nil, noTopic(string(topic))
	}
	return t.Partition(i)
}

// wait waits until one of the partitions has more than was read; more is false when time is up or the broker goes down.
func (f *fetching) wait(ctx context.Context, reader *partition.Reader, left time.Duration) (more bool, err error) {
	parked := f.park(reader)
	defer f.unpark(reader)
	if !parked {
		return true, nil // something came, or went, meanwhile
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-reader.C:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-f.s.Draining:
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("fetch: %w", context.Cause(ctx))
	}
}

// park lets reader wait on every partition for more than the high watermark that was read. It is false as soon as one has more.
func (f *fetching) park(reader *partition.Reader) bool {
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		for j := range t.Partitions {
			p, err := f.partition(t.Name, t.Partitions[j].PartitionIndex)
			if err != nil || !p.Await(reader, batch.Offset(f.resp.Topics[i].Partitions[j].HighWatermark)) {
				return false
			}
			f.parked = append(f.parked, p)
		}
	}
	return true
}

func (f *fetching) unpark(reader *partition.Reader) {
	for _, p := range f.parked {
		p.Forget(reader)
	}
	clear(f.parked)
	f.parked = f.parked[:0]
}
