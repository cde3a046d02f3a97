package script

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// A threshold is `metric.stat op value` and nothing more: no and, no or, no arithmetic.
//
//	produce.latency.p99 < 50ms        consume.lag.max{group=ledger} < 50k
//	`------metric-' `-stat                           `---label----'
//
// Comparisons cannot be Starlark's own, since `<` must return a bool there; hence a string, parsed when the script is read.

// expr is a parsed threshold.
type expr struct {
	text   string
	metric string
	stat   string
	group  string // of {group=…}
	op     string
	value  float64 // in the metric's base unit
	bytes  bool    // value is bytes per second, still to be divided by the value size
}

// exprError is a mistake in a threshold, at bytes [off, off+width) of its text.
type exprError struct {
	off, width            int
	msg, suggest, example string
	note                  string
}

// Error is the message alone.
func (e *exprError) Error() string { return e.msg }

// thresholdExample is the shape of a threshold, shown where nothing closer is known.
const thresholdExample = `"produce.latency.p99 < 50ms"`

// maxExpr bounds the text of a threshold.
const maxExpr = 500

// exampleFor is a threshold on this metric that is right.
func exampleFor(m plan.Metric) string {
	name := m.Name
	if !m.Bare {
		name += "." + exampleStat(m)
	}
	switch m.Unit {
	case plan.UnitDuration:
		return strconv.Quote(name + " < 50ms")
	case plan.UnitRate:
		return strconv.Quote(name + " > 20k/s")
	case plan.UnitPercent:
		return strconv.Quote(name + " < 0.1%")
	}
	switch m.Unit {
	case plan.UnitSize:
		return strconv.Quote(name + " < 512MiB")
	case plan.UnitBytesRate:
		return strconv.Quote(name + " < 50MiB/s")
	case plan.UnitCores:
		return strconv.Quote(name + " < 1.5")
	}
	if m.Name == "consume.lag" {
		return strconv.Quote(name + " < 50k")
	}
	return strconv.Quote(name + " < 1")
}

func exampleStat(m plan.Metric) string {
	if slices.Contains(m.Stats, "p99") {
		return "p99"
	}
	return m.Stats[0]
}

func parseThreshold(text string) (expr, *exprError) {
	e := expr{text: text}
	if len(text) > maxExpr {
		return e, &exprError{width: len(text), msg: fmt.Sprintf("this threshold is longer than %d bytes", maxExpr), example: thresholdExample}
	}
	start := skipBlank(text, 0)
	nameEnd := start + tokenLen(text[start:], isMetricChar)
	labelEnd := nameEnd + labelLen(text[nameEnd:])
	opStart := skipBlank(text, labelEnd)
	opEnd := opStart + tokenLen(text[opStart:], isOpChar)
	valueStart := skipBlank(text, opEnd)
	value := strings.TrimRight(text[valueStart:], " \t")

	m, err := e.readMetric(text, start, nameEnd)
	if err != nil {
		return e, err
	}
	if err := e.readLabel(text, nameEnd, labelEnd, m); err != nil {
		return e, err
	}
	if err := e.readOp(text, labelEnd, opStart, opEnd, m); err != nil {
		return e, err
	}
	err = e.readValue(value, valueStart, m)
	return e, err
}

func skipBlank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

func tokenLen(s string, ok func(byte) bool) int {
	n := 0
	for n < len(s) && ok(s[n]) {
		n++
	}
	return n
}

func isMetricChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

func isOpChar(c byte) bool { return strings.IndexByte("<>=!", c) >= 0 }

func metricNames() []string {
	var names []string
	for _, m := range plan.Metrics() {
		names = append(names, m.Name)
	}
	return names
}

// readMetric finds the metric and its statistic in text[start:end].
func (e *expr) readMetric(text string, start, end int) (plan.Metric, *exprError) {
	name := text[start:end]
	if name == "" {
		msg := "a threshold starts with a metric"
		if start < len(text) {
			msg = fmt.Sprintf("a threshold starts with a metric, not with %q", clip(text[start:], 20))
		} else if strings.TrimSpace(text) == "" {
			msg = "this threshold is empty"
		}
		return plan.Metric{}, &exprError{off: start, width: max(len(text)-start, 1), msg: msg, example: thresholdExample}
	}
	var found plan.Metric
	for _, m := range plan.Metrics() {
		if (name == m.Name || strings.HasPrefix(name, m.Name+".")) && len(m.Name) > len(found.Name) {
			found = m
		}
	}
	if found.Name == "" {
		return found, unknownMetric(name, start, strings.TrimSpace(text[end:]))
	}
	e.metric, e.stat = found.Name, strings.TrimPrefix(strings.TrimPrefix(name, found.Name), ".")
	if found.HasStat(e.stat) && !strings.HasSuffix(name, ".") {
		return found, nil
	}
	return found, badStat(found, e.stat, text, start, end)
}

// labelLen is the length of the {…} that s begins with, 0 if it does not.
func labelLen(s string) int {
	if !strings.HasPrefix(s, "{") {
		return 0
	}
	if i := strings.IndexByte(s, '}'); i >= 0 {
		return i + 1
	}
	return len(s)
}

// readLabel reads the {group=NAME} in text[start:end]; the name may stand in quotes.
func (e *expr) readLabel(text string, start, end int, m plan.Metric) *exprError {
	if start == end {
		return nil
	}
	bad := func(msg, suggest string) *exprError {
		if suggest != "" {
			suggest = strconv.Quote(suggest)
		}
		return &exprError{off: start, width: end - start, msg: msg, suggest: suggest, example: exampleFor(m)}
	}
	const groupExample = "{group=billing}"
	inside, closed := strings.CutSuffix(text[start+1:end], "}")
	key, name, ok := strings.Cut(inside, "=")
	name = strings.TrimSpace(name)
	switch {
	case !closed:
		return bad("the { is not closed: "+groupExample, "")
	case !m.Groups:
		return bad(fmt.Sprintf("%s is not measured for one group: it covers the whole scenario", m.Name), strings.TrimSpace(text[:start])+" "+strings.TrimSpace(text[end:]))
	case !ok || strings.TrimSpace(key) != "group":
		return bad(fmt.Sprintf("the only label is group: %s, not %s", groupExample, clip(text[start:end], 40)), "")
	}
	if u, err := strconv.Unquote(name); err == nil {
		name = u
	}
	if name == "" || strings.ContainsAny(name, "{},=") {
		return bad("which group? "+groupExample, "")
	}
	e.group = name
	return nil
}

func unknownMetric(name string, off int, rest string) *exprError {
	err := &exprError{off: off, width: len(name), example: thresholdExample}
	err.msg = fmt.Sprintf("there is no metric %q", clip(name, 60))
	err.note = "`loadscript doc thresholds` lists all metrics"
	// Compare both the whole name and the name without its last part with every metric.stat and every metric.
	best := ""
	for _, full := range fullNames() {
		if strings.HasSuffix(full, "."+name) {
			best = full // "latency.p99": the first word is missing
			break
		}
	}
	if best == "" {
		best = Nearest(name, fullNames())
	}
	if cut := strings.LastIndexByte(name, '.'); best == "" && cut > 0 {
		if n := Nearest(name[:cut], metricNames()); n != "" {
			best = n + name[cut:]
			if m, _ := plan.LookupMetric(n); !m.HasStat(name[cut+1:]) {
				best = strings.Trim(exampleFor(m), `"`)
				best = strings.Fields(best)[0]
			}
		}
	}
	if best != "" {
		err.suggest = strconv.Quote(strings.TrimSpace(best + " " + rest))
	}
	return err
}

// fullNames is every way to write the left side of a threshold.
func fullNames() []string {
	var names []string
	for _, m := range plan.Metrics() {
		if m.Bare {
			names = append(names, m.Name)
		}
		for _, s := range m.Stats {
			names = append(names, m.Name+"."+s)
		}
	}
	return names
}

func badStat(m plan.Metric, stat, text string, start, end int) *exprError {
	err := &exprError{off: start, width: end - start, example: exampleFor(m)}
	rest := strings.TrimSpace(text[end:])
	if rest != "" && !strings.HasPrefix(rest, "{") {
		rest = " " + rest
	}
	if stat == "" && m.Bare { // "late. < 1"
		err.off, err.width = end-1, 1
		err.msg = "there is nothing behind this dot"
		err.suggest = strconv.Quote(m.Name + rest)
		return err
	}
	if stat == "" {
		err.msg = fmt.Sprintf("%s needs a statistic: %s", m.Name, strings.Join(m.Stats, ", "))
		err.suggest = strconv.Quote(m.Name + "." + exampleStat(m) + rest)
		return err
	}
	err.off, err.width = start+len(m.Name)+1, len(stat)
	if len(m.Stats) == 0 {
		err.msg = fmt.Sprintf("%s has no statistics: it is one number", m.Name)
		err.suggest = strconv.Quote(m.Name + rest)
		return err
	}
	err.msg = fmt.Sprintf("%s has no statistic %q; it has %s", m.Name, clip(stat, 30), strings.Join(m.Stats, ", "))
	aliases := map[string]string{"avg": "mean", "average": "mean", "median": "p50", "p999": "p99.9", "p9999": "p99.99", "maximum": "max",
		"minimum": "min", "worst": "max", "p99_9": "p99.9", "p100": "max", "p0": "min"}
	n := aliases[strings.ToLower(stat)]
	if p := percentile(stat); p > 0 {
		n = ""
		for _, have := range m.Stats {
			if q := percentile(have); q > 0 && (n == "" || math.Abs(q-p) < math.Abs(percentile(n)-p)) {
				n = have
			}
		}
	}
	if !slices.Contains(m.Stats, n) {
		n = Nearest(stat, m.Stats)
	}
	if n != "" {
		err.suggest = strconv.Quote(m.Name + "." + n + rest)
	}
	return err
}

func (e *expr) readOp(text string, nameEnd, start, end int, m plan.Metric) *exprError {
	op := text[start:end]
	if slices.Contains(plan.Operators, op) {
		e.op = op
		return nil
	}
	err := &exprError{off: start, width: max(end-start, 1), example: exampleFor(m)}
	switch {
	case op == "" && start == len(text):
		err.off, err.width = nameEnd, 1
		err.msg = "the comparison is missing: one of <, <=, >, >= and a value"
	case op == "":
		r, w := utf8.DecodeRuneInString(text[start:])
		err.width = w
		err.msg = fmt.Sprintf("expected one of <, <=, >, >= here, found %q", r)
	default:
		err.msg = fmt.Sprintf("%q is no comparison here: use one of <, <=, >, >=", clip(op, 10))
		if better := map[string]string{"=<": "<=", "=>": ">=", "==": "<=", "=": "<=", "<<": "<", ">>": ">"}[op]; better != "" {
			err.suggest = strconv.Quote(strings.TrimSpace(text[:start]) + " " + better + " " + strings.TrimSpace(text[end:]))
		}
	}
	return err
}

func (e *expr) readValue(value string, off int, m plan.Metric) *exprError {
	if value == "" {
		return &exprError{off: off, width: 1, msg: "the value to compare with is missing", example: exampleFor(m)}
	}
	for _, word := range []string{" and ", " or ", "&&", "||", ", "} {
		if i := strings.Index(value, word); i >= 0 {
			return &exprError{off: off + i, width: len(word), msg: "a threshold is one comparison: write two strings", example: `["produce.latency.p99 < 50ms", "errors.rate < 0.1%"]`}
		}
	}
	if i := strings.IndexAny(value, "<>="); i >= 0 {
		return &exprError{off: off + i, width: 1, msg: "a threshold has one comparison", example: exampleFor(m)}
	}
	uerr := e.readUnit(value, m)
	if uerr == nil {
		return nil
	}
	err := &exprError{off: off + uerr.off, width: max(uerr.width, 1), example: exampleFor(m)}
	err.msg = fmt.Sprintf("%s; %s is compared with %s", uerr.headline(), e.left(), uerr.want)
	if uerr.suggest != "" {
		err.suggest = strconv.Quote(fmt.Sprintf("%s %s %s", e.left(), e.op, uerr.suggest))
	}
	return err
}

// left is the left side as it should be written.
func (e *expr) left() string {
	left := e.metric
	if e.stat != "" {
		left += "." + e.stat
	}
	if e.group != "" {
		left += "{group=" + e.group + "}"
	}
	return left
}

func (e *expr) readUnit(value string, m plan.Metric) *unitError {
	switch m.Unit {
	case plan.UnitDuration:
		d, err := parseDuration(value)
		if err != nil && err.suggest == value+"s" { // a latency without a unit is milliseconds more often than seconds
			err.suggest = value + "ms"
		}
		e.value = float64(d)
		return err
	case plan.UnitRate:
		r, err := parseRate(value)
		e.value, e.bytes = r.PerSecond, r.Bytes
		return err
	case plan.UnitBytesRate:
		r, err := parseRate(value)
		if err == nil && !r.Bytes {
			err = &unitError{text: value, width: len(value), reason: "is not bytes per second", want: wantBytesRate}
		} else if err != nil {
			err.want = wantBytesRate
		}
		e.value = r.PerSecond
		return err
	case plan.UnitSize:
		n, err := parseSize(value)
		e.value = float64(n)
		return err
	case plan.UnitCores:
		n, err := parseCores(value)
		e.value = n
		return err
	case plan.UnitPercent:
		p, err := parsePercent(value)
		e.value = float64(p)
		return err
	default:
		n, err := parseCount(value)
		e.value = float64(n)
		return err
	}
}

// percentile is the number of a statistic such as "p98", 0 of any other.
func percentile(stat string) float64 {
	digits, ok := strings.CutPrefix(stat, "p")
	p, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || p >= 100 {
		return 0
	}
	return p
}
