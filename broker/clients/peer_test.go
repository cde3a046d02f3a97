//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peer is a broker as a program, behind a proxy.
type peer struct {
	name    string // "StreamBus" or "Kafka 4.3.1"
	addr    string // of the proxy
	dataDir string // where its logs are
	proxy   *proxy
	exited  chan struct{}
	logs    *tail
}

// startPeer starts what -peer names and stops it with the test.
func startPeer(t *testing.T, kind string) *peer {
	t.Helper()
	p := &peer{proxy: newProxy(t), dataDir: t.TempDir(), exited: make(chan struct{}), logs: &tail{}}
	p.addr = p.proxy.addr()
	switch kind {
	case "streambus":
		p.startStreamBus(t)
	case "kafka":
		p.startKafka(t)
	default:
		t.Fatalf("-peer=%s: want streambus or kafka", kind)
	}
	return p
}

func (p *peer) startStreamBus(t *testing.T) {
	p.name = "StreamBus"
	program := filepath.Join(installed(), "streambus")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/streambus").CombinedOutput(); err != nil {
		t.Fatalf("build streambus: %v\n%s", err, out)
	}
	args := []string{"broker", "--data-dir", p.dataDir}
	for _, s := range []string{
		"listeners=PLAINTEXT://127.0.0.1:0", "advertised.listeners=PLAINTEXT://" + p.addr, "group.initial.rebalance.delay.ms=100",
		"commit.log.file.bytes=16777216", "commit.log.files=2", "log.reserve.bytes=0",
	} {
		args = append(args, "--set", s)
	}
	address := make(chan string, 1)
	p.spawn(t, exec.Command(program, args...), func(line string) {
		if _, after, ok := strings.Cut(line, "broker is ready"); ok {
			_, listen, _ := strings.Cut(after, "listen=")
			address <- strings.Fields(listen)[0]
		}
	})
	select {
	case a := <-address:
		p.proxy.serve(a)
	case <-p.exited:
		t.Fatalf("the broker did not start:\n%s", p.logs)
	case <-time.After(30 * time.Second):
		t.Fatalf("the broker is not ready:\n%s", p.logs)
	}
}

// startKafka runs one node of Apache Kafka that is broker and controller. It talks to itself on a listener of its own, so that
// the proxy sees clients only.
func (p *peer) startKafka(t *testing.T) {
	p.name = "Apache Kafka " + kafkaVersion
	jars := requireJars(t, "kafka-4")
	ports := freePorts(t, 3)
	config := filepath.Join(t.TempDir(), "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d,INTERNAL://127.0.0.1:%[3]d
advertised.listeners=PLAINTEXT://%[4]s,INTERNAL://127.0.0.1:%[3]d
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
log.dirs=%[5]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=100
num.partitions=1
`, ports[0], ports[1], ports[2], p.addr, p.dataDir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	format := exec.Command("java", jvm(jars, "kafka.tools.StorageTool", "format", "-t", "U3RyZWFtQnVzQ2xpZW50cw", "-c", config)...)
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format Kafka's directory: %v\n%s", err, out)
	}
	p.spawn(t, exec.Command("java", jvm(jars, "kafka.Kafka", config)...), func(string) {})
	backend := fmt.Sprint("127.0.0.1:", ports[0])
	for until := time.Now().Add(60 * time.Second); ; {
		if c, err := net.Dial("tcp", backend); err == nil {
			c.Close()
			break
		}
		select {
		case <-p.exited:
			t.Fatalf("Kafka did not start:\n%s", p.logs)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(until) {
			t.Fatalf("Kafka is not ready:\n%s", p.logs)
		}
	}
	p.proxy.serve(backend)
}

// spawn starts the program, which dies with the test process, and stops it with SIGTERM when the test is over.
func (p *peer) spawn(t *testing.T, cmd *exec.Cmd, line func(string)) {
	t.Helper()
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(r); s.Scan(); {
			fmt.Fprintln(p.logs, s.Text())
			line(s.Text())
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	go func() {
		_ = cmd.Wait()
		w.Close()
		<-read
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
		case <-time.After(30 * time.Second):
			t.Errorf("%s does not stop", p.name)
			_ = cmd.Process.Kill()
			<-p.exited
		}
	})
}

func (p *peer) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// freePorts finds ports that nobody has at the moment.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// tail keeps the end of what a program wrote, and any line in which the broker speaks of a bug of its own.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	bugs []string
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(b, []byte("BUG")) || bytes.Contains(b, []byte("unforeseen")) || bytes.Contains(b, []byte("panic:")) {
		l.bugs = append(l.bugs, string(b))
	}
	l.buf = append(l.buf, b...)
	if over := len(l.buf) - 64<<10; over > 0 {
		l.buf = append(l.buf[:0], l.buf[over:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
