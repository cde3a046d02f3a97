package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/broker"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// program is the streambus binary, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "streambus-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "streambus")
	args := []string{"build", "-o", program}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./cmd/streambus")...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build streambus: %v\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// small keeps data directories small and quick to make.
var small = []string{"commit.log.file.bytes=2097152", "commit.log.files=2", "group.initial.rebalance.delay.ms=50", "log.reserve.bytes=0", "http.listeners="}

// inProcess is a broker in the test process.
type inProcess struct {
	*broker.Broker
	t    *testing.T
	dir  string
	addr string
	logs *safeBuffer
}

// start runs a broker on dir and closes it with the test.
func start(t *testing.T, dir string, set ...string) *inProcess {
	t.Helper()
	return startWith(t, broker.Options{}, dir, set...)
}

func startWith(t *testing.T, o broker.Options, dir string, set ...string) *inProcess {
	t.Helper()
	c, err := config.Load(config.Sources{DataDir: dir, Set: append(append([]string{"listeners=PLAINTEXT://127.0.0.1:0"}, small...), set...)})
	if err != nil {
		t.Fatal(err)
	}
	b := &inProcess{t: t, dir: dir, logs: &safeBuffer{}}
	o.Config, o.Logger = c, slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if b.Broker, err = broker.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.addr = b.Addr().String()
	t.Cleanup(b.stop)
	return b
}

// stop closes the broker; a contained panic anywhere fails the test.
func (b *inProcess) stop() {
	b.t.Helper()
	if err := b.Close(); err != nil && !errors.Is(err, errExpected) {
		b.t.Errorf("close: %v", err)
	}
	if logs := b.logs.String(); strings.Contains(logs, "BUG") || strings.Contains(logs, "unforeseen") {
		b.t.Errorf("the broker found a bug in itself:\n%s", logs)
	}
}

// client gives a franz-go client that is closed with the test.
func (b *inProcess) client(opts ...kgo.Opt) *kgo.Client { return client(b.t, b.addr, opts...) }

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(20 * time.Millisecond),
	}, opts...)
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (b *inProcess) admin() *kadm.Client { return kadm.NewClient(b.client()) }

// within bounds what a test waits for.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// process is a broker as a program.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	stderr *safeBuffer
	exited chan struct{}
	ready  chan struct{}
}

// spawn starts the program; ready is closed when it says so.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), stderr: &safeBuffer{}, exited: make(chan struct{}), ready: make(chan struct{})}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process; wait and kill wait for it
		p.read(bufio.NewScanner(out))
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

var listening = regexp.MustCompile(`broker is ready.* listen=(\S+)`)

func (p *process) read(lines *bufio.Scanner) {
	for lines.Scan() {
		fmt.Fprintln(p.stderr, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			p.addr = m[1]
			close(p.ready)
		}
	}
}

func spawnBroker(t *testing.T, dir, listener string, set ...string) *process {
	t.Helper()
	args := []string{"broker", "--data-dir", dir}
	for _, s := range append(append([]string{"listeners=" + listener}, small...), set...) {
		args = append(args, "--set", s)
	}
	return spawn(t, args...)
}

func (p *process) waitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.exited:
		p.t.Fatalf("the broker did not start:\n%s", p.stderr)
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the broker is not ready:\n%s", p.stderr)
	}
}

// wait gives the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the program does not end:\n%s", p.stderr)
		return -1
	}
}

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// freePort finds a port that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// errExpected marks disk errors that a test has made.
var errExpected = errors.New("the test broke the disk")
