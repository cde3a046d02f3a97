package layers

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed policy.txt
var policyText string

func policy(t *testing.T) *Policy {
	t.Helper()
	p, err := ParsePolicy(policyText)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestImportsFollowThePolicy(t *testing.T) {
	violations, files, err := policy(t).Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
	if files < 100 {
		t.Fatalf("only %d files were looked at: is this the project's root?", files)
	}
}

// TestForbiddenImportsAreFound plants one of each kind: a policy test that finds nothing must be able to.
func TestForbiddenImportsAreFound(t *testing.T) {
	for file, c := range map[string]struct{ imports, why string }{
		"engine/x.go":                          {Module + "/broker", "engine may import"},
		"engine/disk/x.go":                     {Module + "/engine/batch", "engine/disk may import"},
		"wire/x_test.go":                       {Module + "/engine/disk", "wire may import"},
		"wire/x.go":                            {Module + "/engine/batch", "wire may import"}, // its tests may
		"loadscript/internal/drive/x.go":       {Module + "/broker", "loadscript may import"},
		"loadscript/internal/drive/y.go":       {Module + "/engine", "loadscript may import"},
		"broker/x.go":                          {Module + "/loadscript/internal/plan", "broker may import"},
		"newhouse/x.go":                        {Module + "/engine", "no line"},
		"broker/internal/api/x.go":             {"github.com/twmb/franz-go/pkg/kmsg", "has its room"},
		"broker/internal/api/y.go":             {"github.com/twmb/franz-go/pkg/kgo", "has its room"},
		"engine/internal/commit/x.go":          {"github.com/pawelgaczynski/giouring", "has its room"},
		"loadscript/internal/plan/starlark.go": {"go.starlark.net/starlark", "has its room"},
	} {
		root := t.TempDir()
		name := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("package x\n\nimport _ \""+c.imports+"\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got, _, err := policy(t).Check(root)
		if err != nil || len(got) != 1 || !strings.Contains(got[0], c.why) || !strings.Contains(got[0], file+":3:") {
			t.Errorf("%s importing %s: %v %v", file, c.imports, got, err)
		}
	}
}

func TestPolicyRefusesNonsense(t *testing.T) {
	for _, bad := range []string{"engine", "-> wire", "only x", "wire ->\nwire -> engine"} {
		if _, err := ParsePolicy(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
