package ledger

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/loadscript/internal/gen"
)

// Options of a Topic. The zero value means the defaults.
type Options struct {
	// Exclusive says that nobody else writes to the topic: a record without a stamp is then a changed one, not a foreign one.
	Exclusive bool
	// ProbeID is the run id of probe records: they are known, and count as nothing.
	ProbeID uint64
	// Window is the number of newest offsets per partition that L6 checks; default 1 Mi for the whole topic, at least 64 Ki
	// for each partition. One offset costs 4 bytes.
	Window int
	// Examples is how many examples of each kind a verdict carries; default 10.
	Examples int
}

const (
	defaultWindow   = 1 << 20
	leastWindow     = 64 << 10
	defaultExamples = 10
)

// Topic is the account of one topic. Add lanes and readers before records flow; after that every method may be called from
// any goroutine.
type Topic struct {
	name    string
	runID   uint64
	opts    Options
	lanes   []map[uint32]*Lane // by partition, then producer
	windows []*window
	readers []*Reader
	acked   atomic.Int64

	mu           sync.Mutex
	inconsistent int64 // found by acknowledgements; guarded by mu, as below
	undecided    [][]Part
	examples     examples
}

// NewTopic opens the account of a topic in the run (or scenario) with the given id.
func NewTopic(name string, partitions int32, runID uint64, opts Options) *Topic {
	if opts.Window == 0 {
		opts.Window = max(defaultWindow/max(int(partitions), 1), leastWindow)
	}
	if opts.Examples == 0 {
		opts.Examples = defaultExamples
	}
	t := &Topic{name: name, runID: runID, opts: opts, examples: examples{limit: opts.Examples}}
	for range partitions {
		t.lanes = append(t.lanes, map[uint32]*Lane{})
		t.windows = append(t.windows, &window{pages: map[int64]*[pageLen]uint32{}, limit: max(opts.Window/pageLen, 1)})
	}
	return t
}

// Name is the topic's name.
func (t *Topic) Name() string { return t.name }

// Partitions is the number of partitions.
func (t *Topic) Partitions() int32 { return int32(len(t.lanes)) }

// RunID is what the stamps of this account's records say.
func (t *Topic) RunID() uint64 { return t.runID }

// Acked is the number of records acknowledged so far.
func (t *Topic) Acked() int64 { return t.acked.Load() }

// Lane is what one producer sent to one partition.
type Lane struct {
	topic     *Topic
	producer  uint32
	partition int32
	sent      atomic.Int64

	mu      sync.Mutex
	acked   spans // guarded by mu, as below
	failed  spans // offsets are meaningless here, and in aborted
	aborted spans
}

// Lane returns the account of a producer in a partition, new or not.
func (t *Topic) Lane(producer uint32, partition int32) *Lane {
	l := t.lanes[partition][producer]
	if l == nil {
		l = &Lane{topic: t, producer: producer, partition: partition}
		t.lanes[partition][producer] = l
	}
	return l
}

// Sent takes the next sequence: call it before the client may send the record.
func (l *Lane) Sent() int64 { return l.sent.Add(1) - 1 }

// Acked notes that the broker acknowledged the sequence at the offset. A negative offset means that the broker did not tell.
// A record of a transaction counts as acknowledged once the commit is.
func (l *Lane) Acked(seq, offset int64) {
	l.mu.Lock()
	added, _ := l.acked.insert(seq, offset)
	l.mu.Unlock()
	if !added {
		panic(fmt.Sprintf("ledger: sequence %d of producer %d in partition %d acknowledged twice", seq, l.producer, l.partition))
	}
	l.topic.acked.Add(1)
	if offset >= 0 && !l.topic.windows[l.partition].check(offset, fingerprint(l.producer, seq)) {
		t := l.topic
		t.mu.Lock()
		t.inconsistent++
		t.examples.add(Example{
			Kind: Inconsistent, Topic: t.name, Partition: l.partition, Producer: l.producer, Sequence: seq, Offset: offset, Other: -1,
			Text: "acknowledged with an offset at which another record is",
		})
		t.mu.Unlock()
	}
}

// Failed notes that the broker refused the record for good.
func (l *Lane) Failed(seq int64) {
	l.mu.Lock()
	l.failed.insert(seq, seq)
	l.mu.Unlock()
}

// Reader is one view of the topic: a consume flow with all its members, or the reading back at the end.
type Reader struct {
	topic     *Topic
	name      string
	committed bool // reads committed records only
	seen      atomic.Int64
	parts     []*readerPart
}

type readerPart struct {
	mu       sync.Mutex
	offsets  spans // offsets read; guarded by mu, as all below
	lanes    map[uint32]*spans
	complete bool
	counts   counts
	commits  commits
	unplaced int64 // damaged records whose stamp does not say which one they are
	examples examples
}

type counts struct {
	duplicates, reordered, corrupt, phantom, inconsistent, abortedRead, foreign, redelivered int64
}

func (c *counts) add(d counts) {
	c.duplicates += d.duplicates
	c.reordered += d.reordered
	c.corrupt += d.corrupt
	c.phantom += d.phantom
	c.inconsistent += d.inconsistent
	c.foreign += d.foreign
	c.redelivered += d.redelivered
}

// Reader opens a view; the name is for people.
func (t *Topic) Reader(name string) *Reader {
	r := &Reader{topic: t, name: name}
	for range t.lanes {
		r.parts = append(r.parts, &readerPart{lanes: map[uint32]*spans{}, examples: examples{limit: t.opts.Examples}})
	}
	t.readers = append(t.readers, r)
	return r
}

// CommittedReader opens a view with isolation read_committed: nothing of an aborted transaction may be in it.
func (t *Topic) CommittedReader(name string) *Reader {
	r := t.Reader(name)
	r.committed = true
	return r
}

// Name is the reader's name.
func (r *Reader) Name() string { return r.name }

// Read judges one record as it was read: it decodes the stamp and calls the right method. first is true when the stamped
// record is of this run, intact and new to this reader: the delivery whose latency counts.
func (r *Reader) Read(partition int32, offset int64, key, value, header []byte) (s gen.Stamp, first bool) {
	s, condition := gen.Decode(key, value, header)
	switch {
	case condition == gen.Intact && s.RunID == r.topic.runID:
		return s, r.Seen(partition, offset, s)
	case condition == gen.Intact && s.RunID == r.topic.opts.ProbeID && s.RunID != 0:
		r.Skip(partition, offset)
	case condition == gen.Intact, condition == gen.Unknown && !r.topic.opts.Exclusive:
		r.Foreign(partition, offset)
	case condition == gen.Damaged && s.RunID != r.topic.runID && !r.topic.opts.Exclusive:
		r.Foreign(partition, offset)
	default:
		r.Damaged(partition, offset, s)
	}
	return s, false
}

// Seen notes an intact record of this run and says whether it was new to this reader.
func (r *Reader) Seen(partition int32, offset int64, s gen.Stamp) (first bool) {
	t := r.topic
	lane := t.lanes[partition][s.Producer]
	print := fingerprint(s.Producer, s.Sequence)
	consistent := t.windows[partition].check(offset, print)
	p := r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	example := Example{Topic: t.name, Partition: partition, Producer: s.Producer, Sequence: s.Sequence, Offset: offset, Other: -1, Reader: r.name}
	fresh, _ := p.offsets.insert(offset, offset)
	if !consistent {
		p.counts.inconsistent++
		p.examples.add(example.as(Inconsistent, "another record was read or acknowledged at this offset"))
	}
	if !fresh {
		p.counts.redelivered++
		return false
	}
	if lane == nil || s.Partition != partition || s.Sequence < 0 || s.Sequence >= lane.sent.Load() {
		p.counts.phantom++
		p.examples.add(example.as(Phantom, fmt.Sprintf("never sent to this partition (the stamp says partition %d)", s.Partition)))
		return false
	}
	set := p.lane(s.Producer)
	added, ordered := set.insert(s.Sequence, offset)
	switch {
	case !added:
		p.counts.duplicates++
		if run, ok := set.find(s.Sequence); ok {
			if other, known := run.offsetOf(s.Sequence); known {
				example.Other = other
			}
		}
		p.examples.add(example.as(Duplicate, "the same record is also at another offset"))
		return false
	case !ordered:
		p.counts.reordered++
		p.examples.add(example.as(Reordered, "its offset does not lie between those of the neighbouring sequences"))
	}
	r.seen.Add(1)
	return true
}

func (p *readerPart) lane(producer uint32) *spans {
	set := p.lanes[producer]
	if set == nil {
		set = &spans{}
		p.lanes[producer] = set
	}
	return set
}

// Damaged notes a record that is not as it was sent; s is what its stamp says, right or wrong. If it can be told which one it
// was, it counts as seen: it is corrupt, not lost.
func (r *Reader) Damaged(partition int32, offset int64, s gen.Stamp) {
	t, p := r.topic, r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if fresh, _ := p.offsets.insert(offset, offset); !fresh {
		p.counts.redelivered++
		return
	}
	p.counts.corrupt++
	p.examples.add(Example{
		Kind: Corrupt, Topic: t.name, Partition: partition, Producer: s.Producer, Sequence: s.Sequence, Offset: offset, Other: -1, Reader: r.name,
		Text: "key, value or stamp differ from what was sent",
	})
	lane := t.lanes[partition][s.Producer]
	if lane != nil && s.RunID == t.runID && s.Partition == partition && s.Sequence >= 0 && s.Sequence < lane.sent.Load() {
		if added, _ := p.lane(s.Producer).insert(s.Sequence, offset); added {
			r.seen.Add(1)
			return
		}
	}
	p.unplaced++
}

// Unreadable notes that the client could not decode what the broker sent (a batch checksum that does not match, say).
func (r *Reader) Unreadable(partition int32, why string) {
	p := r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.examples.has(Corrupt, why) {
		return // the client asks again and again: one batch is one finding
	}
	p.counts.corrupt++
	p.examples.add(Example{Kind: Corrupt, Topic: r.topic.name, Partition: partition, Sequence: -1, Offset: -1, Other: -1, Reader: r.name, Text: why})
}

// Foreign notes a record of somebody else.
func (r *Reader) Foreign(partition int32, offset int64) {
	p := r.parts[partition]
	p.mu.Lock()
	if fresh, _ := p.offsets.insert(offset, offset); fresh {
		p.counts.foreign++
	} else {
		p.counts.redelivered++
	}
	p.mu.Unlock()
}

// Skip notes an offset that holds nothing to judge: a probe, a transaction marker.
func (r *Reader) Skip(partition int32, offset int64) {
	p := r.parts[partition]
	p.mu.Lock()
	p.offsets.insert(offset, offset)
	p.mu.Unlock()
}

// Position is one more than the highest offset read of the partition; 0 before the first.
func (r *Reader) Position(partition int32) int64 {
	p := r.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.offsets.runs); n > 0 {
		return p.offsets.runs[n-1].hi
	}
	return 0
}

// Complete notes that the reader has read the partition to its end after the last record was written: what it has not seen is
// not there.
func (r *Reader) Complete(partition int32) {
	p := r.parts[partition]
	p.mu.Lock()
	p.complete = true
	p.mu.Unlock()
}

// Count is the number of records of this run that the reader has seen, each once.
func (r *Reader) Count() int64 { return r.seen.Load() }

// Behind is the number of acknowledged records that the reader has not seen: exact when nothing is in flight.
func (r *Reader) Behind() int64 {
	var n int64
	for partition, lanes := range r.topic.lanes {
		p := r.parts[partition]
		for producer, lane := range lanes {
			lane.mu.Lock()
			p.mu.Lock()
			lane.acked.minus(p.lane(producer), func(lo, hi int64) { n += hi - lo })
			p.mu.Unlock()
			lane.mu.Unlock()
		}
	}
	return n
}

// Lag is the number of acknowledged records beyond the last one that the reader has seen of each producer: what it is behind
// the end of the log. What it passed over is a loss, and not a lag.
func (r *Reader) Lag() int64 {
	var n int64
	for partition, lanes := range r.topic.lanes {
		p := r.parts[partition]
		for producer, lane := range lanes {
			p.mu.Lock()
			end := int64(0)
			if runs := p.lane(producer).runs; len(runs) > 0 {
				end = runs[len(runs)-1].hi
			}
			p.mu.Unlock()
			lane.mu.Lock()
			for i := len(lane.acked.runs) - 1; i >= 0 && lane.acked.runs[i].hi > end; i-- {
				n += lane.acked.runs[i].hi - max(lane.acked.runs[i].lo, end)
			}
			lane.mu.Unlock()
		}
	}
	return n
}
