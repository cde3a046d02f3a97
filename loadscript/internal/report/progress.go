package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Progress shows a running scenario: on a terminal a few lines that are drawn again and again, elsewhere a plain line every
// few seconds and at every change of stage. Its methods may be called from different goroutines.
type Progress struct {
	mu      sync.Mutex
	w       io.Writer
	columns int // 0: not a terminal
	paint   paint
	drawn   int // lines on the screen that belong to us
	last    plain
}

// plain is when and about what the last plain line was written.
type plain struct {
	key     string
	elapsed time.Duration
}

// plainEvery is how much time of the run lies between two plain lines of the same stage.
const plainEvery = 5 * time.Second

// NewProgress writes to w. columns is the width of the terminal, 0 when w is none.
func NewProgress(w io.Writer, columns int, color bool) *Progress {
	return &Progress{w: w, columns: columns, paint: paint(color)}
}

// Show draws a snapshot.
func (p *Progress) Show(s Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns == 0 {
		p.showPlain(s)
		return
	}
	lines := p.lines(s)
	var b strings.Builder
	p.erase(&b)
	for _, l := range lines {
		b.WriteString(clip(l, p.columns-1) + "\n")
	}
	p.drawn = len(lines)
	p.write(b.String())
}

// Note prints a line that stays.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	p.erase(&b)
	b.WriteString("loadscript: " + text + "\n")
	p.write(b.String())
}

// Done removes what was drawn.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	p.erase(&b)
	p.write(b.String())
}

// erase moves back over the drawn lines and clears them.
func (p *Progress) erase(b *strings.Builder) {
	if p.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// write ignores errors: a terminal that went away is no reason to end a measurement.
func (p *Progress) write(s string) { _, _ = io.WriteString(p.w, s) }

func (p *Progress) showPlain(s Snapshot) {
	key := s.Scenario + "/" + s.Phase + "/" + s.Stage + "/" + s.Fault
	if key == p.last.key && s.Elapsed-p.last.elapsed < plainEvery {
		return
	}
	p.last = plain{key, s.Elapsed}
	if s.Elapsed == 0 {
		p.write(fmt.Sprintf("%s: %s\n", s.Scenario, s.Phase))
		return
	}
	text := fmt.Sprintf("%s: %s %s of %s, offered %s, achieved %s, p50 %s, p99 %s, in flight %s", s.Scenario, where(s),
		clock(s.Elapsed), clock(s.Total), FormatRate(s.Offered), FormatRate(s.Achieved),
		FormatLatency(int64(s.P50)), FormatLatency(int64(s.P99)), formatCount(s.InFlight))
	if s.Reads {
		text += ", lag " + formatCount(s.Lag)
	}
	text += fmt.Sprintf(", errors %s, dropped %s", formatCount(s.Errors), formatCount(s.Dropped))
	if s.Fault != "" {
		text += ", fault: " + s.Fault
	}
	p.write(text + "\n")
}

func where(s Snapshot) string {
	if s.Phase == "running" && s.Stage != "" {
		return s.Stage
	}
	return s.Phase
}

// lines is the picture on a terminal.
func (p *Progress) lines(s Snapshot) []string {
	head := p.paint.bold(s.Scenario)
	if s.Count > 1 {
		head += p.paint.dim(fmt.Sprintf(" (%d of %d)", s.Index+1, s.Count))
	}
	head += "  " + where(s)
	if s.Elapsed == 0 {
		return []string{head}
	}
	left := max(s.Total-s.Elapsed, 0)
	share := 1.0
	if s.Total > 0 {
		share = min(float64(s.Elapsed)/float64(s.Total), 1)
	}
	bar := min(max(p.columns-34, 10), 50)
	full := int(share*float64(bar) + 0.5)
	lines := []string{
		head,
		fmt.Sprintf("  %s%s %3.0f%%  %s, %s left", strings.Repeat("█", full), p.paint.dim(strings.Repeat("░", bar-full)), share*100, clock(min(s.Elapsed, s.Total)), clock(left)),
		fmt.Sprintf("  offered %s  %s", FormatRate(s.Offered), p.against(s)),
		fmt.Sprintf("  p50 %s  p99 %s  in flight %s", FormatLatency(int64(s.P50)), FormatLatency(int64(s.P99)), formatCount(s.InFlight)),
	}
	if s.Reads {
		lines[2] += "  consumed " + FormatRate(s.Consumed)
		lines[3] += "  lag " + formatCount(s.Lag)
	}
	errors := fmt.Sprintf("  errors %s  dropped %s", formatCount(s.Errors), formatCount(s.Dropped))
	if s.Errors+s.Dropped > 0 {
		errors = p.paint.bad(errors)
	}
	lines = append(lines, errors)
	if s.Fault != "" {
		lines = append(lines, "  "+p.paint.with("33;1", "fault in force: "+s.Fault))
	}
	return lines
}

// against colors what was achieved by how much of the plan it is.
func (p *Progress) against(s Snapshot) string {
	text := "achieved " + FormatRate(s.Achieved)
	if s.Offered <= 0 {
		return text
	}
	share := s.Achieved / s.Offered
	text += fmt.Sprintf(" (%.0f%%)", 100*share)
	if share < .9 {
		return p.paint.bad(text)
	}
	return text
}

func clock(d time.Duration) string { return plan.FormatDuration(d.Round(time.Second)) }

// clip cuts a line to the columns of the terminal, so that it takes one row; escape sequences take no room.
func clip(s string, columns int) string {
	var b strings.Builder
	n, escape := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case n >= columns:
			continue // keep going for the escapes that end a color
		default:
			n++
		}
		b.WriteRune(r)
	}
	return b.String()
}
