package plan

import (
	"strings"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{FormatDuration(0), "0s"},
		{FormatDuration(5 * time.Minute), "5m"},
		{FormatDuration(90 * time.Second), "1m30s"},
		{FormatDuration(time.Hour), "1h"},
		{FormatDuration(time.Hour + time.Second), "1h0m1s"},
		{FormatDuration(48 * time.Hour), "2d"},
		{FormatDuration(36 * time.Hour), "36h"},
		{FormatDuration(250 * time.Microsecond), "250us"},
		{FormatDuration(-time.Second), "-1s"},
		{FormatRate(0), "0/s"},
		{FormatRate(999), "999/s"},
		{FormatRate(20_000), "20k/s"},
		{FormatRate(1500), "1.5k/s"},
		{FormatRate(1000. / 3), "333.33/s"},
		{FormatRate(0.001), "0.001/s"},
		{FormatRate(2e6), "2M/s"},
		{FormatRate(1e9), "1G/s"},
		{FormatSize(512), "512B"},
		{FormatSize(1024), "1KiB"},
		{FormatSize(1536), "1.5KiB"},
		{FormatSize(574.21875 * (1 << 20)), "574.22MiB"},
		{FormatCount(0), "0"},
		{FormatCount(999), "999"},
		{FormatCount(1234567), "1,234,567"},
		{FormatCount(-1000), "-1,000"},
		{FormatPercent(0.001), "0.1%"},
		{FormatPercent(1), "100%"},
		{FormatValue(UnitDuration, 5e7), "50ms"},
		{FormatValue(UnitCount, 3), "3"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestWorse(t *testing.T) {
	for _, tc := range []struct{ a, b, want ExitCode }{
		{ExitPass, ExitThreshold, ExitThreshold},
		{ExitInvariant, ExitThreshold, ExitInvariant},
		{ExitInvalid, ExitThreshold, ExitInvalid},
		{ExitSignal, ExitThreshold, ExitThreshold},
		{ExitSignal, ExitInvariant, ExitInvariant},
		{ExitConfig, ExitScript, ExitScript},
	} {
		if got := Worse(tc.a, tc.b); got != tc.want {
			t.Errorf("Worse(%d, %d) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := Worse(tc.b, tc.a); got != tc.want {
			t.Errorf("Worse(%d, %d) = %d, want %d", tc.b, tc.a, got, tc.want)
		}
	}
	codes, docs := ExitCodes()
	for i, c := range codes {
		if docs[i] == "" || strings.HasPrefix(c.String(), "exit code") {
			t.Errorf("exit code %d is not documented", c)
		}
	}
}

// The metrics are the contract with the engine: a new one is a change there too.
func TestMetrics(t *testing.T) {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m.Name)
		if !m.Bare && len(m.Stats) == 0 {
			t.Errorf("%s can be written in no way", m.Name)
		}
	}
	const want = "produce.latency produce.service_time produce.delay e2e.latency produce.rate consume.rate consume.lag errors.rate late dropped " +
		"produce.unavailable recovery.time rebalance.duration broker.cpu broker.memory.rss broker.disk.read broker.disk.write broker.net.in broker.net.out " +
		"broker.fds broker.goroutines generator.cpu generator.lag generator.gc_pause generator.memory.rss"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("metrics %s, want %s", got, want)
	}
}

func TestChartSurvivesOddPlans(t *testing.T) {
	for _, p := range []*Plan{{}, {Scenarios: []Scenario{{}}}, good()} {
		for _, width := range []int{0, 1, 60, 80, 500} {
			var b strings.Builder
			if err := p.Chart(&b, width); err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(b.String(), "\n") {
				if strings.HasSuffix(line, " ") {
					t.Errorf("trailing blank in %q", line)
				}
			}
		}
	}
	many := good()
	for range 40 {
		many.Scenarios[0].Stages = append(many.Scenarios[0].Stages, Stage{Kind: "ramp", Duration: time.Second, From: 5, To: 0})
	}
	var b strings.Builder
	if err := many.Chart(&b, 60); err != nil {
		t.Fatal(err)
	}
}
