package epochs

import (
	"slices"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"pgregory.net/rapid"
)

func TestEndOf(t *testing.T) {
	var h History
	if _, _, ok := h.EndOf(5, 100); ok {
		t.Error("an empty history knows an epoch")
	}
	for _, e := range []Entry{{2, 0}, {2, 5}, {4, 10}, {3, 20}, {batch.NoEpoch, 25}, {7, 30}} {
		h.Add(e.Epoch, e.Start)
	}
	if want := []Entry{{2, 0}, {4, 10}, {7, 30}}; !slices.Equal(h.Before(1<<62), want) {
		t.Fatalf("%v, want %v", h.Before(1<<62), want)
	}
	for _, c := range []struct {
		ask, epoch batch.Epoch
		end        batch.Offset
		ok         bool
	}{
		{1, batch.NoEpoch, -1, false}, {2, 2, 10, true}, {3, 2, 10, true}, {4, 4, 30, true}, {6, 4, 30, true}, {7, 7, 99, true}, {8, 7, 99, true},
	} {
		epoch, end, ok := h.EndOf(c.ask, 99)
		if epoch != c.epoch || end != c.end || ok != c.ok {
			t.Errorf("epoch %d: %d ends at %d, %t; want %d at %d, %t", c.ask, epoch, end, ok, c.epoch, c.end, c.ok)
		}
	}
}

func TestRestoreRefusesDisorder(t *testing.T) {
	for _, bad := range [][]Entry{{{2, 0}, {2, 5}}, {{3, 0}, {2, 5}}, {{2, 5}, {3, 5}}, make([]Entry, Max+1)} {
		var h History
		if h.Restore(bad) || len(h.Before(1<<62)) != 0 {
			t.Errorf("%.60v was taken", bad)
		}
	}
}

// A history that is cut and trimmed is the one that batches from start to end would have made.
func TestAgainstTheBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h History
		var batches []Entry // of every offset
		start := 0
		epoch := batch.Epoch(0)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				epoch += batch.Epoch(rapid.IntRange(0, 1).Draw(t, "newer"))
				h.Add(epoch, batch.Offset(len(batches)))
				batches = append(batches, Entry{epoch, batch.Offset(len(batches))})
			},
			"cut": func(t *rapid.T) {
				end := rapid.IntRange(start, len(batches)).Draw(t, "end")
				batches = batches[:end]
				h.CutAt(batch.Offset(end))
			},
			"trim": func(t *rapid.T) {
				start = rapid.IntRange(start, len(batches)).Draw(t, "start")
				h.TrimTo(batch.Offset(start))
			},
			"": func(t *rapid.T) {
				given := h.Before(1 << 62)
				before := slices.Clone(given)
				for i := start; i < len(batches); i++ {
					at := i + 1
					for at < len(batches) && batches[at].Epoch == batches[i].Epoch {
						at++
					}
					if e, end, ok := h.EndOf(batches[i].Epoch, batch.Offset(len(batches))); !ok || e != batches[i].Epoch || end != batch.Offset(at) {
						t.Fatalf("epoch %d of offset %d ends at %d (%d, %t), want %d", batches[i].Epoch, i, end, e, ok, at)
					}
				}
				var again History
				if !again.Restore(before) {
					t.Fatalf("H1: %v", before)
				}
			},
		})
	})
}

func TestBounded(t *testing.T) {
	var h History
	for i := range 3 * Max {
		h.Add(batch.Epoch(i), batch.Offset(i))
	}
	if last, ok := h.Last(); len(h.Before(1<<62)) > Max || !ok || last.Epoch != 3*Max-1 {
		t.Errorf("H2: %d entries, the last %v", len(h.Before(1<<62)), last)
	}
}
