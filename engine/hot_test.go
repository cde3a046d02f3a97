package engine

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// The newest batches are found, and small ones given, without a system call; what is older is read, and is the same.
func TestTailIsReadWithoutSystemCalls(t *testing.T) {
	var calls atomic.Int64
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if strings.HasSuffix(name, ".log") && op != "write" && op != "sync" {
			calls.Add(1)
		}
		return nil
	})
	e := mustOpen(t, smallOptions(fs, "/d"))
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 1 << 20})
	for i := range 300 {
		appendAll(t, l, w, makeBatch(fmt.Sprint(i), 3, 0))
	}
	read := func(from batch.Offset, maxBytes int) (got []byte, next batch.Offset, n int64) {
		before := calls.Load()
		s, err := l.Read(from, 900, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		if got, err = s.AppendTo(nil); err != nil || len(got) != s.Size() {
			t.Fatal(err, len(got), s.Size())
		}
		return got, s.Next(), calls.Load() - before
	}
	l.mu.Lock()
	hottest := l.recent.Get(0).Base
	l.mu.Unlock()
	for from := batch.Offset(0); from < 900; from += 7 {
		for _, maxBytes := range []int{1, 500, 20_000} {
			got, next, n := read(from, maxBytes)
			if hot := from >= hottest; hot && n != 0 || !hot && n == 0 {
				t.Fatalf("offset %d (hot from %d): %d system calls", from, hottest, n)
			}
			l.mu.Lock()
			known := l.recent
			l.recent.Forget()
			l.mu.Unlock()
			cold, coldNext, _ := read(from, maxBytes)
			l.mu.Lock()
			l.recent = known
			l.mu.Unlock()
			if string(cold) != string(got) || next != coldNext {
				t.Fatalf("offset %d, at most %d: %d bytes to %d from memory, %d to %d from the file", from, maxBytes, len(got), next, len(cold), coldNext)
			}
		}
	}
	s, err := l.Read(890, 900, 1000)
	if err != nil || s.hot == nil {
		t.Fatal("not from memory", err)
	}
	if n := testing.AllocsPerRun(100, func() {
		s, _ := l.Read(890, 900, 1000)
		s.Release()
	}); n > 0 && !raceEnabled {
		t.Errorf("%.0f allocations a read", n)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := s.AppendTo(nil); err != nil || len(b) != s.Size() {
		t.Errorf("a span that is held outlives the engine: %d bytes, %v", len(b), err)
	}
	s.Release()
}

// The disk is asked to write a log back a MiB at a time, in whole pages, each once; a log that is left to the page cache is not.
func TestWritebackBeginsEarly(t *testing.T) {
	type stretch struct{ off, n int64 }
	for durability, want := range map[Durability]bool{Fsync: true, PageCache: false} {
		var mu sync.Mutex
		var asked []stretch
		o := smallOptions(noteWriteback{disk.NewMem(), func(off, n int64) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, stretch{off, n})
		}}, "/d")
		o.CommitFileBytes = 4 << 20
		e := mustOpen(t, o)
		w := newWatcher()
		l := mustLog(t, e, "t-0", LogOptions{Observer: w, Durability: durability})
		appendAll(t, l, w, makeBatch("first", 1, 0))
		if err := l.Trim(1); err != nil { // begins a segment that is not written to yet
			t.Fatal(err)
		}
		for range 70 {
			appendAll(t, l, w, makeBatch(strings.Repeat("x", 50_001), 1, 0))
			if err := l.writeOut(); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		end := int64(0)
		for _, s := range asked {
			if s.off != end || s.n%disk.PageSize != 0 || s.n < writebackBytes-disk.PageSize {
				t.Errorf("%v: asked for %d bytes at %d, after %d", durability, s.n, s.off, end)
			}
			end = s.off + s.n
		}
		if size := int64(70 * 50_001); want && end < size-writebackBytes || !want && end > 0 {
			t.Errorf("%v: asked for [0, %d) of %d bytes", durability, end, size)
		}
	}
}

// noteWriteback is a disk that says what it is asked to write back.
type noteWriteback struct {
	disk.FS
	note func(off, n int64)
}

type noteWritebackFile struct {
	disk.File
	note func(off, n int64)
}

func (d noteWriteback) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	return noteWritebackFile{f, d.note}, err
}

func (f noteWritebackFile) StartWriteback(off, n int64) error {
	f.note(off, n)
	return nil
}
