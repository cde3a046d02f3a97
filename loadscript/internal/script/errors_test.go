package script

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the code does into the expectations of testdata")

// TestErrors reads stories from testdata/errors: a script x.star with mistakes (and modules, and in the comment
// `flags: --rate fast`), and the message in full as the user sees it. -update rewrites the messages: then read the diff.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		abs, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runStory(t, abs) })
	}
}

func runStory(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := -1
	for i, f := range a.Files {
		if f.Name == "want" {
			want = i
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	var out strings.Builder
	_, err = Load(context.Background(), Options{Path: "x.star", Settings: storyFlags(string(a.Comment)), Print: &out, MaxSteps: 100_000})
	var mistakes Errors
	switch {
	case errors.As(err, &mistakes):
		mistakes.Print(&out)
	case err != nil:
		t.Fatalf("%T instead of Errors: %v", err, err)
	default:
		out.WriteString("no mistakes\n")
	}
	if want < 0 {
		a.Files = append(a.Files, txtar.File{Name: "want"})
		want = len(a.Files) - 1
	}
	if got := out.String(); got != string(a.Files[want].Data) {
		if !*update {
			t.Fatalf("the message has changed (-update accepts it):\n%s", cmp.Diff(string(a.Files[want].Data), got))
		}
		a.Files[want].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// storyFlags reads `flags: --rate fast --verbose` from the comment of a story.
func storyFlags(comment string) []Setting {
	var settings []Setting
	for _, line := range strings.Split(comment, "\n") {
		words, ok := strings.CutPrefix(line, "flags:")
		if !ok {
			continue
		}
		fields := strings.Fields(words)
		for i := 0; i < len(fields); i++ {
			set := Setting{Name: strings.TrimPrefix(fields[i], "--"), Flag: fields[i], Value: "true", Bare: true}
			if i+1 < len(fields) && !strings.HasPrefix(fields[i+1], "--") {
				i++
				set.Value, set.Bare = fields[i], false
			}
			settings = append(settings, set)
		}
	}
	return settings
}
