package producer

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"pgregory.net/rapid"
)

// sentBatch is a batch of n records of producer 1.
func sentBatch(epoch batch.ProducerEpoch, first batch.Sequence, n int, base batch.Offset) batch.Batch {
	return batchOf(1, epoch, first, n, base)
}

func batchOf(id batch.ProducerID, epoch batch.ProducerEpoch, first batch.Sequence, n int, base batch.Offset) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: epoch, BaseSequence: first, Sequenced: true}
	for range n {
		b.Add(time.UnixMilli(1), nil, nil)
	}
	out := b.Batch()
	out.Stamp(base, 0)
	return out
}

// marker ends a transaction of a producer.
func marker(id batch.ProducerID, epoch batch.ProducerEpoch, base batch.Offset) batch.Batch {
	b := batch.EndTxnMarker(batch.Commit, id, epoch, 1, time.UnixMilli(1))
	b.Stamp(base, 0)
	return b
}

// accept puts a batch to the table as a log does, and gives what came of it.
func accept(t *Table, b batch.Batch) string {
	base, duplicate, err := t.Check(b)
	switch {
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, ErrOutOfOrder):
		return "out of order"
	case err != nil:
		return err.Error()
	case duplicate:
		return fmt.Sprint("duplicate of ", base)
	}
	t.Update(b)
	return "accepted"
}

func TestTable(t *testing.T) {
	type send struct {
		epoch batch.ProducerEpoch
		first batch.Sequence
		n     int // 0: a marker
		want  string
	}
	for name, sends := range map[string][]send{
		"in order":                    {{0, 0, 3, "accepted"}, {0, 3, 1, "accepted"}, {0, 4, 2, "accepted"}},
		"the first may be anything":   {{5, 77, 1, "accepted"}, {5, 78, 1, "accepted"}}, // older state may have been evicted
		"again":                       {{0, 0, 3, "accepted"}, {0, 0, 3, "duplicate of 0"}, {0, 3, 1, "accepted"}, {0, 0, 3, "duplicate of 0"}},
		"a gap":                       {{0, 0, 3, "accepted"}, {0, 4, 1, "out of order"}, {0, 3, 1, "accepted"}},
		"a part of one again":         {{0, 0, 3, "accepted"}, {0, 0, 2, "out of order"}, {0, 1, 2, "out of order"}},
		"across the end of the range": {{0, math.MaxInt32 - 1, 3, "accepted"}, {0, 1, 1, "accepted"}, {0, math.MaxInt32 - 1, 3, "duplicate of 0"}},
		"without sequences":           {{3, -1, 3, "accepted"}, {3, -1, 3, "accepted"}, {2, -1, 1, "fenced"}, {4, -1, 1, "accepted"}, {3, -1, 1, "fenced"}}, // I4
		"an older epoch":              {{3, 0, 1, "accepted"}, {2, 1, 1, "fenced"}, {2, 0, 1, "fenced"}},
		"a newer epoch begins at 0":   {{3, 0, 9, "accepted"}, {4, 9, 1, "out of order"}, {4, 0, 1, "accepted"}, {4, 1, 1, "accepted"}},
		"a newer epoch forgets":       {{3, 0, 1, "accepted"}, {4, 0, 1, "accepted"}, {4, 0, 1, "duplicate of 1"}, {3, 0, 1, "fenced"}},
		"five are remembered": {{0, 0, 1, "accepted"}, {0, 1, 1, "accepted"}, {0, 2, 1, "accepted"}, {0, 3, 1, "accepted"}, {0, 4, 1, "accepted"},
			{0, 0, 1, "duplicate of 0"}, {0, 5, 1, "accepted"}, {0, 1, 1, "duplicate of 1"}, {0, 0, 1, "out of order"}},
		"a marker has no sequence":       {{0, 0, 3, "accepted"}, {0, 0, 0, "accepted"}, {0, 0, 0, "accepted"}, {0, 3, 1, "accepted"}, {0, 0, 3, "duplicate of 0"}},
		"a marker begins an epoch":       {{0, 0, 3, "accepted"}, {1, 0, 0, "accepted"}, {0, 3, 1, "fenced"}, {1, 3, 1, "out of order"}, {1, 0, 1, "accepted"}, {1, 1, 1, "accepted"}},
		"a marker of an older epoch":     {{3, 0, 1, "accepted"}, {2, 0, 0, "fenced"}, {3, 1, 1, "accepted"}},
		"a marker of an unknown one":     {{4, 0, 0, "accepted"}, {3, 0, 1, "fenced"}, {4, 7, 1, "out of order"}, {4, 0, 1, "accepted"}},
		"an epoch newer than a marker's": {{4, 0, 0, "accepted"}, {5, 7, 1, "out of order"}, {5, 0, 1, "accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			var table Table
			end := batch.Offset(0)
			for i, s := range sends {
				b := marker(1, s.epoch, end)
				if s.n > 0 {
					b = sentBatch(s.epoch, s.first, s.n, end)
				}
				got := accept(&table, b)
				if got != s.want {
					t.Errorf("send %d (epoch %d, sequence %d, %d records): %s, want %s", i, s.epoch, s.first, s.n, got, s.want)
				}
				if got == "accepted" {
					end = b.NextOffset()
				}
			}
		})
	}
}

func TestWhoHasNoIDIsNotLookedAt(t *testing.T) {
	var table Table
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, nil)
	nobodys := b.Batch()
	for range 3 {
		if got := accept(&table, nobodys); got != "accepted" {
			t.Error(got)
		}
	}
	if table.Len() != 0 {
		t.Errorf("%d are remembered", table.Len())
	}
}

func TestTableIsBounded(t *testing.T) {
	var table Table
	b := sentBatch(0, 0, 1, 0)
	for i := range 3 * MaxProducers {
		b = batchOf(batch.ProducerID(i), 0, 0, 1, batch.Offset(i))
		if table.Update(b); table.Len() > MaxProducers {
			t.Fatalf("I3: %d producers", table.Len())
		}
	}
	if _, dup, _ := table.Check(b); !dup {
		t.Error("the newest was forgotten")
	}
	if _, dup, _ := table.Check(batchOf(0, 0, 0, 1, 0)); dup {
		t.Error("the oldest is still there")
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	var table Table
	table.Update(sentBatch(0, 0, 1, 0))
	again, next, end := sentBatch(0, 0, 1, 0), sentBatch(0, 1, 1, 1), marker(1, 0, 1)
	if n := testing.AllocsPerRun(100, func() {
		_, _, _ = table.Check(again)
		_, _, _ = table.Check(next)
		_, _, _ = table.Check(end)
		table.Update(end)
	}); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// draw makes any batch of a producer.
func draw(t *rapid.T, end batch.Offset) batch.Batch {
	id, epoch := batch.ProducerID(rapid.IntRange(1, 3).Draw(t, "producer")), batch.ProducerEpoch(rapid.IntRange(0, 2).Draw(t, "epoch"))
	if rapid.IntRange(0, 4).Draw(t, "marker") == 0 {
		return marker(id, epoch, end)
	}
	return batchOf(id, epoch, batch.Sequence(rapid.IntRange(0, 8).Draw(t, "sequence")), rapid.IntRange(1, 3).Draw(t, "records"), end)
}

// A table rebuilt from the log at any moment answers as the one that saw it all: otherwise a crash would let a duplicate in.
func TestRebuiltTableAnswersAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var live Table
		var log []batch.Batch
		end := batch.Offset(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "sends") {
			b := draw(t, end)
			var rebuilt Table
			for _, old := range log {
				rebuilt.Update(old)
			}
			base, dup, err := live.Check(b)
			base2, dup2, err2 := rebuilt.Check(b)
			if base != base2 || dup != dup2 || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Fatalf("send %d: %d %t %v; rebuilt %d %t %v", i, base, dup, err, base2, dup2, err2)
			}
			if b.Control() && (dup || err != nil && !errors.Is(err, ErrFenced)) {
				t.Fatalf("I4: %t, %v", dup, err)
			}
			if dup { // I2
				for _, old := range log {
					if old.BaseOffset() == base && (old.ProducerID() != b.ProducerID() || old.BaseSequence() != b.BaseSequence() || old.Count() != b.Count()) {
						t.Fatalf("answered with the offsets of another batch")
					}
				}
			}
			if err == nil && !dup {
				live.Update(b)
				log = append(log, b)
				end = b.NextOffset()
				if last := end - 1; !b.Control() && !live.EndsAt(b.ProducerID(), last) || live.EndsAt(b.ProducerID(), end) {
					t.Fatalf("the newest batch ends at %d, and it is not known to", last)
				}
			}
		}
	})
}

// A table that went through a snapshot answers as before.
func TestSnapshotAnswersAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		end := batch.Offset(0)
		for range rapid.IntRange(0, 60).Draw(t, "sends") {
			b := draw(t, end)
			if rapid.IntRange(0, 9).Draw(t, "snapshot") == 0 {
				encoded := table.Append([]byte("x"))
				again, rest, err := Parse(append(encoded[1:], "rest"...))
				if err != nil || string(rest) != "rest" || again.Len() != table.Len() {
					t.Fatalf("%d producers became %d, %q is left: %v", table.Len(), again.Len(), rest, err)
				}
				base, dup, err := table.Check(b)
				base2, dup2, err2 := again.Check(b)
				if base != base2 || dup != dup2 || fmt.Sprint(err) != fmt.Sprint(err2) {
					t.Fatalf("%d %t %v; from the snapshot %d %t %v", base, dup, err, base2, dup2, err2)
				}
				table = again
			}
			if accept(&table, b) == "accepted" {
				end = b.NextOffset()
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	var table Table
	for i := range 7 {
		table.Update(batchOf(batch.ProducerID(i%2), 0, batch.Sequence(i), 1, batch.Offset(i)))
	}
	table.Update(marker(7, 1, 9))
	f.Add(table.Append(nil))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, rest, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Error(err)
			}
			return
		}
		if again := table.Append(nil); len(again) != len(b)-len(rest) {
			t.Errorf("%d bytes were taken, %d come back", len(b)-len(rest), len(again))
		}
	})
}
