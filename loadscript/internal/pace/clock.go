package pace

import (
	"context"
	"time"
)

// Clock is the one clock of a run: time since the run's start.
type Clock interface {
	// Now is the time since the start; it never goes back.
	Now() time.Duration
	// Sleep waits for d or until ctx ends, and then returns ctx's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Wall is the real, monotonic clock. In a testing/synctest bubble it is the bubble's virtual one.
type Wall struct{ start time.Time }

// NewWall starts a clock at zero now.
func NewWall() *Wall { return &Wall{start: time.Now()} }

// Now implements Clock.
func (w *Wall) Now() time.Duration { return time.Since(w.start) }

// Unix is the wall time of a moment on this clock, in nanoseconds since 1970: what goes into records, where another
// process must be able to read it.
func (w *Wall) Unix(t time.Duration) int64 { return w.start.Add(t).UnixNano() }

// Restart returns a clock that is at zero now and otherwise the same: both map a moment to the same wall time, even when
// somebody sets the wall clock in between.
func (w *Wall) Restart() *Wall { return &Wall{start: w.start.Add(w.Now())} }

// Sleep implements Clock.
func (w *Wall) Sleep(ctx context.Context, d time.Duration) error { return Sleep(ctx, d) }

// Sleep waits for d of real time or until ctx ends, and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
