package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Limits of modules.
const (
	maxSource  = 1 << 20 // bytes of one file
	maxModules = 64
)

// loadingKey is the thread-local that says which module a thread loads; it is absent on the main thread.
const loadingKey = "loading"

// module is a loaded file; while it loads, done is false.
type module struct {
	done    bool
	globals starlark.StringDict
	err     error
	from    string // display name of the file that loaded it first
}

// errReported says that a module is wrong, and that why has been reported.
var errReported = errors.New("the module has errors")

// load is Thread.Load. Modules run once each, on a thread of their own, and are found only below the script's folder:
//
//	//lib/x.star  from the script's folder
//	:x.star       from the folder of the file with the load()
//	@std/x.star   from the library that is part of the program (std.go)
func (s *session) load(ctx context.Context, thread *starlark.Thread, name string) (starlark.StringDict, error) {
	frame := thread.CallFrame(0).Pos
	importer := s.sources[frame.Filename()]
	rel, d := s.modulePath(importer, name)
	if d == nil {
		m := s.modules[rel]
		switch {
		case m != nil && m.done:
			return m.globals, m.err
		case m != nil:
			d = &Diagnostic{Message: "load: these files load each other: " + s.cycle(rel, importer)}
		case len(s.modules) >= maxModules:
			d = &Diagnostic{Message: fmt.Sprintf("load: more than %d modules", maxModules)}
		}
	}
	if d != nil {
		s.placeLoad(d, importer, at(frame))
		return nil, &stop{*d}
	}
	m := &module{from: importer.name}
	s.modules[rel] = m
	text, d := s.readModule(rel)
	if d != nil {
		s.placeLoad(d, importer, at(frame))
		m.done, m.err = true, &stop{*d}
		return nil, m.err
	}
	src := newSource(s.display(rel), text)
	s.addSource(src)
	before := len(s.diags)
	m.globals, m.err = s.exec(ctx, src, text, rel)
	m.done = true
	for i := before; i < len(s.diags); i++ {
		s.diags[i].Notes = append(s.diags[i].Notes, fmt.Sprintf("loaded from %s:%d", importer.name, frame.Line))
	}
	return m.globals, m.err
}

// placeLoad points at the module's name in the load statement.
func (s *session) placeLoad(d *Diagnostic, src *source, p place) {
	if st := src.loads[p]; st != nil {
		s.place(d, src.node(st.Module))
	}
	if d.Example == "" {
		d.Example = `load("//lib/payloads.star", "order_event")`
	}
}

// display is the name of a module in messages: the script's folder as the user wrote it, then the path inside.
func (s *session) display(rel string) string {
	if isStd(rel) {
		return rel
	}
	return filepath.Join(s.dir, filepath.FromSlash(rel))
}

// cycle prints a.star -> b.star -> a.star.
func (s *session) cycle(rel string, importer *source) string {
	names := []string{importer.name}
	for name := importer.name; name != s.display(rel) && len(names) <= maxModules; {
		var next string
		for r, m := range s.modules { // order does not matter: display names are distinct
			if s.display(r) == name {
				next = m.from
			}
		}
		if next == "" {
			break
		}
		names, name = append(names, next), next
	}
	slices.Reverse(names)
	return strings.Join(append(names, s.display(rel)), " -> ")
}

// modulePath turns a label into a slash path below the root.
func (s *session) modulePath(importer *source, name string) (string, *Diagnostic) {
	bad := func(msg, suggest string) (string, *Diagnostic) {
		return "", &Diagnostic{Message: fmt.Sprintf("load(%q): %s", clip(name, 80), msg), Suggest: suggest}
	}
	if isStd(name) {
		return stdPath(name)
	}
	if isStd(importer.name) {
		return bad("files of the @std library load only each other", "")
	}
	if s.root == nil {
		return bad("a script without a folder cannot load modules", "")
	}
	var rel string
	switch {
	case strings.HasPrefix(name, "//"):
		rel = name[2:]
	case strings.HasPrefix(name, ":"):
		dir, err := filepath.Rel(s.dir, filepath.Dir(importer.name))
		if err != nil {
			dir = "."
		}
		rel = path.Join(filepath.ToSlash(dir), name[1:])
		if name == ":" {
			rel = ""
		}
	case strings.Contains(name, "://"):
		return bad("modules come from files below the script's folder, never from the network", "")
	case strings.HasPrefix(name, "@"):
		return bad("the only library with an @ is @std", "")
	case strings.HasPrefix(name, "/"):
		return bad("absolute paths are not allowed: // is the script's folder", "")
	default:
		suggest := `"//` + strings.TrimPrefix(name, "./") + `"`
		if strings.Contains(name, "..") {
			suggest = ""
		}
		return bad("start with // (from the script's folder) or : (from this file's folder)", suggest)
	}
	switch {
	case slices.Contains(strings.Split(strings.TrimPrefix(strings.TrimPrefix(name, "//"), ":"), "/"), ".."):
		return bad("modules must lie in the script's folder or below it: no ..", "")
	case !strings.HasSuffix(rel, ".star"):
		return bad("only .star files can be loaded", "")
	case strings.ContainsAny(rel, "\x00\\"):
		return bad("this is no file name", "")
	}
	rel = path.Clean(rel)
	if rel == path.Clean(filepath.ToSlash(filepath.Base(s.opts.Path))) {
		return bad("the script cannot load itself, nor a module the script: put what both need into a third file", "")
	}
	return rel, nil
}

// readModule reads a file below the root. os.Root refuses links that lead outside.
func (s *session) readModule(rel string) ([]byte, *Diagnostic) {
	if isStd(rel) {
		text, err := readStd(rel)
		if err != nil {
			return nil, &Diagnostic{Message: "load: " + err.Error()}
		}
		return text, nil
	}
	f, err := s.root.Open(filepath.FromSlash(rel))
	if err == nil {
		defer f.Close()
		if st, serr := f.Stat(); serr == nil && !st.Mode().IsRegular() {
			return nil, &Diagnostic{Message: fmt.Sprintf("load: %s is not a file", s.display(rel))}
		}
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, maxSource+1)); err == nil && len(text) > maxSource {
			return nil, &Diagnostic{Message: fmt.Sprintf("load: %s is larger than 1MiB", s.display(rel))}
		}
		if err == nil {
			return text, nil
		}
	}
	d := &Diagnostic{Message: fmt.Sprintf("load: cannot read %s: %s", s.display(rel), reason(err))}
	if errors.Is(err, fs.ErrNotExist) {
		d.Message = fmt.Sprintf("load: there is no file %s", s.display(rel))
		if n := Nearest(path.Base(rel), s.starFiles(path.Dir(rel))); n != "" {
			d.Suggest = `"//` + path.Join(path.Dir(rel), n) + `"`
		}
	}
	return nil, d
}

// reason is the innermost error: "permission denied" instead of "openat lib/x.star: permission denied".
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (s *session) starFiles(dir string) []string {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".star") {
			names = append(names, e.Name())
		}
	}
	return names
}

// dialect is the Starlark that scripts are written in: a sweep may be a top-level for, and termination stays structural.
var dialect = &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true, While: false, Recursion: false}

// exec parses, resolves and runs one file on a thread of its own; module is "" for the script itself. Mistakes are reported;
// then the error is errReported.
func (s *session) exec(ctx context.Context, src *source, text []byte, moduleName string) (starlark.StringDict, error) {
	file, err := dialect.Parse(src.name, text, 0)
	if err != nil {
		s.reportSyntax(src, err)
		return nil, errReported
	}
	src.index(file)
	for _, b := range src.comparedTargets() {
		d := Diagnostic{Message: "a target cannot be compared: who it is shows only when its fault begins"}
		s.place(&d, s.spanAt(src, b.OpPos, len(b.Op.String())))
		s.report(d)
	}
	prog, err := starlark.FileProgram(file, s.env.Has)
	if err != nil {
		s.reportResolve(src, err)
		return nil, errReported
	}
	thread := s.newThread(ctx, src, moduleName)
	release := context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
	defer release()
	globals, err := prog.Init(thread, s.env)
	globals.Freeze()
	if err != nil {
		s.reportEval(src, err)
		s.reportMembers(src)
		return nil, errReported
	}
	return globals, nil
}

// reportMembers adds what the script asks modules of built-ins for in vain, such as gen.byts: the first of them ends the script.
func (s *session) reportMembers(src *source) {
	for _, dot := range src.members() {
		ns, ok := s.env[dot.X.(*syntax.Ident).Name].(*namespace)
		if !ok {
			continue
		}
		_, err := ns.Attr(dot.Name.Name)
		st, ok := asStop(err)
		if !ok {
			continue
		}
		s.place(&st.d, src.node(dot.Name))
		if !slices.ContainsFunc(s.diags, func(d Diagnostic) bool { return d.Pos == st.d.Pos }) {
			s.report(st.d)
		}
	}
}

// newThread makes the thread that runs a file, or a test of it.
func (s *session) newThread(ctx context.Context, src *source, moduleName string) *starlark.Thread {
	thread := &starlark.Thread{
		Name:  src.name,
		Print: s.print,
		Load: func(t *starlark.Thread, name string) (starlark.StringDict, error) {
			return s.load(ctx, t, name)
		},
	}
	s.limitSteps(thread)
	if moduleName != "" {
		thread.SetLocal(loadingKey, src.name)
	}
	return thread
}

// limitSteps bounds the thread, and lets the tracer see each step.
func (s *session) limitSteps(thread *starlark.Thread) {
	thread.SetMaxExecutionSteps(s.opts.MaxSteps)
	if s.opts.trace == nil {
		return
	}
	thread.SetMaxExecutionSteps(1) // so that OnMaxSteps is called at every step
	thread.OnMaxSteps = func(t *starlark.Thread) {
		s.opts.trace.step(t)
		if t.Steps >= s.opts.MaxSteps {
			t.Cancel("too many steps")
		}
	}
}

func (s *session) print(thread *starlark.Thread, msg string) {
	where := ""
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		if p := thread.CallFrame(depth).Pos; s.sources[p.Filename()] != nil {
			where = fmt.Sprintf("%s:%d: ", p.Filename(), p.Line)
			break
		}
	}
	if s.printed++; s.printed <= maxPrints {
		fmt.Fprintf(s.opts.Print, "%s%s\n", where, clean(clip(msg, 10_000)))
	} else if s.printed == maxPrints+1 {
		fmt.Fprintf(s.opts.Print, "%sprint: more than %d lines, the rest is not shown\n", where, maxPrints)
	}
}

// maxPrints bounds the lines that print() shows.
const maxPrints = 1000
