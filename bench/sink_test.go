package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// sinkEnv makes the test binary a sink: its value is the folder to write in.
const sinkEnv = "BENCH_SINK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(sinkEnv); dir != "" {
		if err := sink(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	sinkFile  = 256 << 20 // written round and round, as a commit log is
	sinkGroup = 1 << 20   // bytes of one write
)

// sink reads frames of all connections, writes them to a file in groups, a flush for each, and answers each with 8 bytes: it does for a
// produce request what nobody can leave out, and nothing else. It prints its address and serves until it is killed.
func sink(dir string) error {
	f, err := os.Create(filepath.Join(dir, "sink"))
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < sinkFile; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		if err := serveSink(c, f); err != nil && err != io.EOF {
			return err
		}
	}
}

// serveSink serves one connection to its end.
func serveSink(c net.Conn, f *os.File) error {
	const inFlight = 256
	frames, free := make(chan []byte, inFlight), make(chan []byte, inFlight)
	failed := make(chan error, 1)
	go func() { failed <- commitSink(c, f, frames, free) }()
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			close(frames)
			<-failed
			return err
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		var b []byte
		select {
		case b = <-free:
		default:
		}
		if cap(b) < n {
			b = make([]byte, n)
		}
		if _, err := io.ReadFull(r, b[:n]); err != nil {
			close(frames)
			<-failed
			return err
		}
		frames <- b[:n]
	}
}

// commitSink writes what has come while the last group was flushed.
func commitSink(c net.Conn, f *os.File, frames <-chan []byte, free chan<- []byte) error {
	at, answers := int64(0), []byte{}
	for first := range frames {
		group, size := [][]byte{first}, len(first)
	gather:
		for size < sinkGroup {
			select {
			case b, ok := <-frames:
				if !ok {
					break gather
				}
				group, size = append(group, b), size+len(b)
			default:
				break gather
			}
		}
		if at+int64(size) > sinkFile {
			at = 0
		}
		if _, err := unix.Pwritev(int(f.Fd()), group, at); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		at += int64(size)
		answers = answers[:0]
		for _, b := range group {
			answers = append(append(answers, 0, 0, 0, 4), b[4:8]...) // the correlation id
			select {
			case free <- b:
			default:
			}
		}
		if _, err := c.Write(answers); err != nil {
			return err
		}
	}
	return nil
}
