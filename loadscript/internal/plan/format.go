package plan

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The formats below are those that scripts are written in, for people: a script reads them back, rounded to two decimals
// (durations are exact).

// FormatDuration prints "5m", "1m30s", "2d", "1.5s": as time.Duration does, without trailing zero units and with whole days.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := strings.ReplaceAll(d.String(), "µ", "u")
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// FormatRate prints records per second: "20k/s", "1.5k/s", "333.33/s", "2M/s".
func FormatRate(perSecond float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(perSecond) >= u.size {
			return trimFloat(perSecond/u.size) + u.name + "/s"
		}
	}
	return trimFloat(perSecond) + "/s"
}

// FormatSize prints bytes: "512B", "1KiB", "1.5MiB".
func FormatSize(bytes float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if math.Abs(bytes) >= u.size {
			return trimFloat(bytes/u.size) + u.name
		}
	}
	return trimFloat(bytes) + "B"
}

// FormatCount prints a whole number with thin groups: "1,234,567".
func FormatCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// FormatPercent prints a fraction: 0.001 is "0.1%".
func FormatPercent(fraction float64) string { return trimDecimals(fraction*100, 4) + "%" }

// FormatValue prints a value of a metric in the unit that thresholds on it are written in.
func FormatValue(unit Unit, v float64) string {
	switch unit {
	case UnitDuration:
		return FormatDuration(time.Duration(math.Round(v)))
	case UnitRate:
		return FormatRate(v)
	case UnitPercent:
		return FormatPercent(v)
	case UnitSize:
		return FormatSize(v)
	case UnitBytesRate:
		return FormatSize(v) + "/s"
	default:
		return trimFloat(v)
	}
}

func trimFloat(f float64) string { return trimDecimals(f, 2) }

// trimDecimals prints at most so many decimals, and none that are zero. What would round to 0 gets its first two digits.
func trimDecimals(f float64, decimals int) string {
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if f != 0 && strings.Trim(s, "-0.") == "" {
		return strconv.FormatFloat(f, 'g', 2, 64)
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
