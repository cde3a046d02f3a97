package script

import (
	"fmt"
	"math"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Dur is a length of time, and a value of the language: dur("5m") - 2 * dur("2s") is a Dur, and so is what a Dur parameter
// default gives. It prints as it is written ("4m56s"), so dur(str(d)) == d. It may be negative on the way to a result
// (a rest that turns out too short); whoever wants a length refuses that.
type Dur time.Duration

var (
	_ starlark.Comparable = Dur(0)
	_ starlark.HasBinary  = Dur(0)
	_ starlark.HasUnary   = Dur(0)
	_ starlark.HasAttrs   = Dur(0)
)

// String prints code that dur() reads back.
func (d Dur) String() string { return plan.FormatDuration(time.Duration(d)) }

// Type is the name that scripts see.
func (d Dur) Type() string { return "dur" }

// Freeze does nothing: a Dur never changes.
func (d Dur) Freeze() {}

// Truth is false for zero.
func (d Dur) Truth() starlark.Bool { return d != 0 }

// Hash lets a Dur be a dict key.
func (d Dur) Hash() (uint32, error) { return uint32(d) ^ uint32(uint64(d)>>32), nil }

// Attr gives the length in other units.
func (d Dur) Attr(name string) (starlark.Value, error) {
	if name == "seconds" {
		return starlark.Float(time.Duration(d).Seconds()), nil
	}
	return nil, nil
}

// AttrNames lists the attributes.
func (d Dur) AttrNames() []string { return []string{"seconds"} }

// CompareSameType orders by length.
func (d Dur) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o := y.(Dur)
	switch op {
	case syntax.EQL:
		return d == o, nil
	case syntax.NEQ:
		return d != o, nil
	case syntax.LT:
		return d < o, nil
	case syntax.LE:
		return d <= o, nil
	case syntax.GT:
		return d > o, nil
	default:
		return d >= o, nil
	}
}

// Unary implements -d and +d.
func (d Dur) Unary(op syntax.Token) (starlark.Value, error) {
	switch op {
	case syntax.MINUS:
		return -d, nil
	case syntax.PLUS:
		return d, nil
	}
	return nil, nil
}

// Binary implements dur ± dur, dur * number, dur / number, dur / dur, dur // dur and dur % dur.
func (d Dur) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if text, ok := y.(starlark.String); ok {
		if op == syntax.PERCENT && side == starlark.Right { // "…%s…" % dur is string formatting, handled by Starlark
			return nil, nil
		}
		return nil, &mixedDur{op: op, text: string(text), what: "a string"}
	}
	if o, ok := y.(Dur); ok {
		return d.withDur(op, o)
	}
	f, ok := starlark.AsFloat(y)
	if !ok {
		return nil, nil
	}
	switch {
	case op == syntax.STAR:
		return durOf(float64(d)*f, d, y)
	case op == syntax.SLASH && side == starlark.Left:
		if f == 0 {
			return nil, fmt.Errorf("%s / 0: division by zero", d)
		}
		return durOf(float64(d)/f, d, y)
	case op == syntax.PLUS || op == syntax.MINUS:
		return nil, &mixedDur{op: op, text: y.String() + "s", what: "a number"}
	}
	return nil, nil
}

func (d Dur) withDur(op syntax.Token, o Dur) (starlark.Value, error) {
	if (op == syntax.SLASH || op == syntax.SLASHSLASH || op == syntax.PERCENT) && o == 0 {
		return nil, fmt.Errorf("%s %s %s: division by zero", d, op, o)
	}
	switch op {
	case syntax.PLUS, syntax.MINUS:
		if op == syntax.MINUS {
			o = -o
		}
		if sum := d + o; (sum > d) == (o > 0) {
			return sum, nil
		}
		return nil, fmt.Errorf("%s + %s is too long a time", d, o)
	case syntax.SLASH:
		return starlark.Float(float64(d) / float64(o)), nil
	case syntax.SLASHSLASH:
		q := d / o
		if d%o != 0 && (d < 0) != (o < 0) {
			q--
		}
		return starlark.MakeInt64(int64(q)), nil
	case syntax.PERCENT:
		r := d % o
		if r != 0 && (r < 0) != (o < 0) {
			r += o
		}
		return r, nil
	}
	return nil, nil
}

// durOf rounds to nanoseconds and refuses what does not fit.
func durOf(ns float64, d Dur, y starlark.Value) (starlark.Value, error) {
	if math.IsNaN(ns) || math.Abs(ns) >= math.MaxInt64/2 {
		return nil, fmt.Errorf("%s times or by %s is no length of time", d, y)
	}
	return Dur(math.Round(ns)), nil
}

// mixedDur is dur + "5s": a string is no duration until dur() has read it.
type mixedDur struct {
	op   syntax.Token
	text string
	what string
}

func (e *mixedDur) Error() string {
	return fmt.Sprintf("a duration %s %s: only durations can be added to durations", e.op, e.what)
}

// Unpack implements starlark.Unpacker: "30s" or dur("30s").
func (d *Dur) Unpack(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		t, err := parseDuration(string(v))
		if err != nil {
			return err
		}
		*d = Dur(t)
		return nil
	case Dur:
		if v < 0 {
			return fmt.Errorf("%s is negative", v)
		}
		*d = v
		return nil
	case starlark.Int:
		return &unitError{text: v.String(), width: len(v.String()), reason: "has no unit", suggest: v.String() + "s", want: wantDuration, bare: true}
	}
	return wrongType(v, wantDuration)
}
