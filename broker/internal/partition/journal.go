package partition

import (
	"context"
	"fmt"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// Future is a Waiter that can be waited for.
type Future struct {
	done chan error
}

// NewFuture makes a Future.
func NewFuture() *Future { return &Future{done: make(chan error, 1)} }

// Done completes it. Only the first call counts.
func (f *Future) Done(err error) {
	select {
	case f.done <- err:
	default:
	}
}

// Ready says that Wait would not wait.
func (f *Future) Ready() bool { return len(f.done) > 0 }

// Wait waits for Done, once, or until ctx ends.
func (f *Future) Wait(ctx context.Context) error {
	select {
	case err := <-f.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for a flush: %w", context.Cause(ctx))
	}
}

// Write appends the broker's own records and waits until they are committed. When ctx ends first it is not known whether
// they will be.
func (p *Partition) Write(ctx context.Context, b batch.Batch) error {
	f := NewFuture()
	if _, err := p.Append(b, nil, f); err != nil {
		return err
	}
	return f.Wait(ctx)
}

// replayBytes is how much Replay reads at a time.
const replayBytes = 1 << 20

// Replay calls f with every committed batch from the start, in order. The batch is valid during the call only.
// Errors: the engine's, f's, and engine.ErrCorrupt where stored bytes are no batches.
func (p *Partition) Replay(f func(batch.Batch) error) error {
	var buf []byte
	for at, end := p.Start(), p.HighWatermark(); at < end; {
		span, err := p.Read(at, end, replayBytes)
		if err != nil {
			return fmt.Errorf("replay at offset %d: %w", at, err)
		}
		next := span.Next()
		buf, err = span.AppendTo(buf[:0])
		span.Release()
		if err != nil {
			return fmt.Errorf("replay at offset %d: %w", at, err)
		}
		if next <= at {
			return fmt.Errorf("replay at offset %d of %d: %w: the log gives nothing", at, end, engine.ErrCorrupt)
		}
		if err := each(buf, f); err != nil {
			return fmt.Errorf("replay from offset %d: %w", at, err)
		}
		at = next
	}
	return nil
}

func each(buf []byte, f func(batch.Batch) error) error {
	for len(buf) > 0 {
		b, err := batch.First(buf)
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", engine.ErrCorrupt, err)
		}
		if err := f(b); err != nil {
			return err
		}
		buf = buf[len(b):]
	}
	return nil
}
