package plan

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// followed checks a metric that steady() or trend() looks at every second.
func (c *checker) followed(pos Pos, metric, stat string, s *Scenario) {
	m, ok := LookupMetric(metric)
	switch {
	case !ok || !m.HasStat(stat) || !m.Slopes:
		c.add(pos, "metric", fmt.Sprintf("%s.%s cannot be followed over time", metric, stat), "")
	case m.Reads && len(s.Consume) == 0:
		c.add(pos, "metric", fmt.Sprintf("%s needs a consumer, and scenario %q has none", m.Name, s.Name), `scenario("e2e", produce("orders"), consume("orders", group = "g"), …)`)
	}
}

func (c *checker) threshold(t *Threshold, s *Scenario) {
	m, ok := LookupMetric(t.Metric)
	if !ok || !m.HasStat(t.Stat) || !slices.Contains(Operators, t.Op) || math.IsNaN(t.Value) || t.Value < 0 {
		c.add(t.Pos, "", fmt.Sprintf("threshold %q: %s.%s %s %v cannot be judged", t.Expr, t.Metric, t.Stat, t.Op, t.Value), `"produce.latency.p99 < 50ms"`)
		return
	}
	if m.Reads && len(s.Consume) == 0 {
		c.add(t.Pos, "", fmt.Sprintf("%s needs a consumer, and scenario %q has none", t.Metric, s.Name), `scenario("e2e", produce("orders"), consume("orders", group = "g"), …)`)
	}
	if m.Faults && len(s.Faults) == 0 {
		c.add(t.Pos, "", fmt.Sprintf("%s needs a fault, and scenario %q has none", t.Metric, s.Name), `faults = [fault.kill(target.random(), at = "30s", restart_after = "10s")]`)
	}
	if t.Group != "" {
		if !m.Groups {
			c.add(t.Pos, "", fmt.Sprintf("%s is not measured for one group", t.Metric), `"consume.lag.max{group=billing} < 50k"`)
		} else if len(s.Consume) > 0 {
			c.knownGroup(t.Pos, "", t.Group, s)
		}
	}
	c.windows(t, s)
	peak := s.PeakRate()
	if m.Unit == UnitRate && (t.Op == ">" && t.Value >= peak || t.Op == ">=" && t.Value > peak) && m.Name == "produce.rate" && peak > 0 {
		c.add(t.Pos, "", fmt.Sprintf("%q can never hold: the stages offer %s at most", t.Expr, FormatRate(peak)), fmt.Sprintf("%q", "produce.rate > "+FormatRate(peak*0.95)))
	}
	if t.During == "" {
		return
	}
	var end time.Duration
	names := make([]string, 0, len(s.Stages))
	if s.Executor != nil {
		if t.During == s.Executor.Kind {
			return
		}
		names = append(names, s.Executor.Kind)
	}
	for _, st := range s.Stages {
		end += st.Duration
		if st.Name == t.During {
			if end <= s.Warmup {
				c.add(t.Pos, "during", fmt.Sprintf("stage %q ends at %s, inside the warm-up of %s: nothing is measured there", st.Name, FormatDuration(end), FormatDuration(s.Warmup)), "")
			}
			return
		}
		names = append(names, st.Name)
	}
	c.problems = append(c.problems, Problem{Pos: t.Pos, Arg: "during", Wrong: t.During, Among: names,
		Message: fmt.Sprintf("scenario %q has no stage named %q; it has %s", s.Name, t.During, quoteList(names)),
		Example: `hold("20s", "20k/s", name = "peak") and threshold("…", during = "peak")`})
}

// windows checks the settings of a threshold on windows.
func (c *checker) windows(t *Threshold, s *Scenario) {
	if t.Window == 0 && t.OfWindows == 0 {
		return
	}
	if t.Window < time.Second || !(t.OfWindows > 0 && t.OfWindows <= 1) {
		c.add(t.Pos, "window", fmt.Sprintf("%s of the windows of %s: a window lasts at least 1s, and more than 0%% of them must hold", FormatPercent(t.OfWindows), FormatDuration(t.Window)), `window = "1m", of_windows = 0.999`)
		return
	}
	length, known := s.Length()
	for _, st := range s.Stages {
		if st.Name == t.During {
			length = st.Duration
		}
	}
	if known && t.Window > length {
		c.add(t.Pos, "window", fmt.Sprintf("a window of %s is longer than what it looks at, which lasts %s", FormatDuration(t.Window), FormatDuration(length)), fmt.Sprintf("window = %q", FormatDuration(max(length/20, time.Second))))
	}
}

func quoteList(names []string) string {
	out := ""
	for i, n := range names {
		if i == 8 {
			return out + fmt.Sprintf(" and %d more", len(names)-i)
		}
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%q", n)
	}
	return out
}
