package ledger

import (
	"runtime"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/gen"
)

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Memory grows with gaps and not with records: a hundred million of them, or as many as two seconds allow, sent, acknowledged
// and read by four producers in turn, leave the heap where it was, and nothing is allocated on the way but the pages of the
// newest offsets. A gap costs what an interval costs.
func TestMemoryGrowsWithGapsNotWithRecords(t *testing.T) {
	const producers, window = 4, 64 << 10
	topic := NewTopic("orders", 1, runID, Options{Window: window})
	r := topic.Reader("group billing")
	lanes := make([]*Lane, producers)
	for i := range lanes {
		lanes[i] = topic.Lane(uint32(i), 0)
	}
	offset := int64(0)
	send := func(n int64) {
		for range n {
			lane := lanes[offset%producers]
			seq := lane.Sent()
			lane.Acked(seq, offset)
			if !r.Seen(0, offset, gen.Stamp{RunID: runID, Producer: lane.producer, Sequence: seq}) {
				t.Fatalf("offset %d was not new", offset)
			}
			offset++
		}
	}
	send(window * 2) // the window is full
	before := heap()
	for end := time.Now().Add(2 * time.Second); offset < 100_000_000 && time.Now().Before(end); {
		send(100_000)
	}
	grown := heap() - before
	t.Logf("%d records: the heap grew by %d bytes", offset, grown)
	if grown > 64<<10 {
		t.Errorf("%d records made the heap grow by %d bytes", offset, grown)
	}
	for _, lane := range lanes {
		if len(lane.acked.runs) != 1 || len(r.parts[0].lanes[lane.producer].runs) != 1 {
			t.Errorf("producer %d: %d intervals acknowledged, %d seen; want one each", lane.producer, len(lane.acked.runs), len(r.parts[0].lanes[lane.producer].runs))
		}
	}

	if n := testing.AllocsPerRun(1000, func() { send(1) }); n > 0.1 {
		t.Errorf("%v allocations per record", n)
	}

	const gaps = 10_000
	before = heap()
	for range gaps {
		lanes[0].Sent() // never answered, and nowhere: a gap in what was acknowledged and in what was seen
		send(producers)
	}
	grown = heap() - before
	if grown > gaps*2*64*2 { // two lists of spans of 32 bytes, which double when they are full
		t.Errorf("%d gaps cost %d bytes", gaps, grown)
	}
	r.Complete(0)
	if v := topic.Judge(nil); v.Violated() || v.Unknown != gaps || v.Views[0].Seen != offset {
		t.Errorf("verdict %+v: want %d unknown and nothing wrong", v, gaps)
	}
}
