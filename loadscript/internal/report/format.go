package report

import (
	"fmt"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// FormatLatency prints nanoseconds with three significant digits: "850 µs", "4.21 ms", "1.90 s".
func FormatLatency(ns int64) string {
	v, unit := float64(ns), "ns"
	switch {
	case ns >= int64(time.Second):
		v, unit = v/1e9, "s"
	case ns >= int64(time.Millisecond):
		v, unit = v/1e6, "ms"
	case ns >= int64(time.Microsecond):
		v, unit = v/1e3, "µs"
	}
	switch {
	case unit == "ns" || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 9.995:
		return fmt.Sprintf("%.1f %s", v, unit)
	default:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
}

// FormatRate prints records per second: "19,980/s".
func FormatRate(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f/s", v)
	}
	return formatCount(int64(v+0.5)) + "/s"
}

// formatBytes prints a size with three significant digits: "162 MiB".
func formatBytes(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if v >= 99.95 || unit == "B" {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func formatCount(n int64) string { return plan.FormatCount(n) }
