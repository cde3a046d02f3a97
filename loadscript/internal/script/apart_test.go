package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// What another process read is what this one reads: plan, pools, parameters, what was printed, and every mistake.
func TestReadIsLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/design/*.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []Options{
		{Path: "x.star", Source: []byte("print('hello')\n" + smokeExample), Settings: []Setting{{Name: "nobody", Value: "5", Flag: "--nobody"}}},
		{Path: "x.star", Source: []byte("hold(5)\nx = y\n")},
		{Path: "x.star", Source: []byte{}},
		{Path: "x.star", Source: []byte(`scenario("a", produce("x", value = gen.json({})), rate = 1, duration = "5s", verify = [])`)},
		{Path: "testdata/nothing.star"},
		{Path: "testdata"},
	} {
		compareReads(t, opts)
	}
	for _, file := range files {
		compareReads(t, Options{Path: file})
	}
}

func compareReads(t *testing.T, opts Options) {
	t.Helper()
	var printed [2]strings.Builder
	var seen [2]string
	for i, read := range []func(context.Context, Options) (*Script, error){Load, Read} {
		opts.Print = &printed[i]
		s, err := read(context.Background(), opts)
		text, _ := json.MarshalIndent(s, "", " ")
		seen[i] = string(text)
		if s.Plan != nil {
			for _, p := range pools(s.Plan) {
				seen[i] += fmt.Sprintf("pool %q\n", *p)
			}
		}
		seen[i] += fmt.Sprintf("unused %+v\nprinted %q\nerror %T %v missing %v\n", s.Unused, printed[i].String(), err, err, errors.Is(err, fs.ErrNotExist))
		var mistakes Errors
		if errors.As(err, &mistakes) {
			var out strings.Builder
			mistakes.Print(&out)
			seen[i] += out.String()
		}
	}
	if d := cmp.Diff(seen[0], seen[1]); d != "" {
		t.Errorf("%s: -here +apart\n%s", opts.Path, d)
	}
}

// Whatever a script does to its process, the message names its line.
func TestReadBounds(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a string", "# one\nx = 'a' * (1 << 29)\ny = x + 'b'\nz = [x + str(i) for i in range(10)]", "needs more than 192MiB of memory"},
		{"too long a string", "x = 'a' * (1 << 40)", "would be far too long"},
		{"a list", "x = [0]\nfor i in range(60):\n    x = x + x", "needs more than 192MiB of memory"},
		{"a comprehension", "x = [[i, j] for i in range(1 << 30) for j in range(1 << 30)]", "memory|did not end within|ran for too long"},
		{"a built-in that never ends", "\nx = max(range(1 << 60))", "ran for too long"},
		{"nested values", "x = []\nfor i in range(2000000):\n    x = [x]\ny = str(x)", "nested too deeply|memory|ran for too long"},
		{"nested brackets", "x = " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested too deeply"},
		{"deep calls", "x = " + strings.Repeat("(", 200000), "nested too deeply"},
		{"a wide pool", "x = gen.custom(lambda: 'a' * (1 << 20), pool = 1000)", "64MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if raceDetector && strings.Contains(tc.want, "memory") {
				t.Skip("the race detector's shadow memory is larger than any limit")
			}
			opts := Options{Path: "x.star", Source: []byte(tc.text + "\n" + smokeExample), MaxMemory: 192 << 20, MaxSteps: 3_000_000, Timeout: time.Minute}
			if strings.Contains(tc.want, "ran for too long") {
				opts.Timeout = time.Millisecond
			}
			_, err := Read(context.Background(), opts)
			var mistakes Errors
			if !errors.As(err, &mistakes) {
				t.Fatalf("%T %v", err, err)
			}
			ok := false
			for _, want := range strings.Split(tc.want, "|") {
				ok = ok || strings.Contains(mistakes[0].Message, want)
			}
			if !ok || mistakes[0].Pos.File != "x.star" || mistakes[0].Source == "" {
				t.Errorf("%+v, want %s", mistakes[0], tc.want)
			}
		})
	}
}

func TestReadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := Read(ctx, Options{Path: "x.star", Source: []byte(smokeExample)}); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

// A reader writes no files and sees no environment, and what it prints reaches even a file.
func TestReadPrintsToFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Read(context.Background(), Options{Path: "x.star", Source: []byte("print('hello')\n" + smokeExample), Print: f}); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(f.Name()); string(text) != "x.star:1: hello\n" {
		t.Errorf("%q", text)
	}
}

// Every pool of a plan is handed over, wherever it stands.
func TestPoolsAreAllFound(t *testing.T) {
	pool := plan.Value{Kind: "pool", Pool: [][]byte{[]byte("x")}}
	p := &plan.Plan{Scenarios: []plan.Scenario{{Produce: []plan.Produce{{
		Value:   plan.Value{Kind: "json", Fields: []plan.Field{{Name: "a", Value: plan.Value{Kind: "pick", List: []plan.Value{pool}}}}},
		Headers: []plan.Header{{Key: "h", Value: pool}},
		Key:     plan.Key{Kind: "file", Pool: [][]byte{[]byte("y")}},
	}}}}}
	if got := len(pools(p)); got != 3 {
		t.Errorf("%d pools, want 3", got)
	}
}
