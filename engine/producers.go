package engine

import (
	"cmp"
	"slices"

	"github.com/streambus/streambus/engine/batch"
)

// ProducerState is what a log remembers of a producer.
type ProducerState struct {
	ID           batch.ProducerID
	Epoch        batch.ProducerEpoch
	LastSequence batch.Sequence // NoSequence: nothing but a marker in this epoch
	Last         batch.Offset   // where its newest batch begins, or the marker that began its epoch
	TxnStart     batch.Offset   // of its open transaction; NoOffset when there is none
}

// Producers lists the producers that the log remembers, by id. It does no I/O.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]ProducerState, 0, l.producers.Len())
	l.producers.Each(func(id batch.ProducerID, epoch batch.ProducerEpoch, last batch.Sequence, at batch.Offset) {
		p := ProducerState{ID: id, Epoch: epoch, LastSequence: last, Last: at, TxnStart: batch.NoOffset}
		if o, open := l.txns.Of(id); open {
			p.TxnStart = o.First
		}
		out = append(out, p)
	})
	slices.SortFunc(out, func(a, b ProducerState) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
