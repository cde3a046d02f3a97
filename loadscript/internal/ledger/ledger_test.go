package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/streambus/streambus/loadscript/internal/gen"
)

const runID = 7

// broker is a log of one topic that does what a test tells it to. Its contents are what a reader sees.
type broker struct {
	t    *Topic
	logs [][]entry
}

type entry struct {
	stamp      gen.Stamp
	key, value []byte
}

func newBroker(partitions int32) *broker {
	return &broker{t: NewTopic("orders", partitions, runID, Options{Exclusive: true, ProbeID: 99}), logs: make([][]entry, partitions)}
}

// send hands a record over without a decision on its outcome.
func (b *broker) send(producer uint32, partition int32) entry {
	lane := b.t.Lane(producer, partition)
	e := entry{stamp: gen.Stamp{RunID: runID, Sequence: lane.Sent(), Producer: producer, Partition: partition}, key: []byte("k"), value: make([]byte, 80)}
	gen.Encode(e.stamp, e.key, e.value, nil)
	return e
}

// append stores a record and returns its offset.
func (b *broker) append(partition int32, e entry) int64 {
	b.logs[partition] = append(b.logs[partition], e)
	return int64(len(b.logs[partition]) - 1)
}

func (b *broker) ack(e entry, offset int64) {
	b.t.Lane(e.stamp.Producer, e.stamp.Partition).Acked(e.stamp.Sequence, offset)
}

// produce sends, stores and acknowledges n records, from two producers in turn.
func (b *broker) produce(partition int32, n int) {
	for i := range n {
		e := b.send(uint32(i%2), partition)
		b.ack(e, b.append(partition, e))
	}
}

// readAll lets a reader read all of the log, to its end.
func (b *broker) readAll(name string) *Reader {
	r := b.t.Reader(name)
	for p := range b.logs {
		b.read(r, int32(p), 0, len(b.logs[p]))
		r.Complete(int32(p))
	}
	return r
}

// read lets the reader read offsets [lo, hi).
func (b *broker) read(r *Reader, partition int32, lo, hi int) {
	for o := lo; o < hi; o++ {
		e := b.logs[partition][o]
		if e.value == nil {
			continue // compacted away
		}
		r.Read(partition, int64(o), e.key, e.value, nil)
	}
}

// violations is what a verdict counts, by kind.
func violations(v Verdict) map[Kind]int64 {
	m := map[Kind]int64{}
	for k, n := range map[Kind]int64{
		Lost: v.Lost, Duplicate: v.Duplicates, Reordered: v.Reordered, Corrupt: v.Corrupt, Phantom: v.Phantom, Inconsistent: v.Inconsistent,
		AbortedRead: v.AbortedRead, Torn: v.Torn, Offsets: v.Offsets,
	} {
		if n != 0 {
			m[k] = n
		}
	}
	return m
}

// expect fails unless the verdict has exactly these violations, each with an example.
func expect(t *testing.T, v Verdict, want map[Kind]int64) {
	t.Helper()
	got := violations(v)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("violations %v, want %v\n%+v", got, want, v.Examples)
	}
	shown := map[Kind]int64{}
	for _, e := range v.Examples {
		shown[e.Kind]++
	}
	for k, n := range want {
		if shown[k] != min(n, defaultExamples) {
			t.Errorf("%s: %d examples for %d violations: %v", k, shown[k], n, v.Examples)
		}
	}
	if len(want) != len(shown) {
		t.Errorf("examples of %v for violations %v", shown, want)
	}
	if v.Violated() != (len(want) > 0) {
		t.Errorf("Violated() = %t", v.Violated())
	}
}

type counting = map[Kind]int64

// Each fault of a broker, planted; each must fire its own invariant and no other.
func TestEachFaultFiresItsInvariantAlone(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(b *broker)
		want  counting
	}{
		"nothing": {func(b *broker) {}, counting{}},
		"acked and never stored": { // L1; the offset is given to nobody else
			func(b *broker) { b.ack(b.send(0, 0), b.append(0, entry{})) }, counting{Lost: 1}},
		"acked tail cut off": {
			func(b *broker) {
				for range 25 {
					b.ack(b.send(1, 0), b.append(0, entry{}))
				}
			}, counting{Lost: 25}},
		"stored twice": { // L2
			func(b *broker) {
				e := b.send(0, 0)
				b.ack(e, b.append(0, e))
				b.append(0, e)
			}, counting{Duplicate: 1}},
		"stored twice, later": {
			func(b *broker) {
				e := b.send(0, 0)
				b.ack(e, b.append(0, e))
				b.produce(0, 10)
				b.append(0, e)
			}, counting{Duplicate: 1}},
		"two records swapped": { // L3
			func(b *broker) {
				x, y := b.send(0, 0), b.send(0, 0)
				b.ack(y, b.append(0, y))
				b.ack(x, b.append(0, x))
			}, counting{Reordered: 1}},
		"a batch overtaken by the next": {
			func(b *broker) {
				var batch []entry
				for range 5 {
					batch = append(batch, b.send(0, 0))
				}
				for range 5 {
					e := b.send(0, 0)
					b.ack(e, b.append(0, e))
				}
				for _, e := range batch {
					b.ack(e, b.append(0, e))
				}
			}, counting{Reordered: 5}},
		"value changed": { // L4
			func(b *broker) {
				e := b.send(0, 0)
				e.value[60] ^= 1
				b.ack(e, b.append(0, e))
			}, counting{Corrupt: 1}},
		"magic of the stamp changed": { // nobody can tell which record it was: corrupt all the same, and not lost
			func(b *broker) {
				e := b.send(0, 0)
				e.value[0] ^= 1
				b.ack(e, b.append(0, e))
			}, counting{Corrupt: 1}},
		"sequence in the stamp changed": {
			func(b *broker) {
				e := b.send(0, 0)
				e.value[24] ^= 0x40
				b.ack(e, b.append(0, e))
			}, counting{Corrupt: 1}},
		"key changed": {
			func(b *broker) {
				e := b.send(0, 0)
				e.key = []byte("x")
				b.ack(e, b.append(0, e))
			}, counting{Corrupt: 1}},
		"value cut short": {
			func(b *broker) {
				e := b.send(0, 0)
				e.value = e.value[:70]
				b.ack(e, b.append(0, e))
			}, counting{Corrupt: 1}},
		"never sent": { // L5
			func(b *broker) {
				e := entry{stamp: gen.Stamp{RunID: runID, Sequence: 1 << 40, Producer: 1}, value: make([]byte, 80)}
				gen.Encode(e.stamp, nil, e.value, nil)
				b.append(0, e)
			}, counting{Phantom: 1}},
		"unknown producer": {
			func(b *broker) {
				e := entry{stamp: gen.Stamp{RunID: runID, Producer: 55}, value: make([]byte, 80)}
				gen.Encode(e.stamp, nil, e.value, nil)
				b.append(0, e)
			}, counting{Phantom: 1}},
		"in another partition, too": {
			func(b *broker) {
				e := b.send(0, 0)
				b.ack(e, b.append(0, e))
				b.append(1, e)
			}, counting{Phantom: 1}},
		"refused and stored": {
			func(b *broker) {
				e := b.send(0, 0)
				b.append(0, e)
				b.t.Lane(0, 0).Failed(e.stamp.Sequence)
			}, counting{Phantom: 1}},
		"refused and not stored": {
			func(b *broker) { b.t.Lane(0, 0).Failed(b.send(0, 0).stamp.Sequence) }, counting{}},
		"unknown and there": {
			func(b *broker) { b.append(0, b.send(0, 0)) }, counting{}},
		"unknown and not there": {
			func(b *broker) { b.send(0, 0) }, counting{}},
		"unknown and there twice": {
			func(b *broker) {
				e := b.send(0, 0)
				b.append(0, e)
				b.append(0, e)
			}, counting{Duplicate: 1}},
		"acked with somebody else's offset": { // L6
			func(b *broker) {
				e := b.send(0, 0)
				b.append(0, e)
				b.ack(e, 3)
			}, counting{Inconsistent: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(2)
			b.t.Lane(1, 1)
			b.produce(0, 20)
			b.produce(1, 20)
			c.plant(b)
			b.produce(1, 20)
			b.produce(0, 20)
			b.readAll("reading back")
			v := b.t.Judge(nil)
			expect(t, v, c.want)
			expect(t, b.t.Judge(nil), c.want) // judging changes nothing
			if v.Unseen != 0 {
				t.Errorf("%d unseen after a complete read", v.Unseen)
			}
		})
	}
}

func TestLossIsShownWithTheOffsetThatProvesIt(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 10)
	b.ack(b.send(0, 0), b.append(0, entry{})) // offset 10
	b.produce(0, 10)
	b.readAll("reading back")
	v := b.t.Judge(nil)
	if len(v.Examples) != 1 || v.Examples[0].Offset != 10 || v.Examples[0].Sequence != 5 || v.Examples[0].Producer != 0 {
		t.Errorf("examples %+v, want producer 0's sequence 5 at offset 10", v.Examples)
	}
}

func TestDuplicateIsShownWithBothOffsets(t *testing.T) {
	b := newBroker(1)
	for range 5 {
		e := b.send(0, 0)
		b.ack(e, b.append(0, e))
	}
	b.append(0, b.logs[0][2])
	b.readAll("reading back")
	v := b.t.Judge(nil)
	if len(v.Examples) != 1 || v.Examples[0].Offset != 5 || v.Examples[0].Other != 2 {
		t.Errorf("examples %+v, want offsets 5 and 2", v.Examples)
	}
}

func TestRedeliveryIsNoDuplicate(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 30)
	r := b.t.Reader("group billing")
	b.read(r, 0, 0, 20)
	b.read(r, 0, 10, 30) // after a rebalance the new owner begins at the last commit
	r.Complete(0)
	v := b.t.Judge(nil)
	expect(t, v, counting{})
	if v.Views[0].Redelivered != 10 || v.Views[0].Seen != 30 {
		t.Errorf("view %+v, want 30 seen and 10 delivered again", v.Views[0])
	}
}

func TestGroupMembersInterleave(t *testing.T) { // L7: another member's part arrives first
	b := newBroker(1)
	b.produce(0, 30)
	r := b.t.Reader("group billing")
	b.read(r, 0, 20, 30)
	b.read(r, 0, 0, 20)
	expect(t, b.t.Judge(nil), counting{})
	if n := r.Behind(); n != 0 {
		t.Errorf("behind %d after reading everything", n)
	}
}

func TestBehindIsNotLost(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 30)
	r := b.t.Reader("group billing")
	b.read(r, 0, 0, 10)
	v := b.t.Judge(nil)
	expect(t, v, counting{})
	if v.Unseen != 20 || r.Behind() != 20 || v.Views[0].Unseen != 20 {
		t.Errorf("unseen %d, behind %d, want 20", v.Unseen, r.Behind())
	}
}

func TestSkippedByAGroupIsLostThoughTheLogHasIt(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 30)
	r := b.t.Reader("group billing")
	b.read(r, 0, 0, 10)
	b.read(r, 0, 14, 30) // a commit that got ahead
	b.readAll("reading back")
	v := b.t.Judge(nil)
	expect(t, v, counting{Lost: 4})
	if v.Views[0].Lost != 4 || v.Views[1].Lost != 0 {
		t.Errorf("views %+v, want the loss at the group alone", v.Views)
	}
}

func TestSkippedTailOfAProducer(t *testing.T) {
	b := newBroker(1)
	e := b.send(0, 0) // the only record of producer 0: nothing above it in its lane
	b.ack(e, b.append(0, e))
	for range 10 {
		e := b.send(1, 0)
		b.ack(e, b.append(0, e))
	}
	r := b.t.Reader("group billing")
	b.read(r, 0, 1, 11)
	expect(t, b.t.Judge(nil), counting{Lost: 1})
}

func TestTwoReadersOfDifferentLogs(t *testing.T) { // L6: a replica that diverged
	b := newBroker(1)
	b.produce(0, 10)
	b.readAll("group billing")
	b.logs[0][4], b.logs[0][6] = b.logs[0][6], b.logs[0][4]
	b.readAll("reading back")
	v := b.t.Judge(nil)
	if v.Inconsistent != 2 {
		t.Errorf("%d inconsistent offsets, want 2", v.Inconsistent)
	}
}

func TestRetentionExpires(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 100)
	r := b.t.Reader("group audit")
	b.read(r, 0, 0, 20)
	b.read(r, 0, 60, 100) // offsets below 60 were gone when it got there
	v := b.t.Judge([]int64{62})
	expect(t, v, counting{})
	if v.Expired != 40 {
		t.Errorf("%d expired, want 40", v.Expired)
	}
	expect(t, b.t.Judge(nil), counting{Lost: 40}) // without a retention it is a loss
}

func TestForeignAndProbes(t *testing.T) {
	topic := NewTopic("shared", 1, runID, Options{ProbeID: 99})
	r := topic.Reader("direct reader")
	r.Read(0, 0, nil, []byte("hello"), nil)
	for i, id := range []uint64{99, 5} {
		value := make([]byte, 60)
		gen.Encode(gen.Stamp{RunID: id}, nil, value, nil)
		if id == 5 {
			value[50] ^= 1 // another run's record, damaged: not ours to judge in a shared topic
		}
		if s, first := r.Read(0, int64(i+1), nil, value, nil); first || s.RunID != id {
			t.Errorf("run %d: first %t, stamp %+v", id, first, s)
		}
	}
	v := topic.Judge(nil)
	expect(t, v, counting{})
	if v.Views[0].Foreign != 2 {
		t.Errorf("%d foreign records, want 2", v.Views[0].Foreign)
	}
}

func TestUnreadableBatchIsOneFinding(t *testing.T) {
	b := newBroker(1)
	r := b.t.Reader("direct reader")
	for range 3 {
		r.Unreadable(0, "encoded crc 1 does not match calculated crc 2")
	}
	expect(t, b.t.Judge(nil), counting{Corrupt: 1})
}

func TestUnknownThatAppeared(t *testing.T) {
	b := newBroker(1)
	b.produce(0, 4)
	b.append(0, b.send(0, 0))
	b.send(0, 0)
	b.t.Lane(0, 0).Failed(b.send(0, 0).stamp.Sequence)
	b.readAll("reading back")
	v := b.t.Judge(nil)
	if v.Sent != 7 || v.Acked != 4 || v.Failed != 1 || v.Unknown != 2 || v.UnknownSeen != 1 {
		t.Errorf("%+v, want 7 sent: 4 acked, 1 failed, 2 unknown of which 1 is there", v)
	}
}

func TestLagCountsWhatLiesAhead(t *testing.T) {
	b := newBroker(2)
	b.produce(0, 30)
	b.produce(1, 10)
	r := b.t.Reader("group billing")
	b.read(r, 0, 0, 10)
	b.read(r, 0, 12, 20) // 10 and 11 were passed over
	if lag, behind := r.Lag(), r.Behind(); lag != 20 || behind != 22 {
		t.Errorf("lag %d, behind %d; want 10 of each partition, and the two that were passed over", lag, behind)
	}
	b.read(r, 0, 20, 30)
	b.read(r, 1, 0, 10)
	if lag := r.Lag(); lag != 0 {
		t.Errorf("lag %d at the end of the log", lag)
	}
}

func TestWindowForgetsOldOffsets(t *testing.T) {
	topic := NewTopic("t", 1, runID, Options{Window: 2 * pageLen})
	w := topic.windows[0]
	for o := range int64(5 * pageLen) {
		if !w.check(o, fingerprint(1, o)) {
			t.Fatal("a first look found something")
		}
	}
	if len(w.pages) != 2 || !w.check(0, 1) || w.unlooked != 1 {
		t.Errorf("%d pages, %d unlooked", len(w.pages), w.unlooked)
	}
	if w.check(5*pageLen-1, fingerprint(2, 2)) {
		t.Error("another record at a recent offset was not noticed")
	}
}

// The interval set against a map.
func TestSpansAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s, u spans
		in, other := map[int64]bool{}, map[int64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			seq := rapid.Int64Range(0, 40).Draw(t, "seq")
			if rapid.Bool().Draw(t, "which") {
				if added, _ := s.insert(seq, seq*10); added == in[seq] {
					t.Fatalf("insert(%d) = %t", seq, added)
				}
				in[seq] = true
			} else {
				u.insert(seq, seq)
				other[seq] = true
			}
		}
		if s.count() != int64(len(in)) {
			t.Fatalf("count %d, want %d", s.count(), len(in))
		}
		for i, r := range s.runs {
			if r.lo >= r.hi || i > 0 && s.runs[i-1].hi >= r.lo {
				t.Fatalf("runs %v overlap or touch", s.runs)
			}
			if r.offLo != r.lo*10 || r.offHi != (r.hi-1)*10 {
				t.Fatalf("run %+v does not know the offsets at its ends", r)
			}
		}
		got := map[int64]string{}
		s.minus(&u, func(lo, hi int64) {
			for x := lo; x < hi; x++ {
				got[x] += "m"
			}
		})
		s.both(&u, func(lo, hi int64) {
			for x := lo; x < hi; x++ {
				got[x] += "b"
			}
		})
		for x := range int64(41) {
			want := ""
			if in[x] && other[x] {
				want = "b"
			} else if in[x] {
				want = "m"
			}
			if got[x] != want {
				t.Fatalf("%d: %q, want %q", x, got[x], want)
			}
		}
	})
}

// L7: an undamaged log read in pieces, in any order, by any number of calls, violates nothing; a planted loss is always found.
func TestAnyOrderOfReadingGivesTheSameVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBroker(1)
		n := rapid.IntRange(1, 80).Draw(t, "records")
		b.produce(0, n)
		lost := rapid.Bool().Draw(t, "lost")
		at := -1
		if lost {
			at = rapid.IntRange(0, n-1).Draw(t, "at")
			b.logs[0][at].value = nil
		}
		r := b.t.Reader("group")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for _, piece := range rng.Perm((n + 6) / 7) {
			b.read(r, 0, piece*7, min(piece*7+7, n))
			if rng.IntN(3) == 0 {
				b.read(r, 0, piece*7, min(piece*7+3, n)) // again
			}
		}
		r.Complete(0)
		want := counting{}
		if lost {
			want[Lost] = 1
		}
		if v := b.t.Judge(nil); fmt.Sprint(violations(v)) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v (lost at %d)", violations(v), want, at)
		}
	})
}
