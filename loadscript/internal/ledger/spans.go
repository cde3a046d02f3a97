package ledger

import "sort"

// span is a run of neighbouring sequences [lo, hi) with the offsets of its first and its last one.
type span struct {
	lo, hi       int64
	offLo, offHi int64
}

// spans is a set of sequences as sorted, disjoint, non-adjacent runs, each knowing the offsets at its ends. So it can tell
// in any order of arrival whether offsets ascend with sequences. The usual insertion extends the last run.
type spans struct{ runs []span }

// insert adds sequence seq at offset off. added is false when it was there; ordered is false when off does not lie between
// the offsets of its neighbours.
func (s *spans) insert(seq, off int64) (added, ordered bool) {
	n := len(s.runs)
	if n > 0 && s.runs[n-1].hi == seq { // the common case
		last := &s.runs[n-1]
		ordered = off > last.offHi
		last.hi, last.offHi = seq+1, off
		return true, ordered
	}
	i := sort.Search(n, func(i int) bool { return s.runs[i].hi > seq }) // first run that ends after seq
	if i < n && s.runs[i].lo <= seq {
		return false, true
	}
	ordered = (i == 0 || s.runs[i-1].offHi < off) && (i == n || off < s.runs[i].offLo)
	below := i > 0 && s.runs[i-1].hi == seq
	above := i < n && s.runs[i].lo == seq+1
	switch {
	case below && above:
		s.runs[i-1].hi, s.runs[i-1].offHi = s.runs[i].hi, s.runs[i].offHi
		s.runs = append(s.runs[:i], s.runs[i+1:]...)
	case below:
		s.runs[i-1].hi, s.runs[i-1].offHi = seq+1, off
	case above:
		s.runs[i].lo, s.runs[i].offLo = seq, off
	default:
		s.runs = append(s.runs, span{})
		copy(s.runs[i+1:], s.runs[i:])
		s.runs[i] = span{seq, seq + 1, off, off}
	}
	return true, ordered
}

// find returns the run that holds seq.
func (s *spans) find(seq int64) (span, bool) {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].hi > seq })
	if i == len(s.runs) || s.runs[i].lo > seq {
		return span{}, false
	}
	return s.runs[i], true
}

// around returns the runs next to seq, which is not in the set; a missing one has lo == hi.
func (s *spans) around(seq int64) (below, above span) {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].hi > seq })
	if i > 0 {
		below = s.runs[i-1]
	}
	if i < len(s.runs) {
		above = s.runs[i]
	}
	return below, above
}

// count is the number of sequences in the set.
func (s *spans) count() int64 {
	var n int64
	for _, r := range s.runs {
		n += r.hi - r.lo
	}
	return n
}

// offsetOf is the offset of a sequence in the run, when the run is dense enough to say.
func (r span) offsetOf(seq int64) (off int64, known bool) {
	switch {
	case seq == r.lo:
		return r.offLo, true
	case seq == r.hi-1:
		return r.offHi, true
	case r.offHi-r.offLo == r.hi-1-r.lo:
		return r.offLo + seq - r.lo, true
	}
	return 0, false
}

// minus calls fn for every maximal run [lo, hi) that is in s and not in t.
func (s *spans) minus(t *spans, fn func(lo, hi int64)) {
	j := 0
	for _, r := range s.runs {
		lo := r.lo
		for j < len(t.runs) && t.runs[j].hi <= lo {
			j++
		}
		for k := j; k < len(t.runs) && t.runs[k].lo < r.hi; k++ {
			if t.runs[k].lo > lo {
				fn(lo, t.runs[k].lo)
			}
			lo = max(lo, t.runs[k].hi)
		}
		if lo < r.hi {
			fn(lo, r.hi)
		}
	}
}

// both calls fn for every maximal run [lo, hi) that is in s and in t.
func (s *spans) both(t *spans, fn func(lo, hi int64)) {
	i, j := 0, 0
	for i < len(s.runs) && j < len(t.runs) {
		lo, hi := max(s.runs[i].lo, t.runs[j].lo), min(s.runs[i].hi, t.runs[j].hi)
		if lo < hi {
			fn(lo, hi)
		}
		if s.runs[i].hi < t.runs[j].hi {
			i++
		} else {
			j++
		}
	}
}
