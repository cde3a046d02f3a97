package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pretend is a loadscript that writes one line and ends with a code.
func pretend(t *testing.T, code int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "loadscript")
	text := fmt.Sprintf("#!/bin/sh\nmkdir -p \"$5\"\necho \"BenchmarkLoad/$2 1 5 records/s\" >\"$5/bench.txt\"\necho why it ended\nexit %d\n", code)
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFiguresAreThoseOfTheScripts(t *testing.T) {
	for code, good := range map[int]bool{0: true, 99: true, 95: true, 96: false, 104: false, 1: false} {
		var out, errs bytes.Buffer
		err := run(context.Background(), []string{"-loadscript", pretend(t, code), "-scripts", "s", "-count", "2", "spike", "latency"}, &out, &errs)
		if (err == nil) != good {
			t.Fatalf("exit code %d: %v", code, err)
		}
		if !good {
			if !strings.Contains(err.Error(), "why it ended") {
				t.Errorf("exit code %d is not explained: %v", code, err)
			}
			continue
		}
		if strings.Count(out.String(), "outcome: "+told[code]+"\n") != 4 {
			t.Errorf("exit code %d: the outcome is not said:\n%s", code, out.String())
		}
		if got := strings.Count(out.String(), "BenchmarkLoad/s/spike.star 1 5 records/s\n"); got != 2 || strings.Count(out.String(), "latency.star") != 2 || strings.Contains(out.String(), "soak") {
			t.Errorf("exit code %d: printed\n%s", code, out.String())
		}
	}
}

func TestAnUnknownScriptIsAnError(t *testing.T) {
	var out bytes.Buffer
	err := run(context.Background(), []string{"spike", "nothing"}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "nothing: no script with a short form; there are throughput, ") || out.Len() > 0 {
		t.Errorf("%v: %s", err, out.String())
	}
}
