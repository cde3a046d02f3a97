package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrNoBinary says that there is no streambus to start.
var ErrNoBinary = errors.New("no streambus binary found")

// Options of Start. The zero value means the defaults.
type Options struct {
	Binary  string        // path of streambus; empty = look for it
	Log     string        // file that gets the broker's output; required
	Ready   time.Duration // limit until it answers; default 30 s
	Stop    time.Duration // limit between TERM and KILL; default 10 s
	Dir     string        // where the data folder is made; empty = the system's folder for temporary files
	Version string        // how to name the broker in messages; empty = "streambus"
}

// Cluster is a running broker.
type Cluster struct {
	cmd      *exec.Cmd
	addr     string
	binary   string
	dir      string
	log      string
	stop     time.Duration
	dead     chan struct{} // closed when the process ended without being asked to, after ended
	ended    chan struct{} // closed when the process ended
	stopping atomic.Bool
	waitErr  error // valid once ended is closed
	once     sync.Once
}

// Find returns the streambus binary: the one asked for, else the one beside this program, else the one in PATH.
func Find(asked string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("%w at %s: %w", ErrNoBinary, asked, err)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "streambus")); err == nil {
				return path, nil
			}
		}
	}
	if path, err := exec.LookPath("streambus"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: neither beside loadscript nor in PATH. Build it with `go build -o bin/ ./broker/cmd/streambus ./loadscript/cmd/loadscript`, "+
		"or say where it is with --streambus PATH, or name a running cluster with --brokers HOST:PORT", ErrNoBinary)
}

// Start starts a broker and waits until it answers. The end of ctx ends the waiting, not the broker: call Stop.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	binary, err := Find(opts.Binary)
	if err != nil {
		return nil, err
	}
	if opts.Ready == 0 {
		opts.Ready = 30 * time.Second
	}
	if opts.Stop == 0 {
		opts.Stop = 10 * time.Second
	}
	dir, err := os.MkdirTemp(opts.Dir, "loadscript-broker-")
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{binary: binary, dir: dir, log: opts.Log, stop: opts.Stop, dead: make(chan struct{}), ended: make(chan struct{})}
	if err := c.launch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Ready)
	defer cancel()
	if err := c.await(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// launch starts the process on a port that was free a moment ago.
func (c *Cluster) launch() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cluster: finding a free port: %w", err)
	}
	c.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("cluster: the broker's log: %w", err)
	}
	defer out.Close()
	c.cmd = exec.Command(c.binary, "broker", "--data-dir", filepath.Join(c.dir, "data"),
		"--set", "listeners=PLAINTEXT://"+c.addr,
		"--set", "http.listeners=",
		"--set", "group.initial.rebalance.delay.ms=100",
		"--set", "commit.log.file.bytes=67108864")
	c.cmd.Stdout, c.cmd.Stderr = out, out
	// Its own process group, so that a Ctrl-C on the terminal reaches us alone and the broker lives until the report is done.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The parent death signal comes when the *thread* that forked ends, so this goroutine keeps its thread until the
		// process is gone (golang/go#27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.waitErr = c.cmd.Wait()
		close(c.ended)
		if !c.stopping.Load() {
			close(c.dead) // after ended, so that Exit has an answer
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cluster: starting %s: %w", c.binary, err)
	}
	return nil
}

// await asks for ApiVersions until the broker answers, ends, or ctx does.
func (c *Cluster) await(ctx context.Context) error {
	for {
		err := ping(ctx, c.addr)
		if err == nil {
			return nil
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-c.ended:
			t.Stop()
			return fmt.Errorf("cluster: %s ended before it was ready: %s", c.binary, c.Exit())
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("cluster: %s did not answer on %s: %w; its log ends with:\n%s", c.binary, c.addr, errors.Join(ctx.Err(), err), c.tail())
		}
	}
}

// ping asks one broker for ApiVersions.
func ping(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err // cheap way out while nobody listens
	}
	_ = conn.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "loadscript", "1"
	_, err = req.RequestWith(ctx, client)
	return err
}

// Addr is host:port of the broker.
func (c *Cluster) Addr() string { return c.addr }

// PID is the broker's process id.
func (c *Cluster) PID() int { return c.cmd.Process.Pid }

// Binary is the path of the binary that runs.
func (c *Cluster) Binary() string { return c.binary }

// Dead is closed when the broker ended by itself.
func (c *Cluster) Dead() <-chan struct{} { return c.dead }

// Exit says how the broker ended, with the last lines of its log; "" while it runs, or after Stop.
func (c *Cluster) Exit() string {
	select {
	case <-c.ended:
	default:
		return ""
	}
	if c.stopping.Load() {
		return ""
	}
	how := "exit status 0"
	if c.waitErr != nil {
		how = c.waitErr.Error()
	}
	return how + "; its log ends with:\n" + c.tail()
}

// tailBytes and tailLines bound how much of the log a message quotes.
const (
	tailBytes = 8 << 10
	tailLines = 20
)

func (c *Cluster) tail() string {
	f, err := os.Open(c.log)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd) // else it is read from the start and cut below
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return "(log unreadable: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return "(the log is empty)"
	}
	return "  " + strings.Join(lines, "\n  ")
}

// Stop ends the broker and removes its data. It may be called more than once. forced is true when it had to be killed.
func (c *Cluster) Stop() (forced bool) {
	c.once.Do(func() {
		select {
		case <-c.ended:
		default:
			c.stopping.Store(true)
			_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may end this very moment
			t := time.NewTimer(c.stop)
			select {
			case <-c.ended:
			case <-t.C:
				forced = true
				_ = c.cmd.Process.Kill() // as above
				<-c.ended
			}
			t.Stop()
		}
		_ = os.RemoveAll(c.dir) // nothing is left that could use it
	})
	return forced
}
