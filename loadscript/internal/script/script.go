package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Options say which script to read, and with what. The zero value of each field but Path is its default.
type Options struct {
	Path     string        // the script; also its name in messages
	Source   []byte        // its text; nil = read Path. With text, modules are still found beside Path if its folder exists.
	Settings []Setting     // what the command line says, in order
	Print    io.Writer     // where print() writes; nil = nowhere
	MaxSteps uint64        // of each file; 0 = 10 million, some 100 ms
	Timeout  time.Duration // of all files together; 0 = 10 s
	On       *plan.Ability // the cluster that the plan is for: what cannot be done there is a mistake; nil = not judged

	MaxMemory uint64 // bytes, of the process that Read starts; 0 = 512 MiB
	trace     *tracer
	tests     testMode
}

// A Script is what a file says, as Load and Read return it. It is returned with errors too, as far as the file was read: help can then still be printed.
type Script struct {
	Plan   *plan.Plan   // nil if there are errors
	Doc    string       // docstring of the file
	Params []plan.Param // declared parameters, in order
	Unused []Setting    `json:"-"` // settings that no param() declares; nil if the script stopped half-way
}

// errTimeout is what a script is told that runs for too long.
var errTimeout = errors.New("the script ran for too long: a script only describes the load, it should end at once")

// Load reads, runs and checks a script in this process: steps and time are bounded, memory is not (Read bounds that too). The error is an Errors with every mistake, an *fs.PathError if the file cannot be
// read, or the cause of ctx. Print of Options is used during the call only.
func Load(ctx context.Context, opts Options) (*Script, error) {
	opts = opts.defaults()
	s := newSession(opts, builtins)
	text, err := s.open()
	if s.root != nil {
		defer s.root.Close()
	}
	if err != nil {
		return &Script{}, err
	}
	deadline, cancel := context.WithTimeoutCause(ctx, opts.Timeout, errTimeout)
	defer cancel()
	s.env = s.predeclared()
	src := newSource(opts.Path, text)
	s.addSource(src)
	_, runErr := s.exec(deadline, src, text, "")
	if ctx.Err() != nil {
		return &Script{}, context.Cause(ctx)
	}
	return s.finish(src, runErr)
}

func newSession(opts Options, tables []*Builtin) *session {
	return &session{opts: opts, tables: tables, dir: filepath.Dir(opts.Path), sources: map[string]*source{}, modules: map[string]*module{},
		settings: opts.Settings, used: make([]bool, len(opts.Settings))}
}

// open reads the script and opens its folder.
func (s *session) open() ([]byte, error) {
	text := s.opts.Source
	if text == nil {
		f, err := os.Open(s.opts.Path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return nil, &fs.PathError{Op: "read", Path: s.opts.Path, Err: errors.New("is a folder, not a script")}
		}
		if text, err = io.ReadAll(io.LimitReader(f, maxSource+1)); err != nil {
			return nil, err
		}
	}
	if len(text) > maxSource {
		return nil, &fs.PathError{Op: "read", Path: s.opts.Path, Err: errors.New("is larger than 1MiB")}
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil && s.opts.Source == nil {
		return nil, err
	}
	if err == nil {
		s.root = root
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
}

// finish makes the plan and checks it.
func (s *session) finish(src *source, runErr error) (*Script, error) {
	out := &Script{Doc: src.docstring()}
	for i, set := range s.settings {
		if !s.used[i] && runErr == nil { // a script that stopped may have declared it further down
			out.Unused = append(out.Unused, set)
		}
	}
	for _, p := range s.params {
		out.Params = append(out.Params, p.Param)
	}
	s.resolveTopics()
	p := &plan.Plan{Script: s.opts.Path, Title: firstLine(out.Doc), Params: out.Params, Scenarios: s.scenarios}
	if runErr == nil || len(s.scenarios) > 0 {
		problems := p.Check()
		if s.opts.On != nil {
			problems = append(problems, p.CheckOn(*s.opts.On)...)
		}
		for _, pr := range problems {
			if len(p.Scenarios) == 0 && s.incomplete {
				break // "no scenario" is then a consequence
			}
			s.reportProblem(pr)
		}
	}
	if len(s.diags) > 0 {
		return out, s.diags.sorted(s.fileOrder)
	}
	if runErr != nil || s.incomplete {
		return out, fmt.Errorf("script: %s failed without a message: %w", s.opts.Path, runErr) // S4: not reached
	}
	out.Plan = p
	return out, nil
}

// reportProblem gives a cross-check its place: the argument if the call at the problem's position has it, else the call.
func (s *session) reportProblem(pr plan.Problem) {
	d := Diagnostic{Message: pr.Message, Example: pr.Example}
	if n := Nearest(pr.Wrong, pr.Among); pr.Wrong != "" && n != "" {
		d.Suggest = fmt.Sprintf("%q", n)
	}
	sp := span{pos: pr.Pos, width: 1}
	if src := s.sources[pr.Pos.File]; src != nil && src.file != nil {
		p := place{int32(pr.Pos.Line), int32(pr.Pos.Column)}
		if c := src.starts[p]; c != nil {
			sp = src.callee(c)
			if e := argument(c, pr.Arg, s.positional(c.Fn, pr.Arg)); e != nil && pr.Arg != "" {
				sp = src.node(e)
			}
		} else if lit := src.literal[p]; lit != nil {
			sp = src.node(lit)
		} else {
			sp.width = wordLen(src.line(pr.Pos.Line), pr.Pos.Column)
		}
	}
	s.place(&d, sp)
	s.report(d)
}

// Brokers is the broker list of the script's brokers parameter; nil without one.
func (s *Script) Brokers() []string {
	for _, p := range s.Params {
		if p.Name == "brokers" {
			return SplitBrokers(p.Value)
		}
	}
	return nil
}

// SplitBrokers reads "host:port,host:port".
func SplitBrokers(list string) []string {
	var out []string
	for _, b := range strings.Split(list, ",") {
		if b = strings.TrimSpace(b); b != "" {
			out = append(out, b)
		}
	}
	return out
}

// Title is the first line of a script's docstring. It reads the file but does not run it.
func Title(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", errors.New(reason(err))
	}
	file, err := dialect.Parse(path, text, 0)
	if err != nil {
		return "", errors.New("has a syntax error")
	}
	return firstLine((&source{file: file}).docstring()), nil
}

// CheckSyntax returns the syntax error of a text as an Errors; nil if it has none.
func CheckSyntax(name string, text []byte) error {
	if _, err := dialect.Parse(name, text, 0); err != nil {
		s := newSession(Options{Path: name}, builtins)
		src := newSource(name, text)
		s.addSource(src)
		s.reportSyntax(src, err)
		return s.diags
	}
	return nil
}
