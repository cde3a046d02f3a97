package proof

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/disk"
)

var killsFlag = flag.Int("proof.kills", 200, "how often TestKill kills the victim")

// killPoints are the named moments at which the victim kills itself, WHEN:OP:PATTERN, with how far the count of such operations
// goes in one life.
var killPoints = []struct {
	point string
	most  int
}{
	{"before:write:*.commit", 60}, // before a commit
	{"after:write:*.commit", 60},  // written, not flushed
	{"after:sync:*.commit", 60},   // flushed, not acknowledged
	{"before:write:*.log", 60},
	{"after:write:*.log", 60},
	{"before:create:*.log", 10}, // a roll
	{"after:create:*.log", 10},
	{"after:sync:*.log", 20}, // of a roll or a checkpoint
	{"after:syncdir:t-*", 10},
	{"before:allocate:*.log", 10},
	{"before:create:checkpoint.tmp", 4},
	{"after:write:checkpoint.tmp", 4},
	{"after:sync:checkpoint.tmp", 4},
	{"before:rename:checkpoint.tmp", 4},
	{"after:rename:checkpoint.tmp", 4},
	{"after:syncdir:data", 6},     // a checkpoint, a new log, a dropped one
	{"before:rename:*.commit", 4}, // recycling
	{"after:rename:*.commit", 4},  //
	{"after:write:*.spare", 4},    // the new header
	{"before:rename:*.spare", 4},  //
	{"after:rename:*.spare", 4},   //
	{"after:syncdir:commit", 6},   //
	{"after:mkdir:*.new", 4},      // a log is created
	{"after:rename:log.meta.tmp", 4},
	{"before:rename:*.new", 4},
	{"after:rename:*.new", 4},
	{"before:rename:t-*", 2}, // a log is dropped
	{"after:rename:t-*", 2},
	{"after:remove:*.log", 3},
	{"before:remove:*.deleted", 2},
	{"before:*:*", 2000},
	{"after:*:*", 2000},
}

// TestKill kills a real process with SIGKILL at random moments and at every named point, and checks after each restart what
// the process had been promised. Some restarts are killed as well, in the middle of their recovery.
func TestKill(t *testing.T) {
	kills := *killsFlag
	if testing.Short() {
		kills = min(kills, 24)
	}
	seed, repeat := seeded(t)
	total := &tally{points: map[string]int{}}
	for round := 0; total.kills < kills; round++ {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for lane := range errs { // two folders at a time
			wg.Go(func() { errs[lane] = killRound(t, seed+uint64(2*round+lane), total) })
		}
		wg.Wait()
		for lane, err := range errs {
			if err != nil {
				t.Fatalf("%v%s", err, repeat(seed+uint64(2*round+lane), "-proof.kills=1"))
			}
		}
	}
	named := 0
	for _, p := range killPoints {
		if total.points[p.point] > 0 {
			named++
		} else if kills >= 1000 {
			t.Errorf("no victim ever died at %s: does the point still exist?", p.point)
		}
	}
	t.Logf("%d kills, %d of them at %d of %d named points; %d clean ends; %d acknowledgements held, %d batches read; seed %d",
		total.kills, total.atPoint, named, len(killPoints), total.clean, total.acks, total.found, seed)
	if total.acks < 20*total.kills {
		t.Errorf("only %d acknowledgements: the victims hardly lived", total.acks)
	}
}

type tally struct {
	mu                                 sync.Mutex
	kills, atPoint, clean, acks, found int
	points                             map[string]int
}

// killRound lets a few victims live and die on one folder.
func killRound(t *testing.T, seed uint64, total *tally) error {
	rng := newRand(seed, 2)
	dir := filepath.Join(t.TempDir(), "data")
	defer func() { _ = os.RemoveAll(dir) }() // thousands of rounds should not pile up until the end of the test
	l := newLedger()
	var story []string
	for range 8 {
		l.life++
		point := ""
		if rng.IntN(4) > 0 {
			p := killPoints[rng.IntN(len(killPoints))]
			point = fmt.Sprintf("%s:%d", p.point, 1+rng.IntN(p.most))
		}
		status, err := l.live(rng, dir, point, total)
		story = append(story, fmt.Sprintf("life %d %s: %s", l.life, point, status))
		if err == nil && rng.IntN(3) > 0 {
			err = l.check(disk.OS{}, dir)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, strings.Join(story, "\n"))
		}
	}
	if err := l.check(disk.OS{}, dir); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(story, "\n"))
	}
	total.mu.Lock()
	defer total.mu.Unlock()
	total.acks += l.acks
	total.found += l.found
	return nil
}

// live runs one victim until it has killed itself, or is killed.
func (l *ledger) live(rng *rand.Rand, dir, point string, total *tally) (status string, err error) {
	args := []string{"-dir", dir, "-life", fmt.Sprint(l.life), "-seed", fmt.Sprint(rng.Uint64()), "-batches", "1500"}
	if point != "" {
		args = append(args, "-die", point)
	}
	v, err := startVictim(args...)
	if err != nil {
		return "", err
	}
	defer v.reap()
	limit := time.Duration(1+rng.IntN(60)) * time.Millisecond // of life after the recovery, when it does not die by itself
	if point != "" {
		limit = 400 * time.Millisecond
	}
	early := rng.IntN(8) == 0 // killed perhaps before it is ready
	var alarm *time.Timer
	if early {
		alarm = time.AfterFunc(limit, v.kill)
	}
	heard, closed, err := l.listen(v.out, func() {
		if alarm == nil {
			alarm = time.AfterFunc(limit, v.kill)
		}
	})
	if alarm != nil {
		alarm.Stop()
	}
	status = v.reap()
	if err == nil && (heard != "" || status != "signal: killed" && (status != "exit status 0" || !closed)) {
		err = fmt.Errorf("the victim said %q and ended with %s; on its standard error: %s", heard, status, v.errs.String())
	}
	total.mu.Lock()
	defer total.mu.Unlock()
	switch {
	case closed:
		total.clean++
	case v.killed.Load():
		total.kills++
	default:
		total.kills++
		total.atPoint++
		i := strings.LastIndexByte(point, ':')
		total.points[point[:max(i, 0)]]++
	}
	return status, err
}

// process is a running victim.
type process struct {
	cmd  *exec.Cmd
	out  *os.File
	errs strings.Builder

	once   sync.Once
	status string
	killed flagged
}

// flagged is set once.
type flagged struct {
	mu  sync.Mutex
	set bool
}

func (f *flagged) Load() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.set }
func (f *flagged) Set()       { f.mu.Lock(); defer f.mu.Unlock(); f.set = true }

func startVictim(args ...string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	v := &process{cmd: exec.Command(exe, args...), out: r}
	v.cmd.Env = append(os.Environ(), victimEnv+"=1")
	v.cmd.Stdout, v.cmd.Stderr = w, &v.errs
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = v.cmd.Start()
	_ = w.Close() // the victim has its own
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return v, nil
}

// kill sends SIGKILL to this victim only.
func (v *process) kill() {
	v.killed.Set()
	_ = v.cmd.Process.Kill() // it may be gone already
}

// reap waits for the end of the victim, killing it if it does not end by itself once its output is closed. It may be called twice.
func (v *process) reap() string {
	v.once.Do(func() {
		alarm := time.AfterFunc(patience, v.kill)
		defer alarm.Stop()
		_ = v.out.Close()
		_ = v.cmd.Wait() // ProcessState says how it ended
		v.status = v.cmd.ProcessState.String()
	})
	return v.status
}
