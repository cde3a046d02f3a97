package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSendfile is the most that one sendfile call is asked for. A cold page blocks the thread inside the call, so a step
// must be short; measured best between 128 and 512 KiB.
const maxSendfile = 256 << 10

// Counters count what leaves, over all connections.
type Counters struct {
	CopiedBytes   atomic.Int64 // written from memory
	SendfileBytes atomic.Int64 // sent from files by the kernel
	SendfileCalls atomic.Int64
}

// sender writes to one TCP connection. It works on the raw descriptor because sendfile with an explicit offset has no face
// in package net (io.Copy needs a file position, which a shared descriptor does not have).
type sender struct {
	conn    net.Conn
	raw     syscall.RawConn
	count   *Counters
	timeout time.Duration // for each step; a peer that takes nothing for so long is gone (L3)
}

func newSender(c net.Conn, count *Counters, timeout time.Duration) (*sender, error) {
	s := &sender{conn: c, count: count, timeout: timeout}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return s, nil // not a socket (a pipe in tests): bytes only
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("raw connection: %w", err)
	}
	s.raw = raw
	return s, nil
}

// send writes everything in o and resets it.
func (s *sender) send(o *Out) error {
	defer o.reset()
	s.arm()
	if s.raw == nil {
		return s.sendFlat(o)
	}
	if err := o.flattenSmall(); err != nil {
		return err
	}
	from := 0
	for _, sp := range o.spans {
		if err := s.bytes(o.buf[from:sp.at], unix.MSG_MORE); err != nil {
			return err
		}
		from = sp.at
		if err := s.span(sp.span); err != nil {
			return err
		}
	}
	return s.bytes(o.buf[from:], 0)
}

func (s *sender) arm() { _ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout)) } // an error shows at the next write

// sendFlat copies everything, for connections without a descriptor.
func (s *sender) sendFlat(o *Out) error {
	var all []byte
	from := 0
	for _, sp := range o.spans {
		all = append(all, o.buf[from:sp.at]...)
		from = sp.at
		var err error
		if all, err = sp.span.AppendTo(all); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(append(all, o.buf[from:]...))
	return err
}

// bytes writes b. With MSG_MORE the kernel holds it back for the span that follows.
func (s *sender) bytes(b []byte, flags int) error {
	if len(b) == 0 {
		return nil
	}
	s.count.CopiedBytes.Add(int64(len(b)))
	if flags == 0 {
		_, err := s.conn.Write(b)
		return err
	}
	return s.retry(func(fd int) (bool, error) {
		n, err := unix.SendmsgN(fd, b, nil, nil, flags|unix.MSG_NOSIGNAL)
		b = b[max(n, 0):]
		return len(b) == 0, err
	})
}

// span sends a file's bytes without bringing them here.
func (s *sender) span(sp Span) error {
	in, pos, _ := sp.File()
	left := sp.Size()
	s.count.SendfileBytes.Add(int64(left))
	return s.retry(func(fd int) (bool, error) {
		s.count.SendfileCalls.Add(1)
		n, err := unix.Sendfile(fd, int(in), &pos, min(left, maxSendfile))
		if n == 0 && err == nil {
			return false, fmt.Errorf("sendfile: the file ends %d bytes early: %w", left, io.ErrUnexpectedEOF)
		}
		left -= max(n, 0)
		return left == 0, err
	})
}

// retry calls f until it says done. EAGAIN parks the goroutine until the socket takes more, or the write deadline passes.
func (s *sender) retry(f func(fd int) (done bool, err error)) error {
	for {
		var done bool
		var err error
		if werr := s.raw.Write(func(fd uintptr) bool {
			done, err = f(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		}); werr != nil {
			return werr
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("send: %w", err)
		}
		if done {
			return nil
		}
		s.arm()
	}
}
