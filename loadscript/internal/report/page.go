package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
)

// The page's own parts. uPlot 1.6.32 (MIT, assets/uPlot.LICENSE) draws the plots.
var (
	//go:embed assets/uPlot.iife.min.js
	uplotJS string
	//go:embed assets/uPlot.min.css
	uplotCSS string
	//go:embed assets/uPlot.LICENSE
	uplotLicense string
	//go:embed assets/page.js
	pageJS string
	//go:embed assets/page.css
	pageCSS string
	//go:embed assets/page.html
	pageHTML string
)

// Style is the style sheet of the pages, light and dark.
func Style() string { return pageCSS }

// page is what the template sees. Everything of type string is escaped by html/template; the typed ones are ours (R2).
type page struct {
	*Results
	CSP      string
	Style    template.CSS
	Library  template.JS
	Code     template.JS
	License  string
	Word     string
	Sections []section
	Data     string // packed plotData
	Facts    [][2]string
	More     [][2]string
	Shared   string
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"n": formatCount}).Parse(pageHTML))

// pagePoints bounds how many points of time all scenarios of a page have together per series, so that it stays below 500 KB.
const pagePoints = 3600

// WritePage writes report.html (R2, R3, R4).
func WritePage(w io.Writer, r *Results) error {
	style, library, code := uplotCSS+pageCSS, uplotJS, pageJS
	p := page{
		Results: r, Style: template.CSS(style), Library: template.JS(library), Code: template.JS(code), License: uplotLicense,
		// Hashes instead of 'unsafe-inline': even markup that slipped through could not run.
		CSP: fmt.Sprintf("default-src 'none'; script-src %s %s; style-src %s; img-src data:; base-uri 'none'; form-action 'none'",
			SourceHash(library), SourceHash(code), SourceHash(style)),
		Word: "PASS", Facts: facts(r), More: environment(r),
	}
	if !r.Verdict.Pass {
		p.Word = "FAIL"
	}
	if r.Cluster.Shared {
		p.Shared = fmt.Sprintf("Broker and generator share the %d cores of this machine and compete for them: compare runs of this machine with each other, not with a cluster.", r.Host.Cores)
	}
	points := max(pagePoints/max(len(r.Scenarios), 1), 60)
	var data []plotData
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		p.Sections = append(p.Sections, newSection(i, s, len(r.Scenarios)))
		data = append(data, newPlotData(s, points))
	}
	var err error
	if p.Data, err = pack(data); err != nil {
		return fmt.Errorf("report: packing the data of the page: %w", err)
	}
	return pageTemplate.Execute(w, p)
}

// SourceHash is a CSP source for an inline script or style. html/template writes the typed ones unchanged.
func SourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// facts are the lines about the run that everybody needs; environment has the rest.
func facts(r *Results) [][2]string {
	cluster := fmt.Sprintf("%s (%s)", strings.Join(r.Cluster.Brokers, ", "), count(r.Cluster.Nodes, "broker"))
	if r.Cluster.Embedded {
		cluster = "embedded streambus on " + strings.Join(r.Cluster.Brokers, ", ")
	}
	list := [][2]string{
		{"Script", r.Script},
		{"Took", clock(time.Duration(r.ElapsedNs))},
		{"Cluster", cluster},
		{"Generator", fmt.Sprintf("%s, %s", r.Host.Name, count(r.Host.Cores, "core"))},
	}
	if unfit := Unfit(r); unfit != "" {
		list = append(list, [2]string{"Machine", unfit})
	}
	for _, p := range r.Params {
		if p.Set {
			list = append(list, [2]string{"--" + p.Name, p.Value})
		}
	}
	return list
}

func environment(r *Results) [][2]string {
	list := [][2]string{
		{"Run", r.RunID}, {"loadscript", r.Version}, {"Started", r.Started.Format("2006-01-02 15:04:05.000 MST")}, {"Machine", r.Host.Name},
		{"Processor", oneLine(fmt.Sprintf("%s %s, %s", r.Host.CPU, r.Host.Arch, count(r.Host.Cores, "core")))},
	}
	if r.Host.Memory > 0 {
		list = append(list, [2]string{"Memory", formatBytes(r.Host.Memory)})
	}
	list = append(list, [2]string{"System", oneLine(r.Host.OS + " " + r.Host.Kernel + ", " + r.Host.Go)}, [2]string{"Brokers", strings.Join(r.Cluster.Brokers, ", ")})
	for _, p := range r.Params {
		text := p.Value
		if !p.Set {
			text += " (default)"
		}
		list = append(list, [2]string{"--" + p.Name, text})
	}
	for _, c := range r.Cluster.Config {
		name := c.Name
		if c.Broker >= 0 {
			name = fmt.Sprintf("%s of broker %d", name, c.Broker)
		}
		list = append(list, [2]string{name, c.Value})
	}
	for _, c := range r.Preflight {
		list = append(list, [2]string{c.Condition, c.Current})
	}
	for _, s := range r.Sources {
		list = append(list, [2]string{s.Path, "SHA-256 " + s.SHA256})
	}
	return slices.DeleteFunc(list, func(f [2]string) bool { return f[1] == "" })
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
