package broker_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
	"github.com/streambus/streambus/wire"
)

// resident is the memory of a process that is in RAM, in bytes.
func (p *process) resident() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	line, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kib << 10
}

// crowd is n connections to a broker.
func crowd(t *testing.T, addr string, n int) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skipf("connection %d: %v (this test needs as many file descriptors: ulimit -n)", i, err)
		}
		t.Cleanup(func() { _ = c.Close() })
		all[i] = c
	}
	return all
}

// TestIdleConnectionsAreSmall: thousands that have said who they are, and wait.
func TestIdleConnectionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n = 5000
	b := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	b.waitReady()
	hello := wire.AppendRequestFrame(nil, wire.RequestHeader{Key: wire.KeyAPIVersions, Version: 3, CorrelationID: 1, ClientID: "crowd", HasClientID: true},
		&wire.APIVersionsRequest{ClientSoftwareName: []byte("crowd"), ClientSoftwareVersion: []byte("1")})
	answer := make([]byte, 4)
	ask := func(all []net.Conn) {
		for i, c := range all {
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := c.Write(hello); err != nil {
				t.Fatal(i, err)
			}
			if _, err := c.Read(answer); err != nil {
				t.Fatal(i, err)
			}
			if _, err := c.Read(make([]byte, binary.BigEndian.Uint32(answer))); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	ask(crowd(t, b.addr, 50))
	before := b.resident()
	ask(crowd(t, b.addr, n))
	each := (b.resident() - before) / n
	t.Logf("%d bytes for each of %d idle connections", each, n)
	if each > 20_000 {
		t.Errorf("%d bytes for each of %d idle connections, want at most 20,000", each, n)
	}
}

// TestClaimedFramesTakeNoMemory: a thousand connections that each announce a frame of 100 MiB, and send its first bytes.
func TestClaimedFramesTakeNoMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	b := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	b.waitReady()
	all := crowd(t, b.addr, 1000)
	before := b.resident()
	for _, c := range all {
		frame := binary.BigEndian.AppendUint32(nil, 100<<20)
		if _, err := c.Write(append(frame, 0, 0, 0, 9, 0, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	// Another client is served meanwhile, so all that was sent before it has been read.
	conn := dial(t, b.addr)
	var resp wire.MetadataResponse
	conn.call(9, &wire.MetadataRequest{}, &resp)
	grown := b.resident() - before
	t.Logf("%d KiB for 1,000 frames of 100 MiB", grown>>10)
	if grown > 64<<20 {
		t.Errorf("%d MiB for 1,000 frames of 100 MiB, want at most 64", grown>>20)
	}
}

// TestSlowConnectionsHoldNobodyUp: thousands of connections that send a byte a second of a request each, while another client works. How long
// it waits with and without them is logged, not judged: a test has no clock to trust. That it is served, and what the crowd costs, is.
func TestSlowConnectionsHoldNobodyUp(t *testing.T) {
	n := 5000
	if testing.Short() || raceEnabled {
		n = 500
	}
	b := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	b.waitReady()
	good := dial(t, b.addr)
	good.create("t", 1)
	p99 := func(what string) {
		var took []time.Duration
		for i := range 500 {
			begin := time.Now()
			var resp wire.ProduceResponse
			good.call(9, produceRequest("t", 0, built(-1, -1, -1, fmt.Sprint(i))), &resp)
			if c := resp.Topics[0].Partitions[0].ErrorCode; c != wire.CodeNone {
				t.Fatal(c)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		t.Logf("%s: p50 %v, p99 %v", what, took[len(took)/2], took[len(took)*99/100])
	}
	p99("alone")
	slow := crowd(t, b.addr, n)
	frame := binary.BigEndian.AppendUint32(nil, 1<<20)
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		beat := time.NewTicker(time.Second / 20) // a twentieth of them at each beat
		defer beat.Stop()
		for turn := 0; ; turn++ {
			select {
			case <-stop:
				sent <- turn
				return
			case <-beat.C:
			}
			for i := turn % 20; i < n; i += 20 {
				if at := turn / 20; at < len(frame) {
					_, _ = slow[i].Write(frame[at : at+1])
				} else {
					_, _ = slow[i].Write([]byte{0})
				}
			}
		}
	}()
	before := b.resident()
	for range 4 {
		p99(fmt.Sprintf("beside %d slow ones", n))
	}
	close(stop)
	t.Logf("%d bytes a second were sent by each of %d for %d beats; the broker grew by %d KiB", 1, n, <-sent, (b.resident()-before)>>10)
	if grown := b.resident() - before; !raceEnabled && grown > int64(n)*20_000 { // the race detector has memory of its own
		t.Errorf("the broker grew by %d KiB, want at most 20,000 bytes for each slow connection", grown>>10)
	}
}

// TestBombs sends a megabyte that claims to hold much more, of each codec, to a topic whose records are compressed anew, so that it has to be
// opened: it is refused as too large, and takes little memory.
func TestBombs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	b := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	b.waitReady()
	c := dial(t, b.addr)
	var resp wire.CreateTopicsResponse
	value := "uncompressed"
	c.call(5, &wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestTopic{{Name: "t", NumPartitions: 1, ReplicationFactor: 1,
		Configs: []wire.CreateTopicsRequestConfig{{Name: "compression.type", Value: &value}}}}}, &resp)
	if e := resp.Topics[0].ErrorCode; e != wire.CodeNone {
		t.Fatal(e)
	}
	var one batch.Builder
	one.Add(time.Now(), nil, make([]byte, 64<<20))
	plain := one.Batch()
	for _, kind := range []batch.Codec{batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		packed, err := codec.Encode(make([]byte, batch.HeaderSize), kind, plain.Records())
		if err != nil {
			t.Fatal(err)
		}
		bomb := plain.Recoded(packed, kind)
		if len(bomb) > 1<<20 {
			bomb = shorter(t, kind) // snappy does not get so far in a megabyte
		}
		before := b.resident()
		var took []time.Duration
		for range 20 {
			begin := time.Now()
			var resp wire.ProduceResponse
			c.call(9, produceRequest("t", 0, bomb), &resp)
			took = append(took, time.Since(begin))
			if got := resp.Topics[0].Partitions[0].ErrorCode; got != wire.CodeMessageTooLarge {
				t.Fatalf("%v: %v, want it to be too large", kind, got)
			}
		}
		slices.Sort(took)
		grown := b.resident() - before
		t.Logf("codec %v: %d KiB are refused in %v (median of 20); the broker grew by %d KiB", kind, len(bomb)>>10, took[10], grown>>10)
		if grown > 48<<20 { // 16 MiB and a little at a time, on each of two processors, and what the garbage collector has not taken back
			t.Errorf("codec %v: the broker grew by %d MiB", kind, grown>>20)
		}
	}
}

// shorter is a bomb of less than a megabyte that is just beyond what is opened.
func shorter(t *testing.T, kind batch.Codec) batch.Batch {
	t.Helper()
	var one batch.Builder
	one.Add(time.Now(), nil, make([]byte, 17<<20))
	plain := one.Batch()
	packed, err := codec.Encode(make([]byte, batch.HeaderSize), kind, plain.Records())
	if err != nil {
		t.Fatal(err)
	}
	return plain.Recoded(packed, kind)
}
