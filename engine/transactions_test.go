package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/txn"
)

// sent is what a test knows of a batch.
type sent struct {
	base, next batch.Offset
	id         batch.ProducerID // NoProducerID: none
	txn        bool             // data of a transaction
	marker     bool
	commit     bool // the marker does
}

// deciders gives for each batch the marker that decides it, by its place in all; -1: none, or there is nothing to decide.
func deciders(all []sent) []int {
	out := make([]int, len(all))
	for i := range all {
		out[i] = -1
		if !all[i].txn {
			continue
		}
		for j := i + 1; j < len(all) && out[i] < 0; j++ {
			if all[j].marker && all[j].id == all[i].id {
				out[i] = j
			}
		}
	}
	return out
}

// stableOf is the first offset from least on that is undecided at a high watermark.
func stableOf(all []sent, least, high batch.Offset) batch.Offset {
	by, stable := deciders(all), high
	for i, b := range all {
		if b.txn && b.next > least && (by[i] < 0 || all[by[i]].base >= high) {
			stable = min(stable, b.base)
		}
	}
	return max(stable, least)
}

// visibleOf is the records from an offset on, in batches wholly below stable, that a consumer of committed records is to get.
func visibleOf(all []sent, from, stable batch.Offset) (out []batch.Offset) {
	by := deciders(all)
	for i, b := range all {
		if b.marker || b.next > stable || b.txn && (by[i] < 0 || !all[by[i]].commit) {
			continue
		}
		for o := max(b.base, from); o < b.next; o++ {
			out = append(out, o)
		}
	}
	return out
}

// readCommitted reads [from, stable) as a consumer of committed records does, in steps of limit() bytes (KIP-98, as the Java client does it), and
// gives each record to f.
func readCommitted(l *Log, from, stable batch.Offset, limit func() int, f func(batch.Record)) error {
	for from < stable {
		span, err := l.Read(from, stable, limit())
		if err != nil {
			return err
		}
		bytes, err := span.AppendTo(nil)
		next := span.Next()
		span.Release()
		if err != nil {
			return err
		}
		if len(bytes) == 0 {
			return nil // compaction left nothing up to stable
		}
		aborted, err := l.Aborted(nil, from, next)
		if err != nil {
			return err
		}
		if err := filter(bytes, from, aborted, f); err != nil {
			return err
		}
		if next <= from {
			return fmt.Errorf("read at %d did not advance (stable %d)", from, stable)
		}
		from = next
	}
	return nil
}

// filter is what a consumer does with one answer.
func filter(b []byte, from batch.Offset, aborted []AbortedTxn, f func(batch.Record)) error {
	slices.SortFunc(aborted, func(a, b AbortedTxn) int { return int(a.First - b.First) })
	drop := map[batch.ProducerID]bool{}
	for len(b) > 0 {
		one, err := batch.First(b)
		if err == nil {
			err = one.Check()
		}
		if err != nil {
			return err
		}
		b = b[len(one):]
		for len(aborted) > 0 && aborted[0].First <= one.LastOffset() {
			drop[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		switch {
		case one.Control():
			if t, _, ok := one.ControlType(); ok && t == batch.Abort {
				delete(drop, one.ProducerID())
			}
		case one.Transactional() && drop[one.ProducerID()]:
		default:
			_ = one.Each(func(r batch.Record) bool {
				if r.Offset >= from {
					f(r)
				}
				return true
			})
		}
	}
	return nil
}

// client is a producer of a test: what it would send next.
type client struct {
	epoch batch.ProducerEpoch
	seq   batch.Sequence
	open  bool // a transaction
	maybe bool // all of it was trimmed, so that a start may not know of it
}

// data makes its next batch.
func (c *client) data(id batch.ProducerID, transactional bool, records ...[2]string) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: c.epoch, BaseSequence: c.seq, Sequenced: true}
	for _, r := range records {
		var value []byte
		if r[1] != "" {
			value = []byte(r[1])
		}
		b.Add(time.UnixMilli(1000), []byte(r[0]), value)
	}
	out := b.Batch()
	if transactional {
		out = inTransaction(out)
	}
	return out
}

// inTransaction sets the bit.
func inTransaction(b batch.Batch) batch.Batch {
	b[22] |= 0x10
	crc := b.ComputeCRC()
	b[17], b[18], b[19], b[20] = byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc)
	return b
}

// sentOf is what is to be known of a batch that was appended.
func sentOf(b batch.Batch, at Appended) sent {
	t, _, _ := b.ControlType()
	return sent{base: at.Base, next: at.Last + 1, id: b.ProducerID(), txn: b.Transactional() && !b.Control(), marker: b.Control(), commit: b.Control() && t == batch.Commit}
}

var (
	txnSeed      = flag.Uint64("txn.seed", 0, "seed of the first history of transactions; 0 draws one")
	txnHistories = flag.Int("txn.histories", 300, "how many of them are told")
)

// histories tells each history, and says how to repeat one that fails.
func histories(t *testing.T, tell func(rng *rand.Rand, told *strings.Builder) error) {
	seed := *txnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	n := *txnHistories
	if testing.Short() {
		n = min(n, 40)
	}
	t.Logf("%d histories, first seed %d", n, seed)
	for i := range uint64(n) {
		var told strings.Builder
		if err := tell(rand.New(rand.NewPCG(seed+i, 7)), &told); err != nil {
			t.Fatalf("%v\nrepeat: go test ./engine -run '^%s$' -txn.seed=%d -txn.histories=1\n%s", err, t.Name(), seed+i, told.String())
		}
	}
}

// story is one log, and what it must hold.
type story struct {
	rng     *rand.Rand
	told    *strings.Builder
	mem     *disk.Mem
	e       *Engine
	l       *Log
	w       *watcher
	all     []sent // appended, in order
	clients [5]client
	settled batch.Offset // the highest high watermark that the log was told of since it was opened
	ever    batch.Offset // and before, which the recap may have kept
	seen    int          // records that were compared
	aborts  int          // aborted transactions that readers were told of
}

// TestReadCommitted tells random histories of one log: transactions of several producers, segments that roll and are sealed, trims, cuts,
// restarts with and without a power cut, files that are lost. What a consumer of committed records sees must be what a naive model says.
func TestReadCommitted(t *testing.T) {
	seen, aborts := 0, 0
	histories(t, func(rng *rand.Rand, told *strings.Builder) error {
		s := &story{rng: rng, told: told, mem: disk.NewMem()}
		err := s.open()
		for range 20 + rng.IntN(80) {
			if err == nil {
				err = s.step()
			}
		}
		if err == nil {
			err = s.check()
		}
		if s.e != nil {
			err = errors.Join(err, s.e.Close())
		}
		seen, aborts = seen+s.seen, aborts+s.aborts
		return err
	})
	t.Logf("%d records were compared, and %d aborted transactions told of", seen, aborts)
	if !testing.Short() && *txnHistories >= 300 && (seen < 1000 || aborts < 100) {
		t.Error("next to nothing was tried")
	}
}

func (s *story) tell(format string, args ...any) { fmt.Fprintf(s.told, format+"\n", args...) }

func (s *story) open() (err error) {
	o := crashOptions(s.mem)
	o.TidyInterval = time.Hour
	if s.e, err = Open(context.Background(), o); err != nil {
		return err
	}
	s.w = newWatcher()
	if s.l, err = s.e.OpenLog("t-0", LogOptions{Observer: s.w, SegmentBytes: 1200, IndexIntervalBytes: 300}); err != nil {
		return err
	}
	s.settled, s.w.end = 0, s.l.FlushedEnd() // of which nobody is told
	return s.restarted()
}

// restarted brings the model up to date: what was not waited for may be lost, or not.
func (s *story) restarted() error {
	end := s.l.EndOffset()
	s.all = slices.DeleteFunc(s.all, func(b sent) bool { return b.base >= end })
	if n := len(s.all); n > 0 && s.all[n-1].next != end {
		return fmt.Errorf("the log ends at %d, in the middle of a batch or with none", end)
	}
	s.newEpochs()
	return nil
}

// newEpochs has the producers begin anew, since nobody knows which of their batches are there.
func (s *story) newEpochs() {
	for i := range s.clients {
		c := &s.clients[i]
		c.epoch, c.seq, c.open, c.maybe = c.epoch+1, 0, false, false
		for _, b := range s.all {
			if b.id == batch.ProducerID(i) {
				c.open = b.txn || c.open && !b.marker
				c.maybe = c.open && b.next <= s.l.StartOffset()
			}
		}
	}
}

func (s *story) step() error {
	switch n := s.rng.IntN(100); {
	case n < 70:
		return s.append()
	case n < 80:
		return s.check()
	case n < 84:
		s.l.sealRolled()
		s.tell("sealed what could be")
		return nil
	case n < 88:
		return s.cut()
	case n < 91:
		return s.trim()
	case n < 96:
		return s.restart()
	}
	return s.crash()
}

// append appends any batch; one in three is waited for.
func (s *story) append() error {
	id := batch.ProducerID(s.rng.IntN(len(s.clients)))
	c := &s.clients[id]
	var b batch.Batch
	var want error
	records := make([][2]string, 1+s.rng.IntN(3))
	for i := range records {
		records[i] = [2]string{"k", strings.Repeat("v", 1+s.rng.IntN(200))}
	}
	switch n := s.rng.IntN(20); {
	case n < 3:
		b = makeBatch("none", len(records), 1000)
	case n < 5 && !c.maybe: // outside of a transaction
		if b = c.data(id, false, records...); c.open {
			want = ErrInvalidTxnState
		} else {
			c.seq = b.LastSequence().Add(1)
		}
	case n < 13 || !c.open && n < 18:
		b, c.open = c.data(id, true, records...), true
		c.seq = b.LastSequence().Add(1)
	default:
		if s.rng.IntN(2) == 0 { // as of version 2 of transactions
			c.epoch, c.seq = c.epoch+1, 0
		}
		b, c.open = batch.EndTxnMarker([]batch.ControlType{batch.Abort, batch.Abort, batch.Commit}[s.rng.IntN(3)], id, c.epoch, 1, time.UnixMilli(1000)), false
	}
	c.maybe = c.maybe && b.ProducerID() != id
	at, err := s.l.Append(b, 1, nil)
	s.tell("append %+v: %v", sentOf(b, at), err)
	if want != nil {
		if !errors.Is(err, want) {
			return fmt.Errorf("appended, and %v; want %v", err, want)
		}
		return nil
	}
	if err != nil {
		return err
	}
	s.all = append(s.all, sentOf(b, at))
	if s.rng.IntN(3) > 0 {
		return nil
	}
	return s.w.wait(at.Last + 1)
}

// cut takes the newest batches away.
func (s *story) cut() error {
	if len(s.all) == 0 {
		return nil
	}
	to := s.all[len(s.all)-1-s.rng.IntN(min(len(s.all), 8))].base
	if to < s.l.StartOffset() {
		return nil
	}
	if err := s.l.Cut(to); err != nil {
		return err
	}
	s.tell("cut at %d", to)
	s.settled, s.ever = 0, 0
	s.w.mu.Lock()
	s.w.end = to
	s.w.mu.Unlock()
	return s.restarted()
}

func (s *story) trim() error {
	start := s.l.StartOffset()
	to := start + batch.Offset(s.rng.Int64N(int64(s.l.FlushedEnd()-start)/3+1))
	s.tell("trim to %d", to)
	return s.l.Trim(to)
}

// restart stops and starts the engine; meanwhile files that only help may be lost.
func (s *story) restart() error {
	err := s.e.Close()
	s.e = nil
	if err != nil {
		return err
	}
	return errors.Join(s.harm(), s.open())
}

func (s *story) crash() error {
	keep := s.rng.Float64()
	after := s.mem.Crash(s.rng, keep)
	for range s.rng.IntN(2) { // what was acknowledged when the copy was made is at least what is there
		_ = s.w.wait(s.l.EndOffset())
	}
	err := s.e.Close()
	s.e, s.mem = nil, after
	s.tell("power cut, %.1f of what was not synced is kept", keep)
	return errors.Join(err, s.harm(), s.open())
}

// harm removes or damages the recap, or the file of aborted transactions of some segments.
func (s *story) harm() error {
	entries, err := s.mem.ReadDir("/d/t-0")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join("/d/t-0", e.Name)
		side := strings.HasSuffix(name, txn.Suffix)
		if n := s.rng.IntN(8); n < 2 && e.Name == recapFile || n == 0 && side {
			err = errors.Join(err, s.mem.Remove(name))
			s.tell("%s is lost", name)
		} else if n == 1 && side {
			err = errors.Join(err, poke(s.mem, name, 20))
			s.tell("%s is damaged", name)
		}
	}
	return err
}

// check compares what is stable, and what a consumer sees from random offsets on, at a random high watermark.
func (s *story) check() error {
	start, end := s.l.StartOffset(), s.l.FlushedEnd()
	high := end
	for _, b := range s.all {
		if b.next >= start && b.next < end && s.rng.IntN(20) == 0 {
			high = b.next
			break
		}
	}
	stable := s.l.Stable(high)
	s.tell("stable at %d is %d", high, stable)
	s.settled, s.ever = max(s.settled, high), max(s.ever, high)
	// A transaction whose first records were trimmed may be known to begin there, or where its other records do.
	least := min(high, stableOf(s.all, 0, s.settled))
	if most := max(start, min(high, stableOf(s.all, start, s.ever))); stable > most || stable < max(start, least) {
		return fmt.Errorf("stable at high watermark %d is %d, want %d to %d", high, stable, least, most)
	}
	from := start
	if s.rng.IntN(2) == 0 {
		from += batch.Offset(s.rng.Int64N(int64(stable-start) + 1))
	}
	var got []batch.Offset
	limit := func() int { return s.rng.IntN(1500) }
	if err := readCommitted(s.l, from, stable, limit, func(r batch.Record) { got = append(got, r.Offset) }); err != nil {
		return fmt.Errorf("reading [%d, %d): %w", from, stable, err)
	}
	if want := visibleOf(s.all, from, stable); !slices.Equal(got, want) {
		return fmt.Errorf("reading [%d, %d): offsets %v are seen, want %v", from, stable, got, want)
	}
	all, err := s.l.Aborted(nil, from, stable)
	s.seen, s.aborts = s.seen+len(got), s.aborts+len(all)
	return err
}
