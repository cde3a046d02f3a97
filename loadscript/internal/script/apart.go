package script

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Steps bound neither memory nor the time that one built-in takes: "a" * (1 << 29) is one step, and max(range(1 << 60)) never
// ends. So a script is read by another process, which is this program again (BecomeReader), under resource limits; and where
// it is at any moment stands in memory that both share, so that a message can name the line even when that process was killed.
//
//	loadscript ---request (stdin, gob)--------------> reader: limits itself, Load
//	           <--what print() says (stdout)---------
//	           <--answer (fd 3, gob)-----------------
//	           <--trace (fd 4, a mapped file)--------
//
// The trace is one page, little endian; the reader writes it before each step:
//
//	| line 4 | column 4 | length 4 | name of the file, length bytes |

// readerEnv marks a process that is to be a reader.
const readerEnv = "LOADSCRIPT_READS_SCRIPT"

const (
	traceBytes   = 4096
	answerBytes  = 256 << 20 // more than the pools of a plan that fits into the memory limit
	crashBytes   = 64 << 10  // of what the Go runtime says when it dies
	readerGrace  = 2 * time.Second
	defaultSteps = 10_000_000
	defaultTime  = 10 * time.Second
	defaultBytes = 512 << 20
)

// request is what the reader is told.
type request struct {
	Options Options // without Print
	Memory  uint64
	Tests   testMode
}

// answer is what it says: exactly what Load returned.
type answer struct {
	Script []byte     // JSON, which keeps empty lists apart from missing ones
	Unused []Setting  // of the Script
	Pools  [][][]byte // those that JSON leaves out, as pools() walks them
	Errors Errors
	File   *fileError // an *fs.PathError
	Other  string     // any other error
	Tests  []TestResult
}

type fileError struct{ Op, Path, Text, Kind string }

// Read is Load in a process of its own, with bounded memory: a script that needs more, or that never ends, is a mistake like
// any other. The program that calls it must call BecomeReader first thing in its main function.
func Read(ctx context.Context, opts Options) (*Script, error) {
	a, err := readApart(ctx, opts)
	if err != nil {
		return &Script{}, err
	}
	return a.unpack()
}

func readApart(ctx context.Context, opts Options) (*answer, error) {
	opts = opts.defaults()
	before, cancel := context.WithTimeout(ctx, opts.Timeout+readerGrace)
	defer cancel()
	r := &reader{opts: opts}
	if err := r.start(before); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	} else if err != nil {
		return nil, fmt.Errorf("script: starting a process to read %s: %w", opts.Path, err)
	}
	defer r.release()
	got, err := r.wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return got, nil
	case before.Err() != nil:
		return nil, r.mistake(errTimeout.Error(), "a script only describes the load; the engine makes the records")
	}
	return nil, r.explain(err)
}

func (o Options) defaults() Options {
	if o.MaxSteps == 0 {
		o.MaxSteps = defaultSteps
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTime
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = defaultBytes
	}
	if o.Print == nil {
		o.Print = io.Discard
	}
	return o
}

// reader is the parent's side of the other process.
type reader struct {
	opts   Options
	cmd    *exec.Cmd
	answer *os.File // our end of the pipe
	trace  []byte   // mapped
	crash  bytes.Buffer
}

func (r *reader) start(ctx context.Context) error {
	var in bytes.Buffer
	sent := r.opts
	sent.Print = nil
	if sent.Source != nil && len(sent.Source) == 0 {
		sent.Source = []byte("\n") // gob makes no difference between empty and missing
	}
	if err := gob.NewEncoder(&in).Encode(request{Options: sent, Memory: r.opts.MaxMemory, Tests: r.opts.tests}); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "loadscript-trace-")
	if err != nil {
		return err
	}
	defer file.Close()
	os.Remove(file.Name()) // only the two processes know it
	if err := file.Truncate(traceBytes); err != nil {
		return err
	}
	if r.trace, err = syscall.Mmap(int(file.Fd()), 0, traceBytes, syscall.PROT_READ, syscall.MAP_SHARED); err != nil {
		return err
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		r.release()
		return err
	}
	defer theirs.Close()
	r.answer = ours
	r.cmd = exec.CommandContext(ctx, "/proc/self/exe")
	r.cmd.Args = []string{os.Args[0], "(reading " + r.opts.Path + ")"} // as ps shows it
	r.cmd.Env = []string{readerEnv + "=1", "GOTRACEBACK=none"}
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = &in, onlyWriter{r.opts.Print}, &limitedBuffer{&r.crash, crashBytes}
	r.cmd.ExtraFiles = []*os.File{theirs, file}
	if err := r.cmd.Start(); err != nil {
		r.release()
		return err
	}
	return nil
}

func (r *reader) release() {
	if r.answer != nil {
		r.answer.Close()
	}
	if r.trace != nil {
		syscall.Munmap(r.trace)
	}
}

// wait takes the answer and the end of the process.
func (r *reader) wait() (*answer, error) {
	var a answer
	err := gob.NewDecoder(io.LimitReader(r.answer, answerBytes)).Decode(&a)
	r.answer.Close() // if it is still writing, it ends
	if ended := r.cmd.Wait(); err != nil && ended != nil {
		err = ended
	}
	return &a, err
}

// explain says why there is no answer.
func (r *reader) explain(err error) error {
	said := r.crash.String()
	switch {
	case strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory") || strings.HasPrefix(strings.TrimSpace(said), "SIGSEGV") || r.large():
		return r.mistake(fmt.Sprintf("the script needs more than %s of memory", plan.FormatSize(float64(r.opts.MaxMemory))),
			"a script only describes the load; the engine makes the records")
	case strings.Contains(said, "stack overflow") || strings.Contains(said, "stack exceeds"):
		return r.mistake("values are nested too deeply", "")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	return fmt.Errorf("script: the process that read %s ended badly: %w: %s", r.opts.Path, err, first)
}

// large says whether the process had come near its limit: the Go runtime does not always find words when the kernel refuses it
// a page (and dies of a bare SIGSEGV when that page was to be its stack; a nil pointer would be a panic).
func (r *reader) large() bool {
	use, ok := r.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return ok && uint64(use.Maxrss)*1024 > r.opts.MaxMemory/2
}

// mistake is one of the script, at the line where it was.
func (r *reader) mistake(message, example string) error {
	d := Diagnostic{Message: message, Example: example, Width: 1}
	le := binary.LittleEndian
	n := min(le.Uint32(r.trace[8:]), traceBytes-12)
	d.Pos = plan.Pos{File: string(r.trace[12 : 12+n]), Line: int(le.Uint32(r.trace)), Column: int(le.Uint32(r.trace[4:]))}
	if n == 0 { // it had not begun
		d.Pos = plan.Pos{File: r.opts.Path, Line: 1, Column: 1}
	}
	text := r.opts.Source
	if text == nil || d.Pos.File != r.opts.Path {
		text, _ = os.ReadFile(d.Pos.File) // without it, the message has no source line
	}
	d.Source = newSource(d.Pos.File, text).line(d.Pos.Line)
	return Errors{d}
}

// onlyWriter hides that a writer is a file: the reader, which may not write to files, is given a pipe instead.
type onlyWriter struct{ io.Writer }

// limitedBuffer keeps the beginning and takes everything.
type limitedBuffer struct {
	*bytes.Buffer
	max int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(b.max-b.Len(), 0))])
	return len(p), nil
}

// pools are those of the plan, in the order of its flows.
func pools(p *plan.Plan) []*[][]byte {
	var found []*[][]byte
	var value func(v *plan.Value)
	value = func(v *plan.Value) {
		if v.Kind == "pool" {
			found = append(found, &v.Pool)
		}
		for i := range v.Fields {
			value(&v.Fields[i].Value)
		}
		for i := range v.List {
			value(&v.List[i])
		}
	}
	for i := range p.Scenarios {
		for j := range p.Scenarios[i].Produce {
			f := &p.Scenarios[i].Produce[j]
			value(&f.Value)
			for k := range f.Headers {
				value(&f.Headers[k].Value)
			}
			if f.Key.Kind == "file" {
				found = append(found, &f.Key.Pool)
			}
		}
	}
	return found
}

// pack makes an answer of what Load returned.
func pack(s *Script, err error) answer {
	a := answer{Unused: s.Unused}
	var pe *fs.PathError
	switch {
	case err == nil:
	case errors.As(err, &a.Errors):
	case errors.As(err, &pe):
		a.File = &fileError{Op: pe.Op, Path: pe.Path, Text: pe.Err.Error()}
		if errors.Is(err, fs.ErrNotExist) {
			a.File.Kind = "missing"
		}
	default:
		a.Other = err.Error()
	}
	if s.Plan != nil {
		for _, p := range pools(s.Plan) {
			a.Pools = append(a.Pools, *p)
		}
	}
	a.Script, err = json.Marshal(s)
	if err != nil {
		a.Other = "the plan cannot be handed over: " + err.Error()
	}
	return a
}

func (a *answer) unpack() (*Script, error) {
	s := &Script{}
	if a.Other != "" {
		return s, errors.New(a.Other)
	}
	if err := json.Unmarshal(a.Script, s); err != nil {
		return s, fmt.Errorf("script: the plan that was handed over: %w", err)
	}
	s.Unused = a.Unused
	if s.Plan != nil {
		for i, p := range pools(s.Plan) {
			*p = a.Pools[i]
		}
	}
	switch {
	case len(a.Errors) > 0:
		return s, a.Errors
	case a.File != nil:
		pe := &fs.PathError{Op: a.File.Op, Path: a.File.Path, Err: errors.New(a.File.Text)}
		if a.File.Kind == "missing" {
			pe.Err = syscall.ENOENT // the words that the file system itself uses
		}
		return s, pe
	}
	return s, nil
}
