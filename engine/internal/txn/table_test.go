package txn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// atCount and the rest are places of the batch's header (batch/doc.go) that tests write to.
const (
	atAttributes     = 22
	atCount          = 57
	transactionalBit = 0x10
	controlBit       = 0x20
)

// data is a batch of n records; a producer of -1 is none.
func data(id batch.ProducerID, n int, transactional bool) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: 3, BaseSequence: 0, Sequenced: id >= 0}
	for range n {
		b.Add(time.UnixMilli(1), nil, nil)
	}
	out := b.Batch()
	if transactional {
		out[atAttributes] |= transactionalBit
	}
	return out
}

func marker(id batch.ProducerID, c batch.ControlType) batch.Batch {
	return batch.EndTxnMarker(c, id, 3, 0, time.UnixMilli(1))
}

// control is a control batch that ends no transaction.
func control(id batch.ProducerID) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: 3, BaseSequence: batch.NoSequence, Sequenced: true}
	b.Add(time.UnixMilli(1), []byte{0, 0, 0, 2}, nil)
	out := b.Batch()
	out[atAttributes] |= transactionalBit | controlBit
	return out
}

// emptied is what a compaction leaves of a batch that must stay.
func emptied(b batch.Batch) batch.Batch {
	b = b[:batch.HeaderSize:batch.HeaderSize]
	copy(b[atCount:], []byte{0, 0, 0, 0})
	return b
}

// teller plays a log to a Table, one word at a time.
type teller struct {
	Table
	next batch.Offset
	high batch.Offset // -1: all is replicated
}

// does gives what a step changes. A step is an operation and a producer: `data 1`, `plain 1`, `none`, `commit 1`, `abort 1`, `leader 1` (a
// control batch of another type), `emptied-data 1`, `emptied-abort 1`, `unreadable-abort 1`; `high N` is the high watermark from now on.
func (l *teller) does(step string) string {
	op, arg, _ := strings.Cut(step, " ")
	var n int64
	_, _ = fmt.Sscan(arg, &n) // 0 when there is none
	id := batch.ProducerID(n)
	if op == "high" {
		l.high = batch.Offset(n)
		l.Settle(l.high)
		return l.state(Aborted{}, false)
	}
	b := map[string]func() batch.Batch{
		"data": func() batch.Batch { return data(id, 2, true) }, "plain": func() batch.Batch { return data(id, 2, false) },
		"none": func() batch.Batch { return data(-1, 2, false) }, "none-transactional": func() batch.Batch { return data(-1, 2, true) },
		"commit": func() batch.Batch { return marker(id, batch.Commit) }, "abort": func() batch.Batch { return marker(id, batch.Abort) },
		"leader": func() batch.Batch { return control(id) }, "emptied-data": func() batch.Batch { return emptied(data(id, 2, true)) },
		"emptied-abort":    func() batch.Batch { return emptied(marker(id, batch.Abort)) },
		"unreadable-abort": func() batch.Batch { b := marker(id, batch.Abort); return b[:len(b)-1] },
	}[op]()
	b.Stamp(l.next, 0)
	l.next = b.NextOffset()
	return l.state(l.Update(b))
}

func (l *teller) state(a Aborted, aborted bool) string {
	high := l.next
	if l.high >= 0 {
		high = l.high
	}
	s := fmt.Sprint("stable ", l.Stable(high))
	if aborted {
		s += fmt.Sprintf(", aborted %d [%d, %d] %d", a.ProducerID, a.First, a.Last, a.LastStable)
	}
	return s
}

func TestAsKafkaDoes(t *testing.T) {
	type story []struct{ step, want string }
	for name, s := range map[string]story{
		"without transactions all is stable": {{"none", "stable 2"}, {"plain 1", "stable 4"}, {"plain 1", "stable 6"}},
		"an open transaction holds the last stable offset at its first record": {
			{"none", "stable 2"}, {"data 1", "stable 2"}, {"data 1", "stable 2"}, {"none", "stable 2"}, {"commit 1", "stable 9"}},
		"an abort is indexed from the first record to the marker": {
			{"none", "stable 2"}, {"data 1", "stable 2"}, {"data 1", "stable 2"}, {"abort 1", "stable 7, aborted 1 [2, 6] 7"}},
		"an abort within another transaction has that one's first offset as last stable offset": {
			{"data 1", "stable 0"}, {"data 2", "stable 0"}, {"abort 2", "stable 0, aborted 2 [2, 4] 0"}, {"data 2", "stable 0"},
			{"abort 1", "stable 5, aborted 1 [0, 7] 5"}, {"commit 2", "stable 9"}},
		"transactions end in any order": {
			{"data 1", "stable 0"}, {"data 2", "stable 0"}, {"data 3", "stable 0"}, {"commit 2", "stable 0"}, {"commit 1", "stable 4"}, {"abort 3", "stable 9, aborted 3 [4, 8] 9"}},
		"a producer's next transaction is another": {
			{"data 1", "stable 0"}, {"abort 1", "stable 3, aborted 1 [0, 2] 3"}, {"data 1", "stable 3"}, {"abort 1", "stable 6, aborted 1 [3, 5] 6"}},
		"a marker without a transaction ends nothing": { // it is written all the same, and not indexed
			{"abort 1", "stable 1"}, {"commit 1", "stable 2"}, {"data 2", "stable 2"}, {"abort 1", "stable 2"}, {"abort 2", "stable 6, aborted 2 [2, 5] 6"}, {"abort 2", "stable 7"}},
		"only a transaction's own producer ends it":        {{"data 1", "stable 0"}, {"abort 2", "stable 0"}, {"commit 1", "stable 4"}},
		"control batches of other types say nothing":       {{"leader 1", "stable 1"}, {"data 1", "stable 1"}, {"leader 1", "stable 1"}, {"commit 1", "stable 5"}},
		"an emptied marker says nothing":                   {{"data 1", "stable 0"}, {"emptied-abort 1", "stable 0"}, {"abort 1", "stable 4, aborted 1 [0, 3] 4"}},
		"an unreadable marker says nothing":                {{"data 1", "stable 0"}, {"unreadable-abort 1", "stable 0"}},
		"an emptied batch begins nothing":                  {{"emptied-data 1", "stable 2"}, {"abort 1", "stable 3"}, {"emptied-data 1", "stable 5"}, {"data 1", "stable 5"}},
		"a transactional batch of no producer is no one's": {{"none-transactional", "stable 2"}},
		"a plain batch within a transaction changes nothing": { // the append refuses it
			{"data 1", "stable 0"}, {"plain 1", "stable 0"}, {"commit 1", "stable 5"}},
		"the high watermark bounds what is stable": {{"high 0", "stable 0"}, {"none", "stable 0"}, {"high 2", "stable 2"}, {"none", "stable 2"}},
		"a transaction that begins above the high watermark counts for nothing": {
			{"none", "stable 2"}, {"data 1", "stable 2"}, {"high 1", "stable 1"}},
		"what has ended is not stable until its marker is replicated": {
			{"high 0", "stable 0"}, {"none", "stable 0"}, {"data 1", "stable 0"}, {"commit 1", "stable 0"}, {"high 2", "stable 2"}, {"high 3", "stable 2"},
			{"high 4", "stable 2"}, {"high 5", "stable 5"}},
		"of those not replicated the first counts, also when it ended last": {
			{"high 0", "stable 0"}, {"none", "stable 0"}, {"data 1", "stable 0"}, {"data 2", "stable 0"}, {"commit 2", "stable 0"}, {"high 7", "stable 2"},
			{"commit 1", "stable 2"}, {"high 8", "stable 8"}},
		"of those not replicated the first counts, also when it ended first": {
			{"high 0", "stable 0"}, {"data 1", "stable 0"}, {"commit 1", "stable 0"}, {"data 2", "stable 0"}, {"high 2", "stable 0"}, {"commit 2", "stable 0"},
			{"high 3", "stable 3"}, {"high 5", "stable 3"}, {"high 6", "stable 6"}},
	} {
		l := teller{high: -1}
		for i, c := range s {
			if got := l.does(c.step); got != c.want {
				t.Errorf("%s: step %d, %s: %s, want %s", name, i, c.step, got, c.want)
			}
		}
	}
}

func TestOpenTransactionsAreTold(t *testing.T) {
	l := teller{high: -1}
	for _, step := range []string{"data 5", "none", "data 3", "data 5", "data 4", "commit 3"} {
		l.does(step)
	}
	var got []Open
	l.Each(func(o Open) bool { got = append(got, o); return true })
	if fmt.Sprint(got) != "[{5 3 0} {4 3 8}]" || l.Len() != 2 {
		t.Errorf("%v", got)
	}
	if o, ok := l.Of(4); !ok || o != (Open{ProducerID: 4, Epoch: 3, First: 8}) {
		t.Errorf("%v %t", o, ok)
	}
	if o, ok := l.Of(3); ok {
		t.Errorf("%v has ended", o)
	}
	n := 0
	if l.Each(func(Open) bool { n++; return false }); n != 1 {
		t.Errorf("told of %d after the first", n)
	}
}

// TestNobodySettles: a Table that is never told of the high watermark stays small, and errs to the safe side only (T2).
func TestNobodySettles(t *testing.T) {
	var table Table
	var begun []batch.Offset
	next := batch.Offset(0)
	for range 5 * MaxDecided {
		begun = append(begun, next)
		for _, b := range []batch.Batch{data(1, 1, true), marker(1, batch.Commit)} {
			b.Stamp(next, 0)
			table.Update(b)
			next = b.NextOffset()
		}
		if len(table.decided) > MaxDecided {
			t.Fatalf("%d are kept", len(table.decided))
		}
	}
	for i, first := range begun {
		high := first + 1 // its marker is not replicated
		behind := len(begun) - i
		switch got := table.Stable(high); {
		case got > first:
			t.Fatalf("stable %d at %d: the transaction at %d is not replicated", got, high, first)
		case got < first && behind <= MaxDecided/2:
			t.Fatalf("stable %d at %d, %d transactions from the end", got, high, behind)
		}
	}
	if got := table.Stable(next); got != next {
		t.Errorf("stable %d of %d", got, next)
	}
	if table.Settle(next); len(table.decided) != 0 {
		t.Errorf("%d are kept", len(table.decided))
	}
}

func TestDisorderPanics(t *testing.T) {
	at := func(b batch.Batch, o batch.Offset) batch.Batch { b.Stamp(o, 0); return b }
	for name, all := range map[string][]batch.Batch{
		"a beginning before one":     {at(data(1, 1, true), 5), at(data(2, 1, true), 5)},
		"an end before its start":    {at(data(1, 1, true), 5), at(marker(1, batch.Abort), 4)},
		"an end before another's":    {at(data(1, 1, true), 5), at(data(2, 1, true), 6), at(marker(1, batch.Abort), 9), at(marker(2, batch.Abort), 9)},
		"an end in the transaction":  {at(data(1, 1, true), 5), at(marker(1, batch.Abort), 5)},
		"an end before, of a commit": {at(data(1, 1, true), 5), at(marker(1, batch.Commit), 3)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", name)
				}
			}()
			var table Table
			for _, b := range all {
				table.Update(b)
			}
		}()
	}
}

// TestWhatIsCommonAllocatesNothing: batches outside of transactions, those that go on with one, and asking.
func TestWhatIsCommonAllocatesNothing(t *testing.T) {
	var table Table
	for id := range batch.ProducerID(1000) {
		b := data(id, 1, true)
		b.Stamp(batch.Offset(id), 0)
		table.Update(b)
	}
	plain, idempotent, more := data(-1, 3, false), data(7, 3, false), data(7, 3, true)
	stray, header := marker(5000, batch.Abort), data(7, 3, true)[:batch.HeaderSize]
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range []batch.Batch{plain, idempotent, more, stray, header} {
			if _, aborted := table.Update(b); aborted {
				t.Error("something was aborted")
			}
		}
		if first, ok := table.FirstOpen(); !ok || first != 0 || table.Stable(500) != 0 || table.Len() != 1000 {
			t.Errorf("first %d", first)
		}
		table.Settle(500)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUpdatePlain(b *testing.B) {
	var table Table
	plain := data(7, 10, false)
	for b.Loop() {
		table.Update(plain)
	}
}

func BenchmarkUpdateWithin(b *testing.B) {
	var table Table
	more := data(7, 10, true)
	for b.Loop() {
		table.Update(more)
	}
}

// BenchmarkTransaction begins and ends one while 10,000 others are open, and asks for what is stable.
func BenchmarkTransaction(b *testing.B) {
	var table Table
	rng := rand.New(rand.NewPCG(1, 1))
	next := batch.Offset(0)
	var all [2][]batch.Batch
	for id := range batch.ProducerID(10000) {
		all[0], all[1] = append(all[0], data(id, 1, true)), append(all[1], marker(id, batch.Abort))
		all[0][id].Stamp(next, 0)
		table.Update(all[0][id])
		next++
	}
	for b.Loop() {
		id := rng.IntN(10000)
		for _, x := range []batch.Batch{all[1][id], all[0][id]} {
			x.Stamp(next, 0)
			table.Update(x)
			next++
		}
		table.Stable(next)
		table.Settle(next)
	}
}
