package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

func TestMain(m *testing.M) {
	BecomeReader()
	goleak.VerifyTestMain(m)
}

// load reads a script from text, in an empty folder; it must have no mistakes.
func load(t *testing.T, text string, settings ...Setting) *Script {
	t.Helper()
	s, err := Load(context.Background(), Options{Path: filepath.Join(t.TempDir(), "x.star"), Source: []byte(text), Settings: settings})
	if err != nil {
		var out strings.Builder
		var e Errors
		if errors.As(err, &e) {
			e.Print(&out)
		}
		t.Fatalf("%v\n%s", err, out.String())
	}
	return s
}

func TestDefaults(t *testing.T) {
	s := load(t, `scenario("smoke", produce("orders"), consume("orders"), rate = "1k/s", duration = "30s")`).Plan.Scenarios[0]
	want := plan.Scenario{
		Name:     "smoke",
		Produce:  []plan.Produce{{Producers: 1, Value: plan.Value{Kind: "bytes", Size: 1024}, Key: plan.Key{Kind: "none"}, Acks: "all", Idempotent: true, Compression: "none", BatchBytes: 1 << 20, Topic: plan.Topic{Name: "orders"}}},
		Consume:  []plan.Consume{{Topic: plan.Topic{Name: "orders"}, Members: 1, Isolation: "read_uncommitted", Start: "earliest"}},
		Stages:   []plan.Stage{{Kind: "hold", Name: "hold-1", Duration: 30 * time.Second, From: 1000, To: 1000}},
		Arrivals: plan.Uniform, Drain: time.Minute, Seed: 1,
		Verify: []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption},
	}
	noPos := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Pos" }, cmp.Ignore())
	if d := cmp.Diff(want, s, noPos); d != "" {
		t.Fatal(d)
	}
	if s.Pos.Line != 1 || s.Pos.Column != 1 || s.Produce[0].Pos.Column != 19 || s.Produce[0].Topic.Pos.Column != 27 {
		t.Errorf("positions %+v %+v %+v", s.Pos, s.Produce[0].Pos, s.Produce[0].Topic.Pos)
	}
}

func TestEverythingSet(t *testing.T) {
	s := load(t, `
orders = topic("orders", partitions = 12, replication = 3, min_insync = 2, config = {"retention.ms": 3600000, "cleanup.policy": "delete", "x.y": True, "z": dur("5s")}, keep = True)
scenario(
    "all",
    produce(orders, producers = 4, value = gen.bytes("2KB", compressible = "50%"), key = keys.hot(1000, hot = "1%", share = 0.8),
            acks = "1", idempotent = False, compression = "zstd", linger = "5ms", batch = "64KiB"),
    consume("orders", group = "g", members = 3, think_time = "200us", isolation = "read_committed", start = "latest"),
    stages = [ramp("10s", "1k/s"), hold("1m", 1000, name = "steady"), ramp("10s", 0)],
    arrivals = "poisson", warmup = "10s", verify = [no_loss(), in_order()], seed = 7, max_in_flight = "10k", drain = dur("30s") * 2,
    thresholds = ["errors.rate < 1%", threshold("produce.latency.p99.9 < 1s", during = "steady")],
)`).Plan.Scenarios[0]
	p := s.Produce[0]
	wantTopic := plan.Topic{Name: "orders", Partitions: 12, Replication: 3, MinInsync: 2, Keep: true,
		Config: []plan.Config{{Name: "retention.ms", Value: "3600000"}, {Name: "cleanup.policy", Value: "delete"}, {Name: "x.y", Value: "true"}, {Name: "z", Value: "5000"}}}
	wantTopic.Pos = p.Topic.Pos
	if d := cmp.Diff(wantTopic, p.Topic); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(p.Topic, s.Consume[0].Topic); d != "" {
		t.Errorf("a topic named by a string is not the one described:\n%s", d)
	}
	if p.Producers != 4 || !reflect.DeepEqual(p.Value, plan.Value{Kind: "bytes", Size: 2000, Compressible: 0.5}) || p.Acks != "1" || p.Idempotent ||
		p.Compression != "zstd" || p.Linger != 5*time.Millisecond || p.BatchBytes != 64<<10 || !reflect.DeepEqual(p.Key, plan.Key{Kind: "hot", N: 1000, Hot: 0.01, Share: 0.8}) {
		t.Errorf("produce %+v", p)
	}
	c := s.Consume[0]
	if c.Group != "g" || c.Members != 3 || c.ThinkTime != 200*time.Microsecond || c.Isolation != "read_committed" || c.Start != "latest" {
		t.Errorf("consume %+v", c)
	}
	var stages []string
	for _, st := range s.Stages {
		stages = append(stages, fmt.Sprintf("%s %s %s %v->%v", st.Kind, st.Name, st.Duration, st.From, st.To))
	}
	if got, want := strings.Join(stages, "; "), "ramp ramp-1 10s 0->1000; hold steady 1m0s 1000->1000; ramp ramp-3 10s 1000->0"; got != want {
		t.Errorf("stages %s, want %s", got, want)
	}
	if s.Arrivals != plan.Poisson || s.Warmup != 10*time.Second || s.Seed != 7 || s.MaxInFlight != 10_000 || s.Drain != time.Minute {
		t.Errorf("scenario %+v", s)
	}
	if len(s.Thresholds) != 2 || s.Thresholds[1].During != "steady" || s.Thresholds[1].Value != 1e9 || s.Thresholds[0].Pos.Line != 10 {
		t.Errorf("thresholds %+v", s.Thresholds)
	}
}

func TestVerifyAuto(t *testing.T) {
	for _, tc := range []struct{ flows, want string }{
		{`produce("x")`, "no_loss no_duplicates in_order no_corruption"},
		{`produce("x", idempotent = False)`, "no_loss no_corruption"},
		{`produce("x", acks = "1")`, "no_corruption"},
		{`produce("x"), produce("y", acks = "1")`, "no_corruption"},
		{`produce("x"), produce("y", idempotent = False)`, "no_loss no_corruption"},
	} {
		s := load(t, fmt.Sprintf(`scenario("a", %s, rate = 1, duration = "5s")`, tc.flows))
		var got []string
		for _, v := range s.Plan.Scenarios[0].Verify {
			got = append(got, string(v))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s, want %s", tc.flows, got, tc.want)
		}
	}
}

// A rate in bytes is divided by the mean size of the scenario's values.
func TestRateInBytes(t *testing.T) {
	s := load(t, `scenario("a", produce("x", value = gen.bytes("1KiB")), produce("y", value = gen.bytes("3KiB")), rate = "20MiB/s", duration = "5s", thresholds = ["produce.rate > 10MiB/s"])`).Plan.Scenarios[0]
	if got := s.Stages[0].To; got != 10240 {
		t.Errorf("rate %v, want 10240", got)
	}
	if got := s.Thresholds[0].Value; got != 5120 {
		t.Errorf("threshold %v, want 5120", got)
	}
}

func TestSweep(t *testing.T) {
	s := load(t, `
for acks in ["1", "all"]:
    for linger in ["0ms", "5ms"]:
        scenario("acks=%s linger=%s" % (acks, linger), produce("cap", acks = acks, linger = linger), rate = 5, duration = "1s")
`)
	if got := len(s.Plan.Scenarios); got != 4 {
		t.Errorf("%d scenarios, want 4", got)
	}
}

func TestDurArithmetic(t *testing.T) {
	for _, tc := range []struct{ expr, want string }{
		{`dur("5m") - dur("30s")`, "4m30s"},
		{`dur("1s") + dur("1ms")`, "1.001s"},
		{`2 * dur("2s")`, "4s"},
		{`dur("2s") * 1.5`, "3s"},
		{`dur("3s") / 2`, "1.5s"},
		{`dur("3s") / dur("2s")`, "1.5"},
		{`dur("3s") // dur("2s")`, "1"},
		{`dur("3s") % dur("2s")`, "1s"},
		{`-dur("3s")`, "-3s"},
		{`-dur("3s") // dur("2s")`, "-2"},
		{`-dur("3s") % dur("2s")`, "1s"},
		{`min(dur("3s"), dur("2s"))`, "2s"},
		{`sorted([dur("3s"), dur("2s")])`, "[2s, 3s]"},
		{`dur("3s") == dur("3000ms")`, "True"},
		{`dur("3s") > dur("2s") and dur("3s") >= dur("3s") and dur("1s") < dur("2s") and dur("1s") <= dur("2s") and dur("1s") != dur("2s")`, "True"},
		{`"%s" % dur("90s")`, "1m30s"},
		{`dur(str(dur("90s")))`, "1m30s"},
		{`dur(dur("2d"))`, "2d"},
		{`dur("90s").seconds`, "90.0"},
		{`bool(dur("0s"))`, "False"},
		{`{dur("1s"): 1}[dur("1000ms")]`, "1"},
		{`type(dur("1s"))`, "dur"},
	} {
		var out strings.Builder
		_, err := Load(context.Background(), Options{Path: "x.star", Source: []byte("print(" + tc.expr + ")\n" + smokeExample), Print: &out})
		if got := strings.TrimSpace(strings.TrimPrefix(out.String(), "x.star:1: ")); err != nil || got != tc.want {
			t.Errorf("%s = %s, %v; want %s", tc.expr, got, err, tc.want)
		}
	}
	for _, expr := range []string{`dur("1s") / 0`, `dur("1s") // dur("0s")`, `dur("1s") % dur("0s")`, `dur("1s") + 1`, `1 + dur("1s")`, `dur("1s") * "x"`, `dur("1s") * dur("1s")`,
		`dur("10000d") * 1000000`, `~dur("1s")`, `dur("50000d") + dur("50000d") + dur("50000d")`, `hold(dur("1s") - dur("2s"), 1)`} {
		if _, err := Load(context.Background(), Options{Path: "x.star", Source: []byte("print(" + expr + ")\n" + smokeExample)}); err == nil {
			t.Errorf("%s: no error", expr)
		}
	}
}

// What a built-in returns prints as the code that makes it.
func TestValuesPrintAsCode(t *testing.T) {
	for _, code := range []string{
		`topic("orders", partitions = 12)`,
		`hold("30s", "2k/s", name = "x")`,
		`ramp("2s", 5)`,
		`gen.bytes("1KiB", compressible = 0.5)`,
		`keys.zipf(100, s = 0.5)`,
		`keys.none()`,
		`produce(topic("orders"), key = keys.uniform(5))`,
		`consume("orders", group = "g")`,
		`threshold("late < 1", during = "peak")`,
		`no_loss()`,
	} {
		var out strings.Builder
		text := fmt.Sprintf("x = %s\nprint(x)\nprint(type(x))\n%s", code, smokeExample)
		_, err := Load(context.Background(), Options{Path: "x.star", Source: []byte(text), Print: &out})
		got, _, _ := strings.Cut(strings.TrimPrefix(out.String(), "x.star:2: "), "\n")
		if err != nil || got != code {
			t.Errorf("%s prints as %s, %v", code, got, err)
		}
	}
}

func TestParams(t *testing.T) {
	const text = `
"""Title here.

More."""
rate = param("rate", "1k/s", help = "records per second")
spike = param("spike_rate", 10.5)
n = param("n", 3)
on = param("on", False)
length = param("length", dur("30s"))
brokers = param("brokers", "")
scenario("a", produce("x", producers = n, idempotent = on), rate = rate, duration = length)
`
	s := load(t, text,
		Setting{Name: "rate", Value: "5k/s", Flag: "--rate"},
		Setting{Name: "rate", Value: "6k/s", Flag: "--rate"}, // the last one wins
		Setting{Name: "spike-rate", Value: "2e3", Flag: "--spike-rate"},
		Setting{Name: "n", Value: "1k", Flag: "--n"},
		Setting{Name: "on", Value: "true", Bare: true, Flag: "--on"},
		Setting{Name: "length", Value: "1m0s", Flag: "--length"},
		Setting{Name: "brokers", Value: "a:1, b:2,", Flag: "--brokers"},
		Setting{Name: "other", Value: "1", Flag: "--other"},
	)
	want := []plan.Param{
		{Name: "rate", Default: "1k/s", Value: "6k/s", Help: "records per second", Set: true},
		{Name: "spike_rate", Default: "10.5", Value: "2e3", Set: true},
		{Name: "n", Default: "3", Value: "1000", Set: true},
		{Name: "on", Default: "false", Value: "true", Set: true},
		{Name: "length", Default: "30s", Value: "1m", Set: true},
		{Name: "brokers", Default: "", Value: "a:1, b:2,", Set: true},
	}
	if d := cmp.Diff(want, s.Params); d != "" {
		t.Error(d)
	}
	if len(s.Unused) != 1 || s.Unused[0].Name != "other" {
		t.Errorf("unused %+v", s.Unused)
	}
	if got := s.Brokers(); len(got) != 2 || got[0] != "a:1" || got[1] != "b:2" {
		t.Errorf("brokers %q", got)
	}
	if s.Plan.Title != "Title here." {
		t.Errorf("title %q", s.Plan.Title)
	}
	if sc := s.Plan.Scenarios[0]; sc.Duration() != time.Minute || sc.PeakRate() != 6000 || sc.Produce[0].Producers != 1000 {
		t.Errorf("scenario %+v", sc)
	}
}

// writeFiles makes a folder with a script and modules, and goes there.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A module runs once however often it is loaded; its functions can declare when the script calls them.
func TestModules(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"s/x.star":     "load(\"//lib/a.star\", \"flow\")\nload(\":lib/b.star\", c = \"b\", d = \"declare\")\nprint(c)\nd(flow(\"x\"))\n",
		"s/lib/a.star": "load(\":b.star\", \"b\")\nprint(\"a runs\")\ndef flow(name): return produce(name)\n",
		"s/lib/b.star": "print(\"b runs\")\nb = 5\ndef declare(f): scenario(\"s\", f, rate = param(\"rate\", 5), duration = \"1s\")\n",
	})
	var out strings.Builder
	s, err := Load(context.Background(), Options{Path: filepath.Join(dir, "s", "x.star"), Print: &out})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), filepath.Join(dir, "s")+string(filepath.Separator), "")
	if want := "lib/b.star:1: b runs\nlib/a.star:2: a runs\nx.star:3: 5\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if len(s.Plan.Scenarios) != 1 || len(s.Params) != 1 {
		t.Errorf("plan %+v", s.Plan)
	}
}

// Modules cannot be read from outside the script's folder, by whatever path.
func TestModulesStayInside(t *testing.T) {
	dir := writeFiles(t, map[string]string{"secret.star": "key = 5\n", "s/x.star": "", "s/big.star": strings.Repeat("# filler\n", maxSource/9+1)})
	if err := os.Symlink(filepath.Join(dir, "secret.star"), filepath.Join(dir, "s", "link.star")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "s", "up")); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "s", "folder.star"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{"//link.star", ":link.star", "//up/secret.star", "//../secret.star", ":../secret.star", "//a/../../secret.star", "/etc/x.star",
		"//" + filepath.Join(dir, "secret.star"), "//big.star", "//folder.star", "@std/x.star", "file:///x.star", "//", ":", "//.star\x00x.star", "//x.star", "//./x.star", "//..\\secret.star"} {
		text := fmt.Sprintf("load(%q, \"key\")\n%s", label, smokeExample)
		if _, err := Load(context.Background(), Options{Path: filepath.Join(dir, "s", "x.star"), Source: []byte(text)}); err == nil {
			t.Errorf("load(%q) was let through", label)
		} else if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load(%q): the error is not one of the script: %v", label, err)
		}
	}
}

// Each module has steps of its own, and one that never ends is stopped.
func TestLimits(t *testing.T) {
	dir := writeFiles(t, map[string]string{"m.star": "def f():\n    for i in range(1 << 60): pass\nf()\na = 1\n"})
	_, err := Load(context.Background(), Options{Path: filepath.Join(dir, "x.star"), Source: []byte("load(\"//m.star\", \"a\")"), MaxSteps: 1000})
	if err == nil || !strings.Contains(err.Error(), "did not end within 1,000 steps") {
		t.Errorf("steps of a module: %v", err)
	}
	_, err = Load(context.Background(), Options{Path: "x.star", Source: []byte("for i in range(1 << 60): pass"), MaxSteps: 1 << 60, Timeout: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "ran for too long") {
		t.Errorf("wall clock: %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	if _, err = Load(ctx, Options{Path: "x.star", Source: []byte("for i in range(1 << 60): pass"), MaxSteps: 1 << 60}); !errors.Is(err, gone) {
		t.Errorf("context: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(context.Background(), Options{Path: filepath.Join(dir, "x.star")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	var pe *fs.PathError
	if _, err := Load(context.Background(), Options{Path: dir}); !errors.As(err, &pe) {
		t.Errorf("folder: %v", err)
	}
	if _, err := Load(context.Background(), Options{Path: "x.star", Source: make([]byte, maxSource+1)}); !errors.As(err, &pe) {
		t.Errorf("too large: %v", err)
	}
}

// The tables are the documentation: every entry says enough, defaults unpack, examples are right.
func TestTables(t *testing.T) {
	for _, b := range builtins {
		if b.Doc == "" || b.Example == "" || b.Since == "" || b.build == nil {
			t.Errorf("%s: the table is incomplete", b.Name)
		}
		if b.Max > 2 {
			t.Errorf("%s takes %d arguments by position: at most 2", b.Name, b.Max)
		}
		if !b.Effect && b.Returns == "" {
			t.Errorf("%s does not say what it returns", b.Name)
		}
		for _, p := range b.Params {
			if p.Doc == "" || p.example() == "" {
				t.Errorf("%s: %s is not documented", b.Name, p.Name)
			}
			if p.Default != nil {
				c := &conv{elem: -1}
				if p.Type.unpack(c, p.Default); len(c.problems) > 0 {
					t.Errorf("%s: the default of %s is wrong: %s", b.Name, p.Name, c.problems[0].msg)
				}
			}
		}
		if b.Name == "scenario" || b.Name == "fail" || strings.HasPrefix(b.Example, "verify") {
			continue
		}
		if _, err := Load(context.Background(), Options{Path: "testdata/design/x.star", Source: []byte(b.Example + "\n" + smokeExample)}); err != nil {
			t.Errorf("the example of %s is wrong: %v", b.Name, err)
		}
	}
	for _, name := range append(DocNames(), "") {
		var out strings.Builder
		if !Doc(&out, name) || out.Len() == 0 {
			t.Errorf("no documentation of %q", name)
		}
	}
	if Doc(&strings.Builder{}, "nonsense") {
		t.Error("there is documentation of nonsense")
	}
}

// Mistakes are independent of how often a script is read, and of map order (S2).
func TestDeterministic(t *testing.T) {
	text := []byte("a = topic(\"t\", x = 1, y = 2)\nb = produce(a, zz = 1, acks = 5)\nscenario(\"s\", b, rate = 1)\nscenario(\"s\", produce(\"q\"), rate = \"x\", duration = \"y\")\n")
	first := ""
	for i := range 20 {
		_, err := Load(context.Background(), Options{Path: "x.star", Source: text})
		var out strings.Builder
		err.(Errors).Print(&out)
		if i == 0 {
			first = out.String()
		} else if out.String() != first {
			t.Fatalf("differs:\n%s", cmp.Diff(first, out.String()))
		}
	}
}

func FuzzScript(f *testing.F) {
	for _, glob := range []string{"../../../scripts/*.star", "testdata/errors/*.txtar"} {
		files, _ := filepath.Glob(glob)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			s := string(text)
			if _, after, ok := strings.Cut(s, "-- x.star --\n"); ok {
				s, _, _ = strings.Cut(after, "-- want --\n")
			}
			f.Add(s)
		}
	}
	f.Add("\xff\xfe")
	f.Add("x = [\"\"\"")
	f.Add("scenario(*[1], **{\"name\": 5})")
	f.Add("hold(name = hold, *(1, 2))(3)(4)")
	f.Add("load(\"//\", \"a\")")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "<<") || strings.Contains(text, "*") && len(text) > 200 {
			t.Skip("steps do not bound memory")
		}
		s, err := Load(context.Background(), Options{Path: "fuzz-no-such-folder/x.star", Source: []byte(text), MaxSteps: 20_000, Timeout: 5 * time.Second})
		var e Errors
		switch {
		case err == nil:
			if s.Plan == nil || len(s.Plan.Check()) > 0 {
				t.Errorf("a plan with problems was let through: %+v", s.Plan)
			}
		case errors.As(err, &e):
			var out strings.Builder
			e.Print(&out)
			if out.Len() == 0 {
				t.Error("errors print nothing")
			}
		case strings.Contains(err.Error(), "without a message"):
			t.Errorf("S4 does not hold: %v", err)
		}
	})
}
