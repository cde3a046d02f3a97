package txn

import "slices"

// onAdd adds partitions, as a client of protocol 1 has done before it writes to them.
func (t *Txn) onAdd(e Add) {
	done := func(err error) { t.answer(e.Ticket, ErrAnswer{err}) }
	if err := t.checkAdd(e.Who); err != nil {
		done(err)
		return
	}
	switch {
	case t.pending != nil || t.meta.State.ends():
		done(ErrConcurrent)
	case t.meta.State == Ongoing && t.meta.hasAll(e.Parts):
		done(nil)
	default:
		t.add(e.Parts, e.Version, done)
	}
}

func (t *Txn) checkAdd(who Producer) error {
	m := &t.meta
	switch {
	case t.lost != nil:
		return t.lost
	case t.fresh: // an Init is on its way to it; nobody has an id yet, so not even one who says it has none
		return ErrInvalidMapping
	case m.State.ends() && who == m.told(): // it has its answer, and goes on before the markers are written
		return nil
	case who.ID != m.ID:
		return ErrInvalidMapping
	case who.Epoch != m.Epoch:
		return ErrFenced
	}
	return nil
}

func (t *Txn) add(parts []TopicPartition, version int16, done func(error)) {
	m := t.meta
	if m.State != Ongoing {
		m.StartedMs = t.nowMs()
	}
	m.State, m.Version, m.Parts = Ongoing, version, m.with(parts)
	if sizeOf(&m) > t.limits.MaxRecordBytes {
		done(ErrTooManyInOne)
		return
	}
	t.write(m, done)
}

// onAdmit lets records into partitions of the transaction. What it lets in it remembers, and holds the partition's marker back until the
// records are released: without that a record could come behind the marker that ends its transaction, and would open one that nobody
// ends (KIP-890).
func (t *Txn) onAdmit(e Admit) {
	if err := t.checkAdd(e.Who); err != nil {
		t.admitNone(e, err)
		return
	}
	ending := t.meta.State.ends() || t.pending != nil && (t.pending.next.State.ends() || t.pending.tombstone || t.pending.again != nil)
	switch {
	case !ending && t.meta.State == Ongoing && t.meta.hasAll(e.Parts):
		t.admit(e)
	case e.Implicit && (ending || t.pending != nil):
		t.park(e)
	case e.Implicit:
		t.add(e.Parts, 2, func(err error) {
			if err != nil {
				t.admitNone(e, err)
				return
			}
			t.admit(e)
		})
	case ending:
		t.admitNone(e, ErrConcurrent)
	default:
		t.admit(e)
	}
}

// admit lets in what is part of the transaction.
func (t *Txn) admit(e Admit) {
	if t.inside == nil {
		t.inside = map[TopicPartition]int{}
	}
	errs := make([]error, len(e.Parts))
	for i, p := range e.Parts {
		if t.meta.State != Ongoing || !t.meta.has(p) {
			errs[i] = ErrAbortable
			continue
		}
		t.inside[p]++
	}
	t.answer(e.Ticket, AdmitAnswer{errs})
}

func (t *Txn) admitNone(e Admit, err error) {
	t.answer(e.Ticket, AdmitAnswer{slices.Repeat([]error{err}, len(e.Parts))})
}

// park lets an Admit wait for a change that is on its way, or for the markers of the last transaction.
func (t *Txn) park(e Admit) {
	if len(t.parked) >= t.limits.MaxParked {
		t.admitNone(e, ErrConcurrent)
		return
	}
	if e.until.IsZero() {
		e.until = t.now.Add(t.limits.AdmitWait)
	}
	t.parked = append(t.parked, e)
}

// unpark runs again what was parked, after something has changed. Those that still have to wait are parked in the same order.
func (t *Txn) unpark() {
	if t.pending != nil && len(t.parked) > 0 && t.lost == nil {
		return
	}
	all := t.parked
	t.parked = nil
	for _, e := range all {
		t.onAdmit(e)
	}
}

// unparkOverdue answers those that have waited long enough.
func (t *Txn) unparkOverdue() {
	n := 0
	for n < len(t.parked) && !t.now.Before(t.parked[n].until) {
		t.admitNone(t.parked[n], ErrConcurrent)
		n++
	}
	t.parked = slices.Delete(t.parked, 0, n)
}
