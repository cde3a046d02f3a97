package failpoint

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/engine/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	const healthy = "delay=0s full=false skew=0s"
	for line, want := range map[string]struct {
		id uint64
		f  Fault
	}{
		"1 " + healthy:                                         {1, Fault{}},
		"17 delay=200ms full=false skew=0s":                    {17, Fault{Fault: disk.Fault{Delay: 200 * time.Millisecond}}},
		"17 delay=0s full=false skew=-5s":                      {17, Fault{Skew: -5 * time.Second}},
		"17 delay=0s full=false skew=87600h":                   {17, Fault{Skew: MaxSkew}},
		"17 delay=0s full=false skew=-87600h":                  {17, Fault{Skew: -MaxSkew}},
		"18446744073709551615 delay=1h0m0s full=true skew=1ns": {1<<64 - 1, Fault{disk.Fault{Delay: MaxDelay, Full: true}, 1}},
	} {
		if id, f, err := Parse(line); id != want.id || f != want.f || err != nil {
			t.Errorf("%q: %d, %+v, %v; want %+v", line, id, f, err, want)
		}
	}
	wrong := map[string]uint64{
		"": 0, " ": 0, healthy: 0, "-1 " + healthy: 0, "18446744073709551616 " + healthy: 0, "\x00\xff\x80": 0,
		"7": 7, "7 delay=1s": 7, "7 delay=1s full=true": 7, "7  " + healthy: 7, "7 " + healthy + " ": 7, "7 " + healthy + " skew=0s": 7, "7 full=true delay=1s skew=0s": 7,
	}
	for _, delay := range []string{"delay=", "delay=1", "delay=-1s", "delay=1h0m1s", "delay=9e99h", "1s"} {
		wrong["7 "+delay+" full=true skew=0s"] = 7
	}
	for _, full := range []string{"true", "full=", "full=TRUE", "full=1", "full=true\t"} {
		wrong["7 delay=1s "+full+" skew=0s"] = 7
	}
	for _, skew := range []string{"skew=", "skew=1", "skew=87600h0m0.000000001s", "skew=-87601h", "skew=-9223372036854775808ns", "skew=9e99h", "1s"} {
		wrong["7 delay=1s full=true "+skew] = 7
	}
	for line, want := range wrong {
		if id, f, err := Parse(line); err == nil || id != want || f != (Fault{}) {
			t.Errorf("%q: %d, %+v, %v; want request %d and an error", line, id, f, err, want)
		}
	}
}

// FuzzParse: what is taken lies within the limits, and is the same when it is written again.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"17 delay=200ms full=false skew=0s", "1 delay=0s full=true skew=-5s", "7 delay=1h full=false skew=1h", "x", ""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		id, fault, err := Parse(line)
		if err != nil {
			if fault != (Fault{}) {
				t.Fatalf("%q is refused (%v), and gives %+v", line, err, fault)
			}
			return
		}
		if fault.Delay < 0 || fault.Delay > MaxDelay || fault.Skew < -MaxSkew || fault.Skew > MaxSkew {
			t.Fatalf("%q: %+v", line, fault)
		}
		again, same, err := Parse(fmt.Sprintf("%d delay=%s full=%t skew=%s", id, fault.Delay, fault.Full, fault.Skew))
		if err != nil || again != id || same != fault {
			t.Fatalf("%q: %d %+v, written again: %d %+v, %v", line, id, fault, again, same, err)
		}
	})
}

// parent is the other end of a broker's failpoints.
type parent struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
	logs  lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// begin serves a connection of which the parent has said its first word.
func begin(t *testing.T, first string) (*parent, *Points, error) {
	t.Helper()
	own, other := net.Pipe()
	p := &parent{t: t, conn: other, lines: bufio.NewScanner(other)}
	t.Cleanup(func() { _ = other.Close() })
	answered := make(chan string, 1)
	go func() {
		if first == "" {
			_ = other.Close()
		} else {
			_, _ = other.Write([]byte(first)) // it may be refused
		}
		p.lines.Scan()
		answered <- p.lines.Text()
	}()
	points, err := Serve(own, slog.New(slog.NewTextHandler(&p.logs, nil)))
	if err == nil {
		t.Cleanup(func() { _ = points.Close() })
	}
	if got := <-answered; err == nil && !strings.Contains(got, " ok ") {
		t.Errorf("the answer to %q: %q", first, got)
	}
	return p, points, err
}

func (p *parent) ask(line string) string {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(line + "\n")); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
	if !p.lines.Scan() {
		p.t.Fatalf("%q: no answer: %v", line, p.lines.Err())
	}
	return p.lines.Text()
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A request is in force when it is answered, what cannot be understood changes nothing, and each change is in the log.
func TestRequests(t *testing.T) {
	p, points, err := begin(t, "1 delay=0s full=true skew=0s\n")
	if err != nil {
		t.Fatal(err)
	}
	mem := disk.NewMem()
	d := points.Disk().Over(mem)
	full := func() bool { free, err := d.Free("/"); return free == 0 && err == nil }
	if !full() {
		t.Error("the first word is not in force")
	}
	if _, err := d.Create("/f"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a new file on the full disk: %v", err)
	}
	for _, garbled := range []string{"", "nonsense", "2", "2 delay=x full=true skew=0s", "\x00\x01\xff", strings.Repeat("9", 200), "2 delay=0s full=no skew=0s"} {
		if got := p.ask(garbled); !strings.Contains(got, " error ") {
			t.Errorf("%q: %q", garbled, got)
		}
		if !full() {
			t.Fatalf("%q has changed something", garbled)
		}
	}
	if got := p.ask("3 delay=1ms full=false skew=0s"); got != "3 ok slowed=0 refused=1 misled=0" {
		t.Error(got)
	}
	f, err := d.Create("/f")
	if err != nil || full() {
		t.Fatal(err)
	}
	if err := errors.Join(f.WriteVec([][]byte{{1}}, 0), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if got := p.ask("4 delay=0s full=false skew=0s"); got != "4 ok slowed=2 refused=1 misled=0" {
		t.Error(got)
	}
	points.Refused(func() int64 { return 40 })
	if got := p.ask("5 delay=0s full=false skew=0s"); got != "5 ok slowed=2 refused=41 misled=0" {
		t.Error(got)
	}
	logs := p.logs.String()
	for what, want := range map[string]int{
		"FAILPOINTS ARE ON": 1, "level=WARN": 11, "=0s disk_full=true": 1, "takes_longer_by=1ms": 1, "cannot be understood": 7, "disk and clock are as they are": 1,
	} {
		if n := strings.Count(logs, what); n != want {
			t.Errorf("the log says %q %d times, want %d:\n%s", what, n, want, logs)
		}
	}
	if err := points.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(p.logs.String(), "nobody") {
		t.Error("an end in order is told as the parent's")
	}
}

// When the parent goes, or says what no parent says, the disk is as it was.
func TestTheEndHeals(t *testing.T) {
	for name, end := range map[string]func(p *parent){
		"closed":      func(p *parent) { _ = p.conn.Close() },
		"half a line": func(p *parent) { _, _ = p.conn.Write([]byte("2 delay=1s fu")); _ = p.conn.Close() },
		"endless":     func(p *parent) { _, _ = p.conn.Write(make([]byte, 2*MaxLine)) },
		"line too long": func(p *parent) {
			_, _ = p.conn.Write([]byte("2 delay=1s full=true skew=0s" + strings.Repeat(" ", MaxLine) + "\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, points, err := begin(t, "1 delay=1h full=true skew=0s\n")
			if err != nil {
				t.Fatal(err)
			}
			d := points.Disk().Over(disk.NewMem())
			slow := make(chan error)
			go func() { slow <- d.SyncDir("/") }()
			end(p)
			if err := <-slow; err != nil {
				t.Error(err)
			}
			if free, err := d.Free("/"); free == 0 || err != nil {
				t.Errorf("the disk is still full: %d bytes free, %v", free, err)
			}
			eventually(t, "the log does not say that nobody is there", func() bool { return strings.Contains(p.logs.String(), "nobody can ask") })
			if err := points.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFirstWord(t *testing.T) {
	for first, says := range map[string]string{"": "closed", "hello\n": "does not begin with", "1 delay=-1s full=false skew=0s\n": "from 0s", strings.Repeat("x", 2*MaxLine): "too long"} {
		if _, points, err := begin(t, first); err == nil || points != nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), config.FailpointsVariable) {
			t.Errorf("%.20q: %v, want an error that says %q", first, err, says)
		}
	}
}

func TestInherited(t *testing.T) {
	if conn, err := Inherited(""); conn != nil || err != nil {
		t.Errorf("off: %v, %v", conn, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abroad, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer abroad.Close()
	for value, says := range map[string]string{
		"x": "number of a descriptor", "-1": "number of a descriptor", "0": "from 3 on", "2": "from 3 on", "99999999999": "number", "1000000": "no socket",
		fmt.Sprint(file.Fd()): "no socket", fmt.Sprint(abroad.Fd()): "leads elsewhere", "/tmp/control": "number of a descriptor",
	} {
		conn, err := Inherited(value)
		if conn != nil || !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "unset it") {
			t.Errorf("%s: %v, want an error that says %q", value, err, says)
		}
	}
	if _, err := file.Write([]byte("still mine")); err != nil {
		t.Errorf("a descriptor that was refused is gone: %v", err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.NewFile(uintptr(pair[1]), "parent")
	defer other.Close()
	conn, err := Inherited(fmt.Sprint(pair[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := other.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}
