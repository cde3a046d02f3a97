package script

import (
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

func TestParseDuration(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want time.Duration
		err  string
	}{
		{in: "30s", want: 30 * time.Second},
		{in: "0", want: 0},
		{in: "0s", want: 0},
		{in: "1m30s", want: 90 * time.Second},
		{in: "1.5h", want: 90 * time.Minute},
		{in: "2d", want: 48 * time.Hour},
		{in: "1w", want: 7 * 24 * time.Hour},
		{in: "1d12h", want: 36 * time.Hour},
		{in: "250us", want: 250 * time.Microsecond},
		{in: "250µs", want: 250 * time.Microsecond},
		{in: ".5s", want: 500 * time.Millisecond},
		{in: "106751d", err: `"106751d" is too long a time`},
		{in: "365d1ns", want: 365*24*time.Hour + 1},
		{in: "", err: `"" is empty`},
		{in: "30", err: `"30" has no unit; did you mean "30s"?`},
		{in: "-5s", err: `"-5s" is negative`},
		{in: "+5s", err: `"+5s" has a sign; did you mean "5s"?`},
		{in: " 5s", err: `" 5s" has blanks around it; did you mean "5s"?`},
		{in: "5 s", err: `"5 s" has a blank in it; did you mean "5s"?`},
		{in: "5sec", err: `"5sec" has the unknown unit "sec" (units: ns us ms s m h d w); did you mean "5s"?`},
		{in: "5minutes", err: `"5minutes" has the unknown unit "minutes" (units: ns us ms s m h d w); did you mean "5m"?`},
		{in: "5x", err: `"5x" has the unknown unit "x" (units: ns us ms s m h d w)`},
		{in: "1m30", err: `"1m30" has no unit`},
		{in: "fast", err: `"fast" does not start with a number`},
		{in: "1,000s", err: `"1,000s" has a separator in the number; did you mean "1000s"?`},
		{in: "5%", err: `"5%" has "%" where a unit should be`},
	} {
		got, err := ParseDuration(tc.in)
		check(t, tc.in, got, tc.want, err, tc.err)
	}
}

func check[T comparable](t *testing.T, in string, got, want T, err error, wantErr string) {
	t.Helper()
	switch {
	case err == nil && wantErr != "":
		t.Errorf("%q: got %v, want the error %q", in, got, wantErr)
	case err != nil && err.Error() != wantErr:
		t.Errorf("%q: error %q, want %q", in, err, wantErr)
	case err == nil && got != want:
		t.Errorf("%q: got %v, want %v", in, got, want)
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Size
		err  string
	}{
		{in: "1KiB", want: 1024},
		{in: "1KB", want: 1000},
		{in: "1kB", want: 1000},
		{in: "512B", want: 512},
		{in: "512", want: 512},
		{in: "1.5MiB", want: 3 << 19},
		{in: "0B", want: 0},
		{in: "1k", err: `"1k" has the unknown unit "k" (units: B KB MB GB, KiB MiB GiB); did you mean "1KiB"?`},
		{in: "1kb", err: `"1kb" has the unknown unit "kb" (units: B KB MB GB, KiB MiB GiB); did you mean "1KB"?`},
		{in: "1MiB/s", err: `"1MiB/s" is a rate, not a size; did you mean "1MiB"?`},
		{in: "0.5B", err: `"0.5B" is not a whole number of bytes`},
		{in: "9999999TiB", err: `"9999999TiB" is too large`},
	} {
		got, err := ParseSize(tc.in)
		check(t, tc.in, got, tc.want, err, tc.err)
	}
}

func TestParseRate(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Rate
		err  string
	}{
		{in: "500/s", want: Rate{PerSecond: 500}},
		{in: "20k/s", want: Rate{PerSecond: 20_000}},
		{in: "20K/s", want: Rate{PerSecond: 20_000}},
		{in: "20k", want: Rate{PerSecond: 20_000}},
		{in: "1000", want: Rate{PerSecond: 1000}},
		{in: "1.5M/s", want: Rate{PerSecond: 1.5e6}},
		{in: "600/m", want: Rate{PerSecond: 10}},
		{in: "3600/h", want: Rate{PerSecond: 1}},
		{in: "50MiB/s", want: Rate{PerSecond: 50 << 20, Bytes: true}},
		{in: "1GB/s", want: Rate{PerSecond: 1e9, Bytes: true}},
		{in: "50MiB", err: `"50MiB" is a size, not a rate; did you mean "50MiB/s"?`},
		{in: "20k/sec", err: `"20k/sec" is per "sec"; a rate is per second: /s (also /m, /h); did you mean "20k/s"?`},
		{in: "1000msg/s", err: `"1000msg/s" has the unknown unit "msg"; did you mean "1000/s"?`},
		{in: "1000 rps", err: `"1000 rps" has a blank in it; did you mean "1000/s"?`},
		{in: "5mb/s", err: `"5mb/s" has the unknown unit "mb"; did you mean "5MB/s"?`},
		{in: "5xy/s", err: `"5xy/s" has the unknown unit "xy"`},
		{in: "20_000/s", err: `"20_000/s" has a separator in the number; did you mean "20000/s"?`},
		{in: "-1/s", err: `"-1/s" is negative`},
	} {
		got, err := ParseRate(tc.in)
		check(t, tc.in, got, tc.want, err, tc.err)
	}
}

func TestParsePercentAndCount(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Percent
		err  string
	}{
		{in: "5%", want: 0.05},
		{in: "0.1%", want: 0.001},
		{in: "0.05", want: 0.05},
		{in: "100%", want: 1},
		{in: "5", err: `"5" is more than everything: a bare number is a fraction; did you mean "5%"?`},
		{in: "101%", err: `"101%" is more than 100%`},
		{in: "5pct", err: `"5pct" has the unknown unit "pct"; did you mean "5%"?`},
	} {
		got, err := ParsePercent(tc.in)
		check(t, tc.in, got, tc.want, err, tc.err)
	}
	for _, tc := range []struct {
		in   string
		want Count
		err  string
	}{
		{in: "100", want: 100},
		{in: "100k", want: 100_000},
		{in: "1.5M", want: 1_500_000},
		{in: "1.5", err: `"1.5" is not a whole number`},
		{in: "5s", err: `"5s" has the unknown unit "s" (k, M or G)`},
	} {
		got, err := ParseCount(tc.in)
		check(t, tc.in, got, tc.want, err, tc.err)
	}
}

// The units are usable as starlark.Unpackers by anyone.
func TestUnpackers(t *testing.T) {
	var (
		d Dur
		s Size
		r Rate
		p Percent
		c Count
	)
	for _, tc := range []struct {
		dst starlark.Unpacker
		in  starlark.Value
		ok  bool
	}{
		{&d, starlark.String("30s"), true},
		{&d, Dur(time.Second), true},
		{&d, Dur(-1), false},
		{&d, starlark.MakeInt(30), false},
		{&d, starlark.None, false},
		{&s, starlark.String("1KiB"), true},
		{&s, starlark.MakeInt(1024), true},
		{&s, starlark.MakeInt(-1), false},
		{&s, starlark.Float(1), false},
		{&r, starlark.String("1k/s"), true},
		{&r, starlark.MakeInt(1000), true},
		{&r, starlark.Float(0.5), true},
		{&r, starlark.Float(-1), false},
		{&r, starlark.True, false},
		{&p, starlark.String("5%"), true},
		{&p, starlark.Float(0.05), true},
		{&p, starlark.MakeInt(1), true},
		{&p, starlark.MakeInt(5), false},
		{&c, starlark.MakeInt(5), true},
		{&c, starlark.String("5k"), true},
		{&c, starlark.Float(5), false},
	} {
		if err := tc.dst.Unpack(tc.in); (err == nil) != tc.ok {
			t.Errorf("%T.Unpack(%s): %v", tc.dst, tc.in, err)
		}
	}
}

// What a Dur prints, dur() reads back.
func TestDurPrintsWhatItReads(t *testing.T) {
	for _, d := range []time.Duration{0, 1, time.Microsecond, 1500 * time.Millisecond, 5 * time.Minute, 90 * time.Second, 49 * time.Hour, 48 * time.Hour, 266666666667} {
		got, err := ParseDuration(Dur(d).String())
		if err != nil || got != d {
			t.Errorf("%s prints as %q, which reads as %s, %v", d, Dur(d), got, err)
		}
	}
}

func TestParseThreshold(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want expr
	}{
		{"produce.latency.p99 < 50ms", expr{metric: "produce.latency", stat: "p99", op: "<", value: 5e7}},
		{"produce.latency.p99.9<=1s", expr{metric: "produce.latency", stat: "p99.9", op: "<=", value: 1e9}},
		{"  e2e.latency.mean   <  2m ", expr{metric: "e2e.latency", stat: "mean", op: "<", value: 1.2e11}},
		{"produce.rate > 20k/s", expr{metric: "produce.rate", op: ">", value: 20_000}},
		{"produce.rate.min >= 1MiB/s", expr{metric: "produce.rate", stat: "min", op: ">=", value: 1 << 20, bytes: true}},
		{"errors.rate < 0.1%", expr{metric: "errors.rate", op: "<", value: 0.001}},
		{"late < 1", expr{metric: "late", op: "<", value: 1}},
		{"dropped <= 0", expr{metric: "dropped", op: "<="}},
		{"consume.lag.max < 50k", expr{metric: "consume.lag", stat: "max", op: "<", value: 50_000}},
	} {
		got, err := parseThreshold(tc.in)
		tc.want.text = tc.in
		if err != nil || got != tc.want {
			t.Errorf("%q: got %+v, %v; want %+v", tc.in, got, err, tc.want)
		}
	}
}

// under is the text with the offending part marked.
func under(s string, e *exprError) string {
	end := min(e.off+e.width, len(s))
	return s[:min(e.off, len(s))] + "[" + s[min(e.off, len(s)):end] + "]" + s[end:]
}

func TestThresholdErrors(t *testing.T) {
	for _, tc := range []struct{ in, where, msg, suggest string }{
		{"", "[]", "this threshold is empty", ""},
		{"produce.latncy.p99 < 50ms", "[produce.latncy.p99] < 50ms", `there is no metric "produce.latncy.p99"`, `"produce.latency.p99 < 50ms"`},
		{"latency.p99 < 50ms", "[latency.p99] < 50ms", `there is no metric "latency.p99"`, `"produce.latency.p99 < 50ms"`},
		{"produce.latency < 50ms", "[produce.latency] < 50ms", "produce.latency needs a statistic: min, mean, p50, p90, p95, p99, p99.9, p99.99, max", `"produce.latency.p99 < 50ms"`},
		{"produce.latency.p98 < 50ms", "produce.latency.[p98] < 50ms", `produce.latency has no statistic "p98"; it has min, mean, p50, p90, p95, p99, p99.9, p99.99, max`, `"produce.latency.p99 < 50ms"`},
		{"produce.latency.avg < 50ms", "produce.latency.[avg] < 50ms", `produce.latency has no statistic "avg"; it has min, mean, p50, p90, p95, p99, p99.9, p99.99, max`, `"produce.latency.mean < 50ms"`},
		{"errors.rate.p99 < 1%", "errors.rate.[p99] < 1%", "errors.rate has no statistics: it is one number", `"errors.rate < 1%"`},
		{"late. < 1", "late[.] < 1", "there is nothing behind this dot", `"late < 1"`},
		{"produce.latency. < 1s", "[produce.latency.] < 1s", "produce.latency needs a statistic: min, mean, p50, p90, p95, p99, p99.9, p99.99, max", `"produce.latency.p99 < 1s"`},
		{"broker.cpux < 90%", "[broker.cpux] < 90%", `there is no metric "broker.cpux"`, `"broker.cpu < 90%"`},
		{"broker.cpu < 2x", "broker.cpu < 2[x]", `"2x" has the unknown unit "x"; broker.cpu is compared with a number of processor cores such as "1.5" or "150%"`, ""},
		{"broker.disk.write < 5k/s", "broker.disk.write < [5k/s]", `"5k/s" is not bytes per second; broker.disk.write is compared with bytes per second such as "50MiB/s"`, ""},
		{"broker.memory.rss < 5x", "broker.memory.rss < 5[x]", `"5x" has the unknown unit "x" (units: B KB MB GB, KiB MiB GiB); broker.memory.rss is compared with a size such as "512B", "1KiB" or "1.5MB"`, ""},
		{"late{group=g} < 5", "late[{group=g}] < 5", "late is not measured for one group: it covers the whole scenario", `"late < 5"`},
		{"consume.lag.max{grp=g} < 5", "consume.lag.max[{grp=g}] < 5", "the only label is group: {group=billing}, not {grp=g}", ""},
		{"consume.lag.max{group=} < 5", "consume.lag.max[{group=}] < 5", "which group? {group=billing}", ""},
		{"consume.lag.max{group=g < 5", "consume.lag.max[{group=g < 5]", "the { is not closed: {group=billing}", ""},
		{"late == 0", "late [==] 0", `"==" is no comparison here: use one of <, <=, >, >=`, `"late <= 0"`},
		{"late 0", "late [0]", "expected one of <, <=, >, >= here, found '0'", ""},
		{"late", "late[]", "the comparison is missing: one of <, <=, >, >= and a value", ""},
		{"late <", "late <[]", "the value to compare with is missing", ""},
		{"produce.latency.p99 < 50", "produce.latency.p99 < [50]", `"50" has no unit; produce.latency.p99 is compared with a duration such as "30s", "1m30s" or "2d"`, `"produce.latency.p99 < 50ms"`},
		{"produce.latency.p99 < 50 ms", "produce.latency.p99 < 50[ ]ms", `"50 ms" has a blank in it; produce.latency.p99 is compared with a duration such as "30s", "1m30s" or "2d"`, `"produce.latency.p99 < 50ms"`},
		{"errors.rate < 5", "errors.rate < [5]", `"5" is more than everything: a bare number is a fraction; errors.rate is compared with a percentage such as "5%" or 0.05`, `"errors.rate < 5%"`},
		{"late < 5 and dropped < 3", "late < 5[ and ]dropped < 3", "a threshold is one comparison: write two strings", ""},
		{"1 < late < 3", "[1] < late < 3", `there is no metric "1"`, ""},
		{"late < 3 < 5", "late < 3 [<] 5", "a threshold has one comparison", ""},
	} {
		_, err := parseThreshold(tc.in)
		if err == nil {
			t.Errorf("%q: no error", tc.in)
			continue
		}
		if got := under(tc.in, err); got != tc.where || err.msg != tc.msg || err.suggest != tc.suggest {
			t.Errorf("%q:\n got %s | %s | %s\nwant %s | %s | %s", tc.in, got, err.msg, err.suggest, tc.where, tc.msg, tc.suggest)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tc := range []struct {
		name string
		from []string
		want string
	}{
		{"compresion", []string{"topic", "compression"}, "compression"},
		{"spike-rate", []string{"rate", "spike_rate"}, "spike_rate"},
		{"Rate", []string{"rate"}, "rate"},
		{"prodcue", []string{"produce", "consume"}, "produce"},
		{"zzz", []string{"rate", "topic"}, ""},
		{"partition_count", []string{"topic", "partitions", "partition"}, "partition"},
		{"rate", []string{"rate"}, ""},
		{"", []string{"a"}, ""},
	} {
		if got := Nearest(tc.name, tc.from); got != tc.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", tc.name, tc.from, got, tc.want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"30s", "1m30s", "2d", "1KiB", "20k/s", "50MiB/s", "5%", "100k", "", "-1", "1e9s", "999999999999999999999s", "5\xff", "µs", "1µs", "1.s", "1..s", "1/", "/s", "0x1s", "1_000/s", "1 000", " 5s "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		inside := func(err *unitError) {
			if err != nil && (err.off < 0 || err.width < 0 || err.off+err.width > len(s)) {
				t.Errorf("%q: the error %q points at [%d, %d), outside", s, err, err.off, err.off+err.width)
			}
		}
		if d, err := parseDuration(s); err != nil {
			inside(err)
		} else if d < 0 {
			t.Errorf("%q is %s", s, d)
		} else if again, err := parseDuration(Dur(d).String()); err != nil || again != d {
			t.Errorf("%q is %s, which prints as %q and reads as %s, %v", s, d, Dur(d), again, err)
		}
		if v, err := parseSize(s); err != nil {
			inside(err)
		} else if v < 0 || v > maxSize {
			t.Errorf("%q is %d", s, v)
		}
		if v, err := parseRate(s); err != nil {
			inside(err)
		} else if !(v.PerSecond >= 0 && v.PerSecond <= maxSize) {
			t.Errorf("%q is %v", s, v)
		}
		if v, err := parsePercent(s); err != nil {
			inside(err)
		} else if !(v >= 0 && v <= 1) {
			t.Errorf("%q is %v", s, v)
		}
		if v, err := parseCount(s); err != nil {
			inside(err)
		} else if v < 0 {
			t.Errorf("%q is %v", s, v)
		}
	})
}

func FuzzThreshold(f *testing.F) {
	for _, m := range plan.Metrics() {
		f.Add(exampleFor(m))
	}
	for _, s := range []string{"produce.latency.p99 < 50ms", "late<1", "a{b}<c", "produce.latency. < 5s", "produce.latency.p99 < 5s \xff", "<", "late < 1 and late < 2", "\t", "errors.rate > 1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseThreshold(s)
		if err != nil {
			if err.off < 0 || err.off > len(s) || err.msg == "" {
				t.Errorf("%q: error %+v", s, err)
			}
			return
		}
		m, ok := plan.LookupMetric(e.metric)
		if !ok || !m.HasStat(e.stat) || !(e.value >= 0) {
			t.Errorf("%q parsed as %+v", s, e)
		}
	})
}

func FuzzSlope(f *testing.F) {
	for _, s := range []string{"< 1MiB/h", "< 2%/h", "> -100/s/h", "<= 5ms/min", "<", "< /h", "< 5", "< -/h", "5/h", "< 1e3/h", " <5%/d ", "< 5\xff/h", "< %/h"} {
		for _, m := range plan.Metrics() {
			f.Add(s, m.Name)
		}
	}
	f.Fuzz(func(t *testing.T, s, metric string) {
		m, ok := plan.LookupMetric(metric)
		if !ok {
			t.Skip()
		}
		got, err := parseSlope(s, followed{metric: m.Name, text: m.Name, unit: m.Unit})
		if err != nil {
			if err.off < 0 || err.off > len(s) || err.width < 0 || err.msg == "" {
				t.Errorf("%q of %s: error %+v", s, metric, err)
			}
			return
		}
		if got.Per <= 0 || got.Value != got.Value || got.Op == "" || !strings.Contains(got.Expr, got.Op) {
			t.Errorf("%q of %s parsed as %+v", s, metric, got)
		}
	})
}

func TestSlopes(t *testing.T) {
	for _, tc := range []struct {
		text, metric string
		want         plan.Trend
	}{
		{"< 1MiB/h", "broker.memory.rss", plan.Trend{Op: "<", Value: 1 << 20, Per: time.Hour}},
		{"< 2%/h", "produce.latency", plan.Trend{Op: "<", Value: 0.02, Per: time.Hour, Relative: true}},
		{"> -100/s/h", "produce.rate", plan.Trend{Op: ">", Value: -100, Per: time.Hour}},
		{" <=5ms/min ", "produce.latency", plan.Trend{Op: "<=", Value: 5e6, Per: time.Minute}},
		{"< 1/d", "broker.fds", plan.Trend{Op: "<", Value: 1, Per: 24 * time.Hour}},
		{"< 0.1/h", "broker.cpu", plan.Trend{Op: "<", Value: 0.1, Per: time.Hour}},
		{"< 1KiB/s/s", "broker.net.in", plan.Trend{Op: "<", Value: 1024, Per: time.Second}},
	} {
		m, _ := plan.LookupMetric(tc.metric)
		got, err := parseSlope(tc.text, followed{metric: m.Name, text: m.Name, unit: m.Unit})
		if err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		got.Expr, got.Metric = "", ""
		if got != tc.want {
			t.Errorf("%q: %+v, want %+v", tc.text, got, tc.want)
		}
	}
}

// Every threshold that messages and documentation show as an example is one.
func TestExamplesAreThresholds(t *testing.T) {
	for _, m := range plan.Metrics() {
		text := exampleFor(m)
		if _, err := parseThreshold(text[1 : len(text)-1]); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
