package txn

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack(3)
		c := r.start(t)
		defer c.Close()
		var ids []batch.ProducerID
		for _, id := range []string{"app-1", "app-2", "b"} {
			me := initID(t, c, id)
			ids = append(ids, me.ID)
			if id != "b" {
				is(t, "add", wait(t, c.AddPartitions(id, me, tps(0), 0)).Err, nil)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for name, f := range map[string]struct {
			f       Filter
			want    []string
			unknown []string
			err     error
		}{
			"all":       {f: Filter{LongerMs: -1}, want: []string{"app-1", "app-2", "b"}},
			"state":     {f: Filter{LongerMs: -1, States: []string{"Empty", "Nonsense"}}, want: []string{"b"}, unknown: []string{"Nonsense"}},
			"no state":  {f: Filter{LongerMs: -1, States: []string{"Nonsense"}}, unknown: []string{"Nonsense"}},
			"producer":  {f: Filter{LongerMs: -1, ProducerIDs: ids[1:2]}, want: []string{"app-2"}},
			"longer":    {f: Filter{LongerMs: 2500}, want: []string{"app-1"}},
			"all begun": {f: Filter{LongerMs: 0}, want: []string{"app-1", "app-2"}},
			"pattern":   {f: Filter{LongerMs: -1, Pattern: "app-.|x"}, want: []string{"app-1", "app-2"}},
			"part":      {f: Filter{LongerMs: -1, Pattern: "app"}},
			"bad":       {f: Filter{LongerMs: -1, Pattern: "a)|(b"}, err: ErrPattern},
		} {
			all, unknown, err := c.List(f.f)
			is(t, name, err, f.err)
			var got []string
			for _, l := range all {
				got = append(got, l.ID)
			}
			if !slices.Equal(got, f.want) || !slices.Equal(unknown, f.unknown) {
				t.Errorf("%s: %v, unknown %v", name, got, unknown)
			}
		}
	})
}
