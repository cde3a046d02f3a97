package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/streambus/streambus/tools/capture"
)

// readSize is how much of a raw stream is looked at at once.
const readSize = 64 << 10

// captured reads a pcap file.
func captured(r io.Reader, c command, emit func(event) error) error {
	all := map[int]*conversation{}
	return capture.Read(r, c.ports, func(k capture.Chunk) error {
		v := all[k.Flow.ID]
		if v == nil {
			v = newConversation(k.Flow.ID, k.Flow.Client.String(), k.Flow.Server.String(), c.maxFrame, emit)
			all[k.Flow.ID] = v
		}
		if k.End {
			delete(all, k.Flow.ID)
			return v.end(k.At)
		}
		return v.feed(k.At, k.FromClient, k.Lost, k.Data)
	})
}

// streams reads the requests of one connection, then its answers; either may be missing.
func streams(requests, answers io.Reader, c command, emit func(event) error) error {
	v := newConversation(1, "", "", c.maxFrame, emit)
	for _, side := range []struct {
		r          io.Reader
		fromClient bool
	}{{requests, true}, {answers, false}} {
		if side.r == nil {
			continue
		}
		if err := feedAll(v, side.r, side.fromClient); err != nil {
			return err
		}
	}
	if answers == nil {
		clear(v.due) // nobody looked for answers
	}
	return v.end(time.Time{})
}

func feedAll(v *conversation, r io.Reader, fromClient bool) error {
	buf := make([]byte, readSize)
	for {
		n, err := r.Read(buf)
		if feedErr := v.feed(time.Time{}, fromClient, 0, buf[:n]); feedErr != nil {
			return feedErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// hexReader reads the bytes that a dump in hexadecimal digits stands for: bare digits, or lines of xxd or hexdump -C, which have an offset
// in front and the characters behind. What follows a # is a comment.
type hexReader struct {
	lines *bufio.Scanner
	n     int
	left  []byte
}

func newHexReader(r io.Reader) *hexReader {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	return &hexReader{lines: s}
}

// Read implements io.Reader.
func (h *hexReader) Read(p []byte) (int, error) {
	for len(h.left) == 0 {
		if !h.lines.Scan() {
			if err := h.lines.Err(); err != nil {
				return 0, fmt.Errorf("line %d: %w", h.n+1, err)
			}
			return 0, io.EOF
		}
		h.n++
		digits := hexDigits(h.lines.Text())
		b, err := hex.DecodeString(digits)
		if err != nil {
			return 0, fmt.Errorf("line %d: %w: give digits, or the output of xxd or hexdump -C", h.n, err)
		}
		h.left = b
	}
	n := copy(p, h.left)
	h.left = h.left[n:]
	return n, nil
}

// hexDigits takes offset, characters, comment and spaces off a line.
func hexDigits(line string) string {
	line, _, _ = strings.Cut(line, "#")
	if _, rest, ok := strings.Cut(line, ": "); ok { // xxd: offset: digits, two spaces, characters
		line, _, _ = strings.Cut(strings.TrimLeft(rest, " "), "  ")
	} else if before, _, ok := strings.Cut(line, "|"); ok { // hexdump -C: offset, two spaces, digits, |characters|
		_, line, _ = strings.Cut(before, "  ")
	}
	return strings.Join(strings.Fields(line), "")
}

// isCapture looks at the first bytes of a file, which stay to be read.
func isCapture(r *bufio.Reader) (bool, error) {
	b, err := r.Peek(4)
	if errors.Is(err, io.EOF) {
		return false, nil // too short to be one
	}
	if err != nil {
		return false, err
	}
	switch fmt.Sprintf("%x", b) {
	case "a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "0a0d0d0a":
		return true, nil
	}
	return false, nil
}

// open opens a file, or stdin for "-".
func open(name string, stdin io.Reader) (io.Reader, func() error, error) {
	if name == "-" {
		return stdin, func() error { return nil }, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

// checkAddress says whether a listener or broker is host:port.
func checkAddress(flag, a string) error {
	if _, _, err := net.SplitHostPort(a); err != nil {
		return fmt.Errorf("%s %q: %w; write host:port", flag, a, err)
	}
	return nil
}
