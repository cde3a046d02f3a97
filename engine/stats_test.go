package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

func TestStatsCountWhatHappened(t *testing.T) {
	fs := disk.NewMem()
	e := statsEngine(t, fs)
	l, err := e.OpenLog("a-0", LogOptions{SegmentBytes: 200})
	if err != nil {
		t.Fatal(err)
	}
	before := e.Stats()
	var bytes uint64
	for range 5 {
		b := batch.Builder{}
		b.Add(time.UnixMilli(1), nil, []byte("0123456789012345678901234567890123456789"))
		built := b.Batch()
		bytes += uint64(len(built))
		if _, err := l.Append(built, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.quiesce(5); err != nil { // all is told
		t.Fatal(err)
	}
	l.resume()
	if err := e.checkpointNow(); err != nil {
		t.Fatal(err)
	}
	s := e.Stats()
	if got := s.Logged.Batches - before.Logged.Batches; got != 5 || s.Logged.Bytes-before.Logged.Bytes != bytes {
		t.Errorf("%d batches, %d bytes; want 5, %d", got, s.Logged.Bytes-before.Logged.Bytes, bytes)
	}
	if s.Logged.Groups == 0 || s.Logged.Flush.Count < s.Logged.Groups || s.Logged.QueuedBytes != 0 {
		t.Errorf("groups %d, flushes %d, queued %d", s.Logged.Groups, s.Logged.Flush.Count, s.Logged.QueuedBytes)
	}
	if s.Checkpoints == 0 || s.LastCheckpoint.IsZero() {
		t.Errorf("no checkpoint: %+v", s)
	}
	if s.Logs != 1 || s.Segments < 2 || s.Failed || s.FreeBytes <= 0 {
		t.Errorf("%+v", s)
	}
	if open, exist := e.Opened(); open != 1 || exist != 1 {
		t.Errorf("%d of %d logs are open", open, exist)
	}
}

func statsEngine(t *testing.T, fs disk.FS) *Engine {
	t.Helper()
	e, err := Open(context.Background(), Options{Dir: "/data", FS: fs, CommitFileBytes: 64 << 10, ReserveBytes: -1, ScrubInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestFullDiskIsCounted: an append that finds no room is one refusal.
func TestFullDiskIsCounted(t *testing.T) {
	e := statsEngine(t, disk.NewMem())
	l, err := e.OpenLog("a-0", LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.o.ReserveBytes = 1 << 62
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, []byte("x"))
	if _, err := l.Append(b.Batch(), 0, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("Append = %v, want ErrFull", err)
	}
	if n := e.Stats().FullRefusals; n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
}
