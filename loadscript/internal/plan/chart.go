package plan

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Chart prints the plan for people: per scenario the offered rate over time with its stages, the totals, and what the
// cluster must allow. Plain ASCII, at most width columns wide (at least 60), so that it survives mail and CI logs.
func (p *Plan) Chart(w io.Writer, width int) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s", p.Script)
	if p.Title != "" {
		fmt.Fprintf(out, ": %s", p.Title)
	}
	out.WriteString("\n")
	p.chartParams(out)
	for i := range p.Scenarios {
		s := &p.Scenarios[i]
		fmt.Fprintf(out, "\nscenario %q\n\n", s.Name)
		s.chartRate(out, max(width, 60))
		s.chartStages(out)
		s.chartFaults(out)
		s.chartTotals(out)
	}
	p.chartCluster(out)
	_, err := io.WriteString(w, out.String())
	return err
}

func (p *Plan) chartParams(out *strings.Builder) {
	if len(p.Params) == 0 {
		return
	}
	var words []string
	for _, prm := range p.Params {
		words = append(words, fmt.Sprintf("%s=%s", prm.Name, shown(prm.Value)))
	}
	fmt.Fprintf(out, "with %s\n", strings.Join(words, " "))
}

// shown quotes a parameter value that a reader could not tell apart from its surroundings.
func shown(v string) string {
	if v == "" || strings.ContainsAny(v, " \t\n\"'") {
		return fmt.Sprintf("%q", v)
	}
	return v
}

const chartHeight = 10

// chartRate draws the offered rate. A column shows the highest rate inside its stretch of time, so that a spike shorter than
// a column is still seen.
//
//	10k/s |      ####
//	 5k/s |     #####
//	    0 +-----------------
//	      a    bc   d         <- where the stages start
//	      0s        5m   10m
func (s *Scenario) chartRate(out *strings.Builder, width int) {
	peak, total := s.PeakRate(), s.Duration()
	if peak <= 0 || total <= 0 {
		return
	}
	const left = 11
	columns := min(width-left-2, 100)
	heights := make([]int, columns)
	for c := range heights {
		r := s.peakBetween(columnTime(total, c, columns), columnTime(total, c+1, columns))
		heights[c] = int(math.Round(r / peak * chartHeight))
		if r > 0 && heights[c] == 0 {
			heights[c] = 1 // little load is not no load
		}
	}
	for row := chartHeight; row >= 1; row-- {
		label := ""
		if row == chartHeight || row == chartHeight/2 {
			label = FormatRate(peak * float64(row) / chartHeight)
		}
		line := make([]byte, columns)
		for c, h := range heights {
			line[c] = ' '
			if h >= row {
				line[c] = '#'
			}
		}
		fmt.Fprintf(out, "%*s |%s\n", left-2, label, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(out, "%*s +%s\n", left-2, "0", strings.Repeat("-", columns))
	fmt.Fprintf(out, "%*s  %s\n", left-2, "stage", s.stageMarks(total, columns))
	if len(s.Faults) > 0 {
		fmt.Fprintf(out, "%*s  %s\n", left-2, "fault", s.faultMarks(total, columns))
	}
	fmt.Fprintf(out, "%*s  %s\n\n", left-2, "time", timeAxis(total, columns))
}

func columnTime(total time.Duration, c, columns int) time.Duration {
	return time.Duration(float64(total) * float64(c) / float64(columns))
}

// peakBetween is the highest offered rate in [from, to).
func (s *Scenario) peakBetween(from, to time.Duration) float64 {
	peak := RateAt(s.Stages, from)
	var start time.Duration
	for _, st := range s.Stages {
		end := start + st.Duration
		if end > from && start < to {
			peak = max(peak, st.peakBetween(max(start, from)-start, min(end, to)-start))
		}
		start = end
	}
	return peak
}

// stageLetter names stages a…z, then 'aa' would be too wide: '*'.
func stageLetter(i int) byte {
	if i < 26 {
		return byte('a' + i)
	}
	return '*'
}

func (s *Scenario) stageMarks(total time.Duration, columns int) string {
	line := []byte(strings.Repeat(" ", columns))
	var start time.Duration
	for i, st := range s.Stages {
		c := min(int(float64(start)/float64(total)*float64(columns)), columns-1)
		for c < columns && line[c] != ' ' {
			c++
		}
		if c < columns {
			line[c] = stageLetter(i)
		}
		start += st.Duration
	}
	return strings.TrimRight(string(line), " ")
}

func timeAxis(total time.Duration, columns int) string {
	end := FormatDuration(total)
	middle := FormatDuration(total / 2)
	if len(middle) > 8 || len(middle)+len(end)+8 > columns {
		middle = ""
	}
	line := []byte(strings.Repeat(" ", columns))
	copy(line, "0s")
	copy(line[columns/2:], middle)
	if len(end) < columns {
		copy(line[columns-len(end):], end)
	}
	return strings.TrimRight(string(line), " ")
}

func (s *Scenario) chartStages(out *strings.Builder) {
	if len(s.Stages) == 0 {
		return
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  \tstage\tstart\tlasts\trate\trecords")
	var start time.Duration
	for i, st := range s.Stages {
		n := CumulativeRecords(s.Stages, start+st.Duration) - CumulativeRecords(s.Stages, start)
		fmt.Fprintf(tw, "  %c\t%s\t%s\t%s\t%s\t%s\n", stageLetter(i), st.Name, FormatDuration(start), FormatDuration(st.Duration), st.describeRate(),
			FormatCount(int64(math.Round(n))))
		start += st.Duration
	}
	tw.Flush()
	out.WriteString("\n")
}

// chartFaults lists the faults; their numbers stand in the chart too.
func (s *Scenario) chartFaults(out *strings.Builder) {
	if len(s.Faults) == 0 {
		return
	}
	length, known := s.Length()
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  \tfault\tat\tlasts\ttimes")
	for i := range s.Faults {
		f := &s.Faults[i]
		lasts, times := "-", "1"
		switch over := f.End(f.At, length) - f.At; {
		case f.Kind == "kill" && f.RestartAfter == 0:
			lasts = "to the end"
		case over > 0:
			lasts = FormatDuration(over)
		}
		if f.Every > 0 {
			times = "every " + FormatDuration(f.Every)
			if known {
				times = fmt.Sprintf("%s: %s", times, FormatCount(int64(len(f.Beats(length, maxBeats)))))
			}
		}
		fmt.Fprintf(tw, "  %c\t%s\t%s\t%s\t%s\n", faultDigit(i), f.describe(), FormatDuration(f.At), lasts, times)
	}
	tw.Flush()
	out.WriteString("\n")
}

// faultDigit numbers faults 1…9, then '*'.
func faultDigit(i int) byte {
	if i < 9 {
		return byte('1' + i)
	}
	return '*'
}

// faultMarks draws when faults strike, and for how long: 1==== 2= 1====.
func (s *Scenario) faultMarks(total time.Duration, columns int) string {
	line := []byte(strings.Repeat(" ", columns))
	column := func(t time.Duration) int {
		return min(max(int(float64(t)/float64(total)*float64(columns)), 0), columns-1)
	}
	for i := range s.Faults {
		for _, at := range s.Faults[i].Beats(total, maxBeats) {
			for c := column(at); c <= column(s.Faults[i].End(at, total)-1); c++ {
				if line[c] == ' ' {
					line[c] = '='
				}
			}
		}
	}
	for i := range s.Faults { // beginnings over all else
		for _, at := range s.Faults[i].Beats(total, maxBeats) {
			line[column(at)] = faultDigit(i)
		}
	}
	return strings.TrimRight(string(line), " ")
}

func (s *Scenario) chartTotals(out *strings.Builder) {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	t := s.Totals()
	if s.Executor != nil {
		row("load", "%s", s.Executor.describe())
	}
	if d, known := s.Length(); known {
		row("duration", "%s, then up to %s to drain", FormatDuration(d), FormatDuration(s.Drain))
	}
	if s.Start > 0 {
		row("start", "%s after the preparation", FormatDuration(s.Start))
	}
	if s.Warmup > 0 {
		row("warm-up", "the first %s are not measured", FormatDuration(s.Warmup))
	}
	if st := s.Steady; st != nil {
		row("warm-up", "until %s is steady within %s over %s, at most %s", metricStat(st.Metric, st.Stat), FormatPercent(st.Within), FormatDuration(st.Over), FormatDuration(st.Timeout))
	}
	if s.Executor == nil {
		row("records", "%s (%s arrivals, seed %d)", FormatCount(t.Records), s.Arrivals, s.Seed)
	}
	if t.Records > 0 {
		row("bytes", "%s of values", FormatSize(float64(t.Bytes)))
	}
	if s.Executor == nil {
		row("peak", "%s, %s/s", FormatRate(t.PeakRate), FormatSize(t.PeakRate*s.MeanValueSize()))
	}
	for _, f := range s.Produce {
		row("produce", "%s", f.describe())
	}
	for _, f := range s.Consume {
		row("consume", "%s", f.describe())
	}
	row("verify", "%s", describeVerify(s.Verify))
	name := "thresholds"
	for _, line := range s.judgements() {
		row(name, "%s", line)
		name = ""
	}
	tw.Flush()
}

// Topics lists the topics of all scenarios once, in order of first use: what must exist before the clock starts.
func (p *Plan) Topics() []Topic {
	var topics []Topic
	for i := range p.Scenarios {
		for _, t := range p.Scenarios[i].topics() {
			if !slices.ContainsFunc(topics, func(o Topic) bool { return o.Name == t.Name }) {
				topics = append(topics, t)
			}
		}
	}
	return topics
}

// topics lists the topics of the scenario once, in order of first use.
func (s *Scenario) topics() []Topic {
	var topics []Topic
	add := func(t Topic) {
		if !slices.ContainsFunc(topics, func(o Topic) bool { return o.Name == t.Name }) {
			topics = append(topics, t)
		}
	}
	for _, f := range s.Produce {
		add(f.Topic)
	}
	for _, f := range s.Consume {
		add(f.Topic)
	}
	return topics
}

// chartCluster says what the cluster must allow, topics first: whoever runs the plan against a cluster that is not his own
// can see beforehand what it will be asked.
func (p *Plan) chartCluster(out *strings.Builder) {
	topics := p.Topics()
	if len(topics) == 0 {
		return
	}
	out.WriteString("\nthe cluster must allow (topics that are missing are created)\n\n")
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  topic\tpartitions\treplication\tconfig")
	brokers, largest := 1, 0
	for _, t := range topics {
		replication := orDefault(t.Replication, "3, or 1 per broker")
		brokers = max(brokers, t.Replication)
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", t.Name, orDefault(t.Partitions, "broker's default"), replication, t.configText())
	}
	tw.Flush()
	clients := 0
	for _, s := range p.Scenarios {
		n := 0
		for _, f := range s.Produce {
			n += f.Producers
			largest = max(largest, f.Value.LargestSize())
		}
		for _, f := range s.Consume {
			n += f.Members
		}
		clients = max(clients, n)
	}
	fmt.Fprintf(out, "\n  at least %s, %s at a time, values up to %s\n", plural(brokers, "broker"), plural(clients, "client"), FormatSize(float64(largest)))
	for _, need := range p.needs() {
		fmt.Fprintf(out, "  %s\n", need)
	}
}

func orDefault(n int, text string) string {
	if n == 0 {
		return text
	}
	return FormatCount(int64(n))
}
