package stat

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire"
)

var rewrite = flag.Bool("rewrite", false, "write docs/METRICS.md anew")

func typeOf(m wire.Message) reflect.Type { return reflect.TypeOf(m).Elem() }

func TestDocs(t *testing.T) {
	const name = "../../../docs/METRICS.md"
	var b bytes.Buffer
	if err := Docs(&b); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the table says: go test ./broker/internal/stat -run TestDocs -rewrite", name)
	}
}

// TestNamesFollowTheRules: base units, counters end in _total, and every metric is explained.
func TestNamesFollowTheRules(t *testing.T) {
	good := regexp.MustCompile(`^streambus_[a-z0-9_]+$`)
	for _, d := range Own {
		if !good.MatchString(d.Name) || (d.Kind == Counter) != strings.HasSuffix(d.Name, "_total") {
			t.Errorf("%s is a %s", d.Name, d.Kind)
		}
		if regexp.MustCompile(`(milli|micro|_ms\b|_kb|_mb)`).MatchString(d.Name) {
			t.Errorf("%s is not in base units", d.Name)
		}
	}
	for name, d := range table {
		if len(d.Help) < 8 || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: %q explains little", name, d.Help)
		}
	}
}
