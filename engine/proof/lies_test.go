package proof

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

var liesFlag = flag.Int("proof.lies", 150, "within how many histories each planted bug must be caught")

// errPowerCut ends a life.
var errPowerCut = fmt.Errorf("power cut: %w", errInjected)

// lie is a bug that is planted between the engine and its disk, or its caller. Each shows what a faulty engine would do to its
// disk; the checks see only what comes back.
type lie struct {
	name   string
	around func(rng *rand.Rand) func(c *victim.Call, do func() error) error // over the disk in memory; nil: no lie
	owner  func(b batch.Batch) engine.Owner                                 // nil: one that scribbles once it may
	start  bool                                                             // the lie is told to the restarts, not to the lives
}

func isCommit(name string) bool { return path.Ext(name) == ".commit" }

// sometimes makes a bug that strikes one operation in n, of those that match.
func sometimes(n int, match func(c *victim.Call) bool, bug func(c *victim.Call, do func() error) error) func(*rand.Rand) func(*victim.Call, func() error) error {
	return func(rng *rand.Rand) func(*victim.Call, func() error) error {
		var mu sync.Mutex
		return func(c *victim.Call, do func() error) error {
			if !match(c) {
				return do()
			}
			mu.Lock()
			now := rng.IntN(n) == 0
			mu.Unlock()
			if now {
				return bug(c, do)
			}
			return do()
		}
	}
}

func nothingDone(*victim.Call, func() error) error { return nil }

var lies = []lie{
	{name: "acknowledged before the flush", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "sync" && isCommit(c.Name) }, nothingDone)},
	{name: "one flush in ten left out", around: sometimes(10, func(c *victim.Call) bool { return c.Op == "sync" && isCommit(c.Name) }, nothingDone)},
	{name: "segments not synced before a checkpoint", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "sync" && path.Ext(c.Name) == ".log" }, nothingDone)},
	{name: "folder not synced", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "syncdir" }, nothingDone)},
	{name: "folder of the logs not synced", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "syncdir" && c.Name == "/d" }, nothingDone)},
	{name: "folder of the commit log not synced", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "syncdir" && path.Base(c.Name) == "commit" }, nothingDone)},
	{name: "failed flush tried again", around: retriedSync},
	{name: "write to the commit log dropped", around: sometimes(10, func(c *victim.Call) bool { return c.Op == "write" && isCommit(c.Name) }, nothingDone)},
	{name: "write to a segment dropped", around: sometimes(10, func(c *victim.Call) bool { return c.Op == "write" && path.Ext(c.Name) == ".log" }, nothingDone)},
	{name: "write to the wrong place", around: sometimes(10, func(c *victim.Call) bool { return c.Op == "write" && path.Ext(c.Name) == ".log" && c.Off > 0 },
		func(c *victim.Call, _ func() error) error { return c.File.WriteVec(c.Bufs, c.Off-1) })},
	{name: "buffers overwritten after a write", around: sometimes(10, func(c *victim.Call) bool { return c.Op == "write" && isCommit(c.Name) },
		func(c *victim.Call, do func() error) error {
			err := do()
			for _, b := range c.Bufs[1:] { // the batches
				mine := slices.Clone(b)
				mine[len(mine)-1] ^= 1
				_ = c.File.WriteVec([][]byte{mine}, c.Off+offsetOf(c.Bufs, b)) // in memory; does not fail
			}
			return err
		})},
	{name: "batch reused before it is released", owner: func(b batch.Batch) engine.Owner { return early(b) }},
	{name: "damage taken for the end", around: cutOff, start: true},
	{name: "removed files come back", around: sometimes(1, func(c *victim.Call) bool { return c.Op == "rename" && path.Ext(c.To) == ".deleted" }, nothingDone)},
}

// early is an Owner that is asked for nothing: the batch was changed already.
type early batch.Batch

// Release implements engine.Owner.
func (early) Release() {}

func offsetOf(bufs [][]byte, b []byte) (at int64) {
	for _, one := range bufs {
		if &one[0] == &b[0] {
			return at
		}
		at += int64(len(one))
	}
	panic("not one of the buffers")
}

// retriedSync is an engine that tries a failed flush again, on a kernel that, as Linux does, reports the error once and forgets
// the pages: the cache shows new bytes, the disk has the old ones.
func retriedSync(rng *rand.Rand) func(*victim.Call, func() error) error {
	var mu sync.Mutex
	type written struct {
		off int64
		old []byte
	}
	unsynced := map[string][]written{}
	return func(c *victim.Call, do func() error) error {
		mu.Lock()
		defer mu.Unlock()
		if !isCommit(c.Name) {
			return do()
		}
		switch c.Op {
		case "write":
			n := 0
			for _, b := range c.Bufs {
				n += len(b)
			}
			old := make([]byte, n)
			_, _ = c.File.ReadAt(old, c.Off) // what is not there is zero
			unsynced[c.Name] = append(unsynced[c.Name], written{c.Off, old})
		case "sync":
			lost := unsynced[c.Name]
			delete(unsynced, c.Name)
			if rng.IntN(15) > 0 {
				break
			}
			for _, w := range slices.Backward(lost) {
				_ = c.File.WriteVec([][]byte{w.old}, w.off) // in memory; does not fail
			}
		}
		return do()
	}
}

// cutOff is an engine that, when it starts, takes the first frame of the commit log that it does not like for the end. The lie
// is told by the disk: what lies behind some place reads as zeros.
func cutOff(rng *rand.Rand) func(*victim.Call, func() error) error {
	var mu sync.Mutex
	from := map[string]int64{}
	return func(c *victim.Call, do func() error) error {
		err := do()
		if c.Op == "read" && isCommit(c.Name) {
			mu.Lock()
			if from[c.Name] == 0 {
				from[c.Name] = int64(1+rng.IntN(15)) * disk.PageSize
			}
			if at := from[c.Name] - c.Off; at < int64(c.N) {
				clear(c.P[max(0, at):c.N])
			}
			mu.Unlock()
		}
		return err
	}
}

// trial plays up to three lives, each ended by a power cut at a random operation or closed, with a lie told all along, and
// checks after each.
func trial(seed uint64, l lie) error {
	rng := newRand(seed, 5)
	mem, book := disk.NewMem(), newLedger()
	_ = mem.MkdirAll("/d") // in memory; does not fail. Before the test: see TestFolderIsSyncedAfterAFailedStart
	_ = mem.SyncDir("/")
	for life := range uint64(3) {
		var left atomic.Int64
		left.Store(int64(rng.IntN(500)))
		fs := disk.FS(mem)
		if l.around != nil && !l.start {
			fs = victim.Around(fs, l.around(newRand(seed, 10+life)))
		}
		fs = disk.Inject(fs, func(op disk.Op, _ string) error {
			switch op {
			case "read", "readdir", "size", "open", "free", "lock":
				if left.Load() >= 0 {
					return nil
				}
			}
			if left.Add(-1) < 0 {
				return errPowerCut
			}
			return nil
		})
		p := &player{l: book, rng: newRand(seed, 20+life), owner: l.owner}
		var err error
		must(l.name, func() { err = p.play(fs, 60, nil) })
		if err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		for _, err := range p.failures {
			if !errors.Is(err, errInjected) && !errors.Is(err, engine.ErrFailed) && !errors.Is(err, engine.ErrClosed) {
				return fmt.Errorf("life %d: %w", life, err)
			}
		}
		mem = mem.Crash(rng, []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)])
		after := disk.FS(mem)
		if l.start {
			after = victim.Around(mem, l.around(newRand(seed, 30+life)))
		}
		if err := book.check(after, "/d"); err != nil {
			return fmt.Errorf("after life %d: %w", life, err)
		}
	}
	return nil
}

// TestHonestDisk: without a lie nothing is found. A test of the test below, and one more of the engine.
func TestHonestDisk(t *testing.T) {
	seed, repeat := seeded(t)
	n := *liesFlag
	if testing.Short() {
		n = min(n, 60)
	}
	for i := range n {
		if err := trial(seed+uint64(i), lie{name: "none"}); err != nil {
			t.Fatalf("%v%s", err, repeat(seed+uint64(i), "-proof.lies=1"))
		}
	}
	t.Logf("%d histories of up to three lives, nothing found; first seed %d", n, seed)
}

// TestLiesAreCaught plants each bug and demands that the checks catch it within the budget: a suite that lets one through is
// blind.
func TestLiesAreCaught(t *testing.T) {
	seed, repeat := seeded(t)
	for _, l := range lies {
		if l.owner != nil {
			l.owner = reusing(l.owner)
		}
		caught := false
		for i := range *liesFlag {
			if err := trial(seed+uint64(i), l); err != nil {
				t.Logf("%-42s caught in history %d: %.110v", l.name, i+1, err)
				caught = true
				break
			}
		}
		if !caught {
			t.Errorf("%s: not caught in %d histories%s", l.name, *liesFlag, repeat(seed, ""))
		}
	}
}

// reusing overwrites a batch as soon as Append is asked to own it, as a caller does that reuses its buffer too early.
func reusing(owner func(batch.Batch) engine.Owner) func(batch.Batch) engine.Owner {
	return func(b batch.Batch) engine.Owner {
		b[len(b)-1] ^= 1
		return owner(b)
	}
}
