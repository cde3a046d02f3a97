package main

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// screen is what a terminal shows that knows line feeds, returns, "up n", "erase below" and colors: what the display uses.
// Anything else is an error.
type screen struct {
	lines   []string
	row     int
	column  int
	redrawn int // times that the cursor went up
	most    int // lines at any time
	bad     []string
}

func (s *screen) write(text string) {
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				s.bad = append(s.bad, text)
				return
			}
			s.escape(text[2:2+end], text[2+end])
			text = text[3+end:]
			continue
		case text[0] == '\n':
			s.row++
		case text[0] == '\r':
			s.column = 0
		default:
			s.put(text[0])
		}
		text = text[1:]
	}
}

func (s *screen) escape(arg string, command byte) {
	n, _ := strconv.Atoi(arg)
	switch {
	case command == 'A':
		s.row -= max(n, 1)
		s.redrawn++
		if s.row < 0 {
			s.bad = append(s.bad, "above the first line")
			s.row = 0
		}
	case command == 'J' && n == 0:
		if s.row < len(s.lines) {
			s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
			s.lines = s.lines[:s.row+1]
		}
	case command == 'm':
	default:
		s.bad = append(s.bad, "escape "+arg+string(command))
	}
}

func (s *screen) put(b byte) {
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	line := s.lines[s.row]
	for len(line) < s.column {
		line += " "
	}
	s.lines[s.row] = line[:s.column] + string(rune(b)) + line[min(s.column+1, len(line)):]
	s.column++
	s.most = max(s.most, len(s.lines))
}

func TestDisplayOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := io.Copy(&seen, master)
		if err != nil && !errors.Is(err, syscall.EIO) { // how Linux says that the other end is closed
			t.Error(err)
		}
	})
	p := tinyPlan()
	p.Scenarios[0].Stages[0].Duration = 2200 * time.Millisecond
	if code := runPlan(t.Context(), p, runOptions{Brokers: c.ListenAddrs(), Out: t.TempDir(), Format: "text", Stdout: io.Discard, Stderr: tty}); code != plan.ExitPass {
		t.Errorf("exit code %d", code)
	}
	tty.Close()
	wg.Wait()

	var s screen
	s.write(seen.String())
	if len(s.bad) > 0 {
		t.Errorf("the terminal was sent what it does not know: %q", s.bad)
	}
	if s.redrawn < 3 || s.most < 3 || s.most > 7 {
		t.Errorf("redrawn %d times, at most %d lines", s.redrawn, s.most)
	}
	if left := strings.TrimSpace(strings.Join(s.lines, "\n")); left != "" || s.row != 0 || s.column != 0 {
		t.Errorf("left on the screen, cursor at %d, %d: %q", s.row, s.column, left)
	}
	for _, want := range []string{"tiny", "offered", "p99", "lag", "errors", "left", "\x1b[1m"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("%q was never shown", want)
		}
	}
}
