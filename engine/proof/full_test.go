package proof

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

var fillsFlag = flag.Int("proof.fills", 3, "how often TestDiskFull fills the disk")

// TestDiskFull fills an ext4 of 64 MiB until a batch is refused, reads everything, drops a log, and goes on, without a restart
// (I2). Every batch that was taken is acknowledged, none in part.
func TestDiskFull(t *testing.T) {
	fills := *fillsFlag
	if testing.Short() {
		fills = min(fills, 2)
	}
	v := newVolume(t, "ext4", 64<<20)
	f := &filler{t: t, l: newLedger(), dir: filepath.Join(v.dir, "data"), logs: map[string]*playedLog{}}
	f.l.life = 1
	t.Cleanup(func() { _ = f.e.Close() }) // also after a failure; before the volume is unmounted
	f.open()
	for n := range fills {
		f.fill(n)
		f.read()
		f.drop()
		if n%3 == 1 { // a restart on a disk that was just full
			f.close()
			f.open()
		}
	}
	f.close()
	if err := f.l.check(disk.OS{}, f.dir); err != nil {
		t.Fatal(err)
	}
	t.Logf("filled %d times: %d batches acknowledged, %d refused", fills, f.l.acks, f.refused)
}

// filler is an engine on a small disk.
type filler struct {
	t       *testing.T
	l       *ledger
	e       *engine.Engine
	dir     string
	logs    map[string]*playedLog
	next    int // number of the next log
	refused int
}

func (f *filler) open() {
	o := victim.Options(disk.OS{}, f.dir)
	o.ReserveBytes = 8 << 20
	o.CommitFileBytes = 1 << 20
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		f.t.Fatalf("Open: %v", err)
	}
	f.e = e
	for name, l := range f.logs {
		f.attach(name, l)
	}
}

func (f *filler) attach(name string, l *playedLog) {
	l.w = &watch{Watcher: victim.NewWatcher()}
	o := engine.LogOptions{Observer: l.w, SegmentBytes: 4 << 20, MaxBatchBytes: 256 << 10}
	log, err := f.e.OpenLog(name, o)
	for n := 0; errors.Is(err, engine.ErrFull) && n < 1000; n++ { // the files of a log that was dropped go in the background
		time.Sleep(10 * time.Millisecond)
		log, err = f.e.OpenLog(name, o)
	}
	if err != nil {
		f.t.Fatalf("OpenLog: %v", err)
	}
	l.log = log
	f.logs[name] = l
}

func (f *filler) close() {
	if err := f.e.Close(); err != nil {
		f.t.Fatalf("Close: %v", err)
	}
}

// fill appends to two logs until both are refused with ErrFull.
func (f *filler) fill(round int) {
	f.t.Helper()
	name := fmt.Sprintf("t-%d", f.next)
	f.next++
	f.l.creating(name)
	f.attach(name, &playedLog{name: name})
	for _, name := range slices.Sorted(maps.Keys(f.logs)) {
		l := f.logs[name]
		for n := 0; ; n++ {
			id := victim.ID{Log: name, Life: 1, Seq: l.seq}
			b := victim.Make(id, 200_000)
			at, err := l.log.Append(b, victim.Epoch, victim.Scribbler(b))
			if errors.Is(err, engine.ErrFull) {
				f.refused++
				break
			}
			if err == nil {
				err = l.w.Wait(at.Last + 1)
			}
			if err == nil {
				err = f.l.acknowledged(id, at.Base)
			}
			if err != nil {
				f.t.Fatalf("round %d, log %s: %v", round, name, err)
			}
			if l.seq++; n > 5000 {
				f.t.Fatalf("round %d: %d batches, and the disk is not full", round, n)
			}
		}
	}
	if err := f.e.Err(); err != nil {
		f.t.Fatalf("round %d: a full disk has ended the engine: %v", round, err)
	}
}

// read reads everything on the full disk.
func (f *filler) read() {
	f.t.Helper()
	for name, l := range f.logs {
		found, err := readAll(l.log)
		if err != nil {
			f.t.Fatalf("reading on a full disk: %v", err)
		}
		if acked := f.l.of(name).acked; !maps.Equal(found, acked) {
			f.t.Fatalf("log %s: %d batches are read, %d were acknowledged", name, len(found), len(acked))
		}
	}
}

// drop removes the largest log, so that there is room again.
func (f *filler) drop() {
	f.t.Helper()
	name := slices.MaxFunc(slices.Collect(maps.Keys(f.logs)), func(a, b string) int {
		return int(f.logs[a].log.SizeBytes() - f.logs[b].log.SizeBytes())
	})
	f.l.dropping(name, mark{1, 0})
	if err := f.e.Drop(name); err != nil {
		f.t.Fatalf("Drop on a full disk: %v", err)
	}
	f.l.dropped(name, mark{1, 0})
	delete(f.logs, name)
}
