package commit

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var roomSeed = flag.Uint64("room.seed", 0, "seed of TestLogGoesRoundWithoutRoom; 0 draws one")

// TestLogGoesRoundWithoutRoom has no room for new files and no descriptor for old ones, now and then or for good, while checkpoints come at
// any moment, also between the refusal of a file and what the supply makes of it: the log goes round with the two files that it began with.
// The power may go at any refusal.
func TestLogGoesRoundWithoutRoom(t *testing.T) {
	seed := *roomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	refused := 0
	for i := range uint64(100) {
		synctest.Test(t, func(t *testing.T) { // who was refused asks again a second later
			n, err := goRound(t, rand.New(rand.NewPCG(seed+i, 3)))
			if err != nil {
				t.Fatalf("%v\nrepeat: go test ./engine/internal/commit -run '^TestLogGoesRoundWithoutRoom$' -room.seed=%d", err, seed+i)
			}
			refused += n
		})
	}
	if refused < 100 {
		t.Errorf("only %d operations were refused", refused)
	}
}

func goRound(t *testing.T, rng *rand.Rand) (refused int, err error) {
	var (
		mu    sync.Mutex
		begun bool
		last  Checkpoint
		known int            // entries that were told by then, at least those below its LSN
		cuts  []func() error // what must hold after power cuts
		put   []string
	)
	odds := map[disk.Op]float64{"create": rng.Float64() * 1.2, "allocate": rng.Float64(), "open": rng.Float64(), "rename": rng.Float64() / 2, "syncdir": rng.Float64() / 2}
	causes := map[disk.Op]error{"create": syscall.ENOSPC, "allocate": syscall.EDQUOT, "open": syscall.EMFILE, "rename": syscall.ENOSPC, "syncdir": syscall.EMFILE}
	r := newRecorder()
	recycle := func() {
		last = Checkpoint{LSN: r.c.Durable(), File: r.c.File()}
		known = r.told()
		r.c.Recycle(&last)
	}
	inner := newDisk(t)
	cut := func() {
		told, before, from := r.told(), known, last.LSN
		left := inner.Crash(rng, rng.Float64())
		cuts = append(cuts, func() error {
			got, _, err := replay(left, from, false)
			switch {
			case err != nil:
				return fmt.Errorf("after a power cut: %w", err)
			case len(got) == 0 && told <= before:
				return nil
			case len(got) == 0:
				return fmt.Errorf("after a power cut nothing is read from LSN %d on, %d entries were told, at most %d lie below", from, told, before)
			}
			n := slices.Index(put, got[0])
			if end := n + len(got); n < 0 || n > before || end < told || end > len(put) || !slices.Equal(got, put[n:end]) {
				return fmt.Errorf("after a power cut entries [%d, %d) are read from LSN %d on, %d were told, at most %d lie below", n, end, from, told, before)
			}
			return nil
		})
	}
	fs := disk.Inject(inner, func(op disk.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if !begun || rng.Float64() >= odds[op] {
			return nil
		}
		refused++
		if rng.IntN(2) == 0 {
			recycle()
		}
		if rng.IntN(8) == 0 && len(cuts) < 3 {
			cut()
		}
		return causes[op]
	})
	c := start(t, fs, r, 0)
	mu.Lock()
	begun = true
	mu.Unlock()
	for i := range 200 {
		e := one(1, batch.Offset(i), 4000)
		put = append(put, describe(e))
		if err := errors.Join(c.Admit(len(e.Batch)), c.Enqueue(e)); err != nil {
			return refused, errors.Join(err, c.Close())
		}
		if i%8 == 7 {
			if err := r.waitFor(i - 6); err != nil { // what is on its way fits into what there is
				return refused, errors.Join(err, c.Close())
			}
			mu.Lock()
			recycle()
			mu.Unlock()
		}
	}
	if err := errors.Join(r.waitFor(len(put)), c.Close()); err != nil {
		return refused, err
	}
	if !slices.Equal(r.flushed, put) {
		return refused, fmt.Errorf("%d entries were put and %d flushed", len(put), len(r.flushed))
	}
	for _, check := range cuts {
		if err := check(); err != nil {
			return refused, err
		}
	}
	got, _, err := replay(inner, last.LSN, false)
	if n := len(put) - len(got); err != nil || n < 0 || !slices.Equal(got, put[n:]) {
		return refused, fmt.Errorf("%d entries are read from LSN %d on, which are not the last: %w", len(got), last.LSN, err)
	}
	return refused, nil
}
