package bench

import (
	"flag"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/bench/bare"
)

var gib = flag.Int("gib", 1, "how much BenchmarkBroker_Start has the broker hold, in GiB")

// BenchmarkBroker_Idle is a broker with topics and nobody who asks for anything: its memory, and its CPU time over time. (It has no limit to
// be held against but nothing at all.)
func BenchmarkBroker_Idle(b *testing.B) {
	for _, partitions := range []int{1, 1000, 5000} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			server := setup{}.alone(b)
			create(b, server.addr, topic, partitions)
			server.rest(b)
			s := bare.Samples{}
			for b.Loop() {
				cpu, begin := server.cpu(b), time.Now()
				time.Sleep(2 * *round)
				s.Add("cores", (server.cpu(b)-cpu).Seconds()/time.Since(begin).Seconds())
				s.Add("peak-RSS-MiB", server.peakMiB(b))
			}
			s.Report(b.ReportMetric)
		})
	}
}

// BenchmarkBroker_Start is how long a broker takes that was stopped in order, from the start of its process until it is ready, beside one that
// has no partition.
func BenchmarkBroker_Start(b *testing.B) {
	const partitions = 1000
	b.Run(fmt.Sprintf("partitions=%d/GiB=%d", partitions, *gib), func(b *testing.B) {
		empty, full := setup{}.alone(b), setup{}.alone(b)
		create(b, full.addr, topic, partitions)
		fill(b, full.addr, topic, partitions, 64, *gib<<30)
		s := bare.Samples{}
		for b.Loop() {
			x, y := full.again(b), empty.again(b)
			s.Add("s/start", x.Seconds())
			s.Add("empty-s/start", y.Seconds())
			s.Add("x-empty", x.Seconds()/y.Seconds())
		}
		s.Report(b.ReportMetric)
	})
}

// alone gives a broker of its own, which ends with the benchmark.
func (s setup) alone(b *testing.B) *server {
	b.Helper()
	server := s.run(b)
	b.Cleanup(func() {
		_ = server.cmd.Process.Kill()
		_ = server.cmd.Wait()
	})
	return server
}

// again ends the broker in order and starts it again with the same arguments. It gives the time until it is ready.
func (s *server) again(b *testing.B) time.Duration {
	b.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := bare.Flush(scratch); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	next := serve(b, exec.Command(s.cmd.Path, s.cmd.Args[1:]...), "broker is ready")
	s.cmd, s.addr, s.http = next.cmd, next.addr, next.http
	return time.Since(begin)
}
