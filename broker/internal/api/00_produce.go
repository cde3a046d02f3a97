package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/broker/internal/topics"
	"github.com/streambus/streambus/broker/internal/topics/admit"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// What a producer can get wrong, beside what the engine finds.
var (
	errNotOneBatch   = errors.New("a produce request must hold exactly one record batch for each partition")
	errCRC           = errors.New("record batch is corrupt")
	errRecords       = errors.New("record batch is invalid")
	errZstd          = errors.New("zstd needs Produce 7 or later")
	errTransactional = errors.New("a transactional batch needs a transactional id in its request")
	errInternal      = errors.New("the topic is the broker's own")
	errAcks          = errors.New("acks must be -1, 0 or 1")
	errTopicID       = errors.New("there is no topic with this id")
)

// producing is a produce request whose batches are on their way to the disk.
type producing struct {
	s       *Server
	corr    int32
	version int16
	frame   *listen.Frame // holds the names in resp
	resp    wire.ProduceResponse
	acks    []ack
	held    time.Duration // for how long the client is held up (throttle.go)
	left    atomic.Int32  // batches not committed, and one while they are being appended
	done    chan struct{} // has room for the one token
}

// ack waits for one batch.
type ack struct {
	p    *producing
	part *wire.ProduceResponsePartition
	err  error // what became of it
}

var producings = sync.Pool{New: func() any { return &producing{done: make(chan struct{}, 1)} }}
var produceRequests = sync.Pool{New: func() any { return new(wire.ProduceRequest) }}

// Done is called, by the engine as a rule, when the batch is flushed or never will be. It touches nothing but its own ack.
func (a *ack) Done(err error) {
	a.err = err
	a.p.release()
}

func (p *producing) release() {
	if p.left.Add(-1) == 0 {
		p.done <- struct{}{}
	}
}

// Ready implements listen.Pending.
func (p *producing) Ready() bool { return len(p.done) > 0 }

func (p *producing) throttle(d time.Duration) { p.held = max(p.held, d) }

// Finish implements listen.Pending.
func (p *producing) Finish(ctx context.Context, o *listen.Out) error {
	defer p.frame.Release()
	select {
	case <-p.done:
	case <-ctx.Done():
		return context.Cause(ctx) // p is not used again: the engine may still complete its acks
	}
	for i := range p.acks {
		if a := &p.acks[i]; a.err != nil {
			p.s.refuse(a.part, a.err)
		}
	}
	p.resp.ThrottleTimeMs = throttleMs(p.held)
	o.SetBytes(wire.AppendResponseFrame(o.Bytes(), p.corr, &p.resp, p.version))
	p.s.Requests.Response(wire.KeyProduce, &p.resp)
	p.recycle()
	return nil
}

// recycle is for a producing that nobody holds any more.
func (p *producing) recycle() {
	p.resp.Reset()
	clear(p.acks)
	p.frame, p.held = nil, 0
	producings.Put(p)
}

// refuse turns a response partition into an error.
func (s *Server) refuse(part *wire.ProduceResponsePartition, err error) {
	part.BaseOffset, part.LogStartOffset, part.LogAppendTimeMs = -1, -1, -1
	part.ErrorCode, part.ErrorMessage = s.produceCode(err), message(err)
	if bad := (*admit.Refusal)(nil); errors.As(err, &bad) {
		part.RecordErrors = make([]wire.ProduceResponseRecordError, 0, len(bad.Faults))
		for _, f := range bad.Faults {
			part.RecordErrors = append(part.RecordErrors, wire.ProduceResponseRecordError{BatchIndex: f.Index, BatchIndexErrorMessage: &f.Reason})
		}
	}
}

func (s *Server) produceCode(err error) wire.ErrorCode {
	switch {
	case errors.Is(err, errNotOneBatch), errors.Is(err, errRecords), errors.Is(err, batch.ErrMagic):
		return wire.CodeInvalidRecord
	case errors.Is(err, errCRC):
		return wire.CodeCorruptMessage
	case errors.Is(err, errZstd):
		return wire.CodeUnsupportedCompressionType
	case errors.Is(err, errTransactional):
		return wire.CodeTransactionalIDAuthorizationFailed
	case errors.Is(err, errInternal):
		return wire.CodeInvalidTopicException
	case errors.Is(err, errAcks):
		return wire.CodeInvalidRequiredAcks
	case errors.Is(err, admit.ErrTimestamp):
		return wire.CodeInvalidTimestamp
	case errors.Is(err, admit.ErrRecord):
		return wire.CodeInvalidRecord
	case errors.Is(err, admit.ErrPlain):
		return wire.CodeMessageTooLarge
	case errors.Is(err, admit.ErrReplicas):
		return wire.CodeNotEnoughReplicas
	}
	return s.codeOf(err)
}

// produce appends every batch and answers when all are committed. The request's timeout is for followers to catch up; there
// are none, and to stop waiting for a flush would only leave the client in the dark about what became of its records.
func produce(r *request) (listen.Pending, error) {
	req := produceRequests.Get().(*wire.ProduceRequest)
	defer func() {
		req.Reset()
		produceRequests.Put(req)
	}()
	if err := req.Decode(r.version, r.body); err != nil {
		return nil, err
	}
	p := producings.Get().(*producing)
	p.s, p.corr, p.version, p.frame = r.s, r.corr, r.version, r.frame
	p.build(req)
	p.left.Store(1)
	p.throttle(r.payer().charge(quota.Produce, len(r.body)))
	failed, err := r.appendAll(req, p)
	p.release()
	if err != nil {
		<-p.done
		p.recycle()
		return nil, err
	}
	if req.Acks != 0 {
		r.frame.Retain()
		return p, nil
	}
	<-p.done // nothing waits for a flush
	r.s.Requests.Response(wire.KeyProduce, &p.resp)
	p.recycle()
	if failed != nil { // the only way to say so, and Kafka's
		return nil, fmt.Errorf("acks=0 request failed: %w", failed)
	}
	return nil, nil
}

// appendAll appends each partition's batch. failed is the last of the errors that are in the response already; err ends the connection, and
// nothing was appended.
func (r *request) appendAll(req *wire.ProduceRequest, p *producing) (failed, err error) {
	leave, err := r.admit(req)
	if err != nil {
		return nil, err
	}
	defer leave.release()
	n := 0
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			a := &p.acks[n]
			n++
			a.p, a.part = p, &p.resp.Topics[i].Partitions[j]
			if err := r.append(req, &req.Topics[i], &req.Topics[i].Partitions[j], a, leave.of(n-1)); err != nil {
				r.s.refuse(a.part, err)
				failed = err
			}
		}
	}
	return failed, nil
}

// build makes the response's shape, so that acks can fill it in any order, and as many acks as it has partitions.
func (p *producing) build(req *wire.ProduceRequest) {
	n := 0
	p.resp.Topics = sized(p.resp.Topics, len(req.Topics))
	for i, t := range req.Topics {
		out := &p.resp.Topics[i]
		out.Name, out.TopicID = t.Name, t.TopicID
		out.Partitions = sized(out.Partitions, len(t.Partitions))
		for j, part := range t.Partitions {
			out.Partitions[j].Default()
			out.Partitions[j].PartitionIndex = part.PartitionIndex
		}
		n += len(t.Partitions)
	}
	p.acks = sized(p.acks, n)
}

// sized is s with n elements, its memory used again where it suffices.
func sized[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]T, n)
}

// append checks one partition's batch and appends it; on an error nothing was appended, and a waits for nothing. left says why the batch
// may not be part of a transaction, if it is one's.
func (r *request) append(req *wire.ProduceRequest, t *wire.ProduceRequestTopic, part *wire.ProduceRequestPartition, a *ack, left error) error {
	if req.Acks < -1 || req.Acks > 1 {
		return fmt.Errorf("%w, not %d", errAcks, req.Acks)
	}
	topic, to, err := r.target(t, part.PartitionIndex)
	if err != nil {
		return err
	}
	b, err := checked(part.Records, r.version)
	if err != nil {
		return err
	}
	switch {
	case b.Transactional() && req.TransactionalID == nil:
		return errTransactional
	case b.Transactional() && left != nil:
		return left
	}
	if err := topic.Rules.Acks(req.Acks == -1); err != nil {
		return err
	}
	sent := b
	if b, err = topic.Rules.Admit(b, r.s.Now().UnixMilli()); err != nil {
		return err
	}
	if topic.Rules.AppendTime {
		a.part.LogAppendTimeMs = b.MaxTimestamp()
	}
	var own engine.Owner // of memory that is not the frame's: nobody
	if &b[0] == &sent[0] {
		own = r.frame
	}
	r.frame.Retain() // for the engine
	var w partition.Waiter
	if req.Acks != 0 {
		w = a
		a.p.left.Add(1)
	}
	at, err := to.Append(b, own, w)
	if err != nil || own == nil {
		r.frame.Release()
	}
	if err != nil {
		if w != nil {
			a.p.left.Add(-1)
		}
		return err
	}
	a.part.BaseOffset, a.part.LogStartOffset = int64(at.Base), int64(to.Start())
	return nil
}

// target is the partition that a batch goes to.
func (r *request) target(t *wire.ProduceRequestTopic, index int32) (*topics.Topic, *partition.Partition, error) {
	topic, err := r.s.topic(t.Name, t.TopicID, r.version >= 13)
	if err != nil {
		return nil, nil, err
	}
	if topic.Internal {
		return nil, nil, errInternal
	}
	to, err := topic.Partition(index)
	return topic, to, err
}

// topic finds a topic by its name, or by its id where that is what the version has. Errors: topics.ErrNoTopic, errTopicID.
func (s *Server) topic(name []byte, id wire.UUID, byID bool) (*topics.Topic, error) {
	if byID {
		t := s.Topics.ByID(meta.UUID(id))
		if t == nil {
			return nil, fmt.Errorf("%w: %v", errTopicID, meta.UUID(id))
		}
		return t, nil
	}
	t := s.Topics.TopicBytes(name)
	if t == nil {
		return nil, noTopic(string(name))
	}
	return t, nil
}

func noTopic(name string) error { return fmt.Errorf("%w: %q", topics.ErrNoTopic, name) }

// checked is the one batch in records, held to all that can be known without the partition.
func checked(records []byte, version int16) (batch.Batch, error) {
	b, err := batch.First(records)
	switch {
	case errors.Is(err, batch.ErrShort), err == nil && len(b) != len(records):
		return nil, fmt.Errorf("%w: %d bytes of records", errNotOneBatch, len(records))
	case errors.Is(err, batch.ErrMagic):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errCRC, err)
	}
	if err := b.CheckFresh(); err != nil {
		if b.ComputeCRC() != b.CRC() {
			return nil, fmt.Errorf("%w: %w", errCRC, err)
		}
		return nil, fmt.Errorf("%w: %w", errRecords, err)
	}
	switch {
	case b.Codec() == batch.Zstd && version < 7:
		return nil, errZstd
	case b.DeleteHorizon():
		return nil, fmt.Errorf("%w: a delete horizon is the log cleaner's to set (KIP-534)", errRecords)
	case b.Control():
		return nil, fmt.Errorf("%w: control batches are the broker's to write", errRecords)
	}
	return b, nil
}
