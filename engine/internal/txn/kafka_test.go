package txn

import (
	"bytes"
	"strings"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// TestKafkaRebuildsTheSame: testdata holds three segments of one log and the .txnindex files that Kafka 3.9.1 (LogSegment.recover, run on
// the segments alone) made for them. Some transactions go from one segment to the next.
func TestKafkaRebuildsTheSame(t *testing.T) {
	const dir = "testdata/kafka-3.9.1"
	var table Table
	entries := 0
	for _, base := range []batch.Offset{0, 45, 110} {
		want, err := disk.ReadFile(disk.OS{}, Name(dir, base), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		log, err := disk.ReadFile(disk.OS{}, strings.TrimSuffix(Name(dir, base), Suffix)+".log", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(log))
		var x Index
		next := base
		for len(log) > 0 {
			b, err := batch.First(log)
			if err == nil {
				err = b.Check()
			}
			if err != nil {
				t.Fatal(err)
			}
			if a, aborted := table.Update(b); aborted {
				x.Add(a)
			}
			log, next = log[len(b):], b.NextOffset()
		}
		if got := appendEntries(nil, x.Entries()); !bytes.Equal(got, want) {
			t.Errorf("segment %d:\n%x, Kafka has\n%x", base, got, want)
		}
		sum := sumOf(want)
		if y, err := ReadFile(disk.OS{}, dir, base, Bounds{Size: size, Next: next, Sum: &sum}); err != nil || y.Len() != x.Len() {
			t.Errorf("segment %d: %d entries, %v", base, y.Len(), err)
		}
		entries += x.Len()
	}
	if entries != 16 {
		t.Errorf("%d entries", entries)
	}
}
