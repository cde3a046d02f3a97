package plan

import (
	"strings"
	"testing"
)

func TestCheckOn(t *testing.T) {
	every := append(append([]string{"rebalance"}, processFaults...), linkFaults...)
	ours := Ability{Name: "three brokers of its own", Brokers: 3, Starts: 3, Faults: every, Roles: TargetKinds, Cuts: true, Instead: "do otherwise"}
	theirs := Ability{Name: "the brokers of --brokers", Starts: 3, Faults: append([]string{"rebalance"}, linkFaults...), Roles: TargetKinds, Instead: "run it with --cluster kafka:3"}
	one := Ability{Name: "one StreamBus broker", Brokers: 1, Starts: 1, Faults: every, Roles: []string{"leader"}, Cuts: true}
	ailing := one
	ailing.Faults = append(append([]string{}, every...), brokerFaults...)
	at := func(kind string, targets ...Target) Fault { return Fault{Kind: kind, Targets: targets} }
	client, leader := Target{Kind: "client", Flow: "produce:orders"}, Target{Kind: "leader", Topic: "orders"}
	for name, c := range map[string]struct {
		scenario Scenario
		on       Ability
		says     string // empty: it can be done
	}{
		"kill ours":              {Scenario{Faults: []Fault{at("kill", leader)}}, ours, ""},
		"kill theirs":            {Scenario{Faults: []Fault{at("kill", leader)}}, theirs, "fault.kill cannot be applied to the brokers of --brokers"},
		"slow their links":       {Scenario{Faults: []Fault{at("latency", leader)}}, theirs, ""},
		"cut ours":               {Scenario{Faults: []Fault{at("partition", leader)}}, ours, ""},
		"cut the only one":       {Scenario{Faults: []Fault{at("partition", leader)}}, one, ""},
		"cut one of theirs":      {Scenario{Faults: []Fault{at("partition", client, leader)}}, theirs, "cut target.leader off from the other brokers"},
		"cut a client of theirs": {Scenario{Faults: []Fault{at("partition", client)}}, theirs, ""},
		"a slow disk":            {Scenario{Faults: []Fault{at("slow_disk", leader)}}, ailing, ""},
		"a full disk":            {Scenario{Faults: []Fault{at("disk_full", leader)}}, ailing, ""},
		"a slow disk of others":  {Scenario{Faults: []Fault{at("slow_disk", leader)}}, ours, "cannot be applied to three brokers of its own: it needs a StreamBus broker that the run starts itself"},
		"a full disk of theirs":  {Scenario{Faults: []Fault{at("disk_full", leader)}}, theirs, "cannot be applied to the brokers of --brokers: it needs a StreamBus broker that the run starts itself"},
		"one disk of several":    {Scenario{Faults: []Fault{{Kind: "random", Choices: []Fault{at("kill", leader), at("disk_full", leader)}}}}, ours, "fault.disk_full"},
		"a clock":                {Scenario{Faults: []Fault{at("clock_skew", leader)}}, ailing, ""},
		"a clock of others":      {Scenario{Faults: []Fault{at("clock_skew", leader)}}, ours, "cannot be applied to three brokers of its own: it needs a StreamBus broker that the run starts itself"},
		"a clock of theirs":      {Scenario{Faults: []Fault{at("clock_skew", leader)}}, theirs, "cannot be applied to the brokers of --brokers: it needs a StreamBus broker that the run starts itself"},
		"one choice of several":  {Scenario{Faults: []Fault{{Kind: "random", Choices: []Fault{at("latency", leader), at("kill", leader)}}}}, theirs, "fault.kill"},
		"an unknown role":        {Scenario{Faults: []Fault{at("kill", Target{Kind: "controller"})}}, one, "target.controller"},
		"no such broker":         {Scenario{Faults: []Fault{at("latency", Target{Kind: "broker", ID: 9})}}, one, "target.broker(9) cannot be found on one StreamBus broker: its only one has id 1"},
		"nor of three":           {Scenario{Faults: []Fault{at("latency", Target{Kind: "broker"})}}, ours, "they have ids 1 to 3"},
		"the third of three":     {Scenario{Faults: []Fault{at("latency", Target{Kind: "broker", ID: 3})}}, ours, ""},
		"who knows of theirs":    {Scenario{Faults: []Fault{at("latency", Target{Kind: "broker", ID: 9})}}, theirs, ""},
		"three of StreamBus":     {Scenario{Cluster: &Local{Brokers: 3}}, one, "StreamBus does not replicate yet"},
		"three of three":         {Scenario{Cluster: &Local{Brokers: 3}}, ours, ""},
	} {
		got := (&Plan{Scenarios: []Scenario{c.scenario}}).CheckOn(c.on)
		switch {
		case c.says == "" && len(got) > 0:
			t.Errorf("%s: %v", name, got)
		case c.says != "" && (len(got) != 1 || !strings.Contains(got[0].Message, c.says)):
			t.Errorf("%s: %v, want one that says %q", name, got, c.says)
		case strings.Contains(c.says, "StreamBus broker that the run starts") && got[0].Example != "loadscript run --cluster local:1 …":
			t.Errorf("%s: the example is %q", name, got[0].Example)
		}
	}
}
