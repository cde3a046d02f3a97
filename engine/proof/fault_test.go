package proof

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/proof/victim"
)

var faultsFlag = flag.Int("proof.faults", 1, "how many histories TestEveryOperationFails goes through")

// faultOps are the operations of disk.Inject, the folder's sync among them.
var faultOps = []disk.Op{
	"create", "open", "rename", "remove", "mkdir", "readdir", "syncdir", "free", "lock", "read", "write", "sync", "allocate", "truncate", "size",
}

// errShort stands for an operation that was done in part.
var errShort = fmt.Errorf("in part: %w", io.ErrShortWrite)

var faultErrors = []error{
	syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EMFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, errShort,
}

// fault is one case: the n-th operation fails, once or from then on.
type fault struct {
	op      disk.Op
	n       int64
	err     error
	forever bool
	seed    uint64 // of the history
}

func (f fault) String() string {
	how := "once"
	if f.forever {
		how = "for ever"
	}
	return fmt.Sprintf("%s number %d fails %s with %v (history %d)", f.op, f.n, how, f.err, f.seed)
}

// faulty is a disk on which one fault happens.
type faulty struct {
	fault
	count  atomic.Int64
	healed atomic.Bool
	files  atomic.Int64 // open ones

	engine atomic.Pointer[engine.Engine]

	mu      sync.Mutex
	hit     string // kind of the first file that was hit
	others  bool   // other than growth was hit
	wounded bool   // a segment was hit in a write: no acknowledgement of what is flushed when the engine knows (L5)
	fatal   bool   // the commit log was hit in a write or sync, or flushed something when the engine knew: none from now on (L5)
	breach  error
}

func (f *faulty) around(c *victim.Call, do func() error) error {
	if c.Op == "close" {
		f.files.Add(-1)
		return do()
	}
	err := f.strike(c, do)
	if c.Op == "sync" && kind(c.Name) == "*.commit" {
		f.groupFlushed()
	}
	if err == nil && (c.Op == "create" || c.Op == "open") {
		f.files.Add(1)
	}
	return err
}

func (f *faulty) strike(c *victim.Call, do func() error) error {
	if f.healed.Load() || c.Op != f.op {
		return do()
	}
	if n := f.count.Add(1); n < f.n || n > f.n && !f.forever {
		return do()
	}
	f.mu.Lock()
	k := kind(c.Name)
	if f.hit == "" {
		f.hit = k
	}
	f.others = f.others || !f.growing(k)
	f.wounded = f.wounded || c.Op == "write" && k == "*.log"
	f.fatal = f.fatal || k == "*.commit" && (c.Op == "write" || c.Op == "sync")
	f.mu.Unlock()
	if f.err == errShort {
		f.half(c)
	}
	return fmt.Errorf("%w: %s %s: %w", errInjected, c.Op, c.Name, f.err)
}

// groupFlushed notes whether a group was flushed that may not be acknowledged: segments are written by another goroutine than the one
// that acknowledges, which may be just about to do so when a write fails.
func (f *faulty) groupFlushed() {
	e := f.engine.Load()
	known := e != nil && e.Err() != nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fatal = f.fatal || f.wounded && known
}

// half does half of a write or read.
func (f *faulty) half(c *victim.Call) {
	switch c.Op {
	case "write":
		all := slices.Concat(c.Bufs...)
		_ = c.File.WriteVec([][]byte{all[:len(all)/2]}, c.Off) // in memory; does not fail
	case "read":
		c.N, _ = c.File.ReadAt(c.P[:len(c.P)/2], c.Off)
	}
}

// flushed is asked at each acknowledgement.
func (f *faulty) flushed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal && f.breach == nil {
		f.breach = errors.New("acknowledged after a failed write or sync (L5)")
	}
}

// lack says that the errno is one for a lack of something that comes back.
func (f fault) lack() bool {
	return f.err == syscall.ENOSPC || f.err == syscall.EMFILE || f.err == syscall.ENOMEM
}

// growing says that the operation on this kind of file makes or extends one that a batch waits for: with a lack, the batch is
// refused, and the engine lives on.
func (f fault) growing(kind string) bool {
	return f.lack() && (f.op == "create" || f.op == "allocate" || f.op == "mkdir" || f.op == "write" && kind == "log.meta.tmp") &&
		(kind == "*.log" || kind == "*.new" || kind == "log.meta.tmp")
}

const faultBatches = 40

// TestEveryOperationFails plays one history over and over; in each run another operation fails, for every kind of operation,
// every errno, once and for ever, and every place in the history. After each run the disk is healed, the power cut or not,
// and the ledger checked.
func TestEveryOperationFails(t *testing.T) {
	seed, repeat := seeded(t)
	for h := range *faultsFlag {
		seed := seed + uint64(h)
		cases := faultCases(seed)
		if *faultsFlag == 1 {
			cases = chooseFaults(cases, newRand(seed, 9))
		}
		table := runFaults(t, cases, repeat(seed, ""))
		t.Logf("%d runs, each restarted after two power cuts and without one; seed %d\n%s", len(cases), seed, table)
	}
}

// faultCases counts the operations of a history without faults and gives one case for each that may fail. The count of another
// run may differ by a few, since goroutines race: the cases go a little beyond it.
func faultCases(seed uint64) (cases []fault) {
	counts := map[disk.Op]int64{}
	var mu sync.Mutex
	fs := victim.Around(disk.NewMem(), func(c *victim.Call, do func() error) error {
		mu.Lock()
		counts[c.Op]++
		mu.Unlock()
		return do()
	})
	for life := range uint64(2) {
		p := &player{l: newLedger(), rng: newRand(seed, life)}
		p.l.life = uint32(life)
		_ = p.play(fs, faultBatches, nil)
	}
	for _, op := range faultOps {
		for n := int64(1); n <= counts[op]+2; n++ {
			for _, err := range faultErrors {
				if err == errShort && op != "read" && op != "write" {
					continue
				}
				cases = append(cases, fault{op, n, err, false, seed}, fault{op, n, err, true, seed})
			}
		}
	}
	return cases
}

// chooseFaults keeps, for `make test`, every place with EIO and ENOSPC and of the other errnos some; with -short, 300 in all.
func chooseFaults(cases []fault, rng *rand.Rand) (out []fault) {
	for _, c := range cases {
		if c.err == syscall.EIO || c.err == syscall.ENOSPC || rng.IntN(8) == 0 {
			out = append(out, c)
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	if testing.Short() {
		out = out[:min(300, len(out))]
	}
	return out
}

func runFaults(t *testing.T, cases []fault, repeat string) string {
	var mu sync.Mutex
	results := map[string]map[string]int{}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(cases)) || t.Failed() {
					return
				}
				row, outcome, err := runFault(cases[i])
				if err != nil {
					t.Errorf("%v: %v%s", cases[i], err, repeat)
				}
				mu.Lock()
				if results[row] == nil {
					results[row] = map[string]int{}
				}
				results[row][outcome]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	var b strings.Builder
	for _, row := range slices.Sorted(maps.Keys(results)) {
		fmt.Fprintf(&b, "  %-34s", row)
		for _, outcome := range slices.Sorted(maps.Keys(results[row])) {
			fmt.Fprintf(&b, "  %s %d", outcome, results[row][outcome])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// runFault plays two lives with the fault in force, and checks. The row says what was struck, the outcome how the engine took it.
func runFault(c fault) (row, outcome string, err error) {
	mem := disk.NewMem()
	f := &faulty{fault: c}
	fs := victim.Around(mem, f.around)
	l := newLedger()
	must(c.String(), func() {
		for life := range uint64(2) {
			p := &player{l: l, rng: newRand(c.seed, life), heal: func() {}, opened: f.engine.Store}
			if c.lack() {
				p.heal = func() { f.healed.Store(true) }
			}
			err = p.play(fs, faultBatches, f.flushed)
			outcome = worse(outcome, p.outcome())
			if err = errors.Join(err, f.judge(p)); err != nil {
				return
			}
		}
		f.healed.Store(true)
		err = restarts(l, mem, c.seed+uint64(c.n))
	})
	row = fmt.Sprintf("%s %s, error", c.op, f.hit)
	if c.lack() {
		row = fmt.Sprintf("%s %s, lack", c.op, f.hit)
	}
	if f.hit == "" {
		row = "not reached"
	}
	return row, outcome, err
}

func (p *player) outcome() string {
	switch {
	case p.e == nil:
		return "c: start refused"
	case p.e.Err() != nil:
		return "b: failed for good"
	case len(p.failures) > 0:
		return "a: refused"
	case p.refused > 0:
		return "a: refused"
	}
	return "0: no effect"
}

func worse(a, b string) string { return max(a, b) }

// judge says what was wrong with one life.
func (f *faulty) judge(p *player) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.breach != nil {
		return f.breach
	}
	f.fatal, f.wounded = false, false // the next life is another process
	f.engine.Store(nil)
	if n := f.files.Load(); n != 0 {
		return fmt.Errorf("%d files were left open; the engine had said %w", n, errors.Join(p.failures...))
	}
	for _, err := range p.failures {
		if !errors.Is(err, errInjected) && !errors.Is(err, engine.ErrFailed) && !errors.Is(err, engine.ErrClosed) {
			return fmt.Errorf("failed for another reason: %w", err)
		}
		if f.op != "read" && strings.HasPrefix(err.Error(), "Read ") {
			return fmt.Errorf("reads do not go on: %w", err)
		}
	}
	if f.hit != "" && !f.others && p.e != nil && p.e.Err() != nil {
		return fmt.Errorf("%s %s: a lack that passes has ended the engine: %w", f.op, f.hit, p.e.Err())
	}
	return nil
}

// restarts checks the ledger on what two power cuts may leave, and on the disk as it is.
func restarts(l *ledger, mem *disk.Mem, seed uint64) error {
	for i, keep := range []float64{0, 0.6} {
		copied := l.clone()
		if err := copied.check(mem.Crash(newRand(seed, uint64(i)), keep), "/d"); err != nil {
			return fmt.Errorf("after a power cut that kept %.0f %%: %w", 100*keep, err)
		}
	}
	if err := l.check(mem, "/d"); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return nil
}

func (l *ledger) clone() *ledger {
	out := &ledger{book: map[string]*account{}, life: l.life}
	for name, a := range l.book {
		b := *a
		b.acked = maps.Clone(a.acked)
		out.book[name] = &b
	}
	return out
}
