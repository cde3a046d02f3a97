package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestRelease: what is released is there, is all that `make build` makes, and is built by the same flags.
func TestRelease(t *testing.T) {
	var r struct {
		Builds []struct {
			Main, Binary  string
			Tags, Ldflags []string
		}
		Archives []struct{ Files []string }
		Nfpms    []struct{ Contents []struct{ Src string } }
	}
	if err := yaml.Unmarshal([]byte(text(t, "../.goreleaser.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	makefile := text(t, "../Makefile")
	var released []string
	for _, b := range r.Builds {
		if _, err := os.Stat(filepath.Join("..", b.Main, "main.go")); err != nil {
			t.Errorf("%s: %v", b.Binary, err)
		}
		if !slices.Equal(b.Tags, []string{variable(t, makefile, "TAGS")}) || !strings.Contains(strings.Join(b.Ldflags, " "), variable(t, makefile, "LDFLAGS")) {
			t.Errorf("%s is built with tags %v and %v, unlike by make", b.Binary, b.Tags, b.Ldflags)
		}
		released = append(released, b.Main)
	}
	recipe := regexp.MustCompile(`(?s)\nbuild:.*?\n\n`).FindString(makefile)
	made := regexp.MustCompile(`\./(?:broker|loadscript|tools)/\S+`).FindAllString(recipe, -1)
	if len(made) < 6 {
		t.Errorf("make build makes only %v: has the form of the Makefile changed?", made)
	}
	for _, main := range made {
		if !slices.Contains(released, main) {
			t.Errorf("make build makes %s, which is not released", main)
		}
	}
	var packed, packaged []string
	for _, c := range r.Nfpms[0].Contents {
		packaged = append(packaged, c.Src)
	}
	for _, a := range r.Archives {
		packed = append(packed, a.Files...)
	}
	for _, pattern := range slices.Concat(packed, packaged) {
		if there, err := filepath.Glob(filepath.Join("..", pattern)); len(there) == 0 || strings.Contains(pattern, "**") {
			t.Errorf("%s names nothing, or not what it looks like: %v", pattern, err)
		}
	}
	for _, what := range []string{"scripts/*.star", "scripts/lib/*.star", "deploy/*.service", "deploy/*.yml", "deploy/*.yaml", "deploy/*.json", "deploy/grafana/*"} {
		files, err := filepath.Glob(filepath.Join("..", what))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %v", what, err)
		}
		for _, f := range files {
			name := strings.TrimPrefix(f, "../")
			if !matches(packed, name) || strings.HasPrefix(name, "scripts/") && !matches(packaged, name) {
				t.Errorf("%s is not released", name)
			}
		}
	}
}

// matches says whether one of the patterns is of this file.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := filepath.Match(p, name)
		return ok && err == nil
	})
}

// variable gives the value of a variable of the Makefile.
func variable(t *testing.T, makefile, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `\s*:?=\s*(.*)$`).FindStringSubmatch(makefile)
	if m == nil {
		t.Fatalf("the Makefile has no %s", name)
	}
	return strings.TrimSpace(m[1])
}

var (
	target = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	asked  = regexp.MustCompile("(?m)(?:^|[`\\s])make((?: -C \\S+)?(?: [a-z][a-z-]*)+)")
)

// TestMakeTargets: what the workflows, .ci/run and the guides ask of make is there.
func TestMakeTargets(t *testing.T) {
	there := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(text(t, "../Makefile"), -1) {
		there[m[1]] = true
	}
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	guides, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, guides...), "../.ci/run")
	names := 0
	for _, f := range files {
		inCode := text(t, f)
		if filepath.Ext(f) == ".md" {
			inCode = codeOf(inCode)
		}
		for _, m := range asked.FindAllStringSubmatch(inCode, -1) {
			for _, name := range strings.Fields(m[1]) {
				if name == "-C" || strings.Contains(name, "/") {
					continue
				}
				names++
				if !there[name] {
					t.Errorf("%s asks for `make %s`, which is not there", f, name)
				}
			}
		}
	}
	if names < 15 {
		t.Errorf("only %d targets are asked for", names)
	}
}

// codeOf gives what is set as code in Markdown.
func codeOf(markdown string) string {
	var code []string
	for i, part := range strings.Split(markdown, "```") {
		if i%2 == 1 {
			code = append(code, part)
			continue
		}
		code = append(code, regexp.MustCompile("`[^`\n]+`").FindAllString(part, -1)...)
	}
	return strings.Join(code, "\n")
}

// TestWorkflowsGo: every workflow takes its Go version from go.mod.
func TestWorkflowsGo(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../.github/workflows", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		s := text(t, name)
		if strings.Count(s, "actions/setup-go@") != strings.Count(s, "go-version-file: go.mod") {
			t.Errorf("%s: a step sets up another Go than go.mod says", name)
		}
		return nil
	})
	if err != nil || seen < 4 {
		t.Errorf("%d workflows, %v", seen, err)
	}
}
