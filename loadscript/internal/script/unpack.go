package script

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Unpack implements starlark.Unpacker.
func (s *Size) Unpack(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		return assign(s, string(v), parseSize)
	case starlark.Int:
		n, ok := v.Int64()
		if !ok || n < 0 || n > maxSize {
			return fmt.Errorf("%s is no size", v)
		}
		*s = Size(n)
		return nil
	}
	return wrongType(v, wantSize)
}

// Unpack implements starlark.Unpacker.
func (r *Rate) Unpack(v starlark.Value) error {
	if text, ok := v.(starlark.String); ok {
		return assign(r, string(text), parseRate)
	}
	f, ok := starlark.AsFloat(v)
	if !ok {
		return wrongType(v, wantRate)
	}
	if !(f >= 0 && f <= plan.MaxRate) {
		return fmt.Errorf("%s is no rate: it must be between 0/s and %s", v, plan.FormatRate(plan.MaxRate))
	}
	*r = Rate{PerSecond: f}
	return nil
}

// Unpack implements starlark.Unpacker.
func (p *Percent) Unpack(v starlark.Value) error {
	if text, ok := v.(starlark.String); ok {
		return assign(p, string(text), parsePercent)
	}
	f, ok := starlark.AsFloat(v)
	if !ok {
		return wrongType(v, wantPercent)
	}
	if !(f >= 0 && f <= 1) {
		e := &unitError{text: v.String(), reason: "is not a fraction between 0 and 1", want: wantPercent, bare: true}
		if f > 1 && f <= 100 {
			e.suggest = strconv.FormatFloat(f, 'g', -1, 64) + "%"
		}
		return e
	}
	*p = Percent(f)
	return nil
}

// Unpack implements starlark.Unpacker.
func (c *Count) Unpack(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		return assign(c, string(v), parseCount)
	case starlark.Int:
		n, ok := v.Int64()
		if !ok || n < 0 || n > 1<<53 {
			return fmt.Errorf("%s is out of range", v)
		}
		*c = Count(n)
		return nil
	}
	return wrongType(v, wantCount)
}

// assign parses text into *dst; it keeps the *unitError out of a non-nil error interface holding nil.
func assign[T any](dst *T, text string, parse func(string) (T, *unitError)) error {
	v, err := parse(text)
	if err != nil {
		return err
	}
	*dst = v
	return nil
}

// typeError is a value of the wrong type.
type typeError struct {
	want string
	got  starlark.Value
}

func (e *typeError) Error() string {
	return fmt.Sprintf("must be %s, not %s", e.want, describe(e.got))
}

func wrongType(v starlark.Value, want string) error { return &typeError{want: want, got: v} }

// describe names a value in an error: its type, and the value itself if that is short.
func describe(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.NoneType:
		return "None"
	case starlark.Int, starlark.Float:
		return "the number " + clip(v.String(), 24)
	case starlark.String:
		return "the string " + clip(strconv.Quote(string(v)), 60)
	case starlark.Bool:
		return v.String()
	case *starlark.Builtin:
		return fmt.Sprintf("the function %s (call it: %s(…))", v.Name(), v.Name())
	case *starlark.Function:
		return fmt.Sprintf("the function %s (call it: %s(…))", v.Name(), v.Name())
	case *built:
		return fmt.Sprintf("the result of %s(…)", v.table.Name)
	}
	return "a " + v.Type()
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
