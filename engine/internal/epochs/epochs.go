// Package epochs remembers which leader epoch began at which offset of one log, so that a follower or a consumer that was cut off
// can find where its copy and the log part ways (KIP-101, KIP-320). It is pure: the log's lock guards it, and it is rebuilt
// from batch headers.
//
// It knows no leader and elects none.
//
// # Invariants
//
//	H1  Epochs and their first offsets both rise strictly; there is at most one entry an epoch.
//	H2  At most Max epochs are kept; beyond it the oldest are forgotten.
package epochs

import (
	"slices"
	"sort"

	"github.com/streambus/streambus/engine/batch"
)

// Max bounds the memory of a History to 64 KiB.
const Max = 4096

// Entry says that the epoch's first record is, or would be, at Start.
type Entry struct {
	Epoch batch.Epoch
	Start batch.Offset
}

// History is the epochs of one log, the oldest first. The zero value is empty.
type History struct {
	entries []Entry
}

// Before is the epochs that begin below an offset, in order. The slice is read only, and stays as it is whatever follows.
func (h *History) Before(end batch.Offset) []Entry {
	n := len(h.entries)
	for n > 0 && h.entries[n-1].Start >= end {
		n--
	}
	return h.entries[:n:n]
}

// Restore replaces what is remembered; ok is false, and nothing changes, when it breaks H1 or H2.
func (h *History) Restore(entries []Entry) (ok bool) {
	for i := 1; i < len(entries); i++ {
		if entries[i].Epoch <= entries[i-1].Epoch || entries[i].Start <= entries[i-1].Start {
			return false
		}
	}
	if len(entries) > Max {
		return false
	}
	h.entries = entries
	return true
}

// Add notes a batch of an epoch at an offset. Batches come in the order of offsets. An epoch that is not newer than the last
// one changes nothing: the log's appends are what counts, and a batch without an epoch has none to tell.
func (h *History) Add(e batch.Epoch, at batch.Offset) {
	n := len(h.entries)
	if e < 0 || n > 0 && e <= h.entries[n-1].Epoch {
		return
	}
	for n > 0 && h.entries[n-1].Start >= at { // trimmed to the end: nothing of it is left
		n--
		h.entries = slices.Clone(h.entries[:n])
	}
	if n >= Max {
		h.entries = slices.Clone(h.entries[n-Max/2:])
	}
	h.entries = append(h.entries, Entry{e, at})
}

// CutAt forgets the epochs that begin at or after end.
func (h *History) CutAt(end batch.Offset) {
	n := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Start >= end })
	h.entries = slices.Clone(h.entries[:n]) // Entries may have been given out
}

// TrimTo forgets the epochs that end at or before start; the one that holds start begins there from now on.
func (h *History) TrimTo(start batch.Offset) {
	n := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Start > start })
	if n == 0 {
		return
	}
	h.entries = slices.Clone(h.entries[n-1:])
	h.entries[0].Start = max(h.entries[0].Start, start)
}

// Last is the newest epoch; ok is false when there is none.
func (h *History) Last() (e Entry, ok bool) {
	if len(h.entries) == 0 {
		return e, false
	}
	return h.entries[len(h.entries)-1], true
}

// EndOf answers a follower that is at an epoch: the largest epoch known that is not above it, and the offset at which that one
// ends (end for the newest). ok is false when nothing that old is known.
func (h *History) EndOf(e batch.Epoch, end batch.Offset) (epoch batch.Epoch, at batch.Offset, ok bool) {
	n := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Epoch > e })
	if n == 0 {
		return batch.NoEpoch, -1, false
	}
	if n < len(h.entries) {
		end = h.entries[n].Start
	}
	return h.entries[n-1].Epoch, end, true
}
