package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// z99 is the number of standard deviations below which 99 % of a normal distribution lie.
const z99 = 2.3263478740408408

// Sigma is the standard deviation of the logarithm of a lognormal distribution, from its p50 and p99.
func (s Sizes) Sigma() float64 { return math.Log(s.B/s.A) / z99 }

// Mean is the mean size in bytes, before draws are cut to Max.
func (s Sizes) Mean() float64 {
	mean := s.A
	switch s.Kind {
	case "uniform":
		mean = (s.A + s.B) / 2
	case "lognormal":
		sigma := s.Sigma()
		mean = s.A * math.Exp(sigma*sigma/2)
	case "mix":
		sum, weights := 0.0, 0.0
		for i, v := range s.Values {
			sum += float64(v) * s.Weights[i]
			weights += s.Weights[i]
		}
		mean = sum / weights
	}
	if s.Max > 0 {
		mean = min(mean, float64(s.Max))
	}
	return mean
}

// What a leaf takes up in bytes when it is written as JSON, about: for totals and for rates in bytes only.
const (
	aboutSeq  = 8
	aboutUUID = 38
	aboutNow  = 19
)

// MeanSize is the mean size in bytes: exact where the plan says the size, an estimate for values that are as long as they come.
func (v Value) MeanSize() float64 {
	switch {
	case v.Sizes != nil:
		return v.Sizes.Mean()
	case v.Size > 0 || v.Kind == "bytes":
		return float64(v.Size)
	}
	switch v.Kind {
	case "json":
		sum := 2.0
		for i, f := range v.Fields {
			sum += float64(len(strconv.Quote(f.Name))) + 1 + f.Value.MeanSize() + commaBefore(i)
		}
		for i, e := range v.List {
			sum += e.MeanSize() + commaBefore(i)
		}
		return sum
	case "template":
		sum := float64(len(v.Text))
		for i, e := range v.List {
			sum += float64(strings.Count(v.Text, Placeholder(i))) * (e.MeanSize() - float64(len(Placeholder(i))))
		}
		return sum
	case "pick":
		sum := 0.0
		for _, e := range v.List {
			sum += e.MeanSize()
		}
		return sum / float64(max(len(v.List), 1))
	case "int":
		return float64(len(strconv.FormatInt(v.Hi, 10)))
	case "const":
		return float64(len(v.Text))
	case "seq":
		return aboutSeq
	case "uuid":
		return aboutUUID
	case "now":
		return aboutNow
	case "filler":
		return 2
	}
	return 0
}

// Placeholder is what stands in a template for its List's value i.
func Placeholder(i int) string { return fmt.Sprintf("{{%d}}", i) }

func commaBefore(i int) float64 {
	if i > 0 {
		return 1
	}
	return 0
}

// LargestSize is the largest size in bytes that the value can have, as far as it is bounded by the plan.
func (v Value) LargestSize() int {
	if v.Sizes != nil {
		switch v.Sizes.Kind {
		case "fixed":
			return int(v.Sizes.A)
		case "uniform":
			return int(v.Sizes.B)
		case "mix":
			largest := 0
			for _, n := range v.Sizes.Values {
				largest = max(largest, n)
			}
			return largest
		}
		return v.Sizes.Max
	}
	if v.Kind == "pool" {
		largest := v.Size
		for _, p := range v.Pool {
			largest = max(largest, len(p))
		}
		return largest
	}
	return max(v.Size, int(math.Ceil(v.MeanSize())))
}

// HasFiller says whether a part of the value grows to fill it up.
func (v Value) HasFiller() bool {
	if v.Kind == "filler" {
		return true
	}
	for _, f := range v.Fields {
		if f.Value.HasFiller() {
			return true
		}
	}
	for _, e := range v.List {
		if v.Kind != "pick" && e.HasFiller() {
			return true
		}
	}
	return false
}

// describe is the value in a few words for people: "1KiB", "json of about 300B", "lognormal 600B to 8KiB".
func (v Value) describe() string {
	size := FormatSize(math.Round(v.MeanSize()))
	switch {
	case v.Sizes != nil:
		size = v.Sizes.describe()
	case v.Size == 0:
		size = "about " + size
	case v.Kind == "pool":
		size = size + " on average"
	}
	switch v.Kind {
	case "bytes":
		return size
	case "pool":
		return fmt.Sprintf("%s (%s)", v.Path, size)
	}
	return v.Kind + " of " + size
}

func (s Sizes) describe() string {
	a, b := FormatSize(s.A), FormatSize(s.B)
	switch s.Kind {
	case "uniform":
		return fmt.Sprintf("%s to %s", a, b)
	case "normal":
		return fmt.Sprintf("normal(%s, sd %s)", a, b)
	case "lognormal":
		return fmt.Sprintf("lognormal(p50 %s, p99 %s)", a, b)
	case "mix":
		var words []string
		for _, n := range s.Values {
			words = append(words, FormatSize(float64(n)))
		}
		return "a mix of " + strings.Join(words, ", ")
	}
	return a
}
