package bench

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
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

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/wire"
)

var (
	program = flag.String("program", "../bin/streambus", "the broker to measure (make build)")
	round   = flag.Duration("round", time.Second, "how long each is measured in an iteration")
)

// server is a process that is measured.
type server struct {
	cmd  *exec.Cmd
	addr string
}

var ready = regexp.MustCompile(`(?:listen=)?(127\.0\.0\.1:\d+)`)

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
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := ready.FindStringSubmatch(lines.Text()); m != nil && strings.Contains(lines.Text(), says) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &server{cmd, m[1]}
		}
	}
	b.Fatalf("%s ended before it was ready", cmd.Path)
	return nil
}

// cpu is how long the process has been on a processor, user and system.
func (s *server) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100)
}

// pump sends frames in turn over one connection for a while, so many unanswered at a time, and waits for all answers.
func pump(b *testing.B, addr string, frames [][]byte, inFlight int, check bool) (bytes int64) {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	slots, done := make(chan int, inFlight), make(chan error, 1)
	go func() {
		r, body := bufio.NewReaderSize(c, 64<<10), []byte{}
		for range slots {
			var size [4]byte
			_, err := io.ReadFull(r, size[:])
			if n := int(binary.BigEndian.Uint32(size[:])); err == nil {
				body = slices.Grow(body[:0], n)[:n]
				_, err = io.ReadFull(r, body)
			}
			if err == nil && check {
				err = refused(body)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i, end := 0, time.Now().Add(*round); time.Now().Before(end); i++ {
		frame := frames[i%len(frames)]
		select {
		case slots <- i:
		case err := <-done:
			b.Fatal(err)
		}
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		bytes += int64(len(frame))
	}
	close(slots)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return bytes
}

// refused says what is wrong with a produce response.
func refused(body []byte) error {
	var resp wire.ProduceResponse
	_, rest, err := wire.DecodeResponseHeader(body, wire.KeyProduce, produceVersion)
	if err == nil {
		err = wire.Decode(&resp, produceVersion, rest)
	}
	if err != nil {
		return err
	}
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != wire.CodeNone {
		return fmt.Errorf("produce: %v", p.ErrorCode)
	}
	return nil
}

const produceVersion = 9

// requests are produce requests of one batch, one for each partition of a topic.
func requests(topic string, partitions, bytes int) (frames [][]byte) {
	for p := range int32(partitions) {
		var one batch.Builder
		one.Add(time.UnixMilli(1), nil, make([]byte, bytes-90))
		frames = append(frames, wire.AppendRequestFrame(nil, wire.RequestHeader{Key: wire.KeyProduce, Version: produceVersion, CorrelationID: p, ClientID: "bench", HasClientID: true},
			&wire.ProduceRequest{Acks: -1, TimeoutMs: 30_000, Topics: []wire.ProduceRequestTopic{
				{Name: []byte(topic), Partitions: []wire.ProduceRequestPartition{{PartitionIndex: p, Records: one.Batch()}}}}}))
	}
	return frames
}

// create makes a topic.
func create(b *testing.B, addr, topic string, partitions int) {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	frame := wire.AppendRequestFrame(nil, wire.RequestHeader{Key: wire.KeyCreateTopics, Version: 5, CorrelationID: 1}, &wire.CreateTopicsRequest{
		TimeoutMs: 30_000, Topics: []wire.CreateTopicsRequestTopic{{Name: topic, NumPartitions: int32(partitions), ReplicationFactor: 1}}})
	if _, err := c.Write(frame); err != nil {
		b.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	var resp wire.CreateTopicsResponse
	_, err = io.ReadFull(c, body)
	if err == nil {
		_, body, err = wire.DecodeResponseHeader(body, wire.KeyCreateTopics, 5)
	}
	if err == nil {
		err = wire.Decode(&resp, 5, body)
	}
	if err != nil || resp.Topics[0].ErrorCode != wire.CodeNone {
		b.Fatal(err, resp)
	}
}

// BenchmarkProducer_Throughput is one connection with 128 requests in flight.
func BenchmarkProducer_Throughput(b *testing.B) {
	for _, c := range []struct {
		batch, partitions int
	}{{1 << 10, 10}, {16 << 10, 1}, {16 << 10, 10}, {16 << 10, 100}, {16 << 10, 1000}, {64 << 10, 10}} {
		b.Run(fmt.Sprintf("durability=fsync/batch=%dKiB/partitions=%d", c.batch>>10, c.partitions), func(b *testing.B) {
			dir := b.TempDir()
			bare := exec.Command(os.Args[0])
			bare.Env = append(os.Environ(), sinkEnv+"="+dir)
			other := serve(b, bare, "")
			broker := serve(b, exec.Command(*program, "broker", "--data-dir", filepath.Join(dir, "data"), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="), "broker is ready")
			create(b, broker.addr, "t", c.partitions)
			frames := requests("t", c.partitions, c.batch)
			pump(b, broker.addr, frames, 128, true) // warm
			var s [5][]float64
			for b.Loop() {
				for i, x := range []*server{broker, other} {
					cpu, begin := x.cpu(b), time.Now()
					n := pump(b, x.addr, frames, 128, x == broker)
					s[2*i] = append(s[2*i], float64(n)/1e6/time.Since(begin).Seconds())
					s[2*i+1] = append(s[2*i+1], (x.cpu(b)-cpu).Seconds()/(float64(n)/1e9))
				}
				last := len(s[1]) - 1
				s[4] = append(s[4], s[1][last]/s[3][last])
			}
			for i, unit := range []string{"MB/s", "CPU-s/GB", "sink-MB/s", "sink-CPU-s/GB", "x-sink-CPU"} {
				slices.Sort(s[i])
				b.ReportMetric(s[i][len(s[i])/2], unit)
			}
		})
	}
}
