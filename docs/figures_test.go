package docs

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// source is a comment that says where the figures above it come from: the file in bench/results, then lines of benchmark, unit and value.
var source = regexp.MustCompile(`(?m)^<!-- from (\S+)\n((?:.+\n)+?)-->$`)

// TestFigures holds the figures that the guides quote against the runs on record: each must be what the file says, to the digits given.
func TestFigures(t *testing.T) {
	guides, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, g := range guides {
		text, err := os.ReadFile(g)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "<!-- from "); n != len(source.FindAll(text, -1)) {
			t.Errorf("%s: %d sources, not all of which can be read", g, n)
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(m[2]) {
				checked++
				f := strings.Fields(line)
				if len(f) != 3 {
					t.Errorf("%s: %q: want a benchmark, a unit and a value", g, line)
					continue
				}
				got, ok := recorded(t, filepath.Join("../bench/results", m[1]), f[0], f[1])
				want, err := strconv.ParseFloat(f[2], 64)
				if err != nil || !ok || math.Abs(got-want) > unit(f[2])/2*1.001 {
					t.Errorf("%s says %s %s %s; %s says %v (there: %t)", g, f[0], f[1], f[2], m[1], got, ok)
				}
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d figures were found", checked)
	}
}

// recorded finds a value in a file of the Go benchmark format.
func recorded(t *testing.T, file, name, unit string) (float64, bool) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || regexp.MustCompile(`-\d+$`).ReplaceAllString(f[0], "") != "Benchmark"+name {
			continue
		}
		for i := 2; i+1 < len(f); i += 2 {
			if f[i+1] == unit {
				v, err := strconv.ParseFloat(f[i], 64)
				return v, err == nil
			}
		}
	}
	return 0, false
}

// TestFiguresAreOfToday: no newer run on record contradicts a figure that the guides quote. A run is not as good as another to the last digit,
// so the prose need not follow each of them.
func TestFiguresAreOfToday(t *testing.T) {
	const most = 1.5 // times
	guides, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guides {
		text, err := os.ReadFile(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(m[2]) {
				f := strings.Fields(line)
				if len(f) != 3 {
					continue // TestFigures says so
				}
				quoted, err := strconv.ParseFloat(f[2], 64)
				if err != nil {
					continue
				}
				file, newest := newest(t, f[0], f[1])
				if file != m[1] && (quoted > newest*most || newest > quoted*most) {
					t.Errorf("%s says %s %s %s of %s; %s, which is newer, says %v", g, f[0], f[1], f[2], m[1], file, newest)
				}
			}
		}
	}
}

// newest gives the last run on record that has this figure.
func newest(t *testing.T, name, unit string) (newest string, value float64) {
	t.Helper()
	all, err := filepath.Glob("../bench/results/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, f := range all {
		v, ok := recorded(t, f, name, unit)
		if !ok {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, date, _ := strings.Cut(string(b), "\ndate: ")
		date, _, _ = strings.Cut(date, "\n")
		if date >= last {
			last, newest, value = date, filepath.Base(f), v
		}
	}
	return newest, value
}

// unit is that of the last digit: 0.01 for "2.35".
func unit(text string) float64 {
	_, fraction, _ := strings.Cut(text, ".")
	return math.Pow(10, -float64(len(fraction)))
}

// TestUnit: a figure is compared to the digits given.
func TestUnit(t *testing.T) {
	for text, want := range map[string]float64{"314": 1, "0.77": 0.01, "2.359": 0.001} {
		if u := unit(text); math.Abs(u-want) > 1e-12 {
			t.Errorf("%s: %v", text, u)
		}
	}
}
