package ledger

import "fmt"

// Aborted notes that the transaction of the sequence was aborted, on purpose or because its producer was fenced: a reader of
// committed records must never see it.
func (l *Lane) Aborted(seq int64) {
	l.mu.Lock()
	l.aborted.insert(seq, seq)
	l.mu.Unlock()
}

// Part is what a transaction wrote to one partition: the sequences [Lo, Hi) of a lane.
type Part struct {
	Lane   *Lane
	Lo, Hi int64
}

// Undecided notes a transaction whose end nobody knows: the request to end it had no answer. Its records have no other outcome
// (they are unknown), and a reader of committed records may see all of them or none. The ledger keeps parts. Only these
// transactions are remembered: of a committed one every record must be there (L1), of an aborted one none may (L8).
func (t *Topic) Undecided(parts []Part) {
	t.mu.Lock()
	t.undecided = append(t.undecided, parts)
	t.mu.Unlock()
}

// torn counts the undecided transactions of which a reader of committed records saw some records and can prove that others are
// not there.
func (r *Reader) torn(logStart []int64, found *examples) (n int64) {
	if !r.committed {
		return 0
	}
	r.topic.mu.Lock()
	defer r.topic.mu.Unlock()
	for _, parts := range r.topic.undecided {
		var seen, absent int64
		e := Example{Kind: Torn, Topic: r.topic.name, Sequence: -1, Offset: -1, Other: -1, Reader: r.name}
		for _, part := range parts {
			p := r.parts[part.Lane.partition]
			start := int64(0)
			if int(part.Lane.partition) < len(logStart) {
				start = logStart[part.Lane.partition]
			}
			p.mu.Lock()
			set, whole := p.lane(part.Lane.producer), spans{runs: []span{{lo: part.Lo, hi: part.Hi}}}
			whole.both(set, func(lo, hi int64) {
				seen += hi - lo
				run, _ := set.find(lo)
				e.Partition, e.Producer, e.Sequence = part.Lane.partition, part.Lane.producer, lo
				if off, known := run.offsetOf(lo); known {
					e.Offset = off
				}
			})
			whole.minus(set, func(lo, hi int64) {
				_, above := set.around(lo)
				switch passed := above.lo < above.hi; {
				case passed && above.offLo <= start: // removed by retention
				case passed, p.complete:
					absent += hi - lo
				}
			})
			p.mu.Unlock()
		}
		if seen > 0 && absent > 0 {
			n++
			e.Text = fmt.Sprintf("%d records of the transaction are there, %d are not", seen, absent)
			found.add(e)
		}
	}
	return n
}
