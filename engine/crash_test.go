package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var (
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of the first crash history; 0 draws one")
	crashStates = flag.Int("crash.states", 20_000, "how many crash states to try")
)

var errPowerCut = errors.New("power cut")

// model is what a test knows of one log: every batch it appended, and how many of their records it was told are flushed.
type model struct {
	values []string // of every record, by offset
	bases  []int    // where its batches begin
	acked  int      // records that must be there
	start  int      // what Trim was asked for and returned
	asked  int      // what Trim was asked for
	gone   bool     // Drop returned
	going  bool     // Drop was called

	loose map[string]int // of a compacted log: below this offset no record of the key need be there, for one that was cut off may have replaced it
}

// durability of the logs of a history, by name. What is not flushed before it is acknowledged may be lost by a power cut, but
// not by the end of the process, and what is left has no gap.
var durabilities = map[string]Durability{"t-2": PageCache, "t-3": Interval}

// compacted is the log of a history that is compacted beside everything else.
const compacted = "t-1"

// keyOf is the key of a record of the compacted log.
func keyOf(value string) string {
	key, _, _ := strings.Cut(value, "-")
	return key
}

// TestCrashAnywhere runs random histories on a disk in memory, cuts the power at a random operation (and sometimes again during
// the recovery), and checks what comes back against the model (E6): all that was acknowledged, nothing that was not appended,
// no dropped log.
func TestCrashAnywhere(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	n := *crashStates
	if testing.Short() {
		n = min(n, 200)
	}
	recovered := 0
	for i := range n {
		rng := rand.New(rand.NewPCG(seed+uint64(i), 1))
		if err := crashOnce(rng); err != nil {
			t.Fatalf("%v\nrepeat: go test ./engine -run TestCrashAnywhere -crash.seed=%d -crash.states=1", err, seed+uint64(i))
		}
		recovered++
	}
	t.Logf("%d crash states, first seed %d", recovered, seed)
}

// cutter fails every operation from the n-th on.
type cutter struct {
	left atomic.Int64
	off  atomic.Bool
}

func (c *cutter) rule(op disk.Op, _ string) error {
	switch op {
	case "read", "readdir", "size", "open", "free", "lock":
	default:
		if c.left.Add(-1) < 0 {
			c.off.Store(true)
		}
	}
	if c.off.Load() {
		return errPowerCut
	}
	return nil
}

func crashOptions(fs disk.FS) Options {
	return Options{FS: fs, Dir: "/d", CommitFileBytes: 64 << 10, CommitFiles: 3, GroupBytes: 16 << 10, ReserveBytes: -1, CacheBytes: 64 << 10,
		CleanerBytes: 16 << 10, CleanBytesPerSecond: 1 << 40}
}

func crashOnce(rng *rand.Rand) error {
	mem := disk.NewMem()
	logs := map[string]*model{}
	rounds := 1 + rng.IntN(3) // lives of the process on this disk
	for round := range rounds {
		cut := &cutter{}
		cut.left.Store(int64(rng.IntN(300)))
		if err := history(rng, disk.Inject(mem, cut.rule), logs); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		keep := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
		mem = mem.Crash(rng, keep)
		for name, m := range logs {
			if durabilities[name] != Fsync && keep < 1 {
				m.acked = 0
			}
		}
		if rng.IntN(3) == 0 { // the power goes again, in the middle of recovery
			again := &cutter{}
			again.left.Store(int64(rng.IntN(40)))
			if e, err := Open(context.Background(), crashOptions(disk.Inject(mem, again.rule))); err == nil {
				_ = e.Close()
			} else if !errors.Is(err, errPowerCut) {
				return fmt.Errorf("round %d: recovery that was cut off: %w", round, err)
			}
			mem = mem.Crash(rng, rng.Float64())
			for name, m := range logs {
				if durabilities[name] != Fsync {
					m.acked = 0
				}
			}
		}
		if err := verify(mem, logs); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

// history appends, creates, drops and restarts at random until the power goes.
func history(rng *rand.Rand, fs disk.FS, logs map[string]*model) error {
	for range 3 {
		e, err := Open(context.Background(), crashOptions(fs))
		if err != nil {
			return nil
		}
		err = live(rng, e, logs)
		if e.Close() != nil || err != nil {
			return err
		}
	}
	return nil
}

// live is one life of the process. The error is a breach; that the power goes ends it without.
func live(rng *rand.Rand, e *Engine, logs map[string]*model) error {
	open := map[string]*Log{}
	watch := map[string]*watcher{}
	defer func() { // what was flushed though nobody waited for it
		for name, w := range watch {
			w.mu.Lock()
			logs[name].acked = max(logs[name].acked, int(w.end))
			w.mu.Unlock()
		}
	}()
	for range 10 + rng.IntN(60) {
		name := fmt.Sprintf("t-%d", rng.IntN(4))
		switch rng.IntN(20) {
		case 0:
			if m := logs[name]; m != nil && open[name] != nil {
				m.going = true
				if e.Drop(name) != nil {
					return nil
				}
				delete(open, name)
				delete(watch, name)
				logs[name] = &model{gone: true}
			}
		case 1:
			e.wantCheckpoint()
		case 2:
			if m := logs[name]; m != nil && open[name] != nil && !trimOne(rng, open[name], m) {
				return nil
			}
		case 3, 4:
			if m := logs[name]; m != nil && open[name] != nil && !cutOne(rng, open[name], watch[name], m) {
				return nil
			}
		case 5:
			if found, _ := e.Verify(nil); len(found) > 0 {
				return fmt.Errorf("damage is found where there is none: %v", found)
			}
		default:
			l := open[name]
			if l == nil {
				if logs[name] == nil || logs[name].gone {
					logs[name] = &model{} // from the call on it may exist
				}
				w := newWatcher()
				var err error
				if l, err = e.OpenLog(name, LogOptions{Observer: w, SegmentBytes: 6000, IndexIntervalBytes: 500, Durability: durabilities[name], FlushInterval: time.Millisecond,
					Compact: name == compacted, MinDirtyRatio: 0.01}); err != nil {
					return nil
				}
				open[name], watch[name] = l, w
			}
			if !appendOne(rng, l, watch[name], logs[name]) {
				return nil
			}
		}
	}
	return nil
}

func appendOne(rng *rand.Rand, l *Log, w *watcher, m *model) bool {
	n := 1 + rng.IntN(3)
	b := makeBatch(fmt.Sprintf("%d-%s", rng.IntN(1e6), strings.Repeat("z", rng.IntN(3000))), n, 0)
	if l.Name() == compacted {
		var keyed batch.Builder
		for range n {
			value := fmt.Sprintf("%d-%s", rng.IntN(8), strings.Repeat("z", rng.IntN(3000)))
			keyed.Add(time.UnixMilli(0), []byte(keyOf(value)), []byte(value))
		}
		b = keyed.Batch()
	}
	at, err := l.Append(b, 1, nil)
	if err != nil {
		return false
	}
	m.values = append(m.values[:at.Base], valuesOf(b)...)
	for len(m.bases) > 0 && m.bases[len(m.bases)-1] >= int(at.Base) {
		m.bases = m.bases[:len(m.bases)-1]
	}
	m.bases = append(m.bases, int(at.Base))
	if rng.IntN(3) == 0 {
		return true // several in flight
	}
	if w.wait(at.Last+1) != nil {
		return false
	}
	m.acked = max(m.acked, int(at.Last)+1)
	return true
}

func trimOne(rng *rand.Rand, l *Log, m *model) bool {
	to := min(m.start+rng.IntN(12), int(l.FlushedEnd()))
	m.asked = max(m.asked, to)
	if l.Trim(batch.Offset(to)) != nil {
		return false
	}
	m.start = max(m.start, to)
	return true
}

// cutOne cuts before one of the newest batches.
func cutOne(rng *rand.Rand, l *Log, w *watcher, m *model) bool {
	if len(m.bases) == 0 {
		return true
	}
	to := m.bases[len(m.bases)-1-rng.IntN(min(len(m.bases), 6))]
	if to < m.asked {
		return true
	}
	if w.wait(l.EndOffset()) != nil {
		return false
	}
	m.acked = min(m.acked, to)
	for _, v := range m.values[to:] {
		if m.loose == nil {
			m.loose = map[string]int{}
		}
		m.loose[keyOf(v)] = max(m.loose[keyOf(v)], to) // it may come to nothing
	}
	w.mu.Lock()
	w.end = 0 // what it was told before may not be so any more
	w.mu.Unlock()
	if l.Cut(batch.Offset(to)) != nil || int(l.EndOffset()) != to {
		return false
	}
	w.mu.Lock()
	w.end = batch.Offset(to)
	w.mu.Unlock()
	m.values = m.values[:to]
	for key, below := range m.loose {
		m.loose[key] = min(below, to)
	}
	for m.bases[len(m.bases)-1] >= to {
		if m.bases = m.bases[:len(m.bases)-1]; len(m.bases) == 0 {
			break
		}
	}
	return true
}

func valuesOf(b batch.Batch) (out []string) {
	_ = b.Each(func(r batch.Record) bool { out = append(out, string(r.Value)); return true })
	return out
}

// verify recovers and compares with the model, which it then brings up to date with what unacknowledged records survived.
func verify(mem *disk.Mem, logs map[string]*model) error {
	e, err := Open(context.Background(), crashOptions(mem))
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	defer func() { _ = e.Close() }()
	exists := map[string]bool{}
	for _, name := range e.Names() {
		exists[name] = true
	}
	for name, m := range logs {
		if m.gone && exists[name] || !m.gone && !m.going && !exists[name] && m.acked > 0 {
			return fmt.Errorf("log %s: exists %v, dropped %v, %d acknowledged", name, exists[name], m.gone, m.acked)
		}
		if m.going && !exists[name] {
			logs[name] = &model{gone: true}
			continue
		}
		if !exists[name] {
			*m = model{}
			continue
		}
		if err := compare(e, name, m); err != nil {
			return err
		}
	}
	return nil
}

func compare(e *Engine, name string, m *model) error {
	l, err := e.OpenLog(name, LogOptions{IndexIntervalBytes: 500, Durability: durabilities[name], Compact: name == compacted, MinDirtyRatio: 0.01})
	if err != nil {
		return err
	}
	start, end := int(l.StartOffset()), int(l.EndOffset())
	if start < m.start || start > max(m.asked, m.start) {
		return fmt.Errorf("log %s begins at %d; trimmed to %d, asked for %d", name, start, m.start, m.asked)
	}
	if end < m.acked || end > max(len(m.values), start) {
		return fmt.Errorf("log %s ends at %d, of %d appended %d were acknowledged", name, end, len(m.values), m.acked)
	}
	got, err := readValues(l, batch.Offset(start), 4096)
	if err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	if name == compacted {
		err = m.isCleaned(got, start, end)
	} else {
		err = m.isWhole(got, start, end)
	}
	if err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	for len(m.values) < end { // lost with what a trim left of an unlogged log; never read
		m.values = append(m.values, "")
	}
	m.values, m.acked, m.start, m.asked, m.going = m.values[:end], end, start, start, false
	for len(m.bases) > 0 && m.bases[len(m.bases)-1] >= end {
		m.bases = m.bases[:len(m.bases)-1]
	}
	return nil
}

// isWhole says whether got, from a log [start, end), is what was appended.
func (m *model) isWhole(got []string, start, end int) error {
	if start+len(got) != end {
		return fmt.Errorf("it holds [%d, %d), but %d records can be read", start, end, len(got))
	}
	for i, v := range got {
		if want := fmt.Sprintf("%d=%s", start+i, m.values[start+i]); v != want {
			return fmt.Errorf("record %d is %.60q, appended was %.60q", start+i, v, want)
		}
	}
	return nil
}

// isCleaned says whether got is some of what was appended, and the last record of each key among it.
func (m *model) isCleaned(got []string, start, end int) error {
	there := map[int]bool{}
	for _, v := range got {
		var at int
		if _, err := fmt.Sscanf(v, "%d=", &at); err != nil || at < start || at >= end || v != fmt.Sprintf("%d=%s", at, m.values[at]) {
			return fmt.Errorf("in [%d, %d) %.60q is read, which was not appended there", start, end, v)
		}
		there[at] = true
	}
	last := map[string]int{}
	for at := start; at < end; at++ {
		last[keyOf(m.values[at])] = at
	}
	for key, at := range last {
		if !there[at] && at >= m.loose[key] {
			return fmt.Errorf("in [%d, %d) the last record of key %s, at %d, is not there", start, end, key, at)
		}
	}
	return nil
}
