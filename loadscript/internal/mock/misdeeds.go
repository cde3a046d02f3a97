package mock

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// farAhead is an offset where nothing will be.
const farAhead = 1 << 30

// atProduce does the misdeed at one produce request. It answers the request itself, or returns nil to let it through.
func (b *Broker) atProduce(misdeed func(*kmsg.ProduceRequest) kmsg.Response) {
	b.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		if b.requests.Add(1) != int64(b.opts.At) {
			return nil, nil, false
		}
		resp := misdeed(r.(*kmsg.ProduceRequest))
		return resp, nil, resp != nil
	})
}

func (b *Broker) lose(req *kmsg.ProduceRequest) kmsg.Response {
	b.done.Add(1)
	return answer(req, farAhead, 0)
}

// early is an offset at which another record of the load is by the time of the misdeed.
const early = 5

func (b *Broker) rollback(req *kmsg.ProduceRequest) kmsg.Response {
	b.done.Add(1)
	return answer(req, early, 0)
}

func (b *Broker) repeat(req *kmsg.ProduceRequest) kmsg.Response {
	again := keep(req)
	b.wg.Go(func() { b.store(again) })
	return nil
}

func (b *Broker) misplace(req *kmsg.ProduceRequest) kmsg.Response {
	b.apart(func() { b.store(keep(req)) })
	return answer(req, early, 0)
}

func (b *Broker) keepRefused(req *kmsg.ProduceRequest) kmsg.Response {
	b.apart(func() { b.store(keep(req)) })
	return answer(req, -1, kerr.InvalidRecord.Code)
}

// freeze keeps kfake's only loop busy: every connection waits.
func (b *Broker) freeze(*kmsg.ProduceRequest) kmsg.Response {
	b.done.Add(1)
	b.sleep(b.opts.Pause)
	return nil
}

// reorder confirms a batch, keeps it back, and stores it when as many requests again have come twice over.
func (b *Broker) reorder() {
	var held *kmsg.ProduceRequest // the control functions of a key run one after another
	b.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		switch b.requests.Add(1) {
		case int64(b.opts.At):
			held = keep(req)
			return answer(req, farAhead, 0), nil, true
		case int64(3 * b.opts.At):
			late := held
			b.wg.Go(func() { b.store(late) })
		}
		return nil, nil, false
	})
}

// corrupt flips a bit near the end of the first batch, which is in the value of its last record, and computes the batch's
// checksum anew: it stands at byte 17 and covers all from byte 21 on.
func (b *Broker) corrupt(req *kmsg.ProduceRequest) kmsg.Response {
	batch := req.Topics[0].Partitions[0].Records
	batch[len(batch)-20] ^= 0x10
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	b.done.Add(1)
	return nil
}

// showAborted turns readers with read_committed into ones without: the answer then lists no aborted transactions either.
func (b *Broker) showAborted() {
	b.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		if req := r.(*kmsg.FetchRequest); req.IsolationLevel == 1 {
			req.IsolationLevel = 0
			b.done.Add(1)
		}
		return nil, nil, false
	})
}

// undoAt is the end of a transaction that is undone, counted among those of its kind: beyond what a run commits to warm up.
const undoAt = 5

// undo turns the end of one transaction into its contrary.
func (b *Broker) undo(commit bool) {
	ends := 0 // the control functions of a key run one after another
	b.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		req := r.(*kmsg.EndTxnRequest)
		if req.Commit != commit {
			return nil, nil, false
		}
		if ends++; ends == undoAt {
			req.Commit = !commit
			b.done.Add(1)
		}
		return nil, nil, false
	})
}

// forget lets the first commit of each partition through, and answers later ones itself.
func (b *Broker) forget() {
	type partition struct {
		group, topic string
		id           [16]byte // newer versions name topics by it
		number       int32
	}
	kept := map[partition]bool{} // the control functions of a key run one after another
	b.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		req := r.(*kmsg.OffsetCommitRequest)
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		later := true
		for _, t := range req.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				at := partition{req.Group, t.Topic, t.TopicID, p.Partition}
				later = later && kept[at]
				kept[at] = true
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition = p.Partition
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		if later {
			b.done.Add(1)
		}
		return resp, nil, later
	})
}

// answer is the response to a produce request with the same offset, or error, for each partition.
func answer(req *kmsg.ProduceRequest, base int64, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset, rp.ErrorCode = p.Partition, base, code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// store puts what a request carries into the log, as from another client.
func (b *Broker) store(req *kmsg.ProduceRequest) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.ListenAddrs()...))
	if err != nil {
		b.fail(err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := req.RequestWith(ctx, client); err != nil {
		b.fail(fmt.Errorf("storing a batch on the side: %w", err))
		return
	}
	b.done.Add(1)
}

// keep copies a request, whose records belong to kfake's connection.
func keep(req *kmsg.ProduceRequest) *kmsg.ProduceRequest {
	cp := *req
	cp.Topics = slices.Clone(req.Topics)
	for i := range cp.Topics {
		cp.Topics[i].Partitions = slices.Clone(cp.Topics[i].Partitions)
		for j := range cp.Topics[i].Partitions {
			cp.Topics[i].Partitions[j].Records = slices.Clone(cp.Topics[i].Partitions[j].Records)
		}
	}
	return &cp
}

// garbler changes one byte of what the broker sends, once it is armed.
type garbler struct {
	broker  *Broker
	network func(network, address string) (net.Listener, error)
	armed   atomic.Bool
}

// magic begins the stamp of a record of loadscript (gen.Stamp); a record of the load is what is to be changed.
var magic = []byte("LSb1")

func (g *garbler) arm(*kmsg.ProduceRequest) kmsg.Response {
	g.armed.Store(true)
	return nil
}

func (g *garbler) listen(network, address string) (net.Listener, error) {
	l, err := g.network(network, address)
	return garbledListener{l, g}, err
}

type garbledListener struct {
	net.Listener
	garbler *garbler
}

func (l garbledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return garbledConn{c, l.garbler}, err
}

type garbledConn struct {
	net.Conn
	garbler *garbler
}

func (c garbledConn) Write(b []byte) (int, error) {
	if at := bytes.LastIndex(b, magic); at >= 0 && c.garbler.armed.CompareAndSwap(true, false) {
		b = bytes.Clone(b)
		b[at+len(magic)] ^= 1
		c.garbler.broker.done.Add(1)
	}
	return c.Conn.Write(b)
}
