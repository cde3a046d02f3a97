package fault

import (
	"fmt"
	"slices"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Means is what a run has to strike with.
type Means struct {
	Processes bool // the brokers' processes are ours
	Peers     bool // the links between the brokers go through a net of ours
	Brokers   int  // how many there are; 0 = not known
}

// missing says what each host fault would need.
var missing = map[string]string{
	"slow_disk":  "a broker that can be told to write slowly: StreamBus has no failpoint for that yet, and a delaying device below its data folder needs root and a device mapper",
	"disk_full":  "a data folder on a file system of its own, small enough to be filled: mounting one needs root",
	"clock_skew": "a broker with a clock of its own: all processes of this machine share one",
}

const instead = "run it with --cluster kafka:3, or leave the fault out"

// Check lists the faults that cannot be applied with these means. They are errors of the plan for this cluster; none is skipped.
func Check(s *plan.Scenario, m Means) []plan.Problem {
	var list []plan.Problem
	for i := range s.Faults {
		f := &s.Faults[i]
		list = append(list, checkOne(f, m)...)
		for j := range f.Choices {
			list = append(list, checkOne(&f.Choices[j], m)...)
		}
	}
	return list
}

func checkOne(f *plan.Fault, m Means) (list []plan.Problem) {
	add := func(message, example string) {
		list = append(list, plan.Problem{Pos: f.Pos, Message: message, Example: example})
	}
	switch f.Kind {
	case "kill", "pause", "restart":
		if !m.Processes {
			add(fmt.Sprintf("fault.%s needs the brokers' processes, and those of --brokers are not ours to stop", f.Kind), instead)
		}
	case "partition":
		brokers := slices.ContainsFunc(f.Targets, func(t plan.Target) bool { return t.Kind != "client" })
		if brokers && !m.Peers && m.Brokers != 1 {
			add("fault.partition of a broker must cut it off from the other brokers as well, and their links do not go through a proxy of ours",
				instead+`; a client can be cut off on any cluster: fault.partition([target.client("produce:orders")], …)`)
		}
	case "slow_disk", "disk_full", "clock_skew":
		add(fmt.Sprintf("fault.%s cannot be applied: it needs %s", f.Kind, missing[f.Kind]), "")
	}
	return list
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
