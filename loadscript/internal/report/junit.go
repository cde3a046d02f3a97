package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// junitSuites is junit.xml: a suite per scenario, a case per threshold, invariant, trend and condition of validity.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"` // seconds
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Started  string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Failure *junitText `xml:"failure,omitempty"`
	Error   *junitText `xml:"error,omitempty"`
	Out     string     `xml:"system-out,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes junit.xml, for CI systems that show tests. A scenario that did not run, and a run that failed for a reason
// outside all scenarios, are errors.
func WriteJUnit(w io.Writer, r *Results) error {
	out := junitSuites{Name: "loadscript " + r.Script, Time: fmt.Sprintf("%.3f", float64(r.ElapsedNs)/1e9)}
	for i := range r.Scenarios {
		out.Suites = append(out.Suites, junitScenario(&r.Scenarios[i]))
	}
	bad := 0
	for i := range out.Suites {
		bad += out.Suites[i].Failures + out.Suites[i].Errors
	}
	if !r.Verdict.Pass && bad == 0 {
		out.Suites = append(out.Suites, junitSuite{Name: "run", Started: r.Started.UTC().Format(time.RFC3339), Tests: 1, Errors: 1, Cases: []junitCase{{
			Class: "run", Name: "verdict", Error: &junitText{r.Verdict.Meaning, strings.Join(r.Verdict.Reasons, "\n")},
		}}})
	}
	for _, s := range out.Suites {
		out.Tests, out.Failures, out.Errors = out.Tests+s.Tests, out.Failures+s.Failures, out.Errors+s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitScenario(s *Scenario) junitSuite {
	suite := junitSuite{Name: s.Name, Started: s.Started.UTC().Format(time.RFC3339)}
	if !s.Ran {
		suite.Cases = append(suite.Cases, junitCase{Class: s.Name, Name: "runs", Error: &junitText{"did not run", s.Error}})
		suite.Tests, suite.Errors = 1, 1
		return suite
	}
	for _, c := range checks(s) {
		if c.Class == "info" {
			continue
		}
		// The class keeps the kinds of a scenario apart where a CI system shows classes as folders.
		jc := junitCase{Class: s.Name + "." + c.Kind, Name: c.Name, Out: strings.TrimSpace(c.Measured + "\n" + c.Detail)}
		if c.Class == "bad" {
			jc.Failure = &junitText{c.Measured, strings.TrimSpace(c.Detail + "\n" + strings.Join(c.Examples, "\n"))}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, jc)
	}
	suite.Tests = len(suite.Cases)
	return suite
}
