package broker_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

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
