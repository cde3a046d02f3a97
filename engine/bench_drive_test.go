package engine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/uring"
)

// In these benchmarks one iteration is one round: the engine for -storage.round, then each bare program for as long. So
// -benchtime=5x means five alternating rounds, and each metric is the median of the rounds. A ratio x-… is the engine's figure
// over the bare one of the same round (for latencies also: below 1 is better there); its extremes are x-…:min and x-…:max.
var (
	roundTime = flag.Duration("storage.round", 300*time.Millisecond, "how long one side of one round of BenchmarkStorage_* runs")
	dataGiB   = flag.Float64("storage.gib", gibFromEnv(), "GiB of data to read and to recover in BenchmarkStorage_*; STREAMBUS_BENCH_GIB")
)

func gibFromEnv() float64 {
	if n, err := strconv.ParseFloat(os.Getenv("STREAMBUS_BENCH_GIB"), 64); err == nil && n > 0 {
		return n
	}
	return 1
}

func dataBytes() int64 { return int64(*dataGiB * (1 << 30)) }

// crcAt is where a batch holds its CRC (engine/batch; frozen by Kafka's format).
const crcAt = 17

// slot is one batch that a writer sends again and again, each time with other bytes. Its memory is free when the engine has released it
// and its writer has seen it acknowledged, in whichever order.
type slot struct {
	b       batch.Batch
	stamps  []int // positions in the values of its records, at most 512 bytes apart
	last    batch.Offset
	begin   time.Time
	pending atomic.Int32
	err     error
	*slots
}

// slots is where those of one writer come back.
type slots struct {
	acked chan *slot // has room for all
	free  chan *slot // has room for all
}

func newSlots(n, records, valueBytes int) *slots {
	all := &slots{acked: make(chan *slot, n), free: make(chan *slot, n)}
	for range n {
		all.free <- newSlot(records, valueBytes, all)
	}
	return all
}

func newSlot(records, valueBytes int, all *slots) *slot {
	s := &slot{slots: all}
	var build batch.Builder
	values := make([][]byte, records)
	for i := range values {
		values[i] = bare.Payload(valueBytes)
		build.Add(time.UnixMilli(1_700_000_000_000), nil, values[i])
	}
	s.b = build.Batch()
	at := 0
	for _, v := range values {
		at += bytes.Index(s.b[at:], v)
		for in := 0; in+8 <= len(v); in += 512 {
			s.stamps = append(s.stamps, at+in)
		}
		at += len(v)
	}
	return s
}

// restamp makes the batch differ from all sent before, in each sector, and its CRC right again.
func (s *slot) restamp() {
	n := bare.Unique()
	for _, at := range s.stamps {
		binary.LittleEndian.PutUint64(s.b[at:], n)
	}
	binary.BigEndian.PutUint32(s.b[crcAt:], s.b.ComputeCRC())
}

// Release implements engine.Owner.
func (s *slot) Release() { s.letGo() }

// letGo is called by the engine and by the writer, each when it is done with the bytes.
func (s *slot) letGo() {
	if s.pending.Add(-1) == 0 {
		s.free <- s
	}
}

// partition is a log and who waits for it, as a broker has it.
type partition struct {
	log     *engine.Log
	mu      sync.Mutex
	end     batch.Offset
	err     error
	waiting []*slot
}

// Flushed implements engine.Observer.
func (p *partition) Flushed(end batch.Offset) { p.wake(end, nil) }

// Failed implements engine.Observer.
func (p *partition) Failed(err error) { p.wake(0, err) }

func (p *partition) wake(end batch.Offset, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end, p.err = max(p.end, end), err
	keep := p.waiting[:0]
	for _, s := range p.waiting {
		if s.last >= p.end && p.err == nil {
			keep = append(keep, s)
			continue
		}
		s.err = p.err
		s.acked <- s
	}
	clear(p.waiting[len(keep):])
	p.waiting = keep
}

// send appends the slot's batch; the slot comes back as acked.
func (p *partition) send(s *slot) error {
	s.pending.Store(2)
	at, err := p.log.Append(s.b, 1, s)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.last, s.err = at.Last, p.err
	if s.last < p.end || s.err != nil {
		s.acked <- s
		return nil
	}
	p.waiting = append(p.waiting, s)
	return nil
}

// load is so many writers, each with its own slots and one partition. A batch is in flight until it is acknowledged; its memory may be
// the engine's for longer, until the segment is written, and meanwhile the writer goes on in another slot, as a broker reads the next
// request into another buffer.
type load struct {
	parts    []*partition
	slots    []*slots // by writer
	inFlight int      // of each writer
	records  int      // in a batch
	bytes    int      // of a batch
}

// slotsPerFlight is how many slots a writer has for each batch in flight. With too few it would measure the segments' writes too.
const slotsPerFlight = 4

func newLoad(parts []*partition, writers, inFlight, records, valueBytes int) *load {
	l := &load{parts: parts, inFlight: inFlight, records: records, bytes: len(newSlot(records, valueBytes, nil).b)}
	for range writers {
		l.slots = append(l.slots, newSlots(slotsPerFlight*inFlight, records, valueBytes))
	}
	return l
}

// round sends in a closed loop for d. An op is a record, a latency that of its batch.
func (l *load) round(d time.Duration) (bare.Run, error) {
	return bare.Round(d, len(l.slots), func(i int, t *bare.Tally, stop *atomic.Bool) error {
		return l.write(i, t, stop.Load)
	})
}

// fill sends so many bytes, evenly over the writers.
func (l *load) fill(total int64) (bare.Run, error) {
	each := total / int64(len(l.slots))
	return bare.Round(0, len(l.slots), func(i int, t *bare.Tally, stop *atomic.Bool) error {
		return l.write(i, t, func() bool { return t.Bytes >= each || stop.Load() })
	})
}

func (l *load) write(i int, t *bare.Tally, stop func() bool) error {
	p, own := l.parts[i%len(l.parts)], l.slots[i]
	flying := 0
	send := func() error {
		s := <-own.free
		s.restamp()
		s.begin = time.Now()
		flying++
		return p.send(s)
	}
	for range l.inFlight {
		if err := send(); err != nil {
			return err
		}
	}
	for flying > 0 {
		s := <-own.acked
		flying--
		if s.err != nil {
			return s.err
		}
		l.tally(t, s)
		s.letGo()
		if stop() {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) tally(t *bare.Tally, s *slot) {
	t.Latency.Add(time.Since(s.begin))
	t.Ops += int64(l.records)
	t.Bytes += int64(len(s.b))
}

// backEnd is a way to the disk: io=uring where this build and the kernel have it, io=sync.
type backEnd string

// backEnds lists those that can be had, the engine's own choice first.
func backEnds() []backEnd {
	if uring.Probe() != nil {
		return []backEnd{"io=sync"}
	}
	return []backEnd{"io=uring", "io=sync"}
}

// openEngine opens an engine on the real file system by the engine's own choice of back end, counting.
func openEngine(tb testing.TB, dir string, c *counts) *engine.Engine {
	tb.Helper()
	return backEnds()[0].open(tb, dir, c)
}

func (w backEnd) open(tb testing.TB, dir string, c *counts) *engine.Engine {
	tb.Helper()
	var d disk.FS = disk.OS{}
	if w == "io=uring" {
		ring, err := uring.Open(d, 256)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = ring.Close() }) // after the engine
		d = ring
	}
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir, FS: counted(d, c)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() }) // a benchmark that cares closes it itself
	return e
}

// openLogs opens logs prefix-0 … prefix-(n-1).
func openLogs(tb testing.TB, e *engine.Engine, prefix string, n int, o engine.LogOptions) []*partition {
	tb.Helper()
	out := make([]*partition, n)
	for i := range out {
		p := &partition{}
		o.Observer = p
		l, err := e.OpenLog(fmt.Sprintf("%s-%d", prefix, i), o)
		if err != nil {
			tb.Fatal(err)
		}
		p.log, p.end = l, l.FlushedEnd()
		out[i] = p
	}
	return out
}

// segmentFiles lists the segment files of a data directory.
func segmentFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("segments in %s: %v, %v", dir, names, err)
	}
	return names
}

// dropCaches makes the next read of the files a cold one.
func dropCaches(tb testing.TB, names []string) {
	tb.Helper()
	for _, name := range names {
		cached, err := bare.Drop(name)
		if err != nil {
			tb.Fatal(err)
		}
		if cached > 64 {
			tb.Logf("%s: %d pages are still cached", name, cached)
		}
	}
}

// samples gathers the metrics of rounds.
type samples struct{ bare.Samples }

func newSamples() samples { return samples{bare.Samples{}} }

// run adds what the engine did in a round, of which syncs went to the disk.
func (s samples) run(r *bare.Run, syncs int64) {
	s.Add("ns/op", float64(r.Elapsed.Nanoseconds())/float64(r.Ops))
	s.Add("MB/s", r.MBPerSecond())
	s.Add("records/s", r.OpsPerSecond())
	s.Add("CPU-s/GB", r.CPUPerGB())
	s.Add("allocs/record", float64(r.Mallocs)/float64(r.Ops))
	s.Add("fsyncs/op", float64(syncs)/float64(r.Ops))
	s.Quantiles("", &r.Latency)
}
