package engine

import (
	"fmt"
	"strings"
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

// spied is a disk that counts writes by whether they keep their pages.
type spied struct {
	disk.FS
	kept, past atomic.Int64
}

type spiedFile struct {
	disk.File
	s *spied
}

func (s *spied) Create(name string) (disk.File, error) {
	f, err := s.FS.Create(name)
	return spiedFile{f, s}, err
}

func (f spiedFile) WriteVec(bufs [][]byte, off int64) error {
	f.s.kept.Add(1)
	return f.File.WriteVec(bufs, off)
}

func (f spiedFile) WriteVecUncached(bufs [][]byte, off int64) error {
	f.s.past.Add(1)
	return f.File.WriteVec(bufs, off)
}

// Large batches that nobody reads do not stay in the page cache; small ones, and those that somebody follows, do.
func TestUnreadBatchesAreWrittenPastTheCache(t *testing.T) {
	s := &spied{FS: disk.NewMem()}
	o := smallOptions(s, "/d")
	o.CommitFileBytes = 1 << 20
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w, SegmentBytes: 10 << 20})
	appendAll(t, l, w, makeBatch("first", 1, 0)) // rolled by nothing; its segment was made by the engine's own Create
	if err := l.Trim(1); err != nil {            // a segment that the spy made
		t.Fatal(err)
	}
	past := func(b batch.Batch) bool {
		before := s.past.Load()
		appendAll(t, l, w, b)
		return s.past.Load() > before
	}
	large := strings.Repeat("x", 70_000)
	if past(makeBatch("small", 1, 0)) {
		t.Error("a small batch went past the cache")
	}
	if !past(makeBatch(large, 1, 0)) {
		t.Error("a large batch that nobody reads is kept")
	}
	span, err := l.Read(1, l.FlushedEnd(), 100)
	if err != nil {
		t.Fatal(err)
	}
	span.Release()
	if past(makeBatch(large, 1, 0)) {
		t.Error("a batch that somebody follows went past the cache")
	}
}
