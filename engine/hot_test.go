package engine

import (
	"fmt"
	"slices"
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

// A checkpoint brings what was written since the last one to the disk in pieces, before it syncs the file.
func TestCheckpointsWriteBackInPieces(t *testing.T) {
	var mu sync.Mutex
	var done []string
	end := int64(0)
	o := smallOptions(noteWriteBack{disk.NewMem(), func(off, n int64) {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 {
			done = append(done, fmt.Sprintf("sync at %d", end))
		} else if off != end&^(disk.PageSize-1) || n > writeBackPiece {
			t.Errorf("%d bytes at %d, after %d", n, off, end)
		} else {
			end = off + n
		}
	}}, "/d")
	o.CommitFileBytes = 4 << 20
	e := mustOpen(t, o)
	w := newWatcher()
	l := mustLog(t, e, "t-0", LogOptions{Observer: w})
	appendAll(t, l, w, makeBatch("first", 1, 0))
	if err := l.Trim(1); err != nil { // begins a segment that the disk made, and notes
		t.Fatal(err)
	}
	size := 0
	for range 2 {
		for range 20 {
			b := makeBatch(strings.Repeat("x", 50_001), 1, 0)
			size += len(b)
			appendAll(t, l, w, b)
		}
		if err := e.checkpointNow(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{fmt.Sprintf("sync at %d", size/2), fmt.Sprintf("sync at %d", size)}; !slices.Equal(done, want) {
		t.Errorf("%q, want %q", done, want)
	}
}

// noteWriteBack is a disk that says what it is asked to write back, and with n = 0 that a file is synced.
type noteWriteBack struct {
	disk.FS
	note func(off, n int64)
}

type noteWriteBackFile struct {
	disk.File
	note func(off, n int64)
}

func (d noteWriteBack) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	if err != nil || !strings.HasSuffix(name, ".log") || strings.Contains(name, ".new/") {
		return f, err
	}
	return noteWriteBackFile{f, d.note}, err
}

func (f noteWriteBackFile) WriteBack(off, n int64) error {
	f.note(off, n)
	return nil
}

func (f noteWriteBackFile) Sync() error {
	f.note(0, 0)
	return f.File.Sync()
}
