// Command preflight goes through the checklist before a benchmark or a load test: the machine, the disk, the network, and what belongs
// around the test. The conditions are tools/checks'; this is their command line.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/tools/checks"
)

const help = `preflight goes through the checklist before a benchmark or a load test.

Usage:
  preflight [flags]

It prints five columns: condition, required, current, severity, passed; and below them what to do about those that do not hold. A condition
is fatal only where results would be void or the run cannot be. It changes nothing: the file it writes in --dir is removed.

Of this machine, for a second:
  CPU used by others, CPU stolen by the host, pressure (PSI), CPU governor, turbo, clock source, transparent huge pages, swap, io_uring
  (a ring is asked for), limits of open files, locked memory and mappings

Flags:
  --dir DIR               where the test will write (default: the current directory): file system, mount options, free space, and a probe of
                          two seconds that writes at most 256 MiB and flushes it
  --need-space SIZE       free space that the test needs, as in 20GiB (default 1GiB)
  --need-write RATE       bytes a second that the disk must take, flushed, as in 200MB/s (default: any)
  --brokers HOST:PORT,..  each must answer ApiVersions; 20 round trips are timed; --bootstrap-server is the same flag
  --bandwidth             also send each broker 16 MiB of Metadata requests for topics that cannot exist (none is made) and read the same
                          from its answers: the bandwidth is at least what goes through
  --tls                   the brokers speak TLS; no login is needed
  --tls-ca FILE           certificates to trust, in PEM (implies --tls; default: the system's)
  --metrics URL,..        must answer (default: http://HOST:9644/metrics of each broker)
  --baseline DIR          recorded results (default bench/results)
  --rollback-plan FILE    says how to stop the test and go back
  --window DURATION       how long others are watched (default 1s)
  --json                  the result as JSON
  --help                  this text

Exit code:
  0  go; there may be warnings
  1  a fatal condition does not hold
  2  wrong usage
`

// The exit codes.
const (
	exitGo    = 0
	exitStop  = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func parse(args []string) (o checks.Options, asJSON bool, err error) {
	f := flag.NewFlagSet("preflight", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	size := func(p *int64) func(string) error {
		return func(s string) (err error) {
			*p, err = checks.ParseBytes(s)
			return err
		}
	}
	list := func(p *[]string) func(string) error {
		return func(s string) error {
			for one := range strings.SplitSeq(s, ",") {
				if one = strings.TrimSpace(one); one == "" {
					return errors.New("one of the list is empty")
				}
				*p = append(*p, one)
			}
			return nil
		}
	}
	f.StringVar(&o.Dir, "dir", ".", "")
	f.Func("need-space", "", size(&o.NeedSpace))
	f.Func("need-write", "", size(&o.NeedWrite))
	f.Func("brokers", "", list(&o.Brokers))
	f.Func("bootstrap-server", "", list(&o.Brokers))
	f.BoolVar(&o.Bandwidth, "bandwidth", false, "")
	secure := f.Bool("tls", false, "")
	ca := f.String("tls-ca", "", "")
	f.Func("metrics", "", list(&o.Metrics))
	f.StringVar(&o.Baseline, "baseline", "bench/results", "")
	f.StringVar(&o.Rollback, "rollback-plan", "", "")
	f.DurationVar(&o.Window, "window", time.Second, "")
	f.BoolVar(&asJSON, "json", false, "")
	if err := f.Parse(args); err != nil {
		return o, asJSON, err
	}
	o.Checklist = true
	switch {
	case f.NArg() > 0:
		return o, asJSON, fmt.Errorf("%q: preflight takes flags only", f.Arg(0))
	case o.Window < 10*time.Millisecond || o.Window > time.Hour:
		return o, asJSON, fmt.Errorf("--window %v: give 10ms to 1h", o.Window)
	case o.Bandwidth && len(o.Brokers) == 0:
		return o, asJSON, errors.New("--bandwidth needs --brokers")
	}
	if *secure || *ca != "" {
		o.TLS, err = trust(*ca)
	}
	return o, asJSON, err
}

// trust makes a TLS configuration that trusts the certificates in the file, or the system's.
func trust(file string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return c, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca %s: there is no certificate in PEM in it", file)
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, asJSON, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := io.WriteString(stdout, help); err != nil {
			return exitStop
		}
		return exitGo
	}
	if err != nil {
		fmt.Fprintf(stderr, "preflight: %v\nTry `preflight --help`.\n", err)
		return exitUsage
	}
	results := checks.Run(ctx, o)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "preflight: interrupted; nothing is left behind")
		return exitStop
	}
	show := checks.Table
	if asJSON {
		show = checks.JSON
	}
	if err := show(stdout, results); err != nil {
		fmt.Fprintf(stderr, "preflight: %v\n", err)
		return exitStop
	}
	if checks.Fatal(results) {
		return exitStop
	}
	return exitGo
}
