package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
	"github.com/streambus/streambus/engine/inspect/show"
	"github.com/streambus/streambus/engine/repair"
)

func logCommand() *cobra.Command {
	c := room("log", "Look into, check and mend the files of a data directory", `Look into, check and mend the files of a data directory. No broker is asked: these commands read the files themselves. dump may be used
beside a running broker; verify and repair want it stopped.`, logDump(), logVerify(), logRepair())
	c.Example = `  streambus log verify /var/lib/streambus
  streambus log dump --records /var/lib/streambus/orders-0 | head`
	return c
}

const findings = `
A finding is a line of the kind damage or note: file, bytes [lo, hi), offsets [first, next) where records are harmed, and what it is. A
note is nothing to worry about: what a crash may leave and nobody was promised. In JSON it is one object a line.`

func logDump() *cobra.Command {
	var o inspect.Options
	var f format
	var from int64
	c := &cobra.Command{
		Use: "dump PATH...", Short: "Print what files hold, in words", Args: cobra.MinimumNArgs(1),
		Long: `Print what files hold, in words. PATH is a data directory, a log's folder (orders-0), a file of them, or a segment of Kafka's own. Each line
begins with the kind of row; a line that begins with # names the columns. Times are UTC; "at" is the byte where something begins.
Contents are quoted as in Go, with \x20 for a space.
` + findings,
		Example: `  streambus log dump /var/lib/streambus/orders-0/00000000000000000000.log
  streambus log dump --values --from 4711 --max 3 /var/lib/streambus/orders-0
  streambus log dump --format json /var/lib/streambus/checkpoint | jq 'select(.kind=="log") | {name, start, end}'`,
		RunE: func(c *cobra.Command, args []string) error {
			if from < 0 || o.Max < 0 {
				return fmt.Errorf("%w: --from and --max count from 0", errUsage)
			}
			o.From, o.Records = batch.Offset(from), o.Records || o.Values
			damage, err := look(c, args, o, f, nil)
			return damageIsFailure(damage, err, "")
		},
	}
	c.Flags().BoolVar(&o.Records, "records", false, "a row for each record too")
	c.Flags().BoolVar(&o.Values, "values", false, "keys, values and headers too; implies --records")
	c.Flags().Int64Var(&from, "from", 0, "leave out what lies below the `OFFSET`")
	c.Flags().Int64Var(&o.Max, "max", 0, "at most so many rows of a file; 0: all")
	c.Flags().BoolVar(&o.Compacted, "compacted", false, "gaps between offsets are no damage: the logs are compacted")
	c.Flags().Var(&f, "format", "how rows are printed: text or json")
	return c
}

func logVerify() *cobra.Command {
	var o inspect.Options
	var f format
	var online bool
	c := &cobra.Command{
		Use: "verify DIR...", Short: "Check every byte, and list what is damaged", Args: cobra.MinimumNArgs(1),
		Long: `Check every byte, and list what is damaged: every CRC, offsets without gaps, seals, indexes against the log, the commit log's frames, the
checkpoint against the logs. DIR is a data directory, a log's folder, or a folder of Kafka's own segments, of which the .log files are
checked. Nothing is changed.

The broker must be stopped, or what is only being written would look like damage; --online looks all the same.
` + findings + `

Exit codes: 0 all is well, 1 damage, 75 the data directory is in use.`,
		Example: "  streambus log verify /var/lib/streambus\n  streambus log verify /var/lib/kafka/orders-0",
		RunE: func(c *cobra.Command, args []string) error {
			o.Verify = true
			unlock, err := lockAll(args, online)
			if err != nil {
				return failure{err}
			}
			defer unlock()
			damage, err := look(c, args, o, f, show.NewProgress(c.ErrOrStderr()))
			return damageIsFailure(damage, err, "restore the files from a copy; what only repeats other files, `streambus log repair` has made anew")
		},
	}
	c.Flags().BoolVar(&o.Compacted, "compacted", false, "gaps between offsets are no damage: the logs are compacted")
	c.Flags().BoolVar(&online, "online", false, "do not mind a broker that uses the directory")
	c.Flags().Var(&f, "format", "how findings are printed: text or json")
	return c
}

func logRepair() *cobra.Command {
	var f format
	var dry bool
	c := &cobra.Command{
		Use: "repair DIR", Short: "Mend what can be mended safely, and print each step", Args: cobra.ExactArgs(1),
		Long: `Mend what can be mended safely, and print each step. That is little: damaged files which only repeat what other files hold (indexes,
seals, recaps) are renamed to NAME.damaged, and the next start of the broker makes them anew. Records are never touched: a damaged .log,
checkpoint or commit log must come from a copy, and is listed on stderr.

The broker must be stopped. Exit codes: 0 all is well now, 1 damage is left, 75 the data directory is in use.`,
		Example: "  streambus log repair /var/lib/streambus --dry-run\n  streambus log repair /var/lib/streambus",
		RunE: func(c *cobra.Command, args []string) error {
			if err := mend(c, args[0], f, dry); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only print what would be done")
	c.Flags().Var(&f, "format", "how steps are printed: text or json")
	return c
}

// look has paths shown or checked. bar may be nil.
func look(c *cobra.Command, paths []string, o inspect.Options, f format, bar *show.Progress) (damage int, err error) {
	out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
	printer := show.New(f.json, out)
	if bar != nil {
		o.Progress = bar.Tell()
		defer bar.Clear()
	}
	var errs []error
	for _, p := range paths {
		if err := lookAt(p, o, printer); errors.Is(err, syscall.EPIPE) {
			return 0, nil // who reads has read enough
		} else if err != nil {
			errs = append(errs, explainFile(err))
		}
	}
	if err := out.Flush(); err != nil && !errors.Is(err, syscall.EPIPE) {
		errs = append(errs, err)
	}
	damage, notes := printer.Found()
	if o.Verify {
		fmt.Fprintf(c.ErrOrStderr(), "%d damaged, %d notes\n", damage, notes)
	}
	return damage, errors.Join(errs...)
}

func lookAt(name string, o inspect.Options, sink inspect.Sink) error {
	name, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	fsys := inspect.ReadOnly(disk.OS{})
	if !o.Verify {
		return inspect.Path(fsys, name, o, sink)
	}
	segments, err := foreign(name)
	if err != nil || segments == nil {
		return errors.Join(err, inspect.Path(fsys, name, o, sink))
	}
	o.Compacted = true // nothing says whether it is
	for _, s := range segments {
		if err := inspect.File(fsys, s, o, sink); err != nil {
			return err
		}
	}
	return nil
}

// foreign lists the segments of a folder that Kafka made: one with segments, and without the file that names a log here. nil: it is not one.
func foreign(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil // a file, or nothing: whoever looks into it says so
	}
	var segments []string
	kafka := false
	for _, e := range entries {
		switch {
		case e.Name() == "log.meta", e.Name() == "checkpoint":
			return nil, nil
		case e.Name() == "partition.metadata", e.Name() == "leader-epoch-checkpoint":
			kafka = true
		case strings.HasSuffix(e.Name(), ".log"):
			segments = append(segments, filepath.Join(dir, e.Name()))
		}
	}
	if !kafka {
		return nil, nil
	}
	slices.Sort(segments)
	return segments, nil
}

func explainFile(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run this as the user of the broker", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; look at the name (a running broker may also have removed it just now)", err)
	}
	return err
}

func damageIsFailure(damage int, err error, advice string) error {
	if damage > 0 {
		found := fmt.Sprintf("%d places are damaged", damage)
		if advice != "" {
			found += ": " + advice
		}
		err = errors.Join(err, errors.New(found))
	}
	if err == nil || errors.Is(err, errUsage) {
		return err
	}
	return failure{err}
}

// lockAll takes the locks of the data directories among paths, so that no broker can start while they are read. Where a lock cannot be taken
// for other reasons than a broker (a read-only copy), it is not needed.
func lockAll(paths []string, online bool) (unlock func(), err error) {
	var held []io.Closer
	unlock = func() {
		for _, h := range held {
			_ = h.Close() // the process ends soon
		}
	}
	if online {
		return unlock, nil
	}
	for _, p := range paths {
		for _, dir := range []string{p, filepath.Dir(filepath.Clean(p))} { // a log's folder lies in a data directory
			name := filepath.Join(dir, ".lock")
			if _, err := os.Stat(name); err != nil {
				continue
			}
			h, err := disk.OS{}.Lock(name)
			if errors.Is(err, disk.ErrLocked) {
				unlock()
				return nil, fmt.Errorf("%w: %w; stop that broker, or say --online to look all the same", engine.ErrLocked, err)
			}
			if err == nil {
				held = append(held, h)
			}
			break
		}
	}
	return unlock, nil
}

// mend is log repair.
func mend(c *cobra.Command, dir string, f format, dry bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err != nil {
		return fmt.Errorf("%s is no data directory that could be mended: it has no checkpoint (%w); give the directory that log.dirs names", dir, err)
	}
	lock, err := disk.OS{}.Lock(filepath.Join(dir, ".lock"))
	if errors.Is(err, disk.ErrLocked) {
		return fmt.Errorf("%w: %w; stop that broker first", engine.ErrLocked, err)
	} else if err != nil {
		return explainFile(err)
	}
	defer func() { _ = lock.Close() }() // nothing was written to it
	bar := show.NewProgress(c.ErrOrStderr())
	var found repair.Findings
	err = inspect.Path(inspect.ReadOnly(disk.OS{}), dir, inspect.Options{Verify: true, Progress: bar.Tell()}, &found)
	bar.Clear()
	if err != nil {
		return explainFile(err)
	}
	steps, left := repair.PlanOf(found.Damage)
	taken := steps
	if !dry {
		taken = nil
		err = repair.Run(disk.OS{}, steps, func(s repair.Step) error {
			taken = append(taken, s)
			return nil
		})
	}
	return errors.Join(rows(c, f, taken), err, leftOver(left, found.More))
}

// leftOver is the error for what cannot be mended; nil when there is nothing.
func leftOver(left []inspect.Finding, more bool) error {
	if len(left) == 0 && !more {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d places are damaged that only a copy can mend:", len(left))
	for i, x := range left {
		if i == 20 {
			fmt.Fprintf(&b, "\n  and %d more", len(left)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s, bytes [%d, %d): %s", cell(x.File), x.Lo, x.Hi, x.What)
	}
	if more {
		fmt.Fprintf(&b, "\n  there were more than %d findings; run it again", repair.MaxFindings)
	}
	return errors.New(b.String())
}
