package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// failpointsVariable names, to a broker of StreamBus, the descriptor by which its parent makes its disk slow or full, or its clock wrong. The broker's room
// broker/internal/failpoint has the words that are said on it.
const failpointsVariable = "STREAMBUS_FAILPOINTS"

// childFD is what the first of exec.Cmd.ExtraFiles is to the child.
const childFD = 3

// ailment is what is wrong with a broker. The zero value: nothing.
type ailment struct {
	delay time.Duration // each write and flush of its disk takes so much longer
	full  bool          // its disk is
	skew  time.Duration // its clock is so much ahead
}

// mostDelay and mostSkew are the largest delay and skew that a broker takes.
const (
	mostDelay = time.Hour
	mostSkew  = 10 * 365 * 24 * time.Hour
)

// and is both at once: they come from different faults on the same broker.
func (f ailment) and(o ailment) ailment {
	return ailment{min(f.delay+o.delay, mostDelay), f.full || o.full, max(min(f.skew+o.skew, mostSkew), -mostSkew)}
}

// struck is how many operations of a broker felt its faults since it was started.
type struck struct {
	slowed, refused int64
	misled          int64 // it looked at the clock, and that was wrong
}

// points is the line to the failpoints of one process. What is said on it is answered in order.
type points struct {
	mu    sync.Mutex
	conn  net.Conn
	in    *bufio.Reader
	id    uint64 // of the newest request
	heard uint64 // the newest request that was answered
	last  struck // by that answer
}

// newPoints makes a line, and its end for the child, which the caller closes when that was started.
func newPoints() (*points, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: a line to the broker's failpoints: %w", os.NewSyscallError("socketpair", err))
	}
	own, child := os.NewFile(uintptr(fds[0]), "failpoints"), os.NewFile(uintptr(fds[1]), "failpoints")
	conn, err := net.FileConn(own) // a copy
	_ = own.Close()
	if err != nil {
		_ = child.Close()
		return nil, nil, fmt.Errorf("cluster: a line to the broker's failpoints: %w", err)
	}
	return &points{conn: conn, in: bufio.NewReader(conn)}, child, nil
}

// tell says what is wrong from now on, and does not wait for the answer.
func (p *points) tell(f ailment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.say(f)
}

func (p *points) say(f ailment) error {
	p.id++
	_ = p.conn.SetWriteDeadline(time.Now().Add(answerLimit)) // an error shows at the write
	_, err := fmt.Fprintf(p.conn, "%d delay=%s full=%t skew=%s\n", p.id, f.delay, f.full, f.skew)
	return err
}

// answerLimit is how long a broker may take to answer, busy as the machine may be, for who sets no limit. A paused one takes as long as
// it is.
const answerLimit = 10 * time.Second

// set is tell, and waits until it is so.
func (p *points) set(ctx context.Context, f ailment) (struck, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.say(f); err != nil {
		return struck{}, err
	}
	return p.answer(ctx)
}

// settled waits until what was said last is so.
func (p *points) settled(ctx context.Context) (struck, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer(ctx)
}

// answer reads until the answer to the newest request. Callers hold mu.
func (p *points) answer(ctx context.Context) (struck, error) {
	until, limited := ctx.Deadline()
	if !limited {
		until = time.Now().Add(answerLimit)
	}
	_ = p.conn.SetReadDeadline(until) // an error shows at the read
	for p.heard < p.id {
		line, err := p.in.ReadString('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return struck{}, errNoAnswer
		} else if err != nil {
			return struck{}, err
		}
		if p.heard, p.last, err = parseAnswer(strings.TrimSuffix(line, "\n")); err != nil {
			return struck{}, err
		}
	}
	return p.last, nil
}

var errNoAnswer = errors.New("it does not answer")

// parseAnswer reads one line of a broker.
func parseAnswer(line string) (id uint64, s struck, err error) {
	n, err := fmt.Sscanf(line, "%d ok slowed=%d refused=%d misled=%d", &id, &s.slowed, &s.refused, &s.misled)
	if n == 4 && err == nil && min(s.slowed, s.refused, s.misled) >= 0 {
		return id, s, nil
	}
	return id, struck{}, fmt.Errorf("it says %q", line)
}

func (p *points) close() { _ = p.conn.Close() }

// Disk delays each write and flush of the broker at addr, or fills its disk, or both, until heal is called, also when the broker is
// started again meanwhile. Several such faults add up. It is in force when Disk returns, and gone when heal does. felt is how many
// writes and flushes were slowed, or how many requests for room were refused; -1: not known, for the broker has ended meanwhile.
func (c *Cluster) Disk(ctx context.Context, addr string, delay time.Duration, full bool) (heal func(context.Context) (felt int64, err error), err error) {
	felt := func(s struck) int64 { return s.slowed }
	if full {
		felt = func(s struck) int64 { return s.refused }
	}
	return c.ail(ctx, addr, ailment{delay: delay, full: full}, felt)
}

// Clock moves the clock of the broker at addr, behind with a minus, as Disk does with its disk. felt is how often it looked at the clock.
func (c *Cluster) Clock(ctx context.Context, addr string, skew time.Duration) (heal func(context.Context) (felt int64, err error), err error) {
	return c.ail(ctx, addr, ailment{skew: skew}, func(s struck) int64 { return s.misled })
}

func (c *Cluster) ail(ctx context.Context, addr string, f ailment, felt func(struck) int64) (heal func(context.Context) (int64, error), err error) {
	n, p, err := c.running(addr)
	if err != nil {
		return nil, err
	}
	if p.points == nil {
		return nil, fmt.Errorf("cluster: %s was started without failpoints, so nothing can be done to its disk or clock", n.name)
	}
	p, before, err := n.ail(ctx, func() { n.faults[&f] = true })
	if err != nil {
		_, _, _ = n.ail(ctx, func() { delete(n.faults, &f) }) // whatever it has understood
		return nil, fmt.Errorf("cluster: the failpoints of %s on %s: %w", n.name, addr, err)
	}
	return func(ctx context.Context) (int64, error) {
		now, after, err := n.ail(ctx, func() { delete(n.faults, &f) })
		switch {
		case now.gone():
			return -1, nil // nothing is wrong with it when it is started again
		case err != nil:
			return -1, fmt.Errorf("cluster: the failpoints of %s on %s: %w", n.name, addr, err)
		case now != p:
			return -1, nil
		}
		return felt(after) - felt(before), nil
	}, nil
}

// ail changes the node's faults, and tells its process what is wrong now.
func (n *node) ail(ctx context.Context, change func()) (p *process, s struck, err error) {
	n.ailing.Lock()
	defer n.ailing.Unlock()
	change()
	p = n.process() // none is started meanwhile
	if p.gone() {
		return p, s, errors.New("it has ended")
	}
	s, err = p.points.set(ctx, n.fault())
	if err != nil && !errors.Is(err, errNoAnswer) { // a broken line: it is about to end
		select {
		case <-p.ended:
		case <-time.After(stateLimit):
		}
	}
	return p, s, err
}

// fault is all that is wrong with the node. Callers hold ailing.
func (n *node) fault() (all ailment) {
	for f := range n.faults {
		all = all.and(*f)
	}
	return all
}

// spawnAiling is spawn for a broker with failpoints. The first word on its line is what is wrong from the start.
func (n *node) spawnAiling(died func(*process)) error {
	n.ailing.Lock() // so that no fault comes or goes between that word and the process being the node's
	defer n.ailing.Unlock()
	line, child, err := newPoints()
	if err != nil {
		return err
	}
	defer child.Close()
	cmd := n.command()
	cmd.ExtraFiles = []*os.File{child}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", failpointsVariable, childFD))
	p := &process{points: line, noRoom: n.fault().full, died: died}
	if err = line.tell(n.fault()); err == nil {
		err = p.spawn(cmd, n.log)
	}
	if err != nil {
		line.close()
		return err
	}
	n.set(p)
	return nil
}

// awaitPoints waits until the broker has heard the first word, which it does before anything else.
func (n *node) awaitPoints(ctx context.Context) error {
	p := n.process()
	if p.points == nil {
		return nil
	}
	if _, err := p.points.settled(ctx); err != nil {
		return fmt.Errorf("cluster: %s knows no failpoints of disk and clock, which faults of this script need: %w; use the streambus that came with this loadscript", n.name, err)
	}
	return nil
}
