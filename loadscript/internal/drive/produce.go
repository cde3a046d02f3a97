package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/gen"
	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// shard is one goroutine's part of a produce flow: some of its clients and their share of the schedule. It is the pace.Sink.
type shard struct {
	scenario *scenario
	flow     *plan.Produce
	field    *field
	index    int           // among the scenario's shards
	share    pace.Share    // of the schedule
	window   int           // of a closed model: records on their way at most
	answers  *pace.Answers // of a closed model: of the run that goes on
	clients  []*producer
	turn     int
	values   *gen.Values
	keys     *gen.Keys
	headers  []*gen.Values // of the flow's record headers
	pool     sync.Pool     // of *item

	delay, lag       *hist.Recorder // lag: delay without what the in-flight limit caused
	latency, service *hist.Recorder // used by the clients' callbacks
}

// producer is one client with its own numbering.
type producer struct {
	id     uint32
	client *kgo.Client
	txn    *transactor    // nil: no transactions
	lanes  []*ledger.Lane // by partition
	sticky int32          // partition of keyless records now
	stuck  int            // bytes given to it
}

// item is a record on its way. It is recycled once the client is done with it.
type item struct {
	record   kgo.Record
	shard    *shard
	lane     *ledger.Lane
	seq      int64
	intended time.Duration
	handed   time.Duration
	slot     int
	answers  *pace.Answers
	txn      *transactor
	err      error // of a transaction: what the broker said to the record itself, and its offset
	offset   int64
	buf      []byte // stamp header, key, value, values of the headers
	ends     []int  // where in buf the header values end
	headers  []kgo.RecordHeader
	done     func(*kgo.Record, error) // bound once
}

// openProducers builds the shards and clients of all produce flows.
func (s *scenario) openProducers() error {
	flows := len(s.plan.Produce)
	id := uint32(0)
	for f := range s.plan.Produce {
		flow := &s.plan.Produce[f]
		field := s.fields[flow.Topic.Name]
		n := max(flow.Producers, 1)
		shards := shardCount(n)
		for i := range shards {
			keys, err := gen.NewKeys(flow.Key, s.plan.Seed+uint64(f), i, shards)
			if err != nil {
				return err
			}
			values, err := gen.NewValues(flow.Value, s.plan.Seed^uint64(f)<<32, i, shards)
			if err != nil {
				return err
			}
			sh := &shard{
				scenario: s, flow: flow, field: field, keys: keys,
				index: len(s.shards), share: pace.Share{Index: f + flows*i, Of: flows * shards},
				values: values,
				delay:  s.meter.delay.Recorder(), lag: s.meter.lag.Recorder(),
				latency: s.meter.latency.Recorder(), service: s.meter.service.Recorder(),
			}
			for h, header := range flow.Headers {
				v, err := gen.NewValues(header.Value, s.plan.Seed^uint64(f)<<32^uint64(h+1)<<48, i, shards)
				if err != nil {
					return fmt.Errorf("header %q: %w", header.Key, err)
				}
				sh.headers = append(sh.headers, v)
			}
			sh.pool.New = func() any { return sh.newItem() }
			s.shards = append(s.shards, sh)
			for c := i; c < n; c += shards {
				p := &producer{id: id, sticky: int32(c) % field.partitions}
				if err := s.openProducer(sh, p, c); err != nil {
					return fmt.Errorf("producer of %s: %w", flow.Topic.Name, err)
				}
				for part := range field.partitions {
					p.lanes = append(p.lanes, field.ledger.Lane(id, part))
				}
				id++
				sh.clients = append(sh.clients, p)
			}
		}
	}
	for i, sh := range s.shards {
		sh.window = int(deal(int64(s.window()), i, len(s.shards)))
	}
	return nil
}

// openProducer opens the client of a flow's producer number n.
func (s *scenario) openProducer(sh *shard, p *producer, n int) (err error) {
	opts := s.producerOpts(sh.flow, n)
	if sh.flow.Transaction != nil {
		p.txn = newTransactor(sh, p)
		opts = append(opts, kgo.WithHooks(p.txn), kgo.TransactionTimeout(transactionTimeout),
			kgo.TransactionalID(fmt.Sprintf("loadscript-%016x-%d", s.runID, p.id)))
		p.txn.reopen = func() (*kgo.Client, error) { return kgo.NewClient(opts...) }
	}
	p.client, err = kgo.NewClient(opts...)
	return err
}

// producerOpts sets everything that franz-go has a default for and a plan has an opinion on.
func (s *scenario) producerOpts(flow *plan.Produce, n int) []kgo.Opt {
	opts := append(s.flowOpts(fmt.Sprintf("produce-%d", n), "produce", flow.Topic.Name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(flow.Linger),
		kgo.ProducerBatchCompression(codec(flow.Compression)),
		kgo.MaxBufferedRecords(int(s.limit)+1024), // our own limit comes first; probes come on top
		// An answer that does not come makes the outcome unknown. With idempotence the client waits on while a record may be
		// in a broker's hands.
		kgo.RecordDeliveryTimeout(30*time.Second+flow.Linger),
	)
	if flow.BatchBytes > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(flow.BatchBytes)))
	}
	switch flow.Acks {
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	default:
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	}
	if !flow.Idempotent {
		// franz-go would allow one request in flight; the Java client allows five, and that is what people measure.
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5))
	}
	return opts
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	default:
		return kgo.NoCompression()
	}
}

func (sh *shard) newItem() *item {
	it := &item{shard: sh}
	it.buf = make([]byte, gen.StampSize, gen.StampSize+gen.MaxKeySize+sh.values.Size())
	it.ends = make([]int, len(sh.headers))
	it.headers = make([]kgo.RecordHeader, 0, len(sh.headers)+1)
	it.done = it.finish
	if sh.flow.Transaction != nil {
		it.done = it.produced
	}
	return it
}

// Acquire implements pace.Sink.
func (sh *shard) Acquire() bool {
	s := sh.scenario
	if x := sh.clients[sh.turn].txn; x != nil && !x.room() {
		return false
	}
	if s.inFlight.Add(1) > s.limit {
		s.inFlight.Add(-1)
		return false
	}
	return true
}

// Idle implements pace.Sink: at low rates keyless records go round the partitions, as a sticky partitioner does that lets go
// when its batch leaves.
func (sh *shard) Idle() {
	for _, p := range sh.clients {
		if p.stuck > 0 {
			p.next(sh.field.partitions)
		}
	}
}

func (p *producer) next(partitions int32) {
	p.sticky, p.stuck = (p.sticky+1)%partitions, 0
}

// Drop implements pace.Sink.
func (sh *shard) Drop(_ int64, intended time.Duration) {
	m := sh.scenario.meter
	m.slots[m.slot(intended)].dropped.Add(1)
}

// Send implements pace.Sink.
func (sh *shard) Send(h pace.Handover) {
	p := sh.clients[sh.turn]
	sh.turn = (sh.turn + 1) % len(sh.clients)
	it := sh.pool.Get().(*item)
	sh.fill(it, p, h)
	if !h.Pressed {
		sh.lag.Record(it.slot, h.Now-h.Intended)
	}
	if p.txn != nil {
		p.txn.queue <- it // there is room: Acquire looked
		return
	}
	it.hand(h.Now)
	// The client's own limit is above ours, so this never blocks and never refuses for want of room.
	p.client.TryProduce(context.Background(), &it.record, it.done)
}

// hand notes that the record goes to the client now.
func (it *item) hand(now time.Duration) {
	sh := it.shard
	it.handed = now
	late := now - it.intended
	sh.delay.Record(it.slot, late)
	slot := &sh.scenario.meter.slots[it.slot]
	slot.handed.Add(1)
	if late > LateTolerance {
		slot.late.Add(1)
	}
}

// fill builds the next record, stamp and all. It allocates nothing once the item's buffer has room.
func (sh *shard) fill(it *item, p *producer, h pace.Handover) {
	s := sh.scenario
	now := s.clock.Unix(h.Now)
	buf, keyed := sh.keys.Append(it.buf[:gen.StampSize])
	keyEnd := len(buf)
	buf = sh.values.Append(buf, now)
	valueEnd := len(buf)
	for i, v := range sh.headers {
		buf = v.Append(buf, now)
		it.ends[i] = len(buf)
	}
	it.buf = buf // it may have grown; from here on it stays where it is
	stamp, key, value := buf[:gen.StampSize:gen.StampSize], buf[gen.StampSize:keyEnd:keyEnd], buf[keyEnd:valueEnd:valueEnd]
	partition := p.sticky
	if keyed {
		partition = gen.Partition(key, sh.field.partitions)
	} else {
		key = nil
		if p.stuck += len(value); p.stuck >= max(sh.flow.BatchBytes, 16<<10) {
			p.next(sh.field.partitions)
		}
	}
	it.headers = it.headers[:0]
	for i, end := range it.ends {
		it.headers = append(it.headers, kgo.RecordHeader{Key: sh.flow.Headers[i].Key, Value: buf[valueEnd:end:end]})
		valueEnd = end
	}
	if sh.values.Stamped() && len(value) >= gen.StampSize {
		stamp = nil
	} else {
		it.headers = append(it.headers, kgo.RecordHeader{Key: gen.StampHeader, Value: stamp})
	}
	it.lane, it.slot, it.intended, it.answers = p.lanes[partition], s.meter.slot(h.Intended), h.Intended, sh.answers
	it.txn = p.txn
	it.seq = it.lane.Sent()
	gen.Encode(gen.Stamp{
		RunID: s.runID, IntendedNs: s.clock.Unix(h.Intended), Sequence: it.seq, Producer: p.id, Partition: partition,
	}, key, value, stamp)
	it.record = kgo.Record{Topic: sh.field.plan.Name, Partition: partition, Key: key, Value: value, Headers: it.headers}
}

// finish is the client's promise: the record's outcome.
func (it *item) finish(r *kgo.Record, err error) {
	switch {
	case err == nil:
		now := it.shard.scenario.clock.Now()
		it.heard(r.Partition, now)
		it.acked(r.Offset, now)
	case refused(err):
		it.failed(err)
	default:
		it.unknown(err)
	}
}

// produced is the promise of a record in a transaction: its outcome is that of the transaction, which waits for it.
func (it *item) produced(r *kgo.Record, err error) {
	if it.err, it.offset = err, r.Offset; err == nil {
		it.heard(r.Partition, it.shard.scenario.clock.Now())
	}
	it.txn.pending.Done()
}

// heard notes that the partition's leader answered.
func (it *item) heard(partition int32, now time.Duration) {
	if it.shard.flow.Acks != "0" {
		it.shard.field.silence[partition].answered(it.handed, now)
	}
}

// acked, failed, unknown and aborted are the outcomes. Each record gets one of them, once (D2).
func (it *item) acked(offset int64, now time.Duration) {
	sh := it.shard
	sh.latency.Record(it.slot, now-it.intended)
	sh.service.Record(it.slot, now-it.handed)
	sh.scenario.meter.slots[it.slot].acked.Add(1)
	if sh.flow.Acks != "0" { // nobody confirmed a record sent with acks=0: its outcome stays unknown
		it.lane.Acked(it.seq, offset)
	}
	it.end(true)
}

func (it *item) failed(err error) {
	m := it.shard.scenario.meter
	m.slots[it.slot].failed.Add(1)
	it.lane.Failed(it.seq)
	m.fault(err)
	it.end(false)
}

func (it *item) unknown(err error) {
	it.shard.field.silence[it.record.Partition].unanswered(it.handed)
	m := it.shard.scenario.meter
	m.slots[it.slot].unknown.Add(1)
	m.fault(err)
	it.end(false)
}

func (it *item) aborted() {
	it.shard.scenario.meter.slots[it.slot].aborted.Add(1)
	it.lane.Aborted(it.seq)
	it.end(it.err == nil)
}

// end lets the record go. After a failure a request with its bytes may still be on its way, so they are not used again.
func (it *item) end(again bool) {
	sh, answers := it.shard, it.answers
	if again {
		it.record = kgo.Record{}
		sh.pool.Put(it)
	}
	sh.scenario.inFlight.Add(-1)
	if answers != nil {
		answers.Add()
	}
}

// refused says whether the error proves that the broker did not, and will not, append the record (D3).
func refused(err error) bool {
	for _, definite := range []error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.UnsupportedForMessageFormat, kerr.PolicyViolation, kerr.InvalidRecord,
		kerr.InvalidTimestamp, kerr.InvalidRequiredAcks, kerr.SecurityDisabled, kgo.ErrMaxBuffered,
	} {
		if errors.Is(err, definite) {
			return true
		}
	}
	return false
}

// close ends the clients; records without an answer get an unknown outcome.
func (sh *shard) close() {
	for _, p := range sh.clients {
		if p.txn != nil {
			p.txn.stop()
		}
		if p.client != nil { // nil: it could not be opened
			p.client.Close()
		}
	}
}
