package inspect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/engine/disk"
)

const (
	// looks is how often a folder is looked at whose files change meanwhile.
	looks = 5
	// maxHeld is how many findings of one look are kept back (V2).
	maxHeld = 10_000
)

// settled looks at what a running engine may change meanwhile: a checkpoint is replaced, files that it covers are recycled, and the
// commit log goes on between the reading of one file and of the next, and then they contradict each other though nothing is wrong. So
// where damage is found it is looked again, and what two looks in a row say alike is damage. stamp, where it is not nil, saves the second
// look: it tells one state of what was looked at from another, and says the same before the look and after it.
func (r *run) settled(stamp func() (string, error), look func(*run) error) error {
	if !r.o.Verify || r.quiet {
		return look(r)
	}
	if stamp == nil {
		n := 0
		stamp = func() (string, error) { n++; return strconv.Itoa(n), nil }
	}
	var last []Finding
	for n := 1; ; n++ {
		before, err := stamp()
		if err != nil {
			return err
		}
		h := &held{sink: r.sink}
		again := *r
		again.sink = h
		if err := look(&again); err != nil {
			return joinHeld(h, err)
		}
		now := h.damage()
		if h.passed || len(now) == 0 || slices.Equal(now, last) {
			return h.pass()
		}
		after, err := stamp()
		switch {
		case err != nil:
			return joinHeld(h, err)
		case after == before:
			return h.pass()
		case n == looks:
			h.doubt(last)
			return h.pass()
		}
		last = now
	}
}

// joinHeld tells what was found before an error ended the look.
func joinHeld(h *held, err error) error {
	if perr := h.pass(); perr != nil {
		return perr
	}
	return err
}

// held is a sink that keeps findings back, up to maxHeld.
type held struct {
	sink   Sink
	all    []Finding
	passed bool // some were passed on, so it cannot be looked again
}

// Row implements Sink.
func (h *held) Row(row Row) error { return h.sink.Row(row) }

// Finding implements Sink.
func (h *held) Finding(f Finding) error {
	h.all = append(h.all, f)
	if len(h.all) < maxHeld {
		return nil
	}
	return h.pass()
}

func (h *held) damage() (out []Finding) {
	for _, f := range h.all {
		if f.Damage {
			out = append(out, f)
		}
	}
	return out
}

// pass tells the sink what was kept back.
func (h *held) pass() error {
	all := h.all
	h.all, h.passed = nil, true
	for _, f := range all {
		if err := h.sink.Finding(f); err != nil {
			return err
		}
	}
	return nil
}

// doubt makes a note of the damage that the look before did not see.
func (h *held) doubt(before []Finding) {
	for i, f := range h.all {
		if f.Damage && !slices.Contains(before, f) {
			h.all[i].Damage = false
			h.all[i].What += " (a running broker changed the folder at each look, and not all of them saw this: look again)"
		}
	}
}

// stampOf is the stamp of a log's folder: the checkpoint, and the names in it. Bytes that the checkpoint speaks for do not change under
// the name that they have.
func (r *run) stampOf(checkpoint, dir string) func() (string, error) {
	return func() (string, error) {
		var b strings.Builder
		b.WriteString(r.markOf(checkpoint))
		entries, err := r.d.ReadDir(dir)
		for _, e := range entries {
			b.WriteString("\n" + e.Name)
		}
		return b.String(), err
	}
}

// markOf tells one checkpoint from the next, by its header; empty where it cannot be read.
func (r *run) markOf(checkpoint string) string {
	w, err := r.quietly().open(checkpoint)
	if err != nil {
		return ""
	}
	defer w.close()
	b := make([]byte, checkpointHeader)
	if err := disk.ReadFull(w.f, b, 0); err != nil {
		return ""
	}
	return string(b)
}
