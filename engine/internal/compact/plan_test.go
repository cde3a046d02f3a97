package compact

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/streambus/streambus/engine/batch"
)

// four segments of 100 offsets and 1000 bytes; the last is active. Times are the offsets.
func four() []Segment {
	var out []Segment
	for i := range batch.Offset(4) {
		out = append(out, Segment{Base: 100 * i, Next: 100*i + 100, SizeBytes: 1000, OldestMs: int64(100 * i), NewestMs: int64(100*i + 99), Active: i == 3})
	}
	return out
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		cleaned, stable batch.Offset
		p               Policy
		now             int64
		want            Plan
		due             bool
	}{
		"all new":                   {0, 400, Policy{MinDirtyRatio: 0.5}, 1000, Plan{0, 300, 0, 3000, false}, true},
		"ratio not above":           {100, 400, Policy{MinDirtyRatio: 2.0 / 3}, 1000, Plan{100, 300, 1000, 2000, false}, false},
		"ratio above":               {100, 400, Policy{MinDirtyRatio: 0.6}, 1000, Plan{100, 300, 1000, 2000, false}, true},
		"nothing dirty":             {300, 400, Policy{}, 1000, Plan{300, 300, 3000, 0, false}, false},
		"too young":                 {0, 400, Policy{MinLagMs: 500}, 600, Plan{0, 100, 0, 1000, false}, true},
		"all too young":             {0, 400, Policy{MinLagMs: 500}, 598, Plan{0, 0, 0, 0, false}, false},
		"young, but cleaned before": {200, 400, Policy{MinLagMs: 5000}, 1000, Plan{200, 200, 2000, 0, false}, false},
		"open transaction":          {0, 150, Policy{}, 1000, Plan{0, 150, 0, 2000, false}, true},
		"overdue":                   {200, 400, Policy{MinDirtyRatio: 0.9, MaxLagMs: 700}, 901, Plan{200, 300, 2000, 1000, true}, true},
		"not yet overdue":           {200, 400, Policy{MinDirtyRatio: 0.9, MaxLagMs: 700}, 900, Plan{200, 300, 2000, 1000, false}, false},
		"in a segment":              {150, 400, Policy{MinDirtyRatio: 0.5}, 1000, Plan{150, 300, 1000, 2000, false}, true},
		"cut back":                  {500, 400, Policy{}, 1000, Plan{0, 300, 0, 3000, false}, true},
	} {
		if got, due := Choose(four(), c.cleaned, c.stable, c.p, c.now); got != c.want || due != c.due {
			t.Errorf("%s: %+v, due %v; want %+v, %v", name, got, due, c.want, c.due)
		}
	}
	late := four()
	late[0].NewestMs = 5000 // a producer's clock was wrong
	if got, _ := Choose(late, 100, 400, Policy{MinLagMs: 500}, 1000); got.End != 300 {
		t.Errorf("a segment that is clean already holds the others up: ends at %d", got.End)
	}
	if _, due := Choose(nil, 0, 0, Policy{}, 0); due {
		t.Error("a log without segments is due")
	}
	if got, _ := Choose(four()[2:], 50, 400, Policy{}, 1000); got.Start != 200 {
		t.Errorf("retention has passed the last round's end: starts at %d", got.Start)
	}
}

func TestGroup(t *testing.T) {
	for _, c := range []struct {
		end  batch.Offset
		max  int64
		want string
	}{{300, 2000, "[2 1]"}, {300, 10_000, "[3]"}, {300, 1, "[1 1 1]"}, {101, 10_000, "[2]"}, {0, 10_000, "[]"}, {400, 10_000, "[3]"}} {
		ns := []int{}
		for _, g := range Group(four(), c.end, c.max) {
			ns = append(ns, len(g))
		}
		if fmt.Sprint(ns) != c.want {
			t.Errorf("end %d, %d bytes: groups of %v, want %s", c.end, c.max, ns, c.want)
		}
	}
	far := []Segment{{Base: 0, Next: 10}, {Base: 10, Next: 1 << 31}, {Base: 1 << 31, Next: 1<<31 + 1}}
	if g := Group(far, 1<<40, 100); len(g) != 2 || len(g[0]) != 2 {
		t.Errorf("a group holds offsets that its index cannot name: %v", g)
	}
}

// TestPlansGetOn: for any segments, a plan lies within the log and what is due gets the log on.
func TestPlansGetOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ss []Segment
		next := batch.Offset(rapid.IntRange(0, 50).Draw(t, "base"))
		for range rapid.IntRange(1, 6).Draw(t, "segments") {
			s := Segment{Base: next, SizeBytes: rapid.Int64Range(0, 100).Draw(t, "size"), NewestMs: rapid.Int64Range(0, 100).Draw(t, "newest")}
			next += batch.Offset(rapid.IntRange(1, 50).Draw(t, "offsets"))
			s.Next = next
			ss = append(ss, s)
		}
		ss[len(ss)-1].Active = true
		p := Policy{MinLagMs: rapid.Int64Range(0, 100).Draw(t, "lag"), MinDirtyRatio: 0.5}
		cleaned, stable := batch.Offset(rapid.IntRange(0, 300).Draw(t, "cleaned")), batch.Offset(rapid.IntRange(0, 300).Draw(t, "stable"))
		plan, due := Choose(ss, cleaned, stable, p, 100)
		active := ss[len(ss)-1].Base
		if plan.Start < ss[0].Base || plan.Start > next || plan.End < plan.Start || plan.End > max(active, plan.Start) || plan.End > max(stable, plan.Start) {
			t.Fatalf("%+v of a log [%d, %d), stable to %d", plan, ss[0].Base, next, stable)
		}
		n := 0
		for _, g := range Group(ss, plan.End, 150) {
			n += len(g)
		}
		if due && (plan.End == plan.Start || n == 0) {
			t.Fatalf("%+v is due, %d segments to clean", plan, n)
		}
	})
}
