package script

import (
	"fmt"
	"io"
	"strings"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// pageParts are the chapters of docs/LOADSCRIPT.md that are made of tables.
var pageParts = []struct {
	title, text string
	tables      []*Builtin
}{
	{"Scenarios and flows", "A scenario is one load; flows say from where to where. A name alone stands for a topic with the broker's defaults.", scenarioTables},
	{"Load over time", "A list of stages is the open model: records are due at their times, whatever the broker does, and latency counts from\nthose times. Shapes and steps are lists of stages, so they can be added: `shape.soak(\"1k/s\", \"5m\") + [hold(\"1m\", \"5k/s\")]`.", stageTables},
	{"Load without a schedule, warm-up, clusters", "", executorTables},
	{"Values, sizes and keys", "Everything is drawn from seeded generators: the same script, parameters and seed give the same records.", valueTables},
	{"Targets and faults", "A target is who is struck. It is found when the fault begins, so it cannot be looked at or compared in the script. A\nfault that the cluster at hand cannot take is a mistake of the script, shown before anything starts.", faultTables},
	{"What must hold", "Invariants are about every record, thresholds about measurements, trends about what becomes of them.", judgeTables},
	{"Parameters and durations", "", settingTables},
}

// pageScript is the first script of the page; a test reads it.
const pageScript = `"""A spike: ten times the usual load, and a broker that freezes in the middle of it."""

rate = param("rate", "2k/s", help = "usual load")

orders = topic("orders", partitions = 12)

scenario(
    "spike",
    produce(orders, producers = 4, value = gen.bytes("1KiB"), key = keys.zipf(100000)),
    consume(orders, group = "billing", members = 4),
    stages = shape.spike(rate, "20k/s", hold = "20s"),
    faults = [fault.pause(target.random(), at = "peak+5s", duration = "2s")],
    thresholds = [
        "produce.latency.p99 < 500ms",
        threshold("produce.latency.p99 < 50ms", during = "before"),
        "recovery.time < 15s",
        "errors.rate < 0.1%",
    ],
)
`

// Page writes docs/LOADSCRIPT.md: the language, from the same tables that unpack arguments and make messages.
func Page(w io.Writer) {
	fmt.Fprintf(w, `# The language of loadscript

Made from the tables in the code by `+"`make docs`"+`; do not edit. `+"`loadscript doc NAME`"+` prints the same in a terminal.

A script says what load to put on a cluster, what shall go wrong meanwhile, and what must hold. It is Starlark, a small
Python. It runs once and makes a plan; then the clock starts, and nothing of it is in the way of the load.

`+"```python\n%s```"+`

`+"`loadscript check`"+` shows every mistake with its place, `+"`loadscript plan`"+` what the script would do, `+"`loadscript run`"+` does it.

`, pageScript)
	pageContents(w)
	for _, part := range pageParts {
		fmt.Fprintf(w, "## %s\n\n", part.title)
		if part.text != "" {
			fmt.Fprintf(w, "%s\n\n", part.text)
		}
		for _, t := range part.tables {
			t.printPage(w)
		}
	}
	pageMetrics(w)
	for _, t := range docTopics {
		switch t.name {
		case "thresholds", "std", "tests":
			continue
		}
		fmt.Fprintf(w, "## %s%s\n\n", strings.ToUpper(t.name[:1]), strings.ReplaceAll(t.name[1:], "-", " "))
		pageBlock(w, t.print)
	}
	fmt.Fprintf(w, "## The @std library\n\nThese files are part of loadscript: `load(\"@std/payloads.star\", \"order_event\")`.\n\n")
	for _, label := range stdLabels() {
		doc, functions := stdFunctions(label)
		fmt.Fprintf(w, "### %s\n\n%s\n\n| function | |\n|---|---|\n", label, doc)
		for _, f := range functions {
			fmt.Fprintf(w, "| `%s` | %s |\n", cell(f.signature), cell(f.doc))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "## Tests of scripts\n\n")
	pageBlock(w, printTests)
}

func pageContents(w io.Writer) {
	for _, part := range pageParts {
		var names []string
		for _, t := range part.tables {
			names = append(names, fmt.Sprintf("[`%s`](#%s)", t.Name, anchor(t.Name)))
		}
		fmt.Fprintf(w, "* **%s**: %s\n", part.title, strings.Join(names, " "))
	}
	fmt.Fprintln(w)
}

// anchor is how a heading of code is linked to.
func anchor(name string) string { return strings.ReplaceAll(strings.ToLower(name), ".", "") }

// printPage is the table of one built-in.
func (t *Builtin) printPage(w io.Writer) {
	fmt.Fprintf(w, "### `%s`\n\n%s", t.Name, t.Doc)
	if t.Returns != "" {
		fmt.Fprintf(w, " Returns %s.", t.Returns)
	}
	fmt.Fprintf(w, "\n\n```python\n%s\n```\n\n", t.Example)
	if len(t.Params) == 0 && t.Rest == nil {
		return
	}
	fmt.Fprintf(w, "| argument | type | default | |\n|---|---|---|---|\n")
	for i, p := range t.Params {
		def := "required"
		if p.Default != nil {
			def = "`" + p.Default.String() + "`"
		}
		doc := p.Doc
		if p.Unit != "" {
			doc += " (" + p.Unit + ")"
		}
		if len(p.Type.choices) > 0 {
			doc += " (" + strings.TrimPrefix(p.Type.want, "one of ") + ")"
		}
		name := p.Name
		if i >= t.Max {
			name += " ="
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", name, p.Type.name, cell(def), cell(doc))
		if i+1 == t.Max && t.Rest != nil {
			fmt.Fprintf(w, "| `*%s` | %ss | | %s |\n", t.Rest.Name, t.Rest.Type.name, cell(t.Rest.Doc))
		}
	}
	fmt.Fprintln(w)
}

func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ") }

func pageMetrics(w io.Writer) {
	fmt.Fprint(w, `## Metrics

A threshold is "metric.statistic comparison value", with one of `+"`< <= > >=`"+`; a metric with "alone" may be written without a
statistic. Of one group: `+"`consume.lag.max{group=billing} < 50k`"+`. trend() and steady() follow those with a course.

| metric | unit | statistics | course | |
|---|---|---|---|---|
`)
	for _, m := range plan.Metrics() {
		stats := strings.Join(m.Stats, " ")
		if m.Bare {
			stats = strings.TrimSpace("alone " + stats)
		}
		course := ""
		if m.Slopes {
			course = "yes"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Unit, stats, course, cell(m.Doc))
	}
	fmt.Fprintln(w)
}

// pageBlock puts what a terminal shows into the page.
func pageBlock(w io.Writer, print func(io.Writer)) {
	fmt.Fprint(w, "```text\n")
	print(w)
	fmt.Fprint(w, "```\n\n")
}
