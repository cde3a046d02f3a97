package inspect_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
)

// TestCleanDirectoryHasNoFindings: V4 at rest, for the directory as a whole, each folder and each file.
func TestCleanDirectoryHasNoFindings(t *testing.T) {
	mem := disk.NewMem()
	s := build(t, mem, "/d")
	s.sealed(t, "orders-0")
	must(t, s.Close())
	before := files(t, mem, "/d")
	for _, o := range []inspect.Options{{Verify: true}, {}, {Records: true, Values: true}} {
		if g := look(t, mem, "/d", o); len(g.findings) > 0 {
			t.Errorf("%+v: %+v", o, g.findings)
		}
		for _, name := range []string{"/d/commit", "/d/orders-0", "/d/trimmed-0", "/d/cut-0", "/d/loose-0", "/d/timed-0", "/d/ledger-0"} {
			if g := look(t, mem, name, o); len(g.findings) > 0 {
				t.Errorf("%s: %+v", name, g.findings)
			}
		}
		for name := range before {
			if g := look(t, mem, name, o); len(g.findings) > 0 {
				t.Errorf("%s: %+v", name, g.findings)
			}
		}
	}
	for name, b := range files(t, mem, "/d") {
		if string(before[name]) != string(b) {
			t.Errorf("%s was changed", name)
		}
	}
}

// TestRowsSayWhatWasWritten: every batch and every record, of every codec, in segments and in the commit log.
func TestRowsSayWhatWasWritten(t *testing.T) {
	mem := disk.NewMem()
	s := build(t, mem, "/d")
	s.sealed(t, "orders-0")
	s.sealed(t, "ledger-0")
	must(t, s.Close())
	g := look(t, mem, "/d/orders-0", inspect.Options{Records: true, Values: true})
	want := map[string]int{"meta": 1, "recap": 1, "heap": 1}
	for i := range 140 {
		want["batch"]++
		want["record"] += int(makeBatch(i).Count())
	}
	for kind, n := range want {
		if g.kinds[kind] != n {
			t.Errorf("%d rows of kind %s, want %d", g.kinds[kind], kind, n)
		}
	}
	for _, kind := range []string{"seal", "block", "point", "time", "epoch", "producer"} {
		if g.kinds[kind] == 0 {
			t.Errorf("no row of kind %s", kind)
		}
	}
	ledger := look(t, mem, "/d/ledger-0", inspect.Options{})
	if k := ledger.kinds; k["open"] != 30 || k["aborted"] != 30 || k["unsealed"] != 1 {
		t.Errorf("%d open and %d aborted transactions, %d segments with their own, want 30, 30 and 1", k["open"], k["aborted"], k["unsealed"])
	}
	i, j := 0, 0
	for _, r := range g.rows {
		if r.Kind != "record" {
			continue
		}
		for j >= i%5+1 {
			i, j = i+1, 0
		}
		value := fmt.Sprintf("value %d of batch %d %0*d", j, i, i%7*60, 0)
		if got := string(field(r, "value").(inspect.Bytes)); len(got) != len(value) { // contents are valid during the call only
			t.Fatalf("record %d of batch %d has a value of %d bytes, want %d", j, i, len(got), len(value))
		}
		j++
	}
	all := look(t, mem, "/d", inspect.Options{})
	if all.kinds["checkpoint"] != 1 || all.kinds["log"] != 6 || all.kinds["frame"] == 0 || all.kinds["entry"] < all.kinds["frame"] {
		t.Errorf("rows: %v", all.kinds)
	}
}

func field(r inspect.Row, name string) any {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// TestFromAndMax: what is asked for, and no more.
func TestFromAndMax(t *testing.T) {
	mem := disk.NewMem()
	s := build(t, mem, "/d")
	must(t, s.Close())
	g := look(t, mem, "/d/orders-0", inspect.Options{Records: true, From: 200})
	for _, r := range g.rows {
		if r.Kind == "record" && field(r, "offset").(int64) < 200 || r.Kind == "batch" && field(r, "last").(int64) < 200 {
			t.Fatalf("%+v", r)
		}
	}
	if g.kinds["record"] == 0 {
		t.Fatal("nothing is left")
	}
	if g := look(t, mem, "/d/orders-0/00000000000000000000.log", inspect.Options{Max: 3}); len(g.rows) != 3 {
		t.Errorf("%d rows, want 3", len(g.rows))
	}
}

var statesFlag = flag.Int("inspect.states", 150, "how many crashes TestCrashCopiesHaveNoDamage looks at")
var seedFlag = flag.Uint64("inspect.seed", 0, "seed of TestCrashCopiesHaveNoDamage; 0: any")

// TestCrashCopiesHaveNoDamage: V4 after a crash at any moment, with any part of what was not synced; and again when the engine has
// recovered from it.
func TestCrashCopiesHaveNoDamage(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	n := *statesFlag
	if testing.Short() {
		n = min(n, 30)
	}
	t.Logf("repeat: go test ./engine/inspect -run TestCrashCopiesHaveNoDamage -inspect.seed=%d -inspect.states=%d", seed, n)
	rng := rand.New(rand.NewPCG(seed, 1))
	for states := 0; states < n; {
		mem := disk.NewMem()
		for life := 0; life < 3 && states < n; life++ {
			after, done, err := history(mem, rng)
			must(t, err)
			for _, crashed := range after {
				if g := look(t, crashed, "/d", inspect.Options{Verify: true}); len(g.damage()) > 0 {
					t.Fatalf("state %d, life %d: %+v", states, life, g.damage())
				}
				look(t, crashed, "/d", inspect.Options{Records: true}) // no error
				states++
			}
			must(t, done())
			mem = after[len(after)-1]
		}
		s, err := openStore(mem, "/d")
		must(t, err)
		if g := look(t, mem, "/d", inspect.Options{Verify: true}); len(g.damage()) > 0 {
			t.Fatalf("recovered: %+v", g.damage())
		}
		must(t, s.Close())
		if g := look(t, mem, "/d", inspect.Options{Verify: true}); len(g.damage()) > 0 {
			t.Fatalf("recovered and closed: %+v", g.findings)
		}
	}
}

// history does a dozen random things, with one log compacted beside, and crashes between them; done stops the engine, which knows nothing of it.
func history(mem *disk.Mem, rng *rand.Rand) (after []*disk.Mem, done func() error, err error) {
	s, err := openStore(mem, "/d")
	if err != nil {
		return nil, nil, err
	}
	names := []string{"a", "b", "c", "d"}
	for range 12 {
		name := names[rng.IntN(len(names))]
		l := s.logs[name]
		if l == nil {
			if l, err = s.open(name, engine.Durability(rng.IntN(3))); err != nil {
				return nil, nil, err
			}
			l.n = rng.IntN(100)
		}
		// A cut into the batch that holds the start leaves the end below it.
		somewhere := l.StartOffset() + batch.Offset(rng.Int64N(max(int64(l.FlushedEnd()-l.StartOffset()), 0)+1))
		switch k := rng.IntN(10); {
		case k < 6:
			err = l.append(rng.IntN(40) + 1)
		case k < 7:
			err = l.Trim(min(somewhere, l.FlushedEnd()))
		case k < 9:
			err = l.Cut(somewhere)
		default:
			delete(s.logs, name)
			err = s.Drop(name)
		}
		if err != nil {
			return nil, nil, err
		}
		for range rng.IntN(8) * rng.IntN(200) { // something may be at work beside
			runtime.Gosched()
		}
		if rng.IntN(3) == 0 {
			after = append(after, mem.Crash(rng, []float64{0, 0.1, 0.5, 1}[rng.IntN(4)]))
		}
	}
	after = append(after, mem.Crash(rng, rng.Float64()))
	return after, s.Close, nil
}

// TestLiveCopy: the folder of a running engine that is idle, copied file by file from a real disk, and looked at in place.
func TestLiveCopy(t *testing.T) {
	dir := t.TempDir()
	s := build(t, disk.OS{}, filepath.Join(dir, "live"))
	for name := range s.logs {
		if name != "gone-0" {
			s.sealed(t, name)
		}
	}
	s.removed(t)
	for _, where := range []string{"live", "copy"} {
		if where == "copy" {
			must(t, os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(filepath.Join(dir, "live"))))
		}
		if g := look(t, disk.OS{}, filepath.Join(dir, where), inspect.Options{Verify: true}); len(g.damage()) > 0 {
			t.Errorf("%s: %+v", where, g.damage())
		}
	}
	must(t, s.Close())
}

// TestBusyEngine: an engine that writes, trims, recycles and checkpoints all the while has no damage, at any look.
func TestBusyEngine(t *testing.T) {
	mem := disk.NewMem()
	s := build(t, mem, "/d")
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			l := s.logs[[]string{"orders-0", "trimmed-0", "cut-0"}[n%3]]
			err := l.append(10)
			if err == nil && n%5 == 0 {
				err = l.Trim(l.FlushedEnd() - 20)
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	for i := range 60 {
		if g := look(t, mem, []string{"/d", "/d/commit", "/d/trimmed-0"}[i%3], inspect.Options{Verify: true}); len(g.damage()) > 0 {
			t.Errorf("look %d: %+v", i, g.damage())
		}
	}
	close(stop)
	must(t, <-stopped)
	must(t, s.Close())
}

// TestReadOnly: V1.
func TestReadOnly(t *testing.T) {
	mem := diskOf(t, map[string][]byte{"/d/x": {1}})
	d := inspect.ReadOnly(mem)
	f, err := d.Open("/d/x")
	must(t, err)
	_, create := d.Create("/d/y")
	_, lock := d.Lock("/d/.lock")
	for what, err := range map[string]error{
		"create": create, "lock": lock, "rename": d.Rename("/d/x", "/d/y"), "remove": d.Remove("/d/x"), "mkdir": d.MkdirAll("/e"), "syncdir": d.SyncDir("/d"),
		"write": f.WriteVec([][]byte{{2}}, 0), "sync": f.Sync(), "truncate": f.Truncate(0), "allocate": f.Allocate(9),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s says %v", what, err)
		}
	}
	if got := files(t, mem, "/d"); len(got) != 1 || got[path.Join("/d", "x")][0] != 1 {
		t.Errorf("changed: %v", got)
	}
}
