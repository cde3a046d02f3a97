package segment

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/seal"
)

// TestSealFailsCleanly fails every operation of Seal in turn: it says so, the segment goes on as it was, and can be sealed later.
func TestSealFailsCleanly(t *testing.T) {
	held(t)
	rng := newRand(t)
	broken := errors.New("broken")
	for n := 0; ; n++ {
		d := disk.NewMem()
		s, all := rolled(t, d, "/d", 0, 60, 500, rng)
		before := answers(t, s, all)
		var left atomic.Int64
		left.Store(int64(n))
		failing := disk.Inject(d, func(op disk.Op, name string) error {
			if left.Add(-1) == -1 {
				return broken
			}
			return nil
		})
		s.file = reopen(t, failing, &left, s.Path, s.file)
		err := s.Seal(failing, new(sync.Mutex), logID, never, nil)
		done := left.Load() >= 0
		left.Store(1 << 40) // the disk is well again
		if done != (err == nil) || err == nil != s.Sealed() || err != nil && !errors.Is(err, broken) {
			t.Fatalf("operation %d failed: %v, sealed %t", n, err, s.Sealed())
		}
		if !slices.Equal(answers(t, s, all), before) {
			t.Fatalf("operation %d failed, and it answers otherwise", n)
		}
		if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
			t.Fatalf("operation %d failed, sealed again: %v", n, err)
		}
		release(t, s)
		if done {
			t.Logf("%d operations failed in turn", n)
			return
		}
	}
}

// reopen gives a file whose operations the rule of d is asked about too; opening it is not counted.
func reopen(t testing.TB, d disk.FS, left *atomic.Int64, name string, old disk.File) disk.File {
	t.Helper()
	left.Add(1)
	f, err := d.Open(name)
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSealCrash cuts the power after every operation of a first Seal, and of one over older side files: what OpenSealed then accepts
// is right to the byte, anything else is ErrUnsealed, and the .log is whole (S5).
func TestSealCrash(t *testing.T) {
	held(t)
	rng := newRand(t)
	opened, unsealed := 0, 0
	for _, older := range []bool{false, true} {
		for n := 0; ; n++ {
			mem := disk.NewMem()
			s, all := rolled(t, mem, "/d", 0, 40, 300, rng)
			if older { // sealed, opened again to be changed as compaction or truncation do, and longer now
				if err := s.Seal(mem, new(sync.Mutex), logID, never, nil); err != nil {
					t.Fatal(err)
				}
				release(t, s)
				s, all = grow(t, mem, all, rng)
			}
			left := atomic.Int64{}
			left.Store(int64(n))
			cut := disk.Inject(mem, func(disk.Op, string) error {
				if left.Add(-1) < 0 {
					return errors.New("power cut")
				}
				return nil
			})
			s.file = reopen(t, cut, &left, s.Path, s.file)
			err := s.Seal(cut, new(sync.Mutex), logID, never, nil)
			for range 12 {
				after := mem.Crash(rng, []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)])
				again, oerr := OpenSealed(after, "/d", 0, logID)
				if errors.Is(oerr, ErrUnsealed) {
					unsealed++
					if err == nil {
						t.Fatal("Seal returned, and a crash took the seal away:", oerr)
					}
					rebuild(t, after, 0)
					continue
				} else if oerr != nil {
					t.Fatalf("cut after %d operations: %v", n, oerr)
				}
				opened++
				answers(t, again, all)
				release(t, again)
				if err := seal.Verify(after, "/d", 0, nil, func(x seal.Damage) { t.Errorf("%+v", x) }); err != nil {
					t.Error(err)
				}
				if err := RemoveLeftovers(after, "/d"); err != nil {
					t.Error(err)
				}
				if entries, _ := after.ReadDir("/d"); len(entries) != 5 {
					t.Errorf("%v", entries)
				}
			}
			release(t, s)
			if err == nil {
				break
			}
		}
	}
	if opened == 0 || unsealed == 0 {
		t.Errorf("%d states opened, %d did not", opened, unsealed)
	}
	t.Logf("%d states opened by their seal, %d by their batches", opened, unsealed)
}

// grow unseals segment 0, and appends to it.
func grow(t testing.TB, d disk.FS, all []placed, rng *rand.Rand) (*Segment, []placed) {
	t.Helper()
	if err := Unseal(d, "/d", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSealed(d, "/d", 0, logID); !errors.Is(err, ErrUnsealed) {
		t.Fatal(err)
	}
	s, err := Open(d, "/d", 0, 300)
	if err != nil {
		t.Fatal(err)
	}
	size, err := s.FileSize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scan(size, nil); err != nil {
		t.Fatal(err)
	}
	all = append(all, extend(t, s, 5, rng)...)
	abort(s, all)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return s, all
}

// TestUnsealCrash: after Unseal returned no crash brings the seal back, so that what is then changed is not believed by it.
func TestUnsealCrash(t *testing.T) {
	held(t)
	rng := newRand(t)
	mem := disk.NewMem()
	s, _ := rolled(t, mem, "/d", 0, 40, 300, rng)
	if err := s.Seal(mem, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := Unseal(mem, "/d", 0); err != nil {
			t.Fatal(err)
		}
	}
	if s.FloorPosition(s.Size()) == 0 || s.Faults() != 0 {
		t.Error("Unseal harmed a segment that had its files mapped")
	}
	release(t, s)
	for range 50 {
		if _, err := OpenSealed(mem.Crash(rng, rng.Float64()), "/d", 0, logID); !errors.Is(err, ErrUnsealed) {
			t.Fatal(err)
		}
	}
}

// TestRemoveCrash cuts the power after every operation of RemoveFiles: there is the whole segment or none, and a leftover goes by
// RemoveLeftovers without harm to what belongs there.
func TestRemoveCrash(t *testing.T) {
	held(t)
	rng := newRand(t)
	whole, none := 0, 0
	for n := 0; ; n++ {
		mem := disk.NewMem()
		s, all := rolled(t, mem, "/d", 0, 40, 300, rng)
		if err := s.Seal(mem, new(sync.Mutex), logID, never, nil); err != nil {
			t.Fatal(err)
		}
		release(t, s)
		neighbour, _ := rolled(t, mem, "/d", 1000, 3, 300, rng)
		if err := neighbour.Seal(mem, new(sync.Mutex), logID, never, nil); err != nil {
			t.Fatal(err)
		}
		release(t, neighbour)
		left := n
		err := RemoveFiles(disk.Inject(mem, func(disk.Op, string) error {
			if left--; left < 0 {
				return errors.New("power cut")
			}
			return nil
		}), "/d", 0)
		for range 20 {
			after := mem.Crash(rng, rng.Float64())
			if err := RemoveLeftovers(after, "/d"); err != nil {
				t.Fatal(err)
			}
			again, oerr := Open(after, "/d", 0, 300)
			if errors.Is(oerr, fs.ErrNotExist) {
				none++
				if entries, _ := after.ReadDir("/d"); len(entries) != 4 {
					t.Fatalf("%v: want the four of the neighbour", entries)
				}
				continue
			}
			if oerr != nil || err == nil {
				t.Fatalf("cut after %d operations: %v; or a segment that was removed is back", n, oerr)
			}
			whole++
			if next, err := again.Scan(all[39].pos+int64(len(all[39].Batch)), nil); err != nil || next != all[39].NextOffset() {
				t.Fatalf("cut after %d operations: half a segment: %d, %v", n, next, err)
			}
			release(t, again)
		}
		if err == nil {
			break
		}
	}
	if whole == 0 || none == 0 {
		t.Errorf("%d whole, %d none", whole, none)
	}
}
