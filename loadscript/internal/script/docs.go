package script

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// docTopics are the pages of the documentation that are not about one built-in.
var docTopics = []struct {
	name, title string
	print       func(w io.Writer)
}{
	{"units", "how durations, sizes, rates, percentages and counts are written", printUnits},
	{"thresholds", "what a run must satisfy: metrics, statistics, comparisons", printThresholds},
	{"params", "settings that the command line can change", printParams},
	{"load", "sharing code between scripts", printLoad},
	{"std", "the library that comes with loadscript", printStd},
	{"tests", "tests of scripts: assert and plan()", printTests},
	{"dialect", "what Starlark is, and what scripts cannot do", printDialect},
	{"exit-codes", "what loadscript says to the shell", printExitCodes},
}

// DocNames is every name that Doc knows, for suggestions and completion.
func DocNames() []string {
	var names []string
	for _, t := range builtins {
		names = append(names, t.Name)
	}
	for _, m := range moduleDocs {
		names = append(names, m.name)
	}
	for _, t := range docTopics {
		names = append(names, t.name)
	}
	return names
}

// Doc prints the documentation of a built-in, a module or a topic; of everything in one line each when name is "". It
// reports whether the name is known.
func Doc(w io.Writer, name string) bool {
	name = strings.TrimSuffix(name, "()")
	if name == "" {
		printIndex(w)
		return true
	}
	for _, t := range docTopics {
		if t.name == name || t.name == strings.TrimSuffix(name, "s")+"s" && t.name == "units" {
			t.print(w)
			return true
		}
	}
	found := false
	for _, m := range moduleDocs {
		if m.name == name {
			fmt.Fprintf(w, "%s: %s\n", m.name, m.doc)
			found = true
		}
	}
	for _, t := range builtins {
		module, _, member := cutMember(t.Name)
		if t.Name == name || member && module == name {
			if found {
				fmt.Fprintln(w)
			}
			t.printDoc(w)
			found = true
		}
	}
	if name == "metrics" {
		printThresholds(w)
		return true
	}
	return found
}

func printIndex(w io.Writer) {
	fmt.Fprintf(w, "A script is one or more scenario(…) calls; everything else makes values for them.\n\n  %s\n\n", smokeExample)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range builtins {
		fmt.Fprintf(tw, "  %s\t%s\n", t.Name, sentence(t.Doc))
	}
	fmt.Fprintf(tw, "  print\tStarlark's own: writes to stderr while the script is read.\n  load\tTakes names from another file; see `loadscript doc load`.\n")
	fmt.Fprintf(tw, "  math, json\tStarlark's modules.\n")
	tw.Flush()
	fmt.Fprintf(w, "\nMore:\n\n")
	for _, t := range docTopics {
		fmt.Fprintf(tw, "  loadscript doc %s\t%s\n", t.name, t.title)
	}
	fmt.Fprintf(tw, "  loadscript doc NAME\tone of the above, with its parameters\n")
	tw.Flush()
}

// sentence is the first sentence.
func sentence(s string) string {
	if i := strings.Index(s, ". "); i >= 0 {
		return s[:i+1]
	}
	if i := strings.Index(s, ": "); i >= 0 && len(s) > 90 {
		return s[:i] + "."
	}
	return s
}

// signature is the call with its parameters: hold(duration, rate, name=None).
func (t *Builtin) signature() string {
	var words []string
	for i, p := range t.Params {
		if i == t.Max && t.Rest == nil && t.Max < len(t.Params) {
			words = append(words, "*")
		}
		word := p.Name
		if p.Default != nil {
			word += "=" + p.Default.String()
		}
		words = append(words, word)
		if i+1 == t.Max && t.Rest != nil {
			words = append(words, "*"+t.Rest.Name)
		}
	}
	return t.Name + "(" + strings.Join(words, ", ") + ")"
}

func (t *Builtin) printDoc(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", wrap(t.signature(), "    ", 100))
	fmt.Fprintf(w, "  %s\n", wrap(t.Doc, "  ", 98))
	if t.Returns != "" {
		fmt.Fprintf(w, "  Returns %s.\n", wrap(t.Returns, "  ", 98))
	}
	if len(t.Params) > 0 || t.Rest != nil {
		fmt.Fprintln(w)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, p := range t.Params {
		p.printDoc(tw)
		if i+1 == t.Max && t.Rest != nil {
			fmt.Fprintf(tw, "  *%s\t%s\t\t%s\n", t.Rest.Name, t.Rest.Type.name+"s", t.Rest.Doc)
		}
	}
	tw.Flush()
	fmt.Fprintf(w, "\n  Example: %s\n", t.Example)
	fmt.Fprintf(w, "  Since %s.\n", t.Since)
}

func (p Param) printDoc(w io.Writer) {
	def := "required"
	if p.Default != nil {
		def = p.Default.String()
	}
	doc := p.Doc
	if p.Unit != "" {
		doc += " (" + p.Unit + ")"
	}
	if len(p.Type.choices) > 0 {
		doc += " (" + strings.TrimPrefix(p.Type.want, "one of ") + ")"
	}
	if p.Since != "" {
		doc += " (since " + p.Since + ")"
	}
	for i, line := range strings.Split(wrap(doc, "", 72), "\n") {
		if i == 0 {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p.Name, p.Type.name, def, line)
		} else {
			fmt.Fprintf(w, "\t\t\t%s\n", line)
		}
	}
}

// wrap breaks text at blanks.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Fields(text) {
		if i > 0 {
			if n+1+len(word) > width {
				b.WriteString("\n" + indent)
				n = 0
			} else {
				b.WriteByte(' ')
				n++
			}
		}
		b.WriteString(word)
		n += len(word)
	}
	return b.String()
}

func printUnits(w io.Writer) {
	fmt.Fprint(w, `Quantities are strings with a unit. Starlark has no 20_000 literal, so write "20k/s".

`)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  duration\t\"30s\" \"1m30s\" \"1.5h\" \"2d\" \"200us\"\tunits ns us ms s m h d w; no bare numbers\n")
	fmt.Fprintf(tw, "  size\t\"512B\" \"1KiB\" \"1.5MB\" 1024\tB; KB MB GB count by 1000, KiB MiB GiB by 1024; a number is bytes\n")
	fmt.Fprintf(tw, "  rate\t\"500/s\" \"20k/s\" \"600/m\" 1000\trecords per second; k M G count by 1000; a number is per second\n")
	fmt.Fprintf(tw, "  \t\"50MiB/s\"\tbytes per second: divided by the mean value size of the scenario's flows\n")
	fmt.Fprintf(tw, "  percent\t\"5%%\" 0.05 \"0.05\"\ta number is a fraction between 0 and 1\n")
	fmt.Fprintf(tw, "  count\t1000 \"100k\" \"1.5M\"\ta whole number\n")
	tw.Flush()
	fmt.Fprint(w, `
A script can compute with durations: dur("5m") - 2 * dur("2s"). See `+"`loadscript doc dur`"+`.
`)
}

func printThresholds(w io.Writer) {
	fmt.Fprint(w, `A threshold is "metric.statistic comparison value", with one of < <= > >=. One comparison each; a run passes
when all hold. Judged over the whole run after the warm-up; threshold(…) judges one stage, windows, or the time
outside faults, and trend(…) a slope. Of one group: consume.lag.max{group=billing}.

  thresholds = [
      "produce.latency.p99 < 50ms",
      "consume.lag.max{group=billing} < 50k",
      threshold("produce.latency.p99 < 40ms", window = "1m", of_windows = 0.999),
      trend("broker.memory.rss", slope = "< 1MiB/h"),
  ]

`)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  metric\tunit\tstatistics\twhat it is")
	for _, m := range plan.Metrics() {
		stats := strings.Join(m.Stats, " ")
		switch {
		case len(m.Stats) > 5:
			stats = m.Stats[0] + " … " + m.Stats[len(m.Stats)-1]
		case len(m.Stats) == 0:
			stats = "(none)"
		case m.Bare:
			stats = "(none) " + stats
		}
		for i, line := range strings.Split(wrap(m.Doc, "", 72), "\n") {
			if i == 0 {
				fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", m.Name, m.Unit, stats, line)
			} else {
				fmt.Fprintf(tw, "\t\t\t%s\n", line)
			}
		}
	}
	tw.Flush()
	latency, _ := plan.LookupMetric("produce.latency")
	fmt.Fprintf(w, "\nStatistics of durations: %s. (none) means that the metric\nstands alone: \"late < 1\". A rate without a statistic is its mean.\n", strings.Join(latency.Stats, " "))
}

func printParams(w io.Writer) {
	fmt.Fprint(w, `A script declares what the command line may change:

  rate = param("rate", "2k/s", help = "records per second")
  spike_rate = param("spike_rate", "20k/s")

and then any of these sets it, before or after the script's name:

  loadscript run spike.star --rate 5k/s --spike-rate=50k/s
  loadscript run spike.star -p rate=5k/s -p spike_rate=50k/s

The value has the type of the default: string, int, float, bool or dur. A bool needs no value: --verbose.
`+"`loadscript run spike.star --help`"+` lists the parameters of that script. A name that the script does not
declare is an error (exit code 104), and so is a declared name that is a flag of loadscript itself, with one
exception: a parameter called brokers and the flag --brokers (or --bootstrap-server) are one and the same, so
a script can give the list a default.
`)
}

func printLoad(w io.Writer) {
	fmt.Fprint(w, `load("//lib/payloads.star", "order_event")        # from the script's folder
load(":payloads.star", event = "order_event")      # from the folder of this file; under another name
load("@std/payloads.star", "log_line")             # from the library that comes with loadscript: `+"`loadscript doc std`"+`

Modules are .star files of at most 1MiB in the script's folder or below it; links that lead out of it are not
followed. Each is run once. While a module loads it cannot call scenario() or param(); functions in it can, when
the script calls them. Everything at the top level of a module is frozen once it is loaded.
`)
}

func printTests(w io.Writer) {
	fmt.Fprint(w, `Functions test_… in files …_test.star are tests; `+"`loadscript test`"+` runs them, without any network:

  def test_short_spike():
      p = plan("spike.star", duration = "1m")
      assert.eq(p.duration, dur("1m"))
      assert.true(p.peak_rate <= 10000, msg = "the spike is too high")

plan(SCRIPT, **PARAMETERS) reads a script in the test's folder or below it. What it returns has records, duration,
peak_rate, bytes, fault_times and scenarios; each scenario has the same of its own, and name, stages, thresholds
and verify. A failed assertion is noted and the test goes on; a mistake ends it.

`)
	for i, t := range testTables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		t.printDoc(w)
	}
}

func printDialect(w io.Writer) {
	fmt.Fprint(w, `Scripts are Starlark, a small Python: https://github.com/bazelbuild/starlark/blob/master/spec.md

Also allowed: if and for at the top level, reassigning a global, set(). Not available: while, recursion, classes,
exceptions, import, a clock, the environment (param() is for what changes), the network, and files but those below
the script's folder. So the same script with the same parameters always gives the same plan. It runs once, before
the clock starts: nothing of it is in the way of the load. It is read by a process of its own that may take 512MiB
of memory, 10 seconds, and 10 million steps (--max-steps), so a script always ends.

for and load are words of the language and cannot be names; from is reserved, hence steps(from_ = …).

Values that built-ins return never change. They print as the code that makes them, and their arguments can be read:
orders = topic("orders", partitions = 12); orders.partitions is 12.
`)
}

func printExitCodes(w io.Writer) {
	fmt.Fprint(w, "The exit code says how a run ended. The codes are k6's where k6 has one. The worst applies.\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	codes, docs := plan.ExitCodes()
	for i, c := range codes {
		fmt.Fprintf(tw, "  %d\t%s\n", int(c), docs[i])
	}
	tw.Flush()
}

var _ starlark.Value = (*built)(nil)
