package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// side is a broker with one setting of durability.
type side struct {
	name     string // streambus-fsync, kafka, …
	settings string // what differs from the broker's defaults, for the reader
	command  func(dir, addr string) ([]string, error)
	open     func(addr string) (driver, error)
	kafka    bool // speaks Kafka's protocol: Kafka's tools and loadscript can load it
}

// paths are where programs are, from the root of the project.
type paths struct{ streambus, loadscript, jars, self string }

// The heap and collector of Kafka's own start script (bin/kafka-server-start.sh, bin/kafka-run-class.sh of 4.x).
var kafkaJVM = []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}

// maxLong is Kafka's "never" for flushes, its own default.
const maxLong = "9223372036854775807"

func (p *paths) sides() []side {
	streambus := func(set ...string) func(dir, addr string) ([]string, error) {
		return func(dir, addr string) ([]string, error) {
			args := []string{p.streambus, "broker", "--data-dir", dir, "--set", "listeners=PLAINTEXT://" + addr, "--set", "http.listeners="}
			for _, s := range set {
				args = append(args, "--set", s)
			}
			return args, nil
		}
	}
	return []side{
		{"streambus-fsync", "defaults", streambus(), openKafka, true},
		{"streambus-page-cache", "log.flush.interval.messages=" + maxLong, streambus("log.flush.interval.messages=" + maxLong), openKafka, true},
		{"kafka", "defaults, one node (KRaft); JVM " + strings.Join(kafkaJVM[:len(kafkaJVM)-2], " "), p.kafka(), openKafka, true},
		{"kafka-flush", "log.flush.interval.messages=1, which is flush.messages=1 for all topics; else as kafka", p.kafka("log.flush.interval.messages=1"), openKafka, true},
		{"nats", "JetStream, file storage, defaults (a flush every 2 minutes)", p.nats(), openNATS, false},
		{"nats-sync", "JetStream, file storage, sync_interval: always", p.nats("always"), openNATS, false},
	}
}

// kafka formats a folder and gives the command of one node that is broker and controller.
func (p *paths) kafka(set ...string) func(dir, addr string) ([]string, error) {
	return func(dir, addr string) ([]string, error) {
		controller, err := freeAddr()
		if err != nil {
			return nil, err
		}
		config := filepath.Join(filepath.Dir(dir), "server.properties")
		text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
%[4]s
`, addr, controller, dir, strings.Join(set, "\n"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, err
		}
		java := append([]string{"java", "-cp", filepath.Join(p.jars, "*")}, kafkaJVM...)
		format := append(append([]string{}, java...), "kafka.tools.StorageTool", "format", "-t", "U3RyZWFtQnVzUGVlcnMtMQ", "-c", config)
		if out, err := exec.Command(format[0], format[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("format Kafka's folder: %w: %s", err, out)
		}
		return append(java, "kafka.Kafka", config), nil
	}
}

// nats gives this program as a server.
func (p *paths) nats(sync ...string) func(dir, addr string) ([]string, error) {
	return func(dir, addr string) ([]string, error) {
		return append([]string{p.self, serveNATS, dir, addr}, sync...), nil
	}
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }() // it has done its work
	return ln.Addr().String(), nil
}

// process is a side that runs.
type process struct {
	cmd    *exec.Cmd
	addr   string
	dir    string
	exited chan struct{}
	log    tail
}

// start runs a side's command on a new folder below root.
func (s *side) start(root string) (*process, error) {
	dir, err := os.MkdirTemp(root, s.name+"-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, exited: make(chan struct{})}
	if p.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	command, err := s.command(filepath.Join(dir, "data"), p.addr)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // why it ended is in its log
		close(p.exited)
	}()
	return p, nil
}

// stop ends the process and removes what it wrote.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	return os.RemoveAll(p.dir)
}

// await calls try until it succeeds, the process ends, or three minutes have passed.
func (p *process) await(ctx context.Context, try func() error) error {
	limit := time.After(3 * time.Minute)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("the broker ended: %s", p.log.String())
		case <-limit:
			return fmt.Errorf("not ready after three minutes: %w: %s", err, p.log.String())
		}
	}
}

// cpu is how long the process has been on a processor, by its clock (clock_getcpuclockid(3)).
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	err := unix.ClockGettime(^int32(p.cmd.Process.Pid)<<3|scheduled, &t)
	return time.Duration(t.Nano()), err
}

// memoryMiB is the resident memory of the process.
func (p *process) memoryMiB() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(status), "VmRSS:")
	if f := strings.Fields(after); ok && len(f) > 0 {
		kib, err := strconv.ParseFloat(f[0], 64)
		return kib / 1024, err
	}
	return 0, errors.New("/proc says nothing of VmRSS")
}

// tail keeps the end of what a process says. Safe for concurrent use.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, p...); len(t.b) > most {
		t.b = t.b[len(t.b)-most:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
