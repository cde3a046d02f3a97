package script

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Every function of the library works as its defaults promise, and says what it does.
func TestStd(t *testing.T) {
	calls := map[string]string{
		"order_event":    `produce("x", value = order_event(size = sizes.lognormal(p50 = "600B", p99 = "8KiB")))`,
		"click_event":    `produce("x", value = click_event())`,
		"sensor_reading": `produce("x", value = sensor_reading())`,
		"log_line":       `produce("x", value = log_line())`,
		"spikes":         `stages = spikes("1k/s", "10k/s")`,
		"sawtooth":       `stages = sawtooth("1k/s", "2k/s")`,
		"days":           `stages = days("2k/s", "1k/s", count = 2, day = "1h")`,
		"pulses":         `stages = pulses("1k/s")`,
		"latency":        `thresholds = latency(p50 = "5ms", p999 = "100ms")`,
		"complete":       `thresholds = complete("500/s")`,
		"no_leaks":       `thresholds = no_leaks()`,
		"survives":       `thresholds = survives(group = "g")`,
	}
	for _, label := range stdLabels() {
		doc, functions := stdFunctions(label)
		if doc == "" || len(functions) == 0 {
			t.Errorf("%s says nothing of itself", label)
		}
		for _, f := range functions {
			name, _, _ := strings.Cut(f.signature, "(")
			call := calls[name]
			if call == "" || f.doc == "" {
				t.Errorf("%s: %s is not tried here, or has no docstring", label, name)
				continue
			}
			flow, rest := `produce("x")`, "rate = 1000, duration = \"5m\", "+call
			switch {
			case strings.HasPrefix(call, "produce"):
				flow, rest = call, `rate = 1000, duration = "5m"`
			case strings.HasPrefix(call, "stages"):
				rest = call
			}
			text := fmt.Sprintf("load(%q, %q)\nscenario(\"a\", %s, consume(\"x\", group = \"g\"), faults = [fault.pause(target.random(), at = \"1s\", duration = \"1s\")], %s)", label, name, flow, rest)
			s := load(t, text).Plan.Scenarios[0]
			checkStd(t, name, &s)
		}
	}
}

func checkStd(t *testing.T, name string, s *plan.Scenario) {
	t.Helper()
	size := s.MeanValueSize()
	ok := true
	switch name {
	case "order_event":
		ok = size > 1000 && s.Produce[0].Value.HasFiller()
	case "click_event":
		ok = size > 120 && size < 160
	case "sensor_reading":
		ok = size > 30 && size < 60
	case "log_line":
		ok = size == 200
	case "spikes":
		ok = len(s.Stages) == 13 && s.PeakRate() == 10_000 && s.Stages[2].Name == "peak-1"
	case "sawtooth":
		ok = len(s.Stages) == 10 && s.Stages[1].From == 1000 && s.Stages[1].To == 2000
	case "days":
		ok = s.Duration() == 2*time.Hour && s.PeakRate() == 3000
	case "pulses":
		ok = len(s.Stages) == 20 && s.Records() == 50_000
	case "latency":
		ok = len(s.Thresholds) == 2 && s.Thresholds[1].Stat == "p99.9"
	case "complete":
		ok = len(s.Thresholds) == 3
	case "no_leaks":
		ok = len(s.Trends) == 3
	case "survives":
		ok = len(s.Thresholds) == 3 && s.Thresholds[2].Group == "g"
	}
	if !ok {
		t.Errorf("%s is not what its docstring says: stages %+v, values of %v bytes", name, s.Stages, size)
	}
}
