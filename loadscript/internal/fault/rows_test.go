package fault

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

const s = time.Second

// spans are the begins and ends of a row.
func spans(row []Beat) (list [][2]time.Duration) {
	for _, b := range row {
		list = append(list, [2]time.Duration{b.At, b.Until})
	}
	return list
}

func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		fault plan.Fault
		want  [][2]time.Duration
	}{
		"once":                      {plan.Fault{Kind: "pause", At: 10 * s, Duration: 5 * s}, [][2]time.Duration{{10 * s, 15 * s}}},
		"healed with the run":       {plan.Fault{Kind: "pause", At: 95 * s, Duration: 50 * s}, [][2]time.Duration{{95 * s, 100 * s}}},
		"after the run":             {plan.Fault{Kind: "pause", At: 100 * s, Duration: 5 * s}, nil},
		"at once":                   {plan.Fault{Kind: "latency", Duration: 100 * s}, [][2]time.Duration{{0, 100 * s}}},
		"kill for good":             {plan.Fault{Kind: "kill", At: 10 * s}, [][2]time.Duration{{10 * s, 100 * s}}},
		"kill and back":             {plan.Fault{Kind: "kill", At: 10 * s, RestartAfter: 20 * s}, [][2]time.Duration{{10 * s, 30 * s}}},
		"restart takes what it may": {plan.Fault{Kind: "restart", At: 10 * s}, [][2]time.Duration{{10 * s, 10 * s}}},
		"leave and stay away":       {plan.Fault{Kind: "rebalance", At: 10 * s, Leave: 1}, [][2]time.Duration{{10 * s, 10 * s}}},
		"again and again":           {plan.Fault{Kind: "pause", At: 30 * s, Every: 30 * s, Duration: 5 * s}, [][2]time.Duration{{30 * s, 35 * s}, {60 * s, 65 * s}, {90 * s, 95 * s}}},
		"from a moment on":          {plan.Fault{Kind: "pause", At: 20 * s, Every: 50 * s, Duration: 5 * s}, [][2]time.Duration{{20 * s, 25 * s}, {70 * s, 75 * s}}},
		"never over itself":         {plan.Fault{Kind: "kill", At: 40 * s, Every: 40 * s}, [][2]time.Duration{{40 * s, 80 * s}, {80 * s, 100 * s}}},
	} {
		got := Rows([]plan.Fault{c.fault}, 1, 100*s)
		if !reflect.DeepEqual(spans(got[0]), c.want) {
			t.Errorf("%s: %v, want %v", name, spans(got[0]), c.want)
		}
	}
	if n := len(Rows([]plan.Fault{{Kind: "pause", Every: 1}}, 1, time.Hour)[0]); n != maxBeats {
		t.Errorf("an endless row has %d beats, want %d", n, maxBeats)
	}
}

// F1: the same seed draws the same faults, another one others, and each choice comes in time.
func TestRandomRows(t *testing.T) {
	f := plan.Fault{Kind: "random", At: 10 * s, Every: 10 * s, Seed: 7, Choices: []plan.Fault{{Kind: "kill", RestartAfter: 5 * s}, {Kind: "pause", Duration: 5 * s}, {Kind: "restart"}}}
	kinds := func(seed uint64) (list []string) {
		f.Seed = seed
		for _, b := range Rows([]plan.Fault{f}, 1, time.Hour)[0] {
			list = append(list, b.Fault.Kind)
		}
		return list
	}
	if a, b := kinds(7), kinds(7); !slices.Equal(a, b) {
		t.Error("the same seed draws other faults")
	}
	if slices.Equal(kinds(7), kinds(8)) {
		t.Error("another seed draws the same faults")
	}
	for _, k := range []string{"kill", "pause", "restart"} {
		if !slices.Contains(kinds(7), k) {
			t.Errorf("%s is never drawn in 360 beats", k)
		}
	}
}

var three = View{
	Brokers:    []Broker{{1, "a:1"}, {2, "b:1"}, {3, "c:1"}},
	Controller: 2,
	Partitions: map[Partition]Replicas{
		{"orders", 0}: {3, []int32{3, 1, 2}}, {"orders", 1}: {-1, []int32{1}}, {"orders", 2}: {2, []int32{2}}, {"orders", 3}: {9, []int32{9, 1}},
	},
	Coordinators: map[string]int32{"billing": 1},
}

func TestResolve(t *testing.T) {
	ids := func(b Beat) (list []int32, err error) {
		v, err := three.Resolve(b)
		for _, x := range v.Brokers {
			list = append(list, x.ID)
		}
		return list, err
	}
	for name, c := range map[string]struct {
		targets []plan.Target
		turn    int
		want    []int32 // nil: nobody
	}{
		"leader":             {[]plan.Target{{Kind: "leader", Topic: "orders"}}, 0, []int32{3}},
		"no leader now":      {[]plan.Target{{Kind: "leader", Topic: "orders", Partition: 1}}, 0, nil},
		"a leader that left": {[]plan.Target{{Kind: "leader", Topic: "orders", Partition: 3}}, 0, nil},
		"no such partition":  {[]plan.Target{{Kind: "leader", Topic: "orders", Partition: 7}}, 0, nil},
		"follower":           {[]plan.Target{{Kind: "follower", Topic: "orders"}}, 0, []int32{1}},
		"no follower":        {[]plan.Target{{Kind: "follower", Topic: "orders", Partition: 2}}, 0, nil},
		"controller":         {[]plan.Target{{Kind: "controller"}}, 0, []int32{2}},
		"coordinator":        {[]plan.Target{{Kind: "coordinator", Group: "billing"}}, 0, []int32{1}},
		"no coordinator":     {[]plan.Target{{Kind: "coordinator", Group: "audit"}}, 0, nil},
		"broker":             {[]plan.Target{{Kind: "broker", ID: 3}}, 0, []int32{3}},
		"no such broker":     {[]plan.Target{{Kind: "broker", ID: 4}}, 0, nil},
		"brokers":            {[]plan.Target{{Kind: "brokers"}}, 0, []int32{1, 2, 3}},
		"rolling":            {[]plan.Target{{Kind: "rolling"}}, 4, []int32{2}},
		"two, each once":     {[]plan.Target{{Kind: "leader", Topic: "orders"}, {Kind: "broker", ID: 3}, {Kind: "broker", ID: 1}}, 0, []int32{1, 3}},
	} {
		got, err := ids(Beat{Fault: &plan.Fault{Targets: c.targets}, Turn: c.turn})
		if c.want == nil {
			if !errors.Is(err, errNobody) {
				t.Errorf("%s: %v, %v; want nobody", name, got, err)
			}
		} else if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	drawn := map[int32]bool{}
	for seed := range uint64(100) {
		b := Beat{Fault: &plan.Fault{Targets: []plan.Target{{Kind: "random"}}}, Seed: seed}
		got, _ := ids(b)
		again, _ := ids(b)
		if len(got) != 1 || !slices.Equal(got, again) {
			t.Fatalf("seed %d draws %v, then %v", seed, got, again)
		}
		drawn[got[0]] = true
	}
	if len(drawn) != 3 {
		t.Errorf("only %v are ever drawn", drawn)
	}
	v, err := (&View{}).Resolve(Beat{Fault: &plan.Fault{Targets: []plan.Target{{Kind: "client", Flow: "produce:orders"}}}})
	if err != nil || v.String() != "client produce:orders" {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := (&View{}).ids(plan.Target{Kind: "random"}, 0, rand.New(rand.NewPCG(1, 1))); !errors.Is(err, errNobody) {
		t.Errorf("no broker alive: %v", err)
	}
}

func TestNeedsLinks(t *testing.T) {
	if NeedsLinks([]plan.Fault{{Kind: "kill"}, {Kind: "rebalance"}}) || !NeedsLinks([]plan.Fault{{Kind: "random", Choices: []plan.Fault{{Kind: "bandwidth"}}}}) {
		t.Error("which faults need links is wrong")
	}
}

func TestNames(t *testing.T) {
	var got []string
	for _, f := range []plan.Fault{
		{Kind: "kill", Targets: []plan.Target{{Kind: "leader", Topic: "payments"}}, RestartAfter: s},
		{Kind: "latency", Targets: []plan.Target{{Kind: "brokers"}}, Delay: 80 * time.Millisecond, Jitter: 20 * time.Millisecond},
		{Kind: "packet_loss", Targets: []plan.Target{{Kind: "broker", ID: 2}}, Loss: 0.01},
		{Kind: "bandwidth", Targets: []plan.Target{{Kind: "client", Flow: "produce:orders"}}, Bandwidth: 1 << 20},
		{Kind: "partition", Targets: []plan.Target{{Kind: "controller"}, {Kind: "coordinator", Group: "g"}}},
		{Kind: "rebalance", Group: "billing", Leave: 1, Join: 2},
	} {
		got = append(got, Name(&f)+": "+strength(&f))
	}
	if d := cmp.Diff([]string{
		"kill leader(payments/0): ", "latency brokers(): 80ms ± 20ms in each direction", "packet_loss broker(2): 1 % of the segments",
		"bandwidth client(produce:orders): 1MiB/s in each direction", "partition controller(), coordinator(g): what it sends is lost",
		"rebalance billing: 1 leave, 2 join",
	}, got); d != "" {
		t.Error(d)
	}
}
