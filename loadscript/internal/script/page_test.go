package script

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/LOADSCRIPT.md is what the tables say; -update rewrites it, as `make docs` does.
func TestPage(t *testing.T) {
	const name = "../../../docs/LOADSCRIPT.md"
	var got bytes.Buffer
	Page(&got)
	want, err := os.ReadFile(name)
	if err == nil && bytes.Equal(want, got.Bytes()) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the tables say (`make docs` rewrites it): %v\n%s", name, err, cmp.Diff(string(want), got.String()))
	}
	if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every built-in stands on the page once, and the script that opens it is right.
func TestPageIsWhole(t *testing.T) {
	load(t, pageScript)
	var page strings.Builder
	Page(&page)
	for _, b := range builtins {
		if n := strings.Count(page.String(), "### `"+b.Name+"`\n"); n != 1 {
			t.Errorf("%s stands on the page %d times", b.Name, n)
		}
		if !strings.Contains(page.String(), "](#"+anchor(b.Name)+")") {
			t.Errorf("nothing leads to %s", b.Name)
		}
	}
}
