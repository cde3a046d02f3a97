package txn

import (
	"flag"
	"testing"
)

var (
	seedFlag  = flag.Uint64("txn.seed", 0, "run this history only")
	crashFlag = flag.Int("txn.crash", 0, "and crash it at this effect")
	manyFlag  = flag.Uint64("txn.many", 1, "run so many times as many histories")
)

const steps = 300

// history runs a random history and gives how many records and markers it sent out.
func history(t *testing.T, seed uint64, crashAt int) (w *world) {
	w = newWorld(t, seed, crashAt)
	for range steps {
		if w.act(); w.crashed {
			w.restart()
			for range 20 { // life goes on
				w.act()
			}
			break
		}
	}
	w.finish()
	return w
}

// TestHistories runs random histories against X1 to X6.
func TestHistories(t *testing.T) {
	if *seedFlag != 0 {
		history(t, *seedFlag, *crashFlag)
		return
	}
	commits, aborts, records, rotated := 0, 0, 0, 0
	for seed := uint64(1); seed <= 1500**manyFlag; seed++ {
		w := history(t, seed, 0)
		for _, commit := range w.ends {
			if commit {
				commits++
			} else {
				aborts++
			}
		}
		for _, log := range w.logs {
			records += len(log)
		}
		if w.given.ID > 101 {
			rotated++
		}
	}
	t.Logf("%d commits, %d aborts, %d records and markers, %d histories with new producer ids", commits, aborts, records, rotated)
	if commits < 500 || aborts < 500 || records < 10_000 || rotated < 100 {
		t.Error("these histories are too dull to prove anything")
	}
}

// TestCrashAnywhere crashes histories at each record and each marker that they send out.
func TestCrashAnywhere(t *testing.T) {
	if *seedFlag != 0 {
		history(t, *seedFlag, *crashFlag)
		return
	}
	crashes := 0
	for seed := uint64(1); seed <= 100**manyFlag; seed++ {
		n := history(t, seed, 0).effects
		for at := 1; at <= n; at++ {
			history(t, seed, at)
			crashes++
		}
	}
	t.Logf("%d crashes", crashes)
	if crashes < 2000 {
		t.Errorf("%d crashes only", crashes)
	}
}
