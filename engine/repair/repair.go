// Package repair does to the data directory of a stopped broker what is safe, and nothing else: files that only repeat what is written
// elsewhere, and that are damaged, are moved aside, so that the next start makes them anew. It decides by the findings of engine/inspect.
//
// It never touches records (.log), the commit log, the checkpoint or a log's identity: for those there is a copy, or there is nothing.
// It cuts nothing off: a torn end is the engine's to judge, at its next start.
//
//	findings ── PlanOf (pure) ──▶ steps, and what is left ── Run ──▶ renames, each folder synced
//
// # What is safe
//
//	.seal .index .timeindex   of a segment whose .log is sound: all three go together, since they speak of each other
//	recap                     always: it is a shortcut for the start
//
// # Invariants
//
//	R1  Nothing is removed: a file is renamed to NAME.damaged, or NAME.damaged2, …, beside where it was.
//	R2  A segment with a finding of damage in its .log keeps its side files: they are the witness of what was there.
//	R3  Whoever runs it holds the directory's lock.
package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/inspect"
)

// Step is one file to move aside.
type Step struct {
	File string `json:"file"`
	To   string `json:"to"` // where it was moved; a name only, "" before Run
	Why  string `json:"why"`
}

// MaxFindings bounds what Collect keeps.
const MaxFindings = 100_000

// Findings keeps what inspect finds damaged.
type Findings struct {
	Damage []inspect.Finding
	Notes  int
	More   bool // there were more than MaxFindings
}

// Row implements inspect.Sink.
func (f *Findings) Row(inspect.Row) error { return nil }

// Finding implements inspect.Sink.
func (f *Findings) Finding(x inspect.Finding) error {
	switch {
	case !x.Damage:
		f.Notes++
	case len(f.Damage) >= MaxFindings:
		f.More = true
	default:
		f.Damage = append(f.Damage, x)
	}
	return nil
}

const (
	logSuffix  = ".log"
	recapName  = "recap"
	asideMark  = ".damaged"
	nameDigits = 20
)

var sideSuffixes = []string{".seal", ".index", ".timeindex"}

// PlanOf says what may be done about findings, in the order of names, and which of them nothing can be done about.
func PlanOf(found []inspect.Finding) (steps []Step, left []inspect.Finding) {
	harmed := map[string]bool{} // segments, by path without suffix
	for _, f := range found {
		if seg, ok := strings.CutSuffix(f.File, logSuffix); ok {
			harmed[seg] = true
		}
	}
	planned := map[string]bool{}
	add := func(file, why string) {
		if !planned[file] {
			planned[file] = true
			steps = append(steps, Step{File: file, Why: why})
		}
	}
	for _, f := range found {
		seg, side := segmentOf(f.File)
		switch {
		case path.Base(f.File) == recapName:
			add(f.File, f.What)
		case side && !harmed[seg] && f.First == batch.NoOffset:
			for _, suffix := range sideSuffixes {
				why := "speaks of the same segment as " + path.Base(f.File)
				if seg+suffix == f.File {
					why = f.What
				}
				add(seg+suffix, why)
			}
		default:
			left = append(left, f)
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.File, b.File) })
	return steps, left
}

// segmentOf is a side file's segment, by its path without suffix.
func segmentOf(file string) (seg string, side bool) {
	for _, suffix := range sideSuffixes {
		if seg, ok := strings.CutSuffix(file, suffix); ok && len(path.Base(seg)) == nameDigits {
			return seg, true
		}
	}
	return "", false
}

// Run takes the steps, in order, and tells of each before the next: done is called with the step as it was taken. A file that there is not
// is passed over. Errors: those of the disk; what was told is done then, and durable but for the last folder.
func Run(d disk.FS, steps []Step, done func(Step) error) error {
	for _, s := range steps {
		dir := path.Dir(s.File)
		to, err := freeName(d, s.File)
		if err == nil {
			err = d.Rename(s.File, to)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = d.SyncDir(dir)
		}
		if err != nil {
			return fmt.Errorf("move %s aside: %w", s.File, err)
		}
		s.To = path.Base(to)
		if err := done(s); err != nil {
			return err
		}
	}
	return nil
}

// freeName is where a file can be moved without taking another one's place (R1).
func freeName(d disk.FS, file string) (string, error) {
	entries, err := d.ReadDir(path.Dir(file))
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, e := range entries {
		taken[e.Name] = true
	}
	to := path.Base(file) + asideMark
	for n := 2; taken[to]; n++ {
		to = fmt.Sprint(path.Base(file), asideMark, n)
	}
	return path.Join(path.Dir(file), to), nil
}
