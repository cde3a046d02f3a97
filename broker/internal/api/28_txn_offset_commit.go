package api

import (
	"context"
	"errors"

	"github.com/streambus/streambus/broker/internal/group"
	"github.com/streambus/streambus/broker/internal/listen"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// txnOffsetCommit writes a group's offsets as part of a transaction: they count when it commits (KIP-98, KIP-447).
func txnOffsetCommit(r *request) (listen.Pending, error) {
	var req wire.TxnOffsetCommitRequest
	if err := r.decode(&req); err != nil {
		return nil, err
	}
	resp, all := r.txnCommitShape(&req)
	done := partition.NewFuture()
	if err := r.txnCommit(&req, all, done); err != nil {
		r.s.txnCommitFailed(resp, err)
		return r.answer(resp), nil
	}
	return r.later(done.Ready, func(ctx context.Context) (wire.Message, error) {
		err := done.Wait(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			r.s.txnCommitFailed(resp, err)
		}
		return resp, nil
	}), nil
}

// txnCommit asks the transaction's coordinator, then the group, and appends. On an error done is not called.
func (r *request) txnCommit(req *wire.TxnOffsetCommitRequest, all []group.Committed, done *partition.Future) error {
	if err := errGroup(req.GroupID); err != nil {
		return err
	}
	who := txn.Producer{ID: batch.ProducerID(req.ProducerID), Epoch: batch.ProducerEpoch(req.ProducerEpoch)}
	at, err := r.s.OffsetsOf(r.ctx, req.GroupID)
	if err != nil {
		return group.ErrNotAvailable
	}
	leave := r.s.Txns.Admit(req.TransactionalID, who, []txn.TopicPartition{at}, r.version >= 5)
	defer leave.Release()
	errs, err := leave.Wait(r.ctx)
	if err == nil {
		err = errs[0]
	}
	if err != nil {
		return txn.Answerable(txn.OpTxnOffsetCommit, r.version, err)
	}
	return r.s.Groups.CommitOffsets(r.ctx, group.CommitRequest{
		Group: req.GroupID, Who: group.Identity{Member: req.MemberID, Instance: deref(req.GroupInstanceID)}, Generation: group.Generation(req.GenerationID),
		Producer: &group.Producer{ID: who.ID, Epoch: who.Epoch}, Offsets: all,
	}, done)
}

// txnCommitShape makes the response, with the errors of single partitions, and lists the commits that can be taken.
func (r *request) txnCommitShape(req *wire.TxnOffsetCommitRequest) (*wire.TxnOffsetCommitResponse, []group.Committed) {
	resp := &wire.TxnOffsetCommitResponse{Topics: make([]wire.TxnOffsetCommitResponseTopic, len(req.Topics))}
	var all []group.Committed
	maxMetadata := r.s.maxOffsetMetadata()
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]wire.TxnOffsetCommitResponsePartition, len(t.Partitions))
		topic := r.s.Topics.Topic(t.Name)
		for j, p := range t.Partitions {
			out.Partitions[j].PartitionIndex = p.PartitionIndex
			c := group.Committed{
				TopicPartition: group.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex},
				Offset:         batch.Offset(p.CommittedOffset), Epoch: batch.Epoch(p.CommittedLeaderEpoch), Metadata: deref(p.CommittedMetadata),
			}
			if out.Partitions[j].ErrorCode = uncommittable(topic, c, maxMetadata); out.Partitions[j].ErrorCode == wire.CodeNone {
				all = append(all, c)
			}
		}
	}
	return resp, all
}

// txnCommitFailed puts err in every partition that had no error of its own, as Kafka's coordinator names it.
func (s *Server) txnCommitFailed(resp *wire.TxnOffsetCommitResponse, err error) {
	code := s.codeOf(err)
	switch {
	case errors.Is(err, group.ErrRebalanceInProgress): // clients of this request know no such thing
		code = wire.CodeCoordinatorLoadInProgress
	case code == wire.CodeKafkaStorageError || code == wire.CodeNotLeaderOrFollower:
		code = wire.CodeCoordinatorNotAvailable
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == wire.CodeNone {
				p.ErrorCode = code
			}
		}
	}
}
