// Command wiredump says in words what Kafka clients and brokers send each other: from a capture, from raw bytes, or as a proxy between
// them. What the bytes mean is wire's and engine/batch's, what packets are is tools/capture's; here frames are cut, answers are matched
// with their requests, and all is printed.
//
// It judges nothing and changes nothing that goes through it. Input is hostile: a frame is held as it comes, up to --max-frame, a
// connection remembers at most 10,000 requests without answers, and decoding has the bounds of package wire.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/streambus/streambus/tools/capture"
)

// The exit codes.
const (
	exitGood    = 0
	exitProblem = 1
	exitUsage   = 2 // wrong usage, or a file that cannot be read
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // `wiredump … | head` is no failure: the write says EPIPE
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is the parsed command line.
type command struct {
	json, all, hex      bool
	most, maxFrame      int
	ports               []uint16
	requests, responses string
	file                string
	listen, to, save    string
}

func parse(args []string) (c command, err error) {
	f := flag.NewFlagSet("wiredump", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&c.json, "json", false, "")
	f.BoolVar(&c.all, "all", false, "")
	f.BoolVar(&c.hex, "hex", false, "")
	f.IntVar(&c.most, "max", 20, "")
	f.IntVar(&c.maxFrame, "max-frame", defaultFrame, "")
	f.StringVar(&c.requests, "requests", "", "")
	f.StringVar(&c.responses, "responses", "", "")
	f.StringVar(&c.listen, "listen", "", "")
	f.StringVar(&c.to, "to", "", "")
	f.StringVar(&c.save, "save", "", "")
	f.Func("port", "", func(s string) error {
		for _, p := range strings.Split(s, ",") {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return errors.New("give ports from 1 to 65535")
			}
			c.ports = append(c.ports, uint16(n))
		}
		return nil
	})
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 1 {
		return c, fmt.Errorf("%q: one FILE at a time, and flags before it", f.Arg(1))
	}
	c.file = f.Arg(0)
	return c, c.check()
}

func (c command) check() error {
	ways := 0
	for _, given := range []bool{c.file != "", c.requests != "" || c.responses != "", c.listen != "" || c.to != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("give a FILE, or --requests and --responses, or --listen and --to")
	case (c.listen == "") != (c.to == ""):
		return errors.New("--listen and --to go together: where clients connect, and the broker they are passed on to")
	case c.save != "" && c.listen == "":
		return errors.New("--save keeps what the proxy sees: give --listen and --to")
	case c.hex && c.listen != "":
		return errors.New("--hex is for files")
	case c.most < 0:
		return errors.New("--max counts from 0")
	case c.maxFrame < fewestBytes || c.maxFrame > math.MaxInt32:
		return fmt.Errorf("--max-frame %d: give %d to %d bytes", c.maxFrame, fewestBytes, math.MaxInt32)
	case c.listen != "":
		return errors.Join(checkAddress("--listen", c.listen), checkAddress("--to", c.to))
	}
	return nil
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, help); err != nil {
			return exitUsage
		}
		return exitGood
	}
	if err != nil {
		fmt.Fprintf(stderr, "wiredump: %v\nTry `wiredump --help`.\n", err)
		return exitUsage
	}
	p := &printer{w: bufio.NewWriterSize(stdout, 64<<10), json: c.json, all: c.all, most: c.most, live: c.listen != "" || c.file == "-"}
	switch {
	case c.listen != "":
		err = c.live(ctx, p, stderr)
	case c.file == "":
		err = c.pair(stdin, p)
	default:
		err = c.one(stdin, p)
	}
	err = errors.Join(err, p.w.Flush())
	switch {
	case errors.Is(err, syscall.EPIPE): // whoever read has seen enough
	case errors.Is(err, capture.ErrFormat):
		fmt.Fprintf(stderr, "wiredump: %v\n", err)
		return exitProblem
	case err != nil:
		fmt.Fprintf(stderr, "wiredump: %v\n", err)
		return exitUsage
	}
	if p.problems > 0 {
		return exitProblem
	}
	return exitGood
}

// one reads a file that is a capture, or the bytes of a client.
func (c command) one(stdin io.Reader, p *printer) error {
	r, done, err := open(c.file, stdin)
	if err != nil {
		return err
	}
	if c.hex {
		r = newHexReader(r)
	}
	in := bufio.NewReaderSize(r, readSize)
	yes, err := isCapture(in)
	switch {
	case err != nil:
	case yes:
		err = captured(in, c, p.event)
	default:
		err = streams(in, nil, c, p.event)
	}
	return errors.Join(err, done())
}

// pair reads the two directions of a connection.
func (c command) pair(stdin io.Reader, p *printer) error {
	if c.requests == c.responses {
		return errors.New("--requests and --responses are two files")
	}
	var in [2]io.Reader
	for i, name := range []string{c.requests, c.responses} {
		if name == "" {
			continue
		}
		r, done, err := open(name, stdin)
		if err != nil {
			return err
		}
		defer func() { _ = done() }() // it was only read from
		if in[i] = r; c.hex {
			in[i] = newHexReader(r)
		}
	}
	return streams(in[0], in[1], c, p.event)
}

// live is the proxy.
func (c command) live(ctx context.Context, p *printer, stderr io.Writer) (err error) {
	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	var one sync.Mutex
	note := func(format string, a ...any) {
		one.Lock()
		defer one.Unlock()
		fmt.Fprintf(stderr, "wiredump: "+format+"\n", a...)
	}
	x := &proxy{to: c.to, maxFrame: c.maxFrame, note: note, emit: p.event}
	if c.save != "" {
		f, createErr := os.Create(c.save)
		if createErr != nil {
			return errors.Join(createErr, l.Close())
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if x.save, err = capture.NewWriter(f); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	note("listening on %s for %s; interrupt to end", l.Addr(), c.to)
	return x.serve(ctx, l)
}
