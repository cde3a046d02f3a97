package txn

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "seed of the first random history; 0 draws one")
	historiesFlag = flag.Int("histories", 3000, "how many random histories are told")
)

// TestModel tells random histories of a log: appends by several producers, rolls, seals, restarts, cuts, trims. After each step a consumer
// of committed records must see what the naive model below says, however it cuts its reads, and so must what is stable, for every
// high watermark.
func TestModel(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	histories := *historiesFlag
	if testing.Short() {
		histories = min(histories, 500)
	}
	aborted, reads := 0, 0
	for i := range uint64(histories) {
		h := newHistory(seed + i)
		for range 10 + h.rng.IntN(60) {
			h.step()
		}
		if h.err != nil {
			t.Fatalf("%v\nrepeat with: go test ./engine/internal/txn -run '^%s$' -seed=%d -histories=1\n%s", h.err, t.Name(), seed+i, h.told.String())
		}
		aborted += len(naiveAborted(h.all))
		reads += h.reads
	}
	t.Logf("seed %d: %d histories, %d transactions aborted, %d reads", seed, histories, aborted, reads)
	if histories >= 100 && (aborted < histories || reads < histories) {
		t.Error("next to nothing was tried")
	}
}

// part is a segment: its index, and what was sealed.
type part struct {
	base  batch.Offset
	index Index
	sum   *Sum
}

type history struct {
	rng     *rand.Rand
	d       disk.FS
	all     []batch.Batch // what the Table has seen, in order
	parts   []*part
	table   Table
	next    batch.Offset
	settled batch.Offset
	reads   int
	told    bytes.Buffer
	err     error // the first one ends the history
}

func newHistory(seed uint64) *history {
	return &history{rng: rand.New(rand.NewPCG(seed, 0)), d: disk.NewMem(), parts: []*part{{}}}
}

func (h *history) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

func (h *history) step() {
	if h.err != nil {
		return
	}
	switch n := h.rng.IntN(100); {
	case n < 70:
		h.append(h.draw())
	case n < 80:
		h.roll()
	case n < 86:
		h.recap()
	case n < 89:
		h.cut(h.next)
		h.tell("rebuilt")
	case n < 91:
		h.cut(h.boundary(max(h.settled, h.start())))
		h.tell("cut at %d", h.next)
	case n < 93:
		h.trim()
	default:
		h.settled = h.boundary(h.settled)
		h.table.Settle(h.settled)
		h.tell("settled %d", h.settled)
	}
	h.checkStable()
	if h.rng.IntN(4) == 0 {
		h.checkReads(h.boundary(max(h.settled, h.start())))
	}
}

func (h *history) tell(format string, args ...any) { fmt.Fprintf(&h.told, format+"\n", args...) }

func (h *history) start() batch.Offset { return h.parts[0].base }

// boundary is a random end of a batch, or the log's end, from least on.
func (h *history) boundary(least batch.Offset) batch.Offset {
	ends := []batch.Offset{max(least, h.next)}
	for _, b := range h.all {
		if b.NextOffset() >= least {
			ends = append(ends, b.NextOffset())
		}
	}
	return ends[h.rng.IntN(len(ends))]
}

// draw makes a batch of any kind.
func (h *history) draw() batch.Batch {
	id := batch.ProducerID(h.rng.IntN(5))
	switch n := h.rng.IntN(20); {
	case n < 2:
		return data(-1, 1+h.rng.IntN(3), false)
	case n < 3:
		return data(id, 1+h.rng.IntN(3), false)
	case n < 11:
		return data(id, 1+h.rng.IntN(3), true)
	case n < 14:
		return marker(id, batch.Commit)
	case n < 18:
		return marker(id, batch.Abort)
	case n < 19:
		return control(id)
	}
	b := []batch.Batch{data(id, 2, true), marker(id, batch.Abort)}[h.rng.IntN(2)]
	return emptied(b)
}

func (h *history) append(b batch.Batch) {
	if h.rng.IntN(10) == 0 {
		h.next++ // compaction left a gap
	}
	b.Stamp(h.next, 0)
	h.next = b.NextOffset()
	h.all = append(h.all, b)
	c, _, ok := b.ControlType()
	h.tell("[%d, %d) producer %d, %d records, transactional %t, control %t, type %d %t", b.BaseOffset(), b.NextOffset(), b.ProducerID(), b.Count(), b.Transactional(), b.Control(), c, ok)
	h.update(b)
}

func (h *history) update(b batch.Batch) {
	if a, aborted := h.table.Update(b); aborted {
		h.parts[len(h.parts)-1].index.Add(a)
	}
}

// roll seals the last segment and begins another.
func (h *history) roll() {
	last := h.parts[len(h.parts)-1]
	if last.base == h.next {
		return
	}
	sum, err := WriteFile(h.d, "/", last.base, last.index.Entries())
	if err != nil {
		h.fail("sealing %d: %v", last.base, err)
	}
	last.sum = &sum
	h.parts = append(h.parts, &part{base: h.next})
	h.tell("rolled at %d", h.next)
}

// recap is a restart by what was written down (T7).
func (h *history) recap() {
	last := h.parts[len(h.parts)-1]
	b := append(last.index.AppendBefore(h.table.Append([]byte("x")), 1<<62), "rest"...)
	table, rest, err := Parse(b[1:], h.next)
	if err != nil {
		h.fail("recap: %v", err)
		return
	}
	index, rest, err := ParseIndex(rest, last.base, h.next)
	if err != nil || string(rest) != "rest" || !bytes.Equal(index.AppendBefore(table.Append([]byte("x")), 1<<62), b[:len(b)-4]) {
		h.fail("recap: %v, %d bytes are left", err, len(rest))
		return
	}
	h.table, last.index = table, index
	for i, p := range h.parts[:len(h.parts)-1] {
		b := Bounds{Size: 1 << 20, Next: h.parts[i+1].base, Sum: p.sum}
		if h.rng.IntN(2) == 0 {
			b.Sum = nil
		}
		if p.index, err = ReadFile(h.d, "/", p.base, b); err != nil {
			h.fail("restart: %v", err)
		}
	}
	h.tell("restarted")
}

// cut takes away what lies at or above end, and rebuilds everything from what is left: headers, and whole control batches.
func (h *history) cut(end batch.Offset) {
	h.table = Table{}
	h.next = h.start()
	var all []batch.Batch
	old := h.parts
	h.parts = nil
	for i, p := range old {
		if i > 0 && p.base > end {
			break
		}
		h.parts = append(h.parts, &part{base: p.base, sum: p.sum})
		for _, b := range h.all {
			inside := b.BaseOffset() >= p.base && (i == len(old)-1 || b.BaseOffset() < old[i+1].base)
			if !inside || b.BaseOffset() >= end {
				continue
			}
			all = append(all, b)
			if !b.Control() {
				b = b[:batch.HeaderSize]
			}
			h.update(b)
		}
	}
	for i, p := range h.parts[:len(h.parts)-1] { // a rebuilt index is sealed anew, as when its file was damaged
		sum, err := WriteFile(h.d, "/", p.base, p.index.Entries())
		if err != nil {
			h.fail("sealing %d: %v", h.parts[i].base, err)
		}
		p.sum = &sum
	}
	h.all, h.next = all, end
}

// trim drops segments from the front; the Table goes on as it was.
func (h *history) trim() {
	n := h.rng.IntN(len(h.parts))
	for n > 0 && h.parts[n].base > h.settled {
		n--
	}
	h.parts = h.parts[n:]
	h.tell("trimmed to %d", h.start())
}

// checkStable asks for what is stable at every high watermark that may be asked for (T2).
func (h *history) checkStable() {
	ends := outcomes(h.all)
	for _, b := range h.all {
		if high := b.NextOffset(); high >= h.settled {
			if got, want := h.table.Stable(high), naiveStable(h.all, ends, high); got != want {
				h.fail("stable at high watermark %d: %d, want %d", high, got, want)
			}
		}
	}
	open := 0
	for i, b := range h.all {
		if ends[i] != undecided {
			continue
		}
		if o, ok := h.table.Of(b.ProducerID()); !ok || o.First > b.BaseOffset() {
			h.fail("producer %d: %+v %t, open at %d", b.ProducerID(), o, ok, b.BaseOffset())
		} else if o.First == b.BaseOffset() {
			open++
		}
	}
	if h.table.Len() != open {
		h.fail("%d are open, want %d", h.table.Len(), open)
	}
}

// checkReads reads up to the last stable offset, in random steps, as a consumer does.
func (h *history) checkReads(high batch.Offset) {
	var got, want []batch.Offset
	ends := outcomes(h.all)
	stable := max(h.start(), h.table.Stable(high))
	begin := h.start() // or any offset, be it within a batch
	if h.rng.IntN(2) == 0 {
		begin += batch.Offset(h.rng.Int64N(int64(stable-begin) + 1))
	}
	for i, b := range h.all {
		if b.BaseOffset() < h.start() || b.BaseOffset() >= stable || b.Control() {
			continue
		}
		if ends[i] == plain || ends[i] >= 0 && isType(h.all[ends[i]], batch.Commit) {
			want = appendOffsets(want, b, begin)
		}
	}
	for from := begin; from < stable; {
		upper := stable
		if h.rng.IntN(3) > 0 {
			upper = min(h.boundary(from+1), stable)
		}
		got = h.fetch(got, from, upper)
		from = upper
	}
	if !slices.Equal(got, want) {
		h.fail("high watermark %d, stable %d: offsets %v were seen, want %v", high, stable, got, want)
	}
}

// fetch is one answer, and what a consumer takes of it (KIP-98, as the Java client does): it walks the aborted transactions by first offset
// along with the batches.
func (h *history) fetch(dst []batch.Offset, from, upper batch.Offset) []batch.Offset {
	h.reads++
	list := h.collect(from, upper)
	slices.SortFunc(list, func(a, b Aborted) int { return int(a.First - b.First) })
	drop := map[batch.ProducerID]bool{}
	for _, b := range h.all {
		if b.NextOffset() <= from || b.BaseOffset() >= upper {
			continue
		}
		for len(list) > 0 && list[0].First <= b.LastOffset() {
			drop[list[0].ProducerID] = true
			list = list[1:]
		}
		switch {
		case b.Control():
			if isType(b, batch.Abort) {
				delete(drop, b.ProducerID())
			}
		case b.Transactional() && drop[b.ProducerID()]:
		default:
			dst = appendOffsets(dst, b, from)
		}
	}
	return dst
}

// collect walks the segments, and holds what it finds against all that there is (T5).
func (h *history) collect(from, upper batch.Offset) (list []Aborted) {
	done := false
	for i, p := range h.parts {
		if i+1 < len(h.parts) && h.parts[i+1].base <= from || done {
			continue
		}
		list, done = p.index.Collect(list, from, upper)
	}
	var want []Aborted
	for _, a := range naiveAborted(h.all) {
		if a.Last >= from && a.First < upper {
			want = append(want, a)
		}
	}
	if !slices.Equal(list, want) {
		h.fail("aborted in [%d, %d): %v, want %v", from, upper, list, want)
	}
	return list
}

func appendOffsets(dst []batch.Offset, b batch.Batch, from batch.Offset) []batch.Offset {
	for i := range batch.Offset(b.Count()) {
		if o := b.BaseOffset() + i; o >= from {
			dst = append(dst, o)
		}
	}
	return dst
}

func isType(b batch.Batch, want batch.ControlType) bool {
	c, _, ok := b.ControlType()
	return ok && c == want
}

// What outcomes says of a batch that no marker decides.
const (
	plain     = -1 // there is nothing to decide
	undecided = -2
)

// outcomes is the naive model: for each batch, the place in all of the marker that decides it.
func outcomes(all []batch.Batch) []int {
	out := make([]int, len(all))
	for i, b := range all {
		out[i] = plain
		if !b.Transactional() || b.Control() || b.ProducerID() < 0 || b.Count() == 0 {
			continue
		}
		out[i] = undecided
		for j := i + 1; j < len(all) && out[i] == undecided; j++ {
			if m := all[j]; m.ProducerID() == b.ProducerID() && (isType(m, batch.Abort) || isType(m, batch.Commit)) {
				out[i] = j
			}
		}
	}
	return out
}

// naiveStable is the first record whose fate may be unknown at a high watermark.
func naiveStable(all []batch.Batch, ends []int, high batch.Offset) batch.Offset {
	stable := high
	for i, b := range all {
		if ends[i] == undecided || ends[i] >= 0 && all[ends[i]].BaseOffset() >= high {
			stable = min(stable, b.BaseOffset())
		}
	}
	return stable
}

// naiveAborted is one entry for each abort marker that decides any batch, in their order.
func naiveAborted(all []batch.Batch) (list []Aborted) {
	ends := outcomes(all)
	for j, m := range all {
		i := slices.Index(ends, j)
		if i < 0 || !isType(m, batch.Abort) {
			continue
		}
		before := outcomes(all[:j+1])
		list = append(list, Aborted{m.ProducerID(), all[i].BaseOffset(), m.BaseOffset(), naiveStable(all[:j+1], before, m.NextOffset())})
	}
	return list
}
