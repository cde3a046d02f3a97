// Package checks asks whether a machine is fit for a benchmark, and says it in the five columns of `rpk redpanda check`: condition,
// required, current, severity, passed.
//
// It only looks: it changes no setting, and what it writes (the probe of the disk) it removes. It does not decide what to do with the
// answer. A condition is fatal only where results would be void, or where the run cannot be; all else is a warning.
//
//	results := checks.Quick(ctx)                       // a quarter of a second, of this machine alone: for reports
//	results := checks.Run(ctx, checks.Options{…})      // all of it: what bin/preflight prints
//	if checks.Fatal(results) { … }
//
// What cannot be found out passes, and Current says "unknown": a check that cannot see is no reason to stop.
package checks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Severity is how bad it is if a condition does not hold.
type Severity string

const (
	Warning Severity = "warning" // results are worse or noisier than they could be, or something is missing around the test
	Stop    Severity = "fatal"   // results would be void, or the run cannot be
)

// Result is one condition.
type Result struct {
	Condition string   `json:"condition"`
	Required  string   `json:"required"`
	Current   string   `json:"current"`
	Severity  Severity `json:"severity"`
	Passed    bool     `json:"passed"`
	Do        string   `json:"do,omitempty"` // what to do about it; empty when it holds
}

// unknown passes.
const unknown = "unknown"

// Fatal says whether a fatal condition does not hold.
func Fatal(all []Result) bool {
	for _, r := range all {
		if !r.Passed && r.Severity == Stop {
			return true
		}
	}
	return false
}

// Table prints the five columns, and below them what to do about the conditions that do not hold.
func Table(w io.Writer, all []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONDITION\tREQUIRED\tCURRENT\tSEVERITY\tPASSED")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%t\n", r.Condition, r.Required, r.Current, r.Severity, r.Passed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range all {
		if !r.Passed && r.Do != "" {
			fmt.Fprintf(&b, "%s: %s\n", r.Condition, r.Do)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, "\n"+b.String())
	return err
}

// JSON prints the results as one array.
func JSON(w io.Writer, all []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

// Options say what the test needs, and where. The zero value looks at this machine only.
type Options struct {
	Root      string        // where proc and sys are; empty is /
	Window    time.Duration // how long the load of others is watched; 0 is a second
	Dir       string        // where the test will write; empty: the disk is not looked at
	NeedSpace int64         // bytes free in Dir; 0 is a GiB
	NeedWrite int64         // bytes a second that the disk must take, flushed; 0: any
	Brokers   []string      // host:port, each is connected to
	TLS       *tls.Config   // nil: the brokers speak in the clear
	Bandwidth bool          // send and receive some MiB with each broker
	Metrics   []string      // URLs that must answer: the brokers' /metrics
	Baseline  string        // folder of recorded results; empty: not asked for
	Rollback  string        // file with the plan for going back
	Checklist bool          // monitoring, baseline and rollback plan are asked for even where they are not named
}

// QuickWindow is how long Quick watches the machine.
const QuickWindow = 250 * time.Millisecond

// Quick looks at what every benchmark on this machine depends on. It takes QuickWindow and writes nothing; call it before the load begins.
func Quick(ctx context.Context) []Result {
	s := system{root: "/"}
	all := s.load(ctx, QuickWindow)
	all = append(all, s.governor()...)
	return append(all, s.clockSource(), s.hugePages(), s.swap())
}

// Run looks at all that the options ask for.
func Run(ctx context.Context, o Options) []Result {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Window == 0 {
		o.Window = time.Second
	}
	if o.NeedSpace == 0 {
		o.NeedSpace = 1 << 30
	}
	s := system{root: o.Root}
	all := s.load(ctx, o.Window)
	all = append(all, s.governor()...)
	all = append(all, s.clockSource(), s.hugePages(), s.swap(), uring(), openFiles(), lockedMemory(), s.maps())
	if o.Dir != "" {
		all = append(all, s.fileSystem(o.Dir)...)
		all = append(all, disk(ctx, o.Dir, o.NeedSpace, o.NeedWrite)...)
	}
	if anyRemote(o.Brokers) {
		all = append(all, clockSynced())
	}
	for _, b := range o.Brokers {
		all = append(all, network(ctx, b, o.TLS, o.Bandwidth)...)
	}
	return append(all, house(ctx, o)...)
}

// system is the machine's /proc and /sys.
type system struct{ root string }

func (s system) path(parts ...string) string {
	return filepath.Join(append([]string{s.root}, parts...)...)
}
