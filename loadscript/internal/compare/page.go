package compare

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/streambus/streambus/loadscript/internal/report"
)

var (
	//go:embed assets/compare.html
	pageHTML string
	//go:embed assets/compare.css
	pageCSS string
)

var pageTemplate = template.Must(template.New("compare").Parse(pageHTML))

// comparePage is what the template sees. Strings are escaped by html/template; the style and the drawings are ours.
type comparePage struct {
	*Comparison
	CSP   string
	Style template.CSS
	Title string
	Pairs []pairView
}

type pairView struct {
	*Pair
	Scenarios []scenarioView
}

type scenarioView struct {
	Name   string
	Rows   []rowView
	Curves []curveView
}

type rowView struct {
	Metric, Change, Finding, Class string
	Dots                           dotPlot
}

// dotPlot is a line of dots per group over one scale. Coordinates are those of the drawing, 560 wide.
type dotPlot struct {
	Lines  []dotLine
	Ticks  []tick
	Height float64
	Label  string // for those who do not see it
}

type dotLine struct {
	Label, Median, Interval string
	Class                   string // "a" or "b"
	Y, MedianX              float64
	Dots                    []point
	Lo, Width               float64 // of the interval; Width 0 = none
}

type point struct{ X, Y float64 }

type tick struct {
	X    float64
	Text string
}

// curveView is the percentile curves of one metric, of all runs of both sides.
type curveView struct {
	Title string
	Paths []curvePath
	XTick []tick
	YTick []tick // X is the height here
}

type curvePath struct {
	Class, Points string
}

// WritePage writes the comparison as one HTML file without scripts. groups are those that c was made of.
func WritePage(w io.Writer, c *Comparison, groups []Group) error {
	style := report.Style() + pageCSS
	page := comparePage{
		Comparison: c, Style: template.CSS(style), Title: groups[0].Label,
		CSP: fmt.Sprintf("default-src 'none'; style-src %s; base-uri 'none'; form-action 'none'", report.SourceHash(style)),
	}
	for i := range c.Pairs {
		p := &c.Pairs[i]
		page.Title += " and " + p.B
		v := pairView{Pair: p}
		for j := range p.Rows {
			r := &p.Rows[j]
			if n := len(v.Scenarios); n == 0 || v.Scenarios[n-1].Name != r.Scenario {
				v.Scenarios = append(v.Scenarios, scenarioView{Name: r.Scenario, Curves: curves(&groups[0], &groups[i+1], r.Scenario)})
			}
			s := &v.Scenarios[len(v.Scenarios)-1]
			s.Rows = append(s.Rows, rowView{r.Metric, r.change(), r.finding(), class(r.Outcome), dots(p, r)})
		}
		page.Pairs = append(page.Pairs, v)
	}
	return pageTemplate.Execute(w, page)
}

func class(o Outcome) string {
	switch o {
	case Better, SlightBetter:
		return "ok"
	case Worse:
		return "bad"
	case SlightWorse:
		return "warn"
	}
	return "info"
}

// The drawing of dots.
const (
	dotWidth  = 560.0
	dotMargin = 14.0
	laneHigh  = 26.0
)

func dots(p *Pair, r *Row) dotPlot {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range []*Summary{&r.A, &r.B} {
		for _, v := range s.Values {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if math.IsInf(lo, 0) {
		return dotPlot{}
	}
	same := hi == lo
	if same {
		lo, hi = lo-1, hi+1
	}
	x := func(v float64) float64 {
		return math.Round(10*(dotMargin+(v-lo)/(hi-lo)*(dotWidth-2*dotMargin))) / 10
	}
	plot := dotPlot{Height: 2*laneHigh + 22, Label: fmt.Sprintf("%s: %s, then %s", r.Metric, r.median(&r.A), r.median(&r.B))}
	for i, s := range []*Summary{&r.A, &r.B} {
		if s.N == 0 {
			continue
		}
		l := dotLine{Label: p.A, Class: "a", Y: laneHigh*float64(i) + laneHigh/2, MedianX: x(s.Median), Median: r.median(s), Interval: r.interval(s)}
		if i == 1 {
			l.Label, l.Class = p.B, "b"
		}
		for j, v := range s.Values {
			l.Dots = append(l.Dots, point{x(v), l.Y + float64(j%3-1)*4}) // three rows, so that equal runs do not hide each other
		}
		if s.Lo != nil {
			l.Lo, l.Width = x(*s.Lo), max(x(*s.Hi)-x(*s.Lo), 1)
		}
		plot.Lines = append(plot.Lines, l)
	}
	if same {
		plot.Ticks = []tick{{x((lo + hi) / 2), r.show((lo + hi) / 2)}}
		return plot
	}
	for _, f := range []float64{0, .5, 1} {
		v := lo + (hi-lo)*f
		plot.Ticks = append(plot.Ticks, tick{x(v), r.show(v)})
	}
	return plot
}

// The drawing of curves.
const (
	curveWidth, curveHeight = 520.0, 280.0
	curveLeft, curveBottom  = 64.0, 26.0
)

// curves draws the percentile curves of the busiest stage, a line per run.
func curves(a, b *Group, scenario string) (list []curveView) {
	s := find(a.Runs[0], scenario)
	if s == nil {
		return nil
	}
	stage, most := "", int64(-1)
	for i := range s.Stages {
		if s.Stages[i].Records > most {
			stage, most = s.Stages[i].Name, s.Stages[i].Records
		}
	}
	for _, metric := range []string{"produce.latency", "e2e.latency"} {
		v := curveView{Title: metric + ", stage " + stage}
		var lines [][]report.CurvePoint
		var classes []string
		for i, g := range []*Group{a, b} {
			for _, r := range g.Runs {
				if s := find(r, scenario); s != nil {
					for _, c := range s.Curves {
						if c.Metric == metric && c.Stage == stage && len(c.Points) > 1 {
							lines, classes = append(lines, meaningful(c.Points)), append(classes, []string{"a", "b"}[i])
						}
					}
				}
			}
		}
		if len(lines) == 0 {
			continue
		}
		v.draw(lines, classes)
		list = append(list, v)
	}
	return list
}

// meaningful leaves out the points beyond which fewer than ten samples lie; the last point is at twice the number of samples.
func meaningful(points []report.CurvePoint) []report.CurvePoint {
	enough := points[len(points)-1].Inverse / 20
	for i, p := range points {
		if p.Inverse > enough && i > 1 {
			return points[:i]
		}
	}
	return points
}

func (v *curveView) draw(lines [][]report.CurvePoint, classes []string) {
	right, low, high := 10.0, math.Inf(1), 1.0
	for _, l := range lines {
		for _, p := range l {
			if p.ValueNs > 0 {
				right, low, high = max(right, p.Inverse), min(low, float64(p.ValueNs)), max(high, float64(p.ValueNs))
			}
		}
	}
	if math.IsInf(low, 0) {
		return
	}
	right, low, high = math.Ceil(math.Log10(right)), math.Floor(math.Log10(low)), math.Ceil(math.Log10(high*1.001))
	x := func(inverse float64) float64 {
		return curveLeft + math.Log10(inverse)/right*(curveWidth-curveLeft-26)
	}
	y := func(ns float64) float64 {
		return (curveHeight - curveBottom) * (1 - (math.Log10(ns)-low)/(high-low)*.96)
	}
	for i, l := range lines {
		var b strings.Builder
		for _, p := range l {
			if p.ValueNs > 0 {
				fmt.Fprintf(&b, "%.1f,%.1f ", x(p.Inverse), y(float64(p.ValueNs)))
			}
		}
		v.Paths = append(v.Paths, curvePath{classes[i], strings.TrimSpace(b.String())})
	}
	for n := 0.0; n <= right; n++ {
		text := "0"
		switch {
		case n == 1:
			text = "90%"
		case n == 2:
			text = "99%"
		case n > 2:
			text = "99." + strings.Repeat("9", int(n)-2) + "%"
		}
		v.XTick = append(v.XTick, tick{x(math.Pow(10, n)), text})
	}
	for n := low; n <= high; n++ {
		v.YTick = append(v.YTick, tick{y(math.Pow(10, n)), shortLatency(math.Pow(10, n))})
	}
}

// shortLatency is a latency without a tail of zeros: "10 ms".
func shortLatency(ns float64) string {
	number, unit, _ := strings.Cut(report.FormatLatency(int64(ns)), " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + unit
}
