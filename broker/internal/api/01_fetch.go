package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/quota"
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
	asked    []wire.FetchRequestTopic // what is read: of the request, or of its session
	session  *fetchSession            // nil: none, or one yet to be made
	payer    payer
	held     time.Duration // for how long the client is held up (throttle.go)
	resp     wire.FetchResponse
	spans    []engine.Span          // one per partition, in order; empty where there is nothing
	from     []*partition.Partition // of each span; nil where there is nothing
	cuts     []wire.Cut
	left     []engine.AbortedTxn // of one partition
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
	f.asked, f.payer = f.req.Topics, r.payer()
	f.s, f.corr, f.version, f.frame = r.s, r.corr, r.version, r.frame
	f.deadline = time.Now().Add(time.Duration(f.req.MaxWaitMs) * time.Millisecond)
	r.frame.Retain()
	return f, nil
}

// Ready implements listen.Pending: it is not known without reading.
func (f *fetching) Ready() bool { return false }

func (f *fetching) throttle(d time.Duration) { f.held = max(f.held, d) }

// Finish implements listen.Pending.
func (f *fetching) Finish(ctx context.Context, o *listen.Out) error {
	defer f.recycle()
	if code := f.refusal(); code != wire.CodeNone {
		f.shape(code)
		f.resp.ErrorCode = code
	} else if err := f.answer(ctx); err != nil {
		return err
	}
	if f.bytes > 0 {
		f.throttle(f.payer.charge(quota.Fetch, f.bytes))
	}
	f.resp.ThrottleTimeMs = throttleMs(f.held)
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
	*f = fetching{req: f.req, resp: f.resp, spans: f.spans, from: f.from, cuts: f.cuts, left: f.left, parked: f.parked}
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
// move the high watermark (CVE-2018-1288).
func (f *fetching) refusal() wire.ErrorCode {
	switch {
	case f.req.ReplicaID >= 0:
		return wire.CodeClusterAuthorizationFailed
	}
	return wire.CodeNone
}

// answer reads what the request, or its session, asks for.
func (f *fetching) answer(ctx context.Context) error {
	var code wire.ErrorCode
	var whole []wire.FetchRequestTopic
	if f.session, whole, code = f.s.sessions.begin(&f.req, f.version >= 13, time.Now()); code != wire.CodeNone {
		f.resp.ErrorCode, f.resp.Topics = code, f.resp.Topics[:0]
		return nil
	}
	if f.session != nil {
		f.asked = whole
	}
	owed := f.payer.debt(quota.Fetch)
	if f.throttle(owed); owed > 0 {
		f.resp.Topics = f.resp.Topics[:0]
	} else if err := f.poll(ctx); err != nil {
		return err
	}
	switch {
	case f.session != nil && owed > 0:
	case owed > 0:
		return nil
	case f.session != nil:
		f.s.sessions.finish(f.session, &f.resp)
	case f.req.SessionEpoch == 0:
		f.session = f.s.sessions.create(&f.req, &f.resp, f.version >= 13, time.Now())
	}
	if f.session != nil {
		f.resp.SessionID = f.session.id
	}
	return nil
}

// shape makes the response's shape, with code in every partition.
func (f *fetching) shape(code wire.ErrorCode) {
	f.resp.Topics = sized(f.resp.Topics, len(f.asked))
	for i, t := range f.asked {
		out := &f.resp.Topics[i]
		out.Name, out.TopicID = t.Name, t.TopicID
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
	for i := range f.asked {
		t := &f.asked[i]
		for j := range t.Partitions {
			out := &f.resp.Topics[i].Partitions[j]
			span, from, err := f.one(t, &t.Partitions[j], out)
			if err != nil {
				f.fail(t, out, err)
			}
			f.spans, f.from = append(f.spans, span), append(f.from, from)
			f.bytes += span.Size()
		}
	}
	f.now = f.now || len(f.spans) == 0
}

func (f *fetching) fail(t *wire.FetchRequestTopic, out *wire.FetchResponsePartition, err error) {
	f.now = true
	out.ErrorCode = f.s.codeOf(err)
	if out.ErrorCode == wire.CodeKafkaStorageError {
		f.s.Logger.Error("cannot read a partition", "topic", string(t.Name), "topic_id", meta.UUID(t.TopicID), "partition", out.PartitionIndex, "err", err)
	}
}

// one reads one partition. The first batch of the whole response is sent however large it is, or a consumer could never get
// past it; others only as far as they fit (KIP-74).
//
// Of a consumer of committed records the last stable offset is the end, and it is told which transactions below were aborted (KIP-98).
func (f *fetching) one(t *wire.FetchRequestTopic, in *wire.FetchRequestPartition, out *wire.FetchResponsePartition) (engine.Span, *partition.Partition, error) {
	p, err := f.partition(t, in.PartitionIndex)
	if err != nil {
		return engine.Span{}, nil, err
	}
	if err := p.Err(); err != nil {
		return engine.Span{}, nil, err
	}
	if err := p.CheckEpoch(batch.Epoch(in.CurrentLeaderEpoch)); err != nil {
		return engine.Span{}, nil, err
	}
	high, stable := p.Ends()
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = int64(high), int64(stable), int64(p.Start())
	upper := high
	if f.req.IsolationLevel == readCommitted {
		upper = stable
	}
	from := batch.Offset(in.FetchOffset)
	if from > upper && from <= high {
		return engine.Span{}, nil, nil
	}
	fits := max(min(int(in.PartitionMaxBytes), f.limit()-f.bytes), 0)
	if fits == 0 && f.bytes > 0 {
		return engine.Span{}, nil, nil
	}
	span, err := p.Read(from, upper, fits)
	if err != nil {
		return engine.Span{}, nil, err
	}
	if span.Size() > fits && f.bytes > 0 {
		span.Release()
		return engine.Span{}, nil, nil
	}
	if f.req.IsolationLevel == readCommitted {
		if err := f.aborted(p, from, span.Next(), out); err != nil {
			span.Release()
			return engine.Span{}, nil, err
		}
	}
	out.RecordsSize = span.Size()
	return span, p, nil
}

// readCommitted is the isolation level of consumers that are not to see what was aborted, or may be yet.
const readCommitted = 1

// aborted tells of the transactions that the consumer is to leave out of [from, next).
func (f *fetching) aborted(p *partition.Partition, from, next batch.Offset, out *wire.FetchResponsePartition) (err error) {
	if f.left, err = p.Log().Aborted(f.left[:0], from, next); err != nil {
		return err
	}
	out.AbortedTransactions = make([]wire.AbortedTransaction, 0, len(f.left)) // none is not null
	for _, a := range f.left {
		out.AbortedTransactions = append(out.AbortedTransactions, wire.AbortedTransaction{ProducerID: int64(a.ProducerID), FirstOffset: int64(a.First)})
	}
	return nil
}

func (f *fetching) partition(t *wire.FetchRequestTopic, i int32) (*partition.Partition, error) {
	topic, err := f.s.topic(t.Name, t.TopicID, f.version >= 13)
	if err != nil {
		return nil, err
	}
	return topic.Partition(i)
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
	for i := range f.asked {
		t := &f.asked[i]
		for j := range t.Partitions {
			p, err := f.partition(t, t.Partitions[j].PartitionIndex)
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
