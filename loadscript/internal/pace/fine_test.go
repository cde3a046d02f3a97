package pace

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A fine sleep is never short (how much longer it is depends on the machine), allocates nothing, and ends with its context.
func TestFineSleeps(t *testing.T) {
	f, err := NewFine(NewWall())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range []time.Duration{-time.Second, 0, 1, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		begun := f.Now()
		if err := f.Sleep(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := f.Now() - begun; got < d {
			t.Errorf("slept %v of %v", got, d)
		}
	}
	if n := testing.AllocsPerRun(20, func() { _ = f.Sleep(t.Context(), 50*time.Microsecond) }); n != 0 {
		t.Errorf("%v allocations a sleep, want none", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
}

func BenchmarkSleep(b *testing.B) {
	f, err := NewFine(NewWall())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for name, c := range map[string]Clock{"clock=timerfd": f, "clock=timer": f.Wall} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = c.Sleep(b.Context(), 200*time.Microsecond)
			}
		})
	}
}
