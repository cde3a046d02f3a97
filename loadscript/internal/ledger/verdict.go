package ledger

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind is a kind of violation.
type Kind string

// The kinds of violation; doc.go defines them.
const (
	Lost         Kind = "lost"
	Duplicate    Kind = "duplicate"
	Reordered    Kind = "reordered"
	Corrupt      Kind = "corrupt"
	Phantom      Kind = "phantom"
	Inconsistent Kind = "inconsistent"
	AbortedRead  Kind = "aborted-read"
	Torn         Kind = "torn"
	Offsets      Kind = "committed-offsets"
)

// Example is one violation with the place that proves it.
type Example struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Producer  uint32 `json:"producer"`
	Sequence  int64  `json:"sequence"` // -1: not known
	Offset    int64  `json:"offset"`   // -1: not known
	Other     int64  `json:"other"`    // second offset of a duplicate; -1: not known, or none
	Reader    string `json:"reader,omitempty"`
	Text      string `json:"text"`
}

func (e Example) as(kind Kind, text string) Example {
	e.Kind, e.Text = kind, text
	return e
}

// String is one line for people.
func (e Example) String() string {
	s := fmt.Sprintf("%s: %s/%d", e.Kind, e.Topic, e.Partition)
	if e.Offset >= 0 {
		s += fmt.Sprintf(" offset %d", e.Offset)
	}
	if e.Other >= 0 {
		s += fmt.Sprintf(" and %d", e.Other)
	}
	if e.Sequence >= 0 {
		s += fmt.Sprintf(" (producer %d, sequence %d)", e.Producer, e.Sequence)
	}
	if e.Reader != "" {
		s += ", seen by " + e.Reader
	}
	return s + ": " + e.Text
}

// examples is a list that keeps the first few of each kind.
type examples struct {
	limit int
	list  []Example
}

func (x *examples) add(e Example) {
	n := 0
	for _, have := range x.list {
		if have.Kind == e.Kind {
			n++
		}
	}
	if n < x.limit {
		x.list = append(x.list, e)
	}
}

func (x *examples) has(kind Kind, text string) bool {
	return slices.ContainsFunc(x.list, func(e Example) bool { return e.Kind == kind && e.Text == text })
}

// View is what one reader found.
type View struct {
	Name        string `json:"name"`
	Seen        int64  `json:"seen"`        // records of this run, each once
	Lost        int64  `json:"lost"`        // acknowledged and passed over, or not there
	Unseen      int64  `json:"unseen"`      // acknowledged, beyond where the reader got to: neither lost nor verified
	Redelivered int64  `json:"redelivered"` // the same offset again: normal after a rebalance
	Foreign     int64  `json:"foreign"`     // records of somebody else
	Complete    bool   `json:"complete"`    // read every partition to its end
}

// Verdict is the account of a topic, closed. Violations found by several readers are counted once: the largest count holds.
type Verdict struct {
	Topic        string    `json:"topic"`
	Sent         int64     `json:"sent"`
	Acked        int64     `json:"acked"`
	Failed       int64     `json:"failed"`
	Aborted      int64     `json:"aborted,omitempty"`
	Unknown      int64     `json:"unknown"`      // may be there once or not at all
	UnknownSeen  int64     `json:"unknown_seen"` // of the unknown: those that are there
	Lost         int64     `json:"lost"`
	Duplicates   int64     `json:"duplicates"`
	Reordered    int64     `json:"reordered"`
	Corrupt      int64     `json:"corrupt"`
	Phantom      int64     `json:"phantom"`
	Inconsistent int64     `json:"inconsistent"`
	AbortedRead  int64     `json:"aborted_read"`
	Torn         int64     `json:"torn"` // transactions, not records
	Offsets      int64     `json:"committed_offsets"`
	Expired      int64     `json:"expired"`   // removed by retention before a reader came by
	Unseen       int64     `json:"unseen"`    // acknowledged, and no reader got far enough to say
	Unchecked    int64     `json:"unchecked"` // too old for the check of inconsistent offsets
	Views        []View    `json:"views"`
	Examples     []Example `json:"examples"`
}

// Violated reports whether anything at all is wrong.
func (v *Verdict) Violated() bool {
	return v.Lost+v.Duplicates+v.Reordered+v.Corrupt+v.Phantom+v.Inconsistent+v.AbortedRead+v.Torn+v.Offsets > 0
}

// Judge closes the account. logStart is where each partition begins now, when the topic has a retention that may have removed
// records during the run; nil when it has none: then everything acknowledged must be there. Call it when nothing is in flight.
func (t *Topic) Judge(logStart []int64) Verdict {
	v := Verdict{Topic: t.name, Acked: t.acked.Load()}
	t.outcomes(&v)
	found := examples{limit: t.opts.Examples}
	least := int64(-1)
	for _, r := range t.readers {
		view, c, expired := r.judge(logStart, &found)
		v.Views = append(v.Views, view)
		v.Lost = max(v.Lost, view.Lost)
		v.Duplicates = max(v.Duplicates, c.duplicates)
		v.Reordered = max(v.Reordered, c.reordered)
		v.Corrupt = max(v.Corrupt, c.corrupt)
		v.Phantom = max(v.Phantom, c.phantom)
		v.AbortedRead = max(v.AbortedRead, c.abortedRead)
		v.Offsets += r.offsetsBroken(&found) // each group keeps its own
		v.Torn = max(v.Torn, r.torn(logStart, &found))
		v.Inconsistent = max(v.Inconsistent, c.inconsistent)
		v.Expired = max(v.Expired, expired)
		if least < 0 || view.Unseen < least {
			least = view.Unseen
		}
	}
	v.Unseen = v.Acked
	if least >= 0 {
		v.Unseen = least
	}
	t.mu.Lock()
	v.Inconsistent = max(v.Inconsistent, t.inconsistent)
	for _, e := range t.examples.list {
		found.add(e)
	}
	t.mu.Unlock()
	for _, w := range t.windows {
		w.mu.Lock()
		v.Unchecked += w.unlooked
		w.mu.Unlock()
	}
	v.Examples = append([]Example{}, found.list...) // an empty list in results.json, never null
	slices.SortStableFunc(v.Examples, func(a, b Example) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return v
}

// outcomes counts what became of the records, and which of the unknown ones are there.
func (t *Topic) outcomes(v *Verdict) {
	for partition, lanes := range t.lanes {
		for producer, lane := range lanes {
			lane.mu.Lock()
			sent, failed, aborted := lane.sent.Load(), lane.failed.count(), lane.aborted.count()
			v.Sent += sent
			v.Failed += failed
			v.Aborted += aborted
			v.Unknown += sent - failed - aborted - lane.acked.count()
			seen := t.union(partition, producer)
			seen.minus(&lane.acked, func(lo, hi int64) {
				part := spans{runs: []span{{lo: lo, hi: hi}}}
				part.minus(&lane.failed, func(lo, hi int64) {
					rest := spans{runs: []span{{lo: lo, hi: hi}}}
					rest.minus(&lane.aborted, func(lo, hi int64) { v.UnknownSeen += hi - lo })
				})
			})
			lane.mu.Unlock()
		}
	}
}

// union is everything that any reader saw of a lane; its offsets are meaningless.
func (t *Topic) union(partition int, producer uint32) *spans {
	var runs []span
	for _, r := range t.readers {
		p := r.parts[partition]
		p.mu.Lock()
		runs = append(runs, p.lane(producer).runs...)
		p.mu.Unlock()
	}
	slices.SortFunc(runs, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var u spans
	for _, run := range runs {
		if n := len(u.runs); n > 0 && run.lo <= u.runs[n-1].hi {
			u.runs[n-1].hi = max(u.runs[n-1].hi, run.hi)
			continue
		}
		u.runs = append(u.runs, run)
	}
	return &u
}

// judge finds what the reader missed and what it should not have seen.
func (r *Reader) judge(logStart []int64, found *examples) (view View, c counts, expired int64) {
	view = View{Name: r.name, Seen: r.seen.Load(), Complete: true}
	for partition, lanes := range r.topic.lanes {
		p := r.parts[partition]
		start := int64(0)
		if partition < len(logStart) {
			start = logStart[partition]
		}
		var lost int64
		gaps := examples{limit: r.topic.opts.Examples}
		p.mu.Lock()
		for _, producer := range sortedKeys(lanes) {
			lane := lanes[producer]
			lane.mu.Lock()
			g := gap{reader: r, part: p, lane: lane, set: p.lane(producer), logStart: start, found: &gaps}
			lane.acked.minus(g.set, g.missing)
			g.set.both(&lane.failed, g.refused)
			if r.committed {
				g.set.both(&lane.aborted, g.abortedRead)
			}
			lane.mu.Unlock()
			lost += g.lost
			view.Unseen += g.unseen
			expired += g.expired
			c.phantom += g.phantom
			c.abortedRead += g.undone
		}
		// A damaged record that nobody can identify was one of the missing ones: it is reported as corrupt already.
		lost = max(lost-p.unplaced, 0)
		view.Lost += lost
		for _, e := range gaps.list {
			if e.Kind != Lost || lost > 0 {
				found.add(e)
			}
		}
		view.Complete = view.Complete && p.complete
		view.Redelivered += p.counts.redelivered
		view.Foreign += p.counts.foreign
		c.add(p.counts)
		for _, e := range p.examples.list {
			found.add(e)
		}
		p.mu.Unlock()
	}
	return view, c, expired
}

func sortedKeys(lanes map[uint32]*Lane) []uint32 {
	keys := make([]uint32, 0, len(lanes))
	for k := range lanes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// gap judges the holes of one reader in one lane. The locks of both are held.
type gap struct {
	reader   *Reader
	part     *readerPart
	lane     *Lane
	set      *spans
	logStart int64
	found    *examples

	lost, unseen, expired, phantom, undone int64
}

// missing judges acknowledged sequences [lo, hi) that were not seen. They lie in one run of the acknowledged and in one hole
// of the seen, so all of them share one fate.
func (g *gap) missing(lo, hi int64) {
	_, above := g.set.around(lo)
	passed := above.lo < above.hi
	switch {
	case passed && above.offLo <= g.logStart:
		g.expired += hi - lo // the next one seen is where the log begins now: retention took these
	case passed, g.part.complete, g.beyond(hi - 1):
		g.lost += hi - lo
		for seq := lo; seq < min(hi, lo+int64(g.found.limit)); seq++ {
			g.found.add(g.example(seq))
		}
	default:
		g.unseen += hi - lo
	}
}

// beyond says whether the reader got past the offset of an acknowledged sequence.
func (g *gap) beyond(seq int64) bool {
	run, ok := g.lane.acked.find(seq)
	n := len(g.part.offsets.runs)
	return ok && n > 0 && run.offHi >= 0 && run.offHi < g.part.offsets.runs[n-1].hi
}

func (g *gap) example(seq int64) Example {
	e := Example{
		Kind: Lost, Topic: g.reader.topic.name, Partition: g.lane.partition, Producer: g.lane.producer, Sequence: seq, Offset: -1, Other: -1,
		Reader: g.reader.name, Text: "acknowledged, and not there",
	}
	run, ok := g.lane.acked.find(seq)
	if off, known := run.offsetOf(seq); ok && known {
		e.Offset = off
	} else if off, ok := g.reader.topic.windows[g.lane.partition].find(fingerprint(g.lane.producer, seq)); ok {
		e.Offset = off
	}
	return e
}

// refused judges sequences that were seen although the broker had refused them.
func (g *gap) refused(lo, hi int64) {
	g.phantom += hi - lo
	g.shown(lo, hi, Phantom, "the broker had refused this record")
}

// abortedRead judges sequences that a reader of committed records saw although their transaction was aborted.
func (g *gap) abortedRead(lo, hi int64) {
	g.undone += hi - lo
	g.shown(lo, hi, AbortedRead, "its transaction was aborted")
}

// shown adds examples of sequences that should not have been seen.
func (g *gap) shown(lo, hi int64, kind Kind, text string) {
	for seq := lo; seq < min(hi, lo+int64(g.found.limit)); seq++ {
		run, _ := g.set.find(seq)
		off, known := run.offsetOf(seq)
		if !known {
			off = -1
		}
		g.found.add(Example{
			Kind: kind, Topic: g.reader.topic.name, Partition: g.lane.partition, Producer: g.lane.producer, Sequence: seq, Offset: off, Other: -1,
			Reader: g.reader.name, Text: text,
		})
	}
}
