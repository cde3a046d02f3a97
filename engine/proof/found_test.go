package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

// The tests of this file are what the others found, each made small. One that is skipped says what is wrong still.

// TestFolderIsSyncedAfterAFailedStart: the process dies, or the sync fails, between making the data directory and syncing its
// parent. The next start finds the directory there, and must not believe that it is durable.
func TestFolderIsSyncedAfterAFailedStart(t *testing.T) {
	mem := disk.NewMem()
	failing := disk.Inject(mem, func(op disk.Op, name string) error {
		if op == "syncdir" && name == "/" {
			return errInjected
		}
		return nil
	})
	if _, err := engine.Open(context.Background(), victim.Options(failing, "/d")); err == nil {
		t.Fatal("the parent's sync failed, and Open says nothing")
	}
	l := newLedger()
	p := &player{l: l, rng: newRand(1, 1)}
	if err := p.play(mem, 10, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.check(mem.Crash(newRand(1, 2), 0), "/d"); err != nil {
		t.Error(err)
	}
}

// TestRollAgainAfterAFullDisk: a roll finds the disk full. The batch is refused; when there is room again, the next one must be
// taken.
func TestRollAgainAfterAFullDisk(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if op == "create" && path.Ext(name) == ".log" && path.Base(path.Dir(name)) == "t-0" && full.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	e, err := engine.Open(context.Background(), victim.Options(fs, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }() // its error is the engine's
	log, err := e.OpenLog("t-0", victim.LogOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint32(0); err == nil && seq < 2000; seq++ {
		_, err = log.Append(victim.Make(victim.ID{Log: "t-0", Seq: seq}, 2000), victim.Epoch, nil)
	}
	if !errors.Is(err, engine.ErrFull) {
		t.Fatalf("the roll says %v", err)
	}
	full.Store(false)
	if _, err := log.Append(victim.Make(victim.ID{Log: "t-0", Seq: 999}, 2000), victim.Epoch, nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestDropThatIsReplayedIsDurable: the process dies after the frame of a Drop is written and before it is synced. The next start
// sees the frame in the page cache and moves the folder away, durably; then the power goes before its checkpoint is written, and
// the frame with it. The log must be there, or gone; the start after that must not be refused.
func TestDropThatIsReplayedIsDurable(t *testing.T) {
	mem := disk.NewMem()
	var dropping atomic.Bool
	fs := victim.Around(mem, func(c *victim.Call, do func() error) error {
		if c.Op == "sync" && path.Ext(c.Name) == ".commit" && dropping.Load() {
			return errInjected
		}
		return do()
	})
	l := newLedger()
	l.creating("t-0")
	var e *engine.Engine
	for range 2 { // the second time the checkpoint knows the log
		var err error
		if e, err = engine.Open(context.Background(), victim.Options(fs, "/d")); err != nil {
			t.Fatal(err)
		}
		if _, err := e.OpenLog("t-0", victim.LogOptions(nil)); err != nil {
			t.Fatal(err)
		}
		if e.Summary().Logs == 1 {
			break
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dropping.Store(true)
	l.dropping("t-0", mark{})
	if e.Drop("t-0") == nil || e.Close() == nil {
		t.Fatal("the sync failed, and Drop or Close say nothing")
	}
	cut := disk.Inject(mem, func(op disk.Op, name string) error {
		if op == "create" && path.Base(name) == "checkpoint.tmp" {
			return errInjected
		}
		return nil
	})
	if _, err := engine.Open(context.Background(), victim.Options(cut, "/d")); !errors.Is(err, errInjected) {
		t.Fatalf("recovery that is cut off says %v", err)
	}
	if err := l.check(mem.Crash(newRand(1, 2), 0), "/d"); err != nil {
		t.Error(err)
	}
}

// TestCheckpointOnAFullDisk: another program has eaten the reserve, so a checkpoint finds no room. That ends nothing: the old
// checkpoint is good, and the next one may find room.
func TestCheckpointOnAFullDisk(t *testing.T) {
	var full atomic.Bool
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if full.Load() && (op == "create" || op == "write") && path.Base(name) == "checkpoint.tmp" {
			return syscall.ENOSPC
		}
		return nil
	})
	e, err := engine.Open(context.Background(), victim.Options(fs, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }() // its error is the engine's
	w := victim.NewWatcher()
	log, err := e.OpenLog("t-0", victim.LogOptions(w))
	if err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	for seq := range uint32(20) { // more than half of a commit-log file: a checkpoint is asked for
		full.Store(seq < 12)
		at, err := log.Append(victim.Make(victim.ID{Log: "t-0", Seq: seq}, 100), victim.Epoch, nil)
		if err == nil {
			err = w.Wait(at.Last + 1)
		}
		if err != nil {
			t.Fatalf("batch %d: %v", seq, err)
		}
	}
}

// TestReadErrorIsNotCorruption: the disk cannot read. That says nothing about the bytes, and must not be called corruption:
// what is corrupt is quarantined.
func TestReadErrorIsNotCorruption(t *testing.T) {
	mem := disk.NewMem()
	var broken atomic.Bool
	o := flipOptions(disk.Inject(mem, func(op disk.Op, _ string) error {
		if op == "read" && broken.Load() {
			return syscall.EIO
		}
		return nil
	}))
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }() // nothing is lost here
	w := victim.NewWatcher()
	log, err := e.OpenLog("t-0", victim.LogOptions(w))
	if err != nil {
		t.Fatal(err)
	}
	var at engine.Appended
	for seq := range uint32(5) {
		if at, err = log.Append(victim.Make(victim.ID{Log: "t-0", Seq: seq}, 20), victim.Epoch, nil); err == nil {
			err = w.Wait(at.Last + 1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	broken.Store(true)
	if err := victim.Read(log, 0, at.Last+1, 150, nil); !errors.Is(err, syscall.EIO) || errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("a read that failed: %v", err)
	}
}

// TestNothingIsReadAfterRelease needs -race: the flush of a batch fails while Append has only just queued it, and its owner
// reuses the memory, as he may.
func TestNothingIsReadAfterRelease(t *testing.T) {
	for i := range 3000 {
		var left atomic.Int64
		left.Store(int64(30 + i%40))
		fs := disk.Inject(disk.NewMem(), func(op disk.Op, _ string) error {
			if op == "sync" && left.Add(-1) < 0 {
				return errInjected
			}
			return nil
		})
		p := &player{l: newLedger(), rng: newRand(uint64(i), 1), owner: func(b batch.Batch) engine.Owner { return victim.Scribbler(b) }}
		if err := p.play(fs, 40, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// damaged builds the image that a crash or a Close leaves, does something to its files, and gives what came of it.
func damaged(t *testing.T, how string, change func(im *image, files map[string][]byte)) string {
	t.Helper()
	for _, im := range buildImages(t, 1) {
		if im.name == how {
			files := maps.Clone(im.files)
			change(im, files)
			return im.outcome(files)
		}
	}
	t.Fatalf("no image %s", how)
	return ""
}

// filesOf lists the files of a kind, sorted.
func filesOf(files map[string][]byte, k string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if kind(name) == k {
			out = append(out, name)
		}
	}
	return out
}

// TestLostCommitLogIsNoticed: after a crash the newest file of the commit log is missing. What it held was acknowledged.
func TestLostCommitLogIsNoticed(t *testing.T) {
	for _, how := range []string{"delete", "cut"} {
		got := damaged(t, "crashed", func(_ *image, files map[string][]byte) {
			list := filesOf(files, "*.commit")
			for _, name := range list {
				if how == "cut" {
					files[name] = files[name][:4096]
				} else {
					delete(files, name)
				}
			}
		})
		if got != refused {
			t.Errorf("%s the commit log: %s", how, got)
		}
	}
}

// TestLostSegmentIsNoticed: a segment in the middle of a log is missing, or empty.
func TestLostSegmentIsNoticed(t *testing.T) {
	for _, how := range []string{"delete", "empty"} {
		got := damaged(t, "clean", func(_ *image, files map[string][]byte) {
			name := filesOf(files, "*.log")[2]
			if how == "delete" {
				delete(files, name)
			} else {
				files[name] = nil
			}
		})
		if got != refused {
			t.Errorf("%s a segment: %s", how, got)
		}
	}
}

// TestAnyLostSegmentIsNoticed: any one segment is missing, also one that replay goes on in. One that it begins, it makes anew.
func TestAnyLostSegmentIsNoticed(t *testing.T) {
	for _, im := range buildImages(t, 1) {
		for _, name := range filesOf(im.files, "*.log") {
			files := maps.Clone(im.files)
			delete(files, name)
			if got := im.outcome(files); got != refused && (got != unaffected || im.name == "clean") {
				t.Errorf("%s, without %s: %s", im.name, name, got)
			}
		}
	}
}

// TestFlippedOffsetOfASealedSegmentIsNoticed: a bit of a base offset, which lies outside the batch's CRC, in the first 4 KiB of a sealed
// segment, which are looked at when it is opened.
func TestFlippedOffsetOfASealedSegmentIsNoticed(t *testing.T) {
	got := damaged(t, "clean", func(_ *image, files map[string][]byte) {
		flip("/d/t-0/00000000000000000000.log", 36).do(files)
	})
	if got != refused {
		t.Error(got)
	}
}

// TestSwappedSegmentsAreNoticed: two logs' first segments change places.
func TestSwappedSegmentsAreNoticed(t *testing.T) {
	got := damaged(t, "clean", func(_ *image, files map[string][]byte) {
		a, b := "/d/t-0/00000000000000000000.log", "/d/t-1/00000000000000000000.log"
		files[a], files[b] = files[b], files[a]
	})
	if got != refused {
		t.Error(got)
	}
}

// copyDisk reads all files below dir of a disk, by path.
func copyDisk(fs disk.FS, dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.Dir {
			below, err := copyDisk(fs, name)
			if err != nil {
				return nil, err
			}
			for k, v := range below {
				out[k] = v
			}
			continue
		}
		b, err := readFile(fs, name)
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	return out, nil
}

func readFile(fs disk.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if err := disk.ReadFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}
