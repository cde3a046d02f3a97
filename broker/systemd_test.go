package broker_test

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSystemd: a unit of Type=notify hears when the broker serves, which is after recovery, and when it begins to go down.
func TestSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	heard := func() string {
		t.Helper()
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	p := spawnBroker(t, t.TempDir(), "PLAINTEXT://127.0.0.1:0")
	if s := heard(); s != "READY=1" {
		t.Errorf("first %q", s)
	}
	p.waitReady()
	p.signal(syscall.SIGTERM)
	if s := heard(); s != "STOPPING=1" {
		t.Errorf("then %q", s)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
}
