// Command logdump prints what the files of a StreamBus data directory hold, in words, and checks them. It only reads: it takes no lock,
// repairs nothing and may be used beside a running broker. What the files mean is engine/inspect's; this is its command line.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
	"github.com/streambus/streambus/engine/inspect/show"
)

// The exit codes.
const (
	exitGood   = 0
	exitDamage = 1
	exitUsage  = 2 // wrong usage, or a path that cannot be read
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // `logdump … | head` is no failure: the write says EPIPE
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// command is the parsed command line.
type command struct {
	o      inspect.Options
	format string
	paths  []string
}

func run(args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, help); err != nil {
			return exitUsage
		}
		return exitGood
	}
	if err != nil {
		fmt.Fprintf(stderr, "logdump: %v\nTry `logdump --help`.\n", err)
		return exitUsage
	}
	buffered := bufio.NewWriterSize(stdout, 64<<10)
	out := show.New(c.format == "json", buffered)
	bar := show.NewProgress(stderr)
	if c.o.Verify { // rows show by themselves how far it is
		c.o.Progress = bar.Tell()
	}
	code := exitGood
	for _, p := range c.paths {
		if err := inspect.Path(inspect.ReadOnly(disk.OS{}), p, c.o, out); errors.Is(err, syscall.EPIPE) {
			return codeOf(out)
		} else if err != nil {
			bar.Clear()
			fmt.Fprintf(stderr, "logdump: %v\n", explain(err))
			code = exitUsage
		}
	}
	bar.Clear()
	if err := buffered.Flush(); err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintf(stderr, "logdump: %v\n", err)
		return exitUsage
	}
	if c.o.Verify {
		damage, notes := out.Found()
		fmt.Fprintf(stderr, "logdump: %d damaged, %d notes\n", damage, notes)
	}
	return max(code, codeOf(out))
}

func codeOf(p *show.Printer) int {
	if damage, _ := p.Found(); damage > 0 {
		return exitDamage
	}
	return exitGood
}

// parse reads the command line. flag stops at the first path, so flags behind paths are read too.
func parse(args []string) (c command, err error) {
	set := flag.NewFlagSet("logdump", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.format, "format", "text", "")
	set.BoolVar(&c.o.Verify, "verify", false, "")
	set.BoolVar(&c.o.Records, "records", false, "")
	set.BoolVar(&c.o.Values, "values", false, "")
	set.BoolVar(&c.o.Compacted, "compacted", false, "")
	set.Int64Var(&c.o.Max, "max", 0, "")
	from := set.Int64("from", 0, "")
	for rest := args; len(rest) > 0; {
		if err := set.Parse(rest); err != nil {
			return c, err
		}
		if rest = set.Args(); len(rest) > 0 {
			c.paths, rest = append(c.paths, rest[0]), rest[1:]
		}
	}
	c.o.From = batch.Offset(*from)
	c.o.Records = c.o.Records || c.o.Values
	switch {
	case c.format != "text" && c.format != "json":
		return c, fmt.Errorf("--format=%s: give text or json", c.format)
	case c.o.Max < 0 || *from < 0:
		return c, fmt.Errorf("--max and --from count from 0")
	case c.o.Verify && (c.o.Records || c.o.Max > 0 || *from > 0):
		return c, fmt.Errorf("--verify checks everything and shows no rows: leave out --records, --values, --from and --max")
	case len(c.paths) == 0:
		return c, fmt.Errorf("name a file, a log's folder or a data directory")
	}
	for i, p := range c.paths {
		if c.paths[i], err = filepath.Abs(p); err != nil {
			return c, err
		}
	}
	return c, nil
}

// explain says what to do about an error.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w; run it as the user of the broker", err)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w; look at the name (a running broker may also have removed it just now)", err)
	}
	return err
}
