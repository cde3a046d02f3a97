package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

// player plays one life of a process on a disk, in one goroutine, and keeps the ledger. It goes on after errors as a careless
// caller would, since nothing may be acknowledged then.
type player struct {
	l     *ledger
	rng   *rand.Rand
	e     *engine.Engine
	logs  map[string]*playedLog
	incs  map[string]uint32
	owner func(b batch.Batch) engine.Owner // of each batch; default victim.Scribbler
	heal  func()                           // ends a fault, if one is in force

	failures []error              // what the engine said that was not nil
	refused  int                  // batches refused for lack of room
	opened   func(*engine.Engine) // told of each engine; may be nil
	dead     error                // the engine has said ErrFailed to an Append: it takes nothing more
}

type playedLog struct {
	name string
	inc  uint32
	log  *engine.Log
	w    *watch
	seq  uint32
	sent []sentBatch // not yet known to be acknowledged
}

type sentBatch struct {
	id         victim.ID
	base, next batch.Offset
}

// watch is a Watcher that looks, at each acknowledgement, whether there may be one.
type watch struct {
	*victim.Watcher
	check func()
}

func (w *watch) Flushed(end batch.Offset) {
	if w.check != nil {
		w.check()
	}
	w.Watcher.Flushed(end)
}

func (p *player) failed(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
		p.failures = append(p.failures, err)
	}
	return err
}

// play opens the engine, appends batches to logs that it creates and drops, and closes it. The result is a breach of what is
// claimed; errors of the engine are in failures.
func (p *player) play(fs disk.FS, batches int, flushed func()) error {
	p.logs, p.incs = map[string]*playedLog{}, map[string]uint32{}
	p.l.life++
	e, err := engine.Open(context.Background(), historyOptions(fs))
	if p.failed("Open", err) != nil {
		return nil
	}
	p.e = e
	if p.opened != nil {
		p.opened(e)
	}
	breach := p.steps(batches, flushed)
	_ = p.failed("Close", e.Close())
	p.harvest()
	return breach
}

// historyOptions are the victim's, with a reserve, so that Free is asked.
func historyOptions(fs disk.FS) engine.Options {
	o := victim.Options(fs, "/d")
	o.ReserveBytes = 1
	return o
}

func (p *player) steps(batches int, flushed func()) error {
	for i := range batches {
		name := fmt.Sprintf("t-%d", p.rng.IntN(3))
		if i%17 == 16 {
			p.drop(name)
			continue
		}
		l := p.open(name, flushed)
		if l == nil {
			continue
		}
		if err := p.append(l); err != nil {
			return err
		}
		if i%5 == 4 {
			if err := p.read(l); err != nil {
				return err
			}
		}
	}
	for _, l := range p.logs {
		if err := p.read(l); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) open(name string, flushed func()) *playedLog {
	if l := p.logs[name]; l != nil {
		return l
	}
	p.l.creating(name)
	w := &watch{victim.NewWatcher(), flushed}
	log, err := p.e.OpenLog(name, victim.LogOptions(w))
	if p.failed("OpenLog "+name, err) != nil {
		if !errors.Is(err, engine.ErrFull) || p.heal == nil {
			return nil
		}
		p.heal()
		w = &watch{victim.NewWatcher(), flushed}
		if log, err = p.e.OpenLog(name, victim.LogOptions(w)); p.failed("OpenLog, healed", err) != nil {
			return nil
		}
	}
	l := &playedLog{name: name, inc: p.incs[name], log: log, w: w}
	p.logs[name] = l
	return l
}

// append appends one batch, and two times of three waits until everything sent is flushed or the engine has failed.
func (p *player) append(l *playedLog) error {
	dead := p.dead
	id := victim.ID{Log: l.name, Life: p.l.life, Inc: l.inc, Seq: l.seq}
	b := victim.Make(id, 1+p.rng.IntN(2000))
	var own engine.Owner = whileAlive{p.e, victim.Scribbler(b)}
	if p.owner != nil {
		own = p.owner(b)
	}
	at, err := l.log.Append(b, victim.Epoch, own)
	for try := 0; errors.Is(err, engine.ErrFull) && try < 2; try++ {
		p.refused++
		if try == 1 && p.heal != nil {
			p.heal()
		}
		at, err = l.log.Append(b, victim.Epoch, own)
	}
	if p.failed("Append "+l.name, err) != nil {
		if errors.Is(err, engine.ErrFailed) {
			p.dead = err
		}
		return nil
	}
	if dead != nil {
		return fmt.Errorf("a batch was taken after the engine had failed (%w)", dead)
	}
	l.seq++
	l.sent = append(l.sent, sentBatch{id, at.Base, at.Last + 1})
	if p.rng.IntN(3) > 0 {
		p.operated(func() { _ = p.failed("flush "+l.name, l.w.Wait(at.Last+1)) })
		return p.note(l)
	}
	return nil
}

// whileAlive scribbles over a released batch, but not when the engine has failed: see TestNothingIsReadAfterRelease.
type whileAlive struct {
	e *engine.Engine
	s victim.Scribbler
}

func (w whileAlive) Release() {
	if w.e.Err() == nil {
		w.s.Release()
	}
}

// note enters what is acknowledged into the ledger.
func (p *player) note(l *playedLog) error {
	end := l.w.End()
	for len(l.sent) > 0 && l.sent[0].next <= end {
		if err := p.l.acknowledged(l.sent[0].id, l.sent[0].base); err != nil {
			return err
		}
		l.sent = l.sent[1:]
	}
	return nil
}

func (p *player) harvest() {
	for _, l := range p.logs {
		_ = p.note(l) // two batches at one offset would be found by the check as well
	}
}

// read reads what is flushed. An error of the disk is a failure, wrong bytes are a breach.
func (p *player) read(l *playedLog) error {
	found, err := readAll(l.log)
	if err != nil && isBreach(err) {
		return err
	}
	_ = p.failed("Read "+l.name, err)
	if err == nil {
		a := p.l.of(l.name)
		for base, id := range a.acked {
			if a.dropping && !a.gone(id) {
				continue // of before a Drop that was cut off in an earlier life
			}
			if got := found[base]; got != id {
				return fmt.Errorf("log %s: %v was acknowledged at offset %d, where a read finds %v", l.name, id, base, got)
			}
		}
	}
	return nil
}

// operatorDelay is when somebody makes room for a commit log that waits for a checkpoint, for which there is none. The engine tries
// again every second.
const operatorDelay = 3 * time.Second

// operated does what may have to wait until there is room, for as long as it takes an operator to see to that.
func (p *player) operated(f func()) {
	if p.heal != nil {
		defer time.AfterFunc(operatorDelay, p.heal).Stop()
	}
	f()
}

func (p *player) drop(name string) {
	l := p.logs[name]
	if l == nil {
		return
	}
	m := mark{p.l.life, l.inc}
	p.l.dropping(name, m)
	_ = p.note(l)
	var err error
	p.operated(func() { err = p.failed("Drop "+name, p.e.Drop(name)) })
	if err != nil {
		return
	}
	p.l.dropped(name, m)
	delete(p.logs, name)
	p.incs[name]++
}

// isBreach tells wrong data from an operation that failed: the disk's own errors are errnos or carry errInjected.
func isBreach(err error) bool {
	return !errors.Is(err, errInjected) && !errors.Is(err, engine.ErrClosed)
}

var errInjected = errors.New("injected")

// kind is a file name without its numbers, for tables: "3.spare" and "12.spare" are one kind of file.
func kind(name string) string {
	base := path.Base(name)
	switch ext := path.Ext(base); ext {
	case ".commit", ".log", ".spare", ".new", ".deleted", ".seal":
		return "*" + ext
	}
	if strings.HasPrefix(base, "t-") {
		return "t-*"
	}
	return base
}
