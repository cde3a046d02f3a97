package engine

import (
	"fmt"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/segment"
)

// load opens the segments of a recovered log and rebuilds what is kept in memory.
func (l *Log) load(s commit.LogState) error {
	bases, err := l.wanted(s)
	if err != nil {
		return err
	}
	next := bases[0]
	for i, base := range bases {
		if base < next {
			return fmt.Errorf("%w: log %s: segment %s begins before the one below it ends (%d)", ErrCorrupt, l.name, segment.Name(base), next)
		}
		if next, err = l.loadSegment(base, i == len(bases)-1); err != nil {
			return err
		}
	}
	if next != s.End {
		return fmt.Errorf("%w: log %s ends at offset %d, the checkpoint says %d", ErrCorrupt, l.name, next, s.End)
	}
	l.epochs.TrimTo(l.start)
	return nil
}

// wanted lists the segments of the log. Those that a trim made useless go after the next checkpoint: the one on the disk may
// still name them.
func (l *Log) wanted(s commit.LogState) ([]batch.Offset, error) {
	bases, err := segmentBases(l.e.o.FS, l.dir)
	if err != nil {
		return nil, err
	}
	for len(bases) > 1 && bases[1] <= s.Start {
		seg, err := segment.Open(l.e.o.FS, l.dir, bases[0], l.o.IndexIntervalBytes)
		if err != nil {
			return nil, err
		}
		l.condemned = append(l.condemned, seg)
		l.newNames = true // the segment that follows may be new, too
		bases = bases[1:]
	}
	if len(bases) == 0 {
		return nil, fmt.Errorf("%w: log %s has no segment files in %s", ErrCorrupt, l.name, l.dir)
	}
	return bases, nil
}

func (l *Log) loadSegment(base batch.Offset, last bool) (next batch.Offset, err error) {
	seg, err := segment.Open(l.e.o.FS, l.dir, base, l.o.IndexIntervalBytes)
	if err != nil {
		return 0, err
	}
	l.parts = append(l.parts, &part{log: l, seg: seg})
	size, err := seg.FileSize()
	if err != nil {
		return 0, err
	}
	if last {
		l.tail = size
		seg.SetAllocated(size)
	}
	next, err = seg.Scan(size, func(h batch.Batch) {
		l.producers.Update(h)
		l.epochs.Add(h.LeaderEpoch(), h.BaseOffset())
	})
	if err != nil {
		return next, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return next, nil
}
