package txn

import "github.com/streambus/streambus/engine/batch"

// onEnd commits or aborts. The client is answered as soon as the decision is durable; the markers follow.
//
// With protocol 1 the epoch stays, so a repeated request is known by the state alone. With protocol 2 it goes up with each transaction
// (KIP-890): a request with the epoch before is a repeated one, a request with the current epoch is the next one. What is not ongoing:
//
//	                   protocol 1           protocol 2, repeated      protocol 2, current
//	                   commit    abort      commit      abort         commit    abort
//	Empty              state     state      fenced      fenced        state     epoch goes up
//	CompleteCommit     ok        state      ok          state         state     epoch goes up
//	CompleteAbort      state     ok         state       ok            state     epoch goes up
//	PrepareCommit      again     state      again       state         again     again
//	PrepareAbort       state     again      state       again         again     again
//
// state is ErrInvalidState, fenced ErrFenced, again ErrConcurrent. Any other epoch is fenced. (Where Kafka fences a current epoch while the
// last transaction is still ending, this asks to try again: it is the client that was just told that epoch.)
func (t *Txn) onEnd(e End) {
	done := func(err error) {
		if err != nil {
			t.answer(e.Ticket, EndAnswer{None, err})
			return
		}
		t.answer(e.Ticket, EndAnswer{Producer: t.meta.told()})
	}
	repeated, err := t.checkEnd(e)
	switch state := t.meta.State; {
	case err != nil:
		done(err)
	case state == Ongoing:
		t.prepare(e, done)
	case e.Version < 2 || repeated:
		done(repeatedEnd(state, e.Commit))
	case state.ends():
		done(ErrConcurrent)
	case e.Commit:
		done(ErrInvalidState)
	default:
		t.prepare(e, done)
	}
}

// checkEnd says whether the producer is the right one, and whether it asks once more for what it has asked for already.
func (t *Txn) checkEnd(e End) (repeated bool, err error) {
	m := &t.meta
	switch {
	case t.lost != nil:
		return false, t.lost
	case t.fresh: // as in checkAdd
		return false, ErrInvalidMapping
	}
	// Only a transaction that ended by protocol 2 has raised the epoch. After one of protocol 1 the epoch before is that of a producer that
	// was fenced, and must not be told the current one (Kafka does not look at this).
	if e.Version >= 2 && m.Version >= 2 {
		bumped := e.Who.ID == m.ID && e.Who.Epoch+1 == m.Epoch
		renewed := e.Who.ID == m.Previous && e.Who.ID != m.ID && e.Who.Epoch == lastEpoch && m.Epoch == 0
		repeated = bumped && (m.State.ends() || completed(m.State)) || renewed && completed(m.State)
		if m.told().Epoch == MaxEpoch {
			repeated = false // it was fenced with the last epoch, which no client may go on with
		}
	}
	switch {
	case repeated:
	case e.Version >= 2 && m.State.ends() && e.Who == m.told(): // the next one, too early
	case e.Who.ID != m.ID:
		return false, ErrInvalidMapping
	case e.Who.Epoch != m.Epoch:
		return false, ErrFenced
	}
	if t.pending != nil {
		return false, ErrConcurrent
	}
	return repeated, nil
}

func completed(s State) bool { return s == CompleteCommit || s == CompleteAbort }

// repeatedEnd is the answer to one who asks again: the outcome must be the one that was decided.
func repeatedEnd(s State, commit bool) error {
	switch {
	case s == CompleteCommit && commit || s == CompleteAbort && !commit:
		return nil
	case s == PrepareCommit && commit || s == PrepareAbort && !commit:
		return ErrConcurrent
	}
	return ErrInvalidState
}

func (t *Txn) prepare(e End, done func(error)) {
	m := t.meta
	m.State, m.Version, m.Next = PrepareAbort, e.Version, batch.NoProducerID
	if e.Commit {
		m.State = PrepareCommit
	}
	if e.Version >= 2 {
		if exhausted(m.Epoch) {
			id, ok := t.need(e, done)
			if !ok {
				return
			}
			m.Next = id
		}
		m.LastEpoch, m.Epoch = m.Epoch, min(m.Epoch, lastEpoch)+1
	}
	if t.meta.State != Ongoing {
		m.StartedMs = t.nowMs() // an abort of nothing, which only protocol 2 has
	}
	t.write(m, func(err error) {
		done(err)
		if err == nil {
			t.mark()
		}
	})
}

// mark begins to write the markers that the state asks for. It may be done again: a marker that is in the log twice does no harm.
func (t *Txn) mark() {
	t.left = make(map[TopicPartition]markState, len(t.meta.Parts))
	for _, p := range t.meta.Parts {
		t.left[p] = markHeld
	}
	t.remark()
}

// remark sends the markers that are not on their way, except to where somebody is inside: records must not land behind the marker.
func (t *Txn) remark() {
	for _, p := range t.meta.Parts {
		s, ok := t.left[p]
		if !ok || s == markSent || t.inside[p] > 0 {
			continue
		}
		t.left[p] = markSent
		t.emit(Mark{Part: p, Who: t.meta.Producer, Commit: t.meta.State == PrepareCommit})
	}
	if len(t.left) == 0 {
		t.complete()
	}
}

func (t *Txn) onMarked(e Marked) {
	if t.lost != nil {
		return
	}
	if !t.meta.State.ends() || t.left[e.Part] != markSent {
		panic("txn: Marked, and no marker was sent to " + e.Part.Topic)
	}
	if e.Err != nil {
		t.left[e.Part] = markFailed
		t.fail()
		return
	}
	if delete(t.left, e.Part); len(t.left) == 0 {
		t.complete()
	}
}

// complete writes down that all markers are in the logs.
func (t *Txn) complete() {
	m := t.meta
	m.State = CompleteAbort
	if t.meta.State == PrepareCommit {
		m.State = CompleteCommit
	}
	m.Producer, m.Next, m.Parts = m.told(), batch.NoProducerID, nil
	t.write(m, func(err error) {
		if err != nil {
			t.fail()
		}
	})
}

func (t *Txn) onRelease(e Release) {
	free := false
	for _, p := range e.Parts {
		switch n := t.inside[p]; {
		case n <= 0:
			panic("txn: Release of what was not admitted: " + p.Topic)
		case n == 1:
			delete(t.inside, p)
			free = true
		default:
			t.inside[p] = n - 1
		}
	}
	if free && t.lost == nil && t.meta.State.ends() && t.pending == nil {
		t.sendFreed(e.Parts)
	}
}

// sendFreed sends the markers that were held only because somebody was inside.
func (t *Txn) sendFreed(parts []TopicPartition) {
	for _, p := range parts {
		if s, ok := t.left[p]; ok && s == markHeld && t.inside[p] == 0 {
			t.left[p] = markSent
			t.emit(Mark{Part: p, Who: t.meta.Producer, Commit: t.meta.State == PrepareCommit})
		}
	}
}
