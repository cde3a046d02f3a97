package engine_test

import (
	"bytes"
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
)

// The facts that the benchmarks rest on, as counts, so that they hold on any machine.

// watched is a disk that notes the memory each write was given, and can hold up the syncs of the commit log.
type watched struct {
	disk.FS
	mu       sync.Mutex
	writes   []seenWrite
	syncs    []string
	arrived  chan struct{} // a sync of the commit log waits; nil: none is held up
	released chan struct{}
}

type seenWrite struct {
	name string
	at   []*byte  // where the buffers begin
	data [][]byte // what they held
}

type watchedFile struct {
	disk.File
	w    *watched
	name string
}

func (w *watched) Create(name string) (disk.File, error) {
	f, err := w.FS.Create(name)
	return &watchedFile{f, w, name}, err
}

func (w *watched) Open(name string) (disk.File, error) {
	f, err := w.FS.Open(name)
	return &watchedFile{f, w, name}, err
}

func (f *watchedFile) WriteVec(bufs [][]byte, off int64) error {
	seen := seenWrite{name: f.name}
	for _, b := range bufs {
		if len(b) > 0 {
			seen.at, seen.data = append(seen.at, &b[0]), append(seen.data, bytes.Clone(b))
		}
	}
	f.w.mu.Lock()
	f.w.writes = append(f.w.writes, seen)
	f.w.mu.Unlock()
	return f.File.WriteVec(bufs, off)
}

func (f *watchedFile) Sync() error {
	f.w.mu.Lock()
	f.w.syncs = append(f.w.syncs, f.name)
	arrived, released := f.w.arrived, f.w.released
	f.w.mu.Unlock()
	if arrived != nil && commitLog(f.name) {
		arrived <- struct{}{}
		<-released
	}
	return f.File.Sync()
}

// commitLog says whether a file belongs to the commit log; files are opened under the name of a spare.
func commitLog(name string) bool { return strings.Contains(name, "/commit/") }

// forget drops what was noted so far.
func (w *watched) forget() {
	w.mu.Lock()
	w.writes, w.syncs = nil, nil
	w.mu.Unlock()
}

// hold makes syncs of the commit log wait, or go on.
func (w *watched) hold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.arrived, w.released = make(chan struct{}), make(chan struct{})
		return
	}
	w.arrived = nil
	close(w.released)
}

// with gives the writes that carry the batch, by the memory they took it from.
func (w *watched) with(s *slot) map[*byte][]string {
	out := map[*byte][]string{}
	for _, seen := range w.writes {
		for i, at := range seen.at {
			if s.holds(seen.data[i]) {
				out[at] = append(out[at], seen.name)
			}
		}
	}
	return out
}

// holds says whether b is the slot's batch, or a copy of it: the CRC covers what makes each batch unlike all others.
func (s *slot) holds(b []byte) bool {
	return len(b) == len(s.b) && bytes.Equal(b[crcAt:], s.b[crcAt:])
}

// factBed is an engine on a watched disk, idle, with its files prepared.
func factBed(t *testing.T, partitions int) (*watched, *engine.Engine, []*partition) {
	t.Helper()
	w := &watched{FS: disk.OS{}}
	e, err := engine.Open(context.Background(), engine.Options{
		Dir: filepath.Join(t.TempDir(), "data"), FS: w, CommitFileBytes: 16 << 20, CommitFiles: 2, ReserveBytes: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	parts := openLogs(t, e, "facts", partitions, engine.LogOptions{})
	if err := sendAndWait(parts, takeSlots(2*partitions, 1)); err != nil { // reserves the first segments
		t.Fatal(err)
	}
	return w, e, parts
}

func takeSlots(n, records int) []*slot {
	all := newSlots(n, records, 1024)
	out := make([]*slot, n)
	for i := range out {
		out[i] = <-all.free
	}
	return out
}

// sendAndWait sends all slots, round robin over the partitions, and waits until all are acknowledged and released.
func sendAndWait(parts []*partition, all []*slot) error {
	for i, s := range all {
		s.restamp()
		if err := parts[i%len(parts)].send(s); err != nil {
			return err
		}
	}
	return await(all)
}

// await waits until all of one takeSlots are acknowledged and released.
func await(all []*slot) error {
	for range all {
		s := <-all[0].acked
		if s.err != nil {
			return s.err
		}
		s.letGo()
	}
	for range all {
		<-all[0].free
	}
	return nil
}

// TestAGroupIsOneWriteAndOneSync holds up one sync so that the next group is known: all that was appended meanwhile, to many
// logs. It must cost one write and one sync of the commit log, and no sync of a segment.
func TestAGroupIsOneWriteAndOneSync(t *testing.T) {
	const partitions, batches = 8, 64
	w, _, parts := factBed(t, partitions)
	first, group := takeSlots(1, 1), takeSlots(batches, 1)
	w.forget()
	w.hold(true)
	if err := parts[0].send(first[0]); err != nil {
		t.Fatal(err)
	}
	<-w.arrived
	for i, s := range group {
		if err := parts[i%partitions].send(s); err != nil {
			t.Fatal(err)
		}
	}
	w.hold(false)
	if err := await(first); err != nil {
		t.Fatal(err)
	}
	if err := await(group); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	commits, segments := map[string]int{}, 0
	for i := range w.writes {
		one := watched{writes: w.writes[i : i+1]}
		for _, s := range append(group, first...) {
			if len(one.with(s)) > 0 {
				if commitLog(w.writes[i].name) {
					commits[w.writes[i].name]++
				} else {
					segments++
				}
				break
			}
		}
	}
	writes := 0
	for _, n := range commits {
		writes += n
	}
	if writes != 2 || segments > partitions {
		t.Errorf("two groups: %d writes of the commit log, want 2; %d of segments, want at most %d", writes, segments, partitions)
	}
	syncs := 0
	for _, name := range w.syncs {
		if commits[name] > 0 {
			syncs++
		} else if !commitLog(name) {
			t.Errorf("%s was synced on the way of an append", name)
		}
	}
	if syncs != 2 {
		t.Errorf("two groups: %d syncs of the commit log, want 2", syncs)
	}
}

// TestRecordsAreNotCopied counts the copies of each batch that the disk is given: a large one is written to the commit log and to
// its segment from the memory given to Append, a small one from one copy, that of the cache. Each is written to each of them once.
func TestRecordsAreNotCopied(t *testing.T) {
	w, e, parts := factBed(t, 4)
	w.forget()
	slots := append(takeSlots(32, 1), takeSlots(8, 64)...)
	for _, some := range [][]*slot{slots[:32], slots[32:]} {
		for i, s := range some {
			s.restamp()
			if err := parts[i%len(parts)].send(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Close(); err != nil { // nobody waits for it, but large batches are given back when they are in their segments
		t.Fatal(err)
	}
	for i, s := range slots {
		if err := s.b.CheckFresh(); err != nil {
			t.Fatalf("batch %d is not what a producer sends: %v", i, err)
		}
		places := w.with(s)
		commits, segments, own := 0, 0, 0
		for at, names := range places {
			if at == &s.b[0] {
				own++
			}
			for _, name := range names {
				if commitLog(name) {
					commits++
				} else {
					segments++
				}
			}
		}
		large := len(s.b) > 32<<10
		if len(places) != 1 || (own == 1) != large || segments != 1 || commits != 1 {
			t.Errorf("batch %d of %d bytes: written from %d places, %d of them its own memory; to the commit log %d times, to a segment %d times",
				i, len(s.b), len(places), own, commits, segments)
		}
	}
}

// mostAllocs is the most that one batch may cost on the heap, from Append to the acknowledgement, on average over many: what
// is left are the sparse index, which grows, and the runtime's own.
const mostAllocs = 0.05

// TestAppendDoesNotAllocate counts the allocations of the whole process while batches go through the engine.
func TestAppendDoesNotAllocate(t *testing.T) {
	if underRace {
		t.Skip("the race detector makes allocations of its own")
	}
	const rounds, inFlight = 200, 64
	var c counts
	e := openSmall(t, &c)
	parts := openLogs(t, e, "facts", 8, engine.LogOptions{})
	slots := takeSlots(inFlight, 1)
	for range 20 { // pools, queues and index slices reach their size
		if err := sendAndWait(parts, slots); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		if err := sendAndWait(parts, slots); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / (rounds * inFlight); per > mostAllocs {
		t.Errorf("%.3f allocations a batch, want at most %g; who: go test ./engine -run %s -memprofile mem.out -memprofilerate 1",
			per, mostAllocs, t.Name())
	} else {
		t.Logf("%.4f allocations a batch", per)
	}
}

// mostTailReads is what a read of a small last batch may ask of the disk: nothing, it is in memory.
const mostTailReads = 0

// TestTailReadAsksNothingOfTheDisk counts the reads that a consumer at the tail of a log causes.
func TestTailReadAsksNothingOfTheDisk(t *testing.T) {
	var c counts
	e := openSmall(t, &c)
	parts := openLogs(t, e, "facts", 1, engine.LogOptions{})
	slots := takeSlots(1, 16)
	for i := range 50 {
		if err := sendAndWait(parts, slots); err != nil {
			t.Fatal(err)
		}
		before := c.reads.Load()
		end := parts[0].log.FlushedEnd()
		_, got, err := readSpan(parts[0].log, end-16, end, readBlock, nil)
		if err != nil || len(got) != len(slots[0].b) {
			t.Fatalf("read of the last batch: %d bytes, %v", len(got), err)
		}
		if n := c.reads.Load() - before; n > mostTailReads {
			t.Fatalf("append %d: the read of the last batch asked the disk %d times, want at most %d", i, n, mostTailReads)
		}
	}
}

func openSmall(t *testing.T, c *counts) *engine.Engine {
	t.Helper()
	e, err := engine.Open(context.Background(), engine.Options{
		Dir: filepath.Join(t.TempDir(), "data"), FS: counted(disk.OS{}, c), CommitFileBytes: 16 << 20, CommitFiles: 2, ReserveBytes: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
