package drive

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/cluster"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// broker starts the streambus program that `make build` made, with its settings as they are.
func broker(b *testing.B) *cluster.Cluster {
	b.Helper()
	c, err := cluster.Start(b.Context(), cluster.Options{Log: filepath.Join(b.TempDir(), "broker.log")})
	if err != nil {
		b.Skipf("no broker to measure: %v (make build)", err)
	}
	b.Cleanup(func() { c.Stop() })
	return c
}

// drive1 runs one scenario of records of 1 KiB, as small as a scenario can be.
func drive1(b *testing.B, c *cluster.Cluster, size int, change func(*plan.Scenario)) report.Scenario {
	b.Helper()
	p := load(change, func(sc *plan.Scenario) {
		f := &sc.Produce[0]
		f.Topic.Partitions, f.Value, f.BatchBytes = 6, plan.Value{Kind: "bytes", Size: size}, 1<<20
		sc.Verify, sc.Drain = nil, time.Minute
	})
	pids := func() map[int32]int { return map[int32]int{1: c.Nodes()[0].PID} }
	res := Run(b.Context(), p, Options{Brokers: c.Addrs(), BrokerPIDs: pids, LagFloor: time.Hour, CPUShare: 100, Note: b.Logf})
	if res.Verdict.ExitCode != int(plan.ExitPass) {
		b.Fatalf("exit code %d: %s", res.Verdict.ExitCode, strings.Join(res.Verdict.Reasons, "; "))
	}
	return res.Scenarios[0]
}

// BenchmarkPace measures how well the schedule is kept with the broker on the same cores: the aim is that 99 % of the records
// leave within 1 ms of their time, up to 200,000 a second on two cores. Two producers send records of 100 bytes with a linger of
// 5 ms, for who sends so many does not want a batch for each half millisecond. An iteration is five seconds. On a machine with
// other work the tail is the machine's: `chrt -r 1` shows what the generator would do without.
//
//	delay-p50-us, delay-p99-us, delay-p99.9-us   from the intended time of a record to when the client gets it
//	generator-us/op                              CPU time of this process per record
func BenchmarkPace(b *testing.B) {
	for _, rate := range []float64{1e3, 10e3, 50e3, 100e3, 200e3} {
		b.Run(fmt.Sprintf("rate=%.0fk/s", rate/1e3), func(b *testing.B) {
			c := broker(b)
			var delay report.Latency
			cpu, records := 0.0, int64(0)
			for b.Loop() {
				before := cpuOf(b, os.Getpid())
				sc := drive1(b, c, 100, func(sc *plan.Scenario) {
					sc.Warmup, sc.Produce[0].Linger = time.Second, 5*time.Millisecond
					sc.Stages = []plan.Stage{{Kind: "hold", Name: "pace", Duration: 6 * time.Second, From: rate, To: rate}}
				})
				cpu += cpuOf(b, os.Getpid()) - before
				records += sc.Totals.Handed
				for _, m := range sc.Metrics {
					if m.Name == "produce.delay" {
						delay = m.Whole
					}
				}
			}
			b.ReportMetric(float64(delay.P50Ns)/1e3, "delay-p50-us")
			b.ReportMetric(float64(delay.P99Ns)/1e3, "delay-p99-us")
			b.ReportMetric(float64(delay.P999Ns)/1e3, "delay-p99.9-us")
			b.ReportMetric(cpu/float64(records)*1e6, "generator-us/op")
		})
	}
}

// cpuOf is the CPU time of a process so far, in seconds, with all its threads.
func cpuOf(b *testing.B, pid int) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		b.Fatalf("%s: %v %v", raw, err1, err2)
	}
	return (user + system) / 100 // USER_HZ
}

// BenchmarkFullSpeed drives one broker as fast as it goes, by loadscript and by Apache Kafka's kafka-producer-perf-test in turn,
// with the same records, batches and acknowledgements. It needs Kafka's jars in bin/clients/kafka-4 (broker/clients/install.sh),
// or in the folder that KAFKA_JARS names; without them loadscript is measured alone. An iteration is one run of each.
//
//	records/s, perf-records/s    acknowledged, of loadscript and of kafka-producer-perf-test
//	us/op, perf-us/op            CPU time of the load generator per record; the JVM's start is in it, as it is in the program's use
//	x-perf, x-perf-cpu           loadscript's over the other's
func BenchmarkFullSpeed(b *testing.B) {
	jars := os.Getenv("KAFKA_JARS")
	if jars == "" {
		jars = filepath.Join("..", "..", "..", "bin", "clients", "kafka-4")
	}
	for _, size := range []int{100, 1024} {
		records := int64(1_500_000_000 / (size + 400)) // 3 million of 100 bytes, 1 million of 1 KiB
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			c := broker(b)
			var own, perf, ownCPU, perfCPU float64
			n := 0
			for b.Loop() {
				before := cpuOf(b, os.Getpid())
				sc := drive1(b, c, size, func(sc *plan.Scenario) {
					sc.Produce[0].Producers, sc.Produce[0].BatchBytes = 1, 64<<10
					sc.Stages, sc.Executor = nil, &plan.Executor{Kind: "records", Records: records}
				})
				ownCPU += (cpuOf(b, os.Getpid()) - before) / float64(sc.Totals.Acked)
				own += float64(sc.Totals.Acked) / time.Duration(sc.Stages[0].EndNs).Seconds()
				n++
				if _, err := os.Stat(jars); err != nil {
					continue
				}
				rate, cpu := perfTest(b, jars, c.Addrs()[0], records, size)
				perf, perfCPU = perf+rate, perfCPU+cpu/float64(records)
			}
			b.ReportMetric(own/float64(n), "records/s")
			b.ReportMetric(ownCPU/float64(n)*1e6, "us/op")
			if perf > 0 {
				b.ReportMetric(perf/float64(n), "perf-records/s")
				b.ReportMetric(perfCPU/float64(n)*1e6, "perf-us/op")
				b.ReportMetric(own/perf, "x-perf")
				b.ReportMetric(ownCPU/perfCPU, "x-perf-cpu")
			}
		})
	}
}

// perfTest runs kafka-producer-perf-test and returns its own figure of records a second, and the CPU seconds that it took.
func perfTest(b *testing.B, jars, addr string, records int64, size int) (rate, cpu float64) {
	b.Helper()
	topic := fmt.Sprintf("perf-%d-%d", size, time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	run := func(args ...string) (string, *exec.Cmd) {
		cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx512m", "-cp", filepath.Join(jars, "*")}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out), cmd
	}
	run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", addr, "--create", "--topic", topic, "--partitions", "6")
	out, cmd := run("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", fmt.Sprint(records), "--record-size", fmt.Sprint(size),
		"--throughput", "-1", "--producer-props", "bootstrap.servers="+addr, "acks=all", "batch.size=65536", "linger.ms=0", "compression.type=none")
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() { // the last such line is the sum: "3000000 records sent, 412000.5 records/sec (39.29 MB/sec), …"
		if _, after, ok := strings.Cut(lines.Text(), " records sent, "); ok {
			if v, err := strconv.ParseFloat(strings.Fields(after)[0], 64); err == nil {
				rate = v
			}
		}
	}
	if rate == 0 {
		b.Fatalf("no rate in:\n%s", out)
	}
	return rate, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}
