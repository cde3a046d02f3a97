package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/streambus/streambus/loadscript/internal/pace"
)

// process is one run of a broker. It is used once: a node that is started again gets a new one.
type process struct {
	cmd     *exec.Cmd
	log     string
	points  *points        // nil: it has no failpoints; closed when it ended, or was not started
	ended   chan struct{}  // closed when the process ended
	waitErr error          // valid once ended is closed
	asked   atomic.Bool    // its end was asked for
	noRoom  bool           // it was started on a disk that was made full
	ready   atomic.Bool    // it was seen to answer, when it was started by Launch
	died    func(*process) // called when it ended without being asked to, nor for want of room, after ended
}

// spawn starts a command whose output is appended to the file log. Of p, died must be set, and points and noRoom where they apply.
func (p *process) spawn(cmd *exec.Cmd, log string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cluster: the broker's log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	// Its own process group, so that a Ctrl-C on the terminal reaches us alone and the broker lives until the report is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd, p.log, p.ended = cmd, log, make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The parent death signal comes when the *thread* that forked ends, so this goroutine keeps its thread until the
		// process is gone (golang/go#27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.waitErr = cmd.Wait()
		close(p.ended)
		if p.points != nil {
			p.points.close()
		}
		if !p.asked.Load() && !p.starved() {
			p.died(p) // after ended, so that exit has an answer
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cluster: starting %s: %w", cmd.Path, err)
	}
	return nil
}

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// starved says that it ended because it was started on a full disk: nothing that has gone wrong with the run.
func (p *process) starved() bool { return p.gone() && p.noRoom && !p.ready.Load() && !p.asked.Load() }

// kill ends it at once, paused or not.
func (p *process) kill() {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended this very moment
	<-p.ended
}

// terminate asks it to end and waits; it says whether it did within the limit.
func (p *process) terminate(limit time.Duration) bool {
	p.asked.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused process hears nothing
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end this very moment
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.ended:
		return true
	case <-t.C:
		return false
	}
}

// stateLimit bounds the wait for the kernel to have stopped or continued all threads of a process.
const stateLimit = 10 * time.Second

// freeze stops or continues the process and waits until the kernel says so.
func (p *process) freeze(ctx context.Context, stop bool) error {
	sig, verb := syscall.SIGCONT, "continue"
	if stop {
		sig, verb = syscall.SIGSTOP, "stop"
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("cluster: %s the process %d: %w", verb, p.cmd.Process.Pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	for {
		proc, err := procfs.NewProc(p.cmd.Process.Pid)
		if err != nil {
			return fmt.Errorf("cluster: %s the process: %w", verb, err)
		}
		stat, err := proc.Stat()
		if err != nil {
			return fmt.Errorf("cluster: %s the process: %w", verb, err)
		}
		if (stat.State == "T") == stop {
			return nil
		}
		if err := pace.Sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("cluster: the process %d does not %s: it is in state %s after %s", p.cmd.Process.Pid, verb, stat.State, stateLimit)
		}
	}
}

// exit says how it ended, with the last lines of its log; "" while it runs, or if it was asked to.
func (p *process) exit() string {
	if !p.gone() || p.asked.Load() {
		return ""
	}
	how := "exit status 0"
	if p.waitErr != nil {
		how = p.waitErr.Error()
	}
	return how + "; its log ends with:\n" + tail(p.log)
}

// tailBytes and tailLines bound how much of the log a message quotes.
const (
	tailBytes = 8 << 10
	tailLines = 20
)

func tail(path string) string {
	f, err := os.Open(path)
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

// await asks ready until it says yes, the process ends, or ctx does.
func (p *process) await(ctx context.Context, what string, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-p.ended:
			t.Stop()
			return fmt.Errorf("cluster: %s ended before it was ready: %s", what, p.exit())
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("cluster: %s did not answer: %w; its log ends with:\n%s", what, errors.Join(ctx.Err(), err), tail(p.log))
		}
	}
}
