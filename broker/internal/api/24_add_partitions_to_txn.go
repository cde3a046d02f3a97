package api

import (
	"context"

	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// adding is one transaction of an AddPartitionsToTxn.
type adding struct {
	id     string
	who    txn.Producer
	verify bool
	topics []wire.AddPartitionsToTxnRequestTopic
	resp   []wire.AddPartitionsToTxnResponseTopic

	parts []txn.TopicPartition
	code  wire.ErrorCode // of a partition that does not exist; the others were not attempted
	reply *txn.Reply[txn.ErrAnswer]
	errs  []error // when they were verified
}

func addPartitionsToTxn(r *request) (listen.Pending, error) {
	var req wire.AddPartitionsToTxnRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.AddPartitionsToTxnResponse)
	var all []*adding
	protocol := int16(0)
	if r.version <= 3 {
		who := txn.Producer{ID: batch.ProducerID(req.ProducerID), Epoch: batch.ProducerEpoch(req.ProducerEpoch)}
		all = []*adding{{id: req.TransactionalID, who: who, topics: req.Topics}}
	} else {
		protocol = 2
		for _, t := range req.Transactions {
			who := txn.Producer{ID: batch.ProducerID(t.ProducerID), Epoch: batch.ProducerEpoch(t.ProducerEpoch)}
			all = append(all, &adding{id: t.TransactionalID, who: who, verify: t.VerifyOnly, topics: t.Topics})
		}
	}
	for _, a := range all {
		r.begin(a, protocol)
	}
	ready := func() bool {
		for _, a := range all {
			if a.reply != nil && !a.reply.Ready() {
				return false
			}
		}
		return true
	}
	return r.later(ready, func(ctx context.Context) (wire.Message, error) {
		for _, a := range all {
			if err := r.finish(ctx, a); err != nil {
				return nil, err
			}
			if r.version <= 3 {
				resp.Topics = a.resp
			} else {
				resp.Transactions = append(resp.Transactions, wire.AddPartitionsToTxnResponseTransaction{TransactionalID: a.id, Topics: a.resp})
			}
		}
		return resp, nil
	}), nil
}

// begin makes the shape of the answer and asks. A transaction gets all of its partitions or none.
func (r *request) begin(a *adding, protocol int16) {
	for _, t := range a.topics {
		out := wire.AddPartitionsToTxnResponseTopic{Name: t.Name}
		topic := r.s.Topics.Topic(t.Name)
		for _, p := range t.Partitions {
			code := wire.CodeNone
			if topic == nil || topic.Internal || p < 0 || int(p) >= topic.Partitions {
				code, a.code = wire.CodeUnknownTopicOrPartition, wire.CodeOperationNotAttempted
			}
			out.Partitions = append(out.Partitions, wire.AddPartitionsToTxnResponsePartition{PartitionIndex: p, ErrorCode: code})
			a.parts = append(a.parts, txn.TopicPartition{Topic: t.Name, Partition: p})
		}
		a.resp = append(a.resp, out)
	}
	switch {
	case a.code != wire.CodeNone:
	case a.verify:
		a.errs = r.s.Txns.Verify(a.id, a.who, a.parts)
	default:
		a.reply = r.s.Txns.AddPartitions(a.id, a.who, a.parts, protocol)
	}
}

// finish waits for the answer and fills it in.
func (r *request) finish(ctx context.Context, a *adding) error {
	code := func(int) wire.ErrorCode { return a.code }
	if a.reply != nil {
		answer, err := a.reply.Wait(ctx)
		if err != nil {
			return err
		}
		one := r.s.codeOf(txn.Answerable(txn.OpAddPartitions, r.version, answer.Err))
		code = func(int) wire.ErrorCode { return one }
	} else if a.verify && a.code == wire.CodeNone {
		code = func(i int) wire.ErrorCode {
			return r.s.codeOf(txn.Answerable(txn.OpAddPartitions, r.version, a.errs[i]))
		}
	}
	n := 0
	for i := range a.resp {
		for j := range a.resp[i].Partitions {
			if p := &a.resp[i].Partitions[j]; p.ErrorCode == wire.CodeNone {
				p.ErrorCode = code(n)
			}
			n++
		}
	}
	return nil
}
