package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// write makes a profile of stacks "outer;inner" with a value each.
func write(t *testing.T, stacks map[string]int64) string {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	functions := map[string]*profile.Location{}
	for stack, v := range stacks {
		var at []*profile.Location
		for name := range strings.SplitSeq(stack, ";") {
			l := functions[name]
			if l == nil {
				id := uint64(len(functions) + 1)
				fn := &profile.Function{ID: id, Name: name}
				l = &profile.Location{ID: id, Line: []profile.Line{{Function: fn}}}
				functions[name] = l
				p.Function, p.Location = append(p.Function, fn), append(p.Location, l)
			}
			at = append([]*profile.Location{l}, at...)
		}
		p.Sample = append(p.Sample, &profile.Sample{Location: at, Value: []int64{1, v}})
	}
	name := filepath.Join(t.TempDir(), "p")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFramesAreAsWideAsTheirShare(t *testing.T) {
	name := write(t, map[string]int64{"main.main;a/b.F": 750, "main.main;a/b.G[int]": 200, "main.main": 50})
	var out, errs bytes.Buffer
	if err := run([]string{name}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"main.main": fmt.Sprintf(`data-x="0.00" data-w="%d.00" data-n="main.main"`, width),
		"F":         fmt.Sprintf(`data-x="0.00" data-w="%d.00" data-n="b.F"`, width*75/100),
		"G":         fmt.Sprintf(`data-x="%d.00" data-w="%d.00" data-n="b.G[int]"`, width*75/100, width*20/100),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: without %s:\n%s", what, want, out.String())
		}
	}
	d := xml.NewDecoder(&out)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatCannotBeDrawnIsSaid(t *testing.T) {
	good := write(t, map[string]int64{"main.main": 5})
	nothing := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(nothing, []byte("no profile"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"it has samples, cpu": {"-sample", "heap", good}, "want one file": {}, "no such file": {nothing + "y"},
		"no samples": {write(t, nil)}, "x: ": {nothing},
	} {
		if err := run(args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
