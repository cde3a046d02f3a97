package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// A slope is `op value/time`: "< 1MiB/h", "< 2%/h", "> -100/s/h". The value is in the metric's unit, or in percent of the
// metric's mean; the last "/" is what it is per.

const slopeExample = `"< 2%/h"`

// slopeTimes are what a slope may be per.
var slopeTimes = map[string]time.Duration{"s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// parseSlope reads the limit of trend(). A mistake lies at bytes [off, off+width) of text.
func parseSlope(text string, f followed) (plan.Trend, *exprError) {
	t := plan.Trend{Metric: f.metric, Stat: f.stat}
	if len(text) > maxExpr {
		return t, &exprError{width: len(text), msg: fmt.Sprintf("this slope is longer than %d bytes", maxExpr), example: slopeExample}
	}
	opStart := skipBlank(text, 0)
	opEnd := opStart + tokenLen(text[opStart:], isOpChar)
	t.Op = text[opStart:opEnd]
	if !slices.Contains(plan.Operators, t.Op) {
		return t, &exprError{off: opStart, width: max(opEnd-opStart, 1), msg: "a slope begins with one of <, <=, >, >=", example: slopeExample}
	}
	start := skipBlank(text, opEnd)
	rest := strings.TrimRight(text[start:], " \t")
	cut := strings.LastIndexByte(rest, '/')
	if rest == "" {
		return t, &exprError{off: start, width: 1, msg: "the value is missing", example: slopeExample}
	}
	if cut < 0 || slopeTimes[rest[cut+1:]] == 0 {
		per := rest
		if cut >= 0 {
			per = rest[cut+1:]
		}
		suggest := ""
		if cut < 0 {
			suggest = strconv.Quote(t.Op + " " + rest + "/h")
		}
		return t, &exprError{off: start + len(rest) - len(per), width: len(per), msg: "a slope is per time: /s, /m, /h or /d", suggest: suggest, example: slopeExample}
	}
	t.Per = slopeTimes[rest[cut+1:]]
	value, sign := rest[:cut], 1.0
	if v, ok := strings.CutPrefix(value, "-"); ok {
		value, sign, start = v, -1, start+1
	}
	v, relative, err := slopeValue(value, f.unit)
	if err != nil {
		return t, &exprError{off: start + err.off, width: max(err.width, 1), msg: fmt.Sprintf("%s; the slope of %s is %s per time, or percent", err.headline(), f.metric, err.want), example: slopeExample}
	}
	t.Value, t.Relative = sign*v, relative
	t.Expr = f.text + " slope " + strings.TrimSpace(text)
	return t, nil
}

// slopeValue reads a value in the metric's unit, or in percent of its mean. Of a metric in cores, percent is of the mean too.
func slopeValue(text string, unit plan.Unit) (v float64, relative bool, err *unitError) {
	if strings.HasSuffix(text, "%") && unit != plan.UnitPercent {
		v, _, _, err = quantity(text, "a percentage such as 2%")
		return v / 100, true, err
	}
	e := expr{}
	err = e.readUnit(text, plan.Metric{Unit: unit})
	if err == nil && e.bytes {
		err = &unitError{text: text, width: len(text), reason: "is bytes per second", want: wantRate}
	}
	return e.value, false, err
}
