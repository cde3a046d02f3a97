package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var fullSeed = flag.Uint64("full.seed", 0, "seed of TestFullNowAndThen; 0 draws one")

// TestFullNowAndThen fills the disk to the last byte at any moment, also while the engine has only just begun, and gives the room back,
// again and again, while logs are made and their durability changes: all of that is refused whole or done, the engine lives, everything that
// was acknowledged is read, and after each time appends are taken again (E5). In the end it is closed, or killed on a full disk.
func TestFullNowAndThen(t *testing.T) {
	seed := *fullSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	refused := 0
	for i := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) { // a checkpoint for which there was no room is tried again a second later
			n, err := fullOnce(rand.New(rand.NewPCG(seed+i, 2)))
			if err != nil {
				t.Fatalf("%v\nrepeat: go test ./engine -run '^TestFullNowAndThen$' -full.seed=%d", err, seed+i)
			}
			refused += n
		})
	}
	if refused < rounds {
		t.Errorf("only %d appends were refused in %d rounds", refused, rounds)
	}
}

func fullOnce(rng *rand.Rand) (refused int, err error) {
	mem := disk.NewMem()
	var p disk.Failpoints
	o := crashOptions(mem)
	o.Failpoints = &p
	e, err := Open(context.Background(), o)
	if err != nil {
		return 0, err
	}
	defer func() { _ = e.Close() }()
	type log struct {
		*Log
		w      *watcher
		values []string
		change chan error // of a SetOptions on its way; appends wait for it, and it may wait for room
	}
	var logs []*log
	options := func(w *watcher) LogOptions {
		return LogOptions{Observer: w, SegmentBytes: 1 << 20, Durability: []Durability{Fsync, Fsync, PageCache, Interval}[rng.IntN(4)], FlushInterval: time.Second}
	}
	change := func(l *log) {
		o := options(nil)
		l.change = make(chan error, 1)
		go func() { l.change <- l.SetOptions(o) }()
	}
	changed := func(l *log) error {
		if l.change == nil {
			return nil
		}
		err := <-l.change
		if l.change = nil; err != nil && !errors.Is(err, ErrFull) {
			return fmt.Errorf("SetOptions: %w", err)
		}
		return nil
	}
	fill := func(full bool) { p.Set(disk.Fault{Full: full}) }
	fill(rng.IntN(2) == 0)
	// add takes a batch, or is refused for lack of room.
	add := func(l *log, bytes int) error {
		value := fmt.Sprintf("%d-%s", len(l.values), strings.Repeat("x", bytes))
		var b batch.Builder
		b.Add(time.UnixMilli(1), nil, []byte(value))
		at, err := l.Append(b.Batch(), 0, nil)
		if err == nil {
			l.values = append(l.values, fmt.Sprintf("%d=%s", at.Base, value))
		}
		return err
	}
	for range 3 {
		for range 1 + rng.IntN(80) {
			switch n := rng.IntN(12); {
			case n == 0 || len(logs) == 0:
				w := newWatcher()
				l, err := e.OpenLog(fmt.Sprintf("t-%d", len(logs)), options(w))
				switch {
				case err == nil:
					logs = append(logs, &log{Log: l, w: w})
				case errors.Is(err, ErrFull):
					refused++
				default:
					return refused, fmt.Errorf("OpenLog: %w", err)
				}
			case n == 1:
				fill(rng.IntN(2) == 0)
			case n == 2:
				if err := e.checkpointNow(); err != nil && !errors.Is(err, ErrFull) {
					return refused, fmt.Errorf("checkpoint: %w", err)
				}
			default:
				l := logs[rng.IntN(len(logs))]
				if l.change != nil && len(l.change) == 0 {
					continue
				}
				if err := changed(l); err != nil {
					return refused, err
				}
				if n == 3 {
					change(l)
					continue
				}
				err := add(l, rng.IntN(12_000))
				if errors.Is(err, ErrFull) {
					refused++
				} else if err != nil {
					return refused, fmt.Errorf("Append: %w", err)
				}
			}
		}
		fill(false)
		for _, l := range logs {
			if err := changed(l); err != nil {
				return refused, err
			}
			if err := add(l, 20_000); err != nil {
				return refused, fmt.Errorf("Append with room again: %w", err)
			}
			if err := l.w.wait(batch.Offset(len(l.values))); err != nil { // while it is full, the commit log may have to wait for a checkpoint
				return refused, fmt.Errorf("flush: %w", err)
			}
			got, err := readValues(l.Log, 0, 1<<20)
			if err != nil || !slices.Equal(got, l.values) {
				return refused, fmt.Errorf("%s: %d records are read, %d were acknowledged: %w", l.name, len(got), len(l.values), err)
			}
		}
		if err := e.Err(); err != nil {
			return refused, err
		}
	}
	if rng.IntN(2) == 0 {
		if err := e.Close(); err != nil {
			return refused, fmt.Errorf("Close: %w", err)
		}
	} else {
		if err := e.checkpointNow(); err != nil { // the commit log need not wait for one on the full disk
			return refused, err
		}
		fill(true)
		for _, l := range logs[:min(len(logs), 3)] {
			change(l)
			if err := changed(l); err != nil {
				return refused, err
			}
			if err := add(l, 100); err != nil && !errors.Is(err, ErrFull) {
				return refused, fmt.Errorf("Append: %w", err)
			}
			if err := l.w.wait(batch.Offset(len(l.values))); err != nil {
				return refused, fmt.Errorf("flush: %w", err)
			}
		}
		o.FS, o.Failpoints = mem.Crash(rng, 1), nil
	}
	e2, err := Open(context.Background(), o)
	if err != nil {
		return refused, err
	}
	defer func() { _ = e2.Close() }()
	for _, l := range logs {
		again, err := e2.OpenLog(l.name, LogOptions{})
		if err != nil {
			return refused, err
		}
		if got, err := readValues(again, 0, 1<<20); err != nil || !slices.Equal(got, l.values) {
			return refused, fmt.Errorf("%s after a restart: %d records are read, %d were acknowledged: %w", l.name, len(got), len(l.values), err)
		}
	}
	return refused, nil
}
