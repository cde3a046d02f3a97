package partition

import (
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"pgregory.net/rapid"
)

func TestCore(t *testing.T) {
	none := Effects{Committed: batch.NoOffset}
	at := func(o batch.Offset) Effects { return Effects{Committed: o} }
	cases := []struct {
		name   string
		events []Event
		want   Effects // of the last event
		high   batch.Offset
	}{
		{"what is on disk at start is committed", []Event{BecomeLeader{0, 7}}, at(7), 7},
		{"an empty log commits nothing", []Event{BecomeLeader{0, 0}}, none, 0},
		{"an append alone commits nothing", []Event{BecomeLeader{0, 7}, Appended{9}}, none, 7},
		{"a flush commits", []Event{BecomeLeader{0, 7}, Appended{9}, Flushed{8}}, at(8), 8},
		{"a flush may overtake the append", []Event{BecomeLeader{0, 0}, Flushed{3}, Appended{3}}, none, 3},
		{"the same flush twice says nothing new", []Event{BecomeLeader{0, 0}, Flushed{3}, Flushed{3}}, none, 3},
		{"before it leads nothing is committed", []Event{Flushed{3}}, none, 0},
		{"failed fails all", []Event{BecomeLeader{0, 0}, Appended{3}, Failed{}}, Effects{Committed: batch.NoOffset, Fail: true}, 0},
		{"failed twice fails once", []Event{BecomeLeader{0, 0}, Failed{}, Failed{}}, none, 0},
		{"a flush after failed commits nothing", []Event{BecomeLeader{0, 0}, Appended{3}, Failed{}, Flushed{3}}, none, 0},
		{"a new epoch keeps the high watermark", []Event{BecomeLeader{0, 5}, BecomeLeader{1, 5}}, none, 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var core Core
			var got Effects
			for _, e := range c.events {
				got = core.Step(e)
			}
			if got != c.want || core.HighWatermark() != c.high {
				t.Errorf("effects %+v, high %d; want %+v, %d", got, core.HighWatermark(), c.want, c.high)
			}
		})
	}
}

func TestCorePanicsOnBugs(t *testing.T) {
	for name, events := range map[string][]Event{
		"flushed goes back":    {BecomeLeader{0, 5}, Flushed{4}},
		"same epoch twice":     {BecomeLeader{1, 5}, BecomeLeader{1, 5}},
		"an event of no kind":  {nil},
		"epoch goes backwards": {BecomeLeader{1, 5}, BecomeLeader{0, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var core Core
			for _, e := range events {
				core.Step(e)
			}
		})
	}
}

func TestCoreInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var core Core
		start := batch.Offset(rapid.IntRange(0, 50).Draw(t, "start"))
		core.Step(BecomeLeader{0, start})
		flushed, end, failed := start, start, false
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				end += batch.Offset(rapid.IntRange(1, 9).Draw(t, "records"))
				step(t, &core, Appended{end}, flushed, failed)
			},
			"flush": func(t *rapid.T) {
				to := flushed + batch.Offset(rapid.Int64Range(0, int64(end-flushed)).Draw(t, "of"))
				if !failed {
					flushed = to
				}
				step(t, &core, Flushed{to}, flushed, failed)
			},
			"fail": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					failed = true
					step(t, &core, Failed{}, flushed, failed)
				}
			},
		})
	})
}

// step holds one step to P1 to P3. flushed is what was flushed before any failure.
func step(t *rapid.T, core *Core, e Event, flushed batch.Offset, failed bool) {
	before := core.HighWatermark()
	fx := core.Step(e)
	high := core.HighWatermark()
	switch {
	case high < before:
		t.Fatalf("P1: high watermark went from %d to %d on %T", before, high, e)
	case high > flushed:
		t.Fatalf("P1: high watermark %d is above the flushed end %d", high, flushed)
	case !failed && high != flushed:
		t.Fatalf("high watermark %d lags behind the flushed end %d of the only replica", high, flushed)
	case fx.Committed != batch.NoOffset && (failed || fx.Committed != high || high == before):
		t.Fatalf("P3: %+v on %T, failed %t, high %d", fx, e, failed, high)
	case (fx.Committed != batch.NoOffset) != (high != before):
		t.Fatalf("high went from %d to %d and the shell is told %+v", before, high, fx)
	}
}
