package fault

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Beat is one disturbance.
type Beat struct {
	At    time.Duration // since the first record was due
	Until time.Duration // when it is healed
	Fault *plan.Fault   // never "random": what was drawn
	Turn  int           // how many beats of its row came before
	Seed  uint64        // for targets that are drawn
}

// maxBeats bounds a row.
const maxBeats = 100_000

// Rows unfolds the faults of a run of the length end, one row for each in script order (F1).
func Rows(faults []plan.Fault, seed uint64, end time.Duration) [][]Beat {
	var rows [][]Beat
	for i := range faults {
		f := &faults[i]
		rng := rand.New(rand.NewPCG(f.Seed, 0xfa17))
		var row []Beat
		for turn, at := range f.Beats(end, maxBeats) {
			b := Beat{At: at, Fault: f, Turn: turn, Seed: seed + uint64(i)<<32 + uint64(turn)}
			if f.Kind == "random" {
				b.Fault = &f.Choices[rng.IntN(len(f.Choices))]
			}
			b.Until = min(b.Fault.End(at, end), end)
			if f.Every > 0 {
				b.Until = min(b.Until, at+f.Every) // F5
			}
			row = append(row, b)
		}
		rows = append(rows, row)
	}
	return rows
}

// NeedsLinks says whether any of the faults strikes links, so that clients have to go through proxies from the start: what
// those cost is then the same inside of a fault and outside.
func NeedsLinks(faults []plan.Fault) bool {
	return slices.ContainsFunc(faults, func(f plan.Fault) bool {
		switch f.Kind {
		case "partition", "latency", "packet_loss", "bandwidth":
			return true
		}
		return NeedsLinks(f.Choices)
	})
}

// NeedsFailpoints says whether any of the faults strikes disks or clocks, so that brokers have to be started with failpoints.
func NeedsFailpoints(faults []plan.Fault) bool {
	return slices.ContainsFunc(faults, func(f plan.Fault) bool {
		return f.Kind == "slow_disk" || f.Kind == "disk_full" || f.Kind == "clock_skew" || NeedsFailpoints(f.Choices)
	})
}

// Name says what a fault is in a few words, as its script has it: "kill leader(payments/0)".
func Name(f *plan.Fault) string {
	if f.Kind == "rebalance" {
		return "rebalance " + f.Group
	}
	var words []string
	for _, t := range f.Targets {
		words = append(words, targetName(t))
	}
	return f.Kind + " " + strings.Join(words, ", ")
}

func targetName(t plan.Target) string {
	switch t.Kind {
	case "leader", "follower":
		return fmt.Sprintf("%s(%s/%d)", t.Kind, t.Topic, t.Partition)
	case "coordinator":
		return fmt.Sprintf("coordinator(%s)", t.Group)
	case "broker":
		return fmt.Sprintf("broker(%d)", t.ID)
	case "client":
		return fmt.Sprintf("client(%s)", t.Flow)
	}
	return t.Kind + "()"
}

// strength says how hard it strikes, with numbers.
func strength(f *plan.Fault) string {
	switch f.Kind {
	case "latency":
		s := plan.FormatDuration(f.Delay)
		if f.Jitter > 0 {
			s += " ± " + plan.FormatDuration(f.Jitter)
		}
		return s + " in each direction"
	case "packet_loss":
		return fmt.Sprintf("%v %% of the segments", f.Loss*100)
	case "bandwidth":
		return plan.FormatSize(f.Bandwidth) + "/s in each direction"
	case "partition":
		if f.Symmetric {
			return "both directions"
		}
		return "what it sends is lost"
	case "slow_disk":
		return "each write and flush takes " + plan.FormatDuration(f.Delay) + " longer"
	case "disk_full":
		return "no room for anything new"
	case "clock_skew":
		if f.Skew < 0 {
			return "its clock is " + plan.FormatDuration(-f.Skew) + " behind"
		}
		return "its clock is " + plan.FormatDuration(f.Skew) + " ahead"
	case "rebalance":
		var s []string
		if f.Leave > 0 {
			s = append(s, fmt.Sprintf("%d leave", f.Leave))
		}
		if f.Join > 0 {
			s = append(s, fmt.Sprintf("%d join", f.Join))
		}
		return strings.Join(s, ", ")
	}
	return ""
}
