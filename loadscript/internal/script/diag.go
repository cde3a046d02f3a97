package script

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// A Diagnostic is one mistake, with all that its reader needs to mend it:
//
//	scripts/spike.star:12:5: produce: no parameter "compresion"
//	   12 |     produce(orders, compresion = "lz4"),
//	      |                     ^^^^^^^^^^
//	  did you mean "compression"?
//	  example: produce("orders", compression = "zstd")
type Diagnostic struct {
	Pos     plan.Pos `json:"pos"`
	Width   int      `json:"width"`             // characters under the caret
	Message string   `json:"message"`           // what is wrong
	Source  string   `json:"source,omitempty"`  // the source line
	Suggest string   `json:"suggest,omitempty"` // what was probably meant
	Example string   `json:"example,omitempty"` // what is right, as code
	Notes   []string `json:"notes,omitempty"`   // "called from spike.star:40:3"
	Flag    bool     `json:"flag,omitempty"`    // the command line, not the script, is to blame
}

// Errors is every mistake that was found, in the order of the files and lines.
type Errors []Diagnostic

// Error is the first mistake in one line; Print shows all.
func (e Errors) Error() string {
	if len(e) == 0 {
		return "no error"
	}
	d := e[0]
	msg := fmt.Sprintf("%s: %s", posText(d.Pos), d.Message)
	if len(e) > 1 {
		msg += fmt.Sprintf(" (and %d more)", len(e)-1)
	}
	return msg
}

// ExitCode is ExitConfig when only values on the command line are wrong, ExitScript otherwise.
func (e Errors) ExitCode() plan.ExitCode {
	if len(e) > 0 && !slices.ContainsFunc(e, func(d Diagnostic) bool { return !d.Flag }) {
		return plan.ExitConfig
	}
	return plan.ExitScript
}

// maxShown keeps a broken file from scrolling everything else away.
const maxShown = 50

// Print writes every mistake (up to 50) with its source line and caret, then how many there are.
func (e Errors) Print(w io.Writer) {
	for i, d := range e {
		if i == maxShown {
			fmt.Fprintf(w, "\n… and %d more\n", len(e)-maxShown)
			break
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		io.WriteString(w, d.String())
	}
	if len(e) > 1 {
		fmt.Fprintf(w, "\n%d errors\n", len(e))
	}
}

func posText(p plan.Pos) string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// String is the mistake as it is printed, with a final newline.
func (d Diagnostic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", posText(d.Pos), indentRest(d.Message, "  "))
	if line, pad, width := d.window(); line != "" {
		fmt.Fprintf(&b, "%5d | %s\n", d.Pos.Line, line)
		fmt.Fprintf(&b, "      | %s%s\n", pad, strings.Repeat("^", width))
	}
	if d.Suggest != "" {
		fmt.Fprintf(&b, "  did you mean %s?\n", d.Suggest)
	}
	if d.Example != "" {
		fmt.Fprintf(&b, "  example: %s\n", indentRest(d.Example, "           "))
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	return b.String()
}

func indentRest(s, indent string) string { return strings.ReplaceAll(s, "\n", "\n"+indent) }

// windowWidth is how much of a long source line is shown around the caret.
const windowWidth = 120

// window cuts a long line around the caret and returns it with the blanks before the caret. Tabs stay tabs in both, so that
// the caret stands right whatever a tab is worth; other control characters become '?'.
func (d Diagnostic) window() (line, pad string, width int) {
	runes := []rune(clean(strings.TrimRight(d.Source, " \t\r")))
	col := d.Pos.Column - 1
	if len(runes) == 0 || col < 0 {
		return "", "", 0
	}
	col = min(col, len(runes))
	width = max(min(d.Width, len(runes)-col), 1)
	from, to := 0, len(runes)
	if len(runes) > windowWidth {
		from = max(0, min(col-windowWidth/3, len(runes)-windowWidth))
		to = from + windowWidth
	}
	shownRunes := slices.Clone(runes[from:to])
	if from > 0 {
		shownRunes[0] = '…'
	}
	if to < len(runes) {
		shownRunes[len(shownRunes)-1] = '…'
	}
	width = max(min(width, to-col), 1)
	blanks := make([]rune, 0, col-from)
	for _, r := range runes[from:col] {
		if r != '\t' {
			r = ' '
		}
		blanks = append(blanks, r)
	}
	return string(shownRunes), string(blanks), width
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// sorted puts mistakes in reading order: files as they were first met, then lines and columns; equal ones are dropped (a loop
// makes the same mistake in every turn).
func (e Errors) sorted(order func(file string) int) Errors {
	out := slices.Clone(e)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		if c := order(a.Pos.File) - order(b.Pos.File); c != 0 {
			return c
		}
		if c := a.Pos.Line - b.Pos.Line; c != 0 {
			return c
		}
		if c := a.Pos.Column - b.Pos.Column; c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	out = slices.CompactFunc(out, func(a, b Diagnostic) bool { return a.Pos == b.Pos && a.Message == b.Message })
	return out.oncePerFlag()
}

// oncePerFlag keeps one mistake of each command-line value: it is used in many places but wrong in one.
func (e Errors) oncePerFlag() Errors {
	var out Errors
	for _, d := range e {
		i := slices.IndexFunc(out, func(o Diagnostic) bool { return o.Flag && d.Flag && o.Message == d.Message })
		if i < 0 {
			out = append(out, d)
		}
	}
	return out
}

// stop is a mistake after which the script cannot go on; it travels through the interpreter as the cause of an EvalError.
type stop struct{ d Diagnostic }

func (s *stop) Error() string { return s.d.Message }

func asStop(err error) (*stop, bool) {
	var s *stop
	ok := errors.As(err, &s)
	return s, ok
}
