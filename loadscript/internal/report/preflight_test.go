package report

import (
	"bytes"
	"strings"
	"testing"

	preflight "github.com/streambus/streambus/tools/checks"
)

// TestPreflight: a machine that was not fit is in the text, on the page and in the results; one that was, only in the results.
func TestPreflight(t *testing.T) {
	r := sample("x", 1, 2)
	fit := preflight.Result{Condition: "clock source", Required: "a quick one", Current: "tsc", Severity: preflight.Warning, Passed: true}
	busy := preflight.Result{Condition: "CPU used by others", Required: "<= 10 %", Current: "95.0 %", Severity: preflight.Warning}
	for _, c := range []struct {
		all  []preflight.Result
		says bool
	}{{[]preflight.Result{fit, busy}, true}, {[]preflight.Result{fit}, false}, {nil, false}} {
		r.Preflight = c.all
		var text, page bytes.Buffer
		if err := WriteVerdict(&text, r, nil, false); err != nil {
			t.Fatal(err)
		}
		if err := WritePage(&page, r); err != nil {
			t.Fatal(err)
		}
		const want = "1 of 2 preflight conditions did not hold: CPU used by others 95.0 % (required"
		if strings.Contains(text.String(), want) != c.says || strings.Contains(page.String(), want) != c.says {
			t.Errorf("%v: the text or the page says it, or not, wrongly:\n%s", c.all, text.String())
		}
		if there := strings.Contains(page.String(), "clock source"); there != (len(c.all) > 0) {
			t.Errorf("the page has the conditions: %t", there)
		}
	}
}
