package inspect_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher is an Observer that lets a test wait for a flush.
type watcher struct {
	mu   sync.Mutex
	cond sync.Cond
	end  batch.Offset
	err  error
}

func newWatcher() *watcher {
	w := &watcher{}
	w.cond.L = &w.mu
	return w
}

func (w *watcher) Flushed(end batch.Offset) {
	w.mu.Lock()
	w.end = end
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *watcher) Failed(err error) {
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *watcher) wait(end batch.Offset) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.end < end && w.err == nil {
		w.cond.Wait()
	}
	return w.err
}

// log is an open log and how many batches it was given.
type log struct {
	*engine.Log
	w *watcher
	n int
}

// store is an engine with logs.
type store struct {
	*engine.Engine
	fs   disk.FS
	dir  string
	logs map[string]*log
}

func openStore(fs disk.FS, dir string) (*store, error) {
	e, err := engine.Open(context.Background(), engine.Options{
		FS: fs, Dir: dir, CommitFileBytes: 128 << 10, CommitFiles: 3, ReserveBytes: -1, CacheBytes: 1 << 20, ScrubInterval: -1, TidyInterval: time.Hour,
		CleanerBytes: 16 << 10, CleanBytesPerSecond: 1 << 40,
	})
	return &store{e, fs, dir, map[string]*log{}}, err
}

func (s *store) open(name string, d engine.Durability) (*log, error) {
	w := newWatcher()
	l, err := s.OpenLog(name, engine.LogOptions{Durability: d, SegmentBytes: 6 << 10, IndexIntervalBytes: 1 << 10, FlushInterval: time.Hour, Observer: w,
		Compact: name == "a", MinDirtyRatio: 0.01})
	if err != nil {
		return nil, err
	}
	s.logs[name] = &log{Log: l, w: w}
	return s.logs[name], nil
}

// makeBatch is the i-th batch: 1 to 5 records, the codecs in turn, the producer 7 or none, and a size that differs.
func makeBatch(i int) batch.Batch {
	b := batch.Builder{}
	for j := range i%5 + 1 {
		value := fmt.Appendf(nil, "value %d of batch %d %0*d", j, i, i%7*60, 0)
		b.Add(time.UnixMilli(1700000000000+int64(i*1000+j)), fmt.Appendf(nil, "key %d", j), value, batch.Header{Key: []byte("h"), Value: nil})
	}
	out := b.Batch()
	if c := batch.Codec(i % 5); c != batch.None {
		packed, err := codec.Encode(slices.Clone(out[:batch.HeaderSize]), c, out.Records())
		if err != nil {
			panic(err) // the codec is known
		}
		out = packed
		binary.BigEndian.PutUint32(out[8:], uint32(len(out)-batch.Overhead))
		binary.BigEndian.PutUint16(out[21:], uint16(c))
		binary.BigEndian.PutUint32(out[17:], out.ComputeCRC())
	}
	return out
}

// sequenced gives a batch a producer.
func sequenced(b batch.Batch, id batch.ProducerID, seq batch.Sequence) batch.Batch {
	binary.BigEndian.PutUint64(b[43:], uint64(id))
	binary.BigEndian.PutUint16(b[51:], 3)
	binary.BigEndian.PutUint32(b[53:], uint32(seq))
	binary.BigEndian.PutUint32(b[17:], b.ComputeCRC())
	return b
}

// transactions appends n transactions of as many producers: every third is aborted, every third committed, every third left open.
func (l *log) transactions(n int) error {
	for i := range n {
		b := sequenced(makeBatch(5*i), batch.ProducerID(i), 0)
		b[22] |= 0x10
		binary.BigEndian.PutUint32(b[17:], b.ComputeCRC())
		all := []batch.Batch{b}
		if kind := []batch.ControlType{batch.Abort, batch.Commit}; i%3 < 2 {
			all = append(all, batch.EndTxnMarker(kind[i%3], batch.ProducerID(i), 3, 1, time.UnixMilli(1700000000000)))
		}
		for _, b := range all {
			at, err := l.Append(b, 1, nil)
			if err == nil {
				err = l.w.wait(at.Last + 1)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// append appends n batches, each flushed before the next.
func (l *log) append(n int) error {
	for range n {
		b := makeBatch(l.n)
		if l.n%3 == 0 {
			b = sequenced(b, batch.ProducerID(1000+l.EndOffset()), 0)
		}
		at, err := l.Append(b, batch.Epoch(l.n/20), nil)
		if err != nil {
			return err
		}
		if err := l.w.wait(at.Last + 1); err != nil {
			return err
		}
		l.n++
	}
	return nil
}

// build fills a data directory with one log of each kind, and leaves it open.
func build(t testing.TB, fs disk.FS, dir string) *store {
	t.Helper()
	s, err := openStore(fs, dir)
	must(t, err)
	for _, x := range []struct {
		name string
		d    engine.Durability
	}{{"orders-0", engine.Fsync}, {"trimmed-0", engine.Fsync}, {"cut-0", engine.Fsync}, {"loose-0", engine.PageCache}, {"timed-0", engine.Interval}, {"gone-0", engine.Fsync}} {
		l, err := s.open(x.name, x.d)
		must(t, err)
		must(t, l.append(120))
	}
	must(t, s.logs["trimmed-0"].Trim(200))
	must(t, s.logs["cut-0"].Cut(151))
	must(t, s.logs["cut-0"].append(10))
	must(t, s.logs["orders-0"].append(20))
	must(t, s.Drop("gone-0"))
	l, err := s.open("ledger-0", engine.Fsync)
	must(t, err)
	must(t, l.transactions(90))
	return s
}

// sealed waits until every segment of a log but the last has its seal.
func (s *store) sealed(t testing.TB, name string) {
	t.Helper()
	for {
		entries, err := s.fs.ReadDir(path.Join(s.dir, name))
		must(t, err)
		logs, seals := 0, 0
		for _, e := range entries {
			switch path.Ext(e.Name) {
			case ".log":
				logs++
			case ".seal":
				seals++
			}
		}
		if seals+1 >= logs {
			return
		}
		runtime.Gosched()
	}
}

// removed waits until nothing that was dropped is left.
func (s *store) removed(t testing.TB) {
	t.Helper()
	for left := true; left; runtime.Gosched() {
		entries, err := s.fs.ReadDir(s.dir)
		must(t, err)
		left = slices.ContainsFunc(entries, func(e disk.Entry) bool { return path.Ext(e.Name) == ".deleted" })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gathered is a sink that keeps everything.
type gathered struct {
	rows     []inspect.Row
	findings []inspect.Finding
	kinds    map[string]int
}

func (g *gathered) Row(r inspect.Row) error {
	if g.kinds == nil {
		g.kinds = map[string]int{}
	}
	g.kinds[r.Kind]++
	g.rows = append(g.rows, r)
	return nil
}

func (g *gathered) Finding(f inspect.Finding) error {
	g.findings = append(g.findings, f)
	return nil
}

func (g *gathered) damage() (out []inspect.Finding) {
	for _, f := range g.findings {
		if f.Damage {
			out = append(out, f)
		}
	}
	return out
}

func look(t testing.TB, fs disk.FS, name string, o inspect.Options) *gathered {
	t.Helper()
	g := &gathered{}
	if err := inspect.Path(inspect.ReadOnly(fs), name, o, g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return g
}

// files reads all files below a folder.
func files(t testing.TB, fs disk.FS, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := fs.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.Dir {
			for n, b := range files(t, fs, name) {
				out[n] = b
			}
			continue
		}
		f, err := fs.Open(name)
		must(t, err)
		size, err := f.Size()
		must(t, err)
		b := make([]byte, size)
		must(t, disk.ReadFull(f, b, 0))
		must(t, f.Close())
		out[name] = b
	}
	return out
}

// diskOf makes a memory disk of files.
func diskOf(t testing.TB, all map[string][]byte) *disk.Mem {
	t.Helper()
	m := disk.NewMem()
	for name, b := range all {
		must(t, m.MkdirAll(path.Dir(name)))
		f, err := m.Create(name)
		must(t, err)
		must(t, f.WriteVec([][]byte{b}, 0))
		must(t, f.Close())
	}
	return m
}
