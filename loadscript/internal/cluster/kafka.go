package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/streambus/streambus/loadscript/internal/proxy"
)

// findKafka returns the class path of the jars in home or home/libs, and the java to run them with.
func findKafka(home string) (classes, java string, err error) {
	if home == "" {
		return "", "", fmt.Errorf("%w: say where its jars are with --kafka-home FOLDER, or in KAFKA_HOME", ErrNoKafka)
	}
	for _, dir := range []string{filepath.Join(home, "libs"), home} {
		if jars, _ := filepath.Glob(filepath.Join(dir, "kafka-server-4.*.jar")); len(jars) > 0 { // the pattern is well formed
			classes = filepath.Join(dir, "*")
			break
		}
	}
	if classes == "" {
		return "", "", fmt.Errorf("%w in %s: want kafka-server-4.*.jar and what it needs there, or in libs below it", ErrNoKafka, home)
	}
	java = "java"
	if jdk := os.Getenv("JAVA_HOME"); jdk != "" {
		java = filepath.Join(jdk, "bin", "java")
	}
	if java, err = exec.LookPath(java); err != nil {
		return "", "", fmt.Errorf("%w: its jars need java: install it (Debian: default-jre-headless) or set JAVA_HOME: %w", ErrNoKafka, err)
	}
	return classes, java, nil
}

// kafkaNode is where a node listens. Each port is of 127.0.0.1.
type kafkaNode struct {
	client, peer, quorum int
}

// prepareKafka makes nodes that are broker and controller in one (KRaft's combined mode), with replicas and quorum as a small
// production cluster has them. Clients are told each broker's own address: a proxy.Front puts itself between as it needs to.
// For the links between brokers, "node-2" is what node 2 advertises to the others, and each JVM has a hosts file of its own:
//
//	node 1's JVM: node-1 = 127.0.0.1    node-2 = 127.77.1.2    node-3 = 127.77.1.3
//	a link on 127.77.1.2, port P2 -----> node 2 on 127.0.0.1, port P2          (and the same for the quorum's port)
//
// so that there is a link for each direction of each pair, although Kafka gives each broker one address only.
func (c *Cluster) prepareKafka(ctx context.Context) error {
	classes, java, err := findKafka(c.opts.KafkaHome)
	if err != nil {
		return err
	}
	var ports []kafkaNode
	for range c.opts.Nodes {
		var p kafkaNode
		for _, port := range []*int{&p.client, &p.peer, &p.quorum} {
			if *port, err = freePort(); err != nil {
				return err
			}
		}
		ports = append(ports, p)
	}
	if c.opts.Links && c.opts.Nodes > 1 {
		c.peers = proxy.NewNet(nil)
		if err := c.linkKafka(ports); err != nil {
			return err
		}
	}
	for i := range ports {
		id := i + 1
		dir := filepath.Join(c.dir, fmt.Sprint(id))
		hosts, config := filepath.Join(dir, "hosts"), filepath.Join(dir, "server.properties")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		if err := os.WriteFile(hosts, []byte(c.kafkaHosts(id)), 0o600); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		if err := os.WriteFile(config, []byte(c.kafkaConfig(id, ports, filepath.Join(dir, "data"))), 0o600); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		// Only the C1 compiler and a small heap: three JVMs and the load share a machine here, so this is for what a cluster
		// does under faults. How fast Kafka is shows on machines of its own, with --brokers.
		jvm := []string{"-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData",
			"-Djdk.net.hosts.file=" + hosts, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes}
		format := exec.CommandContext(ctx, java, append(jvm, "kafka.tools.StorageTool", "format", "-t", "TG9hZHNjcmlwdENsdXN0ZQ", "-c", config)...)
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("cluster: preparing the data folder of Kafka node %d: %w\n%s", id, err, strings.TrimSpace(string(out)))
		}
		c.nodes = append(c.nodes, &node{
			id: int32(id), addr: fmt.Sprintf("127.0.0.1:%d", ports[i].client), log: c.logFile(int32(id)), name: fmt.Sprintf("Kafka node %d", id),
			command: func() *exec.Cmd { return exec.Command(java, append(jvm, "kafka.Kafka", config)...) },
		})
	}
	return nil
}

// linkAddr is the host of the link by which node from reaches node to.
func linkAddr(from, to int) string { return fmt.Sprintf("127.77.%d.%d", from, to) }

// linkKafka opens two links for each direction of each pair: for what brokers ask each other, and for the quorum.
func (c *Cluster) linkKafka(ports []kafkaNode) error {
	for from := range ports {
		for to, p := range ports {
			if from == to {
				continue
			}
			for _, port := range []int{p.peer, p.quorum} {
				listen := fmt.Sprintf("%s:%d", linkAddr(from+1, to+1), port)
				if _, err := c.peers.Between(int32(from+1), int32(to+1), listen, fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
					return fmt.Errorf("cluster: the link from node %d to node %d: %w", from+1, to+1, err)
				}
			}
		}
	}
	return nil
}

// kafkaHosts is the hosts file of one node. With it, Java asks no other resolver.
func (c *Cluster) kafkaHosts(id int) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	if name, err := os.Hostname(); err == nil {
		fmt.Fprintf(&b, "127.0.0.1 %s\n", name)
	}
	for to := 1; to <= c.opts.Nodes; to++ {
		host := "127.0.0.1"
		if c.peers != nil && to != id {
			host = linkAddr(id, to)
		}
		fmt.Fprintf(&b, "%s node-%d\n", host, to)
	}
	return b.String()
}

func (c *Cluster) kafkaConfig(id int, ports []kafkaNode, data string) string {
	var voters []string
	for i, p := range ports {
		voters = append(voters, fmt.Sprintf("%d@node-%d:%d", i+1, i+1, p.quorum))
	}
	replicas := min(3, len(ports))
	p := ports[id-1]
	return fmt.Sprintf(`process.roles=broker,controller
node.id=%[1]d
controller.quorum.voters=%[2]s
listeners=CLIENT://127.0.0.1:%[3]d,PEER://127.0.0.1:%[4]d,QUORUM://127.0.0.1:%[5]d
advertised.listeners=CLIENT://127.0.0.1:%[3]d,PEER://node-%[1]d:%[4]d,QUORUM://node-%[1]d:%[5]d
listener.security.protocol.map=CLIENT:PLAINTEXT,PEER:PLAINTEXT,QUORUM:PLAINTEXT
controller.listener.names=QUORUM
inter.broker.listener.name=PEER
log.dirs=%[6]s
offsets.topic.replication.factor=%[7]d
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=%[7]d
transaction.state.log.min.isr=%[8]d
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=%[7]d
share.coordinator.state.topic.min.isr=%[8]d
share.coordinator.state.topic.num.partitions=4
default.replication.factor=%[7]d
group.initial.rebalance.delay.ms=100
auto.create.topics.enable=false
%[9]s
`, id, strings.Join(voters, ","), p.client, p.peer, p.quorum, data, replicas, max(1, replicas-1), strings.Join(c.opts.Config, "\n"))
}
