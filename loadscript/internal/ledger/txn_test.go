package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// transaction sends n records to each of the partitions, stores those that are not to be left out, and returns its parts.
func (b *broker) transaction(producer uint32, partitions []int32, n int, leaveOut func(partition int32, i int) bool) (entries []entry, parts []Part) {
	for _, p := range partitions {
		part := Part{Lane: b.t.Lane(producer, p)}
		for i := range n {
			e := b.send(producer, p)
			if i == 0 {
				part.Lo = e.stamp.Sequence
			}
			part.Hi = e.stamp.Sequence + 1
			if leaveOut == nil || !leaveOut(p, i) {
				b.append(p, e)
			}
			entries = append(entries, e)
		}
		b.logs[p] = append(b.logs[p], entry{}) // the marker
		parts = append(parts, part)
	}
	return entries, parts
}

func (b *broker) abort(entries []entry) {
	for _, e := range entries {
		b.t.Lane(e.stamp.Producer, e.stamp.Partition).Aborted(e.stamp.Sequence)
	}
}

// L8 and L9: what a reader may and may not see of transactions.
func TestTransactions(t *testing.T) {
	everything := func(int32, int) bool { return true }
	for name, c := range map[string]struct {
		plant       func(b *broker)
		uncommitted bool
		want        counting
	}{
		"aborted and not shown": {
			func(b *broker) {
				entries, _ := b.transaction(0, []int32{0, 1}, 5, everything)
				b.abort(entries)
			}, false, counting{}},
		"aborted and shown": {
			func(b *broker) {
				entries, _ := b.transaction(0, []int32{0, 1}, 5, nil)
				b.abort(entries)
			}, false, counting{AbortedRead: 10}},
		"aborted and shown to a reader of uncommitted records": {
			func(b *broker) {
				entries, _ := b.transaction(0, []int32{0, 1}, 5, nil)
				b.abort(entries)
			}, true, counting{}},
		"one record of an aborted transaction shown": {
			func(b *broker) {
				entries, _ := b.transaction(0, []int32{0, 1}, 5, func(p int32, i int) bool { return p == 0 || i != 3 })
				b.abort(entries)
			}, false, counting{AbortedRead: 1}},
		"committed, and one record missing": {
			func(b *broker) {
				entries, _ := b.transaction(0, []int32{0}, 5, func(_ int32, i int) bool { return i == 2 })
				for i, e := range entries {
					at := int64(len(b.logs[0]) - 5 + i)
					if i >= 2 {
						at--
					}
					if i == 2 {
						at = -1
					}
					b.ack(e, at)
				}
			}, false, counting{Lost: 1}},
		"undecided, and all of it there": {
			func(b *broker) {
				_, parts := b.transaction(0, []int32{0, 1}, 5, nil)
				b.t.Undecided(parts)
			}, false, counting{}},
		"undecided, and nothing of it there": {
			func(b *broker) {
				_, parts := b.transaction(0, []int32{0, 1}, 5, everything)
				b.t.Undecided(parts)
			}, false, counting{}},
		"undecided, and one partition of it there": {
			func(b *broker) {
				_, parts := b.transaction(0, []int32{0, 1}, 5, func(p int32, _ int) bool { return p == 1 })
				b.t.Undecided(parts)
			}, false, counting{Torn: 1}},
		"undecided, and half there for a reader of uncommitted records": {
			func(b *broker) {
				_, parts := b.transaction(0, []int32{0, 1}, 5, func(p int32, _ int) bool { return p == 1 })
				b.t.Undecided(parts)
			}, true, counting{}},
		"undecided, and one record of it missing": {
			func(b *broker) {
				_, parts := b.transaction(0, []int32{0, 1}, 5, func(p int32, i int) bool { return p == 1 && i == 4 })
				b.t.Undecided(parts)
			}, false, counting{Torn: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(2)
			b.t.Lane(1, 1)
			b.produce(0, 20)
			b.produce(1, 20)
			c.plant(b)
			b.produce(1, 20)
			b.produce(0, 20)
			r := b.t.CommittedReader("reading back")
			if c.uncommitted {
				r = b.t.Reader("reading back")
			}
			for p := range b.logs {
				b.read(r, int32(p), 0, len(b.logs[p]))
				r.Complete(int32(p))
			}
			v := b.t.Judge(nil)
			expect(t, v, c.want)
			if v.Acked+v.Aborted+v.Unknown+v.Failed != v.Sent {
				t.Errorf("outcomes do not add up: %+v", v)
			}
		})
	}
}

// An aborted record is known to be: it is not among the unknown ones, seen or not.
func TestAbortedIsAnOutcome(t *testing.T) {
	b := newBroker(1)
	entries, _ := b.transaction(0, []int32{0}, 4, nil)
	b.abort(entries[:3])
	b.readAll("direct")
	v := b.t.Judge(nil)
	if v.Aborted != 3 || v.Unknown != 1 || v.UnknownSeen != 1 {
		t.Errorf("aborted %d, unknown %d, of these seen %d; want 3, 1, 1", v.Aborted, v.Unknown, v.UnknownSeen)
	}
}

// A part that retention removed does not tear a transaction.
func TestExpiredPartTearsNothing(t *testing.T) {
	b := newBroker(2)
	_, parts := b.transaction(0, []int32{0, 1}, 5, nil)
	b.t.Undecided(parts)
	b.produce(0, 10)
	r := b.t.CommittedReader("group slow")
	b.read(r, 0, 6, 16) // partition 0 begins at 6 now
	b.read(r, 1, 0, 6)
	r.Complete(0)
	r.Complete(1)
	expect(t, b.t.Judge([]int64{6, 0}), counting{})
	expect(t, b.t.Judge([]int64{0, 0}), counting{Torn: 1})
}

// Random mixes of ends: the verdict counts exactly what was planted.
func TestRandomTransactions(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	b := newBroker(3)
	want := counting{}
	for range 300 {
		producer := uint32(rng.IntN(3))
		partitions := []int32{0, 1, 2}[:1+rng.IntN(3)]
		n := 1 + rng.IntN(6)
		switch end := rng.IntN(4); end {
		case 0: // committed
			for _, p := range partitions {
				for range n {
					e := b.send(producer, p)
					b.ack(e, b.append(p, e))
				}
				b.logs[p] = append(b.logs[p], entry{})
			}
		case 1: // aborted; one in four is shown
			hidden := rng.IntN(4) > 0
			entries, _ := b.transaction(producer, partitions, n, func(int32, int) bool { return hidden })
			b.abort(entries)
			if !hidden {
				want[AbortedRead] += int64(len(entries))
			}
		default: // nobody knows; some are torn
			there, left := rng.IntN(2) == 0, int32(-1)
			if len(partitions) > 1 && rng.IntN(3) == 0 {
				left = partitions[rng.IntN(len(partitions))]
				want[Torn]++
			}
			_, parts := b.transaction(producer, partitions, n, func(p int32, _ int) bool { return (p == left) == there })
			b.t.Undecided(parts)
		}
	}
	r := b.t.CommittedReader("reading back")
	for p := range b.logs {
		b.read(r, int32(p), 0, len(b.logs[p]))
		r.Complete(int32(p))
	}
	if got := violations(b.t.Judge(nil)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v; again: rand.NewPCG(%#x, 2)", got, want, seed)
	}
}
