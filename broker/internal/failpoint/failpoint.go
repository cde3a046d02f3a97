// Package failpoint lets whoever started the broker make its disk slow or full, or its clock wrong, for a while, to see how clients and
// records take it: loadscript's fault.slow_disk, fault.disk_full and fault.clock_skew. It decides nothing and times nothing; what a fault
// does to a disk is disk.Failpoints. The clock is the one by which the broker stamps, shows, refuses and expires; what it waits for and
// measures goes by the monotonic clock, which nothing here moves, and the stamps of its metadata, which nobody reads, are the machine's.
//
// It is off, and then nothing of it exists, unless STREAMBUS_FAILPOINTS in the environment names a descriptor that the broker was born
// with, one end of a socketpair. So only the parent can ask for a fault: there is no path or port that others could open. Each line of it
// is a request, at most MaxLine bytes with its end, and gets a line of an answer, in order:
//
//	ID delay=DURATION full=BOOL skew=DURATION   17 delay=200ms full=false skew=-5s    this is wrong from now on, and nothing else
//	ID ok slowed=N refused=N misled=N           17 ok slowed=0 refused=0 misled=0     since the broker was started, so many writes and flushes
//	                                                                                  were slow, so many requests for room refused, by the disk
//	                                                                                  or by the broker, and it was told a wrong time so often
//	ID error WHAT                               17 error …                            nothing has changed; ID is 0 where none could be read
//
// ID is a number that the parent chooses, DURATION one as Go writes it: delay up to MaxDelay, skew up to MaxSkew ahead or, with a minus,
// behind. The first request is waited for before the data
// directory is opened, and must be a good one: a fault that is in force when a broker is killed is so when it is started again. When the
// parent closes its end, or dies, disk and clock are as they were.
package failpoint

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/engine/disk"
)

// The limits of a request.
const (
	MaxLine  = 256 // bytes, with the end of the line
	MaxDelay = time.Hour
	MaxSkew  = 10 * 365 * 24 * time.Hour
)

// Fault is what is wrong with a broker. The zero value: nothing.
type Fault struct {
	disk.Fault
	Skew time.Duration // how far the clock is ahead
}

// firstLimit bounds the wait for the first request, answerLimit that for the parent to take an answer.
const (
	firstLimit  = 10 * time.Second
	answerLimit = 10 * time.Second
)

// Inherited gives the connection to the parent that the variable has the number of; nil when it is empty. Call it once. The error, a
// config.ErrInvalid, says what is wrong with the value: the broker should not start then, for somebody meant to ask for faults, and would
// get none.
func Inherited(value string) (net.Conn, error) {
	if value == "" {
		return nil, nil
	}
	wrong := func(err error) error {
		return fmt.Errorf("%w: %s=%s: %w; it is for programs that start a broker to break it, such as loadscript: unset it",
			config.ErrInvalid, config.FailpointsVariable, value, err)
	}
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil || fd < 3 {
		return nil, wrong(errors.New("must be the number of a descriptor, from 3 on"))
	}
	name, err := syscall.Getsockname(int(fd)) // before it is taken for our own: it may be anything at all
	if err != nil {
		return nil, wrong(fmt.Errorf("descriptor %d is no socket: %w", fd, err))
	}
	if _, ok := name.(*syscall.SockaddrUnix); !ok {
		return nil, wrong(fmt.Errorf("descriptor %d is a connection that leads elsewhere, and only whoever started the broker may break it", fd))
	}
	f := os.NewFile(uintptr(fd), "failpoints")
	defer func() { _ = f.Close() }() // FileConn makes a copy
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, wrong(err)
	}
	return conn, nil
}

// Points are the failpoints of a broker. Close them when the disk is closed.
type Points struct {
	disk   disk.Failpoints
	conn   net.Conn
	log    *slog.Logger
	wg     sync.WaitGroup
	closed atomic.Bool // by ourselves
	skew   atomic.Int64
	misled atomic.Int64
	more   atomic.Pointer[func() int64]
}

// Serve waits for the first request, puts it into force, and goes on to serve the connection, which is its own from then on, also after
// an error.
func Serve(conn net.Conn, log *slog.Logger) (*Points, error) {
	p := &Points{conn: conn, log: log}
	log.Warn("FAILPOINTS ARE ON: whoever started this broker can make its disk slow and full and its clock wrong; it is for tests, and not for data that matters", "asked_for_by", config.FailpointsVariable)
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, MaxLine), MaxLine)
	_ = conn.SetReadDeadline(time.Now().Add(firstLimit)) // an error shows at the read
	if err := p.first(lines); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("failpoints (%s): the first word of whoever started the broker: %w", config.FailpointsVariable, err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.wg.Go(func() { p.serve(lines) })
	return p, nil
}

func (p *Points) first(lines *bufio.Scanner) error {
	if !lines.Scan() {
		return lastWord(lines)
	}
	wrong, err := p.answer(lines.Text())
	return errors.Join(wrong, err)
}

// lastWord is why no more lines come.
func lastWord(lines *bufio.Scanner) error {
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the other end is closed")
}

func (p *Points) serve(lines *bufio.Scanner) {
	defer func() { _ = p.conn.Close() }()
	for lines.Scan() {
		if _, err := p.answer(lines.Text()); err != nil {
			p.gone(err)
			return
		}
	}
	p.gone(lastWord(lines))
}

// gone heals what nobody can heal any more.
func (p *Points) gone(why error) {
	p.set(Fault{})
	if !p.closed.Load() {
		p.log.Warn("FAILPOINT: nobody can ask for faults any more, and disk and clock are as they are", "why", why)
	}
}

// answer does what a line asks for and says so. wrong is an error of the request, err one of the connection.
func (p *Points) answer(line string) (wrong, err error) {
	id, f, wrong := Parse(line)
	var reply string
	if wrong != nil {
		p.log.Warn("FAILPOINT: a request that cannot be understood; nothing has changed", "err", wrong)
		reply = fmt.Sprintf("%d error %v\n", id, wrong)
	} else {
		if p.set(f) {
			p.tell(f)
		}
		slowed, refused := p.disk.Struck()
		if more := p.more.Load(); more != nil {
			refused += (*more)()
		}
		reply = fmt.Sprintf("%d ok slowed=%d refused=%d misled=%d\n", id, slowed, refused, p.misled.Load())
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(answerLimit)) // an error shows at the write
	_, err = p.conn.Write([]byte(reply))
	return wrong, err
}

// set puts a fault in force, in the place of the one before, and says whether that is a change.
func (p *Points) set(f Fault) (changed bool) {
	skewed := p.skew.Swap(int64(f.Skew)) != int64(f.Skew)
	return p.disk.Set(f.Fault) || skewed
}

func (p *Points) tell(f Fault) {
	if f == (Fault{}) {
		p.log.Warn("FAILPOINT: disk and clock are as they are")
		return
	}
	p.log.Warn("FAILPOINT: something is wrong from now on, on purpose", "each_write_and_flush_takes_longer_by", f.Delay, "disk_full", f.Full, "clock_ahead_by", f.Skew)
}

// Parse reads a request; id is 0 where there is none.
func Parse(line string) (id uint64, f Fault, err error) {
	words := strings.Split(line, " ")
	if id, err = strconv.ParseUint(words[0], 10, 64); err != nil {
		return 0, f, fmt.Errorf("%q does not begin with the number of a request", line)
	}
	if len(words) != 4 {
		return id, f, fmt.Errorf("%q: want ID delay=DURATION full=BOOL skew=DURATION", line)
	}
	delay, ok := strings.CutPrefix(words[1], "delay=")
	if f.Delay, err = time.ParseDuration(delay); !ok || err != nil || f.Delay < 0 || f.Delay > MaxDelay {
		return id, Fault{}, fmt.Errorf("%q: want delay= and a duration from 0s to %s", words[1], MaxDelay)
	}
	switch words[2] {
	case "full=true":
		f.Full = true
	case "full=false":
	default:
		return id, Fault{}, fmt.Errorf("%q: want full=true or full=false", words[2])
	}
	skew, ok := strings.CutPrefix(words[3], "skew=")
	if f.Skew, err = time.ParseDuration(skew); !ok || err != nil || f.Skew.Abs() > MaxSkew {
		return id, Fault{}, fmt.Errorf("%q: want skew= and a duration from -%s to %s", words[3], MaxSkew, MaxSkew)
	}
	return id, f, nil
}

// Disk is what to lay over the broker's disk; nil for a nil p.
func (p *Points) Disk() *disk.Failpoints {
	if p == nil {
		return nil
	}
	return &p.disk
}

// Now is the wall clock of the broker. It has no monotonic reading: two of its times differ by what a user would see.
func (p *Points) Now() time.Time {
	skew := time.Duration(p.skew.Load())
	if skew != 0 {
		p.misled.Add(1)
	}
	return time.Now().Round(0).Add(skew)
}

// Refused has requests for room counted that the broker refused by itself, for the disk had said that none was left. count is called by
// another goroutine, until Close.
func (p *Points) Refused(count func() int64) { p.more.Store(&count) }

// Close takes no more requests and heals disk and clock. It waits for the request under way.
func (p *Points) Close() error {
	p.closed.Store(true)
	err := p.conn.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) { // the other end went first
		return nil
	}
	return err
}
