package txn

import "github.com/streambus/streambus/engine/batch"

// onInit gives the producer that asks an epoch that no other has (KIP-98), or the one that it got when it asked before (KIP-360). Where a
// transaction is going on it is aborted first, and the producer asks again.
//
//	nothing known                             a new id, epoch 0
//	ending                                    ErrConcurrent
//	ongoing                                   abort under the next epoch, ErrConcurrent
//	else, the client brings nothing           the next epoch; a new id where epochs are used up
//	      what is current                     the same; from now on it may bring what it brought once more
//	      what was current before             what is current: the last answer was lost
//	      anything else                       ErrFenced
func (t *Txn) onInit(e Init) {
	fail := func(err error) { t.answer(e.Ticket, InitAnswer{None, err}) }
	switch {
	case t.lost != nil:
		fail(t.lost)
	case t.pending != nil:
		fail(ErrConcurrent)
	case t.fresh:
		if id, ok := t.need(e, fail); ok {
			t.initialize(e, Producer{id, 0}, NoEpoch)
		}
	case t.meta.State.ends():
		if e.Expected != nil && !t.mayGoOn(*e.Expected) {
			fail(ErrFenced)
			return
		}
		fail(ErrConcurrent)
	case t.meta.State == Ongoing:
		// Kafka looks at the id only and has a producer with an old epoch abort what a newer one does, before it is told that it is fenced.
		if e.Expected != nil && *e.Expected != t.meta.Producer {
			fail(ErrFenced)
			return
		}
		t.fence(func(err error) {
			if err == nil {
				err = ErrConcurrent
			}
			fail(err)
		})
	default:
		t.initIdle(e, fail)
	}
}

func (t *Txn) initIdle(e Init, fail func(error)) {
	m := &t.meta
	switch {
	case e.Expected == nil:
		t.bump(e, NoEpoch, fail)
	case *e.Expected == m.Producer:
		t.bump(e, m.Epoch, fail)
	case t.mayGoOn(*e.Expected) && e.Expected.Epoch == m.LastEpoch:
		t.initialize(e, m.Producer, m.LastEpoch)
	default:
		fail(ErrFenced)
	}
}

// mayGoOn says whether a client that has p could be the current one: it has this id, or the one before, whose epochs are used up.
func (t *Txn) mayGoOn(p Producer) bool {
	m := &t.meta
	return p.ID == m.ID || p.ID == m.Previous && exhausted(p.Epoch) || p == m.told()
}

func (t *Txn) bump(e Init, last batch.ProducerEpoch, fail func(error)) {
	next := Producer{t.meta.ID, t.meta.Epoch + 1}
	if exhausted(t.meta.Epoch) {
		id, ok := t.need(e, fail)
		if !ok {
			return
		}
		next = Producer{id, 0}
	}
	t.initialize(e, next, last)
}

func (t *Txn) initialize(e Init, who Producer, last batch.ProducerEpoch) {
	m := t.meta
	m.Producer, m.LastEpoch, m.Next = who, last, batch.NoProducerID
	m.TimeoutMs, m.State, m.Parts, m.StartedMs = e.TimeoutMs, Empty, nil, NoTime
	t.write(m, func(err error) {
		if err != nil {
			t.answer(e.Ticket, InitAnswer{None, err})
			return
		}
		t.answer(e.Ticket, InitAnswer{Producer: who})
	})
}

// fence aborts what is ongoing under an epoch that nobody was told, so that whoever has the current one can write nothing more.
func (t *Txn) fence(then func(error)) {
	m := t.meta
	m.Epoch = min(m.Epoch, lastEpoch) + 1 // clients have at most lastEpoch
	m.LastEpoch, m.Next = NoEpoch, batch.NoProducerID
	m.State, m.Version = PrepareAbort, t.limits.Version
	t.write(m, func(err error) {
		then(err)
		if err == nil {
			t.mark()
		}
	})
}
