package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

func TestClusterFlag(t *testing.T) {
	for text, want := range map[string]cluster.Options{
		"": {Kind: cluster.StreamBus, Nodes: 1}, "local": {Kind: cluster.StreamBus, Nodes: 1}, "local:1": {Kind: cluster.StreamBus, Nodes: 1},
		"kafka": {Kind: cluster.Kafka, Nodes: 1}, "kafka:3": {Kind: cluster.Kafka, Nodes: 3},
	} {
		got, err := (&clusterFlags{cluster: text}).options(&plan.Plan{})
		if err != nil || got.Kind != want.Kind || got.Nodes != want.Nodes || got.Links || got.Failpoints {
			t.Errorf("--cluster %q: %+v, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"local:3": "does not replicate yet", "kafka:0": "no number of brokers", "kafka:x": "no number of brokers", "redpanda:3": "want local, local:1 or kafka:3",
	} {
		if _, err := (&clusterFlags{cluster: text}).options(&plan.Plan{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("--cluster %s: %v, want an error that says %q", text, err, says)
		}
	}
	p := &plan.Plan{Scenarios: []plan.Scenario{{}, {Faults: []plan.Fault{{Kind: "latency"}}}}}
	if o, err := (&clusterFlags{cluster: "kafka:3"}).options(p); err != nil || !o.Links {
		t.Errorf("%+v, %v: faults on links need links", o, err)
	}
	for _, f := range []plan.Fault{{Kind: "slow_disk"}, {Kind: "clock_skew"}, {Kind: "random", Choices: []plan.Fault{{Kind: "kill"}, {Kind: "disk_full"}}}} {
		p := &plan.Plan{Scenarios: []plan.Scenario{{}, {Faults: []plan.Fault{f}}}}
		if o, err := (&clusterFlags{}).options(p); err != nil || !o.Failpoints || o.Links {
			t.Errorf("%+v, %v: faults of disks need failpoints, and no links", o, err)
		}
		if problems := p.CheckOn(ability(nil, cluster.Options{Kind: cluster.StreamBus, Nodes: 1})); len(problems) > 0 {
			t.Errorf("%s: %v: a StreamBus that the run starts can take it", f.Kind, problems)
		}
	}
}

// What the cluster at hand cannot take is a mistake of the script, with its place, before anything is started.
func TestFaultsThatTheClusterCannotTake(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "failover.star")
	if err := os.WriteFile(script, []byte(`orders = topic("orders", partitions = 1)
scenario(
    "failover",
    produce(orders),
    rate = "10/s",
    duration = "10s",
    cluster = local(brokers = 3),
    faults = [
        fault.kill(target.leader(orders, partition = 0), at = "1s"),
        fault.slow_disk(target.random(), delay = "1ms", at = "2s", duration = "1s"),
        fault.random([fault.disk_full(target.random(), duration = "1s")], every = "3s"),
        fault.clock_skew(target.random(), skew = "1s", at = "2s", duration = "1s"),
    ],
)
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code plan.ExitCode
		says []string
	}{
		"":                                {plan.ExitScript, []string{"failover.star:7:", "does not replicate yet", "--cluster kafka:3"}},
		"--brokers 127.0.0.1:1":           {plan.ExitScript, []string{"failover.star:9:", "fault.kill cannot be applied", "--cluster kafka:3", "failover.star:10:", "fault.slow_disk cannot be applied to the brokers of --brokers", "failover.star:11:", "fault.disk_full cannot be applied to the brokers of --brokers", "failover.star:12:", "fault.clock_skew cannot be applied to the brokers of --brokers", "--cluster local:1"}},
		"--cluster kafka:3":               {plan.ExitScript, []string{"failover.star:10:", "fault.slow_disk cannot be applied to 3 brokers of Apache Kafka: it needs a StreamBus broker", "failover.star:11:", "fault.disk_full cannot be applied to 3 brokers of Apache Kafka", "failover.star:12:", "fault.clock_skew cannot be applied to 3 brokers of Apache Kafka: it needs a StreamBus broker", "only root", "--cluster local:1"}},
		"--cluster local:3":               {plan.ExitConfig, []string{"does not replicate yet", "--cluster kafka:3"}},
		"--cluster kafka:3 --brokers x:1": {plan.ExitConfig, []string{"exclude each other"}},
	} {
		var errs bytes.Buffer
		code := execute(t.Context(), append([]string{"run", script, "--out", filepath.Join(dir, "out")}, strings.Fields(args)...), &errs, &errs)
		for _, s := range want.says {
			if !strings.Contains(errs.String(), s) {
				t.Errorf("%q: no %q in\n%s", args, s, errs.String())
			}
		}
		if code != want.code {
			t.Errorf("%q: exit code %d, want %d", args, code, want.code)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
		t.Error("a run that never began made a results folder")
	}
	var errs bytes.Buffer
	p := tinyPlan()
	code := runPlan(t.Context(), p, runOptions{Cluster: clusterFlags{cluster: "kafka:3", kafkaHome: dir}, Out: t.TempDir(), Stdout: &errs, Stderr: &errs})
	if code != plan.ExitConfig || !strings.Contains(errs.String(), "kafka-server-4") {
		t.Errorf("a folder without Kafka: exit code %d\n%s", code, errs.String())
	}
}
