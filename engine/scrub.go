package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/internal/seal"
	"github.com/streambus/streambus/engine/internal/segment"
)

// Damage is a stretch of a log that does not hold what was written, or cannot be read. It is not served, and not repaired: that
// takes a copy.
type Damage struct {
	Log         string
	First, Next batch.Offset // records [First, Next); both NoOffset when only a side file is harmed, which is made anew
	Err         error        // what was found, with file and bytes

	lo int64 // what lies in the segment from here on, up to Next, cannot be believed; records below First may begin before it
}

// Verify reads every segment of the open logs, checks all of their bytes, and keeps what is damaged from being served. It gives
// all damage known. limit is asked before bytes are read and may wait (nil: no limit); its error ends the work and is returned.
func (e *Engine) Verify(limit func(n int) error) ([]Damage, error) {
	var all []Damage
	for _, l := range e.open() {
		if err := l.verify(limit); err != nil {
			return all, err
		}
		all = append(all, l.Damage()...)
	}
	return all, nil
}

// Damage lists what is known to be damaged of the log.
func (l *Log) Damage() []Damage {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Damage
	for _, p := range l.parts {
		all = append(all, p.damage...)
	}
	return all
}

func (l *Log) verify(limit func(n int) error) error {
	if err := l.writeOut(); err != nil {
		return err
	}
	for _, p := range l.hold() {
		err := l.verifyPart(p, limit)
		_ = p.seg.Release() // only read
		if err != nil && l.has(p) {
			return err
		}
	}
	return nil
}

// has says whether p is still a part of the log: what is found in one that was cut, compacted or trimmed away meanwhile is no damage.
func (l *Log) has(p *part) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && slices.Contains(l.parts, p)
}

// hold lists the segments, acquired.
func (l *Log) hold() []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.parts)
	for _, p := range all {
		p.seg.Acquire()
	}
	return all
}

func (l *Log) verifyPart(p *part, limit func(n int) error) error {
	if p.seg.Sealed() {
		if done, err := l.verifySealed(p, limit); done || err != nil {
			return err
		}
	}
	return l.verifyBatches(p, limit)
}

// verifySealed checks the files of a sealed segment; done says whether there is a seal to check them by. One that spoke for a damaged side
// file has been removed.
//
// Files are opened by name, and the name may be that of a segment which is replaced, cut or trimmed away just now. So what is found counts
// when it is found again while nobody does that.
func (l *Log) verifySealed(p *part, limit func(n int) error) (done bool, err error) {
	stopped := false
	found, err := l.lookAtSealed(p, func(n int) (err error) {
		if limit != nil {
			err = limit(n)
		}
		stopped = err != nil
		return err
	})
	if stopped || err == nil && len(found) == 0 {
		return true, err
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if !l.has(p) {
		return true, nil
	}
	if _, err := seal.Read(l.e.o.FS, l.dir, p.seg.Base); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	found, err = l.lookAtSealed(p, l.whileOpen(l.e.unhurried))
	sideFile := false
	for _, d := range found {
		if d.First == batch.NoOffset {
			sideFile = true
			l.e.o.Logger.Warn("a side file of a segment is damaged; it is made anew at the next start", "log", l.name, "path", d.Path, "err", d.Err)
			continue
		}
		l.quarantine(p, Damage{l.name, d.First, d.Next, fmt.Errorf("%w: %s, bytes [%d, %d): %w", ErrCorrupt, d.Path, d.Lo, d.Hi, d.Err), d.Lo})
	}
	if err == nil && sideFile && l.has(p) {
		err = segment.Unseal(l.e.o.FS, l.dir, p.seg.Base)
	}
	return true, err
}

func (l *Log) lookAtSealed(p *part, limit func(n int) error) (found []seal.Damage, err error) {
	err = seal.Verify(l.e.o.FS, l.dir, p.seg.Base, limit, func(d seal.Damage) { found = append(found, d) })
	return found, err
}

// verifyStep is how much of a segment without a seal is checked at once.
const verifyStep = 1 << 20

// verifyBatches checks a segment that has no seal: each batch, and that its header is the one that was written.
func (l *Log) verifyBatches(p *part, limit func(n int) error) error {
	l.mu.Lock()
	size, sums := p.seg.Size(), p.seg.Sums()
	l.mu.Unlock()
	for pos := int64(0); pos < size; {
		step := min(verifyStep, size-pos)
		if limit != nil {
			if err := limit(int(step)); err != nil {
				return err
			}
		}
		err := sums.Check(pos, pos+step)
		pos += step
		if d := (*segment.Damage)(nil); errors.As(err, &d) {
			l.quarantine(p, l.damage(d))
			pos, err = max(d.Hi, pos-step+1), nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foundDamage keeps what a segment reports from being served any more, and says whether that is new.
func (l *Log) foundDamage(p *part, err error) (fresh bool) {
	var d *segment.Damage
	return errors.As(err, &d) && l.quarantine(p, l.damage(d))
}

// damage is what a segment says of its bytes, said of the log.
func (l *Log) damage(d *segment.Damage) Damage {
	return Damage{l.name, d.First, d.Next, fmt.Errorf("%w: %w", ErrCorrupt, d), d.Lo}
}

// quarantine keeps a stretch from being served any more, and says whether that is new. Nothing is cut off or removed (E7).
func (l *Log) quarantine(p *part, d Damage) (fresh bool) {
	l.mu.Lock()
	known := !slices.Contains(l.parts, p) || slices.ContainsFunc(p.damage, func(have Damage) bool { return have.First == d.First && have.Next == d.Next })
	if !known {
		p.damage = append(p.damage, d)
		slices.SortFunc(p.damage, func(a, b Damage) int { return int(a.First - b.First) })
		l.recent.Forget()
	}
	l.mu.Unlock()
	if !known {
		l.e.o.Logger.Error("records are damaged and not served any more; restore the file from a copy, or delete the records",
			"log", l.name, "from", int64(d.First), "below", int64(d.Next), "err", d.Err)
	}
	return !known
}

// sound is how far [from, end) can be served, and the bytes below limit be looked at: up to the first damage. The error is that of
// damage at from. Callers hold log.mu.
func (p *part) sound(from, end batch.Offset, limit int64) (batch.Offset, int64, error) {
	for _, d := range p.damage {
		switch {
		case d.Next <= from:
		case d.First <= from:
			return from, 0, d.Err
		default:
			return min(end, d.First), min(limit, d.lo), nil
		}
	}
	return end, limit, nil
}

// scrubs verifies everything again and again, slowly, beside everything else.
func (e *Engine) scrubs() {
	if e.o.ScrubInterval < 0 {
		return
	}
	timer := time.NewTimer(e.o.ScrubInterval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.stop:
			return
		case <-e.failed:
			return
		}
		slowly := e.slowly(e.o.ScrubBytesPerSecond)
		_, err := e.Verify(func(n int) error {
			e.count.scrubbed.Add(int64(n))
			return slowly(n)
		})
		if err == nil {
			e.count.scrubs.Add(1)
		} else if !errors.Is(err, errStopped) {
			e.o.Logger.Warn("the scrubber could not read everything; it begins anew later", "err", err)
		}
		timer.Reset(e.o.ScrubInterval)
	}
}

// slowly is a limiter that ends when the engine does.
func (e *Engine) slowly(bytesPerSecond int64) func(n int) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return func(n int) error {
		timer.Reset(time.Duration(float64(n) / float64(bytesPerSecond) * float64(time.Second)))
		select {
		case <-timer.C:
			return nil
		case <-e.stop:
			return errStopped
		case <-e.failed:
			return errStopped
		}
	}
}
