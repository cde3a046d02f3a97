package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/wire"
)

// breaker is who may break the disk of a broker.
type breaker struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Reader
}

// failpoints gives the broker's end of the connection, on which the first word is said.
func failpoints(t *testing.T, fault string) (*breaker, net.Conn) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		f := os.NewFile(uintptr(fd), "failpoints")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close() // a copy was made
	}
	b := &breaker{t, ends[0], bufio.NewReader(ends[0])}
	t.Cleanup(func() { _ = b.conn.Close() })
	b.say(fault)
	return b, ends[1]
}

func (b *breaker) say(fault string) {
	b.t.Helper()
	if _, err := fmt.Fprintf(b.conn, "1 %s\n", fault); err != nil {
		b.t.Fatal(err)
	}
}

// hear gives the answer, which comes when the fault is in force.
func (b *breaker) hear() string {
	b.t.Helper()
	line, err := b.answers.ReadString('\n')
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const healthy = "delay=0s full=false skew=0s"

// On a disk without a free byte records are refused with an error that clients retry, what was acknowledged is read, topics are
// deleted; with room again records are taken, by the same broker, and by one that is started anew.
func TestDiskWithoutAByte(t *testing.T) {
	dir := t.TempDir()
	b, own := failpoints(t, healthy)
	br := startWith(t, broker.Options{Failpoints: own}, dir)
	b.hear()
	c := dial(t, br.addr)
	c.create("t", 1)
	c.create("old", 1)
	produce := func() wire.ProduceResponsePartition {
		t.Helper()
		var resp wire.ProduceResponse
		c.call(9, produceRequest("t", 0, built(-1, 0, 0, strings.Repeat("x", 100_000))), &resp)
		return resp.Topics[0].Partitions[0]
	}
	if p := produce(); p.ErrorCode != wire.CodeNone {
		t.Fatal(p)
	}
	b.say("delay=0s full=true skew=0s")
	b.hear()
	taken := c.fillsUp("t", produce, 1000) // into room that was reserved before
	if resp, err := br.admin().DeleteTopics(within(t, 30*time.Second), "old"); err != nil || resp.Error() != nil {
		t.Errorf("a topic cannot be deleted: %v, %v", err, resp.Error())
	}
	resp, err := br.admin().CreateTopics(within(t, 30*time.Second), 1, 1, nil, "new")
	if code := resp["new"].Err; err != nil || code != kerr.KafkaStorageError {
		t.Errorf("creating a topic: %v, %v; want KAFKA_STORAGE_ERROR", err, code)
	}
	client := br.client()
	waits := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		waits <- client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 100_000)}).FirstErr()
	}()
	b.say(healthy)
	if answer := b.hear(); strings.Contains(answer, "refused=0 ") {
		t.Errorf("%q: nothing was refused", answer)
	}
	if err := <-waits; err != nil {
		t.Errorf("a client that had to wait for room: %v", err)
	}
	if p := produce(); p.ErrorCode != wire.CodeNone || p.BaseOffset != taken+1 {
		t.Errorf("with room again: %+v, want offset %d", p, taken+1)
	}
	c.create("new", 1)
	br.stop()
	if _, err := b.answers.ReadByte(); err != io.EOF {
		t.Errorf("the broker is down, and its failpoints are not: %v", err)
	}
	br = start(t, dir)
	if c = dial(t, br.addr); produce().BaseOffset != taken+2 {
		t.Error("after a restart something is missing")
	}
}

// A fault that is in force when the broker starts is so from its first look at the disk on.
func TestFaultFromTheStart(t *testing.T) {
	b, own := failpoints(t, "delay=1ms full=false skew=0s")
	br := startWith(t, broker.Options{Failpoints: own}, t.TempDir())
	b.hear()
	b.say(healthy)
	if answer := b.hear(); strings.Contains(answer, "slowed=0 ") {
		t.Errorf("%q: it has opened its directory, and nothing was slow", answer)
	}
	if logs := br.logs.String(); !strings.Contains(logs, "FAILPOINTS ARE ON") || !strings.Contains(logs, `with failpoints"`) {
		t.Errorf("the log does not say loudly that failpoints are on:\n%s", logs)
	}
}

// A broker that is started on a disk without a byte says what to do.
func TestStartWithoutAByte(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	own, child := os.NewFile(uintptr(pair[0]), "failpoints"), os.NewFile(uintptr(pair[1]), "failpoints")
	defer own.Close()
	defer child.Close()
	if _, err := own.WriteString("1 delay=0s full=true skew=0s\n"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "broker", "--data-dir", t.TempDir(), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners=")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "STREAMBUS_FAILPOINTS=3"), []*os.File{child}
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "no space left on device; ") || !strings.Contains(string(out), "free some space") {
		t.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// Without the variable there are no failpoints; with a wrong one there is no broker.
func TestFailpointsVariable(t *testing.T) {
	br := start(t, t.TempDir())
	if logs := br.logs.String(); strings.Contains(logs, "FAILPOINT") || strings.Contains(logs, "with failpoints") {
		t.Errorf("nobody asked for failpoints:\n%s", logs)
	}
	_, stderr, code := output(t, []string{"STREAMBUS_FAILPOINTS=/tmp/control"}, "broker", "--data-dir", t.TempDir(), "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners=")
	if code != 78 || !strings.Contains(stderr, "STREAMBUS_FAILPOINTS=/tmp/control") || !strings.Contains(stderr, "unset it") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := output(t, []string{"STREAMBUS_FAILPOINTS=3"}, "config", "check"); code != 0 {
		t.Errorf("it is no setting, and config check says %d\n%s", code, stderr)
	}
}
