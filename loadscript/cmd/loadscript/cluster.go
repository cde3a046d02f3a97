package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/drive"
	"github.com/streambus/streambus/loadscript/internal/fault"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// clusterFlags are which cluster a run starts for itself.
type clusterFlags struct {
	cluster   string // "local", "local:1", "kafka:3"; empty: one StreamBus broker
	kafkaHome string
}

func (f *clusterFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.cluster, "cluster", "", "`kind:brokers` of the cluster that the run starts on this machine: local:1 (StreamBus, the default) or kafka:3")
	flags.StringVar(&f.kafkaHome, "kafka-home", os.Getenv("KAFKA_HOME"), "`folder` with the jars of Apache Kafka 4, for --cluster kafka:3 (also KAFKA_HOME)")
	flags.Lookup("kafka-home").DefValue = "" // help does not depend on who asks
}

// options says what to start for a plan.
func (f *clusterFlags) options(p *plan.Plan) (cluster.Options, error) {
	o := cluster.Options{Kind: cluster.StreamBus, Nodes: 1, KafkaHome: f.kafkaHome}
	for i := range p.Scenarios {
		o.Links = o.Links || fault.NeedsLinks(p.Scenarios[i].Faults)
		o.Failpoints = o.Failpoints || fault.NeedsFailpoints(p.Scenarios[i].Faults)
	}
	if f.cluster == "" {
		return o, nil
	}
	kind, count, counted := strings.Cut(f.cluster, ":")
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return o, usagef("--cluster %s: %q is no number of brokers; for example --cluster kafka:3", f.cluster, count)
		}
		o.Nodes = n
	}
	switch kind {
	case "local", cluster.StreamBus:
		if o.Nodes > 1 {
			return o, usagef("--cluster %s: %v; --cluster kafka:%d starts as many of Apache Kafka", f.cluster, cluster.ErrNoReplication, o.Nodes)
		}
	case cluster.Kafka:
		o.Kind, o.Failpoints = cluster.Kafka, false // it has none: a fault that needs them is a mistake of the script then
	default:
		return o, usagef("--cluster %s: want local, local:1 or kafka:3", f.cluster)
	}
	return o, nil
}

// ability is what can be done to the cluster of a run, for plan.CheckOn.
func ability(brokers []string, o cluster.Options) plan.Ability {
	links := []string{"latency", "packet_loss", "bandwidth", "partition", "rebalance", "random"}
	if len(brokers) > 0 {
		// --brokers wins over local(…): the script then runs on what it was given.
		return plan.Ability{Name: "the brokers of --brokers, whose processes are not ours", Starts: plan.MaxClients, Faults: links, Roles: plan.TargetKinds,
			Instead: "loadscript run --cluster kafka:3 …"}
	}
	a := plan.Ability{
		Name: "one StreamBus broker", Brokers: o.Nodes, Starts: o.Nodes, Faults: append(links, "kill", "pause", "restart"), Roles: plan.TargetKinds, Cuts: true,
		Instead: "loadscript run --cluster kafka:3 …",
	}
	if o.Kind == cluster.StreamBus {
		a.Faults = append(a.Faults, "slow_disk", "disk_full", "clock_skew")
	}
	if o.Kind == cluster.Kafka {
		a.Name, a.Instead = fmt.Sprintf("%d brokers of Apache Kafka", o.Nodes), fmt.Sprintf("loadscript run --cluster kafka:%d …", o.Nodes+1)
	}
	return a
}

// mistakes shows problems of a plan as those of its script are shown.
func mistakes(problems []plan.Problem) script.Errors {
	var list script.Errors
	for _, p := range problems {
		d := script.Diagnostic{Pos: p.Pos, Width: 1, Message: p.Message, Example: p.Example}
		if text, err := os.ReadFile(p.Pos.File); err == nil { // without it the place must do
			if lines := strings.Split(string(text), "\n"); p.Pos.Line >= 1 && p.Pos.Line <= len(lines) {
				d.Source = lines[p.Pos.Line-1]
			}
		}
		list = append(list, d)
	}
	return list
}

// startCluster starts the cluster of a run; the logs go to the results folder.
func startCluster(ctx context.Context, o cluster.Options, opts runOptions, progress *report.Progress) (*cluster.Cluster, error) {
	dir := opts.Out
	if dir == "" {
		dir = os.TempDir()
	}
	o.Log, o.Binary = filepath.Join(dir, brokerLog), opts.Streambus
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if !opts.Quiet {
		progress.Note("broker " + c.Describe())
	}
	return c, nil
}

// use points the engine at a cluster of our own.
func use(c *cluster.Cluster, o *drive.Options) {
	o.Brokers, o.Dead, o.Control, o.Peers = c.Addrs(), c.Dead(), c, c.Peers()
	o.BrokerPIDs = func() map[int32]int {
		pids := map[int32]int{}
		for _, n := range c.Nodes() {
			pids[n.ID] = n.PID
		}
		return pids
	}
	o.BrokerHTTP = map[int32]string{}
	for _, n := range c.Nodes() {
		if n.HTTP != "" {
			o.BrokerHTTP[n.ID] = n.HTTP
		}
	}
	o.Cluster.Embedded, o.Cluster.Shared = true, true
}

// asked says whether an error of Start is one of what was asked for.
func asked(err error) bool {
	return errors.Is(err, cluster.ErrNoBinary) || errors.Is(err, cluster.ErrNoKafka) || errors.Is(err, cluster.ErrNoReplication)
}
