package show

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Progress is a line on a terminal that says how far long work is.
type Progress struct {
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

// NewProgress makes one for stderr. It shows nothing where that is no terminal.
func NewProgress(stderr io.Writer) *Progress {
	p := &Progress{begun: time.Now()}
	f, ok := stderr.(*os.File)
	if !ok {
		return p
	}
	if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
		p.w = stderr
	}
	return p
}

// Tell is for inspect.Options.Progress; nil when nobody would see it.
func (p *Progress) Tell() func(file string, done, total int64) {
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

// Clear takes the line away.
func (p *Progress) Clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
