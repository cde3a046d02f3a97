package pace

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Fine is a Wall whose Sleep ends within a few hundredths of a millisecond, where a Go timer takes up to one more than asked for
// (the runtime waits in epoll, by whole milliseconds: golang/go#44343). It waits for a timerfd in the same epoll, which wakes up
// when the kernel's timer does; no thread blocks, no core spins. One goroutine may use it; Close it in the end.
type Fine struct {
	*Wall
	timer *os.File
	raw   syscall.RawConn
	arm   func(fd uintptr) // sets the timer to spec; bound once, so that a sleep allocates nothing
	spec  unix.ItimerSpec
	err   error // of arm
	count [8]byte
}

// NewFine returns a clock that shows the same time as wall. Errors are those of timerfd_create(2): too many open files.
func NewFine(wall *Wall) (*Fine, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("pace: a timer of the kernel: %w", err)
	}
	f := os.NewFile(uintptr(fd), "timerfd") // non-blocking: its reads wait in the runtime's poller
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("pace: a timer of the kernel: %w", err)
	}
	c := &Fine{Wall: wall, timer: f, raw: raw}
	c.arm = func(fd uintptr) { c.err = unix.TimerfdSettime(int(fd), 0, &c.spec, nil) }
	return c, nil
}

// coarse is how much before its end a long sleep becomes a fine one: more than a Go timer is late on an idle machine.
const coarse = 3 * time.Millisecond

// Sleep implements Clock. The end of ctx is seen with a delay of up to a few milliseconds.
func (f *Fine) Sleep(ctx context.Context, d time.Duration) error {
	end := f.Now() + d
	if d > 2*coarse {
		if err := f.Wall.Sleep(ctx, d-coarse); err != nil {
			return err
		}
		d = end - f.Now()
	}
	if d <= 0 {
		return ctx.Err()
	}
	f.spec.Value = unix.NsecToTimespec(int64(d))
	err := f.raw.Control(f.arm)
	if err == nil && f.err == nil {
		_, err = f.timer.Read(f.count[:])
	}
	if err != nil || f.err != nil {
		return f.Wall.Sleep(ctx, d) // never seen to happen: the timer is ours alone
	}
	return ctx.Err()
}

// Close frees the timer.
func (f *Fine) Close() error { return f.timer.Close() }
