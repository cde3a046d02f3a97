package api

import (
	"fmt"

	"github.com/streambus/streambus/broker/internal/txn"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

// admission is the leave of the transaction coordinator for the batches of one produce request. The zero value is for a request
// without a transaction.
type admission struct {
	leave *txn.Admission
	errs  []error // of each partition in turn; nil: it may be appended
}

// release says that what was to be appended is.
func (a admission) release() {
	if a.leave != nil {
		a.leave.Release()
	}
}

// of says why the batch of the i-th partition may not be part of its transaction.
func (a admission) of(i int) error {
	if a.errs == nil {
		return nil
	}
	return a.errs[i]
}

// admit asks for leave to append what is part of a transaction (KIP-890). With protocol 2 that may wait for the partitions to be added,
// durably; the connection's next requests wait with it, since the batches of a producer must stay in order.
func (r *request) admit(req *wire.ProduceRequest) (a admission, err error) {
	if req.TransactionalID == nil {
		return a, nil
	}
	var parts []txn.TopicPartition
	var at []int // their places
	var who txn.Producer
	n := 0
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			part := &req.Topics[i].Partitions[j]
			a.errs = append(a.errs, txn.ErrTryAgain) // of what turns out right only after this look
			topic, _, err := r.target(&req.Topics[i], part.PartitionIndex)
			if b, bad := batch.First(part.Records); err == nil && bad == nil && b.Transactional() {
				this := txn.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch()}
				if len(parts) == 0 {
					who = this
				}
				if this == who {
					parts, at = append(parts, txn.TopicPartition{Topic: topic.Name, Partition: part.PartitionIndex}), append(at, n)
				} else {
					a.errs[n] = fmt.Errorf("%w: a request of one transaction has batches of producers %d and %d", errRecords, who.ID, this.ID)
				}
			}
			n++
		}
	}
	if len(parts) == 0 {
		return a, nil
	}
	a.leave = r.s.Txns.Admit(string(req.TransactionalID), who, parts, r.version >= 12)
	errs, err := a.leave.Wait(r.ctx)
	if err != nil {
		a.release()
		return admission{}, err
	}
	for i, err := range errs {
		a.errs[at[i]] = txn.Answerable(txn.OpProduce, r.version, err)
	}
	return a, nil
}
