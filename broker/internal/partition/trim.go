package partition

import (
	"fmt"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// Trim cuts off the records below an offset, durably; one that is cut off already is no error. Errors: engine.ErrOffsetOutOfRange
// above the high watermark, engine.ErrFailed, engine.ErrClosed.
func (p *Partition) Trim(to batch.Offset) error {
	if high := p.HighWatermark(); to > high {
		return fmt.Errorf("%w: records up to %d are committed, they cannot begin at %d", engine.ErrOffsetOutOfRange, high, to)
	}
	return p.log.Trim(to)
}

// SetOptions changes the options of the log, as engine.Log.SetOptions does.
func (p *Partition) SetOptions(o engine.LogOptions) error { return p.log.SetOptions(o) }
