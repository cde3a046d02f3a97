package bench

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

var (
	program = flag.String("program", "../bin/streambus", "the broker to measure (make build)")
	round   = flag.Duration("round", time.Second, "how long each is measured in an iteration")
	profile = flag.String("profile", "", "write a profile of the broker under load to this file, and measure nothing else")
	kind    = flag.String("profile.kind", "profile", "what -profile writes: profile (CPU) or allocs")
	length  = flag.Int("profile.seconds", 10, "how long -profile takes")
)

// setup is what a benchmark asks of the broker; zero is what a user gets who asks for nothing.
type setup struct {
	durability string // fsync (also ""), page-cache
	io         string // of --io; "" is auto
}

// start gives a broker with this setup, at rest, the same for all benchmarks: a new one would write its commit log's files full of zeros beside
// what is measured. The caller makes the topic, which goes with the benchmark.
func (s setup) start(b *testing.B) *server {
	b.Helper()
	if running[s] == nil {
		running[s] = s.run(b)
		if s.durability == "" {
			running[s].settle(b)
		}
	}
	if _, err := bare.FillCache(scratch, bare.LeaveFree); err != nil { // what benchmarks before this one removed
		b.Fatal(err)
	}
	running[s].rest(b)
	return running[s]
}

// running are the processes of this run, which stop ends; the bare program's setup is {io: "none"}.
var (
	running = map[setup]*server{}
	scratch string // where they write
)

// stop ends all processes and removes what they wrote.
func stop() error {
	for _, s := range running {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
	if scratch == "" {
		return nil
	}
	return os.RemoveAll(scratch)
}

// folder makes a folder for a process.
func folder(b *testing.B) string {
	b.Helper()
	var err error
	if scratch == "" {
		scratch, err = os.MkdirTemp("", "streambus-bench-")
	}
	dir := ""
	if err == nil {
		dir, err = os.MkdirTemp(scratch, "process-")
	}
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

func (s setup) run(b *testing.B) *server {
	b.Helper()
	args := []string{"broker", "--data-dir", filepath.Join(folder(b), "data"), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="}
	if *profile != "" {
		args = append(args, "--set", "http.listeners=http://127.0.0.1:0", "--set", "http.pprof.enable=true")
	}
	if s.durability == "page-cache" {
		args = append(args, "--set", "log.flush.interval.messages="+strconv.Itoa(math.MaxInt64))
	}
	if s.io != "" {
		args = append(args, "--io", s.io)
	}
	return serve(b, exec.Command(*program, args...), "broker is ready")
}

// settle writes until all files of the commit log exist; from then on they are used again and again.
func (s *server) settle(b *testing.B) {
	b.Helper()
	const files, bytes = 4, 256 << 20 // commit.log.file.bytes
	create(b, s.addr, "settle", 1)
	fill(b, s.addr, "settle", 1, 64, files*bytes)
	remove(b, s.addr, "settle")
}

// rest lets what others left in the page cache reach the disk, and forgets how much memory the process had.
func (s *server) rest(b *testing.B) {
	b.Helper()
	if err := bare.Flush(scratch); err != nil {
		b.Fatal(err)
	}
	const peak = "5" // clear_refs, proc(5)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte(peak), 0); err != nil {
		b.Fatal(err)
	}
}

// server is a process that is measured.
type server struct {
	cmd  *exec.Cmd
	addr string
	http string // of a broker that has it
}

var (
	ready  = regexp.MustCompile(`(?:listen=)?(127\.0\.0\.1:\d+)`)
	served = regexp.MustCompile(`http=(\S+)`)
)

// serve starts a process whose output names its address.
func serve(b *testing.B, cmd *exec.Cmd, says string) *server {
	b.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatalf("%v (make build)", err)
	}
	_ = in.Close()
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); said = append(said, lines.Text()) {
		if m := ready.FindStringSubmatch(lines.Text()); m != nil && strings.Contains(lines.Text(), says) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			s := &server{cmd: cmd, addr: m[1]}
			if h := served.FindStringSubmatch(strings.Join(said, " ")); h != nil {
				s.http = h[1]
			}
			return s
		}
	}
	_ = cmd.Wait()
	b.Fatalf("%s ended before it was ready: %s", cmd.Path, strings.Join(said, "; "))
	return nil
}

// startSink gives the bare program of sink_test.go.
func startSink(b *testing.B) *server { return startSinkAs(b, setup{io: "none"}) }

// startKeeper gives one that keeps what it gets.
func startKeeper(b *testing.B) *server {
	return startSinkAs(b, setup{io: "none", durability: "kept"}, keepEnv+"=yes")
}

func startSinkAs(b *testing.B, none setup, env ...string) *server {
	b.Helper()
	if running[none] == nil {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(append(os.Environ(), sinkEnv+"="+folder(b)), env...)
		running[none] = serve(b, cmd, "")
	}
	return running[none]
}

// cpu is how long the process has been on a processor, user and system, by its clock (clock_getcpuclockid(3)).
func (s *server) cpu(b *testing.B) time.Duration {
	b.Helper()
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(^int32(s.cmd.Process.Pid)<<3|scheduled, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// peakMiB is the most memory that the process has had since it rested.
func (s *server) peakMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// side is one of the two that an iteration measures.
type side struct {
	server *server
	work   func() bare.Tally // one round
}

// done is what a side did in a round.
type done struct {
	bare.Tally
	elapsed, cpu time.Duration
}

func (s side) round(b *testing.B) (d done) {
	cpu, begin := s.server.cpu(b), time.Now()
	d.Tally = s.work()
	d.elapsed, d.cpu = time.Since(begin), s.server.cpu(b)-cpu
	if d.Ops == 0 {
		b.Fatal("nothing was done in a round: give it more time with BENCHTIME")
	}
	return d
}

func (d *done) mbPerSecond() float64 { return float64(d.Bytes) / 1e6 / d.elapsed.Seconds() }
func (d *done) cpuPerGB() float64    { return d.cpu.Seconds() / (float64(d.Bytes) / 1e9) }

// measure alternates rounds of the broker and of what it is held against, named. It reports medians of the rounds, and quantiles of the
// latencies of all rounds together. Both are run once before, unmeasured.
func measure(b *testing.B, broker side, name string, other side, more func(s bare.Samples)) {
	b.Helper()
	broker.work()
	if *profile != "" {
		writeProfile(b, broker)
		return
	}
	other.work()
	s := bare.Samples{}
	var xs, ys bare.Histogram
	for b.Loop() {
		x, y := broker.round(b), other.round(b)
		s.Add("MB/s", x.mbPerSecond())
		s.Add("records/s", float64(x.Ops)/x.elapsed.Seconds())
		s.Add("CPU-s/GB", x.cpuPerGB())
		s.Add("CPU-s/Mrecord", x.cpu.Seconds()/(float64(x.Ops)/1e6))
		s.Add("cores", x.cpu.Seconds()/x.elapsed.Seconds())
		s.Add(name+"-MB/s", y.mbPerSecond())
		s.Add(name+"-CPU-s/GB", y.cpuPerGB())
		xs.Merge(&x.Latency)
		ys.Merge(&y.Latency)
		s.Add("x-"+name, x.mbPerSecond()/y.mbPerSecond())
		s.Add("x-"+name+"-CPU", x.cpuPerGB()/y.cpuPerGB())
		if x.Latency.Count() > 0 && y.Latency.Count() > 0 {
			s.Add("x-"+name+"-p50", bare.Ratio(x.Latency.Quantile(0.5), y.Latency.Quantile(0.5)))
			s.Add("x-"+name+"-p99", bare.Ratio(x.Latency.Quantile(0.99), y.Latency.Quantile(0.99)))
		}
		if more != nil {
			more(s)
		}
	}
	s.Quantiles("", &xs)
	s.Quantiles(name+"-", &ys)
	s.Report(b.ReportMetric)
	b.ReportMetric(broker.server.peakMiB(b), "peak-RSS-MiB")
	b.ReportMetric(0, "ns/op") // that of a round says nothing
}

// writeProfile keeps the broker at work while it is profiled.
func writeProfile(b *testing.B, broker side) {
	b.Helper()
	profiled := make(chan error, 1)
	go func() {
		resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", broker.server.http, *kind, *length))
		if err != nil {
			profiled <- err
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		if err == nil {
			err = os.WriteFile(*profile, body, 0o644)
		}
		profiled <- err
	}()
	for {
		select {
		case err := <-profiled:
			if err != nil {
				b.Fatal(err)
			}
			b.SkipNow() // no figures: they would be those of a broker under a profiler
		default:
			broker.work()
		}
	}
}

// call sends a request over a connection of its own and reads the answer.
func call(b *testing.B, addr string, version int16, req, resp wire.Message) {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(wire.AppendRequestFrame(nil, wire.RequestHeader{Key: req.Key(), Version: version, ClientID: "bench", HasClientID: true}, req)); err != nil {
		b.Fatal(err)
	}
	body, err := readAnswer(c, nil)
	if err == nil {
		_, body, err = wire.DecodeResponseHeader(body, req.Key(), version)
	}
	if err == nil {
		err = wire.Decode(resp, version, body)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// readAnswer reads one frame, into buf when it has the room, and gives its body.
func readAnswer(r io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return buf, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	buf = slices.Grow(buf[:0], n)[:n]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// create makes a topic.
func create(b *testing.B, addr, topic string, partitions int) {
	b.Helper()
	var resp wire.CreateTopicsResponse
	call(b, addr, 5, &wire.CreateTopicsRequest{TimeoutMs: 30_000, Topics: []wire.CreateTopicsRequestTopic{
		{Name: topic, NumPartitions: int32(partitions), ReplicationFactor: 1}}}, &resp)
	if resp.Topics[0].ErrorCode != wire.CodeNone {
		b.Fatal(resp)
	}
}

// remove deletes a topic.
func remove(b *testing.B, addr, topic string) {
	b.Helper()
	var resp wire.DeleteTopicsResponse
	call(b, addr, 4, &wire.DeleteTopicsRequest{TimeoutMs: 30_000, TopicNames: []string{topic}}, &resp)
	if resp.Topics[0].ErrorCode != wire.CodeNone {
		b.Fatal(resp)
	}
}

// withTopic gives the broker of a setup, with the topic for as long as the benchmark runs.
func withTopic(b *testing.B, s setup, partitions int) *server {
	b.Helper()
	server := s.start(b)
	create(b, server.addr, topic, partitions)
	b.Cleanup(func() { remove(b, server.addr, topic) })
	return server
}

// batchOf is a batch of so many records of so many bytes each, half of them random, as much as a codec can make little of.
func batchOf(records, bytes int) batch.Batch {
	var out batch.Builder
	for range records {
		out.Add(time.UnixMilli(1), nil, value(bytes))
	}
	return out.Batch()
}

// values are 4,096 different values of so many bytes: enough that a codec does not meet one again in its window.
func values(bytes int) [][]byte {
	out := make([][]byte, 4<<10)
	for i := range out {
		out[i] = value(bytes)
	}
	return out
}

// value is so many bytes, half of them random and the rest zeros.
func value(bytes int) []byte {
	v := make([]byte, bytes)
	copy(v, bare.Payload(bytes/2))
	return v
}

func size(bytes int) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%dB", bytes)
	}
	return fmt.Sprintf("%dKiB", bytes>>10)
}
