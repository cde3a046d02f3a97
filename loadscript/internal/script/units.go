package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The units of the language. Each is a type that implements starlark.Unpacker, so that a Go function that wants a duration
// says so and gets "30s", dur("30s") or a good error. Plain numbers are accepted only where the unit is obvious: a rate is
// records per second, a size is bytes, a percentage below 1 is a fraction; a duration has no obvious unit.

// A Size is a number of bytes: "512B", "1KiB", "1.5MB", or a whole number.
type Size int64

// A Rate is load per second: records ("20k/s", "20k", 20000) or bytes ("50MiB/s"), which become records when the size of the
// values is known.
type Rate struct {
	PerSecond float64
	Bytes     bool
}

// A Percent is a fraction in [0, 1]: "5%", "0.05" or 0.05.
type Percent float64

// A Count is a whole number >= 0: 100000 or "100k".
type Count int64

// unitError is a malformed quantity: what is wrong, where in the text, and what was probably meant.
type unitError struct {
	text    string // all of the text
	off     int    // byte offset of what is wrong
	width   int    // its length in bytes
	reason  string // "has no unit"
	suggest string // a whole quantity to write instead; may be empty
	want    string // "a duration such as \"30s\""
	bare    bool   // text is a number in the script, not a string
}

// headline is the message without the suggestion.
func (e *unitError) headline() string {
	if e.bare {
		return e.text + " " + e.reason
	}
	return clip(strconv.Quote(e.text), 60) + " " + e.reason
}

func (e *unitError) Error() string {
	msg := e.headline()
	if e.suggest != "" {
		msg += fmt.Sprintf("; did you mean %q?", e.suggest)
	}
	return msg
}

const (
	wantDuration = `a duration such as "30s", "1m30s" or "2d"`
	wantSize     = `a size such as "512B", "1KiB" or "1.5MB"`
	wantRate     = `a rate such as "500/s", "20k/s" or "50MiB/s"`
	wantPercent  = `a percentage such as "5%" or 0.05`
	wantCount    = `a whole number such as 1000 or "100k"`

	wantBytesRate = `bytes per second such as "50MiB/s"`
	wantCores     = `a number of processor cores such as "1.5" or "150%"`
)

// number splits text into a leading decimal number and the rest. ok is false when there is no number.
func number(text string) (value float64, rest string, ok bool) {
	i, dot, digits := 0, false, 0
	for i < len(text) {
		c := text[i]
		if c >= '0' && c <= '9' {
			digits++
		} else if c == '.' && !dot {
			dot = true
		} else {
			break
		}
		i++
	}
	if digits == 0 || digits > 30 {
		return 0, text, false
	}
	value, err := strconv.ParseFloat(text[:i], 64)
	return value, text[i:], err == nil
}

// quantity splits text into a number and a unit word, and reports signs, blanks and missing numbers in the same way for all.
func quantity(text, want string) (value float64, unit string, unitOff int, err *unitError) {
	fail := func(off, width int, reason, suggest string) (float64, string, int, *unitError) {
		return 0, "", 0, &unitError{text: text, off: off, width: width, reason: reason, suggest: suggest, want: want}
	}
	switch {
	case text == "":
		return fail(0, 0, "is empty", "")
	case text[0] == '-':
		return fail(0, 1, "is negative", "")
	case text[0] == '+':
		return fail(0, 1, "has a sign", text[1:])
	case strings.TrimSpace(text) != text:
		return fail(0, len(text), "has blanks around it", strings.TrimSpace(text))
	}
	value, rest, ok := number(text)
	if !ok {
		return fail(0, len(text), "does not start with a number", "")
	}
	off := len(text) - len(rest)
	if i := strings.IndexFunc(rest, unicode.IsSpace); i >= 0 {
		_, w := utf8.DecodeRuneInString(rest[i:])
		return fail(off+i, w, "has a blank in it", strings.Join(strings.Fields(text), ""))
	}
	if strings.HasPrefix(rest, "_") || strings.HasPrefix(rest, ",") {
		squeezed := strings.NewReplacer("_", "", ",", "").Replace(text)
		return fail(off, 1, "has a separator in the number", squeezed)
	}
	return value, rest, off, nil
}

var durationUnits = []struct {
	name string
	size time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"µs", time.Microsecond}, {"μs", time.Microsecond}, {"ms", time.Millisecond},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

var durationWords = map[string]string{
	"sec": "s", "secs": "s", "second": "s", "seconds": "s", "S": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
	"M": "m", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "H": "h", "day": "d", "days": "d", "D": "d", "msec": "ms",
	"millis": "ms", "milliseconds": "ms", "MS": "ms", "usec": "us", "week": "w", "weeks": "w",
}

// ParseDuration reads "30s", "1m30s", "1.5h", "2d", "250us"; "0" is zero. Units: ns us ms s m h d w.
func ParseDuration(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err != nil {
		return 0, err
	}
	return d, nil
}

func parseDuration(text string) (time.Duration, *unitError) {
	if text == "0" {
		return 0, nil
	}
	var sum float64
	var exact time.Duration
	for rest := text; ; {
		value, unitRest, off, err := quantity(rest, wantDuration)
		done := len(text) - len(rest)
		if err != nil {
			err.text, err.off = text, err.off+done
			if done > 0 {
				err.suggest = ""
			}
			err.suggest = mend(err.suggest, parseDuration)
			return 0, err
		}
		unit := unitRest
		if i := strings.IndexFunc(unitRest, func(r rune) bool { return !unicode.IsLetter(r) }); i >= 0 {
			unit = unitRest[:i]
		}
		size := durationUnit(unit)
		if size == 0 {
			return 0, badDurationUnit(text, done+off, rest[:off], unit)
		}
		part, ok := scaled(rest[:off], value, size)
		sum += value * float64(size)
		exact += part
		if !ok || sum > math.MaxInt64/2 {
			return 0, &unitError{text: text, width: len(text), reason: "is too long a time", want: wantDuration}
		}
		rest = unitRest[len(unit):]
		if rest == "" {
			return exact, nil
		}
	}
}

// scaled is number * size, exact for whole numbers: floats lose nanoseconds beyond 104 days.
func scaled(digits string, value float64, size time.Duration) (time.Duration, bool) {
	if value*float64(size) > math.MaxInt64/2 {
		return 0, false
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return time.Duration(n) * size, true
	}
	whole := math.Floor(value)
	return time.Duration(whole)*size + time.Duration(math.Round((value-whole)*float64(size))), true
}

func durationUnit(name string) time.Duration {
	for _, u := range durationUnits {
		if u.name == name {
			return u.size
		}
	}
	return 0
}

func badDurationUnit(text string, off int, digits, unit string) *unitError {
	e := &unitError{text: text, off: off, width: len(unit), want: wantDuration}
	whole := text == digits+unit // only then can the whole text be repaired
	switch {
	case unit == "" && off == len(text):
		e.reason = "has no unit"
		if whole {
			e.off, e.width, e.suggest = 0, len(text), digits+"s"
		}
	case unit == "":
		_, w := utf8.DecodeRuneInString(text[off:])
		e.width = w
		e.reason = fmt.Sprintf("has %q where a unit should be", text[off:off+w])
	default:
		e.reason = fmt.Sprintf("has the unknown unit %q (units: ns us ms s m h d w)", unit)
		if word, ok := durationWords[unit]; ok && whole {
			e.suggest = digits + word
		}
	}
	return e
}

// mend follows a suggestion that is itself not right to the next one: "5 minutes", "5minutes", "5m".
func mend[T any](suggest string, parse func(string) (T, *unitError)) string {
	if suggest == "" {
		return ""
	}
	if _, err := parse(suggest); err != nil {
		return err.suggest // each suggestion is shorter or has been mended itself, so this ends
	}
	return suggest
}

// decimal prefixes of rates and counts
var prefixes = map[string]float64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}

var sizeUnits = map[string]float64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

var sizeWords = map[string]string{
	"b": "B", "k": "KiB", "K": "KiB", "kb": "KB", "kib": "KiB", "Kib": "KiB", "KIB": "KiB", "Ki": "KiB", "m": "MiB", "M": "MiB", "mb": "MB", "Mb": "MB",
	"mib": "MiB", "Mib": "MiB", "MIB": "MiB", "Mi": "MiB", "g": "GiB", "G": "GiB", "gb": "GB", "Gb": "GB", "gib": "GiB", "Gib": "GiB",
	"GIB": "GiB", "Gi": "GiB", "bytes": "B", "byte": "B", "kiB": "KiB",
}

const maxSize = 1 << 50

// ParseSize reads "512B", "1KiB" (1024 bytes), "1KB" (1000 bytes), up to TiB; a bare number is bytes.
func ParseSize(text string) (Size, error) {
	s, err := parseSize(text)
	if err != nil {
		return 0, err
	}
	return s, nil
}

func parseSize(text string) (Size, *unitError) {
	value, unit, off, err := quantity(text, wantSize)
	if err != nil {
		err.suggest = mend(err.suggest, parseSize)
		return 0, err
	}
	scale, ok := sizeUnits[unit]
	if unit == "" {
		scale, ok = 1, true
	}
	bad := func(off, width int, reason, suggest string) (Size, *unitError) {
		return 0, &unitError{text: text, off: off, width: width, reason: reason, suggest: suggest, want: wantSize}
	}
	if !ok {
		suggest := ""
		if strings.HasSuffix(unit, "/s") {
			return bad(off, len(unit), "is a rate, not a size", strings.TrimSuffix(text, "/s"))
		}
		if w, ok := sizeWords[unit]; ok {
			suggest = text[:off] + w
		}
		return bad(off, len(unit), fmt.Sprintf("has the unknown unit %q (units: B KB MB GB, KiB MiB GiB)", unit), suggest)
	}
	bytes := value * scale
	if bytes != math.Trunc(bytes) {
		if scale == 1 {
			return bad(0, len(text), "is not a whole number of bytes", "")
		}
		bytes = math.Round(bytes)
	}
	if bytes > maxSize {
		return bad(0, len(text), "is too large", "")
	}
	return Size(bytes), nil
}

// ParseRate reads "500/s", "20k/s", "1.5M/s", "600/m", "50MiB/s"; without "/s" records per second are meant.
func ParseRate(text string) (Rate, error) {
	r, err := parseRate(text)
	if err != nil {
		return Rate{}, err
	}
	return r, nil
}

func parseRate(text string) (Rate, *unitError) {
	value, unit, off, err := quantity(text, wantRate)
	if err != nil {
		if squeezed := strings.Join(strings.Fields(text), ""); err.suggest != "" && squeezed != text {
			err.suggest = rateGuess(squeezed)
		}
		return Rate{}, err
	}
	bad := func(off, width int, reason, suggest string) (Rate, *unitError) {
		return Rate{}, &unitError{text: text, off: off, width: width, reason: reason, suggest: suggest, want: wantRate}
	}
	what, per, slash := strings.Cut(unit, "/")
	perOff := off + len(what) + 1
	seconds := map[string]float64{"s": 1, "m": 60, "min": 60, "h": 3600}[per]
	switch {
	case slash && seconds == 0:
		return bad(perOff, len(per), fmt.Sprintf("is per %q; a rate is per second: /s (also /m, /h)", per), rateGuess(text))
	case !slash:
		seconds = 1
	}
	if scale, ok := prefixes[what]; ok {
		return checkRate(text, Rate{PerSecond: value * scale / seconds})
	}
	if scale, ok := sizeUnits[what]; ok {
		if !slash {
			return bad(off, len(what), "is a size, not a rate", text+"/s")
		}
		return checkRate(text, Rate{PerSecond: value * scale / seconds, Bytes: true})
	}
	return bad(off, len(what), fmt.Sprintf("has the unknown unit %q", what), rateGuess(text))
}

func checkRate(text string, r Rate) (Rate, *unitError) {
	if r.PerSecond > maxSize {
		return Rate{}, &unitError{text: text, width: len(text), reason: "is too fast", want: wantRate}
	}
	return r, nil
}

// rateGuess repairs the usual slips: "20k/sec", "1000msg/s", "1000 rps", "5kb/s". Empty when nothing sensible comes out.
func rateGuess(text string) string {
	_, unit, off, err := quantity(text, wantRate)
	if err != nil {
		return ""
	}
	what, _, _ := strings.Cut(unit, "/")
	what = strings.ToLower(what)
	for _, word := range []string{"records", "record", "messages", "message", "msgs", "msg", "recs", "rec", "events", "req", "rps", "mps", "ps", "qps"} {
		what = strings.TrimSuffix(what, word)
	}
	canonical := map[string]string{"": "", "k": "k", "m": "M", "g": "G", "b": "B", "kb": "KB", "kib": "KiB", "mb": "MB", "mib": "MiB", "gb": "GB", "gib": "GiB", "bytes": "B"}
	if c, ok := canonical[what]; ok {
		return text[:off] + c + "/s"
	}
	return ""
}

// ParsePercent reads "5%" or a fraction "0.05"; the result is in [0, 1].
func ParsePercent(text string) (Percent, error) {
	p, err := parsePercent(text)
	if err != nil {
		return 0, err
	}
	return p, nil
}

func parsePercent(text string) (Percent, *unitError) {
	value, unit, off, err := quantity(text, wantPercent)
	if err != nil {
		err.suggest = mend(err.suggest, parsePercent)
		return 0, err
	}
	bad := func(off, width int, reason, suggest string) (Percent, *unitError) {
		return 0, &unitError{text: text, off: off, width: width, reason: reason, suggest: suggest, want: wantPercent}
	}
	switch unit {
	case "%":
		value /= 100
	case "":
		if value > 1 {
			return bad(0, len(text), "is more than everything: a bare number is a fraction", text+"%")
		}
	default:
		return bad(off, len(unit), fmt.Sprintf("has the unknown unit %q", unit), text[:off]+"%")
	}
	if value > 1 {
		return bad(0, len(text), "is more than 100%", "")
	}
	return Percent(value), nil
}

// ParseCount reads "100", "100k", "1.5M".
func ParseCount(text string) (Count, error) {
	c, err := parseCount(text)
	if err != nil {
		return 0, err
	}
	return c, nil
}

func parseCount(text string) (Count, *unitError) {
	value, unit, off, err := quantity(text, wantCount)
	if err != nil {
		err.suggest = mend(err.suggest, parseCount)
		return 0, err
	}
	scale, ok := prefixes[unit]
	if !ok {
		return 0, &unitError{text: text, off: off, width: len(unit), reason: fmt.Sprintf("has the unknown unit %q (k, M or G)", unit), want: wantCount}
	}
	value *= scale
	if value != math.Trunc(value) || value > 1<<53 {
		return 0, &unitError{text: text, width: len(text), reason: "is not a whole number", want: wantCount}
	}
	return Count(value), nil
}

// parseCores reads "1.5" or "150%": processor cores in use.
func parseCores(text string) (float64, *unitError) {
	value, unit, off, err := quantity(text, wantCores)
	if err != nil {
		err.suggest = ""
		return 0, err
	}
	switch unit {
	case "":
		return value, nil
	case "%":
		return value / 100, nil
	}
	return 0, &unitError{text: text, off: off, width: len(unit), reason: fmt.Sprintf("has the unknown unit %q", unit), want: wantCores}
}
