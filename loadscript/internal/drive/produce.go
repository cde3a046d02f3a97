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
	schedule *pace.Schedule
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
				schedule: pace.NewSchedule(s.plan, pace.Share{Index: f + flows*i, Of: flows * shards}),
				values:   values,
				delay:    s.meter.delay.Recorder(), lag: s.meter.lag.Recorder(),
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
				client, err := kgo.NewClient(s.producerOpts(flow, c)...)
				if err != nil {
					return fmt.Errorf("producer of %s: %w", flow.Topic.Name, err)
				}
				p := &producer{id: id, client: client, sticky: int32(c) % field.partitions}
				for part := range field.partitions {
					p.lanes = append(p.lanes, field.ledger.Lane(id, part))
				}
				id++
				sh.clients = append(sh.clients, p)
			}
		}
	}
	return nil
}

// producerOpts sets everything that franz-go has a default for and a plan has an opinion on.
func (s *scenario) producerOpts(flow *plan.Produce, n int) []kgo.Opt {
	opts := append(clientOpts(s.through(flowName("produce", flow.Topic.Name)), fmt.Sprintf("produce-%d", n)),
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
	return it
}

// Acquire implements pace.Sink.
func (sh *shard) Acquire() bool {
	s := sh.scenario
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
	m := sh.scenario.meter
	p := sh.clients[sh.turn]
	sh.turn = (sh.turn + 1) % len(sh.clients)
	it := sh.make(p, h)
	late := h.Now - h.Intended
	sh.delay.Record(it.slot, late)
	if !h.Pressed {
		sh.lag.Record(it.slot, late)
	}
	slot := &m.slots[it.slot]
	slot.handed.Add(1)
	if late > LateTolerance {
		slot.late.Add(1)
	}
	// The client's own limit is above ours, so this never blocks and never refuses for want of room.
	p.client.TryProduce(context.Background(), &it.record, it.done)
}

// make builds the next record, stamp and all. It allocates nothing once the item's buffer has room.
func (sh *shard) make(p *producer, h pace.Handover) *item {
	s := sh.scenario
	it := sh.pool.Get().(*item)
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
	it.lane, it.slot, it.intended, it.handed = p.lanes[partition], s.meter.slot(h.Intended), h.Intended, h.Now
	it.seq = it.lane.Sent()
	gen.Encode(gen.Stamp{
		RunID: s.runID, IntendedNs: s.clock.Unix(h.Intended), Sequence: it.seq, Producer: p.id, Partition: partition,
	}, key, value, stamp)
	it.record = kgo.Record{Topic: sh.field.plan.Name, Partition: partition, Key: key, Value: value, Headers: it.headers}
	return it
}

// finish is the client's promise: the record's outcome.
func (it *item) finish(r *kgo.Record, err error) {
	sh := it.shard
	s, m := sh.scenario, sh.scenario.meter
	slot := &m.slots[it.slot]
	switch {
	case err == nil:
		now := s.clock.Now()
		sh.latency.Record(it.slot, now-it.intended)
		sh.service.Record(it.slot, now-it.handed)
		slot.acked.Add(1)
		if sh.flow.Acks != "0" { // nobody confirmed a record sent with acks=0: its outcome stays unknown
			it.lane.Acked(it.seq, r.Offset)
			sh.field.silence[r.Partition].answered(it.handed, now)
		}
	case refused(err):
		slot.failed.Add(1)
		it.lane.Failed(it.seq)
		m.fault(err)
	default:
		sh.field.silence[r.Partition].unanswered(it.handed)
		slot.unknown.Add(1)
		m.fault(err)
	}
	if err == nil { // after a failure a request with these bytes may still be on its way
		it.record = kgo.Record{}
		sh.pool.Put(it)
	}
	s.inFlight.Add(-1)
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
		p.client.Close()
	}
}
