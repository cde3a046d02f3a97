package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// set is results in the order of their files.
type set []result

// result is one line of a benchmark.
type result struct {
	name string // without "Benchmark" and the number of processors
	pkg  string // last element of its path
	file string
	// outcome is what a load run came to; empty for others.
	outcome string
	config  map[string]string
	values  map[string]float64 // by unit, as it was printed
}

// configKeys are the lines above results that are shown, in this order.
var configKeys = []string{"commit", "date", "machine", "processor", "cores", "memory", "kernel", "governor", "filesystem", "disk", "go", "load", "preflight", "durability", "memory-before", "settings", "command"}

// readFiles reads files whole. A line that cannot be read is an error, with its place.
func readFiles(names []string) (s set, err error) {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		r := benchfmt.NewReader(f, name)
		for r.Scan() {
			switch rec := r.Result().(type) {
			case *benchfmt.SyntaxError:
				err = rec
			case *benchfmt.Result:
				s = append(s, newResult(rec, filepath.Base(name)))
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			err = r.Err()
		}
		_ = f.Close() // only read
		if err != nil {
			return nil, fmt.Errorf("reading results: %w", err)
		}
	}
	return s, nil
}

func newResult(rec *benchfmt.Result, file string) result {
	name, _, _ := strings.Cut(string(rec.Name), " ")
	if base := strings.TrimSuffix(string(rec.Name.Full()), "-"+gomaxprocs(rec.Name)); gomaxprocs(rec.Name) != "" {
		name = base
	}
	r := result{name: name, outcome: rec.GetConfig("outcome"), pkg: path.Base(rec.GetConfig("pkg")), file: file, config: map[string]string{}, values: map[string]float64{}}
	for _, k := range configKeys {
		if v := rec.GetConfig(k); v != "" {
			r.config[k] = v
		}
	}
	for _, v := range rec.Values {
		unit, value := v.Unit, v.Value
		if v.OrigUnit != "" {
			unit, value = v.OrigUnit, v.OrigValue
		}
		if short, ok := strings.CutSuffix(unit, "-ns"); ok { // latencies are in µs everywhere
			unit, value = short+"-us", value/1e3
		}
		r.values[unit] = value
	}
	return r
}

// gomaxprocs is the number at the end of a name, or "".
func gomaxprocs(n benchfmt.Name) string {
	_, parts := n.Parts()
	if len(parts) > 0 {
		if last := string(parts[len(parts)-1]); strings.HasPrefix(last, "-") {
			return last[1:]
		}
	}
	return ""
}

// newest keeps, of each name, the latest run; of its lines, where there are several, the median of each unit.
func (s set) newest() set {
	latest := map[string]set{}
	for _, r := range s {
		key := r.pkg + "." + r.name
		switch old := latest[key]; {
		case old == nil || r.file != old[0].file && r.config["date"] >= old[0].config["date"]:
			latest[key] = set{r}
		case r.file == old[0].file:
			latest[key] = append(old, r)
		}
	}
	out := make(set, 0, len(latest))
	for _, lines := range latest {
		out = append(out, lines.middle())
	}
	slices.SortFunc(out, func(a, b result) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), byQuantity(a.name, b.name)) })
	return out
}

// byQuantity compares names with numbers in them as people do: p=8 before p=64, 100B before 1KiB.
func byQuantity(a, b string) int {
	whole := cmp.Compare(a, b)
	for a != "" && b != "" {
		x, xLen := quantity(a)
		y, yLen := quantity(b)
		switch {
		case xLen > 0 && yLen > 0 && x != y:
			return cmp.Compare(x, y)
		case xLen > 0 && yLen > 0:
			a, b = a[xLen:], b[yLen:]
		case a[0] != b[0]:
			return cmp.Compare(a[0], b[0])
		default:
			a, b = a[1:], b[1:]
		}
	}
	return whole
}

// quantity is the number that s begins with, in bytes if it is a size, and how long it is; 0 long if there is none.
func quantity(s string) (value float64, length int) {
	length = len(s) - len(strings.TrimLeft(s, "0123456789"))
	value, err := strconv.ParseFloat(s[:length], 64)
	if err != nil {
		return 0, 0
	}
	for prefix, factor := range map[string]float64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if strings.HasPrefix(s[length:], prefix) {
			return value * factor, length + len(prefix)
		}
	}
	return value, length
}

// middle is one result for several of the same name.
func (s set) middle() result {
	all := map[string][]float64{}
	for _, r := range s {
		for unit, v := range r.values {
			all[unit] = append(all[unit], v)
		}
	}
	one := s[0]
	one.values = map[string]float64{}
	for unit, v := range all {
		slices.Sort(v)
		one.values[unit] = median(v)
	}
	return one
}

// find gives the result of a name.
func (s set) find(name string) (result, bool) {
	for _, r := range s {
		if r.name == name {
			return r, true
		}
	}
	return result{}, false
}

// under gives those whose name is prefix or goes on after it with a slash, in their order.
func (s set) under(prefix string) (out set) {
	for _, r := range s {
		if r.name == prefix || strings.HasPrefix(r.name, prefix+"/") {
			out = append(out, r)
		}
	}
	return out
}

// families are the parts of names before the first slash, in order of appearance.
func (s set) families() (out []string) {
	for _, r := range s {
		family, _, _ := strings.Cut(r.name, "/")
		if !slices.Contains(out, family) {
			out = append(out, family)
		}
	}
	return out
}

// title is the name without its family, with the outcome where that is not good.
func (r *result) title() string {
	if r.outcome != "" && r.outcome != "passed" {
		return r.tail() + " (" + r.outcome + ")"
	}
	return r.tail()
}

// tail is what comes after the family in a name.
func (r *result) tail() string {
	if _, after, ok := strings.Cut(r.name, "/"); ok {
		return after
	}
	return r.name
}

// units are those of the results, the important ones first.
func (s set) units() (out []string) {
	seen := map[string]bool{}
	for _, r := range s {
		for u := range r.values {
			seen[u] = true
		}
	}
	for _, u := range leading {
		if seen[u] {
			out = append(out, u)
			delete(seen, u)
		}
	}
	rest := make([]string, 0, len(seen))
	for u := range seen {
		rest = append(rest, u)
	}
	slices.Sort(rest)
	return append(out, rest...)
}

// leading are the units that come first in tables.
var leading = []string{"MB/s", "records/s", "consumed/s", "p50-us", "p95-us", "p99-us", "p99.9-us", "e2e-p50-us", "e2e-p99-us", "e2e-p99.9-us", "CPU-s/GB", "CPU-s/Mrecord", "cores", "peak-RSS-MiB", "ns/op", "B/op", "allocs/op"}
