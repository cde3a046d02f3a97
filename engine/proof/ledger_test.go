package proof

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

// ledger is what a test was promised, by log.
type ledger struct {
	book  map[string]*account
	life  uint32 // the latest
	acks  int    // promises checked so far
	found int    // batches read in checks so far
}

func newLedger() *ledger { return &ledger{book: map[string]*account{}} }

// account is what was promised of one log.
type account struct {
	acked    map[batch.Offset]victim.ID // by base offset
	since    mark                       // batches of incarnations below were dropped
	exists   bool                       // seen, or something of it was acknowledged
	maybe    bool                       // OpenLog was called, so it may exist
	dropping bool                       // Drop was called, and the victim died before it returned
	drop     mark                       // the incarnation that was being dropped
	again    bool                       // OpenLog was called since
}

// mark orders the incarnations of one log.
type mark struct{ life, inc uint32 }

func (m mark) below(o mark) bool { return m.life < o.life || m.life == o.life && m.inc < o.inc }

func markOf(id victim.ID) mark { return mark{id.Life, id.Inc} }

func (l *ledger) of(log string) *account {
	a := l.book[log]
	if a == nil {
		a = &account{acked: map[batch.Offset]victim.ID{}}
		l.book[log] = a
	}
	return a
}

func (l *ledger) creating(log string) {
	a := l.of(log)
	a.maybe, a.again = true, true
}

func (l *ledger) dropping(log string, m mark) {
	a := l.of(log)
	a.dropping, a.drop, a.again = true, m, false
}

// dropped notes that the incarnation of a log is gone for good.
func (l *ledger) dropped(log string, m mark) {
	l.book[log] = &account{acked: map[batch.Offset]victim.ID{}, since: mark{m.life, m.inc + 1}}
}

func (l *ledger) acknowledged(id victim.ID, base batch.Offset) error {
	a := l.of(id.Log)
	if markOf(id).below(a.since) {
		return nil // the line was overtaken by that of the Drop
	}
	if other, ok := a.acked[base]; ok && other != id && a.dropping && a.gone(id) && !a.gone(other) {
		l.settleDrop(id.Log, a) // offsets begin anew, so the Drop that was cut off has happened
		a = l.of(id.Log)
	} else if ok && other != id {
		return fmt.Errorf("log %s: offset %d was given to %v and to %v", id.Log, base, other, id)
	}
	a.acked[base] = id
	a.exists = true
	l.acks++
	return nil
}

// gone says that a batch can be there although the Drop that was cut off has happened.
func (a *account) gone(id victim.ID) bool { return id.Life > a.drop.life }

// settleDrop notes that a Drop that was cut off has happened: what was acknowledged before it is not owed any more.
func (l *ledger) settleDrop(log string, a *account) {
	l.dropped(log, mark{a.drop.life, 1 << 30})
	b := l.book[log]
	b.maybe = a.maybe
	for base, id := range a.acked {
		if a.gone(id) {
			b.acked[base], b.exists = id, true
		}
	}
}

// listen takes in what a victim says until it ends; ready is closed when its Open has returned. The first x or f line, and
// whether it closed cleanly, are the result.
func (l *ledger) listen(r io.Reader, ready func()) (heard string, closed bool, err error) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		line := in.Text()
		word, rest, _ := strings.Cut(line, " ")
		var id victim.ID
		var base batch.Offset
		var n int
		switch word {
		case "ready":
			ready()
		case "closed":
			closed = true
		case "c", "d", "D":
			n, _ = fmt.Sscan(rest, &id.Log, &id.Inc)
			if n != 2 {
				return heard, closed, fmt.Errorf("the victim said %q", line)
			}
			switch word {
			case "c":
				l.creating(id.Log)
			case "d":
				l.dropping(id.Log, mark{l.life, id.Inc})
			default:
				l.dropped(id.Log, mark{l.life, id.Inc})
			}
		case "a":
			n, _ = fmt.Sscan(rest, &id.Log, &id.Life, &id.Inc, &id.Writer, &id.Seq, &base)
			if n != 6 {
				return heard, closed, fmt.Errorf("the victim said %q", line)
			}
			if err := l.acknowledged(id, base); err != nil {
				return heard, closed, err
			}
		default:
			heard = line
		}
	}
	return heard, closed, in.Err()
}

// check opens what is on the disk and holds it against the ledger (L1 to L4). What it finds must be there for ever after.
func (l *ledger) check(fs disk.FS, dir string) (err error) {
	e, err := engine.Open(context.Background(), victim.Options(fs, dir))
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return l.compare(e)
}

func (l *ledger) compare(e *engine.Engine) error {
	names := e.Names()
	for _, name := range names {
		if l.book[name] == nil {
			return fmt.Errorf("log %s was never created", name)
		}
	}
	for name, a := range l.book {
		there := slices.Contains(names, name)
		switch {
		case there && !a.exists && !a.maybe:
			return fmt.Errorf("log %s is back: it was dropped", name)
		case !there && a.exists && !a.dropping:
			return fmt.Errorf("log %s is gone with %d acknowledged batches", name, len(a.acked))
		case !there && a.dropping:
			l.settleDrop(name, a)
			if l.book[name].exists {
				return fmt.Errorf("log %s is gone with %d acknowledged batches", name, len(l.book[name].acked))
			}
		case !there:
			a.maybe = false
		default:
			if err := l.compareLog(e, name, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *ledger) compareLog(e *engine.Engine, name string, a *account) error {
	log, err := e.OpenLog(name, victim.LogOptions(nil))
	if err != nil {
		return fmt.Errorf("OpenLog %s: %w", name, err)
	}
	found, err := readAll(log)
	if err != nil {
		return err
	}
	l.found += len(found)
	if a.dropping && a.again && !slices.ContainsFunc(slices.Collect(maps.Values(found)), func(id victim.ID) bool { return !a.gone(id) }) {
		l.settleDrop(name, a) // nothing from before the Drop that was cut off: then nothing at all of it may be missed
		a = l.book[name]
	}
	for base, id := range a.acked {
		if got, ok := found[base]; !ok || got != id {
			return fmt.Errorf("log %s holds %d batches up to offset %d: at offset %d, where %v was acknowledged, is %v", name, len(found), log.FlushedEnd(), base, id, got)
		}
	}
	if err := order(found); err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	for _, id := range found {
		if id.Life > l.life || markOf(id).below(a.since) {
			return fmt.Errorf("log %s holds %v, but its life is %d and what is below %v was dropped", name, id, l.life, a.since)
		}
	}
	*a = account{acked: found, since: a.since, exists: true}
	return nil
}

// order says whether no batch is there twice, and each writer's stand in order without holes (L2, L3).
func order(found map[batch.Offset]victim.ID) error {
	next := map[victim.ID]uint32{} // by writer: Seq is 0
	for _, base := range slices.Sorted(maps.Keys(found)) {
		id := found[base]
		writer := id
		writer.Seq = 0
		if id.Seq != next[writer] {
			return fmt.Errorf("at offset %d is %v, but batch %d of this writer is next", base, id, next[writer])
		}
		next[writer]++
	}
	return nil
}

// readAll reads a log from its start to its flushed end, checking each batch.
func readAll(log *engine.Log) (map[batch.Offset]victim.ID, error) {
	found := map[batch.Offset]victim.ID{}
	end := log.FlushedEnd()
	for at := log.StartOffset(); at < end; {
		before := at
		err := victim.Read(log, at, end, 8<<10, func(id victim.ID, b batch.Batch) {
			found[b.BaseOffset()] = id
			at = b.NextOffset()
		})
		if err != nil {
			return found, err
		}
		if at <= before {
			return found, fmt.Errorf("log %s: a read at offset %d of %d gave nothing", log.Name(), at, end)
		}
	}
	return found, nil
}

// TestLedgerSeesEachFault feeds the ledger one history for each thing that it must refuse.
func TestLedgerSeesEachFault(t *testing.T) {
	id := func(inc, seq uint32) victim.ID { return victim.ID{Log: "t-0", Life: 1, Inc: inc, Writer: 2, Seq: seq} }
	store := func(t *testing.T, ids ...victim.ID) disk.FS {
		mem := disk.NewMem()
		e, err := engine.Open(context.Background(), victim.Options(mem, "/d"))
		if err != nil {
			t.Fatal(err)
		}
		w := victim.NewWatcher()
		log, err := e.OpenLog("t-0", victim.LogOptions(w))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range ids {
			if _, err := log.Append(victim.Make(one, 100), victim.Epoch, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return mem
	}
	base := func(ids ...victim.ID) (at batch.Offset) {
		for _, one := range ids {
			at += batch.Offset(victim.Make(one, 100).Count())
		}
		return at
	}
	for name, c := range map[string]struct {
		stored []victim.ID
		told   func(l *ledger) error
		want   string // "" is no fault
	}{
		"good":           {[]victim.ID{id(0, 0), id(0, 1)}, func(l *ledger) error { return l.acknowledged(id(0, 1), base(id(0, 0))) }, ""},
		"lost":           {[]victim.ID{id(0, 0)}, func(l *ledger) error { return l.acknowledged(id(0, 1), base(id(0, 0))) }, "was acknowledged"},
		"elsewhere":      {[]victim.ID{id(0, 0), id(0, 1)}, func(l *ledger) error { return l.acknowledged(id(0, 1), 50) }, "was acknowledged"},
		"twice":          {[]victim.ID{id(0, 0), id(0, 0)}, func(*ledger) error { return nil }, "is next"},
		"hole":           {[]victim.ID{id(0, 0), id(0, 2)}, func(*ledger) error { return nil }, "is next"},
		"order":          {[]victim.ID{id(0, 1), id(0, 0)}, func(*ledger) error { return nil }, "is next"},
		"back from drop": {[]victim.ID{id(0, 0)}, func(l *ledger) error { l.dropped("t-0", mark{1, 0}); l.creating("t-0"); return nil }, "was dropped"},
		"not dropped":    {[]victim.ID{id(0, 0)}, func(l *ledger) error { l.dropped("t-0", mark{1, 0}); return nil }, "is back"},
		"another log":    {[]victim.ID{{Log: "t-1", Life: 1}}, func(*ledger) error { return nil }, "never appended"},
		"future":         {[]victim.ID{{Log: "t-0", Life: 9}}, func(*ledger) error { return nil }, "its life is"},
		"log gone":       {nil, func(l *ledger) error { return l.acknowledged(victim.ID{Log: "t-7"}, 0) }, "is gone"},
		"two at offset": {nil, func(l *ledger) error {
			return errors.Join(l.acknowledged(id(0, 0), 0), l.acknowledged(id(0, 1), 0))
		}, "was given to"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := store(t, c.stored...)
			l := newLedger()
			l.life = 1
			l.creating("t-0")
			err := c.told(l)
			if err == nil {
				err = l.check(fs, "/d")
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the ledger says %v, want %q", err, c.want)
			}
		})
	}
}
