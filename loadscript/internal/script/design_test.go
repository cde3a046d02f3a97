package script

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// loadFile reads a script of testdata/design.
func loadFile(t *testing.T, name string, settings ...Setting) *plan.Plan {
	t.Helper()
	s, err := Load(context.Background(), Options{Path: filepath.Join("testdata", "design", name), Settings: settings})
	if err != nil {
		var out strings.Builder
		var e Errors
		if errors.As(err, &e) {
			e.Print(&out)
		}
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	return s.Plan
}

// facts is what a test says of a value, as JSON without places.
func facts(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "pos")
			for _, e := range v {
				strip(e)
			}
		case []any:
			for _, e := range v {
				strip(e)
			}
		}
	}
	strip(tree)
	text, _ = json.Marshal(tree) // sorts the names
	return string(text)
}

func wantFacts(t *testing.T, what string, v any, want string) {
	t.Helper()
	if d := cmp.Diff(want, facts(t, v)); d != "" {
		t.Errorf("%s:\n%s", what, d)
	}
}

// TestDesignCharts freezes what `loadscript plan` shows of these scripts; -update rewrites it.
func TestDesignCharts(t *testing.T) {
	files, err := filepath.Glob("testdata/design/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		var got strings.Builder
		if err := loadFile(t, name).Chart(&got, 100); err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(file, ".star") + ".plan.txt"
		want, err := os.ReadFile(golden)
		if err == nil && string(want) == got.String() {
			continue
		}
		if !*update {
			t.Errorf("%s is not the plan of %s (-update rewrites it): %v\n%s", golden, file, err, cmp.Diff(string(want), got.String()))
		} else if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDesignSoak(t *testing.T) {
	s := loadFile(t, "soak.star", Setting{Name: "hours", Value: "12", Flag: "--hours"}).Scenarios[0]
	if s.Duration() != 12*time.Hour || s.Stages[0].Name != "steady" || s.Arrivals != plan.Poisson {
		t.Errorf("stages %+v", s.Stages)
	}
	v := s.Produce[0].Value
	if v.Kind != "json" || v.Sizes == nil || v.Sizes.Max != 1<<20-plan.BatchOverhead || !v.HasFiller() || v.Fields[0].Name != "id" || v.Fields[len(v.Fields)-1].Name != "filler" {
		t.Errorf("value %+v", v)
	}
	if mean := v.MeanSize(); mean < 1100 || mean > 1200 { // 600B * exp(sigma²/2), sigma = ln(8192/600)/2.326
		t.Errorf("mean size %v", mean)
	}
	wantFacts(t, "country", v.Fields[3].Value, `{"compressible":0,"kind":"pick","list":[{"compressible":0,"kind":"const","size":0,"text":"\"de\""},{"compressible":0,"kind":"const","size":0,"text":"\"fr\""},{"compressible":0,"kind":"const","size":0,"text":"\"jp\""}],"size":0}`)
	wantFacts(t, "steady", s.Steady, `{"metric":"produce.rate","over_ns":60000000000,"timeout_ns":600000000000,"within":0.02}`)
	wantFacts(t, "faults", s.Faults, `[{"at_ns":3600000000000,"every_ns":3600000000000,"group":"ledger","kind":"rebalance","leave":1,"rejoin_after_ns":30000000000},`+
		`{"at_ns":21600000000000,"every_ns":21600000000000,"kind":"restart","targets":[{"kind":"rolling"}]}]`)
	wantFacts(t, "trends", s.Trends, `[{"expr":"broker.memory.rss slope \u003c 1MiB/h","metric":"broker.memory.rss","op":"\u003c","per_ns":3600000000000,"value":1048576},`+
		`{"expr":"produce.latency.p99 slope \u003c 2%/h","metric":"produce.latency","op":"\u003c","per_ns":3600000000000,"relative":true,"stat":"p99","value":0.02}]`)
	wantFacts(t, "windows", s.Thresholds[2], `{"expr":"produce.latency.p99 \u003c 40ms","metric":"produce.latency","of_windows":0.999,"op":"\u003c","stat":"p99","value":40000000,"window_ns":60000000000}`)
	wantFacts(t, "lag", s.Thresholds[3], `{"expr":"consume.lag.max{group=ledger} \u003c 50k","group":"ledger","metric":"consume.lag","op":"\u003c","stat":"max","value":50000}`)
	wantFacts(t, "consume", []any{s.Consume[0].Commit, s.Consume[1].Rate}, `[{"every_ns":1000000000,"kind":"every"},1000]`)
}

func TestDesignFailover(t *testing.T) {
	s := loadFile(t, "failover.star").Scenarios[0]
	wantFacts(t, "cluster and transactions", []any{s.Cluster, s.Produce[0].Transaction}, `[{"brokers":3},{"abort":0.05,"records":50}]`)
	wantFacts(t, "faults", s.Faults, `[{"at_ns":30000000000,"kind":"kill","restart_after_ns":20000000000,"targets":[{"kind":"leader","topic":"payments"}]},`+
		`{"at_ns":90000000000,"duration_ns":15000000000,"kind":"pause","targets":[{"kind":"leader","topic":"payments"}]},`+
		`{"at_ns":140000000000,"duration_ns":20000000000,"kind":"partition","symmetric":true,"targets":[{"kind":"controller"}]},`+
		`{"at_ns":190000000000,"delay_ns":80000000,"duration_ns":30000000000,"jitter_ns":20000000,"kind":"latency","targets":[{"kind":"brokers"}]},`+
		`{"at_ns":240000000000,"delay_ns":200000000,"duration_ns":30000000000,"kind":"slow_disk","targets":[{"kind":"follower","partition":1,"topic":"payments"}]}]`)
	if !s.Thresholds[2].OutsideFaults {
		t.Error("outside_faults is lost")
	}
	auto := load(t, `scenario("a", produce("p", transaction = txn(records = 5)), consume("p", group = "g", isolation = "read_committed"), rate = 1, duration = "5s")`).Plan.Scenarios[0]
	wantFacts(t, "verify auto", auto.Verify, `["no_loss","no_duplicates","in_order","read_committed","no_corruption"]`)
}

// A plan for a cluster that cannot do what it asks is refused at its line; without a cluster in mind it is not judged.
func TestAbility(t *testing.T) {
	own := &plan.Ability{Name: "one StreamBus broker of its own", Brokers: 1, Starts: 1, Faults: []string{"kill", "pause", "restart"}, Roles: []string{"leader", "random"}, Instead: "loadscript run --cluster kafka:3"}
	_, err := Load(context.Background(), Options{Path: "testdata/design/failover.star", On: own})
	var mistakes Errors
	if !errors.As(err, &mistakes) || len(mistakes) != 4 || mistakes[0].Pos.Line != 11 || !strings.Contains(mistakes[0].Message, "does not replicate yet") || mistakes[0].Example != own.Instead {
		t.Fatalf("got %v", err)
	}
	for i, want := range []string{"fault.partition cannot be applied", "fault.latency cannot be applied", "fault.slow_disk cannot be applied"} {
		if !strings.Contains(mistakes[i+1].Message, want) {
			t.Errorf("%s instead of %s", mistakes[i+1].Message, want)
		}
	}
}

func TestDesignSpikeAndSweep(t *testing.T) {
	s := loadFile(t, "spike.star").Scenarios[0]
	if s.Faults[0].At != 37*time.Second {
		t.Errorf("hold-3+5s is %s", s.Faults[0].At)
	}
	p := loadFile(t, "sweep.star")
	if len(p.Scenarios) != 4 {
		t.Fatalf("%d scenarios", len(p.Scenarios))
	}
	wantFacts(t, "executor", p.Scenarios[3].Executor, `{"hold_ns":30000000000,"kind":"find_max_rate","slo":[{"expr":"produce.latency.p99 \u003c 20ms","metric":"produce.latency","op":"\u003c","stat":"p99","value":20000000}],`+
		`"start_rate":10000,"tolerance":0.05}`)
}

func TestDesignEverything(t *testing.T) {
	p := loadFile(t, "everything.star")
	s := p.Scenarios[0]
	var names []string
	for _, st := range s.Stages {
		names = append(names, st.Name)
	}
	if got, want := strings.Join(names, " "), "before up peak down after wave-6 step-1 step-2 step-3"; got != want {
		t.Errorf("stages %s, want %s", got, want)
	}
	wantFacts(t, "wave", s.Stages[5], `{"amplitude":1000,"duration_ns":25000000000,"from":2000,"kind":"wave","name":"wave-6","period_ns":10000000000,"to":2000}`)
	if at := []time.Duration{s.Faults[0].At, s.Faults[1].At, s.Faults[2].At, s.Faults[4].At}; at[0] != 32*time.Second || at[1] != 37*time.Second || at[2] != 30*time.Second || at[3] != 53*time.Second {
		t.Errorf("faults at %v", at)
	}
	if f := s.Faults[2]; len(f.Choices) != 2 || f.Seed != 7 || f.Choices[0].RestartAfter != 2*time.Second || s.Faults[3].Skew != -5*time.Second || s.Faults[0].Targets[0].Flow != "consume:lines" {
		t.Errorf("faults %+v", s.Faults)
	}
	row := s.Produce[0]
	if row.Value.Text != "{{0}},{{1}},{{2}}" || row.Value.List[1].List[0].Text != `"de"` || row.Value.List[2].Kind != "now" {
		t.Errorf("template %+v", row.Value)
	}
	wantFacts(t, "headers", row.Headers, `[{"key":"source","value":{"compressible":0,"kind":"const","size":0,"text":"\"load\""}},{"key":"trace","value":{"compressible":0,"kind":"uuid","size":0}},{"key":"n","value":{"compressible":0,"kind":"const","size":0,"text":"5"}}]`)
	pools := [][]string{{"ann", "bob"}, {`{"a":1}`, `{"a":22}`}, {`{"even":true,"id":0}`, `{"even":false,"id":1}`, `{"even":true,"id":2}`, `{"even":false,"id":3}`}}
	for i, pool := range [][][]byte{row.Key.Pool, s.Produce[1].Value.Pool, s.Produce[2].Value.Pool} {
		var got []string
		for _, b := range pool {
			got = append(got, string(b))
		}
		if d := cmp.Diff(pools[i], got); d != "" {
			t.Errorf("pool %d: %s", i, d)
		}
	}
	wantFacts(t, "mix", s.Produce[3].Value.Sizes, `{"kind":"mix","values":[1024,65536],"weights":[9,1]}`)
	for i, want := range []string{`{"clients":50,"duration_ns":60000000000,"kind":"clients","think_time_ns":10000000}`, `{"duration_ns":60000000000,"in_flight":1000,"kind":"full_speed"}`, `{"kind":"records","records":1000000}`} {
		wantFacts(t, "executor", p.Scenarios[i+1].Executor, want)
	}
	stress := p.Scenarios[4]
	if got := stress.Stages[2].To; got != 20_000 || stress.Stages[3].To != stress.Stages[0].To { // 3MB/s of 150B
		t.Errorf("stress %+v", stress.Stages)
	}
}
