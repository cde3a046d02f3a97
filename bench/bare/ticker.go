package bare

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Ticker wakes one goroutine on an absolute schedule, by a timerfd in the runtime's poller: the runtime's own timers may come
// a whole millisecond late when the process is otherwise idle, which would be most of what a benchmark of latency shows.
type Ticker struct {
	f     *os.File
	begin time.Time
}

// NewTicker begins a schedule of one tick every period, the first one a period from now.
func NewTicker(period time.Duration) (*Ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	t := &Ticker{f: os.NewFile(uintptr(fd), "timerfd")}
	spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(int64(period)), Value: unix.NsecToTimespec(int64(period))}
	t.begin = time.Now()
	if err := unix.TimerfdSettime(fd, 0, &spec, nil); err != nil {
		_ = t.f.Close() // the first error counts
		return nil, fmt.Errorf("timerfd_settime: %w", err)
	}
	return t, nil
}

// Begin is when the schedule began: tick n (from 1) was due n periods later.
func (t *Ticker) Begin() time.Time { return t.begin }

// Wait waits for the next tick and says how many are due since the last call: more than one when the caller is late.
func (t *Ticker) Wait() (due int, err error) {
	var b [8]byte
	if _, err := t.f.Read(b[:]); err != nil {
		return 0, err
	}
	return int(binary.NativeEndian.Uint64(b[:])), nil
}

// Close ends the schedule.
func (t *Ticker) Close() error { return t.f.Close() }
