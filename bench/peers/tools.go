package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// kafkaTool runs one of Kafka's own tools to its end and gives what it says.
func (p *paths) kafkaTool(ctx context.Context, main string, args ...string) (string, error) {
	// Heap and collector as in bin/kafka-producer-perf-test.sh and bin/kafka-run-class.sh.
	java := append([]string{"-cp", filepath.Join(p.jars, "*"), "-Xmx512M"}, kafkaJVM[2:]...)
	cmd := exec.CommandContext(ctx, "java", append(append(java, "org.apache.kafka.tools."+main), args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.600s", main, err, out)
	}
	return string(out), nil
}

var (
	// 200000 records sent, 50890.585242 records/sec (49.70 MB/sec), 7.83 ms avg latency, 268.00 ms max latency, 3 ms 50th, 22 ms 95th, …
	produced = regexp.MustCompile(`(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)`)
	// start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
	consumed = regexp.MustCompile(`(?m)^\d{4}-[^,]+, [^,]+, ([\d.]+), ([\d.]+), (\d+), ([\d.]+), `)
)

// perfTools runs producer-perf-test and consumer-perf-test, and gives MiB a second of each. The topic is theirs.
func (p *paths) perfTools(ctx context.Context, addr, topic string, records int) (producer, consumer float64, err error) {
	n := strconv.Itoa(records)
	if _, err := p.kafkaTool(ctx, "TopicCommand", "--bootstrap-server", addr, "--create", "--topic", topic, "--partitions", "10", "--replication-factor", "1"); err != nil {
		return 0, 0, err
	}
	said, err := p.kafkaTool(ctx, "ProducerPerformance", "--topic", topic, "--num-records", n, "--record-size", strconv.Itoa(recordBytes), "--throughput", "-1",
		"--producer-props", "bootstrap.servers="+addr, "acks=all")
	if err != nil {
		return 0, 0, err
	}
	all := produced.FindAllStringSubmatch(said, -1)
	if len(all) == 0 || all[len(all)-1][1] != n {
		return 0, 0, fmt.Errorf("producer-perf-test has not sent %s records: %.600s", n, said)
	}
	if producer, err = strconv.ParseFloat(all[len(all)-1][3], 64); err != nil {
		return 0, 0, err
	}
	said, err = p.kafkaTool(ctx, "ConsumerPerformance", "--topic", topic, "--bootstrap-server", addr, "--num-records", n, "--timeout", "60000")
	if err != nil {
		return 0, 0, err
	}
	m := consumed.FindStringSubmatch(said)
	if m == nil {
		return 0, 0, fmt.Errorf("consumer-perf-test says no rate: %.600s", said)
	}
	if got, err := strconv.Atoi(m[3]); err != nil || got < records {
		return 0, 0, fmt.Errorf("consumer-perf-test has read %d of %s records: %w", got, n, err)
	}
	consumer, err = strconv.ParseFloat(m[2], 64)
	return producer, consumer, err
}

// loadscriptExits are the exit codes after which loadscript has figures: passed, a threshold failed, the generator was late.
var loadscriptExits = map[int]bool{0: true, 99: true, 95: true}

// script runs peer.star against a broker and gives the values of the line for the whole run, by unit.
func (p *paths) script(ctx context.Context, addr, dir string, d time.Duration) (map[string]float64, error) {
	out := filepath.Join(dir, "loadscript")
	star := filepath.Join(dir, "peer.star")
	if err := os.WriteFile(star, peerStar, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.loadscript, "run", star, "--quiet", "--brokers", addr, "--duration", d.String(), "--rate", strconv.Itoa(rate), "--out", out)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !loadscriptExits[exit.ExitCode()]) {
		return nil, fmt.Errorf("loadscript: %w: %.1500s", err, said)
	}
	text, err := os.ReadFile(filepath.Join(out, "bench.txt"))
	if err != nil {
		return nil, err
	}
	return benchLine(string(text))
}

// benchLine reads the line of the stage "all".
func benchLine(text string) (map[string]float64, error) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "Benchmark") || !strings.Contains(line, "stage=all") {
			continue
		}
		f := strings.Fields(line)
		values := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("bench.txt: %w", err)
			}
			values[f[i+1]] = v
		}
		return values, nil
	}
	return nil, fmt.Errorf("bench.txt has no line for the whole run: %.600s", text)
}
