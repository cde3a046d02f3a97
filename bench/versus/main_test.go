package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake is a tree of programs that only say who they are.
func fake(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho " + name + " >>" + filepath.Join(filepath.Dir(dir), "../order") + "\necho Benchmark" + name + " 1 5 ns/op\n"
	for file, text := range map[string]string{"wire.test": script, "commit": name} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSidesAlternateAndNeitherIsAlwaysFirst(t *testing.T) {
	a, b := fake(t, "A"), fake(t, "B")
	order := filepath.Join(filepath.Dir(a), "../order")
	out := t.TempDir()
	files := []string{filepath.Join(out, "base.txt"), filepath.Join(out, "new.txt")}
	r := runner{round: time.Millisecond, only: "wire", errs: &bytes.Buffer{}}
	if err := r.alternate(context.Background(), 3, []string{a, b}, files); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(order)
	if want := "A B B A A B"; err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
		t.Errorf("ran %q, want %s: %v", got, want, err)
	}
	for i, name := range []string{"A", "B"} {
		text, err := os.ReadFile(files[i])
		if err != nil || strings.Count(string(text), "Benchmark"+name) != 3 || !strings.HasPrefix(string(text), "commit: "+name+"\n") {
			t.Errorf("%s holds %q: %v", files[i], text, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, bad := range [][]string{{}, {"-keep", "a", "-base", "b"}, {"-base", "a"}, {"-keep", "a", "-count", "0"}} {
		if err := run(context.Background(), bad, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	err := run(context.Background(), []string{"-base", t.TempDir(), "-out", t.TempDir()}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "make benchmark-baseline") {
		t.Errorf("a missing baseline: %v", err)
	}
}
