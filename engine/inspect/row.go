package inspect

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// Row is one thing that a file holds.
type Row struct {
	File   string
	Kind   string // one lower-case word; all rows of a kind have the same fields, but for those that Options add
	Fields []Field
}

// Field is a named value: an int64, a uint64, a string, a bool, Millis, or Bytes.
type Field struct {
	Name  string
	Value any
}

// Millis is a time in milliseconds since 1970; below 0 it is none.
type Millis int64

// Bytes are contents; nil means null. They are valid during the call only.
type Bytes []byte

// Finding is something wrong, or worth knowing.
type Finding struct {
	Damage      bool // else a note
	File        string
	Lo, Hi      int64        // bytes [Lo, Hi) of the file
	First, Next batch.Offset // records [First, Next) may be harmed; both NoOffset when none are, or none can be named
	What        string       // what was found, and what to do
}

// Sink takes what is found. An error ends the work and is returned.
type Sink interface {
	Row(Row) error
	Finding(Finding) error
}

// Options choose what is read and told.
type Options struct {
	Verify      bool         // no rows, only findings; folders are checked as a whole
	Records     bool         // a row for each record
	Values      bool         // keys, values and headers too
	From        batch.Offset // leave out batches, records and index entries below
	Max         int64        // rows of a file at most; 0: no limit
	Compacted   bool         // gaps between offsets are no damage: the logs are compacted
	DecodeLimit int          // bytes of the records of one batch, decompressed; default 64 MiB
	// Progress is told how far a file is read, about every MiB; may be nil.
	Progress func(file string, done, total int64)
}

// The bounds of V2.
const (
	// MaxBatch is the largest batch, in bytes, of which more than the CRC is checked.
	MaxBatch = 64 << 20
	// MaxLogs is how many logs of a checkpoint can be compared with their folders.
	MaxLogs = 1 << 20

	defaultDecodeLimit = 64 << 20
)

// errEnough ends a file when Options.Max rows are shown.
var errEnough = errors.New("enough rows")

// run is one call of Path or File.
type run struct {
	d     disk.FS
	o     Options
	sink  Sink
	rows  int64 // of the present file
	quiet bool  // findings are dropped: the file holds nothing that counts
}

func (r *run) show() bool { return !r.o.Verify }

func (r *run) row(file, kind string, fields ...Field) error {
	if r.o.Max > 0 && r.rows >= r.o.Max {
		return errEnough
	}
	r.rows++
	return r.sink.Row(Row{File: file, Kind: kind, Fields: fields})
}

// place is where a finding is.
type place struct {
	file        string
	lo, hi      int64
	first, next batch.Offset
}

func at(file string, lo, hi int64) place {
	return place{file, lo, hi, batch.NoOffset, batch.NoOffset}
}

func (p place) offsets(first, next batch.Offset) place {
	p.first, p.next = first, next
	return p
}

func (r *run) damage(p place, format string, args ...any) error { return r.find(true, p, format, args) }
func (r *run) note(p place, format string, args ...any) error   { return r.find(false, p, format, args) }

// report is damage or, where nothing was promised, a note.
func (r *run) report(promised bool, p place, format string, args ...any) error {
	return r.find(promised, p, format, args)
}

func (r *run) find(damage bool, p place, format string, args []any) error {
	if r.quiet {
		return nil
	}
	return r.sink.Finding(Finding{
		Damage: damage, File: p.file, Lo: p.lo, Hi: p.hi, First: p.first, Next: p.next, What: fmt.Sprintf(format, args...),
	})
}

func hex32(v uint32) string { return fmt.Sprintf("%08x", v) }
func hex64(v uint64) string { return fmt.Sprintf("%016x", v) }

func state(ok bool) string {
	if ok {
		return "ok"
	}
	return "bad"
}
