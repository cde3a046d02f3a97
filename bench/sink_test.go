package bench

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// sinkEnv makes the test binary a sink: its value is the folder to write in. With keepEnv it keeps what it gets.
const (
	sinkEnv = "BENCH_SINK_DIR"
	keepEnv = "BENCH_SINK_KEEPS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(sinkEnv); dir != "" {
		if err := sink(dir, os.Getenv(keepEnv) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

const (
	sinkFile     = 256 << 20 // written round and round, as a commit log is
	sinkGroup    = 1 << 20   // bytes of one write, and
	sinkFrames   = 1024      // frames of one write (IOV_MAX)
	sinkInFlight = 256       // frames of one connection that wait
	askBody      = 8         // bytes after the size of a frame that asks for bytes: a number to answer with, and how many
)

// sink is what nobody can leave out, and nothing else. It reads frames of all connections, writes them to a file in groups with a flush
// for each, and answers each with 8 bytes; and to a frame that asks for bytes it sends so many of a cached file by sendfile. It prints
// its address and serves until it is killed. One that keeps goes on in a new file where another begins anew, as whoever stores must.
func sink(dir string, keeps bool) error {
	f, err := newSinkFile(filepath.Join(dir, "sink"))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	if keeps {
		return serveSink(ln, f, dir)
	}
	return serveSink(ln, f, "")
}

func newSinkFile(name string) (*os.File, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < sinkFile; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return nil, err
		}
	}
	return f, f.Sync()
}

// keptFile makes a file to go on in, with its room reserved.
func keptFile(name string) (*os.File, error) {
	f, err := os.Create(name)
	if err == nil {
		err = unix.Fallocate(int(f.Fd()), 0, 0, sinkFile)
	}
	return f, err
}

// serveSink serves until the listener is closed or the disk fails. What is kept goes to keep, if that is a folder.
func serveSink(ln net.Listener, f *os.File, keep string) error {
	frames := make(chan sinkFrame, sinkInFlight)
	failed := make(chan error, 2)
	go func() { failed <- commitSink(f, keep, frames) }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				failed <- err
				return
			}
			go readSink(c, f, frames)
		}
	}()
	return <-failed
}

// sinkFrame is a frame that waits for the disk.
type sinkFrame struct {
	body []byte
	from *sinkConn
}

// sinkConn is one connection; answers is of the commit alone.
type sinkConn struct {
	net.Conn
	free    chan []byte // bodies to read into again
	answers []byte
}

// readSink reads one connection to its end. What goes wrong ends it, and its client says so.
func readSink(conn net.Conn, f *os.File, frames chan<- sinkFrame) {
	c := &sinkConn{Conn: conn, free: make(chan []byte, sinkInFlight)}
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		var b []byte
		select {
		case b = <-c.free:
		default:
		}
		b, err := readAnswer(r, b)
		if err == nil && len(b) == askBody {
			err = c.give(f, b)
		}
		if err != nil {
			_ = c.Close()
			return
		}
		if len(b) != askBody {
			frames <- sinkFrame{b, c}
		}
	}
}

// give answers a frame that asks for bytes.
func (c *sinkConn) give(f *os.File, ask []byte) error {
	n := int64(binary.BigEndian.Uint32(ask[4:]))
	head := binary.BigEndian.AppendUint32(nil, uint32(4+n))
	if _, err := c.Write(append(head, ask[:4]...)); err != nil {
		return err
	}
	in := int(f.Fd())
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	for at := int64(0); at < n && failed == nil && err == nil; {
		err = raw.Write(func(out uintptr) bool {
			var sent int
			sent, failed = unix.Sendfile(int(out), in, &at, int(min(n-at, sinkFile-at)))
			if failed == unix.EAGAIN || failed == unix.EINTR {
				again := failed == unix.EINTR
				failed = nil
				return again
			}
			if sent == 0 && failed == nil {
				failed = io.ErrUnexpectedEOF
			}
			return true
		})
	}
	return errors.Join(failed, err)
}

// commitSink writes what has come while the last group was flushed.
func commitSink(f *os.File, keep string, frames <-chan sinkFrame) error {
	at, files := int64(0), 0
	var group []sinkFrame
	var bodies [][]byte
	for first := range frames {
		group, bodies = append(group[:0], first), append(bodies[:0], first.body)
		size := len(first.body)
	gather:
		for size < sinkGroup && len(group) < sinkFrames {
			select {
			case b := <-frames:
				group, bodies, size = append(group, b), append(bodies, b.body), size+len(b.body)
			default:
				break gather
			}
		}
		if at+int64(size) > sinkFile {
			at = 0
			if files++; keep != "" {
				next, err := keptFile(filepath.Join(keep, fmt.Sprint("kept-", files)))
				if err != nil {
					return err
				}
				if files > 1 { // the first one is for those who ask for bytes
					_ = f.Close()
				}
				f = next
			}
		}
		if n, err := unix.Pwritev(int(f.Fd()), bodies, at); err != nil || n < size {
			return fmt.Errorf("wrote %d of %d bytes: %w", n, size, err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		at += int64(size)
		answerSink(group)
	}
	return nil
}

// answerSink answers a group, with one write for each connection.
func answerSink(group []sinkFrame) {
	for _, b := range group {
		b.from.answers = append(append(b.from.answers, 0, 0, 0, 4), b.body[4:8]...) // the correlation id
		select {
		case b.from.free <- b.body:
		default:
		}
	}
	for _, b := range group {
		if len(b.from.answers) > 0 {
			_, _ = b.from.Write(b.from.answers) // a connection that broke is its client's to notice
			b.from.answers = b.from.answers[:0]
		}
	}
}

// ask is a frame that asks a sink for n bytes.
func ask(n int) []byte {
	f := binary.BigEndian.AppendUint32(nil, askBody)
	return binary.BigEndian.AppendUint32(append(f, 0, 0, 0, 7), uint32(n))
}

func TestSinkKeepsWhatItAnswersAndGivesWhatIsAsked(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sink")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serveSink(ln, f, "") }()
	var conns []net.Conn
	var want []byte
	for i := range 2 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		body := bytes.Repeat([]byte{byte('a' + i)}, 100)
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			t.Fatal(err)
		}
		answer, err := readAnswer(c, nil)
		if err != nil || !bytes.Equal(answer, body[4:8]) {
			t.Fatalf("connection %d was answered %q: %v", i, answer, err)
		}
		want = append(want, body...)
	}
	const most = 300 << 10
	if _, err := conns[1].Write(ask(most)); err != nil {
		t.Fatal(err)
	}
	got, err := readAnswer(conns[1], nil)
	if err != nil || len(got) != 4+most || !bytes.Equal(got[4:4+len(want)], want) {
		t.Errorf("asked for %d bytes, got %d that begin %.8q: %v", most, len(got), got, err)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	_ = ln.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
