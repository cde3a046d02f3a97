package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/streambus/streambus/loadscript/internal/mock"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// Every invariant fires on its misdeed, and on nothing else; and there is a misdeed for every invariant.
func TestInvariantsFire(t *testing.T) {
	tried := map[string]bool{}
	for _, trial := range trials {
		tried[trial.fires] = true
	}
	for _, trial := range trials {
		t.Run(trial.name(), func(t *testing.T) {
			t.Parallel()
			r := trial.run(t.Context())
			if r.Failure != "" {
				t.Error(r.Failure)
			}
			for name := range r.Counts {
				if !tried[name] {
					t.Errorf("no misdeed tries %s", name)
				}
			}
		})
	}
}

// Percentiles are those of the known distribution, to 1 %. On a network in memory, with a clock of its own, where a busy machine
// adds nothing: a clock that stands still while anything runs.
func TestPercentilesOfAKnownDistribution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := measureDelays(t.Context(), 1, &mock.Network{})
		if r.Failure != "" {
			t.Error(r.Failure)
		}
		t.Logf("%+v", r.Rows)
	})
}

// A freeze of 2 s is in the p99 from the intended time.
func TestFreezeShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tryFreeze(t.Context(), &mock.Network{})
		if r.Failure != "" {
			t.Error(r.Failure)
		}
		t.Logf("p99 from the intended time %s, from the real send %s", report.FormatLatency(r.IntendedNs), report.FormatLatency(r.SentNs))
	})
}

// The table says what was missed and what was a false alarm, and the command fails then.
func TestSelftestTable(t *testing.T) {
	r := &selftestResult{
		Invariants: []string{"in_order", "no_loss"},
		Trials: []trialResult{
			{Misdeed: string(mock.Lose), Fires: "no_loss", Counts: map[string]int64{"no_loss": 0, "in_order": 2}},
			{Misdeed: string(mock.Reorder), Fires: "in_order", Counts: map[string]int64{"no_loss": 0, "in_order": 1}},
		},
		Failures: []string{"lose: no_loss did not fire"},
	}
	var out bytes.Buffer
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lose     FALSE ALARM  MISSED", "reorder  fired        .", "FAIL", "lose: no_loss did not fire"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
