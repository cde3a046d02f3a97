package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// progress is a line on a terminal that says how far long work is.
type progress struct {
	w     io.Writer // nil: not a terminal
	begun time.Time
	last  time.Time
	shown bool
}

// Work that is done before a person wonders needs no line, and one that changes too fast cannot be read.
const (
	patience = time.Second
	interval = 200 * time.Millisecond
)

func newProgress(stderr io.Writer) *progress {
	p := &progress{begun: time.Now()}
	f, ok := stderr.(*os.File)
	if !ok {
		return p
	}
	if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
		p.w = stderr
	}
	return p
}

// tell is for inspect.Options.Progress; nil when nobody would see it.
func (p *progress) tell() func(file string, done, total int64) {
	if p.w == nil {
		return nil
	}
	return func(file string, done, total int64) {
		now := time.Now()
		if now.Sub(p.begun) < patience || now.Sub(p.last) < interval || total == 0 {
			return
		}
		p.last, p.shown = now, true
		fmt.Fprintf(p.w, "\r\x1b[K%3d%% %s", done*100/total, oneLine(filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file))))
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
