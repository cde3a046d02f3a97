//go:build clients

package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tools are what Kafka's own command-line tools do, each in a cell of its name.
var tools = []cell{
	{"kafka-topics", "--create, --list, --describe, --alter --partitions, --delete", []int16{32, 37}},
	{"kafka-configs", "--alter --add-config on a topic, --describe on a topic and a broker", []int16{32, 44}},
	{"kafka-console-producer", "keys, headers, zstd", nil},
	{"kafka-console-consumer", "from the beginning, in a group, and prints them again", nil},
	{"kafka-producer-perf-test", "10,000 records of 100 bytes", nil},
	{"kafka-consumer-perf-test", "reads them", nil},
	{"kafka-get-offsets", "earliest, latest, max-timestamp", nil},
	{"kafka-consumer-groups", "--list, --describe, --reset-offsets, --delete-offsets, --delete", []int16{15, 16, 42, 47}},
	{"kafka-delete-records", "from an offset file", []int16{21}},
	{"kafka-log-dirs", "--describe names the partition", []int16{35}},
	{"kafka-transactions", "list, describe-producers", []int16{61, 66}},
	{"kafka-broker-api-versions", "names the broker's ranges", nil},
	{"kafka-cluster", "cluster-id", nil},
	{"kafka-dump-log", "reads segments of the data directory: every record; offsets of groups and states of transactions with their decoders", nil},
}

// mains are the main classes behind bin/kafka-*.sh.
var mains = map[string]string{
	"kafka-topics": "TopicCommand", "kafka-configs": "kafka.admin.ConfigCommand", "kafka-console-producer": "ConsoleProducer",
	"kafka-console-consumer": "consumer.ConsoleConsumer", "kafka-producer-perf-test": "ProducerPerformance",
	"kafka-consumer-perf-test": "ConsumerPerformance", "kafka-get-offsets": "GetOffsetShell",
	"kafka-consumer-groups": "consumer.group.ConsumerGroupCommand", "kafka-delete-records": "DeleteRecordsCommand",
	"kafka-log-dirs": "LogDirsCommand", "kafka-transactions": "TransactionsCommand",
	"kafka-broker-api-versions": "BrokerApiVersionsCommand", "kafka-cluster": "ClusterTool", "kafka-dump-log": "DumpLogSegments",
}

// cli runs Kafka's tools, a JVM for each command as their users do.
type cli struct {
	*run
	jars string
}

func runTools(r *run) error {
	jars, err := require("kafka-4")
	if err != nil {
		return err
	}
	r.version = kafkaVersion
	t := cli{r, jars}
	topic := r.prefix + "data"
	r.try("kafka-console-producer", func() error {
		return t.says("", "h:x\tk1\tv1\nh:y\tk2\tv2\n", "kafka-console-producer", "--topic", topic, "--compression-codec", "zstd",
			"--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
	})
	r.try("kafka-console-consumer", func() error {
		return t.says("h:x\tk1\tv1\nh:y\tk2\tv2", "", "kafka-console-consumer", "--topic", topic, "--from-beginning", "--group", r.prefix+"console",
			"--max-messages", "2", "--timeout-ms", "15000", "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true")
	})
	r.try("kafka-producer-perf-test", func() error {
		return t.says("10000 records sent", "", "kafka-producer-perf-test", "--topic", r.prefix+"perf", "--num-records", "10000",
			"--record-size", "100", "--throughput", "-1")
	})
	r.try("kafka-consumer-perf-test", func() error {
		return t.says("10000", "", "kafka-consumer-perf-test", "--topic", r.prefix+"perf", "--num-records", "10000", "--timeout", "15000")
	})
	r.try("kafka-log-dirs", func() error { return t.says(topic+"-0", "", "kafka-log-dirs", "--describe", "--topic-list", topic) })
	r.try("kafka-transactions", func() error {
		return errors.Join(t.says("TransactionalId", "", "kafka-transactions", "list"),
			t.says("ProducerId", "", "kafka-transactions", "describe-producers", "--topic", topic, "--partition", "0"))
	})
	r.try("kafka-broker-api-versions", func() error { return t.says("Produce(0): 0 to", "", "kafka-broker-api-versions") })
	r.try("kafka-cluster", func() error { return t.says("Cluster ID:", "", "kafka-cluster", "cluster-id") })
	r.try("kafka-get-offsets", t.offsets)
	r.try("kafka-topics", t.topics)
	r.try("kafka-configs", t.configs)
	r.try("kafka-consumer-groups", t.groups)
	r.try("kafka-delete-records", t.deleteRecords)
	r.try("kafka-dump-log", t.dumpLog)
	return nil
}

// says runs a tool against the broker, and wants to read something on its standard output.
func (t cli) says(want, stdin, tool string, args ...string) error {
	main := mains[tool]
	if !strings.HasPrefix(main, "kafka.") {
		main = "org.apache.kafka.tools." + main
	}
	server := []string{"--bootstrap-server", t.peer.addr}
	switch tool {
	case "kafka-dump-log":
		server = nil
	case "kafka-transactions": // its action comes last
		args, server = append(server, args...), nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", jvm(t.jars, append(append([]string{main}, args...), server...)...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err == nil && strings.Contains(string(out), want) {
		return nil
	}
	text := strings.Join(strings.Fields(string(out)+" "+errs.String()), " ")
	return fmt.Errorf("%s %v: %v, without %q: %.400s", tool, args, err, want, text)
}

func (t cli) topics() error {
	topic := t.prefix + "topics"
	for _, c := range []struct {
		want string
		args []string
	}{
		{"Created topic", []string{"--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=3600000"}},
		{topic, []string{"--list"}},
		{"PartitionCount: 3", []string{"--describe", "--topic", topic}},
		{"", []string{"--alter", "--topic", topic, "--partitions", "5"}},
		{"PartitionCount: 5", []string{"--describe", "--topic", topic}},
		{"", []string{"--delete", "--topic", topic}},
	} {
		if err := t.says(c.want, "", "kafka-topics", c.args...); err != nil {
			return err
		}
	}
	return nil
}

func (t cli) configs() error {
	topic := []string{"--entity-type", "topics", "--entity-name", t.prefix + "data"}
	return errors.Join(
		t.says("Completed updating", "", "kafka-configs", append(topic, "--alter", "--add-config", "retention.ms=7200000")...),
		t.says("retention.ms=7200000", "", "kafka-configs", append(topic, "--describe")...),
		t.says("log.retention", "", "kafka-configs", "--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"))
}

func (t cli) offsets() error {
	for at, want := range map[string]string{"earliest": "0", "latest": "2", "max-timestamp": "1"} {
		topic := t.prefix + "data"
		if err := t.says(topic+":0:"+want, "", "kafka-get-offsets", "--topic", topic, "--time", at); err != nil {
			return err
		}
	}
	return nil
}

func (t cli) groups() error {
	group, topic := []string{"--group", t.prefix + "console"}, t.prefix+"data"
	for _, c := range []struct {
		want string
		args []string
	}{
		{group[1], []string{"--list"}},
		{topic, append(group, "--describe")},
		{"", append(group, "--reset-offsets", "--to-earliest", "--topic", topic, "--execute")},
		{"Successful", append(group, "--delete-offsets", "--topic", topic)},
		{"successful", append(group, "--delete")},
	} {
		if err := t.says(c.want, "", "kafka-consumer-groups", c.args...); err != nil {
			return err
		}
	}
	return nil
}

func (t cli) deleteRecords() error {
	file := filepath.Join(t.t.TempDir(), "offsets.json")
	text := fmt.Sprintf(`{"partitions": [{"topic": %q, "partition": 0, "offset": 5000}], "version": 1}`, t.prefix+"perf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	return t.says("low_watermark: 5000", "", "kafka-delete-records", "--offset-json-file", file)
}

// dumpLog has Kafka's reader read what the broker has on its disk: records, what groups have committed, what transactions there were. A
// broker may write it behind the acknowledgement.
func (t cli) dumpLog() error {
	id := t.prefix + "dumped"
	if err := t.transaction(id); err != nil {
		return err
	}
	for _, c := range []struct{ log, want, decoder string }{
		{t.prefix + "data-0", "payload: v2", "--print-data-log"},
		{"__consumer_offsets-", t.prefix + "console", "--offsets-decoder"},
		{"__transaction_state-", id, "--transaction-log-decoder"},
	} {
		var err error
		for range 5 {
			if err = t.dumped(c.log, c.want, c.decoder); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t cli) dumped(log, want, decoder string) error {
	var found []string
	err := filepath.WalkDir(t.peer.dataDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".log") || !strings.HasPrefix(filepath.Base(filepath.Dir(path)), log) {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > 0 {
			found = append(found, path)
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no segment of %s below the data directory: %w", log, err)
	}
	return t.says(want, "", "kafka-dump-log", "--files", strings.Join(found, ","), decoder)
}

// transaction runs one.
func (t cli) transaction(id string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(t.peer.addr), kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	if err := c.ProduceSync(t.ctx, &kgo.Record{Topic: t.prefix + "perf", Value: []byte("in a transaction")}).FirstErr(); err != nil {
		return err
	}
	return c.EndTransaction(t.ctx, kgo.TryCommit)
}
