package api

import (
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/wire"
)

func describeTransactions(r *request) (listen.Pending, error) {
	var req wire.DescribeTransactionsRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp := new(wire.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		out := wire.DescribeTransactionsResponseTransaction{TransactionalID: id, TransactionStartTimeMs: -1, ProducerID: -1, ProducerEpoch: -1}
		d, err := r.s.Txns.Describe(id)
		if err != nil {
			out.ErrorCode = r.s.codeOf(err)
			resp.TransactionStates = append(resp.TransactionStates, out)
			continue
		}
		out.TransactionState, out.TransactionTimeoutMs, out.TransactionStartTimeMs = d.State.String(), d.TimeoutMs, d.StartedMs
		out.ProducerID, out.ProducerEpoch = int64(d.ID), int16(d.Epoch)
		for _, p := range d.Parts {
			if n := len(out.Topics); n == 0 || out.Topics[n-1].Name != p.Topic {
				out.Topics = append(out.Topics, wire.DescribeTransactionsResponseTopic{Name: p.Topic})
			}
			last := &out.Topics[len(out.Topics)-1]
			last.Partitions = append(last.Partitions, p.Partition)
		}
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return r.answer(resp), nil
}
