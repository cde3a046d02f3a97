package repair_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
	"github.com/streambus/streambus/engine/repair"
)

const records = 12

// watcher waits for the end of a log.
type watcher struct {
	mu   sync.Mutex
	cond *sync.Cond
	end  batch.Offset
}

func (w *watcher) Flushed(end batch.Offset) {
	w.mu.Lock()
	w.end = end
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *watcher) Failed(err error) { panic(err) }

// data makes a directory with one log of several sealed segments, closed.
func data(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	e, l, w := open(t, dir)
	for i := range records {
		var b batch.Builder
		b.Add(time.UnixMilli(1700000000000+int64(i)), nil, fmt.Appendf(nil, "record %d %0*d", i, 100, 0))
		if _, err := l.Append(b.Batch(), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	for w.end < records {
		w.cond.Wait()
	}
	w.mu.Unlock()
	if _, err := e.Verify(nil); err != nil { // it has everything written to segments, which are sealed then
		t.Fatal(err)
	}
	for e.Stats().Sealed < e.Stats().Segments-1 {
		runtime.Gosched()
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) (*engine.Engine, *engine.Log, *watcher) {
	t.Helper()
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir, CommitFileBytes: 64 << 10, ReserveBytes: -1, ScrubInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{}
	w.cond = sync.NewCond(&w.mu)
	l, err := e.OpenLog("orders-0", engine.LogOptions{SegmentBytes: 600, IndexIntervalBytes: 100, Observer: w})
	if err != nil {
		t.Fatal(err)
	}
	return e, l, w
}

func verify(t *testing.T, dir string) []inspect.Finding {
	t.Helper()
	var f repair.Findings
	if err := inspect.Path(inspect.ReadOnly(disk.OS{}), dir, inspect.Options{Verify: true}, &f); err != nil {
		t.Fatal(err)
	}
	return f.Damage
}

func flip(t *testing.T, name string, at int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at%len(b)] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSideFilesAreMadeAnew: a bit of each side file of each kind is flipped, one of the magic and one behind it; after the repair nothing
// is damaged, the file that was moved aside is noted once, and the engine opens the directory with every record.
func TestSideFilesAreMadeAnew(t *testing.T) {
	dir := data(t)
	log := filepath.Join(dir, "orders-0")
	entries, err := os.ReadDir(log)
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, entry := range entries {
		kind := filepath.Ext(entry.Name())
		if entry.Name() == "recap" {
			kind = "recap"
		} else if !slices.Contains([]string{".seal", ".index", ".timeindex"}, kind) {
			continue
		}
		if st, err := entry.Info(); err != nil || st.Size() == 0 || tried[kind] {
			continue
		}
		tried[kind] = true
		for _, at := range []int{5, 20} {
			t.Run(fmt.Sprint(kind, at), func(t *testing.T) { mendOne(t, filepath.Dir(log), entry.Name(), at) })
		}
	}
	for _, kind := range []string{".seal", ".index", ".timeindex"} {
		if !tried[kind] {
			t.Errorf("there was no %s to flip", kind)
		}
	}
}

// mendOne has a copy of a directory with a bit of one file flipped mended.
func mendOne(t *testing.T, whole, name string, at int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, "orders-0", name), at)
	found := verify(t, dir)
	if len(found) == 0 {
		t.Skip("nobody was promised these bytes")
	}
	steps, left := repair.PlanOf(found)
	if len(left) > 0 {
		t.Fatalf("left: %+v", left)
	}
	n := 0
	if err := repair.Run(disk.OS{}, steps, func(repair.Step) error { n++; return nil }); err != nil || n == 0 {
		t.Fatalf("%d steps: %v", n, err)
	}
	var after repair.Findings
	if err := inspect.Path(inspect.ReadOnly(disk.OS{}), dir, inspect.Options{Verify: true}, &after); err != nil {
		t.Fatal(err)
	}
	if len(after.Damage) > 0 || after.Notes != n {
		t.Errorf("after the repair %d notes, want %d, and damage %+v", after.Notes, n, after.Damage)
	}
	e, l, _ := open(t, dir)
	if l.StartOffset() != 0 || l.FlushedEnd() != records {
		t.Errorf("records [%d, %d) are there", l.StartOffset(), l.FlushedEnd())
	}
	if damage, err := e.Verify(nil); err != nil || len(damage) > 0 {
		t.Errorf("%v, %v", damage, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if found := verify(t, dir); len(found) > 0 {
		t.Errorf("damaged after a start: %+v", found)
	}
}

// TestRecordsAreLeftAlone: a damaged .log is nothing to be mended, and keeps its witnesses (R2).
func TestRecordsAreLeftAlone(t *testing.T) {
	dir := data(t)
	name := filepath.Join(dir, "orders-0", strings.Repeat("0", 20)+".log")
	flip(t, name, 80)
	flip(t, strings.TrimSuffix(name, ".log")+".index", 3)
	before := names(t, dir)
	steps, left := repair.PlanOf(verify(t, dir))
	if len(left) == 0 || slices.ContainsFunc(steps, func(s repair.Step) bool { return strings.Contains(s.File, strings.Repeat("0", 20)+".") }) {
		t.Errorf("steps %+v, left %+v", steps, left)
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("planning changed the directory: %v, %v", before, after)
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		all = append(all, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNothingIsReplaced: what was moved aside earlier stays (R1), and a file that is gone is no error.
func TestNothingIsReplaced(t *testing.T) {
	d := disk.NewMem()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.MkdirAll("/l"))
	for _, n := range []string{"/l/recap", "/l/recap.damaged"} {
		f, err := d.Create(n)
		must(err)
		must(f.Close())
	}
	var taken []repair.Step
	must(repair.Run(d, []repair.Step{{File: "/l/gone"}, {File: "/l/recap"}}, func(s repair.Step) error {
		taken = append(taken, s)
		return nil
	}))
	if len(taken) != 1 || taken[0].To != "recap.damaged2" {
		t.Errorf("%+v", taken)
	}
	broken := errors.New("no")
	fs := disk.Inject(d, func(op disk.Op, _ string) error {
		if op == "rename" {
			return broken
		}
		return nil
	})
	if err := repair.Run(fs, []repair.Step{{File: "/l/recap.damaged"}}, nil); !errors.Is(err, broken) {
		t.Errorf("Run = %v", err)
	}
}
