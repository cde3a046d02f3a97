package engine

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/segment"
)

// care asks for a look at a log that has rolled. When there is no room, the next look at all logs finds it. May be called with the
// log's lock held.
func (e *Engine) care(l *Log) {
	select {
	case e.cares <- l:
	default:
	}
}

// takeCare seals segments and compacts logs, one at a time, beside everything else.
func (e *Engine) takeCare() {
	var c compaction
	for {
		select {
		case l := <-e.cares:
			l.sealRolled()
			l.tended(l.compact(&c))
			l.sealRolled() // what compaction made
		case <-e.stop:
			return
		case <-e.failed:
			return
		}
	}
}

// errStopped ends work in the background when the engine closes.
var errStopped = errors.New("the engine is closing")

// unhurried is a limiter that only ends the work when the engine does.
func (e *Engine) unhurried(int) error {
	select {
	case <-e.stop:
		return errStopped
	case <-e.failed:
		return errStopped
	default:
		return nil
	}
}

// sealRolled seals the segments of a log that are whole and not sealed.
func (l *Log) sealRolled() {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	for {
		p, next, end := l.unsealed()
		if p == nil {
			return
		}
		err := p.seg.Seal(l.e.o.FS, &l.mu, l.id, end, l.e.unhurried)
		_ = p.seg.Release() // closes nothing that counts: the log or a reader holds it, or it is gone
		switch {
		case err == nil:
		case errors.Is(err, segment.ErrCorrupt):
			d := Damage{l.name, p.seg.Base, next, fmt.Errorf("%w: %w", ErrCorrupt, err), 0}
			if found := (*segment.Damage)(nil); errors.As(err, &found) {
				d = l.damage(found)
			}
			l.quarantine(p, d)
		case errors.Is(err, errStopped):
			return
		case l.isGone(): // the folder is being removed
			return
		default:
			_ = l.e.growthError(fmt.Errorf("seal: %w", err)) // without room, the next look at all logs tries again
			return
		}
	}
}

// tended sorts how a compaction ended.
func (l *Log) tended(err error) {
	switch {
	case err == nil, errors.Is(err, errStopped), l.isGone():
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrClosed):
		l.e.o.Logger.Warn("compaction stopped", "log", l.name, "err", err)
	default:
		_ = l.e.growthError(fmt.Errorf("compaction of %s: %w", l.name, err)) // without room, the next look at all logs tries again
	}
}

// whileOpen ends work in the background when the log is closed or dropped, which waits for it.
func (l *Log) whileOpen(limit func(n int) error) func(n int) error {
	return func(n int) error {
		if l.isGone() {
			return fmt.Errorf("%w: %s", ErrClosed, l.name)
		}
		return limit(n)
	}
}

func (l *Log) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// unsealed is a segment to be sealed, acquired, where it ends, and where the one behind it begins; nil when there is none.
func (l *Log) unsealed() (p *part, next, end batch.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.parts {
		if i+1 < len(l.parts) && !l.closed && !l.rolling && !p.seg.Sealed() && len(p.damage) == 0 && l.written >= l.parts[i+1].seg.Base {
			p.seg.Acquire()
			return p, p.seg.Next(), l.parts[i+1].seg.Base
		}
	}
	return nil, 0, 0
}
