package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/streambus/streambus/loadscript/internal/live"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// liveOptions say who hears of the run while it goes.
type liveOptions struct {
	Prometheus  string // host:port to serve on
	RemoteWrite string // URL to send to
}

// outputs are what is written and told while a run goes.
type outputs struct {
	sink   report.Sink // nil: nobody listens
	files  *report.Recorder
	server *live.Server
	pusher *live.Pusher
	code   plan.ExitCode
}

// openOutputs opens what the options ask for. Failing now is kinder than after the run.
func openOutputs(p *plan.Plan, opts runOptions, note func(string)) (_ *outputs, err error) {
	o := &outputs{}
	var tee report.Tee
	defer func() {
		if err != nil {
			o.close(io.Discard) // the error at hand is the one to tell
		}
	}()
	if opts.Out != "" {
		if o.files, err = report.NewRecorder(opts.Out, p); err != nil {
			return nil, fmt.Errorf("the results folder %s: %s", opts.Out, fileTrouble(err))
		}
		tee = append(tee, o.files)
	}
	if opts.Live != (liveOptions{}) {
		metrics := live.NewMetrics(p, programVersion())
		tee = append(tee, metrics)
		if opts.Live.Prometheus != "" {
			if o.server, err = live.Serve(opts.Live.Prometheus, metrics); err != nil {
				return nil, fmt.Errorf("--prometheus %s: %w: want host:port of this machine that is free, for example :9100", opts.Live.Prometheus, err)
			}
			if !opts.Quiet {
				note(fmt.Sprintf("metrics at http://%s/metrics", o.server.Addr))
			}
		}
		if opts.Live.RemoteWrite != "" {
			o.pusher, err = live.NewPusher(opts.Live.RemoteWrite, metrics, func(err error) { note(fmt.Sprintf("remote write: %v; the run goes on", err)) })
			if err != nil {
				return nil, fmt.Errorf("--remote-write: %w", err)
			}
		}
	}
	if len(tee) > 0 {
		o.sink = tee
	}
	return o, nil
}

// close ends all of them and says what went wrong. Files that are not whole are a failure of loadscript; metrics that did not
// arrive are not, since the report has them. The second call does nothing.
func (o *outputs) close(stderr io.Writer) plan.ExitCode {
	if o.pusher != nil {
		if err := o.pusher.Close(); err != nil {
			fmt.Fprintf(stderr, "loadscript: %v\n", err)
		}
		o.pusher = nil
	}
	if o.server != nil {
		if err := o.server.Close(); err != nil {
			fmt.Fprintf(stderr, "loadscript: ending the metrics server: %v\n", err)
		}
		o.server = nil
	}
	if o.files != nil {
		if err := o.files.Close(); err != nil {
			fmt.Fprintf(stderr, "loadscript: what was written during the run is not whole: %s\n", fileTrouble(err))
			o.code = plan.ExitInternal
		}
		o.files = nil
	}
	return o.code
}

// fileTrouble is an error about files, with what would help.
func fileTrouble(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return text + " (free some, or choose another folder with --out)"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return text + " (choose a folder of yours with --out)"
	}
	return text
}

// programVersion is what the results and the metrics say of this program.
func programVersion() string {
	b := readBuildInfo()
	commit := b.Commit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	if b.Dirty {
		commit += ", changed"
	}
	return fmt.Sprintf("%s (%s)", b.Version, commit)
}

// loadStatement finds the modules of a script: their names are constants.
var loadStatement = regexp.MustCompile(`(?m)^\s*load\(\s*["']([^"']+)["']`)

// maxSources bounds the files that are looked at for their hashes.
const maxSources = 64

// sources are the script and the modules below its folder that it loads, with hashes. A file that cannot be read any more is
// left out: the plan was made already.
func sources(script string) (list []report.Source) {
	root := filepath.Dir(script)
	todo, seen := []string{script}, map[string]bool{}
	for len(todo) > 0 && len(list) < maxSources {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(text)
		list = append(list, report.Source{Path: path, SHA256: hex.EncodeToString(sum[:])})
		for _, m := range loadStatement.FindAllSubmatch(text, -1) {
			switch name := string(m[1]); {
			case strings.HasPrefix(name, "//"):
				todo = append(todo, filepath.Join(root, name[2:]))
			case strings.HasPrefix(name, ":"):
				todo = append(todo, filepath.Join(filepath.Dir(path), name[1:]))
			}
		}
	}
	return list
}
