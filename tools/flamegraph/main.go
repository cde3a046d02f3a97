// Flamegraph draws a profile of a Go program (runtime/pprof, /debug/pprof) as one SVG that needs nothing else: open it in a browser, click a frame
// to widen it, click the ground to go back.
//
//	flamegraph [-sample alloc_space] PROFILE >flame.svg
//
// Width is the share of the samples, the callers are below. It does not list or compare (`go tool pprof -top`, `-http` do).
package main

import (
	"bufio"
	"cmp"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "flamegraph:", err)
		os.Exit(1)
	}
}

func run(args []string, out, errs io.Writer) error {
	f := flag.NewFlagSet("flamegraph", flag.ContinueOnError)
	f.SetOutput(errs)
	sample := f.String("sample", "", "kind of sample, such as cpu, alloc_space or inuse_space; none: the profile's own choice")
	f.Usage = func() {
		fmt.Fprintln(errs, "Usage: flamegraph [-sample KIND] PROFILE >flame.svg\ndraws a profile of a Go program (runtime/pprof, /debug/pprof).")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("want one file with a profile (--help says more)")
	}
	in, err := os.Open(f.Arg(0))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	p, err := profile.Parse(in)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Arg(0), err)
	}
	root, kind, err := gather(p, *sample)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	draw(w, root, kind)
	return w.Flush()
}

// frame is a function below its callers.
type frame struct {
	name     string
	value    int64 // of it and all that it calls
	children map[string]*frame
}

func (f *frame) child(name string) *frame {
	c := f.children[name]
	if c == nil {
		c = &frame{name: name, children: map[string]*frame{}}
		f.children[name] = c
	}
	return c
}

// gather adds up the samples of one kind.
func gather(p *profile.Profile, sample string) (root *frame, kind *profile.ValueType, err error) {
	if sample == "" {
		sample = p.DefaultSampleType
	}
	at := len(p.SampleType) - 1
	if sample != "" {
		at = slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == sample })
	}
	if at < 0 {
		var have []string
		for _, t := range p.SampleType {
			have = append(have, t.Type)
		}
		return nil, nil, fmt.Errorf("the profile has no samples of kind %q; it has %s", sample, strings.Join(have, ", "))
	}
	root = &frame{name: "all", children: map[string]*frame{}}
	for _, s := range p.Sample {
		v := s.Value[at]
		if v <= 0 {
			continue
		}
		root.value += v
		node := root
		for _, l := range slices.Backward(s.Location) { // the last is the outermost
			for _, line := range slices.Backward(l.Line) { // and of what is inlined too
				if line.Function != nil {
					node = node.child(line.Function.Name)
					node.value += v
				}
			}
		}
	}
	if root.value == 0 {
		return nil, nil, errors.New("the profile has no samples: profile for longer, or under load")
	}
	return root, p.SampleType[at], nil
}

// Sizes in px; frames narrower than leastWidth are left out.
const (
	width      = 1200
	frameRows  = 17
	margin     = 34
	leastWidth = 0.3
	charWidth  = 6.6
)

//go:embed flame.js
var script string

func (f *frame) depth() (n int) {
	for _, c := range f.children {
		if float64(c.value)*width/float64(f.value) >= leastWidth || len(f.children) == 1 {
			n = max(n, c.depth())
		}
	}
	return n + 1
}

func draw(w io.Writer, root *frame, kind *profile.ValueType) {
	height := root.depth()*frameRows + 2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="100%%" font-family="ui-monospace,monospace" font-size="11">`, width, height)
	fmt.Fprintf(w, "<style>rect{stroke:#fff;stroke-width:.5}.f:hover rect{stroke:#000}.f{cursor:pointer}text{pointer-events:none;fill:#111}</style>\n")
	fmt.Fprintf(w, `<rect id="ground" width="%d" height="%d" fill="#fbfaf7"/><text x="%d" y="20" text-anchor="middle" font-size="14">%s of %s</text>`+"\n",
		width, height, width/2, html.EscapeString(kind.Type), amount(root.value, kind.Unit))
	d := drawing{w: w, total: root.value, unit: kind.Unit, ground: height - margin}
	d.frame(root, 0, 0)
	fmt.Fprintf(w, "<script><![CDATA[\n%s]]></script></svg>\n", script)
}

type drawing struct {
	w      io.Writer
	total  int64
	unit   string
	ground int // y below the lowest row
}

// frame draws f, whose samples begin at from, and what it calls above it, widest first.
func (d *drawing) frame(f *frame, from int64, row int) {
	x, wide := float64(from)*width/float64(d.total), float64(f.value)*width/float64(d.total)
	if wide < leastWidth {
		return
	}
	y := d.ground - (row+1)*frameRows
	fmt.Fprintf(d.w, `<g class="f" data-x="%.2f" data-w="%.2f" data-n="%s"><title>%s: %s, %.2f %%</title><rect x="%.2f" y="%d" width="%.2f" height="%d" rx="1.5" fill="%s"/><text x="%.2f" y="%d">%s</text></g>`+"\n",
		x, wide, html.EscapeString(brief(f.name)), html.EscapeString(f.name), amount(f.value, d.unit), 100*float64(f.value)/float64(d.total),
		x, y, wide, frameRows-1, colour(f.name), x+3, y+12, html.EscapeString(fit(brief(f.name), wide)))
	children := slices.SortedFunc(maps.Values(f.children), func(a, b *frame) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name))
	})
	for _, c := range children {
		d.frame(c, from, row+1)
		from += c.value
	}
}

// brief leaves the folders of the package path out of a name.
func brief(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// fit cuts a name to a width.
func fit(name string, wide float64) string {
	if n := int((wide - 6) / charWidth); n < 3 {
		return ""
	} else if len(name) > n {
		return name[:n-1] + "…"
	}
	return name
}

// colour goes by whose code it is, and a shade by the name.
func colour(name string) string {
	hue := 28 // others
	switch {
	case strings.HasPrefix(name, "github.com/streambus/"):
		hue = 210
	case strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "runtime/"):
		hue = 0
	case strings.HasPrefix(name, "syscall.") || strings.HasPrefix(name, "internal/runtime/syscall") || strings.HasPrefix(name, "golang.org/x/sys/"):
		hue = 130
	}
	shade := 0
	for _, c := range []byte(name) {
		shade = (shade*31 + int(c)) % 12
	}
	return fmt.Sprintf("hsl(%d 65%% %d%%)", hue, 66+shade)
}

func amount(v int64, unit string) string {
	switch unit {
	case "nanoseconds":
		return fmt.Sprintf("%.3g s", float64(v)/1e9)
	case "bytes":
		return fmt.Sprintf("%.4g MiB", float64(v)/(1<<20))
	}
	return fmt.Sprintf("%d %s", v, unit)
}
