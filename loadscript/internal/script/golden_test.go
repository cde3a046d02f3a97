package script

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGoldenPlans freezes the plans of scripts/: scripts/testdata/spike.plan.json is what
//
//	loadscript plan --json scripts/spike.star
//
// prints in the top folder. -update rewrites them.
func TestGoldenPlans(t *testing.T) {
	t.Chdir("../../..")
	files, err := filepath.Glob("scripts/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, TestSuffix) {
			continue
		}
		s, err := Load(context.Background(), Options{Path: filepath.ToSlash(file)})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if s.Doc == "" {
			t.Errorf("%s does not say what it shows", file)
		}
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s.Plan); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("scripts", "testdata", strings.TrimSuffix(filepath.Base(file), ".star")+".plan.json")
		want, err := os.ReadFile(golden)
		if err == nil && bytes.Equal(want, got.Bytes()) {
			continue
		}
		if !*update {
			t.Errorf("%s is not the plan of %s (-update rewrites it): %v\n%s", golden, file, err, cmp.Diff(string(want), got.String()))
			continue
		}
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
