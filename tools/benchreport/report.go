package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed report.html
var page string

// writeReport writes results as one page without links to anything, and the same as Markdown.
func writeReport(s set, dir string, errs io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	view := newView(s)
	var html, md strings.Builder
	if err := template.Must(template.New("report").Parse(page)).Execute(&html, view); err != nil {
		return err
	}
	view.markdown(&md)
	for name, text := range map[string]string{"benchmarks.html": html.String(), "benchmarks.md": md.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(errs, "written:", filepath.Join(dir, name))
	}
	return nil
}

// view is what both show.
type view struct {
	Targets  []targetRow // the guide's, as far as they were measured
	Sizes    []size
	Runs     []origin
	Families []family
}

// targetRow is a target of the guide, and what was measured for each size.
type targetRow struct {
	What  string
	Cells []targetCell
}

type targetCell struct {
	Text   string
	Missed bool
}

type origin struct {
	File   string
	Commit string
	Config [][2]string
}

type family struct {
	Name  string
	Plots []template.HTML // made by plot.svg, which escapes
	Units []string
	Rows  []row
}

type row struct {
	Name  string
	Cells []string
}

func newView(s set) view {
	v := view{Targets: targetRows(s), Sizes: sizes}
	seen := map[string]bool{}
	for _, r := range s {
		if !seen[r.file] {
			seen[r.file] = true
			one := origin{File: r.file, Commit: r.config["commit"]}
			for _, k := range configKeys {
				if c := r.config[k]; c != "" {
					one.Config = append(one.Config, [2]string{k, c})
				}
			}
			v.Runs = append(v.Runs, one)
		}
	}
	for _, name := range s.families() {
		v.Families = append(v.Families, newFamily(name, s.under(name)))
	}
	return v
}

// targetRows leaves out targets that were measured for no size.
func targetRows(s set) (out []targetRow) {
	for _, t := range targets {
		one, any := targetRow{What: t.what + t.asked()}, false
		for _, z := range sizes {
			v, ok := t.measured(s, z)
			if !ok {
				one.Cells = append(one.Cells, targetCell{Text: "not measured"})
				continue
			}
			any = true
			one.Cells = append(one.Cells, targetCell{Text: number(v), Missed: !t.met(v)})
		}
		if any {
			out = append(out, one)
		}
	}
	return out
}

// newFamily shows all units in the table, and the first of throughput, of latency and of ratios in plots.
func newFamily(name string, rows set) family {
	f := family{Name: name, Units: rows.units()}
	if slices.ContainsFunc(f.Units, saysMoreThanTime) {
		f.Units = slices.DeleteFunc(f.Units, func(u string) bool { return u == "ns/op" })
	}
	for _, choice := range [][]string{{"MB/s", "s/start", "cores", "ns/op"}, {"p99-us"}, {"x-device", "x-sink", "x-sendfile", "x-bare-reads", "x-bare-pread", "x-clean", "x-peer"}} {
		for _, unit := range choice {
			p := plot{title: name, unit: unit}
			if strings.HasPrefix(unit, "x-") {
				p.line = 1
			}
			for _, r := range rows {
				if value, ok := r.values[unit]; ok {
					p.bars = append(p.bars, bar{label: strings.TrimPrefix(short(name, r.tail()), "_ "), value: value, lo: r.values[unit+":min"], hi: r.values[unit+":max"]})
				}
			}
			if svg := p.svg(); svg != "" {
				f.Plots = append(f.Plots, template.HTML(svg))
				break
			}
		}
	}
	for _, r := range rows {
		one := row{Name: r.title()}
		for _, u := range f.Units {
			cell := ""
			if value, ok := r.values[u]; ok {
				cell = number(value)
			}
			one.Cells = append(one.Cells, cell)
		}
		f.Rows = append(f.Rows, one)
	}
	return f
}

// saysMoreThanTime: an op of these is a round, whose time is what was asked for.
func saysMoreThanTime(unit string) bool {
	return unit == "CPU-s/GB" || unit == "s/start" || unit == "cores"
}

func (v *view) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "# Benchmarks\n")
	if len(v.Targets) > 0 {
		fmt.Fprintf(b, "\n| target |")
		for _, z := range v.Sizes {
			fmt.Fprintf(b, " %s |", z.Title)
		}
		fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(v.Sizes)))
		for _, t := range v.Targets {
			fmt.Fprintf(b, "| %s |", t.What)
			for _, c := range t.Cells {
				if c.Missed {
					c.Text = "**" + c.Text + ", missed**"
				}
				fmt.Fprintf(b, " %s |", c.Text)
			}
			fmt.Fprintln(b)
		}
	}
	for _, r := range v.Runs {
		fmt.Fprintf(b, "\n`%s`\n\n", r.File)
		for _, c := range r.Config {
			fmt.Fprintf(b, "* %s: %s\n", c[0], c[1])
		}
	}
	for _, f := range v.Families {
		fmt.Fprintf(b, "\n## %s\n\n", f.Name)
		for _, svg := range f.Plots {
			fmt.Fprintf(b, "%s\n", svg)
		}
		fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(f.Units, " | "), strings.Repeat("---|", len(f.Units)))
		for _, r := range f.Rows {
			fmt.Fprintf(b, "| %s | %s |\n", r.Name, strings.Join(r.Cells, " | "))
		}
	}
}
