package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// bar is one line of a plot.
type bar struct {
	label  string
	value  float64
	lo, hi float64 // extremes, drawn as a whisker when both are above 0
	mark   float64 // a target, drawn as a stroke, when above 0
}

// plot is a chart of horizontal bars on one axis, from 0 or, over more than two orders of magnitude, logarithmic.
type plot struct {
	title, unit string
	bars        []bar
	line        float64 // a stroke through all bars, such as a ratio of 1; 0: none
}

// Sizes in px.
const (
	plotWidth  = 900
	labelWidth = 440
	valueWidth = 84
	barHeight  = 20
	topHeight  = 30
)

// style serves light and dark pages; the colours differ in lightness too, for those who do not see them.
const style = `<style>text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:13px}.v{fill:#57606a}.b{fill:#3b7dd8}.l{fill:#d9822b}.w{stroke:#24292f;stroke-width:1.2}.m{stroke:#c4432b;stroke-width:2}.g{stroke:#8c959f;stroke-dasharray:3 3}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.v{fill:#9da7b1}.b{fill:#5b9bf0}.l{fill:#f0a04b}.w{stroke:#e6edf3}.m{stroke:#ff8a70}.g{stroke:#768390}}</style>`

// svg draws the plot; nothing when it has no bars.
func (p *plot) svg() string {
	if len(p.bars) == 0 {
		return ""
	}
	height := topHeight + barHeight*len(p.bars) + 6
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`, plotWidth, height, plotWidth, height, html.EscapeString(p.title))
	b.WriteString(style)
	x, scale := p.axis()
	what := p.unit + scale
	if p.line > 0 {
		what += fmt.Sprintf("; dashed: %g", p.line)
	}
	fmt.Fprintf(&b, `<text class="t" x="4" y="16">%s (%s)</text>`, html.EscapeString(p.title), html.EscapeString(what))
	if p.line > 0 {
		at := x(p.line)
		fmt.Fprintf(&b, `<line class="g" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, topHeight-4, height-4)
	}
	for i, one := range p.bars {
		y := topHeight + barHeight*i
		end := x(one.value)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+13, html.EscapeString(one.label))
		from, class := float64(labelWidth), "b"
		if p.line > 0 && scale != "" { // there is no 0 to begin at: bars go out from the line, those to the left lose
			from = x(p.line)
			if end < from {
				class = "l"
			}
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`, class, min(from, end), y+2, max(1, math.Abs(end-from)), barHeight-6)
		end = max(end, from)
		if one.lo > 0 && one.hi > 0 {
			fmt.Fprintf(&b, `<line class="w" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(one.lo), x(one.hi), y+9, y+9)
			end = max(end, x(one.hi))
		}
		if one.mark > 0 {
			at := x(one.mark)
			fmt.Fprintf(&b, `<line class="m" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, y, y+barHeight-2)
			if at > end && at-end < valueWidth {
				end = at
			}
		}
		fmt.Fprintf(&b, `<text class="v" x="%.1f" y="%d">%s</text>`, end+6, y+13, number(one.value))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axis gives the place of a value, and what to say of the scale.
func (p *plot) axis() (place func(float64) float64, scale string) {
	lo, hi := math.Inf(1), p.line
	for _, b := range p.bars {
		for _, v := range []float64{b.value, b.lo, b.hi, b.mark} {
			if v > 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	const width = plotWidth - labelWidth - valueWidth
	if hi <= 100*lo {
		return func(v float64) float64 { return labelWidth + width*v/max(hi, 1e-300) }, ""
	}
	from := math.Log10(lo) - 0.5 // the smallest has a bar too
	return func(v float64) float64 {
		return labelWidth + width*max(0, (math.Log10(max(v, 1e-300))-from)/(math.Log10(hi)-from))
	}, ", logarithmic"
}

// number prints a value with three figures and no exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0"
	case a >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.01:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}
